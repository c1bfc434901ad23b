/**
 * JavaScript values in Postgres's binary format, each with its length in front: fields of a binary `COPY`, and elements of an
 * array parameter.
 *
 * Only plain cases are written: a type whose binary form is simple, and a value that is what such a column is read as. A
 * writer gives `false` for anything else, which goes to the server as text (`Literal.ts`), so that one place knows what an odd
 * value means and why it is refused.
 *
 * The formats are those of the server's receive functions (`int4recv`, `numeric_recv` … in `src/backend/utils/adt`).
 */
import { isSql } from "../statement/Sql.ts"
import { oids } from "./BuiltinTypes.ts"
import { singleOf } from "./Float4.ts"
import type { Writing } from "./Literal.ts"
import { bytesOf, isInt8, literal, numberText } from "./Literal.ts"
import { putInt16, putInt32, putInt64, putText, reserve, type Sink, setInt32 } from "./Sink.ts"
import type { TypeLookup } from "./TypeLookup.ts"

/** Writes a value that is not NULL, or gives `false`; then what it wrote so far has no meaning. */
export type Write = (sink: Sink, value: unknown) => boolean

const epochMilliseconds = 946_684_800_000
const dayMilliseconds = 86_400_000
const scratch = new DataView(new ArrayBuffer(8))

/** Makes room for a value of this size, and puts the size in front of it. */
const sized = (sink: Sink, size: number): void => {
  reserve(sink, 4 + size)
  putInt32(sink, size)
}

/** Makes room for a value of this size at the most; gives where it begins, behind its size. */
const open = (sink: Sink, most: number): number => {
  reserve(sink, 4 + most)
  sink.at += 4
  return sink.at
}

/** Puts the size of what was written since `start` in front of it. */
const close = (sink: Sink, start: number): void => setInt32(sink.bytes, start - 4, sink.at - start)

const int2: Write = (sink, value) => {
  if (typeof value !== "number" || (value << 16) >> 16 !== value) return false
  sized(sink, 2)
  putInt16(sink, value)
  return true
}

const int4: Write = (sink, value) => {
  if (typeof value !== "number" || (value | 0) !== value) return false
  sized(sink, 4)
  putInt32(sink, value)
  return true
}

const int8: Write = (sink, value) => {
  const isBig = typeof value === "bigint" && isInt8(value)
  if (!isBig && !(typeof value === "number" && Number.isSafeInteger(value))) return false
  sized(sink, 8)
  if (typeof value === "number") putInt64(sink, value)
  else {
    putInt32(sink, Number(BigInt.asIntN(32, value >> 32n)))
    putInt32(sink, Number(BigInt.asIntN(32, value)))
  }
  return true
}

const float8: Write = (sink, value) => {
  if (typeof value !== "number") return false
  sized(sink, 8)
  scratch.setFloat64(0, value)
  putInt32(sink, scratch.getInt32(0))
  putInt32(sink, scratch.getInt32(4))
  return true
}

const float4: Write = (sink, value) => {
  if (typeof value !== "number") return false
  const single = singleOf(value)
  // The server refuses a number that overflows or vanishes in single precision.
  if ((Number.isFinite(value) && !Number.isFinite(single)) || (single === 0 && value !== 0)) return false
  sized(sink, 4)
  scratch.setFloat32(0, single)
  putInt32(sink, scratch.getInt32(0))
  return true
}

const bool: Write = (sink, value) => {
  if (typeof value !== "boolean") return false
  sized(sink, 1)
  sink.bytes[sink.at++] = value ? 1 : 0
  return true
}

const text: Write = (sink, value) => {
  if (typeof value !== "string") return false
  const start = open(sink, value.length * 3)
  putText(sink, value)
  close(sink, start)
  return true
}

const bytea: Write = (sink, value) => {
  const bytes = value instanceof Uint8Array ? bytesOf(value) : undefined
  if (bytes === undefined) return false
  sized(sink, bytes.length)
  sink.bytes.set(bytes, sink.at)
  sink.at += bytes.length
  return true
}

const timestamp: Write = (sink, value) => {
  if (value instanceof Date) {
    const micros = (value.getTime() - epochMilliseconds) * 1000
    if (!Number.isSafeInteger(micros)) return false
    sized(sink, 8)
    putInt64(sink, micros)
    return true
  }
  if (value !== Number.POSITIVE_INFINITY && value !== Number.NEGATIVE_INFINITY) return false
  sized(sink, 8)
  putInt32(sink, value > 0 ? 0x7fffffff : -0x80000000)
  putInt32(sink, value > 0 ? -1 : 0)
  return true
}

const isoDay = /^(?!0000)\d{4}-\d\d-\d\d$/

/** The time of a day in the ISO form; `NaN` where the month does not have it, which is the server's to refuse. */
const timeOfDay = (day: string): number => {
  const time = isoDay.test(day) ? Date.parse(day) : Number.NaN
  return Number.isNaN(time) || new Date(time).toISOString().slice(0, 10) !== day ? Number.NaN : time
}

