/**
 * The statements that write one row, or the rows that a filter keeps: insert, upsert, update and delete.
 */
import type { Bound } from "../statement/Statement.ts"
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

type Parsed = SqlBuilder.Parsed<Bound>

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

export const insert = (site: SqlBuilder.Site, row: Entries): Parsed => {
  const builder = SqlBuilder.make(site)
  return SqlBuilder.finish(builder, `${into(builder, row)} returning *`, true)
}

/** The statement with what it returns. */
const returned = (builder: SqlBuilder.SqlBuilder, text: string, returning: Returning.Columns): Parsed =>
  SqlBuilder.finish(builder, `${text}${Returning.print(builder, returning)}`, returning === "all")

export const upsert = (
  site: SqlBuilder.Site,
  row: Entries,
  conflict: Conflict,
  returning: Returning.Columns
): Parsed => {
  const builder = SqlBuilder.make(site)
  return returned(builder, `${into(builder, row)}${onConflict(builder, conflict)}`, returning)
}

export const update = (
  site: SqlBuilder.Site,
  condition: Condition,
  changes: ReadonlyArray<Change>,
  returning: Returning.Columns
): Parsed => {
  const builder = SqlBuilder.make(site)
  const set = changes.map((change) => assignment(builder, change))
  return returned(
    builder,
    `update ${site.table} set ${set.join(", ")}${where(builder, condition)}`,
    returning
  )
}

export const remove = (site: SqlBuilder.Site, condition: Condition, returning: Returning.Columns): Parsed => {
  const builder = SqlBuilder.make(site)
  return returned(builder, `delete from ${site.table}${where(builder, condition)}`, returning)
}
