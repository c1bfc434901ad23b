/**
 * A statement while it is written: its parameters so far, and the first thing that cannot be sent. Values reach a statement
 * through `param` and names through `column`, and through nothing else.
 *
 * The statement is the same for all values, so that it is prepared once. How its values are encoded is decided by the types
 * that the server infers for them (`types/ColumnValues.ts`).
 */
import * as Result from "effect/Result"
import type { PoolError } from "../errors/PoolError.ts"
import type { Bound, ColumnValue, Role } from "../statement/Sql.ts"
import { quote } from "../statement/Sql.ts"
import { nameRefusal, refuse, valueRefusal } from "./CheckInput.ts"

/** What a statement is written for. */
export interface Site {
  /** The call as a message names it, for instance `users.delete`. */
  readonly place: string
  /** The table's quoted name. */
  readonly table: string
}

export interface SqlBuilder extends Site {
  readonly params: Array<unknown>
  readonly values: Array<ColumnValue>
  problem: PoolError | undefined
}

export type Parsed<A> = Result.Result<A, PoolError>

/** The protocol counts parameters in 16 bits. */
const maxParameters = 65_535

export const make = ({ place, table }: Site): SqlBuilder => ({
  place,
  table,
  params: [],
  values: [],
  problem: undefined
})

const add = (builder: SqlBuilder, value: unknown, column: string, role: Role): string => {
  builder.values.push({ column, role })
  return `$${builder.params.push(value)}`
}

/** The placeholder of a number that is no column's: a limit. */
export const bound = (builder: SqlBuilder, value: number): string => add(builder, value, "", "compared")

/** The placeholder of a value that is compared with `column`. */
export const param = (builder: SqlBuilder, value: unknown, column: string): string => {
  builder.problem ??= valueRefusal(value, column, builder.place)
  return add(builder, value, column, "compared")
}

/** The placeholder of a value that is put into `column`, or added to what is there. */
export const stored = (builder: SqlBuilder, value: unknown, column: string): string => {
  builder.problem ??= valueRefusal(value, column, builder.place)
  return add(builder, value, column, "stored")
}

/** The placeholder of an array of values that are compared with `column`. */
export const params = (builder: SqlBuilder, values: ReadonlyArray<unknown>, column: string): string => {
  for (const value of values) builder.problem ??= valueRefusal(value, column, builder.place)
  return add(builder, values, column, "compared")
}

/** A column's quoted name. */
export const column = (builder: SqlBuilder, name: string): string => {
  builder.problem ??= nameRefusal(name, builder.place)
  return quote(name)
}

/** Columns' quoted names with commas between. */
export const columns = (builder: SqlBuilder, names: ReadonlyArray<string>): string =>
  names.map((name) => column(builder, name)).join(", ")

/** The statement; `isGuarded` when it returns every column of the table. */
export const finish = (builder: SqlBuilder, text: string, isGuarded = false): Parsed<Bound> => {
  const { params, place, problem, values } = builder
  if (problem !== undefined) return Result.fail(problem)
  if (params.length > maxParameters) {
    const what = `the statement has ${params.length} parameters, and Postgres takes ${maxParameters}`
    return Result.fail(refuse(place, what, "Split the call."))
  }
  return Result.succeed({ text, params, columns: { place, values, isGuarded } })
}
