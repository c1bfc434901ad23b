/**
 * JavaScript values as parameters. What a value is decides, as in SQL itself: a string has no type and takes the one that
 * the statement expects, 19.99 is a `numeric`. A Date, an array or an object has to know what the statement expects.
 */
import * as Result from "effect/Result"
import type { PoolError } from "../errors/PoolError.ts"
import { refused } from "../errors/PoolError.ts"
import { attempt, hasSymbol } from "../statement/PlainObject.ts"
import { oids } from "./BuiltinTypes.ts"
import { inferArray } from "./InferArrayType.ts"
import type { Writing } from "./Literal.ts"
import {
  bytesOf,
  dateLiteral,
  dateTypes,
  fail,
  isInt8,
  isTextual,
  literal,
  numberText,
  unreadable
} from "./Literal.ts"
import type { WireValue } from "./PgType.ts"
import type { Column } from "./RowReader.ts"
import type { TypeLookup } from "./TypeLookup.ts"

/** Parameters with the types that they are declared with; 0 leaves a type to the server. */
export interface Encoded {
  readonly types: ReadonlyArray<number>
  readonly values: ReadonlyArray<WireValue>
  /** What the server expected of them by an earlier description, if they are encoded by that: it may be stale. */
  readonly remembered?: ReadonlyArray<number>
  /** What the server said of the columns when it was asked for this run: the pool may have forgotten it since. */
  readonly described?: ReadonlyArray<Column> | undefined
}

const EncodedId: unique symbol = Symbol("encoded")

/** A parameter that was encoded already; `given` is what it was made of, so that messages can hide it. */
interface EncodedParameter {
  readonly [EncodedId]: { readonly type: number; readonly value: WireValue }
  readonly given: unknown
}

/** A parameter that is sent as it is, declared with this type. */
export const encodedAs = (type: number, value: WireValue, given: unknown): EncodedParameter => ({
  [EncodedId]: { type, value },
  given
})

/** A text of the package's own, which no codec of the program's writes. */
export const ownText = (text: string): EncodedParameter => encodedAs(oids.text, text, text)

/** The same for a number or a bigint. */
export const ownInt8 = (value: number | bigint): EncodedParameter =>
  encodedAs(oids.int8, String(value), value)

const isEncoded = (value: unknown): value is EncodedParameter => hasSymbol(value, EncodedId)

/** The type of a number that needs no knowledge of the statement; -1 for an infinite one, which may be a date. */
const numberType = (value: number): number => {
  if (Number.isInteger(value)) {
    if (value >= -2147483648 && value <= 2147483647) return Object.is(value, -0) ? oids.float8 : oids.int4
    return Math.abs(value) < 2 ** 63 ? oids.int8 : oids.numeric
  }
  if (Number.isNaN(value)) return oids.float8
  return Number.isFinite(value) ? oids.numeric : -1
}

/** Views that hold bytes and nothing else; an `Int32Array` may be meant as an array of numbers. */
const isBytes = (value: object): boolean =>
  attempt(
    () =>
      value instanceof Uint8Array ||
      value instanceof ArrayBuffer ||
      value instanceof DataView ||
      value instanceof Int8Array,
    false
  )

/** The declared type of a value that needs no knowledge of the statement, else -1. */
const plainType = (value: unknown): number => {
  switch (typeof value) {
    case "string":
    case "undefined":
      return 0
    case "boolean":
      return oids.bool
    case "number":
      return numberType(value)
    case "bigint":
      return isInt8(value) ? oids.int8 : -1
    case "object":
      if (value === null) return 0
      return isBytes(value) ? oids.bytea : isEncoded(value) ? value[EncodedId].type : -1
  }
  return -1
}

const plainValue = (value: unknown): WireValue => {
  if (value === null || value === undefined) return null
  if (typeof value === "number") return numberText(value)
  if (typeof value !== "object") return String(value)
  return isEncoded(value) ? value[EncodedId].value : (bytesOf(value) ?? null)
}

const noTypes: ReadonlyArray<number> = []

const bytesIfAny = (value: unknown) => attempt(() => bytesOf(value), undefined)

/** Parameters that need no knowledge of the statement; `undefined` where one does, or cannot be sent at all. */
export const encodePlain = (params: ReadonlyArray<unknown>): Encoded | undefined => {
  const { length } = params
  if (length === 0) return { types: noTypes, values: [] }
  const types: Array<number> = new Array(length)
  const values: Array<WireValue> = new Array(length)
  for (let index = 0; index < length; index++) {
    const value = params[index]
    const type = plainType(value)
    if (type < 0) return undefined
    types[index] = type
    if (type === oids.bytea) {
      const bytes = bytesIfAny(value)
      if (bytes === undefined) return undefined
      values[index] = bytes
    } else values[index] = plainValue(value)
  }
  return { types, values }
}

