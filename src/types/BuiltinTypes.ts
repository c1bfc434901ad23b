/**
 * The types that every Postgres has, by their fixed OIDs.
 */
import type { PgType } from "./PgType.ts"

/** Name, OID and the OID of the array type. */
const rows = `
bool 16 1000,bytea 17 1001,char 18 1002,name 19 1003,int8 20 1016,int2 21 1005,int4 23 1007,regproc 24 1008,text 25 1009,
oid 26 1028,tid 27 1010,xid 28 1011,cid 29 1012,json 114 199,xml 142 143,pg_node_tree 194 0,point 600 1017,lseg 601 1018,
path 602 1019,box 603 1020,polygon 604 1027,line 628 629,cidr 650 651,float4 700 1021,float8 701 1022,unknown 705 0,
circle 718 719,macaddr8 774 775,money 790 791,macaddr 829 1040,inet 869 1041,aclitem 1033 1034,bpchar 1042 1014,
varchar 1043 1015,date 1082 1182,time 1083 1183,timestamp 1114 1115,timestamptz 1184 1185,interval 1186 1187,
timetz 1266 1270,bit 1560 1561,varbit 1562 1563,numeric 1700 1231,refcursor 1790 2201,regprocedure 2202 2207,
regoper 2203 2208,regoperator 2204 2209,regclass 2205 2210,regtype 2206 2211,cstring 2275 1263,
void 2278 0,uuid 2950 2951,txid_snapshot 2970 2949,pg_lsn 3220 3221,pg_ndistinct 3361 0,pg_dependencies 3402 0,
tsvector 3614 3643,tsquery 3615 3645,gtsvector 3642 3644,regconfig 3734 3735,regdictionary 3769 3770,jsonb 3802 3807,
jsonpath 4072 4073,regnamespace 4089 4090,regrole 4096 4097,regcollation 4191 4192,pg_mcv_list 5017 0,
pg_brin_bloom_summary 4600 0,pg_brin_minmax_multi_summary 4601 0,pg_snapshot 5038 5039,xid8 5069 271`

/** Name, OID and array of a range, the same of its multirange, and the OID of its elements. */
const rangeRows = `
int4range 3904 3905 int4multirange 4451 6150 23,numrange 3906 3907 nummultirange 4532 6151 1700,
tsrange 3908 3909 tsmultirange 4533 6152 1114,tstzrange 3910 3911 tstzmultirange 4534 6153 1184,
daterange 3912 3913 datemultirange 4535 6155 1082,int8range 3926 3927 int8multirange 4536 6157 20`

/** OIDs that the code names. */
export const oids = {
  bool: 16,
  bytea: 17,
  char: 18,
  name: 19,
  int8: 20,
  int2: 21,
  int4: 23,
  text: 25,
  oid: 26,
  json: 114,
  xml: 142,
  float4: 700,
  float8: 701,
  unknown: 705,
  inet: 869,
  bpchar: 1042,
  varchar: 1043,
  date: 1082,
  time: 1083,
  timestamp: 1114,
  timestamptz: 1184,
  interval: 1186,
  timetz: 1266,
  numeric: 1700,
  record: 2249,
  records: 2287,
  /** `anyarray`, as columns of `pg_stats` have it. */
  anyArray: 2277,
  uuid: 2950,
  jsonb: 3802
} as const

/** Whose binary format is their text. */
export const textTypes = [oids.text, oids.varchar, oids.bpchar, oids.name, oids.xml, oids.unknown]
/** Printed with fewer digits where a session says so. */
export const floatTypes: ReadonlySet<number> = new Set([oids.float4, oids.float8])
/** Whose texts depend on what a session sets. */
export const sessionTypes: ReadonlySet<number> = new Set([...floatTypes, oids.timestamp, oids.timestamptz])

const split = (table: string): ReadonlyArray<ReadonlyArray<string>> =>
  table
    .trim()
    .split(/,\s*/)
    .map((row) => row.split(" "))

/** A type that its name says all about, or all but what `more` says. */
export const makeType = (oid: number, name: string, array: number, more: Partial<PgType> = {}): PgType => ({
  oid,
  name,
  kind: "base",
  of: 0,
  array,
  // Boxes are full of commas.
  delimiter: name === "box" ? ";" : ",",
  attributes: [],
  labels: [],
  output: "",
  ...more
})

const withArray = (element: PgType): ReadonlyArray<PgType> =>
  element.array === 0
    ? [element]
    : [element, makeType(element.array, `_${element.name}`, 0, { kind: "array", of: element.oid })]

const vector = (oid: number, name: string, array: number, of: number) =>
  withArray(makeType(oid, name, array, { kind: "vector", of }))

const all = (): ReadonlyArray<PgType> => [
  ...split(rows).flatMap(([name = "", oid, array]) => withArray(makeType(Number(oid), name, Number(array)))),
  ...split(rangeRows).flatMap(([range = "", oid, array, multirange = "", other, others, element]) => [
    ...withArray(makeType(Number(oid), range, Number(array), { kind: "range", of: Number(element) })),
    ...withArray(makeType(Number(other), multirange, Number(others), { kind: "multirange", of: Number(oid) }))
  ]),
  ...vector(22, "int2vector", 1006, oids.int2),
  ...vector(30, "oidvector", 1013, oids.oid),
  ...withArray(makeType(oids.record, "record", oids.records, { kind: "record" })),
  makeType(oids.anyArray, "anyarray", 0, { kind: "array", of: oids.text })
]

/** Every built-in type by its OID. */
export const builtins: ReadonlyMap<number, PgType> = /* @__PURE__ */ new Map(
  /* @__PURE__ */ all().map((one) => [one.oid, one])
)
