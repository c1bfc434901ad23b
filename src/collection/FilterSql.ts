/**
 * A filter's conditions as SQL text.
 */
import { isPlain } from "../statement/PlainObject.ts"
import { isJson } from "../statement/Sql.ts"
import type { Comparison, Condition } from "./Filter.ts"
import type { SqlBuilder } from "./SqlBuilder.ts"
import { column, param, params } from "./SqlBuilder.ts"

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

/** One array parameter serves any number of scalars, and its statement is prepared once; arrays and json are listed. */
const fitsArray = (values: ReadonlyArray<unknown>): boolean =>
  !values.some((value) => Array.isArray(value) || isJson(value) || isPlain(value))

const oneOf = (builder: SqlBuilder, name: string, values: ReadonlyArray<unknown>): string =>
  fitsArray(values)
    ? `${column(builder, name)} = any(${params(builder, values, name)})`
    : `${column(builder, name)} in (${values.map((value) => param(builder, value, name)).join(", ")})`

const joined = (
  builder: SqlBuilder,
  conditions: ReadonlyArray<Condition>,
  word: string,
  none: string
): string =>
  conditions.length === 0 ? none : conditions.map((condition) => `(${print(builder, condition)})`).join(word)

/** The text of a condition, without parentheses around it. */
const print = (builder: SqlBuilder, condition: Condition): string => {
  switch (condition._tag) {
    case "Every":
      return joined(builder, condition.of, " and ", "true")
    case "Some":
      return joined(builder, condition.of, " or ", "false")
    case "Not":
      return `not (${print(builder, condition.of)})`
    case "Compare":
      return `${column(builder, condition.column)} ${operators[condition.operator]} ${param(builder, condition.value, condition.column)}`
    case "Null":
      return `${column(builder, condition.column)} is ${condition.isNull ? "" : "not "}null`
    case "OneOf":
      return oneOf(builder, condition.column, condition.values)
  }
}

/** ` where …`, or nothing where every row is meant. */
export const where = (builder: SqlBuilder, condition: Condition): string =>
  condition._tag === "Every" && condition.of.length === 0 ? "" : ` where ${print(builder, condition)}`
