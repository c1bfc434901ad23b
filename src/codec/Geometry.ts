/**
 * Points, lines and the rest of the plane, and `cube`, as the server prints them.
 */
import type { Read } from "./Bytes.ts"
import { int32, uint32 } from "./Bytes.ts"
import { putFloat8 } from "./Numbers.ts"
import type { Output, Write } from "./Output.ts"
import { byte, printed, putText, reserve } from "./Output.ts"

const open = 40
const close = 41
const comma = 44

const openSquare = 91
const closeSquare = 93

/** Texts of numbers are 24 characters at most. */
const numberSize = 32
const pointSize = 2 * numberSize

const putPoint = (target: Uint8Array, start: number, bytes: Uint8Array, offset: number): number => {
  target[start] = open
  let at = putFloat8(target, start + 1, bytes, offset)
  target[at] = comma
  at = putFloat8(target, at + 1, bytes, offset + 8)
  target[at] = close
  return at + 1
}

const writePoints = (out: Output, bytes: Uint8Array, offset: number, count: number): void => {
  reserve(out, count * pointSize)
  const target = out.bytes
  let { at } = out
  for (let index = 0; index < count; index++) {
    if (index > 0) target[at++] = comma
    at = putPoint(target, at, bytes, offset + index * 16)
  }
  out.at = at
}

/** Numbers, with a text between them. */
const writeFloats = (
  out: Output,
  bytes: Uint8Array,
  offset: number,
  count: number,
  separator: string
): void => {
  reserve(out, count * numberSize)
  const target = out.bytes
  let { at } = out
  for (let index = 0; index < count; index++) {
    if (index > 0) at = putText(target, at, separator)
    at = putFloat8(target, at, bytes, offset + index * 8)
  }
  out.at = at
}

/** What `write` prints, between two characters. */
const between = (before: string, write: Write, after: string): Write => {
  const first = before.charCodeAt(0)
  const last = after.charCodeAt(0)
  return (out, bytes, offset, size) => {
    byte(out, first)
    write(out, bytes, offset, size)
    byte(out, last)
  }
}

const twoPoints: Write = (out, bytes, offset) => writePoints(out, bytes, offset, 2)

export const readPoint: Read<string> = printed((out, bytes, offset) => writePoints(out, bytes, offset, 1))

export const readSegment: Read<string> = printed(between("[", twoPoints, "]"))

export const readBox: Read<string> = printed(twoPoints)

export const readLine: Read<string> = printed(
  between("{", (out, bytes, offset) => writeFloats(out, bytes, offset, 3, ","), "}")
)

export const readCircle: Read<string> = printed(
  between(
    "<",
    (out, bytes, offset) => {
      writePoints(out, bytes, offset, 1)
      byte(out, comma)
      writeFloats(out, bytes, offset + 16, 1, "")
    },
    ">"
  )
)

/** An open path in brackets, a closed one in parentheses. */
export const readPath: Read<string> = printed((out, bytes, offset) => {
  const isClosed = bytes[offset] !== 0
  byte(out, isClosed ? open : openSquare)
  writePoints(out, bytes, offset + 5, int32(bytes, offset + 1))
  byte(out, isClosed ? close : closeSquare)
})

export const readPolygon: Read<string> = printed(
  between("(", (out, bytes, offset) => writePoints(out, bytes, offset + 4, int32(bytes, offset)), ")")
)

/** `cube`: a point, or two opposite corners. */
export const readCube: Read<string> = printed((out, bytes, offset) => {
  const header = uint32(bytes, offset)
  const dimensions = header % 0x80000000
  const corner = between("(", (_, from, start) => writeFloats(out, from, start, dimensions, ", "), ")")
  corner(out, bytes, offset + 4, 0)
  if (header >= 0x80000000) return
  byte(out, comma)
  corner(out, bytes, offset + 4 + dimensions * 8, 0)
})
