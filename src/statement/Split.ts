/**
 * The statements of a text that holds several, as psql finds them: a semicolon ends one unless it stands in parentheses, in a
 * string or comment, or in the body of a function that is written as `begin atomic … end`.
 */
import { symbolOf, type Token, tokenAt, wordOf } from "./Scan.ts"

/** A statement of a script. */
export interface Part {
  readonly text: string
  /** The line on which it begins, from 1. */
  readonly line: number
  /** A backslash outside of quotes, which no statement has: a command of psql. */
  readonly hasBackslash: boolean
}

const linesIn = (text: string, from: number, to: number): number => {
  let lines = 0
  for (let at = text.indexOf("\n", from); at >= 0 && at < to; at = text.indexOf("\n", at + 1)) lines++
  return lines
}

/** The line of a text on which this place is, from 1. */
export const lineOf = (text: string, index: number): number => 1 + linesIn(text, 0, index)

/** How deep the next token stands in parentheses and in a body, as far as the tokens so far tell. */
const makeDepth = () => {
  let parentheses = 0
  let blocks = 0
  let last = ""
  return {
    isIn: () => parentheses > 0 || blocks > 0,
    take: (text: string, token: Token): void => {
      const value = wordOf(text, token) || symbolOf(text, token)
      if (value === "(") parentheses++
      else if (value === ")") parentheses = Math.max(0, parentheses - 1)
      // Behind a dot or `as` it is a name.
      else if (last === "." || last === "as") last = ""
      else if (blocks === 0 && value === "atomic" && last === "begin") blocks = 1
      else if (blocks > 0 && (value === "begin" || value === "case")) blocks++
      else if (blocks > 0 && value === "end") blocks--
      last = value
    }
  }
}

/** The statements in turn. What is only comments and white space is none. */
export const split = function* (text: string): Generator<Part> {
  let line = 1
  let counted = 0
  for (let from = 0; ; ) {
    const first = tokenAt(text, from)
    if (first.kind === "end") return
    const depth = makeDepth()
    let hasBackslash = false
    let token = first
    let end = first.start
    for (; token.kind !== "end"; token = tokenAt(text, token.end)) {
      const symbol = symbolOf(text, token)
      if (symbol === ";" && !depth.isIn()) break
      hasBackslash ||= symbol === "\\"
      depth.take(text, token)
      end = token.end
    }
    line += linesIn(text, counted, first.start)
    counted = first.start
    if (end > first.start) yield { text: text.slice(first.start, end), line, hasBackslash }
    from = token.end
  }
}
