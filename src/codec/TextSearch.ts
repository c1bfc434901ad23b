/**
 * `tsvector` and `tsquery` as the server prints them.
 */
import type { Read } from "./Bytes.ts"
import { cStringSize, int32, uint16, utf8 } from "./Bytes.ts"

const quoted = (lexeme: string): string => `'${lexeme.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`

const weights = ["", "C", "B", "A"]

export const readTsvector: Read<string> = (bytes, offset) => {
  const count = int32(bytes, offset)
  const lexemes: Array<string> = []
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
    lexemes.push(text)
  }
  return lexemes.join(" ")
}

/** How strongly an operator binds: not, and, or, phrase. */
const priorities = [0, 4, 2, 1, 3]

/** The operators come before their operands, the right operand before the left one. */
export const readTsquery: Read<string> = (bytes, offset) => {
  if (int32(bytes, offset) === 0) return ""
  let at = offset + 4
  const operand = (): string => {
    const weight = bytes[at]!
    const prefix = bytes[at + 1]!
    const size = cStringSize(bytes, at + 2)
    let text = quoted(utf8(bytes, at + 2, size))
    at += size + 3
    if (weight !== 0 || prefix !== 0) {
      text += `:${prefix !== 0 ? "*" : ""}`
      for (let bit = 3; bit >= 0; bit--) if ((weight & (1 << bit)) !== 0) text += "DCBA"[bit]
    }
    return text
  }
  const expression = (parent: number, rightOfPhrase: boolean): string => {
    if (bytes[at++] === 1) return operand()
    const operator = bytes[at++]!
    const priority = priorities[operator]!
    if (operator === 1) {
      const inner = expression(priority, false)
      return priority < parent ? `( !${inner} )` : `!${inner}`
    }
    let distance = 1
    if (operator === 4) {
      distance = uint16(bytes, at, 2)
      at += 2
    }
    const right = expression(priority, operator === 4)
    const left = expression(priority, false)
    const sign = operator === 2 ? "&" : operator === 3 ? "|" : distance === 1 ? "<->" : `<${distance}>`
    const text = `${left} ${sign} ${right}`
    return priority < parent || (operator === 4 && rightOfPhrase) ? `( ${text} )` : text
  }
  return expression(-1, false)
}
