/**
 * The words of a statement, found the way Postgres finds them: comments nest, a string may hold anything, a dollar quote
 * ends only at its own tag, `a$b$` is a name and `$1` a parameter.
 *
 * A token says where it stands in the text; nothing is copied until `valueOf` asks. Every text has tokens, also one that
 * Postgres would refuse, and each character is looked at a bounded number of times. Strings are read as with
 * `standard_conforming_strings = on`, the default; `asConforming` gives a text that means so what the given one means with
 * `off`.
 */

/** `word` is a bare identifier or key word, `name` a quoted one; `symbol` is one character of anything else. */
export type Kind = "word" | "name" | "string" | "number" | "parameter" | "symbol" | "end"

/** A piece of the statement: the characters from `start` up to, not including, `end`. */
export interface Token {
  readonly kind: Kind
  readonly start: number
  readonly end: number
}

const isSpace = (code: number): boolean => code === 32 || (code >= 9 && code <= 13)
const isDigit = (code: number): boolean => code >= 48 && code <= 57
const isNewline = (code: number): boolean => code === 10 || code === 13
const isWordStart = (code: number): boolean =>
  (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === 95 || code >= 128
const isTagPart = (code: number): boolean => isWordStart(code) || isDigit(code)
const isWordPart = (code: number): boolean => isTagPart(code) || code === 36

const quote = 39
const doubleQuote = 34
const backslash = 92
const dollar = 36

/** Where the line comment that starts at `from` ends. */
const lineEnd = (text: string, from: number): number => {
  let at = from
  while (at < text.length && !isNewline(text.charCodeAt(at))) at++
  return at
}

/** Where the nested comment that starts at `from` ends; -1 when it never does. */
const commentEnd = (text: string, from: number): number => {
  let depth = 0
  let at = from
  while (at < text.length) {
    const code = text.charCodeAt(at)
    if (code === 47 && text.charCodeAt(at + 1) === 42) {
      depth++
      at += 2
    } else if (code === 42 && text.charCodeAt(at + 1) === 47) {
      depth--
      at += 2
      if (depth === 0) return at
    } else at++
  }
  return -1
}

/** Where a text quoted by `mark` ends, `from` being behind its opening mark. Doubled marks belong to it. */
const quotedEnd = (text: string, from: number, mark: number, escapes: boolean): number => {
  let at = from
  while (at < text.length) {
    const code = text.charCodeAt(at)
    if (code === mark) {
      if (text.charCodeAt(at + 1) !== mark) return at + 1
      at += 2
    } else at += escapes && code === backslash ? 2 : 1
  }
  return text.length
}

/** Behind the opening quote of the next segment when the string goes on in a later line, else -1. */
const continuation = (text: string, from: number): number => {
  let at = from
  let newline = false
  while (at < text.length) {
    const code = text.charCodeAt(at)
    if (isSpace(code)) {
      newline ||= isNewline(code)
      at++
    } else if (code === 45 && text.charCodeAt(at + 1) === 45) at = lineEnd(text, at)
    else return newline && code === quote ? at + 1 : -1
  }
  return -1
}

/** An `E'…'` string with all its segments: backslashes escape in the later ones too. */
const escapedEnd = (text: string, from: number): number => {
  let end = quotedEnd(text, from, quote, true)
  for (let next = continuation(text, end); next >= 0; next = continuation(text, end)) {
    end = quotedEnd(text, next, quote, true)
  }
  return end
}

const digitsEnd = (text: string, from: number): number => {
  let at = from
  while (isDigit(text.charCodeAt(at)) || (text.charCodeAt(at) === 95 && isDigit(text.charCodeAt(at + 1))))
    at++
  return at
}

const otherBase = /0[xob][\da-f_]+/iy

const numberEnd = (text: string, from: number): number => {
  otherBase.lastIndex = from
  if (text.charCodeAt(from) === 48 && otherBase.test(text)) return otherBase.lastIndex
  let at = digitsEnd(text, from)
  if (text.charCodeAt(at) === 46 && text.charCodeAt(at + 1) !== 46) at = digitsEnd(text, at + 1)
  const exponent = text.charCodeAt(at) | 32
  if (exponent === 101) {
    const sign = text.charCodeAt(at + 1)
    const digits = sign === 43 || sign === 45 ? at + 2 : at + 1
    if (isDigit(text.charCodeAt(digits))) at = digitsEnd(text, digits)
  }
  return at
}

const token = (kind: Kind, start: number, end: number): Token => ({ kind, start, end })

const afterDollar = (text: string, start: number): Token => {
  if (isDigit(text.charCodeAt(start + 1))) return token("parameter", start, digitsEnd(text, start + 1))
  let at = start + 1
  if (isWordStart(text.charCodeAt(at))) while (isTagPart(text.charCodeAt(at))) at++
  if (text.charCodeAt(at) !== dollar) return token("symbol", start, start + 1)
  const tag = text.slice(start, at + 1)
  const close = text.indexOf(tag, at + 1)
  return token("string", start, close < 0 ? text.length : close + tag.length)
}

const word = (text: string, start: number): Token => {
  let at = start + 1
  while (isWordPart(text.charCodeAt(at))) at++
  if (at !== start + 1) return token("word", start, at)
  const letter = text.charCodeAt(start) | 32
  const next = text.charCodeAt(at)
  if (next === quote) {
    if (letter === 101) return token("string", start, escapedEnd(text, at + 1)) // E'…'
    if (letter === 98 || letter === 120 || letter === 110) {
      return token("string", start, quotedEnd(text, at + 1, quote, false)) // B'…' X'…' N'…'
    }
  } else if (letter === 117 && next === 38) {
    const mark = text.charCodeAt(at + 1)
    if (mark === quote) return token("string", start, quotedEnd(text, at + 2, quote, false)) // U&'…'
    if (mark === doubleQuote) return token("name", start, quotedEnd(text, at + 2, doubleQuote, false)) // U&"…"
  }
  return token("word", start, at)
}

/**
 * The first token at or behind `from`; of kind `end` when there is none.
 */
export const tokenAt = (text: string, from: number): Token => {
  let at = from
  while (at < text.length) {
    const code = text.charCodeAt(at)
    if (isSpace(code)) at++
    else if (isWordStart(code)) return word(text, at)
    else if (code === 45 && text.charCodeAt(at + 1) === 45) at = lineEnd(text, at)
    else if (code === 47 && text.charCodeAt(at + 1) === 42) {
      const end = commentEnd(text, at)
      if (end < 0) return token("symbol", at, text.length)
      at = end
    } else if (code === quote) return token("string", at, quotedEnd(text, at + 1, quote, false))
    else if (code === doubleQuote) return token("name", at, quotedEnd(text, at + 1, doubleQuote, false))
    else if (code === dollar) return afterDollar(text, at)
    else if (isDigit(code) || (code === 46 && isDigit(text.charCodeAt(at + 1)))) {
      return token("number", at, numberEnd(text, at))
    } else return token("symbol", at, at + 1)
  }
  return token("end", text.length, text.length)
}

const unicodeEscape = /\\(?:\\|([0-9A-Fa-f]{4})|\+([0-9A-Fa-f]{6}))/g

const unescape = (content: string): string =>
  content.replace(unicodeEscape, (whole, four: string | undefined, six: string | undefined) => {
    const point = Number.parseInt(four ?? six ?? "5c", 16)
    return point <= 0x10ffff ? String.fromCodePoint(point) : whole
  })

/**
 * What a token means: a word in lower case, a name or string without its quotes and with its doubled marks undone, any
 * other token as it stands. Backslash escapes of an `E'…'` string stay as they are written.
 */
export const valueOf = (text: string, { kind, start, end }: Token): string => {
  const raw = text.slice(start, end)
  if (kind === "word") return raw.toLowerCase()
  if (kind === "name") {
    const unicode = raw.charCodeAt(0) !== doubleQuote
    const content = raw.slice(unicode ? 3 : 1, -1).replaceAll('""', '"')
    return unicode ? unescape(content) : content
  }
  if (kind !== "string") return raw
  if (raw.charCodeAt(0) === dollar) {
    const tag = raw.indexOf("$", 1) + 1
    return raw.slice(tag, raw.length - tag)
  }
  const open = raw.indexOf("'")
  const content = raw.slice(open + 1, -1).replaceAll("''", "'")
  return raw.charCodeAt(1) === 38 ? unescape(content) : content
}

/** A bare word in lower case; empty for any other token. */
export const wordOf = (text: string, token: Token): string =>
  token.kind === "word" ? valueOf(text, token) : ""

/** A symbol; empty for any other token. */
export const symbolOf = (text: string, token: Token): string =>
  token.kind === "symbol" ? text.charAt(token.start) : ""

/** The text with each string in which backslashes would escape, if strings were not conforming, as an `E'…'` string. */
export const asConforming = (text: string): string => {
  let result = ""
  let from = 0
  for (let token = tokenAt(text, 0); token.kind !== "end"; ) {
    let { end } = token
    if (token.kind === "string" && /^[nN]?'/.test(text.slice(token.start, token.start + 2))) {
      const mark = text.indexOf("'", token.start)
      end = escapedEnd(text, mark + 1)
      result += `${text.slice(from, token.start)} E${text.slice(mark, end)}`
      from = end
    }
    token = tokenAt(text, end)
  }
  return result + text.slice(from)
}