/** A text, or a `Date`, which stands for its day in UTC. */
const date: Write = (sink, value) => {
  const time =
    value instanceof Date ? value.getTime() : typeof value === "string" ? timeOfDay(value) : Number.NaN
  if (Number.isNaN(time)) return false
  sized(sink, 4)
  putInt32(sink, Math.floor((time - epochMilliseconds) / dayMilliseconds))
  return true
}

const uuidForm = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

const uuid: Write = (sink, value) => {
  if (typeof value !== "string" || !uuidForm.test(value)) return false
  sized(sink, 16)
  sink.bytes.write(value.replaceAll("-", ""), sink.at, "hex")
  sink.at += 16
  return true
}

const numericForm = /^(-?)(?=\.?\d)0*(\d{0,1000})(?:\.(\d{0,1000}))?$/

/** Digits of base 10 000: how many, the weight of the first, a sign, the decimal places, the digits. */
const numeric: Write = (sink, value) => {
  if (typeof value !== "string" && typeof value !== "number" && typeof value !== "bigint") return false
  const found = numericForm.exec(typeof value === "number" ? numberText(value) : String(value))
  if (found === null) return false
  const [, sign, whole = "", fraction = ""] = found
  const lead = Math.ceil(whole.length / 4)
  const digits = `${whole.padStart(lead * 4, "0")}${fraction.padEnd(Math.ceil(fraction.length / 4) * 4, "0")}`
  reserve(sink, 12 + digits.length)
  const start = sink.at
  sink.at += 12
  let first = 0
  let last = start + 12
  for (let at = 0; at < digits.length; at += 4) {
    const digit = Number(digits.slice(at, at + 4))
    if (digit === 0 && sink.at === start + 12) {
      first++
      continue
    }
    putInt16(sink, digit)
    if (digit !== 0) last = sink.at
  }
  const count = (last - start - 12) / 2
  sink.at = start
  putInt32(sink, 8 + count * 2)
  putInt16(sink, count)
  putInt16(sink, count === 0 ? 0 : lead - first - 1)
  putInt16(sink, sign === "-" && count > 0 ? 0x4000 : 0)
  putInt16(sink, fraction.length)
  sink.at = last
  return true
}

/** The text of a json value, behind the version that `jsonb` has in front. */
const json =
  (types: TypeLookup, oid: number): Write =>
  (sink, value) => {
    // What a template splices is no data.
    if (isSql(value)) return false
    const writing: Writing = { types, problem: undefined }
    const written = literal(writing, value, oid)
    if (written === null) return false
    const start = open(sink, 1 + written.length * 3)
    if (oid === oids.jsonb) sink.bytes[sink.at++] = 1
    putText(sink, written)
    close(sink, start)
    return true
  }

/** The values of an array of one dimension, with what says so in front. */
export const putArray = (
  sink: Sink,
  values: ReadonlyArray<unknown>,
  element: number,
  write: Write
): boolean => {
  reserve(sink, 20)
  const start = sink.at
  putInt32(sink, values.length === 0 ? 0 : 1)
  putInt32(sink, 0)
  putInt32(sink, element)
  if (values.length === 0) return true
  putInt32(sink, values.length)
  putInt32(sink, 1)
  for (let index = 0; index < values.length; index++) {
    const value = values[index]
    if (value === null || value === undefined) {
      reserve(sink, 4)
      putInt32(sink, -1)
      sink.bytes[start + 7] = 1
    } else if (!write(sink, value)) return false
  }
  return true
}

/** An array. Arrays inside of it are further dimensions, which are left to the text, unless one is a value of the element's type. */
const array =
  (element: number, write: Write): Write =>
  (sink, value) => {
    if (!Array.isArray(value)) return false
    const start = open(sink, 0)
    if (!putArray(sink, value, element, write)) return false
    close(sink, start)
    return true
  }

const writers: ReadonlyMap<number, Write> = new Map([
  [oids.bool, bool],
  [oids.bytea, bytea],
  [oids.int2, int2],
  [oids.int4, int4],
  [oids.int8, int8],
  [oids.float4, float4],
  [oids.float8, float8],
  [oids.numeric, numeric],
  [oids.text, text],
  [oids.varchar, text],
  [oids.bpchar, text],
  [oids.date, date],
  [oids.timestamp, timestamp],
  [oids.timestamptz, timestamp],
  [oids.uuid, uuid]
])

/** How values of a type are written; `undefined` where its binary form is not simple. */
export const writerOf = (types: TypeLookup, oid: number): Write | undefined => {
  const type = types.baseOf(oid)
  if (type?.kind === "enum") return text
  if (type?.kind === "array") {
    const element = writerOf(types, type.of)
    return element === undefined ? undefined : array(type.of, element)
  }
  if (type?.oid === oids.json || type?.oid === oids.jsonb) return json(types, type.oid)
  return writers.get(type?.oid ?? 0)
}
