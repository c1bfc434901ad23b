/**
 * Reading the wire: integers, text and hexadecimal out of a message's bytes, without a view or a copy where none is needed.
 */
import { Buffer } from "node:buffer"
import { ascii } from "./Ascii.ts"

/** Reads one value out of the `size` bytes at `offset`. */
export type Read<A = unknown> = (bytes: Uint8Array, offset: number, size: number) => A

export const int16 = (bytes: Uint8Array, offset: number): number =>
  (((bytes[offset]! << 8) | bytes[offset + 1]!) << 16) >> 16

export const uint16 = (bytes: Uint8Array, offset: number): number =>
  (bytes[offset]! << 8) | bytes[offset + 1]!

export const int32 = (bytes: Uint8Array, offset: number): number =>
  (bytes[offset]! << 24) | (bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) | bytes[offset + 3]!

export const uint32 = (bytes: Uint8Array, offset: number): number => int32(bytes, offset) >>> 0

const scratch = new DataView(new ArrayBuffer(8))

export const float32 = (bytes: Uint8Array, offset: number): number => {
  scratch.setInt32(0, int32(bytes, offset))
  return scratch.getFloat32(0)
}

export const float64 = (bytes: Uint8Array, offset: number): number => {
  scratch.setInt32(0, int32(bytes, offset))
  scratch.setInt32(4, int32(bytes, offset + 4))
  return scratch.getFloat64(0)
}

export const bigInt64 = (bytes: Uint8Array, offset: number): bigint => {
  scratch.setInt32(0, int32(bytes, offset))
  scratch.setInt32(4, int32(bytes, offset + 4))
  return scratch.getBigInt64(0)
}

/** An int64 as a number, or `NaN` where a number cannot hold it exactly. */
export const exactInt64 = (bytes: Uint8Array, offset: number): number => {
  const high = int32(bytes, offset)
  const value = high * 4294967296 + uint32(bytes, offset + 4)
  return high >= -0x200000 && high < 0x200000 && value !== -9007199254740992 ? value : Number.NaN
}

const strict = new TextDecoder("utf-8", { fatal: true })

/** Node's own decoder reads in place; it replaces invalid UTF-8, so a text with U+FFFD is read again, strictly. */
const utf8Slice: ((this: Uint8Array, start: number, end: number) => string) | undefined = Reflect.get(
  Buffer.prototype,
  "utf8Slice"
)

/** Text; throws when the bytes are no UTF-8. The server checks what it sends, whatever the encoding of the database. */
export const utf8: Read<string> = (bytes, offset, size) => {
  const short = ascii(bytes, offset, size)
  if (short !== undefined) return short
  if (utf8Slice !== undefined) {
    const text = utf8Slice.call(bytes, offset, offset + size)
    if (!text.includes("\ufffd")) return text
  }
  return strict.decode(bytes.subarray(offset, offset + size))
}

/** The bytes themselves, so that a value does not hold on to the message it came in. */
export const copy: Read<Uint8Array> = (bytes, offset, size) => {
  const own = new Uint8Array(size)
  if (size > 32) own.set(bytes.subarray(offset, offset + size))
  else for (let index = 0; index < size; index++) own[index] = bytes[offset + index]!
  return own
}

/** Lower-case hexadecimal digits. */
export const hex: Read<string> = (bytes, offset, size) =>
  size === 0 ? "" : Buffer.from(bytes.buffer, bytes.byteOffset + offset, size).toString("hex")
