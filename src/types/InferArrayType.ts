/**
 * The type of an array for a statement from which the server cannot tell one, as in `unnest($1)`: its elements decide.
 */
import { isPlain } from "../statement/PlainObject.ts"
import { builtins, oids } from "./BuiltinTypes.ts"
import type { Writing } from "./Literal.ts"
import { arrayLiteral, bytesOf, fail, nameOf } from "./Literal.ts"

const isInt4 = (value: unknown): boolean => typeof value === "number" && (value | 0) === value

const isInteger = (value: unknown): boolean => typeof value === "bigint" || Number.isSafeInteger(value)

const isNumeric = (value: unknown): boolean => typeof value === "bigint" || typeof value === "number"

/** The types that elements can be, the narrowest first. */
const candidates: ReadonlyArray<readonly [type: number, accepts: (value: unknown) => boolean]> = [
  [oids.bool, (value) => typeof value === "boolean"],
  [oids.int4, isInt4],
  [oids.int8, isInteger],
  [oids.numeric, isNumeric],
  [oids.timestamptz, (value) => value instanceof Date],
  [oids.bytea, (value) => bytesOf(value) !== undefined],
  [oids.text, (value) => typeof value === "string" || isNumeric(value) || typeof value === "boolean"],
  [oids.json, isPlain]
]

/** An array with the type that its elements suggest, or why it has none. */
export const inferArray = (
  writing: Writing,
  values: ReadonlyArray<unknown>
): { readonly type: number; readonly value: string | null } => {
  const none = (problem: string) => ({ type: 0, value: fail(writing, problem) })
  const leaves: ReadonlyArray<unknown> = values.flat(Number.POSITIVE_INFINITY)
  const present = leaves.filter((leaf) => leaf !== null && leaf !== undefined)
  if (present.length === 0) {
    return none(
      "is an array without elements, and the statement does not say of which type it is. Cast the placeholder, for instance $1::int[]"
    )
  }
  const found = candidates.find(([, accepts]) => present.every(accepts))
  if (found === undefined) {
    const other = present.find((leaf) => !candidates.some(([, accepts]) => accepts(leaf)))
    return none(
      `is an array of values of different kinds${other === undefined ? "" : `, ${nameOf(other)} among them`}`
    )
  }
  const [element] = found
  return { type: builtins.get(element)?.array ?? 0, value: arrayLiteral(writing, values, element) }
}
