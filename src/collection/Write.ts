/**
 * The statements that write one row, or the rows that a filter keeps: insert, upsert, update and delete.
 */
import type { Bound } from "../statement/Sql.ts"
import type { Change } from "./Change.ts"
import type { Condition } from "./Filter.ts"
import { where } from "./FilterSql.ts"
import * as SqlBuilder from "./SqlBuilder.ts"

/** A row's columns and values in order. */
export type Entries = ReadonlyArray<readonly [column: string, value: unknown]>

/** What an upsert does with a row that is there already. */
export interface Conflict {
  readonly on: ReadonlyArray<string>
  /** The columns that take the new row's values; none leaves the row as it is. */
  readonly update: ReadonlyArray<string>
}

type Parsed = SqlBuilder.Parsed<Bound>

/** ` on conflict …` */
export const onConflict = (builder: SqlBuilder.SqlBuilder, conflict: Conflict): string => {
  const table = ` on conflict (${SqlBuilder.columns(builder, conflict.on)}) do`
  if (conflict.update.length === 0) return `${table} nothing`
  const set = conflict.update.map((name) => {
    const column = SqlBuilder.column(builder, name)
    return `${column} = excluded.${column}`
  })
  return `${table} update set ${set.join(", ")}`
}

const into = (builder: SqlBuilder.SqlBuilder, row: Entries): string => {
  if (row.length === 0) return `insert into ${builder.table} default values`
  const columns = SqlBuilder.columns(
    builder,
    row.map(([column]) => column)
  )
  const values = row.map(([column, value]) => SqlBuilder.stored(builder, value, column))
  return `insert into ${builder.table} (${columns}) values (${values.join(", ")})`
}

export const insert = (site: SqlBuilder.Site, row: Entries): Parsed => {
  const builder = SqlBuilder.make(site)
  return SqlBuilder.finish(builder, `${into(builder, row)} returning *`, true)
}

export const upsert = (site: SqlBuilder.Site, row: Entries, conflict: Conflict): Parsed => {
  const builder = SqlBuilder.make(site)
  return SqlBuilder.finish(builder, `${into(builder, row)}${onConflict(builder, conflict)}`)
}

export const update = (
  site: SqlBuilder.Site,
  condition: Condition,
  changes: ReadonlyArray<Change>
): Parsed => {
  const builder = SqlBuilder.make(site)
  const set = changes.map(({ _tag, column, value }) => {
    const name = SqlBuilder.column(builder, column)
    return `${name} = ${_tag === "Add" ? `${name} + ` : ""}${SqlBuilder.stored(builder, value, column)}`
  })
  return SqlBuilder.finish(builder, `update ${site.table} set ${set.join(", ")}${where(builder, condition)}`)
}

export const remove = (site: SqlBuilder.Site, condition: Condition): Parsed => {
  const builder = SqlBuilder.make(site)
  return SqlBuilder.finish(builder, `delete from ${site.table}${where(builder, condition)}`)
}
