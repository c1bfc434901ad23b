/**
 * What the catalogue says of tables, views and the types of their columns, for the types that are written from it.
 */
import * as Effect from "effect/Effect"
import type { Database } from "../api/Database.ts"
import { type OperationError, refused } from "../errors/PoolError.ts"
import type { PoolRegistry } from "../registry/PoolRegistry.ts"

/** A column or an attribute. */
export interface Column {
  readonly name: string
  /** The OID of its type. */
  readonly type: number
  /** How many dimensions of an array it was declared with. */
  readonly dimensions: number
  readonly isNullable: boolean
  /** Whether rows of before a NOT NULL that is NOT VALID may hold NULL, though none can be stored any more. */
  readonly mayHoldNull: boolean
  /** Whether a row that lacks the column gets something else than NULL. */
  readonly hasDefault: boolean
  /** Whether rows that are stored or changed may name it. */
  readonly isWritable: boolean
  readonly comment: string | null
}

export interface Table {
  readonly schema: string
  readonly name: string
  /** Whether its name alone finds it. */
  readonly isVisible: boolean
  readonly kind: "table" | "view" | "materialized view" | "foreign table"
  readonly isInsertable: boolean
  readonly comment: string | null
  readonly columns: ReadonlyArray<Column>
}

export interface Type {
  readonly oid: number
  readonly schema: string
  readonly name: string
  readonly kind: "base" | "enum" | "composite" | "domain" | "array"
  /** What prints it: types of extensions are known by that. */
  readonly output: string
  /** The element of an array, the type beneath a domain. */
  readonly of: number
  /** For a domain over an array, its dimensions. */
  readonly dimensions: number
  /** A domain that takes no NULL, and one that has a default. */
  readonly isNotNull: boolean
  readonly hasDefault: boolean
  /** A table's row type. */
  readonly isRow: boolean
  readonly labels: ReadonlyArray<string>
  readonly attributes: ReadonlyArray<Pick<Column, "name" | "type" | "dimensions" | "comment">>
  readonly comment: string | null
}

export interface Catalogue {
  readonly tables: ReadonlyArray<Table>
  readonly types: ReadonlyMap<number, Type>
}

/**
 * `$1` are schemas, `$2` is whether partitions are among the tables. What an extension made is left out. A view whose inserts go to
 * a trigger (64 is INSTEAD OF, 4 is INSERT) or a rule takes all of its columns.
 */
const tablesQuery = `
select n.nspname::text as schema, c.relname::text as name, pg_catalog.pg_table_is_visible(c.oid) as "isVisible",
  case c.relkind when 'v' then 'view' when 'm' then 'materialized view' when 'f' then 'foreign table' else 'table' end as kind,
  c.relkind in ('r', 'p')
    or c.relkind in ('v', 'f') and pg_catalog.pg_relation_is_updatable(c.oid, true) & 8 = 8 as "isInsertable",
  pg_catalog.obj_description(c.oid, 'pg_class') as comment,
  coalesce((
    select pg_catalog.json_agg(pg_catalog.json_build_object(
      'name', a.attname, 'type', a.atttypid::int8, 'dimensions', a.attndims,
      'isNullable', not a.attnotnull,
      'mayHoldNull', exists (
        select from pg_catalog.pg_constraint k
        where k.conrelid = c.oid and k.contype = 'n' and not k.convalidated and k.conkey = array[a.attnum]
      ),
      'hasDefault', a.atthasdef or a.attidentity <> '' or c.relkind in ('v', 'f'),
      'isWritable', a.attgenerated = '' and a.attidentity <> 'a' and (
        c.relkind in ('r', 'p', 'f') or c.relkind = 'v' and (
          pg_catalog.pg_column_is_updatable(c.oid, a.attnum, true)
          or exists (select from pg_catalog.pg_trigger t where t.tgrelid = c.oid and t.tgtype & 68 = 68 and t.tgenabled <> 'D')
          or exists (select from pg_catalog.pg_rewrite r where r.ev_class = c.oid and r.ev_type = '3' and r.is_instead and r.ev_enabled <> 'D')
        )
      ),
      'comment', pg_catalog.col_description(c.oid, a.attnum)
    ) order by a.attnum)
    from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  ), '[]') as columns
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = any($1) and c.relkind in ('r', 'p', 'v', 'm', 'f') and ($2 or not c.relispartition)
  and not exists (
    select from pg_catalog.pg_depend d
    where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
  )
order by n.nspname collate "C", c.relname collate "C"`

