/**
 * Points, lines and the rest of the plane, and `cube`, as the server prints them.
 */
import type { Read } from "./Bytes.ts"
import { float64, int32, uint32 } from "./Bytes.ts"
import { float8Text } from "./Numbers.ts"

const coordinate = (bytes: Uint8Array, offset: number): string => float8Text(float64(bytes, offset))

const point = (bytes: Uint8Array, offset: number): string =>
  `(${coordinate(bytes, offset)},${coordinate(bytes, offset + 8)})`

const points = (bytes: Uint8Array, offset: number, count: number): string => {
  let text = count > 0 ? point(bytes, offset) : ""
  for (let index = 1; index < count; index++) text += `,${point(bytes, offset + index * 16)}`
  return text
}

export const readPoint: Read<string> = (bytes, offset) => point(bytes, offset)

export const readSegment: Read<string> = (bytes, offset) => `[${points(bytes, offset, 2)}]`

export const readBox: Read<string> = (bytes, offset) => points(bytes, offset, 2)

export const readLine: Read<string> = (bytes, offset) =>
  `{${coordinate(bytes, offset)},${coordinate(bytes, offset + 8)},${coordinate(bytes, offset + 16)}}`

export const readCircle: Read<string> = (bytes, offset) =>
  `<${point(bytes, offset)},${coordinate(bytes, offset + 16)}>`

/** An open path in brackets, a closed one in parentheses. */
export const readPath: Read<string> = (bytes, offset) => {
  const inner = points(bytes, offset + 5, int32(bytes, offset + 1))
  return bytes[offset] === 0 ? `[${inner}]` : `(${inner})`
}

export const readPolygon: Read<string> = (bytes, offset) =>
  `(${points(bytes, offset + 4, int32(bytes, offset))})`

/** `cube`: a point, or two opposite corners. */
export const readCube: Read<string> = (bytes, offset) => {
  const header = uint32(bytes, offset)
  const isPoint = header >= 0x80000000
  const dimensions = header % 0x80000000
  const corner = (start: number): string => {
    const texts: Array<string> = []
    for (let index = 0; index < dimensions; index++) texts.push(coordinate(bytes, start + index * 8))
    return `(${texts.join(", ")})`
  }
  const lower = corner(offset + 4)
  return isPoint ? lower : `${lower},${corner(offset + 4 + dimensions * 8)}`
}
