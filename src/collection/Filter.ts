/**
 * A filter as the user writes it, checked and turned into a small tree of conditions. No SQL here, and no value is
 * looked at beyond its kind: see `FilterSql` for the text.
 *
 * **Details**
 *
 * Comparisons follow SQL's three values: a comparison with a NULL column is unknown, `$not` of unknown is unknown, and
 * only rows whose filter is true are kept. Where `null` is *written*, or made of a value by the table's schema, it means
 * NULL: `{ a: null }`, `{ $eq: null }` and a `null` inside `$in` are `IS NULL`; `{ $ne: null }` and a `null` inside `$nin` are
 * `IS NOT NULL`.
 */
import * as Iterable from "effect/Iterable"
import * as Result from "effect/Result"
import type { PoolError } from "../errors/PoolError.ts"
import { isJson } from "../statement/Json.ts"
import { isPlain } from "../statement/PlainObject.ts"
import { isSql, type Sql } from "../statement/Sql.ts"
import { described, entriesOf, reading, refuse, shown } from "./CheckInput.ts"

/** The operators that compare a column with one value, by what they are in SQL. */
export const operators = {
  $eq: "=",
  $in: "in",
  $ne: "<>",
  $gt: ">",
  $gte: ">=",
  $lt: "<",
  $lte: "<=",
  $like: "like",
  $ilike: "ilike",
  $regex: "~",
  $startsWith: "^@",
  $contains: "@>"
} as const

export type Comparison = keyof typeof operators

export type Condition =
  | { readonly _tag: "Every"; readonly of: ReadonlyArray<Condition> }
  | { readonly _tag: "Some"; readonly of: ReadonlyArray<Condition> }
  | { readonly _tag: "Not"; readonly of: Condition }
  | {
      readonly _tag: "Compare"
      readonly column: string
      readonly operator: Comparison
      readonly value: unknown
    }
  | { readonly _tag: "Null"; readonly column: string; readonly isNull: boolean }
  | { readonly _tag: "OneOf"; readonly column: string; readonly values: ReadonlyArray<unknown> }
  | { readonly _tag: "JsonPath"; readonly column: string; readonly path: string; readonly variables: unknown }
  | { readonly _tag: "Piece"; readonly piece: Sql }

type Parsed = Result.Result<Condition, PoolError>

/** Filters nest no deeper than this; a cycle is refused by it too. */
const deepest = 100

export const patterns: ReadonlySet<string> = new Set<Comparison>(["$like", "$ilike", "$regex", "$startsWith"])
const isComparison = (operator: string): operator is Comparison => Object.hasOwn(operators, operator)

const every = (of: ReadonlyArray<Condition>): Condition => (of.length === 1 ? of[0]! : { _tag: "Every", of })

const undefinedValue = (what: string, place: string): Parsed =>
  refuse(
    place,
    `${what} is undefined`,
    "Undefined is refused because it would widen what the statement touches: leave it out, or say null for IS NULL."
  )

/** Up to the first that is wrong: a filter that refers to itself has no end. */
const all = <A>(values: Iterable<A>, parse: (value: A) => Parsed) => Result.all(Iterable.map(values, parse))

/** A column compared with a value; equal to `null` is `IS NULL`. */
export const compare = (column: string, operator: Comparison, value: unknown): Condition =>
  value === null && (operator === "$eq" || operator === "$ne")
    ? { _tag: "Null", column, isNull: operator === "$eq" }
    : { _tag: "Compare", column, operator, value }

/** A column that has one of these values; `null` among them stands for NULL. */
export const hasOneOf = (column: string, values: ReadonlyArray<unknown>): Condition => {
  const present = values.filter((value) => value !== null)
  const some: Array<Condition> = []
  if (present.length > 0) some.push({ _tag: "OneOf", column, values: present })
  if (present.length < values.length) some.push({ _tag: "Null", column, isNull: true })
  return some.length === 1 ? some[0]! : { _tag: "Some", of: some }
}

/** `$in` */
const oneOf = (column: string, operator: string, values: unknown, place: string): Parsed => {
  if (isSql(values)) return Result.succeed({ _tag: "Compare", column, operator: "$in", value: values })
  if (!Array.isArray(values)) {
    return refuse(
      place,
      `${operator} on column ${shown(column)} is ${described(values)}`,
      `${operator} takes an array of values.`
    )
  }
  const given: ReadonlyArray<unknown> = Array.from(values)
  const index = given.indexOf(undefined)
  if (index >= 0) return undefinedValue(`element ${index} of ${operator} on column ${shown(column)}`, place)
  return Result.succeed(hasOneOf(column, given))
}

/** `$between`: from the first to the second, both included. */
const between = (column: string, bounds: unknown, place: string): Parsed => {
  if (!Array.isArray(bounds) || bounds.length !== 2) {
    const what = `$between on column ${shown(column)} is ${described(bounds)}`
    return refuse(place, what, "$between takes an array of two values: [from, to].")
  }
  const [from, to]: ReadonlyArray<unknown> = bounds
  const both = [operation(column, "$gte", from, place), operation(column, "$lte", to, place)]
  return Result.map(Result.all(both), every)
}

