/**
 * What the text of a `COPY` shows: which way its data go over the connection, and the query that gives them.
 */
import { symbolOf, tokenAt, wordOf } from "./Scan.ts"

/** `"in"` for `FROM STDIN`, `"out"` for `TO STDOUT`. */
export type Direction = "in" | "out"

/** Where the data go of the `COPY` whose first word ends at `from`. Its first FROM or TO outside of parentheses says so. */
export const directionOf = (text: string, from: number): Direction | undefined => {
  let depth = 0
  for (let token = tokenAt(text, from); token.kind !== "end"; token = tokenAt(text, token.end)) {
    const symbol = symbolOf(text, token)
    const word = wordOf(text, token)
    if (symbol === "(") depth++
    else if (symbol === ")") depth--
    else if (depth === 0 && (word === "from" || word === "to")) {
      const stream = wordOf(text, tokenAt(text, token.end))
      if (stream !== "stdin" && stream !== "stdout") return undefined
      return word === "from" ? "in" : "out"
    }
  }
  return undefined
}

/** Where the query of `COPY (query) TO STDOUT` begins and ends, its parentheses not counted. */
export const queryOf = (text: string): readonly [start: number, end: number] | undefined => {
  const open = tokenAt(text, tokenAt(text, 0).end)
  if (text.charAt(open.start) !== "(") return undefined
  let depth = 1
  for (let token = tokenAt(text, open.end); token.kind !== "end"; token = tokenAt(text, token.end)) {
    const symbol = symbolOf(text, token)
    if (symbol === "(") depth++
    if (symbol === ")" && --depth === 0) return [open.end, token.start]
  }
  return undefined
}
