/**
 * Parameters by the types that the server expects, and by what they are: one of a caller's own statement (`Parameters.ts`), or a
 * value that a table's handle puts into a column or compares with it. What was read from a column can be written to it
 * and compared with it.
 *
 * **Details**
 *
 * A string for a json column is a json string. A number that is compared with a `real` is compared as that `real`: 1.1 finds
 * what 1.1 has stored. A number that a column's type cannot hold is compared in a wider type, and equals nothing there.
 */
import * as Result from "effect/Result"
import type { PoolError } from "../errors/PoolError.ts"
import { refused } from "../errors/PoolError.ts"
import { attempt, isPlain } from "../statement/PlainObject.ts"
import type { Role } from "../statement/Slot.ts"
import { type ColumnRole, given } from "../statement/Statement.ts"
import { builtins, oids } from "./BuiltinTypes.ts"
import { singleOf } from "./Float4.ts"
import type { Writing } from "./Literal.ts"
import {
  bytesOf,
  dateTypes,
  fail,
  hasOwnForm,
  isJsonType,
  isTextual,
  literal,
  plainLiteral,
  unreadable
} from "./Literal.ts"
import { type Encoded, encodeOne as encodeGiven, type One, refusal, typesToDescribe } from "./Parameters.ts"
import type { PgType, WireValue } from "./PgType.ts"
import type { TypeLookup } from "./TypeLookup.ts"

const integerRanges: ReadonlyMap<number, readonly [least: bigint, most: bigint]> = new Map([
  [oids.int2, [-32_768n, 32_767n]],
  [oids.int4, [-2_147_483_648n, 2_147_483_647n]],
  [oids.int8, [-(2n ** 63n), 2n ** 63n - 1n]],
  [oids.oid, [0n, 4_294_967_295n]]
])

/** The type, or that of an array's elements. */
const innermost = (types: TypeLookup, type: number): PgType | undefined => {
  const base = types.baseOf(type)
  return base?.kind === "array" ? types.baseOf(base.of) : base
}

/**
 * Whether what is encoded for these types would be wrong, and not refused, after a column got another type: then the server
 * is asked anew each time.
 */
export const isSensitive = (types: TypeLookup, expected: ReadonlyArray<number>): boolean =>
  expected.some((oid) => {
    const type = innermost(types, oid)
    return type?.oid === oids.float4 || hasOwnForm(type)
  })

/** The same for parameters of a user's statement, where an object is the same json for json and for text. */
export const areSensitive = (
  types: TypeLookup,
  params: ReadonlyArray<unknown>,
  expected: ReadonlyArray<number>
): boolean =>
  expected.some((oid, index) => {
    const value = params[index]
    if (typeof value !== "object" || value === null) return false
    // A Date for any other type is declared as timestamptz, which a column that has become a timestamp takes in the session's zone.
    const base = types.baseOf(oid)
    const takesDates = isTextual(base) || dateTypes.has(base?.oid ?? 0)
    if (!takesDates && attempt(() => value instanceof Date, false)) return true
    const type = innermost(types, oid)
    return hasOwnForm(type) && (!isJsonType(type) || !isPlain(value))
  })

/** The types in which numbers are compared that a column's own cannot hold, the widest first. */
const wideTypes = [oids.float8, oids.numeric, oids.int8] as const
type Wide = (typeof wideTypes)[number]

/** The wider type in which a value is compared that this type cannot hold; `undefined` where it holds it. */
const widerType = (value: unknown, type: number): Wide | undefined => {
  if (typeof value !== "number" && typeof value !== "bigint") return undefined
  if (type === oids.float4) return oids.float8
  const range = integerRanges.get(type)
  if (range === undefined) return undefined
  if (typeof value === "number" && !Number.isFinite(value)) return oids.float8
  if (typeof value === "number" && !Number.isInteger(value)) return oids.numeric
  const whole = BigInt(value)
  if (whole >= range[0] && whole <= range[1]) return undefined
  return whole >= -(2n ** 63n) && whole < 2n ** 63n ? oids.int8 : oids.numeric
}

/** A number as it is compared in a wider type: with a `real`, as the `real` that it is there. */
const widened = (value: unknown, type: number): unknown => {
  if (type !== oids.float4 || typeof value !== "number") return value
  const single = singleOf(value)
  return Number.isFinite(single) ? single : value
}

