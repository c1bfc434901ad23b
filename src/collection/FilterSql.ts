/**
 * A filter's conditions as SQL text.
 */
import { isPlain } from "../Plain.ts"
import { isJson } from "../Sql.ts"
import type { Draft } from "./Draft.ts"
import { column, isJsonColumn, param, params } from "./Draft.ts"
import type { Comparison, Condition } from "./Filter.ts"

const operators: Readonly<Record<Comparison, string>> = {
  $eq: "=",
  $ne: "<>",
  $gt: ">",
  $gte: ">=",
  $lt: "<",
  $lte: "<=",
  $like: "like",
  $ilike: "ilike",
  $regex: "~",
  $contains: "@>"
}

/** One array parameter serves any number of scalars, and its statement is prepared once; arrays and json cannot be its elements. */
const fitsArray = (draft: Draft, name: string, values: ReadonlyArray<unknown>): boolean =>
  !isJsonColumn(draft, name) &&
  !values.some((value) => Array.isArray(value) || isJson(value) || isPlain(value))

const oneOf = (draft: Draft, name: string, values: ReadonlyArray<unknown>): string =>
  fitsArray(draft, name, values)
    ? `${column(draft, name)} = any(${params(draft, values, name)})`
    : `${column(draft, name)} in (${values.map((value) => param(draft, value, name)).join(", ")})`

const joined = (draft: Draft, conditions: ReadonlyArray<Condition>, word: string, none: string): string =>
  conditions.length === 0 ? none : conditions.map((condition) => `(${print(draft, condition)})`).join(word)

/** The text of a condition, without parentheses around it. */
const print = (draft: Draft, condition: Condition): string => {
  switch (condition._tag) {
    case "Every":
      return joined(draft, condition.of, " and ", "true")
    case "Some":
      return joined(draft, condition.of, " or ", "false")
    case "Not":
      return `not (${print(draft, condition.of)})`
    case "Compare":
      return `${column(draft, condition.column)} ${operators[condition.operator]} ${param(draft, condition.value, condition.column)}`
    case "Null":
      return `${column(draft, condition.column)} is ${condition.isNull ? "" : "not "}null`
    case "OneOf":
      return oneOf(draft, condition.column, condition.values)
  }
}

/** ` where …`, or nothing where every row is meant. */
export const where = (draft: Draft, condition: Condition): string =>
  condition._tag === "Every" && condition.of.length === 0 ? "" : ` where ${print(draft, condition)}`
