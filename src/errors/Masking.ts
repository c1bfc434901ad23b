/**
 * What the server says, without the data it says it about.
 *
 * **Details**
 *
 * Postgres quotes both names and values, and its words alone do not tell them apart. A quoted text is shown when the statement's
 * own text has it, when the server names it as the table, column or constraint at fault, or when the server found
 * the error before it had any value. Else it is blanked if it could come from a parameter, and always in a data exception (class
 * 22). Rows and keys in details are always blanked: they show what is stored, too.
 */
import { tokenAt, valueOf } from "../statement/Scan.ts"
import { blank, hasPassword, type Marked } from "./BlankLiterals.ts"
import { holds, type Values } from "./ParameterValues.ts"

/** What is known of an error when its texts are cleaned. */
export interface Circumstances {
  readonly code: string
  /** The statement's text, empty when the error is not about one. */
  readonly text: string
  /** The values it had; `undefined` when they are not known. */
  readonly values: Values | undefined
  /** Names that the server gives in fields of their own. */
  readonly names: ReadonlyArray<string>
  /** The server points into the statement: it had not looked at a value yet. */
  readonly early: boolean
  /** The words are those of a user's function (`raise exception`), not Postgres's own. */
  readonly raised: boolean
}

const ellipsis = "…"
const longest = 2000
const quoted = /"[^"]*"|»[^«]*«|«[^»]*»|„[^“”]*[“”]|“[^”]*”|‘[^’]*’|「[^」]*」/g
const marks = /["»«„“”‘’「」]/
const allMarks = /["»«„“”‘’「」]/g
const closing = /["»«”“’」]/g
const isClosing = /["»«”“’」]/
/** Words behind which Postgres quotes a name, never a value, in a violation of a constraint. */
const beforeName = /\b(?:table|relation|constraint|column|type|domain|index|view|schema|partition|trigger)\s$/

const rows: ReadonlyArray<readonly [RegExp, string]> = [
  [/^Failing row contains .*$/s, "Failing row contains (…)."],
  [
    /^Partition key of the failing row contains \((.*?)\) = .*$/s,
    "Partition key of the failing row contains ($1) = (…)."
  ],
  [
    /^Key \((.*?)\)=\(.*\) (already exists|is duplicated|is not present in table "[^"]*"|is (?:still )?referenced from table "[^"]*")\.$/s,
    "Key ($1)=(…) $2."
  ],
  [
    /^Key \((.*?)\)=\(.*\) conflicts with (existing key|key) \(.*$/s,
    "Key ($1)=(…) conflicts with $2 ($1)=(…)."
  ]
]

const harmless = /^MATCH FULL does not allow|^Key is (?:not|still|referenced)/

const isViolation = (code: string): boolean => code.startsWith("23") || code.startsWith("44")
const isData = (code: string): boolean => code.startsWith("22")
const isXml = (code: string): boolean => /^2200[LMNST]$/.test(code)

/** Classes whose messages hold no value outside of quotes, so that a value that is a common word does not maim them. */
const wordsOnly = /^(?:08|23|25|28|40|44|53|57)/

const mayShow = (content: string, before: string, at: Circumstances): boolean => {
  if (holds(at.text, content)) return true
  if (!at.raised && at.names.includes(content)) return true
  if (at.raised && at.values?.none) return true
  if (isData(at.code))
    return (
      !at.raised &&
      at.values?.related(content) === false &&
      /\b(?:encoding|parameter|column|domain) $/.test(before)
    )
  if (!at.raised && isViolation(at.code) && beforeName.test(before)) return true
  return at.values?.related(content) === false
}

const unquoted = (text: string, at: Circumstances): string => {
  if (!at.raised && wordsOnly.test(at.code)) return text
  if (at.raised) return at.values === undefined ? "…" : at.values.blank(text, true)
  const colon = text.indexOf(": ")
  const tail = colon < 0 ? "" : text.slice(colon + 2)
  const shown =
    /\p{L}/u.test(tail) && at.values?.related(tail) !== false ? `${text.slice(0, colon)}: ${ellipsis}` : text
  return at.values === undefined ? shown : at.values.blank(shown, false)
}

/** What a data exception expected instead is not data: a brace, a comma. */
const isPunctuation = /^[{}[\](),:;.]$/

interface Part {
  readonly start: number
  readonly end: number
}

/** The quoted parts of a text. Values can hold quotes of their own; where one may, all between the first and last is one part. */
const partsOf = (text: string, at: Circumstances, maySay: (part: Part) => boolean): ReadonlyArray<Part> => {
  const parts = Array.from(text.matchAll(quoted), ({ index, 0: part }) => ({
    start: index,
    end: index + part.length
  }))
  const first = text.search(marks)
  if (first < 0 || (!at.raised && wordsOnly.test(at.code))) return parts
  const last = Array.from(text.matchAll(closing)).at(-1)?.index ?? first
  const whole = { start: first, end: last === first ? text.length : last + 1 }
  const isClosed = parts.length * 2 === text.match(allMarks)!.length
  if (!isClosed || at.values?.quoting !== false) return [whole]
  if (!isData(at.code) && !at.raised) return parts
  const shown = parts.findIndex((part) => !maySay(part))
  return shown < 0 ? parts : [...parts.slice(0, shown), { start: parts[shown]!.start, end: last + 1 }]
}

const cleaned = (text: string, at: Circumstances, punctuation: boolean): string => {
  const maySay = ({ start, end }: Part): boolean => {
    const content = text.slice(start + 1, end - 1)
    return (
      mayShow(content, text.slice(Math.max(0, start - 64), start), at) ||
      (punctuation && isPunctuation.test(content))
    )
  }
  let result = ""
  let kept = 0
  for (const part of partsOf(text, at, maySay)) {
    const { start, end } = part
    const close = isClosing.test(text.charAt(end - 1)) && end > start + 1 ? text.charAt(end - 1) : ""
    result += unquoted(text.slice(kept, start), at)
    result += maySay(part) ? text.slice(start, end) : `${text.charAt(start)}${ellipsis}${close}`
    kept = end
  }
  return result + unquoted(text.slice(kept), at)
}

/** Longer texts are not read as a whole. */
const longestRead = 100_000

/** Both ends of a text that is too long to be read; a value that is quoted in it stays between its quotes. */
const readable = (text: string): string =>
  text.length <= longestRead ? text : `${text.slice(0, longest)}${ellipsis}${text.slice(-longest)}`

/** A text as far as it is shown. */
export const shortened = (text: string): string =>
  text.length <= longest ? text : `${text.slice(0, longest).replace(/[\ud800-\udbff]$/, "")}${ellipsis}`

/** Bytes of a broken character are data; the one that a JavaScript string can really hold is NUL. */
const brokenBytes = /0x(?!00\b)[0-9a-f]{2}(?: 0x[0-9a-f]{2})*/g

/** What `COPY` says of the form of its data: names of columns and counts of fields; what was found in the data is left out. */
const forms: ReadonlyArray<readonly [RegExp, string]> = [
  [/^missing data for column ".*"$/s, "$&"],
  [/^wrong number of fields in header line: got \d+, expected \d+$/, "$&"],
  [
    /^(column name mismatch in header line field \d+): got .*, expected ("[^"]*")$/s,
    `$1: got ${ellipsis}, expected $2`
  ]
]

/** A message with its quoted parts that may not be shown, and values without quotes, blanked. */
export const message = (text: string, at: Circumstances, punctuation = false): string => {
  // It may quote a password, up to the end of a statement whose quotes do not match.
  if (at.early && !isData(at.code)) return hasPassword(at.text) ? text.replace(/ at or near ".*$/s, "") : text
  const form = at.code === "22P04" && !at.raised ? forms.find(([pattern]) => pattern.test(text)) : undefined
  if (form !== undefined) return text.replace(...form)
  const said = readable(text)
  const clean = cleaned(at.values === undefined ? said : at.values.blankQuoting(said), at, punctuation)
  return isData(at.code) ? clean.replace(brokenBytes, ellipsis) : clean
}

/** A hint. Postgres's own speak of names and settings, also in a data exception. */
export const hint = (text: string, at: Circumstances): string =>
  message(text, at.raised || !isData(at.code) ? at : { ...at, code: "", early: false })

/** A detail; `undefined` when nothing of it may be shown. */
export const detail = (text: string, at: Circumstances): string | undefined => {
  for (const [pattern, replacement] of rows) if (pattern.test(text)) return text.replace(pattern, replacement)
  if (isViolation(at.code) && !at.raised) return harmless.test(text) ? text : undefined
  if (isXml(at.code)) return undefined
  return message(text, at, true)
}

/** A statement of a function, without its literals and without words that come from a parameter. */
export const innerQuery = (marked: Marked, { text, values }: Circumstances): Marked | undefined => {
  if (values === undefined) return undefined
  return blank(marked, (token, before) => {
    if (token.kind === "symbol" || token.kind === "parameter" || before === "$") return false
    const value = valueOf(marked.text, token)
    if (holds(text, value)) return false
    return (
      token.kind === "string" ||
      token.kind === "number" ||
      values.related(token.kind === "word" ? marked.text.slice(token.start, token.end) : value)
    )
  })
}

const entries = /\n(?=(?:PL\/|SQL |COPY |JSON |unnamed |extended |while |referenced |automatic |parallel ))/

/** Where what an entry says of data begins. */
const data = /[:="'«»„“”‘’「」\n]/

const contextEntry = (entry: string, at: Circumstances): string | undefined => {
  if (entry === "") return undefined
  const parameter = /^(?:unnamed portal|portal ".*?"|prepared statement ".*?") parameter \$(\d+)/.exec(entry)
  if (parameter !== null) return `parameter $${parameter[1]}`
  const line = /^(?:JSON data, line \d+|COPY [^,:]*, line \d+(?:, column [^:]*)?)/.exec(entry)
  if (line !== null) return line[0]
  const query = /^(SQL (?:statement|expression)) "(.*)"$/s.exec(entry)
  if (query !== null) {
    const inner = innerQuery({ text: query[2]!, index: undefined }, at)
    return inner === undefined ? query[1] : `${query[1]} "${shortened(inner.text)}"`
  }
  const place =
    /^(?:PL\/\w+|SQL) function "?[^"'\n]*"?(?: line \d+ at [\w ]+| statement \d+| during [\w ]+)?$/.test(
      entry
    )
  if (place) return entry
  const begin = entry.search(data)
  return begin < 0 ? unquoted(entry, at) : `${unquoted(entry.slice(0, begin).trimEnd(), at)} …`
}

/** Values at the end of a context: of parameters, where a setting adds them, and of a `COPY`. Their lines can look like entries. */
const lastValues = [
  /(?:^|\n)(?:unnamed portal|extended query|portal "[^"]*") with parameters.*$/s,
  / = (?<=(?:^|\n)(?:unnamed portal|portal "[^"]*") parameter \$\d+ = ).*$/s,
  /[:：](?<=(?:^|\n)COPY [^:：\n]*.).*$/s
]

/** Where a statement ends that a context quotes from `from` on: at the mark that ends its line and is in none of its literals. */
const statementEnd = (text: string, from: number): number => {
  for (let token = tokenAt(text, from); token.kind !== "end"; token = tokenAt(text, token.end))
    if (/^"(?:\n|$)/.test(text.slice(token.start, token.start + 2))) return token.start + 1
  return text.length
}

/** The entries of a context. What one shows can have lines that look like entries; nothing is read behind one where it may. */
const entriesOf = (text: string, { values }: Circumstances): ReadonlyArray<string> => {
  const found: Array<string> = []
  let left = text
  while (left !== "") {
    const query = /^SQL (?:statement|expression) "/.exec(left)
    const end =
      query === null ? left.slice(1).search(entries) + 1 || left.length : statementEnd(left, query[0].length)
    const entry = left.slice(0, end)
    found.push(entry)
    if (query === null && values?.hasLines !== false && data.test(entry)) break
    left = left.slice(end).replace(/^\n/, "")
  }
  return found
}

/** Where it happened inside functions, one place in each line, innermost first. */
export const context = (text: string, at: Circumstances): ReadonlyArray<string> =>
  entriesOf(
    lastValues.reduce((left, value) => left.replace(value, ""), text),
    at
  ).flatMap((entry) => contextEntry(entry, at) ?? [])

/** A name from a field of its own; a user's function can put a value there. */
export const name = (text: string, at: Circumstances): string | undefined =>
  at.raised && (at.values === undefined || at.values.related(text)) && !holds(at.text, text)
    ? undefined
    : text