/** The elements of an array, each of which is compared with the column. */
const comparedEach = (writing: Writing, values: ReadonlyArray<unknown>, expected: number): One => {
  const { types } = writing
  const of = types.baseOf(expected)?.of ?? 0
  const element = types.codecOf(of) === undefined ? (types.baseOf(of)?.oid ?? 0) : 0
  // No whole number is NaN or infinite, and in float8, which has those, large ones that differ are equal.
  const isFinite = (one: unknown) => typeof one !== "number" || Number.isFinite(one)
  const finite = integerRanges.has(element) ? values.filter(isFinite) : []
  // Beside no values NULL is none of them.
  const equal = finite.length > 0 ? finite : values
  const needed = new Set(equal.map((one) => widerType(one, element)))
  const wide = wideTypes.find((type) => needed.has(type))
  if (wide === undefined) return { type: 0, value: literal(writing, equal, expected) }
  const wider = equal.map((one) => widened(one, element))
  const type = builtins.get(wide)?.array ?? 0
  return { type, value: plainLiteral(writing, wider, type) }
}

const compared = (writing: Writing, value: unknown, expected: number): One => {
  const base = writing.types.baseOf(expected)
  const wide = widerType(value, base?.oid ?? 0)
  if (wide === undefined) return { type: 0, value: literal(writing, value, expected) }
  return { type: wide, value: plainLiteral(writing, widened(value, base?.oid ?? 0), wide) }
}

/** The text of a value that is put into a column of this type; `null` is NULL. */
export const storedText = (writing: Writing, value: unknown, expected: number): string | null => {
  const base = writing.types.baseOf(expected)
  if (typeof value === "number" && !Number.isInteger(value) && integerRanges.has(base?.oid ?? 0)) {
    const problem = `is no whole number, and ${base?.name ?? "the column"} holds nothing else: round it, or make the column numeric`
    return fail(writing, problem)
  }
  return literal(writing, value, expected)
}

const encodeOne = (writing: Writing, value: unknown, expected: number, role: Role): One => {
  if (role === "given") return encodeGiven(writing, value, expected)
  if (value === null || value === undefined) return { type: 0, value: null }
  if (role === "pattern") return { type: 0, value: plainLiteral(writing, value, 0) }
  if (writing.types.codecOf(expected) !== undefined) {
    return { type: 0, value: literal(writing, value, expected) }
  }
  const isBytea = writing.types.baseOf(expected)?.oid === oids.bytea
  const bytes = isBytea ? bytesOf(value) : undefined
  if (bytes !== undefined) return { type: 0, value: bytes }
  if (role === "any" && Array.isArray(value)) return comparedEach(writing, value, expected)
  return role === "stored"
    ? { type: 0, value: storedText(writing, value, expected) }
    : compared(writing, value, expected)
}

/** The types with which the server is asked: it infers those of columns' values from the columns. */
export const undeclared = (
  params: ReadonlyArray<unknown>,
  columns: ReadonlyArray<ColumnRole>
): ReadonlyArray<number> => {
  const given = typesToDescribe(params)
  return given.map((type, index) => (columns[index]?.role === "given" ? type : 0))
}

/**
 * Parameters by the types that the server expects, 0 where that is not known, and by what they are: of those that `columns` says
 * nothing of, parameters of the caller's own. `place` is the call as a message names it, for instance `users.update`.
 */
export const encodeParameters = (
  types: TypeLookup,
  params: ReadonlyArray<unknown>,
  expected: ReadonlyArray<number>,
  columns: ReadonlyArray<ColumnRole> = [],
  place = ""
): Result.Result<Encoded, PoolError> => {
  const encoded = { types: [] as number[], values: [] as WireValue[] }
  for (let index = 0; index < params.length; index++) {
    const { column, role } = columns[index] ?? given
    const writing: Writing = { types, problem: undefined }
    let one: One = { type: 0, value: null }
    try {
      one = encodeOne(writing, params[index], expected[index] ?? 0, role)
    } catch {
      fail(writing, unreadable)
    }
    if (writing.problem !== undefined) {
      if (role === "given") return Result.fail(refusal(writing.problem, index + 1))
      const what = column === "" ? "a value" : `the value of column ${JSON.stringify(column)}`
      return Result.fail(refused(`${place}: ${what} ${writing.problem}. The call had no effect.`))
    }
    encoded.types.push(one.type)
    encoded.values.push(one.value)
  }
  return Result.succeed(encoded)
}
