/**
 * What the catalogue says of a table that decides how rows are stored in it: what it is, its columns, and their types with
 * all that these are made of.
 *
 * A pool remembers it by the table's name. `guardQuery` compares what is remembered with what the name means now, in front of
 * a statement that relies on it and in the same transaction; it fails where they differ.
 */
import * as Predicate from "effect/Predicate"
import { type Naming, nameOf } from "../statement/CamelCase.ts"
import { quote } from "../statement/Names.ts"
import { oids } from "./BuiltinTypes.ts"
import { listOf, partsQuery, typeFields, typeOf } from "./Catalogue.ts"
import type { PgType } from "./PgType.ts"
import type { TypeCodec } from "./TypeCodec.ts"
import type { TypeLookup } from "./TypeLookup.ts"
import * as Lookup from "./TypeLookup.ts"

export interface Column {
  readonly name: string
  /** The type as a cast names it, whatever the search path; a domain's is the type beneath it. */
  readonly type: string
  /** That type's OID; 0 for a column that the table does not have. */
  readonly oid: number
  /** How values are bound: as json, or by their type, for many rows as an array of it, or where that cannot be, of texts. */
  readonly form: "typed" | "text" | "json"
  /** Whether a row that lacks the column gets something else than NULL: a default, an identity, a generated value. */
  readonly hasDefault: boolean
  /** The modifier of its type: of `varchar(n)` and `char(n)` it is n + 4; -1 where there is none. */
  readonly modifier: number
  /** An `INSERT` takes no values for it: it is computed, or an identity that always is. */
  readonly isGenerated: boolean
}

/** A table's columns by their names, those in JavaScript behind `named`; empty where there is no such table. */
export type Columns = ReadonlyMap<string, Column>

export interface TableShape {
  /** `relkind` of `pg_class`: `r` a table, `p` a partitioned one, `v` a view, `f` a foreign table; empty where there is none. */
  readonly kind: string
  /** Its policies hold for the session's role. */
  readonly hasPolicies: boolean
  /** Rules change what an `INSERT` does. */
  readonly hasRules: boolean
  /** Some column's type has no binary form: a binary `COPY` is refused then, also where it does not name the column. */
  readonly lacksBinary: boolean
  /** The server, or what stands before it, was seen to refuse a `COPY` into it. */
  readonly refusesCopy: boolean
  readonly columns: Columns
  readonly types: TypeLookup
  /** What the server compares. */
  readonly digest: string
}

/** Types of the server's own have smaller OIDs, and are known (`BuiltinTypes.ts`). */
const firstUnknownOid = 10_000

/** One JSON text; `$1` is the table's quoted name. */
const shapeQuery = `
with recursive found as (
  select c.oid, c.relkind, c.relhasrules from pg_catalog.pg_class c where c.oid = pg_catalog.to_regclass($1)
), columns as (
  select a.attnum, a.attname, a.atttypid, a.atttypmod, a.atthasdef, a.attidentity, a.attgenerated
  from found join pg_catalog.pg_attribute a on a.attrelid = found.oid where a.attnum > 0 and not a.attisdropped
), wanted as (
  select atttypid as oid from columns where atttypid >= ${firstUnknownOid}
  union
  select part.oid from wanted join pg_catalog.pg_type t on t.oid = wanted.oid
  cross join lateral (${partsQuery}) as part (oid) where part.oid >= ${firstUnknownOid}
)
select pg_catalog.json_build_array(
  found.oid::pg_catalog.int8, found.relkind, pg_catalog.row_security_active(found.oid),
  found.relhasrules and exists (select from pg_catalog.pg_rewrite r
    where r.ev_class = found.oid and r.ev_type = '3' and r.ev_enabled <> 'D'),
  exists (select from columns join pg_catalog.pg_type t on t.oid = atttypid where t.typreceive = 0),
  (select pg_catalog.json_agg(pg_catalog.json_build_array(
    attname, atttypid::pg_catalog.int8, atthasdef, attidentity, attgenerated, atttypmod) order by attnum) from columns),
  (select pg_catalog.json_agg(pg_catalog.json_build_array(
      pg_catalog.json_build_array(${typeFields}), n.nspname, t.typdefault is not null, t.typtypmod) order by t.oid)
    from wanted join pg_catalog.pg_type t using (oid) join pg_catalog.pg_namespace n on n.oid = t.typnamespace)
)::pg_catalog.text as shape from found`

