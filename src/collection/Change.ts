/**
 * What `update` changes, checked: a column takes a value or what a piece of SQL gives, or a number is added to it.
 */
import * as Result from "effect/Result"
import { isJson } from "../statement/Json.ts"
import { attempt, isPlain } from "../statement/PlainObject.ts"
import { isSql } from "../statement/Sql.ts"
import { bytesOf } from "../types/Literal.ts"
import { described, entriesOf, refuse, shown } from "./CheckInput.ts"
import type { Parsed } from "./SqlBuilder.ts"

export interface Change {
  readonly _tag: "Set" | "Add"
  readonly column: string
  readonly value: unknown
}

/** An instance of a class that only a codec of the program's own can write. */
const isInstance = (value: unknown): boolean =>
  typeof value === "object" &&
  value !== null &&
  !isSql(value) &&
  attempt(
    () => !(isPlain(value) || Array.isArray(value) || value instanceof Date || bytesOf(value) !== undefined),
    false
  )

const increment = (column: string, value: unknown, place: string): Parsed<Change> => {
  const kind = typeof value
  if (kind === "number" || kind === "bigint" || kind === "string" || isInstance(value)) {
    return Result.succeed({ _tag: "Add", column, value })
  }
  const what = `$inc on column ${shown(column)} is ${described(value)}`
  return refuse(place, what, "$inc takes a number, a bigint, or a string of digits for a numeric column.")
}

const change = (column: string, value: unknown, place: string): Parsed<Change> => {
  if (value === undefined) {
    const instead =
      "Undefined is refused because it is no value: leave the column out to keep it, or say null."
    return refuse(place, `the change of column ${shown(column)} is undefined`, instead)
  }
  if (column.startsWith("$")) {
    const instead = "Changes are written without $set: { column: value }, or { column: { $inc: 1 } }."
    return refuse(place, `${shown(column)} is no change`, instead)
  }
  if (isPlain(value) && !isJson(value) && !isSql(value)) {
    const entries = entriesOf(value, `the change of column ${shown(column)}`, place)
    if (Result.isFailure(entries)) return Result.fail(entries.failure)
    const [first, ...more] = entries.success
    if (first !== undefined && more.length === 0 && first[0] === "$inc")
      return increment(column, first[1], place)
    const operator = entries.success.find(([key]) => key.startsWith("$"))
    if (operator !== undefined) {
      const instead =
        "A change is a value or { $inc: n }; an object that has such a key is bound as json by PG.json(…)."
      return refuse(place, `${shown(operator[0])} on column ${shown(column)} is no change`, instead)
    }
  }
  return Result.succeed({ _tag: "Set", column, value })
}

/** The changes that an object stands for; no changes at all are refused. */
export const parse = (changes: unknown, place: string): Parsed<ReadonlyArray<Change>> =>
  Result.flatMap(entriesOf(changes, "the changes", place), (entries) =>
    entries.length === 0
      ? refuse(place, "the changes are empty", "Name at least one column: { column: value }.")
      : Result.all(entries.map(([column, value]) => change(column, value, place)))
  )
