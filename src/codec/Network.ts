/**
 * Network addresses as the server prints them. The cast of an `inet` to text always shows the prefix length; its output
 * function, which ranges and composites print with, leaves that of a single host away.
 */
import type { Read } from "./Bytes.ts"
import { hexByte, uint16 } from "./Bytes.ts"

const v4 = (bytes: Uint8Array, offset: number): string =>
  `${bytes[offset]}.${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}`

const word = (bytes: Uint8Array, offset: number, index: number): number =>
  uint16(bytes, offset + index * 2, 2)

/** Words in hexadecimal, separated by colons, from one index to before another. */
const words = (bytes: Uint8Array, offset: number, from: number, to: number): string => {
  let text = ""
  for (let index = from; index < to; index++) {
    text += `${index === from ? "" : ":"}${word(bytes, offset, index).toString(16)}`
  }
  return text
}

/** The longest run of two or more zero words becomes `::`; an address that stands for one of version 4 ends like it. */
const v6 = (bytes: Uint8Array, offset: number): string => {
  let base = -1
  let size = 1
  for (let index = 0; index < 8; index++) {
    const start = index
    while (index < 8 && word(bytes, offset, index) === 0) index++
    if (index - start > size) {
      base = start
      size = index - start
    }
  }
  if (base < 0) return words(bytes, offset, 0, 8)
  if (base === 0) {
    if (size === 6) return `::${v4(bytes, offset + 12)}`
    if (size === 5 && word(bytes, offset, 5) === 0xffff) return `::ffff:${v4(bytes, offset + 12)}`
  }
  return `${words(bytes, offset, 0, base)}::${words(bytes, offset, base + size, 8)}`
}

const address = (bytes: Uint8Array, offset: number): string =>
  bytes[offset] === 2 ? v4(bytes, offset + 4) : v6(bytes, offset + 4)

/** `inet` and `cidr` as `::text` shows them: with the prefix length. */
export const readInet: Read<string> = (bytes, offset) => `${address(bytes, offset)}/${bytes[offset + 1]}`

/** `inet` as its output function prints it, inside a range: `10.0.0.1`, `10.0.0.0/8`. */
export const readInetOutput: Read<string> = (bytes, offset) =>
  bytes[offset + 2] === 0 && bytes[offset + 1] === bytes[offset + 3]! * 8
    ? address(bytes, offset)
    : readInet(bytes, offset, 0)

/** `macaddr` and `macaddr8`. */
export const readMacaddr: Read<string> = (bytes, offset, size) => {
  let text = hexByte(bytes[offset]!)
  for (let index = 1; index < size; index++) text += `:${hexByte(bytes[offset + index]!)}`
  return text
}
