/**
 * Values as Effect's own Postgres driver has them: what its codecs read, and what it makes of parameters. For `pgdb.client`,
 * which stands where `PgClient.layer` stood; loaded with it.
 *
 * **Details**
 *
 * Every type that the driver has a codec for is read by it, those that a program has registered (`PgTypes.register`) included.
 * Arrays of such types have as many dimensions as the server says, where the driver takes one.
 */
import * as PgTypes from "@effect/sql-pg/PgTypes"
import * as Result from "effect/Result"
import { type PoolError, refused } from "../errors/PoolError.ts"
import { attempt, isArray } from "../statement/PlainObject.ts"
import { oids } from "./BuiltinTypes.ts"
import { unreadable } from "./Literal.ts"
import { encodedAs } from "./Parameters.ts"
import type { ReadBinary, WireValue } from "./PgType.ts"
import type { OwnReaders } from "./TypeMap.ts"

/** Whether the driver has a codec: only without one does it refuse to encode with these words. */
const hasCodec = (oid: number): boolean => {
  const tried = Result.try(() => PgTypes.encode(undefined, oid))
  return (
    Result.isFailure(tried) ||
    Result.isSuccess(tried.success) ||
    tried.success.failure.message !== `No codec registered for OID ${oid}`
  )
}

/** The driver gives views of what it has received, which would keep all of it. */
const copied = (value: unknown): unknown => (value instanceof Uint8Array ? new Uint8Array(value) : value)

/** The driver's reader of a type, if it has one. */
export const driverReaders: OwnReaders = (oid): ReadBinary | undefined => {
  if (!hasCodec(oid)) return undefined
  const read = PgTypes.makeFieldReader([{ dataTypeOid: oid, format: 1 }])
  if (Result.isFailure(read)) return undefined
  const { success } = read
  return (bytes, offset, size) => copied(success(bytes, offset, size, 0))
}

const float8Array = 1022

/** The driver sends numbers that are not safe integers as `float8`. */
const isFloat = (value: unknown): value is number => typeof value === "number" && !Number.isSafeInteger(value)

const isFloats = (value: unknown): value is ReadonlyArray<number | null> =>
  isArray(value) &&
  value.some(isFloat) &&
  value.every((element) => element === null || typeof element === "number")

const unreadableValue = /* @__PURE__ */ Result.fail(unreadable)

const encodeTyped = (value: unknown): Result.Result<unknown, string> => {
  const parameter = attempt(() => (PgTypes.isParameter(value) ? value : undefined), undefined)
  if (parameter === undefined) return Result.succeed(value)
  const { oid, value: given } = parameter
  if (given === null || given === undefined) return Result.succeed(encodedAs(oid, null, null))
  if (oid === 0) return Result.succeed(encodedAs(0, String(given), given))
  return attempt(
    () =>
      Result.mapBoth(PgTypes.encodeParameter(parameter), {
        onFailure: ({ message }) => message,
        onSuccess: (bytes: WireValue) => encodedAs(oid, bytes, given)
      }),
    unreadableValue
  )
}

/** A parameter as the driver would bind it; what it cannot bind is left to this package. */
const encode = (value: unknown): Result.Result<unknown, string> => {
  if (Object.is(value, -0)) return Result.succeed(0)
  if (isFloat(value)) return Result.succeed(encodedAs(oids.float8, String(value), value))
  if (isFloats(value)) {
    const text = `{${value.map((element) => (element === null ? "NULL" : String(element))).join(",")}}`
    return Result.succeed(encodedAs(float8Array, text, value))
  }
  return encodeTyped(value)
}

type Parameters = ReadonlyArray<unknown>

const encodeAll =
  (encode: (value: unknown) => Result.Result<unknown, string>) =>
  (params: Parameters): Result.Result<Parameters, PoolError> => {
    const encoded: Array<unknown> = []
    for (const [index, value] of params.entries()) {
      const one = encode(value)
      if (Result.isFailure(one)) {
        return Result.fail(
          refused(`Parameter $${index + 1} cannot be encoded: ${one.failure}. The statement was not sent.`)
        )
      }
      encoded.push(one.success)
    }
    return Result.succeed(encoded)
  }

/** Parameters with a type of their own, such as `PgTypes.jsonb(value)`, encoded; all others as they are. */
export const typedParameters = encodeAll(encodeTyped)

/** Parameters as the driver would bind them. */
export const driverParameters = encodeAll(encode)
