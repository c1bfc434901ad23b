/**
 * The reader of each built-in type, and of the well-known types of extensions.
 */

import * as Builtin from "./Builtin.ts"
import type { Read } from "./Bytes.ts"
import * as Bytes from "./Bytes.ts"
import * as Containers from "./Containers.ts"
import * as DateTime from "./DateTime.ts"
import * as Geometry from "./Geometry.ts"
import * as Network from "./Network.ts"
import * as Numbers from "./Numbers.ts"
import type { Kind, Reader, Session } from "./Session.ts"
import { askServer, refuse, zoneFor } from "./Session.ts"
import * as System from "./System.ts"
import * as TextSearch from "./TextSearch.ts"

/** A type that is its text. */
const texts = (read: Read<string>): Reader => ({ value: read, text: read })

/** Only the server can print the value: it is asked when the values are settled. */
export const printedByServer = (session: Session, oid: number): Reader =>
  texts((bytes, offset, size) => askServer(session, oid, bytes, offset, size))

const boolean: Reader = {
  value: (bytes, offset) => bytes[offset] !== 0,
  text: (bytes, offset) => (bytes[offset] !== 0 ? "t" : "f")
}

const integer = (read: Read<number>): Reader => ({
  value: read,
  text: (bytes, offset, size) => String(read(bytes, offset, size))
})

const int8 = (session: Session): Read => {
  switch (session.options.int8) {
    case "bigint":
      return Bytes.bigInt64
    case "string":
      return Bytes.int64Text
    case "number":
      return (bytes, offset) => {
        const value = Bytes.exactInt64(bytes, offset)
        return Number.isNaN(value)
          ? refuse(
              session,
              'holds an int8 past ±(2^53−1), which a number cannot hold exactly. Set int8: "bigint" or "string", or cast the value to text'
            )
          : value
      }
  }
}

const timestamp = (session: Session, withZone: boolean): Reader => {
  const oid = Builtin.oidOf("timestamptz")
  const text: Read<string> = (bytes, offset, size) => {
    if (!withZone) return DateTime.timestampText(bytes, offset, undefined)
    const zone = zoneFor(session)
    return zone === undefined
      ? askServer(session, oid, bytes, offset, size)
      : DateTime.timestampText(bytes, offset, zone)
  }
  return {
    value:
      session.options.timestamp === "string"
        ? text
        : (bytes, offset, size) =>
            DateTime.readDate(bytes, offset, size) ??
            refuse(
              session,
              'holds a timestamp past the year 275760, where Date ends. Set timestamp: "string", or cast the value to text'
            ),
    text
  }
}

const json = (start: number): Reader => ({
  value: (bytes, offset, size) => JSON.parse(Bytes.utf8(bytes, offset + start, size - start)),
  text: (bytes, offset, size) => Bytes.utf8(bytes, offset + start, size - start)
})

