/**
 * What the server's catalogue says about the types that are not built in: one query when a pool opens, and another one for
 * types that turn up later.
 *
 * The first asks for what `pg_type` alone tells, in as few and short columns as there can be: a new session has none of the
 * catalogue at hand, and every table, column and function that a query names costs it. Composites, ranges and multiranges are
 * asked for when a value of one first comes: every table has a row type, and hardly any is ever read.
 */

import type * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import * as Containers from "./Containers.ts"
import { moneyFormat } from "./Numbers.ts"
import { baseReader, enumReader } from "./Scalars.ts"
import type { Attribute, Kind, Reader, Session, Type } from "./Session.ts"
import { undiscovered } from "./Session.ts"

/** Runs one statement on one connection. */
export type Query = (
  text: string,
  params: ReadonlyArray<unknown>
) => Effect.Effect<PgConnection.Result, SqlError>

/** OIDs from here on belong to what users create. */
const firstUserOid = 16384

/**
 * A line for each type: the OIDs of its array, its own and of what a domain stands for; its kind and delimiter; the function
 * that sends a base type; its name. Types without an array type are arrays themselves.
 */
const outlineQuery = `
select pg_catalog.string_agg(pg_catalog.concat_ws(' ', t.typarray, t.oid, t.typbasetype, t.typtype, t.typdelim,
    case t.typtype when 'b' then t.typsend::pg_catalog.regproc end, t.typname), E'\\n') as types,
  pg_catalog.count(*) as count,
  pg_catalog.current_setting('TimeZone') as zone,
  pg_catalog.current_setting('server_version_num') as version,
  1234567::pg_catalog.money::pg_catalog.text as positive,
  (-1234567)::pg_catalog.money::pg_catalog.text as negative
from pg_catalog.pg_type t
where t.oid >= ${firstUserOid} and t.typarray <> 0 and t.typtype <> 'c' and t.typtype <> 'm' and t.typtype <> 'r'`

/**
 * Of an array the element is told too. 751 is `array_out`, 1247 is `pg_type`; `pg_range` has no multiranges before Postgres 14,
 * which is why the range of one is found as what it depends on.
 */
const detailsQuery = `
select pg_catalog.json_agg(pg_catalog.json_build_array(t.typarray::pg_catalog.int8, t.oid::pg_catalog.int8,
  (case t.typtype
    when 'd' then t.typbasetype
    when 'r' then (select r.rngsubtype from pg_catalog.pg_range r where r.rngtypid = t.oid)
    when 'm' then (select d.refobjid from pg_catalog.pg_depend d
      where d.classid = 1247 and d.objid = t.oid and d.refclassid = 1247 and d.deptype = 'i')
    else t.typelem end)::pg_catalog.int8,
  case when t.typtype = 'b' and t.typoutput = 751 then 'a' else t.typtype::pg_catalog.text end,
  t.typdelim,
  t.typsend::pg_catalog.regproc::pg_catalog.text,
  t.typname,
  (select pg_catalog.json_agg(pg_catalog.json_build_array(a.attname, a.atttypid::pg_catalog.int8) order by a.attnum)
    from pg_catalog.pg_attribute a where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped))) as types
from pg_catalog.pg_type t
where t.oid = any($1::pg_catalog.oid[]) or t.typarray = any($1::pg_catalog.oid[])`

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

const attributeOf = (entry: unknown): Attribute => {
  const [name, oid] = listOf(entry)
  return { name: textOf(name), oid: numberOf(oid) }
}

const none: ReadonlyArray<Attribute> = []

/** Puts a type and that of its arrays into the session; `send` is qualified where it is not in the search path. */
const learnType = (session: Session, type: Type, send: string): void => {
  session.readers.set(type.oid, readerFor(session, type, send.slice(send.lastIndexOf(".") + 1)))
  session.types.set(type.oid, type)
  if (type.array === 0) return
  session.readers.set(type.array, Containers.arrayReader(session))
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

const lineForm = /^(\d+) (\d+) (\d+) (\w) (.) (.*)$/s

const learnLine = (session: Session, line: string): void => {
  const [, array, oid = "", of, letter = "", delimiter = "", rest = ""] = lineForm.exec(line) ?? []
  if (oid === "") return
  const cut = letter === "b" ? rest.indexOf(" ") : 0
  learnType(
    session,
    {
      oid: Number(oid),
      name: cut === 0 ? rest : rest.slice(cut + 1),
      kind: kinds[letter] ?? "base",
      of: Number(of),
      array: Number(array),
      delimiter,
      attributes: none
    },
    rest.slice(0, cut)
  )
}

/** Finds the types of the answer to the first question, by their OIDs and by those of their arrays. */
const outlineOf = (session: Session, row: PgConnection.Row): ((oid: number) => void) => {
  const found = new Map<number, string>()
  const lines = textOf(row.types) === "" ? [] : textOf(row.types).split("\n")
  // Where a name holds a line break, each type is asked for when a value of it comes.
  if (lines.length === Number(row.count)) {
    for (const line of lines) {
      const [array, oid] = line.split(" ", 2)
      found.set(Number(array), line)
      found.set(Number(oid), line)
    }
  }
  return (oid) => {
    const line = found.get(oid)
    if (line !== undefined) learnLine(session, line)
  }
}

/**
 * Asks for all types of users but composites, ranges and multiranges, and for the time zone and the format of money. The answer is
 * kept as it is until a value comes of a type that is not known.
 */
export const learn = (session: Session, query: Query): Effect.Effect<void, SqlError> =>
  Effect.map(query(outlineQuery, []), ({ rows: [row = {}] }) => {
    session.timeZone = textOf(row.zone)
    session.version = Number(row.version)
    session.money = moneyFormat(textOf(row.positive), textOf(row.negative))
    session.discover = (oid) => {
      session.discover = outlineOf(session, row)
      session.discover(oid)
    }
  })

/** Asks for these types. */
export const ask = (
  session: Session,
  query: Query,
  oids: ReadonlyArray<number>
): Effect.Effect<void, SqlError> =>
  Effect.map(query(detailsQuery, [`{${oids.join(",")}}`]), ({ rows: [row = {}] }) => {
    for (const entry of listOf(row.types)) {
      const [array, oid, of, letter, delimiter, send, name, attributes] = listOf(entry)
      learnType(
        session,
        {
          oid: numberOf(oid),
          name: textOf(name),
          kind: kinds[textOf(letter)] ?? "base",
          of: numberOf(of),
          array: numberOf(array),
          delimiter: textOf(delimiter),
          attributes: listOf(attributes).map(attributeOf)
        },
        textOf(send)
      )
    }
  })

/** Forgets what users can change: every type that is not built in. */
export const forget = (session: Session, builtins: ReadonlySet<number>): void => {
  session.discover = undiscovered
  for (const oid of session.types.keys()) {
    if (builtins.has(oid)) continue
    session.types.delete(oid)
    session.readers.delete(oid)
  }
}
