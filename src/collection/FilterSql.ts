/**
 * A filter's conditions as SQL text.
 */
import { isJson, json } from "../statement/Json.ts"
import { isArray, isPlain } from "../statement/PlainObject.ts"
import { isSql } from "../statement/Sql.ts"
import { type Comparison, type Condition, operators, patterns } from "./Filter.ts"
import type { SqlBuilder } from "./SqlBuilder.ts"
import { column, param, params, splice } from "./SqlBuilder.ts"

/** One array parameter serves any number of scalars, and its statement is prepared once; arrays and json are listed. */
const fitsArray = (values: ReadonlyArray<unknown>): boolean =>
  !values.some((value) => isArray(value) || isJson(value) || isPlain(value) || isSql(value))

/**
 * What a column is compared with. A lone parameter beside a composite column is a record of no type to the server, which takes no
 * object; `coalesce` gives it the column's type, and an object is never NULL. The server folds it to the parameter where it plans
 * for its value, as it does for what an index serves. `$contains` needs none, and an index of `jsonb` serves it as it is.
 */
const operand = (builder: SqlBuilder, value: unknown, name: string, operator: Comparison): string =>
  isPlain(value) && !isJson(value) && !isSql(value) && operator !== "$contains"
    ? `coalesce(${param(builder, value, name)}, ${column(builder, name)})`
    : param(builder, value, name, patterns.has(operator) ? "pattern" : "compared")

const oneOf = (builder: SqlBuilder, name: string, values: ReadonlyArray<unknown>): string =>
  fitsArray(values)
    ? `${column(builder, name)} = any(${params(builder, values, name)})`
    : `${column(builder, name)} in (${values.map((value) => operand(builder, value, name, "$in")).join(", ")})`

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

/** The operators serve an index; the functions take variables, and are silent where the operators are. */
const jsonPath = (builder: SqlBuilder, name: string, path: string, variables: unknown): string => {
  if (variables === undefined) {
    return `${column(builder, name)} ${isPredicate(path) ? "@@" : "@?"} ${param(builder, path, "", "pattern")}`
  }
  const call = `pg_catalog.jsonb_path_${isPredicate(path) ? "match" : "exists"}`
  return `${call}(${column(builder, name)}, ${param(builder, path, "", "pattern")}, ${param(builder, json(variables), "")}, true)`
}

const joined = (
  builder: SqlBuilder,
  conditions: ReadonlyArray<Condition>,
  word: string,
  none: string
): string =>
  conditions.length === 0 ? none : conditions.map((one) => `(${condition(builder, one)})`).join(word)

/** The text of a condition, without parentheses around it. */
export const condition = (builder: SqlBuilder, given: Condition): string => {
  switch (given._tag) {
    case "Every":
      return joined(builder, given.of, " and ", "true")
    case "Some":
      return joined(builder, given.of, " or ", "false")
    case "Not":
      return `not (${condition(builder, given.of)})`
    case "Compare":
      return `${column(builder, given.column)} ${operators[given.operator]} ${operand(builder, given.value, given.column, given.operator)}`
    case "Null":
      return `${column(builder, given.column)} is ${given.isNull ? "" : "not "}null`
    case "OneOf":
      return oneOf(builder, given.column, given.values)
    case "JsonPath":
      return jsonPath(builder, given.column, given.path, given.variables)
    case "Piece":
      return splice(builder, given.piece)
  }
}

/** ` where …`, or nothing where every row is meant. */
export const where = (builder: SqlBuilder, given: Condition): string =>
  given._tag === "Every" && given.of.length === 0 ? "" : ` where ${condition(builder, given)}`
