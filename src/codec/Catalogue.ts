/**
 * What the server's catalogue says about the types that are not built in: one query when a pool opens, and the same query
 * again for types that turn up later.
 *
 * The attributes of composites are asked for when a value of the type first comes: every table has a row type, and hardly
 * any is ever read.
 */

import type { PgConnection } from "@effect/sql-pg"
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import * as Containers from "./Containers.ts"
import { moneyFormat } from "./Numbers.ts"
import { baseReader, enumReader } from "./Scalars.ts"
import type { Attribute, Kind, Reader, Session, Type } from "./Session.ts"
import { zoneOf } from "./TimeZone.ts"

/** Runs one statement on one connection. */
export type Query = (
  text: string,
  params: ReadonlyArray<unknown>
) => Effect.Effect<PgConnection.Result, SqlError>

/** OIDs from here on belong to what users create. */
const firstUserOid = 16384

/**
 * `$1` are the types asked for one by one, their attributes included; `$2` whether all types of users are wanted.
 * 751 is `array_out`. `pg_range` has no multiranges before Postgres 14, which is why they are read through json.
 */
const catalogueQuery = `
select t.oid, t.typname::text as name,
  case when t.typtype = 'b' and t.typoutput = 751 then 'a' else t.typtype::text end as kind,
  case t.typtype when 'd' then t.typbasetype
    when 'r' then (select r.rngsubtype from pg_catalog.pg_range r where r.rngtypid = t.oid)
    when 'm' then (select r.rngtypid from pg_catalog.pg_range r
      where (pg_catalog.to_jsonb(r) ->> 'rngmultitypid')::pg_catalog.oid = t.oid)
    else t.typelem end as "of",
  t.typarray as "array", t.typdelim::text as delimiter,
  case t.typtype when 'b' then (select p.proname::text from pg_catalog.pg_proc p where p.oid = t.typsend) end as send,
  case when t.typtype = 'c' and t.oid = any($1::pg_catalog.oid[]) then
    (select coalesce(pg_catalog.array_agg(a.attname::text order by a.attnum), '{}') from pg_catalog.pg_attribute a
      where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped) end as names,
  case when t.typtype = 'c' and t.oid = any($1::pg_catalog.oid[]) then
    (select coalesce(pg_catalog.array_agg(a.atttypid order by a.attnum), '{}') from pg_catalog.pg_attribute a
      where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped) end as types
from pg_catalog.pg_type t
where t.oid = any($1::pg_catalog.oid[])
  or ($2::pg_catalog.bool and t.oid >= ${firstUserOid} and not (t.typtype = 'b' and t.typoutput = 751))
union all
select 0, pg_catalog.current_setting('TimeZone'), 's', pg_catalog.current_setting('server_version_num')::pg_catalog.oid, 0, '', '',
  array[1234567::pg_catalog.int8::pg_catalog.money::pg_catalog.text, (-1234567)::pg_catalog.int8::pg_catalog.money::pg_catalog.text], null
where $2::pg_catalog.bool`

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
  session.zone = zoneOf(textOf(row.name))
  session.version = numberOf(row.of)
  const [positive, negative] = listOf(row.names)
  session.money = moneyFormat(textOf(positive), textOf(negative))
}

const learnType = (session: Session, row: PgConnection.Row): void => {
  const oid = numberOf(row.oid)
  const oids = listOf(row.types)
  const attributes = listOf(row.names).map(
    (name, index): Attribute => ({ name: textOf(name), oid: numberOf(oids[index]) })
  )
  const type: Type = {
    oid,
    name: textOf(row.name),
    kind: kinds[textOf(row.kind)] ?? "base",
    of: numberOf(row.of),
    array: numberOf(row.array),
    delimiter: textOf(row.delimiter),
    attributes
  }
  const isComplete = type.kind !== "composite" || row.names !== null
  if (isComplete || !session.types.has(oid)) session.types.set(oid, type)
  if (isComplete) session.readers.set(oid, readerFor(session, type, textOf(row.send)))
  if (type.array === 0) return
  session.types.set(type.array, {
    oid: type.array,
    name: `${type.name}[]`,
    kind: "array",
    of: oid,
    array: 0,
    delimiter: ",",
    attributes: []
  })
  session.readers.set(type.array, Containers.arrayReader(session))
}

/** Asks for these types, and for all types of users if they were not learnt yet. */
export const learn = Effect.fnUntraced(function* (
  session: Session,
  query: Query,
  oids: ReadonlyArray<number>,
  all: boolean
) {
  const result = yield* query(catalogueQuery, [`{${oids.join(",")}}`, all])
  for (const row of result.rows) {
    if (row.kind === "s") learnSession(session, row)
    else learnType(session, row)
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
