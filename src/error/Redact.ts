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
import { valueOf } from "../statement/Scanner.ts"
import { blank, type Marked } from "./Literals.ts"
import { holds, type Values } from "./Values.ts"

/** What is known of an error when its texts are cleaned. */
export interface Circumstances {
  readonly code: string
  /** The statement's text, empty when the error is not about one. */
  readonly text: string
  /** The values it had; `undefined` when nobody knows them. */
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
const closing = /["»«”“’」]/g
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

const mayShow = (content: string, before: string, at: Circumstances): boolean => {
  if (!/[\p{L}\p{N}]/u.test(content) && content.length <= 2) return true
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
  return at.values !== undefined && (at.values.none || !at.values.related(content))
}

const unquoted = (text: string, at: Circumstances): string =>
  at.values === undefined ? text : at.values.blank(text, at.raised)

const cleaned = (text: string, at: Circumstances): string => {
  let result = ""
  let kept = 0
  quoted.lastIndex = 0
  for (let match = quoted.exec(text); match !== null; match = quoted.exec(text)) {
    const before = text.slice(kept, match.index)
    const open = match[0].charAt(0)
    const close = match[0].charAt(match[0].length - 1)
    result += unquoted(before, at)
    kept = match.index + match[0].length
    if (mayShow(match[0].slice(1, -1), text.slice(0, match.index), at)) result += match[0]
    else {
      // A value may hold quotes of its own: the last mark is the first one that surely ends it.
      const rest = text.slice(kept)
      if (isData(at.code) || at.raised) {
        const last = Array.from(rest.matchAll(closing)).at(-1)
        if (last !== undefined) kept += last.index + 1
      }
      result += open + ellipsis + close
    }
    quoted.lastIndex = kept
  }
  return result + unquoted(text.slice(kept), at)
}

const shortened = (text: string): string =>
  text.length <= longest ? text : `${text.slice(0, longest).replace(/[\ud800-\udbff]$/, "")}${ellipsis}`

/** Bytes of a broken character are data; the one that a JavaScript string can really hold is NUL. */
const brokenBytes = /0x(?!00\b)[0-9a-f]{2}(?: 0x[0-9a-f]{2})*/g

/** A message with its quoted parts that may not be shown, and values without quotes, blanked. */
export const message = (text: string, at: Circumstances): string => {
  if (at.early && !isData(at.code)) return shortened(text)
  const clean = cleaned(at.values === undefined ? text : at.values.blankQuoting(text), at)
  return shortened(isData(at.code) ? clean.replace(brokenBytes, ellipsis) : clean)
}

/** A hint. Postgres's own speak of names and settings, also in a data exception. */
export const hint = (text: string, at: Circumstances): string =>
  message(text, at.raised || !isData(at.code) ? at : { ...at, code: "", early: false })

/** A detail; `undefined` when nothing of it may be shown. */
export const detail = (text: string, at: Circumstances): string | undefined => {
  for (const [pattern, replacement] of rows) if (pattern.test(text)) return text.replace(pattern, replacement)
  if (isViolation(at.code) && !at.raised) return harmless.test(text) ? text : undefined
  if (isXml(at.code)) return undefined
  return message(text, at)
}

const masked = (marked: Marked, at: Circumstances): Marked =>
  blank(marked, (token, before) => {
    if (token.kind === "symbol" || token.kind === "parameter" || before === "$") return false
    const value = valueOf(marked.text, token)
    if (holds(at.text, value) || (token.kind === "word" && at.values?.none)) return false
    return (
      token.kind === "string" ||
      token.kind === "number" ||
      at.values === undefined ||
      at.values.related(value)
    )
  })

/** A statement of a function, without its literals and without words that come from a parameter. */
export const innerQuery = (marked: Marked, at: Circumstances): Marked | undefined =>
  at.values === undefined ? undefined : masked(marked, at)

const entries = /\n(?=(?:PL\/|SQL |COPY |JSON |unnamed |extended |while |referenced |automatic |parallel ))/

const contextEntry = (entry: string, at: Circumstances): string | undefined => {
  if (/^(?:unnamed portal|extended query|portal ".*?") with parameters/s.test(entry)) return undefined
  const parameter = /^(?:unnamed portal|portal ".*?"|prepared statement ".*?") parameter \$(\d+)/.exec(entry)
  if (parameter !== null) return `parameter $${parameter[1]}`
  const data = /^(?:JSON data, line \d+|COPY [^,:]*, line \d+(?:, column [^:]*)?)/.exec(entry)
  if (data !== null) return data[0]
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
  const data0 = entry.search(/[:="'«»„“”‘’「」\n]/)
  return data0 < 0 ? unquoted(entry, at) : `${unquoted(entry.slice(0, data0).trimEnd(), at)} …`
}

/** Where it happened inside functions, one place in each line, innermost first. */
export const context = (text: string, at: Circumstances): ReadonlyArray<string> =>
  text.split(entries).flatMap((entry) => contextEntry(entry, at) ?? [])

/** A name from a field of its own; a user's function can put a value there. */
export const name = (text: string, at: Circumstances): string | undefined =>
  at.raised && (at.values === undefined || at.values.related(text)) && !holds(at.text, text)
    ? undefined
    : text