const scalars = (session: Session): Readonly<Record<string, Reader>> => ({
  bool: boolean,
  bytea: { value: Bytes.copy, text: System.readHexadecimal },
  char: texts(System.readChar),
  int8: { value: int8(session), text: Bytes.int64Text },
  int2: integer(Bytes.int16),
  int4: integer(Bytes.int32),
  oid: integer(Bytes.uint32),
  tid: texts(System.readTid),
  xid: texts(System.readXid),
  cid: texts(System.readXid),
  json: json(0),
  jsonb: json(1),
  point: texts(Geometry.readPoint),
  lseg: texts(Geometry.readSegment),
  path: texts(Geometry.readPath),
  box: texts(Geometry.readBox),
  polygon: texts(Geometry.readPolygon),
  line: texts(Geometry.readLine),
  circle: texts(Geometry.readCircle),
  cidr: texts(Network.readInet),
  inet: { value: Network.readInet, text: Network.readInetOutput },
  macaddr: texts(Network.readMacaddr),
  macaddr8: texts(Network.readMacaddr),
  float4: { value: Bytes.float32, text: Numbers.readFloat4Text },
  float8: { value: Bytes.float64, text: Numbers.readFloat8Text },
  money: texts((bytes, offset) => Numbers.moneyText(bytes, offset, session.money)),
  date: texts(DateTime.readDateText),
  time: texts(DateTime.readTimeText),
  timetz: texts(DateTime.readTimetzText),
  interval: texts((bytes, offset) => DateTime.intervalText(bytes, offset, session.version >= 170000)),
  timestamp: timestamp(session, false),
  timestamptz: timestamp(session, true),
  bit: texts(System.readBits),
  varbit: texts(System.readBits),
  numeric: texts(Numbers.readNumeric),
  uuid: texts(System.readUuid),
  txid_snapshot: texts(System.readSnapshot),
  pg_snapshot: texts(System.readSnapshot),
  pg_lsn: texts((bytes, offset) => System.lsnText(bytes, offset, session.version >= 190000)),
  pg_ndistinct: texts(System.readNdistinct),
  pg_dependencies: texts(System.readDependencies),
  pg_mcv_list: texts(System.readHexadecimal),
  tsvector: texts(TextSearch.readTsvector),
  tsquery: texts(TextSearch.readTsquery),
  jsonpath: texts(System.readVersionedText),
  xid8: texts(System.readXid8),
  record: Containers.recordReader(session)
})

const text = texts(Bytes.utf8)

/** The types that are their characters on the wire. */
const characters = new Set([
  "text",
  "varchar",
  "bpchar",
  "name",
  "xml",
  "refcursor",
  "cstring",
  "unknown",
  "void",
  "pg_node_tree"
])

const describe = (
  session: Session,
  name: string,
  oid: number,
  kind: Kind,
  of: number,
  array: number
): void => {
  session.types.set(oid, {
    oid,
    name,
    kind,
    of,
    array,
    delimiter: name === "box" ? ";" : ",",
    attributes: []
  })
}

/** Puts every built-in type into the session. */
export const registerBuiltins = (session: Session): void => {
  const known = scalars(session)
  const array = Containers.arrayReader(session)
  for (const { name, oid, array: arrayOid } of Builtin.builtins) {
    const reader = characters.has(name) ? text : known[name]
    if (reader !== undefined) session.readers.set(oid, reader)
    describe(session, name, oid, name === "record" ? "record" : "base", 0, arrayOid)
    if (arrayOid === 0) continue
    session.readers.set(arrayOid, array)
    describe(session, `${name}[]`, arrayOid, "array", oid, 0)
  }
  for (const name of Builtin.named) {
    const oid = Builtin.oidOf(name)
    session.readers.set(oid, printedByServer(session, oid))
  }
  for (const [name, oid, element, arrayOid] of Builtin.vectors) {
    session.readers.set(oid, array)
    describe(session, name, oid, "vector", Builtin.oidOf(element), arrayOid)
    session.readers.set(arrayOid, array)
    describe(session, `${name}[]`, arrayOid, "array", oid, 0)
  }
  session.readers.set(Builtin.anyArray, array)
  for (const [range, multirange, element] of Builtin.ranges) {
    const oid = Builtin.oidOf(range)
    session.readers.set(oid, Containers.rangeReader(session, oid, Builtin.oidOf(element)))
    session.readers.set(Builtin.oidOf(multirange), Containers.multirangeReader(session, oid))
  }
}

/** Types of extensions, by the name of the function that sends them. */
const extensions: Readonly<Record<string, Reader>> = {
  citextsend: text,
  hstore_send: { value: System.readHstore, text: undefined },
  ltree_send: texts(System.readVersionedText),
  lquery_send: texts(System.readVersionedText),
  ltxtq_send: texts(System.readVersionedText),
  cube_send: texts(Geometry.readCube),
  vector_send: { value: System.readVector, text: undefined },
  geometry_send: texts(System.readGeometry),
  geography_send: texts(System.readGeometry)
}

/** The reader of an extension's base type: known by name, or printed by the server. */
export const baseReader = (session: Session, oid: number, send: string): Reader =>
  extensions[send] ?? printedByServer(session, oid)

/** Enums are their labels. */
export const enumReader = text
