/**
 * The statements that write one row, or the rows that a filter keeps: insert, upsert, update and delete.
 */
import type { Change } from "./Change.ts"
import type { Condition } from "./Filter.ts"
import { where } from "./FilterSql.ts"
import * as Returning from "./Returning.ts"
import * as SqlBuilder from "./SqlBuilder.ts"

/** A row's columns and values in order. */
export type Entries = ReadonlyArray<readonly [column: string, value: unknown]>

/** What an upsert does with a row that is there already. */
export interface Conflict {
  readonly on: ReadonlyArray<string>
  /** What happens to the row: columns that take the new row's values, or changes; none leaves it as it is. */
  readonly update: ReadonlyArray<string | Change>
}

/** What a change does to its column; `qualifier` is what qualifies the table's own column where others have its name. */
export const assignment = (
  builder: SqlBuilder.SqlBuilder,
  { _tag, column, value }: Change,
  qualifier = ""
): string => {
  const set = `${SqlBuilder.column(builder, column)} = `
  const added = _tag === "Add" ? `${qualifier}${SqlBuilder.column(builder, column)} + ` : ""
  return `${set}${added}${SqlBuilder.changed(builder, value, column)}`
}

/** ` on conflict …` */
export const onConflict = (builder: SqlBuilder.SqlBuilder, conflict: Conflict): string => {
  const table = ` on conflict (${SqlBuilder.columns(builder, conflict.on)}) do`
  if (conflict.update.length === 0) return `${table} nothing`
  const set = conflict.update.map((one) =>
    typeof one === "string"
      ? `${SqlBuilder.column(builder, one)} = excluded.${SqlBuilder.column(builder, one)}`
      : assignment(builder, one, `${builder.table}.`)
  )
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

export const insert = (builder: SqlBuilder.SqlBuilder, row: Entries): string =>
  `${into(builder, row)}${Returning.print(builder, "all")}`

export const upsert = (
  builder: SqlBuilder.SqlBuilder,
  row: Entries,
  conflict: Conflict,
  returning: Returning.Columns
): string => `${into(builder, row)}${onConflict(builder, conflict)}${Returning.print(builder, returning)}`

export const update = (
  builder: SqlBuilder.SqlBuilder,
  condition: Condition,
  changes: ReadonlyArray<Change>,
  returning: Returning.Columns
): string => {
  const set = changes.map((change) => assignment(builder, change)).join(", ")
  return `update ${builder.table} set ${set}${where(builder, condition)}${Returning.print(builder, returning)}`
}

export const remove = (
  builder: SqlBuilder.SqlBuilder,
  condition: Condition,
  returning: Returning.Columns
): string => `delete from ${builder.table}${where(builder, condition)}${Returning.print(builder, returning)}`
