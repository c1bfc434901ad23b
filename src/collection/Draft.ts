/**
 * A statement while it is written: its parameters so far, and the first thing that cannot be sent. Values reach a
 * statement through `param` and names through `column`, and through nothing else.
 *
 * **Details**
 *
 * A value of a json column is json: the string `"12"` is a json string there, the array `[1]` a json array. So what was
 * read can be written back, and compared with.
 */
import * as Result from "effect/Result"
import type { PoolError } from "../PoolError.ts"
import type { Bound } from "../Sql.ts"
import { isJson, json, quote } from "../Sql.ts"
import type { Columns } from "./Columns.ts"
import { nameRefusal, refuse, shown, valueRefusal } from "./Input.ts"

/** What a statement is written for. */
export interface Site {
  /** The call as a message names it, for instance `users.delete`. */
  readonly place: string
  /** The table's quoted name. */
  readonly table: string
  readonly columns: Columns
}

/** A statement ready to be sent. */
export interface Compiled extends Bound {
  /** Whether it names a column that the catalogue did not show. */
  readonly hasUnknown: boolean
}

export interface Draft extends Site {
  readonly params: Array<unknown>
  problem: PoolError | undefined
  hasUnknown: boolean
}

export type Parsed<A> = Result.Result<A, PoolError>

/** The protocol counts parameters in 16 bits. */
const mostParameters = 65_535

export const make = (site: Site): Draft => ({ ...site, params: [], problem: undefined, hasUnknown: false })

/** The placeholder of a parameter that is ready to be bound. */
export const bound = (draft: Draft, value: unknown): string => `$${draft.params.push(value)}`

export const isJsonColumn = (draft: Draft, column: string): boolean =>
  draft.columns.get(column)?.form === "json"

/** The placeholder of a value of `column`. */
export const param = (draft: Draft, value: unknown, column: string): string => {
  draft.problem ??= valueRefusal(value, column, draft.place)
  const wrapped = value !== null && isJsonColumn(draft, column) && !isJson(value)
  return bound(draft, wrapped ? json(value) : value)
}

/** OIDs of the integer types, to which the server rounds what is assigned. */
const integers = new Set([20, 21, 23])

/** The placeholder of a value that is put into `column`, or added to what is there. */
export const stored = (draft: Draft, value: unknown, column: string): string => {
  const known = draft.columns.get(column)
  if (
    known !== undefined &&
    integers.has(known.oid) &&
    typeof value === "number" &&
    !Number.isInteger(value)
  ) {
    draft.problem ??= refuse(
      draft.place,
      `the value of column ${shown(column)} is no whole number, and ${known.type} holds nothing else`,
      "Postgres would round it: do so yourself, or make the column numeric."
    )
  }
  return param(draft, value, column)
}

/** The placeholder of an array of values of `column`. */
export const params = (draft: Draft, values: ReadonlyArray<unknown>, column: string): string => {
  for (const value of values) draft.problem ??= valueRefusal(value, column, draft.place)
  return bound(draft, values)
}

/** A column's quoted name. */
export const column = (draft: Draft, name: string): string => {
  draft.problem ??= nameRefusal(name, draft.place)
  if (!draft.columns.has(name)) draft.hasUnknown = true
  return quote(name)
}

/** Columns' quoted names with commas between. */
export const columns = (draft: Draft, names: ReadonlyArray<string>): string =>
  names.map((name) => column(draft, name)).join(", ")

export const finish = (draft: Draft, text: string): Parsed<Compiled> => {
  if (draft.problem !== undefined) return Result.fail(draft.problem)
  if (draft.params.length > mostParameters) {
    const what = `the statement has ${draft.params.length} parameters, and Postgres takes ${mostParameters}`
    return Result.fail(refuse(draft.place, what, "Split the call."))
  }
  return Result.succeed({ text, params: draft.params, hasUnknown: draft.hasUnknown })
}
