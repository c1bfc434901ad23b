/**
 * A filter's conditions as SQL text.
 */
import { isJson } from "../statement/Json.ts"
import { isArray, isPlain } from "../statement/PlainObject.ts"
import { isSql } from "../statement/Sql.ts"
import { type Condition, operators } from "./Filter.ts"
import type { SqlBuilder } from "./SqlBuilder.ts"
import { column, param, params, splice } from "./SqlBuilder.ts"

/** One array parameter serves any number of scalars, and its statement is prepared once; arrays and json are listed. */
const fitsArray = (values: ReadonlyArray<unknown>): boolean =>
  !values.some((value) => isArray(value) || isJson(value) || isPlain(value) || isSql(value))

const oneOf = (builder: SqlBuilder, name: string, values: ReadonlyArray<unknown>): string =>
  fitsArray(values)
    ? `${column(builder, name)} = any(${params(builder, values, name)})`
    : `${column(builder, name)} in (${values.map((value) => param(builder, value, name)).join(", ")})`

/** What only a predicate has in a path, once strings and the conditions in `?(…)` are out of it. */
const predicate = /[<>=!]|&&|\|\||\b(?:starts\s+with|like_regex|is\s+unknown)\b|(?<![.\w])exists\b/i
const token = /"(?:[^"\\]|\\.)*"|\/\*.*?\*\/|\?(?:\s|\/\*.*?\*\/)*\(|[()]|[^"/?()]+|./gs

/** Whether a path says whether something holds (`$.age > 18`) and does not find something (`$.age ? (@ > 18)`). */
const isPredicate = (path: string): boolean => {
  const open: Array<string> = []
  let conditions = 0
  let left = ""
  for (const [part] of path.matchAll(token)) {
    if (part.endsWith("(")) {
      open.push(part)
      if (part !== "(") conditions++
    } else if (part === ")") {
      if ((open.pop() ?? "(") !== "(") conditions--
    } else if (conditions === 0 && !part.startsWith('"') && !part.startsWith("/*")) left += part
  }
  return predicate.test(left)
}

/** The operators serve an index; the functions take variables. */
const jsonPath = (builder: SqlBuilder, name: string, path: string, variables: unknown): string => {
  if (variables === undefined) {
    return `${column(builder, name)} ${isPredicate(path) ? "@@" : "@?"} ${param(builder, path, "")}`
  }
  const call = `pg_catalog.jsonb_path_${isPredicate(path) ? "match" : "exists"}`
  return `${call}(${column(builder, name)}, ${param(builder, path, "")}, ${param(builder, variables, "")})`
}

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
    case "JsonPath":
      return jsonPath(builder, condition.column, condition.path, condition.variables)
    case "Piece":
      return splice(builder, condition.piece)
  }
}

/** A filter as a condition of its own. */
export const condition = (builder: SqlBuilder, given: Condition): string => print(builder, given)

/** ` where …`, or nothing where every row is meant. */
export const where = (builder: SqlBuilder, condition: Condition): string =>
  condition._tag === "Every" && condition.of.length === 0 ? "" : ` where ${print(builder, condition)}`
