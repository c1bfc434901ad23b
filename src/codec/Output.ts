/**
 * Text under way: a value is printed as bytes, which one call at the end makes a string. That is several times as fast as
 * putting a string together from pieces, and the string does not hold on to them.
 */
import { Buffer } from "node:buffer"
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
        ? shared.bytes.toString("latin1", start, shared.at)
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
  const { bytes } = out
  let { at } = out
  for (let index = 0; index < value.length; index++) bytes[at++] = value.charCodeAt(index)
  out.at = at
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

/** Two digits of a number below 100. */
export const putPair = (target: Uint8Array, at: number, value: number): number => {
  const tens = (value * 205) >> 11
  target[at] = 48 + tens
  target[at + 1] = 48 + value - tens * 10
  return at + 2
}

/** Four digits of a number below 10 000. */
export const putFour = (target: Uint8Array, at: number, value: number): number => {
  const high = (value / 100) | 0
  return putPair(target, putPair(target, at, high), value - high * 100)
}

/** The digits of an integer below 2^31, at least `least` of them. */
const putSmall = (target: Uint8Array, at: number, value: number, least: number): number => {
  let count = value < 10 ? 1 : value < 100 ? 2 : value < 1000 ? 3 : 4
  for (let limit = 10_000; count < 10 && value >= limit; limit *= 10) count++
  if (count < least) count = least
  let rest = value
  for (let place = at + count - 1; place >= at; place--) {
    const next = (rest / 10) | 0
    target[place] = 48 + rest - next * 10
    rest = next
  }
  return at + count
}

const half = 1_000_000_000

/** The digits of an integer from 0 to 2^53 − 1, at least `least` of them, which is at most nine. */
export const putDigits = (target: Uint8Array, at: number, value: number, least: number): number => {
  if (value < half) return putSmall(target, at, value, least)
  const high = Math.floor(value / half)
  return putSmall(target, putSmall(target, at, high, 1), value - high * half, 9)
}

/** The place behind the last digit that is no zero. */
export const withoutZeros = (target: Uint8Array, at: number): number => {
  let end = at
  while (target[end - 1] === 48) end--
  return end
}

export const digits = (out: Output, value: number, least = 1): void => {
  out.at = putDigits(out.bytes, out.at, value, least)
}
