/**
 * A column of values as one array parameter, for `insert … select * from unnest($1::int4[], $2::text[])`: in binary for the
 * usual types, which is fastest, else as text.
 */
import { Buffer } from "node:buffer"
import * as Result from "effect/Result"
import type { PoolError } from "../errors/PoolError.ts"
import { refused } from "../errors/PoolError.ts"
import type { Writing } from "./Literal.ts"
import { arrayLiteral, unreadable } from "./Literal.ts"
import type { WireValue } from "./PgType.ts"
import type { TypeMap } from "./TypeMap.ts"

/** Bytes that grow as they are written. */
interface Sink {
  bytes: Buffer
  at: number
}

const reserve = (sink: Sink, size: number): void => {
  if (sink.at + size <= sink.bytes.length) return
  const next = Buffer.allocUnsafe(Math.max(sink.bytes.length * 2, sink.at + size))
  next.set(sink.bytes.subarray(0, sink.at))
  sink.bytes = next
}

/** Writes one element with its length, or gives `false` where the value is no plain case of the type. */
type Write = (sink: Sink, value: unknown) => boolean

const integer =
  (size: 2 | 4, limit: number): Write =>
  (sink, value) => {
    if (typeof value !== "number" || !Number.isInteger(value) || value < -limit || value >= limit)
      return false
    sink.bytes.writeInt32BE(size, sink.at)
    if (size === 2) sink.bytes.writeInt16BE(value, sink.at + 4)
    else sink.bytes.writeInt32BE(value, sink.at + 4)
    sink.at += 4 + size
    return true
  }

const int8Limit = 2n ** 63n

const int8: Write = (sink, value) => {
  sink.bytes.writeInt32BE(8, sink.at)
  if (typeof value === "number" && Number.isSafeInteger(value)) {
    const high = Math.floor(value / 4294967296)
    sink.bytes.writeInt32BE(high, sink.at + 4)
    sink.bytes.writeUInt32BE(value - high * 4294967296, sink.at + 8)
  } else if (typeof value === "bigint" && value < int8Limit && value >= -int8Limit) {
    sink.bytes.writeBigInt64BE(value, sink.at + 4)
  } else return false
  sink.at += 12
  return true
}

const float8: Write = (sink, value) => {
  if (typeof value !== "number") return false
  sink.bytes.writeInt32BE(8, sink.at)
  sink.bytes.writeDoubleBE(value, sink.at + 4)
  sink.at += 12
  return true
}

/** Whether a finite number is none in single precision, or another than 0 is 0 there: the server refuses it. */
const isBeyondFloat4 = (value: number): boolean => {
  const single = Math.fround(value)
  return (Number.isFinite(value) && !Number.isFinite(single)) || (single === 0 && value !== 0)
}

const float4: Write = (sink, value) => {
  if (typeof value !== "number" || isBeyondFloat4(value)) return false
  sink.bytes.writeInt32BE(4, sink.at)
  sink.bytes.writeFloatBE(value, sink.at + 4)
  sink.at += 8
  return true
}

const bool: Write = (sink, value) => {
  if (typeof value !== "boolean") return false
  sink.bytes.writeInt32BE(1, sink.at)
  sink.bytes[sink.at + 4] = value ? 1 : 0
  sink.at += 5
  return true
}

const text: Write = (sink, value) => {
  if (typeof value !== "string") return false
  reserve(sink, 4 + value.length * 3)
  const size = sink.bytes.write(value, sink.at + 4, "utf8")
  sink.bytes.writeInt32BE(size, sink.at)
  sink.at += 4 + size
  return true
}

const bytea: Write = (sink, value) => {
  if (!(value instanceof Uint8Array)) return false
  reserve(sink, 4 + value.length)
  sink.bytes.writeInt32BE(value.length, sink.at)
  sink.bytes.set(value, sink.at + 4)
  sink.at += 4 + value.length
  return true
}

/** Between 1970 and 2000, from which Postgres counts microseconds. */
const epochMilliseconds = 946_684_800_000

const timestamp: Write = (sink, value) => {
  if (!(value instanceof Date)) return false
  const milliseconds = value.getTime() - epochMilliseconds
  const micros = milliseconds * 1000
  if (!Number.isSafeInteger(micros)) return false
  const high = Math.floor(micros / 4294967296)
  sink.bytes.writeInt32BE(8, sink.at)
  sink.bytes.writeInt32BE(high, sink.at + 4)
  sink.bytes.writeUInt32BE(micros - high * 4294967296, sink.at + 8)
  sink.at += 12
  return true
}

const uuidForm = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

const uuid: Write = (sink, value) => {
  if (typeof value !== "string" || !uuidForm.test(value)) return false
  sink.bytes.writeInt32BE(16, sink.at)
  sink.bytes.write(value.replaceAll("-", ""), sink.at + 4, "hex")
  sink.at += 20
  return true
}

const writers: Readonly<Record<string, Write>> = {
  int2: integer(2, 32768),
  int4: integer(4, 2147483648),
  int8,
  float4,
  float8,
  bool,
  text,
  varchar: text,
  bpchar: text,
  bytea,
  timestamp,
  timestamptz: timestamp,
  uuid
}

/** The column in binary, or `undefined` where its type or one of its values is no plain case. */
const binaryColumn = (
  types: TypeMap,
  values: ReadonlyArray<unknown>,
  oid: number
): Uint8Array | undefined => {
  const type = types.typeOf(oid)
  const isOwn = types.codecOf(oid) !== undefined
  const write = type?.kind === "base" && !isOwn ? writers[type.name] : undefined
  if (type === undefined || write === undefined || type.array === 0) return undefined
  const sink: Sink = { bytes: Buffer.allocUnsafe(1024 + values.length * 24), at: 20 }
  let hasNull = 0
  for (const value of values) {
    reserve(sink, 24)
    if (value === null || value === undefined) {
      sink.bytes.writeInt32BE(-1, sink.at)
      sink.at += 4
      hasNull = 1
    } else if (!write(sink, value)) return undefined
  }
  sink.bytes.writeInt32BE(values.length === 0 ? 0 : 1, 0)
  sink.bytes.writeInt32BE(hasNull, 4)
  sink.bytes.writeUInt32BE(oid, 8)
  sink.bytes.writeInt32BE(values.length, 12)
  sink.bytes.writeInt32BE(1, 16)
  return sink.bytes.subarray(0, values.length === 0 ? 12 : sink.at)
}

/** A column of values as one array parameter for `unnest($n::T[])`; `number` is for messages. */
export const encodeColumn = (
  types: TypeMap,
  values: ReadonlyArray<unknown>,
  oid: number,
  number: number
): Result.Result<WireValue, PoolError> => {
  const writing: Writing = { types, problem: undefined }
  let encoded: WireValue = null
  try {
    encoded = binaryColumn(types, values, oid) ?? arrayLiteral(writing, values, oid)
  } catch {
    writing.problem = unreadable
  }
  return writing.problem === undefined
    ? Result.succeed(encoded)
    : Result.fail(refused(`Parameter $${number} ${writing.problem}. The statement was not sent.`))
}