/** Asks for a table's shape; `$1` is its quoted name. */
export const lookQuery = `
select shape, pg_catalog.hashtextextended(shape, 0)::pg_catalog.text as digest from (${shapeQuery}) as looked`

/** Fails by a division by zero where the shape of the table `$1` is not the one of the digest `$2`. */
export const guardQuery = `
select 1 / (case when pg_catalog.hashtextextended((${shapeQuery}), 0)::pg_catalog.text = $2 then 1 else 0 end)`

interface Typed {
  readonly type: PgType
  readonly schema: string
  readonly hasDefault: boolean
  readonly modifier: number
}

const typedOf = (entry: unknown): Typed => {
  const [type, schema, hasDefault, modifier] = listOf(entry)
  return {
    type: typeOf(type),
    schema: String(schema),
    hasDefault: hasDefault === true,
    modifier: Number(modifier)
  }
}

const formOf = ({ array, kind, oid }: PgType): Column["form"] => {
  if (kind === "array" || kind === "vector" || array === 0) return "text"
  return oid === oids.json || oid === oids.jsonb ? "json" : "typed"
}

/** A view's own defaults are not known, nor are a foreign table's, so that each of their columns may have one. */
const hasOwnDefaults: ReadonlySet<unknown> = new Set(["v", "f"])

/** The shape with its columns by their names in JavaScript. */
export const named = (shape: TableShape, naming: Naming): TableShape =>
  naming === "as-is"
    ? shape
    : { ...shape, columns: new Map(Array.from(shape.columns, ([name, one]) => [nameOf(name, naming), one])) }

/** The shape in the row that `lookQuery` gives, if it gives one. */
export const fromAnswer = (row: unknown, ownCodec?: (type: PgType) => TypeCodec | undefined): TableShape => {
  const answer = Predicate.hasProperty(row, "shape") && Predicate.hasProperty(row, "digest") ? row : undefined
  const [, kind = "", hasPolicies, hasRules, lacksBinary, columns, types] = listOf(
    answer === undefined ? [] : JSON.parse(String(answer.shape))
  )
  const typed = new Map(
    listOf(types)
      .map(typedOf)
      .map((entry) => [entry.type.oid, entry])
  )
  const lookup = Lookup.make(new Map(Array.from(typed, ([oid, { type }]) => [oid, type])), ownCodec)
  const columnOf = (entry: unknown): Column => {
    const [name, declared, hasDefault, identity, generated, given] = listOf(entry)
    let modifier = Number(given)
    let inherits = false
    let type = lookup.typeOf(Number(declared))
    for (; type?.kind === "domain"; type = lookup.typeOf(type.of)) {
      const domain = typed.get(type.oid)
      inherits ||= domain?.hasDefault === true
      if (modifier < 0) modifier = domain?.modifier ?? -1
    }
    const schema = typed.get(type?.oid ?? 0)?.schema ?? "pg_catalog"
    return {
      name: String(name),
      type: `${quote(schema)}.${quote(type?.name ?? "")}`,
      oid: type?.oid ?? 0,
      form: type === undefined ? "text" : formOf(type),
      hasDefault:
        hasDefault === true || identity !== "" || generated !== "" || inherits || hasOwnDefaults.has(kind),
      modifier,
      isGenerated: identity === "a" || generated !== ""
    }
  }
  return {
    kind: String(kind),
    hasPolicies: hasPolicies === true,
    hasRules: hasRules === true,
    lacksBinary: lacksBinary === true,
    refusesCopy: false,
    columns: new Map(listOf(columns).map((entry) => [String(listOf(entry)[0]), columnOf(entry)])),
    types: lookup,
    digest: String(answer?.digest ?? "")
  }
}
