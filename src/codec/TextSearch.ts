/**
 * `tsvector` and `tsquery` as the server prints them.
 */
import type { Read } from "./Bytes.ts"
import { cStringSize, int32, uint16, utf8 } from "./Bytes.ts"

const quoted = (lexeme: string): string =>
  lexeme.includes("'") || lexeme.includes("\\")
    ? `'${lexeme.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`
    : `'${lexeme}'`

const weights = ["", "C", "B", "A"]

export const readTsvector: Read<string> = (bytes, offset) => {
  const count = int32(bytes, offset)
  let vector = ""
  let at = offset + 4
  for (let index = 0; index < count; index++) {
    const size = cStringSize(bytes, at)
    let text = quoted(utf8(bytes, at, size))
    at += size + 1
    const positions = uint16(bytes, at, 2)
    at += 2
    for (let position = 0; position < positions; position++) {
      const entry = uint16(bytes, at, 2)
      at += 2
      text += `${position === 0 ? ":" : ","}${entry & 0x3fff}${weights[entry >> 14]}`
    }
    vector += index === 0 ? text : ` ${text}`
  }
  return vector
}

/** How strongly an operator binds: not, and, or, phrase. */
const priorities = [0, 4, 2, 1, 3]

/** Where reading has come to. */
interface Cursor {
  readonly bytes: Uint8Array
  at: number
}

const operand = (cursor: Cursor): string => {
  const { at, bytes } = cursor
  const weight = bytes[at]!
  const prefix = bytes[at + 1]!
  const size = cStringSize(bytes, at + 2)
  cursor.at = at + size + 3
  let text = quoted(utf8(bytes, at + 2, size))
  if (weight === 0 && prefix === 0) return text
  text += prefix === 0 ? ":" : ":*"
  for (let bit = 3; bit >= 0; bit--) if ((weight & (1 << bit)) !== 0) text += "DCBA"[bit]
  return text
}

/** An expression inside one that binds as strongly as `parent`. Operators come first, their right operand before the left. */
const expression = (cursor: Cursor, parent: number, isRightOfPhrase: boolean): string => {
  const { bytes } = cursor
  if (bytes[cursor.at++] === 1) return operand(cursor)
  const operator = bytes[cursor.at++]!
  const priority = priorities[operator]!
  if (operator === 1) {
    const inner = expression(cursor, priority, false)
    return priority < parent ? `( !${inner} )` : `!${inner}`
  }
  let sign = operator === 2 ? "&" : "|"
  if (operator === 4) {
    const distance = uint16(bytes, cursor.at, 2)
    cursor.at += 2
    sign = distance === 1 ? "<->" : `<${distance}>`
  }
  const right = expression(cursor, priority, operator === 4)
  const left = expression(cursor, priority, false)
  const needsParentheses = priority < parent || (operator === 4 && isRightOfPhrase)
  return needsParentheses ? `( ${left} ${sign} ${right} )` : `${left} ${sign} ${right}`
}

export const readTsquery: Read<string> = (bytes, offset) =>
  int32(bytes, offset) === 0 ? "" : expression({ bytes, at: offset + 4 }, -1, false)
