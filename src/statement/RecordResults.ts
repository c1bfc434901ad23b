/**
 * Whether a statement may return an anonymous record, such as `row(1, 'x')`.
 *
 * Only the binary format names the types of a record's fields, so a statement that may return one is described
 * before its first run. The answer errs on the side of yes: that costs one round trip at the first run and nothing later.
 * Columns of tables and views are never records, so the usual statements are plainly none.
 */
import type { Token } from "./Scan.ts"
import { tokenAt, valueOf } from "./Scan.ts"

/** Words in front of a parenthesis that begins an expression. */
const beforeExpression = new Set(
  "select distinct all then else when returning and or not on where having by case between is values like".split(
    " "
  )
)
/** Words behind which a name stands for a table and not for its row. */
const beforeTable = new Set("from join as with recursive into update using only lateral table".split(" "))
const subquery = new Set(["select", "with", "values", "table"])
/** Behind the name of a `with` query. */
const definition = /^as (?:(?:not )?materialized )?\(/

/** Words that are names only in quotes: behind a parenthesis they go on with the statement. */
const reserved = new Set(
  (
    "all and any array asc between by case collate cross desc distinct else end except fetch for full group having ilike in inner " +
    "intersect is isnull left like limit natural not notnull null offset on or order overlaps returning right select similar " +
    "tablesample then to union when where window with"
  ).split(" ")
)

interface Word {
  readonly text: string
  readonly before: string
  readonly after: string
}

/** The words, names and symbols of a statement with their neighbours, in lower case. A name in quotes is not a reserved word. */
const wordsOf = (text: string): ReadonlyArray<Word> => {
  const values: Array<string> = []
  for (let token: Token = tokenAt(text, 0); token.kind !== "end"; token = tokenAt(text, token.end)) {
    const isText = token.kind === "word" || token.kind === "name" || token.kind === "symbol"
    const value = isText ? valueOf(text, token) : "?"
    values.push(token.kind === "name" && reserved.has(value) ? `${value}"` : value)
  }
  return values.map((text, index) => ({
    text,
    before: values[index - 1] ?? "",
    after: values[index + 1] ?? ""
  }))
}

const isName = (text: string): boolean => /^[\p{L}_]/u.test(text)

/** Functions whose result is a record, where they are not called in `from`. */
const returnsRecord = /^jsonb?_each(?:_text)?$/

/** `row(…)`, or an expression in parentheses with a comma. */
const hasRow = (words: ReadonlyArray<Word>): boolean => {
  const open: Array<boolean> = []
  for (const { after, before, text } of words) {
    if (text === "row" && after === "(") return true
    if (returnsRecord.test(text) && !beforeTable.has(before)) return true
    if (text === "(") {
      const begins = !isName(before) || beforeExpression.has(before)
      open.push(begins && before !== "?" && !subquery.has(after))
    } else if (text === ")") open.pop()
    else if (text === "," && open.at(-1) === true) return true
  }
  return false
}

const defines = (words: ReadonlyArray<Word>, index: number): boolean => {
  if (words[index]?.after !== "as") return false
  const next = words.slice(index + 1, index + 5).map(({ text }) => text)
  return definition.test(next.join(" "))
}

/** Names of subqueries, of `with` queries and of functions in `from`, and other names for those. */
const aliasesOf = (words: ReadonlyArray<Word>): ReadonlySet<string> => {
  const aliases = new Set<string>()
  const take = (name: string) => {
    if (isName(name) && !beforeTable.has(name) && !reserved.has(name)) aliases.add(name)
  }
  for (const [index, { after, before, text }] of words.entries()) {
    if (text === ")") take(after === "as" ? (words[index + 2]?.text ?? "") : after)
    else if (defines(words, index)) take(text)
    else if (before === "ordinality") take(text === "as" ? after : text)
    else if (aliases.has(text) && isName(after)) take(after === "as" ? (words[index + 2]?.text ?? "") : after)
  }
  return aliases
}

/** A name that stands for a whole row of something that is no table. */
const hasWholeRow = (words: ReadonlyArray<Word>): boolean => {
  const aliases = aliasesOf(words)
  return (
    aliases.size > 0 &&
    words.some(
      ({ after, before, text }, index) =>
        aliases.has(text) &&
        !defines(words, index) &&
        after !== "." &&
        after !== "(" &&
        before !== "." &&
        before !== ")" &&
        !beforeTable.has(before)
    )
  )
}

const knownSources = /record|^\s*(?:call|fetch|execute)\b/i

export const mayReturnRecord = (text: string): boolean => {
  if (knownSources.test(text)) return true
  // Most statements have no parentheses but those of functions.
  if (!text.includes("(")) return false
  const words = wordsOf(text)
  return hasRow(words) || hasWholeRow(words)
}
