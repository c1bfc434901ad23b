/**
 * What the server's catalogue says about types: the statement that asks for some by their OIDs, and its answer.
 *
 * The answer is one JSON text, so that it is read the same whatever the session sets.
 */
import { makeType } from "./BuiltinTypes.ts"
import type { Kind, PgType } from "./PgType.ts"

/** Types of users have OIDs from here on. */
const firstUserOid = 16_384

/** The OIDs of all types of users but the row types of tables. */
export const userTypesQuery = `
select pg_catalog.json_agg(t.oid::pg_catalog.int8) as oids
from pg_catalog.pg_type t left join pg_catalog.pg_class c on c.oid = t.typrelid
where t.oid >= ${firstUserOid} and (c.oid is null or c.relkind = 'c')`

/** The types that a type `t` is made of: elements, bases, attributes. */
export const partsQuery = `
    select t.typelem union all select t.typbasetype
    union all select r.rngsubtype from pg_catalog.pg_range r where r.rngtypid = t.oid
    union all select r.rngtypid from pg_catalog.pg_range r where r.rngmultitypid = t.oid
    union all select a.atttypid from pg_catalog.pg_attribute a
      where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped`

/** What `typeOf` reads of a type `t`. */
export const typeFields = `
  t.oid::pg_catalog.int8, t.typname, t.typtype, t.typarray::pg_catalog.int8, t.typdelim,
  t.typoutput::pg_catalog.regproc::pg_catalog.text,
  (case t.typtype
    when 'd' then t.typbasetype
    when 'r' then (select r.rngsubtype from pg_catalog.pg_range r where r.rngtypid = t.oid)
    when 'm' then (select r.rngtypid from pg_catalog.pg_range r where r.rngmultitypid = t.oid)
    else t.typelem end)::pg_catalog.int8,
  (select pg_catalog.json_agg(pg_catalog.json_build_array(a.attname, a.atttypid::pg_catalog.int8) order by a.attnum)
    from pg_catalog.pg_attribute a
    where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped),
  (select pg_catalog.json_agg(e.enumlabel order by e.enumsortorder) from pg_catalog.pg_enum e where t.typtype = 'e' and e.enumtypid = t.oid)`

/** Asks for types by OID, and for all that they are made of. `$1` is an array of OIDs. */
export const typesQuery = `
with recursive wanted as (
  select pg_catalog.unnest($1::pg_catalog.oid[]) as oid
  union
  select part.oid from wanted join pg_catalog.pg_type t on t.oid = wanted.oid
  cross join lateral (${partsQuery}) as part (oid) where part.oid <> 0
)
select pg_catalog.json_agg(pg_catalog.json_build_array(${typeFields})) as types
from wanted join pg_catalog.pg_type t using (oid)`

const kinds: Readonly<Record<string, Kind>> = {
  c: "composite",
  d: "domain",
  e: "enum",
  r: "range",
  m: "multirange"
}

export const listOf = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? value : [])

export const typeOf = (entry: unknown): PgType => {
  const [oid, name, letter, array, delimiter, output, of, attributes, labels] = listOf(entry)
  const printer = String(output).replace(/^.*\./, "").replaceAll('"', "")
  return {
    oid: Number(oid),
    name: String(name),
    kind: printer === "array_out" && letter !== "d" ? "array" : (kinds[String(letter)] ?? "base"),
    of: Number(of ?? 0),
    array: Number(array),
    delimiter: String(delimiter),
    attributes: listOf(attributes).map((attribute) => {
      const [name, oid] = listOf(attribute)
      return { name: String(name), oid: Number(oid) }
    }),
    labels: listOf(labels).map(String),
    output: printer
  }
}

/** What stands for a type that the server does not know any more: its values are strings. */
export const missingType = (oid: number): PgType => makeType(oid, String(oid), 0)

/** The types in an answer of `typesQuery`, of which this is the one value. */
export const typesOf = (answer: unknown): ReadonlyArray<PgType> =>
  listOf(typeof answer === "string" ? JSON.parse(answer) : answer).map(typeOf)
