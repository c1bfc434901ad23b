/**
 * Parameters as the driver takes them. What a value is decides, as in SQL itself: text is untyped and takes the type that
 * the statement expects, 19.99 is a `numeric`. A Date, an array or an object needs to know what the server expects.
 */
import * as PgTypes from "@effect/sql-pg/PgTypes"
import * as Result from "effect/Result"
import type { PoolError } from "../PoolError.ts"
import { refused } from "../PoolError.ts"
import { isJson } from "../Sql.ts"
import * as Columns from "./Columns.ts"
import { guessArray } from "./Guess.ts"
import type { Problem, Writing } from "./Literal.ts"
import { baseOf, bytesOf, dateLiteral, dateTypes, fail, jsonLiteral, literal, nameOf } from "./Literal.ts"
import type { Session } from "./Session.ts"

const int8Limit = 2n ** 63n

/** What has to be known before the value can be bound. */
const Unbound = "~effect-global-pool/Unbound"

const bindNumber = (value: number): unknown => {
  if (Number.isSafeInteger(value)) return Object.is(value, -0) ? PgTypes.float8(value) : value
  if (Number.isNaN(value)) return PgTypes.float8(value)
  if (!Number.isFinite(value)) return Unbound
  if (Number.isInteger(value) && Math.abs(value) < 2 ** 63) return BigInt(value)
  return PgTypes.numeric(String(value))
}

const bindJson = (value: unknown): unknown => {
  const writing: Problem = { problem: undefined }
  const text = jsonLiteral(writing, value)
  return writing.problem === undefined ? text : Unbound
}

/** Views that hold bytes and nothing else; an `Int32Array` may be meant as an array of numbers. */
const isBytes = (value: object): boolean =>
  value instanceof ArrayBuffer || value instanceof DataView || value instanceof Int8Array

const bindOne = (value: unknown): unknown => {
  switch (typeof value) {
    case "string":
    case "boolean":
    case "undefined":
      return value
    case "number":
      return bindNumber(value)
    case "bigint":
      return value < int8Limit && value >= -int8Limit ? value : Unbound
    case "object":
      if (value === null || value instanceof Uint8Array) return value
      if (isJson(value)) return bindJson(value.value)
      return isBytes(value) ? bytesOf(value) : Unbound
  }
  return Unbound
}

/** Parameters that need no knowledge of the statement; `undefined` where one does, or is none at all. */
export const bind = (params: ReadonlyArray<unknown>): ReadonlyArray<unknown> | undefined => {
  let bound: Array<unknown> | undefined
  for (let index = 0; index < params.length; index++) {
    const value = params[index]
    if (typeof value === "string") continue
    const one = bindOne(value)
    if (one === Unbound) return undefined
    if (one === value) continue
    bound ??= params.slice()
    bound[index] = one
  }
  return bound ?? params
}

const isJsonName = (name: string | undefined): boolean => name === "json" || name === "jsonb"

const bindTypedOne = (writing: Writing, value: unknown, oid: number): unknown => {
  const simple = bindOne(value)
  const type = baseOf(writing.session, oid)
  if (simple !== Unbound) {
    const isScalar = typeof value === "number" || typeof value === "boolean" || typeof value === "bigint"
    return isScalar && isJsonName(type?.name) ? literal(writing, value, oid) : simple
  }
  if (isJson(value)) return jsonLiteral(writing, value.value)
  if (typeof value === "number") {
    if (isJsonName(type?.name)) return fail(writing, "is not finite, which json cannot hold")
    return dateTypes.has(type?.name ?? "") ? String(value) : PgTypes.float8(value)
  }
  if (typeof value === "bigint") {
    return type?.name === "numeric" || isJsonName(type?.name)
      ? String(value)
      : fail(
          writing,
          "is a bigint past ±2^63, where int8 ends. Cast the placeholder to numeric, or pass a string"
        )
  }
  if (typeof value === "function" || typeof value === "symbol") {
    return fail(writing, `is ${nameOf(value)}, which Postgres has no value for`)
  }
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) return fail(writing, "is an invalid Date")
    if (dateTypes.has(type?.name ?? "")) return dateLiteral(writing, value, type?.name ?? "")
    return isJsonName(type?.name) ? literal(writing, value, oid) : PgTypes.timestamptz(value)
  }
  const bytes = type?.kind === "array" ? undefined : bytesOf(value)
  if (bytes !== undefined) return bytes
  if (Array.isArray(value) && (type === undefined || type.name === "text")) return guessArray(writing, value)
  return literal(writing, value, oid)
}

const refusal = (writing: Writing, number: number): PoolError =>
  refused(`Parameter $${number} ${writing.problem}. The statement was not sent.`)

/** Parameters by the types that the server expects. */
export const bindTyped = (
  session: Session,
  params: ReadonlyArray<unknown>,
  types: ReadonlyArray<number> | undefined
): Result.Result<ReadonlyArray<unknown>, PoolError> => {
  const bound: Array<unknown> = []
  for (let index = 0; index < params.length; index++) {
    const writing: Writing = { session, problem: undefined }
    bound.push(bindTypedOne(writing, params[index], types?.[index] ?? 0))
    if (writing.problem !== undefined) return Result.fail(refusal(writing, index + 1))
  }
  return Result.succeed(bound)
}

/** One value for a column of a known type. */
export const bindValue = (
  session: Session,
  value: unknown,
  oid: number,
  number: number
): Result.Result<unknown, PoolError> => {
  if (value === null || value === undefined) return Result.succeed(value)
  if (value instanceof Uint8Array && baseOf(session, oid)?.name === "bytea") return Result.succeed(value)
  const writing: Writing = { session, problem: undefined }
  const text = literal(writing, value, oid)
  return writing.problem === undefined ? Result.succeed(text) : Result.fail(refusal(writing, number))
}

/** A column of values as one array. */
export const bindColumn = (
  session: Session,
  values: ReadonlyArray<unknown>,
  oid: number,
  number: number
): Result.Result<unknown, PoolError> => {
  const binary = Columns.binaryColumn(session, values, oid)
  if (binary !== undefined) return Result.succeed(binary)
  const writing: Writing = { session, problem: undefined }
  const text = Columns.textColumn(writing, values, oid)
  return writing.problem === undefined ? Result.succeed(text) : Result.fail(refusal(writing, number))
}