/** `$1` are OIDs: these types and all that they are made of. */
const typesQuery = `
with recursive wanted as (
  select pg_catalog.unnest($1::pg_catalog.oid[]) as oid
  union
  select part.oid from wanted join pg_catalog.pg_type t on t.oid = wanted.oid cross join lateral (
    select t.typelem where t.typoutput = 'pg_catalog.array_out'::regproc union all select t.typbasetype
    union all select a.atttypid from pg_catalog.pg_attribute a
      where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
  ) as part (oid) where part.oid <> 0
)
select t.oid, n.nspname::text as schema, t.typname::text as name,
  case when t.typtype = 'e' then 'enum' when t.typtype = 'c' then 'composite' when t.typtype = 'd' then 'domain'
    when t.typoutput = 'pg_catalog.array_out'::regproc then 'array' else 'base' end as kind,
  p.proname::text as output,
  case t.typtype when 'd' then t.typbasetype else t.typelem end as of,
  t.typndims as dimensions, t.typnotnull as "isNotNull", t.typdefault is not null as "hasDefault",
  coalesce((select c.relkind <> 'c' from pg_catalog.pg_class c where c.oid = t.typrelid), false) as "isRow",
  coalesce((
    select pg_catalog.json_agg(e.enumlabel order by e.enumsortorder) from pg_catalog.pg_enum e where e.enumtypid = t.oid
  ), '[]') as labels,
  coalesce((
    select pg_catalog.json_agg(pg_catalog.json_build_object(
      'name', a.attname, 'type', a.atttypid::int8, 'dimensions', a.attndims,
      'comment', pg_catalog.col_description(a.attrelid, a.attnum)
    ) order by a.attnum)
    from pg_catalog.pg_attribute a
    where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
  ), '[]') as attributes,
  coalesce(pg_catalog.obj_description(t.oid, 'pg_type'), pg_catalog.obj_description(nullif(t.typrelid, 0), 'pg_class')) as comment
from wanted join pg_catalog.pg_type t using (oid) join pg_catalog.pg_namespace n on n.oid = t.typnamespace
  join pg_catalog.pg_proc p on p.oid = t.typoutput
order by n.nspname collate "C", t.typname collate "C"`

const missingQuery = `
select name from unnest($1::text[]) as name
where not exists (select from pg_catalog.pg_namespace where nspname = name)`

export interface Asked {
  readonly schemas: ReadonlyArray<string>
  readonly partitions: boolean
}

/** Reads the catalogue in one snapshot. */
export const read = (
  pgdb: Database,
  { partitions, schemas }: Asked
): Effect.Effect<Catalogue, OperationError, PoolRegistry> =>
  pgdb.transaction(
    Effect.gen(function* () {
      const [missing] = yield* pgdb.select<{ name: string }>(missingQuery, [schemas])
      if (missing !== undefined) {
        return yield* refused(`The database has no schema ${JSON.stringify(missing.name)}.`)
      }
      const tables = yield* pgdb.select<Table>(tablesQuery, [schemas, partitions])
      const oids = new Set(tables.flatMap(({ columns }) => columns.map(({ type }) => type)))
      const types = yield* pgdb.select<Type>(typesQuery, [Array.from(oids)])
      return { tables, types: new Map(types.map((type) => [type.oid, type])) }
    }),
    { isolation: "repeatable read", readOnly: true }
  )