/** The declared types with which the server is asked what it expects of the others. */
export const typesToDescribe = (params: ReadonlyArray<unknown>): ReadonlyArray<number> =>
  params.map((value) => Math.max(0, plainType(value)))

const isJsonType = (type: number): boolean => type === oids.json || type === oids.jsonb

/** The types that the server gives a parameter whose type it cannot infer. */
const isUnknown = (type: number): boolean => type === 0 || type === oids.text || type === oids.unknown

/** A parameter with the type that it is declared with. */
export interface One {
  readonly type: number
  readonly value: WireValue
}

/** A value for a parameter of the type that the server expects. */
export const encodeOne = (writing: Writing, value: unknown, expected: number): One => {
  const plain = plainType(value)
  if (isEncoded(value)) return value[EncodedId]
  if (writing.types.codecOf(expected) !== undefined) {
    return { type: plain > 0 ? expected : 0, value: literal(writing, value, expected) }
  }
  const base = writing.types.baseOf(expected)?.oid ?? expected
  if (plain >= 0) return { type: plain, value: plainValue(value) }
  if (isJsonType(base)) return { type: 0, value: literal(writing, value, expected) }
  if (typeof value === "number") {
    return { type: dateTypes.has(base) ? 0 : oids.float8, value: String(value) }
  }
  if (typeof value === "bigint") {
    if (base === oids.numeric) return { type: 0, value: String(value) }
    const problem =
      "is a bigint past ±2^63, where int8 ends. Cast the placeholder to numeric, or pass a string"
    return { type: 0, value: fail(writing, problem) }
  }
  if (value instanceof Date) {
    const isUndeclared = dateTypes.has(base) || isTextual(writing.types.typeOf(base))
    return { type: isUndeclared ? 0 : oids.timestamptz, value: dateLiteral(writing, value) }
  }
  if (Array.isArray(value) && isUnknown(base)) return inferArray(writing, value)
  return { type: 0, value: literal(writing, value, expected) }
}

/** A parameter that is not sent, by its number from 1. */
export const refusal = (problem: string, number: number): PoolError =>
  refused(`Parameter $${number} ${problem}. The statement was not sent.`)

/** What `encode` makes of a value, or the refusal of what is wrong with it: whatever a hostile object does is held off. */
export const encoding = <A>(
  types: TypeLookup,
  encode: (writing: Writing) => A,
  refuse: (problem: string) => PoolError
): Result.Result<A, PoolError> =>
  attempt(() => {
    const writing: Writing = { types, problem: undefined }
    const encoded = encode(writing)
    return writing.problem === undefined ? Result.succeed(encoded) : Result.fail(refuse(writing.problem))
  }, undefined) ?? Result.fail(refuse(unreadable))

/**
 * The types to try where the server takes parameters for text, as it does where it knows nothing of them: json for an object or
 * `PG.json(…)`, timestamptz for a Date. `undefined` where there are none.
 */
export const typesToTry = (
  { codecOf }: TypeLookup,
  params: ReadonlyArray<unknown>,
  { types }: Encoded,
  expected: ReadonlyArray<number>
): ReadonlyArray<number> | undefined => {
  const isBare = (value: unknown, index: number) =>
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    types[index] === 0 &&
    isUnknown(expected[index] ?? 0) &&
    codecOf(expected[index] ?? 0) === undefined
  if (!params.some(isBare)) return undefined
  return types.map((type, index) => {
    if (!isBare(params[index], index)) return type
    return params[index] instanceof Date ? oids.timestamptz : oids.json
  })
}

/**
 * One value for a column of a known type, where a string for json is a json string: what was read can be written back.
 * `number` is for messages.
 */
export const encodeValue = (
  types: TypeLookup,
  value: unknown,
  type: number,
  number: number
): Result.Result<WireValue, PoolError> => {
  if (value === null || value === undefined) return Result.succeed(null)
  const isBytea = types.baseOf(type)?.oid === oids.bytea && types.codecOf(type) === undefined
  return encoding(
    types,
    (writing) => (isBytea ? bytesOf(value) : undefined) ?? literal(writing, value, type),
    (problem) => refusal(problem, number)
  )
}
