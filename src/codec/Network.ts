/**
 * Network addresses as the server prints them. The cast of an `inet` to text always shows the prefix length; its output
 * function, which ranges and composites print with, leaves that of a single host away.
 */
import type { Read } from "./Bytes.ts"
import { hexByte, uint16 } from "./Bytes.ts"

const v4 = (bytes: Uint8Array, offset: number): string =>
  `${bytes[offset]}.${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}`

/** The longest run of zero words, which `::` stands for. */
const longestZeros = (words: ReadonlyArray<number>): { readonly base: number; readonly size: number } => {
  let best = { base: -1, size: 1 }
  let base = -1
  for (let index = 0; index <= 8; index++) {
    if (index < 8 && words[index] === 0) {
      if (base < 0) base = index
    } else if (base >= 0) {
      if (index - base > best.size) best = { base, size: index - base }
      base = -1
    }
  }
  return best.base < 0 ? { base: -1, size: 0 } : best
}

const v6 = (bytes: Uint8Array, offset: number): string => {
  const words = Array.from({ length: 8 }, (_, index) => uint16(bytes, offset + index * 2, 2))
  const zeros = longestZeros(words)
  let text = ""
  for (let index = 0; index < 8; index++) {
    if (zeros.base >= 0 && index >= zeros.base && index < zeros.base + zeros.size) {
      if (index === zeros.base) text += ":"
      continue
    }
    if (index !== 0) text += ":"
    const isV4 =
      index === 6 &&
      zeros.base === 0 &&
      (zeros.size === 6 || (zeros.size === 7 && words[7] !== 1) || (zeros.size === 5 && words[5] === 0xffff))
    if (isV4) return text + v4(bytes, offset + 12)
    text += words[index]!.toString(16)
  }
  return zeros.base >= 0 && zeros.base + zeros.size === 8 ? `${text}:` : text
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
