/**
 * The three forms of a statement - text, text with parameters, and a piece of SQL - become one: text and parameters.
 */
import * as Result from "effect/Result"
import type { PoolError } from "../errors/PoolError.ts"
import { refused } from "../errors/PoolError.ts"
import type { Naming } from "./CamelCase.ts"
import { maxParameters } from "./Placeholders.ts"
import { attempt } from "./PlainObject.ts"
import { isValue, type Role } from "./Slot.ts"
import { type Draft, fromTemplate, isSql, type Sql, textOf } from "./Sql.ts"

/** A statement as the server gets it: `$1` … stand for `params`. */
export interface Bound {
  readonly text: string
  readonly params: ReadonlyArray<unknown>
  /** What each parameter is, in words for a message. */
  readonly about?: ReadonlyArray<string>
  /** For a statement with values of columns among its parameters. */
  readonly columns?: ColumnValues
  /** Whether its rows are the package's own to read, by no codec of the program's. */
  readonly isOwn?: boolean
}

/** What a parameter is a value of. */
export interface ColumnRole {
  /** The column, for messages; empty where there is none. */
  readonly column: string
  readonly role: Role
}

/** Parameters that are values of columns. */
export interface ColumnValues {
  /** The call as a message names it, for instance `users.update`. */
  readonly place: string
  readonly values: ReadonlyArray<ColumnRole>
  /** The statement returns every column, so that the server refuses it when one of them has another type. */
  readonly isGuarded: boolean
}

/** The forms in which `trans` takes a statement. */
export type Statement = string | readonly [sql: string, params: ReadonlyArray<unknown>] | Sql

/** A parameter of the caller's own. */
export const given: ColumnRole = { column: "", role: "given" }

/** Text and parameters of a piece, its placeholders numbered from `$1`. `place` is the call as a message names it. */
export const bind = (
  piece: Pick<Sql, "parts" | "values">,
  naming: Naming,
  place = "The statement",
  isGuarded = false
): Bound => {
  const params: Array<unknown> = []
  const values: Array<ColumnRole> = []
  let hasColumns = false
  const text = textOf(piece, naming, (value) => {
    const isColumn = isValue(value)
    hasColumns ||= isColumn
    params.push(isColumn ? value.value : value)
    values.push(isColumn ? value : given)
  })
  return hasColumns ? { text, params, columns: { place, values, isGuarded } } : { text, params }
}

const noParams: ReadonlyArray<unknown> = []

const bound = (piece: Sql | Draft, naming: Naming): Result.Result<Bound, PoolError> =>
  piece.problem === undefined ? Result.succeed(bind(piece, naming)) : Result.fail(piece.problem)

const noStatement = (): PoolError =>
  refused("Expected SQL text, [text, parameters] or PG.sql`…`. Nothing was sent.")

/** Parameters as they are now, or `undefined` where they are no array. */
const paramsOf = (given: unknown): ReadonlyArray<unknown> | undefined => {
  if (given === undefined) return noParams
  // No function, which would be made for each statement.
  try {
    if (!Array.isArray(given)) return undefined
    return given.length > maxParameters ? given : Array.from(given)
  } catch {
    return undefined
  }
}

/** One statement of `trans`, in any of its forms. */
export const fromStatement = (
  statement: Statement | undefined,
  naming: Naming
): Result.Result<Bound, PoolError> => {
  if (typeof statement === "string") return Result.succeed({ text: statement, params: noParams })
  if (isSql(statement)) return bound(statement, naming)
  const [text, given] = attempt(
    (): ReadonlyArray<unknown> => (Array.isArray(statement) ? [statement[0], statement[1]] : []),
    []
  )
  const params = paramsOf(given)
  return typeof text === "string" && params !== undefined
    ? Result.succeed({ text, params })
    : Result.fail(noStatement())
}

/** Whether the first argument of a call is a template's strings. */
const isTemplate = (value: unknown): value is TemplateStringsArray =>
  attempt(() => Array.isArray(value) && "raw" in value, false)

/** The arguments of an operation: a template and its values, or a statement and its parameters. */
export const fromArguments = (
  first: unknown,
  rest: ReadonlyArray<unknown>,
  naming: Naming
): Result.Result<Bound, PoolError> => {
  if (typeof first === "string") {
    // The number is the index that Effect.forEach passes, unless a parameter is missing.
    const isIndex = typeof rest[0] === "number" && !/\$\d/.test(first)
    const params = isIndex ? noParams : paramsOf(rest[0] ?? undefined)
    return params !== undefined
      ? Result.succeed({ text: first, params })
      : Result.fail(refused("The parameters of a statement are an array: [first, second]. Nothing was sent."))
  }
  if (isTemplate(first)) return bound(fromTemplate(first, rest), naming)
  return isSql(first) ? bound(first, naming) : Result.fail(noStatement())
}
