/**
 * The statements that write one row, or the rows that a filter keeps: insert, upsert, update and delete.
 */
import type * as Result from "effect/Result"
import type { PoolError } from "../PoolError.ts"
import type { Change } from "./Change.ts"
import * as Draft from "./Draft.ts"
import type { Condition } from "./Filter.ts"
import { where } from "./FilterSql.ts"

/** A row's columns and values in order. */
export type Entries = ReadonlyArray<readonly [column: string, value: unknown]>

/** What an upsert does with a row that is there already. */
export interface Conflict {
  readonly on: ReadonlyArray<string>
  /** The columns that take the new row's values; none leaves the row as it is. */
  readonly update: ReadonlyArray<string>
}

type Parsed = Result.Result<Draft.Compiled, PoolError>

/** ` on conflict …` */
export const onConflict = (draft: Draft.Draft, conflict: Conflict): string => {
  const target = ` on conflict (${Draft.columns(draft, conflict.on)}) do`
  if (conflict.update.length === 0) return `${target} nothing`
  const set = conflict.update.map((name) => {
    const column = Draft.column(draft, name)
    return `${column} = excluded.${column}`
  })
  return `${target} update set ${set.join(", ")}`
}

const into = (draft: Draft.Draft, table: string, row: Entries): string => {
  if (row.length === 0) return `insert into ${table} default values`
  const columns = Draft.columns(
    draft,
    row.map(([column]) => column)
  )
  const values = row.map(([column, value]) => Draft.param(draft, value, column))
  return `insert into ${table} (${columns}) values (${values.join(", ")})`
}

/** `table` is a quoted name, here and below. */
export const insert = (place: string, table: string, row: Entries): Parsed => {
  const draft = Draft.make(place)
  return Draft.finish(draft, `${into(draft, table, row)} returning *`)
}

export const upsert = (place: string, table: string, row: Entries, conflict: Conflict): Parsed => {
  const draft = Draft.make(place)
  return Draft.finish(draft, `${into(draft, table, row)}${onConflict(draft, conflict)}`)
}

export const update = (
  place: string,
  table: string,
  condition: Condition,
  changes: ReadonlyArray<Change>
): Parsed => {
  const draft = Draft.make(place)
  const set = changes.map(({ _tag, column, value }) => {
    const name = Draft.column(draft, column)
    return `${name} = ${_tag === "Add" ? `${name} + ` : ""}${Draft.param(draft, value, column)}`
  })
  return Draft.finish(draft, `update ${table} set ${set.join(", ")}${where(draft, condition)}`)
}

export const remove = (place: string, table: string, condition: Condition): Parsed => {
  const draft = Draft.make(place)
  return Draft.finish(draft, `delete from ${table}${where(draft, condition)}`)
}
