/**
 * `tsvector` and `tsquery` as the server prints them.
 */
import type { Read } from "./Bytes.ts"
import { cStringSize, int32, uint16 } from "./Bytes.ts"
import type { Output } from "./Output.ts"
import { byte, digits, printed, reserve, text } from "./Output.ts"

const space = 32
const quote = 39
const comma = 44
const colon = 58
const backslash = 92

/** More than twice as long as a lexeme can be. */
const lexemeRoom = 4096

/** Prints the lexeme at `offset` in quotes, doubling quotes and backslashes, and gives where it ends. */
const writeLexeme = (out: Output, bytes: Uint8Array, offset: number): number => {
  reserve(out, lexemeRoom)
  const target = out.bytes
  let { at } = out
  let all = 0
  target[at++] = quote
  let index = offset
  for (let code = bytes[index]!; code > 0; code = bytes[++index]!) {
    target[at++] = code
    if (code === quote || code === backslash) target[at++] = code
    all |= code
  }
  target[at++] = quote
  out.at = at
  if (all > 127) out.isAscii = false
  return index
}

/** Characters of the weights; the weakest, D, is not shown. */
const weights = [0, 67, 66, 65]

export const readTsvector: Read<string> = printed((out, bytes, offset) => {
  const count = int32(bytes, offset)
  let at = offset + 4
  for (let index = 0; index < count; index++) {
    if (index > 0) byte(out, space)
    at = writeLexeme(out, bytes, at) + 1
    const positions = uint16(bytes, at, 2)
    reserve(out, positions * 7)
    at += 2
    for (let position = 0; position < positions; position++) {
      const entry = uint16(bytes, at, 2)
      at += 2
      byte(out, position === 0 ? colon : comma)
      digits(out, entry & 0x3fff)
      if (entry >> 14 > 0) byte(out, weights[entry >> 14]!)
    }
  }
})

/** How strongly an operator binds: not, and, or, phrase. */
const priorities = [0, 4, 2, 1, 3]

/** Where the expression at `offset` ends. */
const endOf = (bytes: Uint8Array, offset: number): number => {
  let at = offset
  for (let left = 1; left > 0; left--) {
    if (bytes[at] === 1) {
      at += 3
      at += cStringSize(bytes, at) + 1
      continue
    }
    const operator = bytes[at + 1]!
    left += operator === 1 ? 1 : 2
    at += operator === 4 ? 4 : 2
  }
  return at
}

const writeOperand = (out: Output, bytes: Uint8Array, offset: number): void => {
  const weight = bytes[offset]!
  const prefix = bytes[offset + 1]!
  writeLexeme(out, bytes, offset + 2)
  if (weight === 0 && prefix === 0) return
  text(out, prefix === 0 ? ":" : ":*")
  for (let bit = 3; bit >= 0; bit--) if ((weight & (1 << bit)) !== 0) text(out, "DCBA"[bit]!)
}

/** An expression inside one that binds as strongly as `parent`. Operators come first, their right operand before the left. */
const writeExpression = (
  out: Output,
  bytes: Uint8Array,
  offset: number,
  parent: number,
  isRightOfPhrase: boolean
): void => {
  if (bytes[offset] === 1) {
    writeOperand(out, bytes, offset + 1)
    return
  }
  reserve(out, 0)
  const operator = bytes[offset + 1]!
  const priority = priorities[operator]!
  const isInside = priority < parent || (operator === 4 && isRightOfPhrase)
  if (isInside) text(out, "( ")
  if (operator === 1) {
    text(out, "!")
    writeExpression(out, bytes, offset + 2, priority, false)
  } else {
    const right = offset + (operator === 4 ? 4 : 2)
    writeExpression(out, bytes, endOf(bytes, right), priority, false)
    const distance = operator === 4 ? uint16(bytes, offset + 2, 2) : 0
    text(out, operator === 2 ? " & " : operator === 3 ? " | " : distance === 1 ? " <-> " : ` <${distance}> `)
    writeExpression(out, bytes, right, priority, operator === 4)
  }
  if (isInside) text(out, " )")
}

export const readTsquery: Read<string> = printed((out, bytes, offset) => {
  if (int32(bytes, offset) > 0) writeExpression(out, bytes, offset + 4, -1, false)
})
