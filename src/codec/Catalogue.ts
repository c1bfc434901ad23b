/**
 * What the server's catalogue says about the types that are not built in: one query when a pool opens, and the same query
 * again for types that turn up later.
 *
 * The attributes of composites, and the ranges of multiranges, are asked for when a value of the type first comes: every
 * table has a row type, and hardly any is ever read.
 */

import type * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import * as Containers from "./Containers.ts"
import { moneyFormat } from "./Numbers.ts"
import { baseReader, enumReader } from "./Scalars.ts"
import type { Attribute, Kind, Reader, Session, Type } from "./Session.ts"

/** Runs one statement on one connection. */
export type Query = (
  text: string,
  params: ReadonlyArray<unknown>
) => Effect.Effect<PgConnection.Result, SqlError>

/** OIDs from here on belong to what users create. */
const firstUserOid = 16384

/**
 * `$1` are the types asked for one by one, their attributes included; `$2` whether all types of users are wanted.
 * 751 is `array_out`, 1247 is `pg_type`. `pg_range` has no multiranges before Postgres 14, which is why the range of one is
 * found as what it depends on.
 */
const catalogueQuery = `
select pg_catalog.array_agg(t.oid) as oids, pg_catalog.array_agg(t.typname) as names,
  pg_catalog.string_agg(case when t.typtype = 'b' and t.typoutput = 751 then 'a' else t.typtype::pg_catalog.text end, '') as kinds,
  pg_catalog.array_agg(case t.typtype when 'd' then t.typbasetype
    when 'r' then r.rngsubtype
    when 'm' then case when t.oid = any($1::pg_catalog.oid[]) then (select d.refobjid from pg_catalog.pg_depend d
      where d.classid = 1247 and d.objid = t.oid and d.refclassid = 1247 and d.deptype = 'i') end
    else t.typelem end) as ofs,
  pg_catalog.array_agg(t.typarray) as arrays,
  pg_catalog.string_agg(t.typdelim::pg_catalog.text, '') as delimiters,
  pg_catalog.array_agg(case t.typtype when 'b' then
    (select p.proname from pg_catalog.pg_proc p where p.oid = t.typsend) end) as sends,
  pg_catalog.json_agg(pg_catalog.json_build_array(t.oid::pg_catalog.int8,
    (select pg_catalog.json_agg(pg_catalog.json_build_array(a.attname, a.atttypid::pg_catalog.int8) order by a.attnum)
      from pg_catalog.pg_attribute a where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped)))
    filter (where t.typtype = 'c' and t.oid = any($1::pg_catalog.oid[])) as composites,
  pg_catalog.current_setting('TimeZone') as zone,
  pg_catalog.current_setting('server_version_num') as version,
  1234567::pg_catalog.int8::pg_catalog.money::pg_catalog.text as positive,
  (-1234567)::pg_catalog.int8::pg_catalog.money::pg_catalog.text as negative
from pg_catalog.pg_type t
left join pg_catalog.pg_range r on r.rngtypid = t.oid
where t.oid = any($1::pg_catalog.oid[])
  or ($2::pg_catalog.bool and t.oid >= ${firstUserOid} and not (t.typtype = 'b' and t.typoutput = 751))`

const kinds: Readonly<Record<string, Kind>> = {
  a: "array",
  b: "base",
  c: "composite",
  d: "domain",
  e: "enum",
  r: "range",
  m: "multirange",
  p: "base"
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : "")
const numberOf = (value: unknown): number => (typeof value === "number" ? value : 0)
const listOf = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? value : [])

const readerFor = (session: Session, type: Type, send: string): Reader => {
  switch (type.kind) {
    case "array":
    case "vector":
      return Containers.arrayReader(session)
    case "composite":
      return Containers.compositeReader(session, type.oid, type.attributes)
    case "record":
      return Containers.recordReader(session)
    case "domain":
      return Containers.domainReader(session, type.oid, type.of)
    case "enum":
      return enumReader
    case "range":
      return Containers.rangeReader(session, type.oid, type.of)
    case "multirange":
      return Containers.multirangeReader(session, type.of)
    case "base":
      return baseReader(session, type.oid, send)
  }
}

const learnSession = (session: Session, row: PgConnection.Row): void => {
  session.timeZone = textOf(row.zone)
  session.version = Number(row.version)
  session.money = moneyFormat(textOf(row.positive), textOf(row.negative))
}

const attributeOf = (entry: unknown): Attribute => {
  const [name, oid] = listOf(entry)
  return { name: textOf(name), oid: numberOf(oid) }
}

/** The attributes of the composites that were asked for one by one. */
const compositesOf = (row: PgConnection.Row): ReadonlyMap<number, ReadonlyArray<Attribute>> =>
  new Map(
    listOf(row.composites).map((entry) => {
      const [oid, attributes] = listOf(entry)
      return [numberOf(oid), listOf(attributes).map(attributeOf)]
    })
  )

const none: ReadonlyArray<Attribute> = []

const learnType = (session: Session, type: Type, send: unknown, isComplete: boolean, array: Reader): void => {
  if (isComplete)
    session.readers.set(type.oid, type.kind === "array" ? array : readerFor(session, type, textOf(send)))
  if (isComplete || !session.types.has(type.oid)) session.types.set(type.oid, type)
  if (type.array === 0) return
  session.readers.set(type.array, array)
  session.types.set(type.array, {
    oid: type.array,
    name: `${type.name}[]`,
    kind: "array",
    of: type.oid,
    array: 0,
    delimiter: type.delimiter,
    attributes: none
  })
}

/** Asks for these types; and for all types of users, the time zone and the format of money. */
export const learn = Effect.fnUntraced(function* (
  session: Session,
  query: Query,
  oids: ReadonlyArray<number>,
  all: boolean
) {
  const result = yield* query(catalogueQuery, [`{${oids.join(",")}}`, all])
  const row = result.rows[0] ?? {}
  if (all) learnSession(session, row)
  const array = Containers.arrayReader(session)
  const composites = compositesOf(row)
  const names = listOf(row.names)
  const letters = textOf(row.kinds)
  const ofs = listOf(row.ofs)
  const arrays = listOf(row.arrays)
  const delimiters = textOf(row.delimiters)
  const sends = listOf(row.sends)
  for (const [index, id] of listOf(row.oids).entries()) {
    const oid = numberOf(id)
    const kind = kinds[letters[index] ?? ""] ?? "base"
    const attributes = composites.get(oid)
    const type: Type = {
      oid,
      name: textOf(names[index]),
      kind,
      of: numberOf(ofs[index]),
      array: numberOf(arrays[index]),
      delimiter: delimiters[index] ?? ",",
      attributes: attributes ?? none
    }
    const isComplete =
      kind === "composite" ? attributes !== undefined : kind !== "multirange" || type.of !== 0
    learnType(session, type, sends[index], isComplete, array)
  }
})

/** Forgets what users can change: every type that is not built in. */
export const forget = (session: Session, builtins: ReadonlySet<number>): void => {
  for (const oid of session.types.keys()) {
    if (builtins.has(oid)) continue
    session.types.delete(oid)
    session.readers.delete(oid)
  }
}
