/**
 * Text under way: a value is printed as bytes, which one call at the end makes a string. That is several times as fast as
 * putting a string together from pieces, and the string does not hold on to them.
 */
import { Buffer } from "node:buffer"
import { ascii } from "./Ascii.ts"
import type { Read } from "./Bytes.ts"
import { utf8 } from "./Bytes.ts"

/** Prints the value of the `size` bytes at `offset` behind what was printed before. */
export type Write = (out: Output, bytes: Uint8Array, offset: number, size: number) => void

/** Printed so far are the bytes before `at`. */
export interface Output {
  bytes: Buffer
  at: number
  /** Whether all of it is ASCII, which is made a string faster. */
  isAscii: boolean
}

/** What may be printed without asking for room. */
const slack = 256

/** Makes room for this many bytes and the slack, which functions that do not say otherwise take for granted. */
export const reserve = (out: Output, size: number): void => {
  if (out.at + size + slack <= out.bytes.length) return
  const larger = Buffer.allocUnsafe(Math.max(out.bytes.length * 2, out.at + size + slack))
  larger.set(out.bytes.subarray(0, out.at))
  out.bytes = larger
}

const firstSize = 8192
const keptSize = 65_536

/** Reading is synchronous, so one is enough; a value that is printed inside another goes behind what is there. */
const shared: Output = { bytes: /* @__PURE__ */ Buffer.allocUnsafe(firstSize), at: 0, isAscii: true }

/** What `toString("latin1")` calls; called directly it takes a fifth less. */
const latin1Slice: ((this: Uint8Array, start: number, end: number) => string) | undefined = Reflect.get(
  Buffer.prototype,
  "latin1Slice"
)

const latin1 = (bytes: Buffer, start: number, end: number): string =>
  ascii(bytes, start, end - start) ??
  (latin1Slice === undefined ? bytes.toString("latin1", start, end) : latin1Slice.call(bytes, start, end))

/** Reads what `write` prints. */
export const printed =
  (write: Write): Read<string> =>
  (bytes, offset, size) => {
    const start = shared.at
    const wasAscii = shared.isAscii
    try {
      reserve(shared, 0)
      shared.isAscii = true
      write(shared, bytes, offset, size)
      return shared.isAscii
        ? latin1(shared.bytes, start, shared.at)
        : utf8(shared.bytes, start, shared.at - start)
    } finally {
      shared.at = start
      shared.isAscii = wasAscii
      if (start === 0 && shared.bytes.length > keptSize) shared.bytes = Buffer.allocUnsafe(firstSize)
    }
  }

export const byte = (out: Output, code: number): void => {
  out.bytes[out.at++] = code
}

/** A text of ASCII. */
export const text = (out: Output, value: string): void => {
  out.at = putText(out.bytes, out.at, value)
}

/** Any text; makes room itself. */
export const anyText = (out: Output, value: string): void => {
  reserve(out, value.length * 3)
  const size = out.bytes.write(value, out.at)
  out.at += size
  if (size !== value.length) out.isAscii = false
}

/** Bytes as they are; makes room itself. */
export const raw = (out: Output, from: Uint8Array, offset: number, size: number): void => {
  reserve(out, size)
  const { bytes } = out
  let { at } = out
  let all = 0
  for (let index = 0; index < size; index++) {
    const code = from[offset + index]!
    bytes[at++] = code
    all |= code
  }
  out.at = at
  if (all > 127) out.isAscii = false
}

/*
 * What prints many small pieces takes the bytes and a place in them, and gives the place behind: with both at hand a byte
 * costs a third.
 */

/** A text of ASCII. */
export const putText = (target: Uint8Array, start: number, value: string): number => {
  for (let index = 0; index < value.length; index++) target[start + index] = value.charCodeAt(index)
  return start + value.length
}

/** Two digits of a number below 100. */
export const putPair = (target: Uint8Array, at: number, value: number): number => {
  const tens = (value * 205) >> 11
  target[at] = 48 + tens
  target[at + 1] = 48 + value - tens * 10
  return at + 2
}

/** Four digits of a number below 10 000. */
export const putFour = (target: Uint8Array, at: number, value: number): number => {
  const high = (value * 5243) >> 19
  const low = value - high * 100
  const first = (high * 205) >> 11
  const third = (low * 205) >> 11
  target[at] = 48 + first
  target[at + 1] = 48 + high - first * 10
  target[at + 2] = 48 + third
  target[at + 3] = 48 + low - third * 10
  return at + 4
}

/** Eight digits of a number below 100 000 000. */
export const putEight = (target: Uint8Array, at: number, value: number): number => {
  const high = (value / 10_000) | 0
  putFour(target, at, high)
  return putFour(target, at + 4, (value | 0) - high * 10_000)
}

/** The digits of an integer below 10 000. */
const putFew = (target: Uint8Array, at: number, value: number): number => {
  if (value >= 1000) return putFour(target, at, value)
  if (value < 10) {
    target[at] = 48 + value
    return at + 1
  }
  if (value < 100) return putPair(target, at, value)
  const high = (value / 100) | 0
  target[at] = 48 + high
  return putPair(target, at + 1, value - high * 100)
}

/** The digits of an integer below 2^31. */
export const putSmall = (target: Uint8Array, at: number, value: number): number => {
  if (value < 10_000) return putFew(target, at, value)
  if (value < 100_000_000) {
    const high = (value / 10_000) | 0
    return putFour(target, putFew(target, at, high), value - high * 10_000)
  }
  const high = (value / 100_000_000) | 0
  return putEight(target, putFew(target, at, high), value - high * 100_000_000)
}

const large = 100_000_000

/** The digits of an integer from 0 to 2^53 − 1. */
export const putDigits = (target: Uint8Array, at: number, value: number): number => {
  if (value < large) return putSmall(target, at, value)
  const high = Math.floor(value / large)
  const end = high < large ? putSmall(target, at, high) : putDigits(target, at, high)
  return putEight(target, end, value - high * large)
}

/** The place behind the last digit that is no zero. */
export const withoutZeros = (target: Uint8Array, at: number): number => {
  let end = at
  while (target[end - 1] === 48) end--
  return end
}

export const digits = (out: Output, value: number): void => {
  out.at = putDigits(out.bytes, out.at, value)
}
