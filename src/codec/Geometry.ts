/**
 * Points, lines and the rest of the plane, and `cube`, as the server prints them.
 */
import type { Read } from "./Bytes.ts"
import { int32, uint32 } from "./Bytes.ts"
import { writeFloat8 } from "./Numbers.ts"
import type { Output, Write } from "./Output.ts"
import { byte, printed, reserve, text } from "./Output.ts"

const comma = 44

/** Texts of numbers are 24 characters at most. */
const pointSize = 64

const writePoint = (out: Output, bytes: Uint8Array, offset: number): void => {
  byte(out, 40)
  writeFloat8(out, bytes, offset, 8)
  byte(out, comma)
  writeFloat8(out, bytes, offset + 8, 8)
  byte(out, 41)
}

const writePoints = (out: Output, bytes: Uint8Array, offset: number, count: number): void => {
  reserve(out, count * pointSize)
  for (let index = 0; index < count; index++) {
    if (index > 0) byte(out, comma)
    writePoint(out, bytes, offset + index * 16)
  }
}

/** What `write` prints, between two characters. */
const between =
  (open: string, write: Write, close: string): Write =>
  (out, bytes, offset, size) => {
    text(out, open)
    write(out, bytes, offset, size)
    text(out, close)
  }

const twoPoints: Write = (out, bytes, offset) => writePoints(out, bytes, offset, 2)

export const readPoint: Read<string> = printed(writePoint)

export const readSegment: Read<string> = printed(between("[", twoPoints, "]"))

export const readBox: Read<string> = printed(twoPoints)

export const readLine: Read<string> = printed(
  between(
    "{",
    (out, bytes, offset) => {
      writeFloat8(out, bytes, offset, 8)
      byte(out, comma)
      writeFloat8(out, bytes, offset + 8, 8)
      byte(out, comma)
      writeFloat8(out, bytes, offset + 16, 8)
    },
    "}"
  )
)

export const readCircle: Read<string> = printed(
  between(
    "<",
    (out, bytes, offset) => {
      writePoint(out, bytes, offset)
      byte(out, comma)
      writeFloat8(out, bytes, offset + 16, 8)
    },
    ">"
  )
)

/** An open path in brackets, a closed one in parentheses. */
export const readPath: Read<string> = printed((out, bytes, offset) => {
  const isClosed = bytes[offset] !== 0
  text(out, isClosed ? "(" : "[")
  writePoints(out, bytes, offset + 5, int32(bytes, offset + 1))
  text(out, isClosed ? ")" : "]")
})

export const readPolygon: Read<string> = printed(
  between("(", (out, bytes, offset) => writePoints(out, bytes, offset + 4, int32(bytes, offset)), ")")
)

/** `cube`: a point, or two opposite corners. */
export const readCube: Read<string> = printed((out, bytes, offset) => {
  const header = uint32(bytes, offset)
  const dimensions = header % 0x80000000
  const corner = (start: number): void => {
    reserve(out, dimensions * pointSize)
    text(out, "(")
    for (let index = 0; index < dimensions; index++) {
      if (index > 0) text(out, ", ")
      writeFloat8(out, bytes, start + index * 8, 8)
    }
    text(out, ")")
  }
  corner(offset + 4)
  if (header >= 0x80000000) return
  text(out, ",")
  corner(offset + 4 + dimensions * 8)
})
