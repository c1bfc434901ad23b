/**
 * The statements that write one row, or the rows that a filter keeps: insert, upsert, update and delete.
 */
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

type Parsed = Draft.Parsed<Draft.Compiled>

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

const into = (draft: Draft.Draft, row: Entries): string => {
  if (row.length === 0) return `insert into ${draft.table} default values`
  const columns = Draft.columns(
    draft,
    row.map(([column]) => column)
  )
  const values = row.map(([column, value]) => Draft.stored(draft, value, column))
  return `insert into ${draft.table} (${columns}) values (${values.join(", ")})`
}

export const insert = (site: Draft.Site, row: Entries): Parsed => {
  const draft = Draft.make(site)
  return Draft.finish(draft, `${into(draft, row)} returning *`)
}

export const upsert = (site: Draft.Site, row: Entries, conflict: Conflict): Parsed => {
  const draft = Draft.make(site)
  return Draft.finish(draft, `${into(draft, row)}${onConflict(draft, conflict)}`)
}

export const update = (site: Draft.Site, condition: Condition, changes: ReadonlyArray<Change>): Parsed => {
  const draft = Draft.make(site)
  const set = changes.map(({ _tag, column, value }) => {
    const name = Draft.column(draft, column)
    return `${name} = ${_tag === "Add" ? `${name} + ` : ""}${Draft.stored(draft, value, column)}`
  })
  return Draft.finish(draft, `update ${site.table} set ${set.join(", ")}${where(draft, condition)}`)
}

export const remove = (site: Draft.Site, condition: Condition): Parsed => {
  const draft = Draft.make(site)
  return Draft.finish(draft, `delete from ${site.table}${where(draft, condition)}`)
}
