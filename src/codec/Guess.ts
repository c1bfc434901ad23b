/**
 * An array for a statement from which the server cannot tell a type, as in `unnest($1)`: its elements decide.
 */
import * as PgTypes from "@effect/sql-pg/PgTypes"
import * as Result from "effect/Result"
import { isPlain } from "../Plain.ts"
import { oidOf } from "./Builtin.ts"
import type { Writing } from "./Literal.ts"
import { arrayLiteral, bytesOf, fail, jsonLiteral, nameOf } from "./Literal.ts"
import { rawParameter } from "./Raw.ts"

const isInt4 = (value: unknown): boolean =>
  typeof value === "number" && Number.isInteger(value) && value >= -2147483648 && value <= 2147483647

const isInteger = (value: unknown): boolean => typeof value === "bigint" || Number.isSafeInteger(value)

const isNumeric = (value: unknown): boolean => typeof value === "bigint" || typeof value === "number"

/** The types that elements can be, the narrowest first, and what the driver writes each from. */
const candidates: ReadonlyArray<
  readonly [
    name: string,
    accepts: (value: unknown) => boolean,
    write: (writing: Writing, value: unknown) => unknown
  ]
> = [
  ["bool", (value) => typeof value === "boolean", (_, value) => value],
  ["int4", isInt4, (_, value) => value],
  ["int8", isInteger, (_, value) => BigInt(String(value))],
  ["numeric", isNumeric, (_, value) => String(value)],
  ["timestamptz", (value) => value instanceof Date, (_, value) => value],
  ["bytea", (value) => bytesOf(value) !== undefined, (_, value) => bytesOf(value)],
  [
    "text",
    (value) => typeof value === "string" || isNumeric(value) || typeof value === "boolean",
    (_, value) => String(value)
  ],
  ["json", isPlain, (writing, value) => JSON.parse(jsonLiteral(writing, value) ?? "null")]
]

/** The lengths of the dimensions; the literal was written before, so the array is known to be regular. */
const shapeOf = (values: ReadonlyArray<unknown>): ReadonlyArray<number> => {
  const shape: Array<number> = []
  for (let level: unknown = values; Array.isArray(level); level = level[0]) shape.push(level.length)
  return shape
}

/** The array as a parameter of the type that its elements suggest. */
export const guessArray = (writing: Writing, values: ReadonlyArray<unknown>): unknown => {
  const text = arrayLiteral(writing, values, 0)
  if (writing.problem !== undefined) return text
  const shape = shapeOf(values)
  const leaves = values.flat(shape.length - 1)
  const present = leaves.filter((leaf) => leaf !== null && leaf !== undefined)
  if (present.length === 0) return text
  const found = candidates.find(([, accepts]) => present.every(accepts))
  if (found === undefined) {
    const other = present.find((leaf) => !candidates.some(([, accepts]) => accepts(leaf)))
    return fail(
      writing,
      `is an array of values of different kinds${other === undefined ? "" : `, ${nameOf(other)} among them`}`
    )
  }
  const [name, , write] = found
  const oid = oidOf(name)
  const elements: Array<Uint8Array | null> = []
  for (const leaf of leaves) {
    if (leaf === null || leaf === undefined) {
      elements.push(null)
      continue
    }
    const encoded = PgTypes.encode(write(writing, leaf), oid)
    if (Result.isFailure(encoded))
      return fail(writing, `is an array with an element that ${name} cannot hold`)
    elements.push(encoded.success)
  }
  const array = writing.session.types.get(oid)?.array ?? 0
  return rawParameter(array, oid, elements, shape)
}