/** `$jsonPath`: a path, or a path with the values of its variables. */
const jsonPath = (column: string, value: unknown, place: string): Parsed => {
  const [path, variables]: ReadonlyArray<unknown> = Array.isArray(value) ? value : [value]
  const isPath = typeof path === "string" && (variables === undefined || isPlain(variables))
  if (isPath) return Result.succeed({ _tag: "JsonPath", column, path, variables })
  const what = `$jsonPath on column ${shown(column)} is ${described(value)}`
  const instead = '$jsonPath takes a path, or [path, variables]: ["$.age ? (@ > $least)", { least: 18 }].'
  return refuse(place, what, instead)
}

const operation = (column: string, operator: string, value: unknown, place: string): Parsed => {
  const where = `${operator} on column ${shown(column)}`
  if (operator === "$in" || operator === "$nin") {
    const condition = oneOf(column, operator, value, place)
    if (operator === "$in" || Result.isFailure(condition)) return condition
    return Result.succeed({ _tag: "Not", of: condition.success })
  }
  if (operator === "$between") return between(column, value, place)
  if (operator === "$jsonPath") return jsonPath(column, value, place)
  if (operator === "$isNull") {
    if (typeof value === "boolean") return Result.succeed({ _tag: "Null", column, isNull: value })
    return refuse(place, `${where} is ${described(value)}`, "$isNull takes true or false.")
  }
  if (!isComparison(operator)) {
    return refuse(
      place,
      `${shown(operator)} on column ${shown(column)} is no operator`,
      operator === "$not"
        ? "$not goes around a filter: { $not: { column: … } }."
        : operator === "$and" || operator === "$or"
          ? `${operator} goes around filters: { ${operator}: [{ column: … }] }.`
          : "The operators are $eq $ne $gt $gte $lt $lte $in $nin $between $like $ilike $regex $startsWith $isNull $contains $jsonPath; an object that has such a key is bound as json by PG.json(…)."
    )
  }
  if (value === undefined) return undefinedValue(where, place)
  if (patterns.has(operator) && typeof value !== "string" && value !== null && !isSql(value)) {
    return refuse(
      place,
      `${where} is ${described(value)}`,
      operator === "$startsWith"
        ? "$startsWith takes a string."
        : `${operator} takes a string in Postgres' own syntax.`
    )
  }
  return Result.succeed(compare(column, operator, value))
}

const onColumn = (column: string, value: unknown, place: string): Parsed => {
  if (value === undefined) return undefinedValue(`column ${shown(column)}`, place)
  if (Array.isArray(value)) {
    return refuse(
      place,
      `column ${shown(column)} is compared with an array`,
      "Use { $in: […] } for one of these values, { $contains: […] } for an array that holds them, { $eq: […] } for this very array."
    )
  }
  if (isPlain(value) && !isJson(value) && !isSql(value)) {
    const entries = entriesOf(value, `the condition on column ${shown(column)}`, place)
    if (Result.isFailure(entries)) return Result.fail(entries.failure)
    if (entries.success.length === 0) {
      const instead = "Leave the column out, or say { $eq: {} } for an empty json object."
      return refuse(place, `the condition on column ${shown(column)} is empty`, instead)
    }
    if (entries.success.some(([key]) => key.startsWith("$"))) {
      return Result.map(
        all(entries.success, ([operator, operand]) => operation(column, operator, operand, place)),
        every
      )
    }
  }
  return Result.succeed(compare(column, "$eq", value))
}

const nested = (filter: unknown, what: string, place: string, depth: number): Parsed => {
  if (depth > deepest) {
    return refuse(place, `the filter nests deeper than ${deepest} levels`, "Write it flatter, or as SQL.")
  }
  if (isSql(filter)) return Result.succeed({ _tag: "Piece", piece: filter })
  const conditions = Result.flatMap(entriesOf(filter, what, place), (entries) =>
    all(entries, ([key, value]) => entry(key, value, place, depth))
  )
  return Result.map(conditions, every)
}

const entry = (key: string, value: unknown, place: string, depth: number): Parsed => {
  if (key === "$not") {
    return Result.map(nested(value, "$not", place, depth + 1), (of): Condition => ({ _tag: "Not", of }))
  }
  if (key === "$and" || key === "$or") {
    if (!Array.isArray(value)) {
      return refuse(place, `${key} is ${described(value)}`, `${key} takes an array of filters.`)
    }
    const filters: ReadonlyArray<unknown> = Array.from(value)
    const conditions = all(filters, (filter) => nested(filter, `a filter of ${key}`, place, depth + 1))
    return Result.map(conditions, (of): Condition => (key === "$and" ? every(of) : { _tag: "Some", of }))
  }
  if (key.startsWith("$")) {
    const instead =
      "Around filters there are $and, $or and $not; the other operators go on a column: { column: { $gt: 1 } }."
    return refuse(place, `${shown(key)} is no operator around filters`, instead)
  }
  return onColumn(key, value, place)
}

/**
 * The condition that a filter stands for; `place` is the call as a message names it, for instance `users.delete`.
 */
export const parse = (filter: unknown, place: string): Parsed =>
  reading(place, "the filter", () => nested(filter, "the filter", place, 0))
