/**
 * A statement while it is written: its parameters so far, the column each belongs to, and the first thing that cannot
 * be sent. Values reach a statement through `param` and names through `column`, and through nothing else.
 */
import * as Result from "effect/Result"
import type { PoolError } from "../PoolError.ts"
import type { Bound } from "../Sql.ts"
import { quote } from "../Sql.ts"
import { nameRefusal, refuse, valueRefusal } from "./Input.ts"

/** A statement ready to be sent. */
export interface Compiled extends Bound {
  /** The column that each parameter is compared with or assigned to, where there is one. */
  readonly columns: ReadonlyArray<string | undefined>
}

export interface Draft {
  /** The call as a message names it, for instance `users.delete`. */
  readonly place: string
  readonly params: Array<unknown>
  readonly columns: Array<string | undefined>
  problem: PoolError | undefined
}

/** The protocol counts parameters in 16 bits. */
const mostParameters = 65_535

export const make = (place: string): Draft => ({ place, params: [], columns: [], problem: undefined })

/** The placeholder of a value of `column`. */
export const param = (draft: Draft, value: unknown, column: string): string => {
  draft.problem ??= valueRefusal(value, column, draft.place)
  draft.columns.push(column)
  return `$${draft.params.push(value)}`
}

/** The placeholder of an array of values of `column`. */
export const params = (draft: Draft, values: ReadonlyArray<unknown>, column: string): string => {
  for (const value of values) draft.problem ??= valueRefusal(value, column, draft.place)
  return param(draft, values, column)
}

/** The placeholder of a number that belongs to no column. */
export const count = (draft: Draft, value: number): string => {
  draft.columns.push(undefined)
  return `$${draft.params.push(value)}`
}

/** A column's quoted name. */
export const column = (draft: Draft, name: string): string => {
  draft.problem ??= nameRefusal(name, draft.place)
  return quote(name)
}

/** Columns' quoted names with commas between. */
export const columns = (draft: Draft, names: ReadonlyArray<string>): string =>
  names.map((name) => column(draft, name)).join(", ")

export const finish = (draft: Draft, text: string): Result.Result<Compiled, PoolError> => {
  if (draft.problem !== undefined) return Result.fail(draft.problem)
  if (draft.params.length > mostParameters) {
    const what = `the statement has ${draft.params.length} parameters, and Postgres takes ${mostParameters}`
    return Result.fail(refuse(draft.place, what, "Split the call."))
  }
  return Result.succeed({ text, params: draft.params, columns: draft.columns })
}
