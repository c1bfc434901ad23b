/**
 * A statement while it is written: its text with a gap for each value and each column, what belongs into the gaps, and the
 * first thing that cannot be sent. Values reach a statement through `param` and names through `column`, and through nothing else.
 *
 * The statement is the same for all values, so that it is prepared once. How its values are encoded is decided by the types
 * that the server infers for them (`types/ColumnValues.ts`).
 */
import * as Result from "effect/Result"
import type { PoolError } from "../errors/PoolError.ts"
import type { Naming } from "../statement/CamelCase.ts"
import { quoteTable } from "../statement/Names.ts"
import { maxParameters } from "../statement/Placeholders.ts"
import { nameOf, type Role, valueOf } from "../statement/Slot.ts"
import { isSql, make as makePiece, type Sql } from "../statement/Sql.ts"
import { type Bound, bind } from "../statement/Statement.ts"
import { ownInt8 } from "../types/Parameters.ts"
import { nameRefusal, refusal, refuse, valueRefusal } from "./CheckInput.ts"

/** What a statement is written for. */
export interface Site {
  /** The call as a message names it, for instance `users.delete`. */
  readonly place: string
  /** The table's quoted name. */
  readonly table: string
  /** How columns are named in JavaScript. */
  readonly naming: Naming
  /** Whether instances of classes may be values: codecs of the program's own take them. */
  readonly takesInstances: boolean
}

export interface SqlBuilder extends Site {
  /** What columns are qualified with, where they are. */
  readonly of?: string | undefined
  /** What stands in the gaps, in the order of the text. */
  readonly slots: Array<unknown>
  /** Whether it returns every column of the table. */
  isGuarded: boolean
  problem: PoolError | undefined
}

export type Parsed<A> = Result.Result<A, PoolError>

/** Marks a gap. No SQL holds it: Postgres ends a text there. */
const gap = "\0"

export const make = ({ naming, place, table, takesInstances }: Site): SqlBuilder => ({
  place,
  table,
  naming,
  takesInstances,
  slots: [],
  isGuarded: false,
  problem: table.includes(gap)
    ? refusal(place, "the table's name holds a NUL character", "Postgres has no such name.")
    : undefined
})

/** A gap for something of the caller's own. */
export const gapFor = ({ slots }: SqlBuilder, slot: unknown): string => {
  slots.push(slot)
  return gap
}

/** A piece of the caller's own SQL. */
export const splice = (builder: SqlBuilder, piece: Sql): string => {
  builder.problem ??= piece.problem
  if (piece.parts.some((part) => part.includes(gap))) {
    builder.problem ??= refusal(
      builder.place,
      "a piece of SQL holds a NUL character",
      "Postgres cannot read it; a parameter of type bytea may hold it."
    )
  }
  builder.slots.push(...piece.values)
  return piece.parts.join(gap)
}

const value = (builder: SqlBuilder, value: unknown, column: string, role: Role): string => {
  builder.problem ??= valueRefusal(value, column, builder.place, builder.takesInstances)
  return gapFor(builder, valueOf(column, role, value))
}

/** A number that is no column's: a limit. */
export const bound = (builder: SqlBuilder, value: number): string =>
  gapFor(builder, valueOf("", "given", ownInt8(value)))

/** A value that is compared with `column`, or a piece of SQL that is. */
export const param = (
  builder: SqlBuilder,
  given: unknown,
  column: string,
  role: Role = "compared"
): string => (isSql(given) ? `(${splice(builder, given)})` : value(builder, given, column, role))

/** A value that is put into `column`. */
export const stored = (builder: SqlBuilder, given: unknown, column: string): string =>
  value(builder, given, column, "stored")

/** A value that `column` is changed to or by, or a piece of SQL. */
export const changed = (builder: SqlBuilder, given: unknown, column: string): string =>
  isSql(given) ? `(${splice(builder, given)})` : stored(builder, given, column)

/** An array of values that are compared with `column`. */
export const params = (builder: SqlBuilder, values: ReadonlyArray<unknown>, column: string): string => {
  for (const value of values)
    builder.problem ??= valueRefusal(value, column, builder.place, builder.takesInstances)
  return gapFor(builder, valueOf(column, "any", values))
}

export const column = (builder: SqlBuilder, name: string): string => {
  builder.problem ??= nameRefusal(name, builder.place)
  const qualifier = builder.of === undefined ? "" : `${quoteTable(builder.of)}.`
  return qualifier + gapFor(builder, nameOf(name))
}

/** Columns' quoted names with commas between. */
export const columns = (builder: SqlBuilder, names: ReadonlyArray<string>): string =>
  names.map((name) => column(builder, name)).join(", ")

/** What a statement returns of each row: these columns, or all. */
export const returned = (builder: SqlBuilder, names: ReadonlyArray<string> | undefined): string => {
  if (names !== undefined) return columns(builder, names)
  builder.isGuarded = true
  return "*"
}

/** What is written as a piece of SQL, to be spliced into a statement. */
export const piece = ({ problem, slots }: SqlBuilder, text: string): Sql =>
  makePiece({ parts: text.split(gap), values: slots, problem })

/** The statement that is written with a builder, or the first thing of it that cannot be sent. */
export const statement = (site: Site, write: (builder: SqlBuilder) => string): Parsed<Bound> => {
  const builder = make(site)
  const text = write(builder)
  const { isGuarded, naming, place, problem, slots } = builder
  if (problem !== undefined) return Result.fail(problem)
  const statement = bind({ parts: text.split(gap), values: slots }, naming, place, isGuarded)
  if (statement.params.length > maxParameters) {
    const what = `the statement has ${statement.params.length} parameters, and Postgres takes ${maxParameters}`
    return refuse(place, what, "Split the call, or compare with many values by $in.")
  }
  return Result.succeed(statement)
}
