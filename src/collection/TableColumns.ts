/**
 * What the catalogue says of a table's columns: bulk statements name the type of each column, and leave the columns
 * that have a default out of rows that lack them.
 */
import * as Effect from "effect/Effect"
import type { OperationError } from "../errors/PoolError.ts"
import { type Naming, nameOf } from "../statement/CamelCase.ts"
import type { TableBackend } from "./TableBackend.ts"
import type { AnyRow } from "./Types.ts"

export interface Column {
  readonly name: string
  /** The type as a cast names it, whatever the search path; a domain's is the type beneath it. */
  readonly type: string
  /** That type's OID. */
  readonly oid: number
  /** How values are bound: as json, or by their type, for many rows as an array of it, or where that cannot be, of texts. */
  readonly form: "typed" | "text" | "json"
  /** Whether a row that lacks the column gets something else than NULL: a default, an identity, a generated value. */
  readonly hasDefault: boolean
}

/** A table's columns by their names in JavaScript; empty where there is no such table. */
export type Columns = ReadonlyMap<string, Column>

/** A table's columns; `$1` is its quoted name. A view's own defaults are not known, so each of its columns may have one. */
export const query = `
with recursive tables as (
  select c.oid, c.relkind from pg_catalog.pg_class c where c.oid = pg_catalog.to_regclass($1)
), columns as (
  select a.attnum, a.attname, a.atttypid,
    a.atthasdef or a.attidentity <> '' or a.attgenerated <> '' or tables.relkind in ('v', 'f') as has_default
  from tables join pg_catalog.pg_attribute a on a.attrelid = tables.oid
  where a.attnum > 0 and not a.attisdropped
), types as (
  select attnum, atttypid as oid, has_default from columns
  union all
  select types.attnum, t.typbasetype, types.has_default or t.typdefault is not null
  from types join pg_catalog.pg_type t on t.oid = types.oid and t.typtype = 'd'
)
select columns.attname::text as name,
  pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.typname) as type,
  t.oid::int8::text as oid,
  case when t.typcategory = 'A' or t.typarray = 0 then 'text'
    when t.typname in ('json', 'jsonb') and n.nspname = 'pg_catalog' then 'json' else 'typed' end as form,
  types.has_default as optional
from columns join types using (attnum) join pg_catalog.pg_type t on t.oid = types.oid
join pg_catalog.pg_namespace n on n.oid = t.typnamespace
where t.typtype <> 'd'
order by attnum`

const fromRow = (row: AnyRow): Column => ({
  name: String(row.name),
  type: String(row.type),
  oid: Number(row.oid),
  form: row.form === "text" ? "text" : row.form === "json" ? "json" : "typed",
  hasDefault: row.optional === true
})

export const fromRows = (rows: ReadonlyArray<AnyRow>, naming: Naming): Columns => {
  const columns = new Map<string, Column>()
  for (const row of rows) columns.set(nameOf(String(row.name), naming), fromRow(row))
  return columns
}

/** Asks the catalogue. */
export const look = <A, E, R>(table: TableBackend<A, E, R>): Effect.Effect<Columns, OperationError, R> =>
  Effect.map(table.execute({ text: query, params: [table.name] }), ({ rows }) => fromRows(rows, table.naming))
