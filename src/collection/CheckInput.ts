/**
 * What a user's object may be before anything is read from it: plain objects with own, enumerable string keys, and
 * values that can be bound. Whatever would be overlooked - an inherited key, a symbol, a `Map`'s entries - is refused,
 * since an overlooked condition widens what a statement touches.
 */
import * as Result from "effect/Result"
import type { PoolError } from "../errors/PoolError.ts"
import { refused } from "../errors/PoolError.ts"
import { isJson } from "../statement/Json.ts"
import { isIdentifier } from "../statement/Names.ts"
import { attempt, isPlain } from "../statement/PlainObject.ts"
import { isSql } from "../statement/Sql.ts"

export type Fields = Readonly<Record<string, unknown>>

/** A name as a message shows it: quoted, its control characters escaped, cut when long. */
export const shown = (name: string): string =>
  JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name)

/** What a value is, for a message; never the value itself. */
export const described = (value: unknown): string => {
  if (value === null) return "null"
  if (typeof value !== "object") return typeof value === "undefined" ? "undefined" : `a ${typeof value}`
  if (isSql(value)) return "a piece of SQL"
  if (isIdentifier(value)) return "a handle"
  if (isPlain(value)) return "an object"
  return attempt(() => {
    if (Array.isArray(value)) return "an array"
    const maker: unknown = value.constructor
    return typeof maker === "function" && maker.name !== "" && maker !== Object
      ? `a ${maker.name}`
      : "an object with a prototype of its own"
  }, "an object that throws when it is looked at")
}

/** Reads what a user gave, or says that it cannot be read. */
export const reading = <A>(
  place: string,
  what: string,
  read: () => Result.Result<A, PoolError>
): Result.Result<A, PoolError> =>
  attempt(read, undefined) ??
  refuse(place, `${what} cannot be read: a property throws`, "Give plain objects.")

/** The refusal of a call at `place`, for instance `users.delete`. */
export const refusal = (place: string, what: string, instead: string): PoolError =>
  refused(`${place}: ${what}. ${instead} The call had no effect.`)

/** What was given is refused. */
export const refuse = (place: string, what: string, instead: string): Result.Result<never, PoolError> =>
  Result.fail(refusal(place, what, instead))

/** A plain object's entries, each read once, or why it is not read. */
export const entriesOf = (
  value: unknown,
  what: string,
  place: string,
  form = "{ column: value }"
): Result.Result<ReadonlyArray<readonly [key: string, value: unknown]>, PoolError> => {
  if (!isPlain(value)) {
    return refuse(
      place,
      `${what} ${what.endsWith("s") ? "are" : "is"} ${described(value)}, not a plain object`,
      `Write ${form}.`
    )
  }
  return reading(place, what, () => {
    const entries: Array<readonly [string, unknown]> = []
    for (const key of Reflect.ownKeys(value)) {
      if (typeof key === "symbol" || !Object.prototype.propertyIsEnumerable.call(value, key)) {
        const named = typeof key === "symbol" ? "a symbol" : `${shown(key)}, which is not enumerable`
        return refuse(
          place,
          `${what} has a property that would be overlooked: ${named}`,
          "Only own enumerable properties are read; leave it out."
        )
      }
      entries.push([key, value[key]])
    }
    return Result.succeed(entries)
  })
}

/** The options of a call by name, each read once, of which there are these; `form` shows how they are written. */
export const optionsOf = (
  options: unknown,
  names: ReadonlyArray<string>,
  place: string,
  form: string,
  instead = `The options are ${names.join(", ")}.`
): Result.Result<Fields, PoolError> =>
  Result.flatMap(entriesOf(options, "the options", place, form), (entries) => {
    const [unknown] = entries.find(([name]) => !names.includes(name)) ?? []
    return unknown === undefined
      ? Result.succeed(Object.fromEntries(entries))
      : refuse(place, `${shown(unknown)} is no option`, instead)
  })

/** Why a name cannot be a column's, or `undefined` where the server decides. */
export const nameRefusal = (name: unknown, place: string): PoolError | undefined => {
  if (typeof name !== "string")
    return refusal(place, `a column is ${described(name)}`, "A column is named by a string.")
  if (name === "") return refusal(place, "a column's name is empty", "Postgres has no such name.")
  if (name.includes("\0")) {
    return refusal(
      place,
      `the column name ${shown(name)} holds a NUL character`,
      "Postgres has no such name."
    )
  }
  return undefined
}

/** Why a value cannot be bound, or `undefined` where it can, or where the server or a codec decides. */
export const valueRefusal = (
  value: unknown,
  column: string,
  place: string,
  takesInstances: boolean
): PoolError | undefined => {
  if (typeof value === "object") {
    if (
      value === null ||
      isJson(value) ||
      (!isSql(value) && !isIdentifier(value) && (takesInstances || isPlain(value)))
    )
      return undefined
    const isValue = attempt(
      () => Array.isArray(value) || value instanceof Date || value instanceof Uint8Array,
      false
    )
    if (isValue) return undefined
  } else if (typeof value !== "undefined" && typeof value !== "function" && typeof value !== "symbol")
    return undefined
  return refusal(
    place,
    `the value of column ${shown(column)} is ${described(value)}`,
    value === undefined
      ? "Undefined is refused because it would widen what the statement touches: leave the column out, or say null."
      : "A value is a string, number, bigint, boolean, null, Date, Uint8Array, array, plain object or PG.json(…)."
  )
}
