/**
 * The texts under which the values of a statement's parameters could turn up in what the server says.
 */

import { attempt } from "../statement/PlainObject.ts"
import { hex } from "../types/Bytes.ts"
import { bytesOf } from "../types/Literal.ts"

/** From this many characters on, a part of a value is blanked as well, not only the whole. */
const longRun = 16
/** From this many characters on, a name that holds a value, or that a value holds, counts as made from it. */
const longPart = 4

/** From this many characters on, a value is found inside of longer words, too. */
const telling = 8

export interface Values {
  /** No parameter has a text: nothing can turn up. */
  readonly none: boolean
  /** One of them holds quotation marks, which the server puts between quotation marks as they are. */
  readonly quoting: boolean
  /** One of them has several lines, which the server shows as they are. */
  readonly hasLines: boolean
  /** Whether this quoted name or value could come from a parameter. */
  readonly related: (content: string) => boolean
  /**
   * The text with what comes from a parameter blanked; `thorough` also blanks values of few characters, words that a value has,
   * and its numbers as a function may write them.
   */
  readonly blank: (text: string, thorough: boolean) => string
  /** The text without the values that hold quotation marks. */
  readonly blankQuoting: (text: string) => string
}

/** Parameters with more characters than this in all are not looked at: whatever could come from one is blanked. */
const mostCharacters = 1_000_000

/** A text in lower case, and as long as it was: `İ` would become two, and a `Σ` at the end of a word another letter. */
const lowered = (text: string): string => text.replaceAll("İ", "i").toLowerCase().replaceAll("ς", "σ")

const jsonOf = (value: object): string => attempt(() => JSON.stringify(value) ?? "", "")

/** Objects deeper inside a parameter are not looked at as json: the json around them holds theirs. */
const deepestJson = 1
/** A parameter with more values inside is not looked at either. */
const mostCollected = 100_000

/** Adds the texts of an object in lower case, save that as json, and gives what it holds. Throws for an invalid `Date`. */
const collectOne = (value: object, texts: Set<string>): ReadonlyArray<unknown> => {
  if (value instanceof Date) {
    const iso = value.toISOString().toLowerCase()
    for (const text of [iso, iso.slice(0, 10), iso.slice(11, 19), iso.slice(0, 19).replace("t", " ")])
      texts.add(text)
    return []
  }
  const bytes = bytesOf(value)
  if (bytes !== undefined) {
    const digits = hex(bytes, 0, bytes.length)
    texts.add(digits)
    texts.add(`\\x${digits}`)
    if (value instanceof Uint8Array) return []
  }
  return Object.values(value)
}

const numeric = /^[\d.]+(?:e[+-]?\d+)?$/
/** Numbers in groups of digits, and without: `1,234.50` can be one or two. */
const numbers = [/\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?/g, /\d+(?:\.\d+)?(?:e[+-]?\d+)?/gi]
/** From this many digits on, numbers with the same first ones are the same, rounded. */
const tellingDigits = 4

/** The digits of a number that stay where its decimal point moves. */
const digitsOf = (text: string): string =>
  text
    .replace(/e.*$/, "")
    .replace(/\D/g, "")
    .replace(/^0+|0+$/g, "")

interface Numeral {
  readonly digits: string
  readonly value: number
}

const numeralOf = (text: string): Numeral => ({
  digits: digitsOf(text),
  value: Number(text.replaceAll(",", ""))
})

/** Whether one number may be the other, grouped, rounded, or with another number of decimals. */
const isSameNumber = (one: Numeral, other: Numeral): boolean => {
  const shared = Math.min(one.digits.length, other.digits.length) - 1
  return shared >= tellingDigits
    ? one.digits.slice(0, shared) === other.digits.slice(0, shared)
    : one.value === other.value
}

/** A number as JavaScript shows it, and as Postgres does: with all digits of a whole one, and two of an exponent. */
const numberTexts = (value: number): ReadonlyArray<string> => {
  const text = String(value).toLowerCase()
  if (Number.isInteger(value)) return [text, String(BigInt(value))]
  return [text, text.replace(/e-(\d)$/, "e-0$1")]
}

const sizeOf = (value: unknown): number =>
  typeof value === "string"
    ? value.length
    : value instanceof ArrayBuffer || ArrayBuffer.isView(value)
      ? value.byteLength
      : 0

/** The texts of parameters, and of what they hold, in lower case, and whether there is a date among them. */
interface Collected {
  readonly texts: Set<string>
  readonly isDated: boolean
}

/** In a longer text most words of a message can be found. */
const fewCharacters = 200

/** What a text holds if it is json. */
const heldIn = (text: string): unknown => attempt((): unknown => JSON.parse(text), undefined)

/** A text with four digits may be a date, which the server writes in its own way. */
const year = /\d{4}/

/** Collects the texts of parameters; `undefined` where they are too long or too many. */
const collect = (params: ReadonlyArray<unknown>): Collected | undefined => {
  const texts = new Set<string>()
  const seen = new Set<object>()
  /** Written as json at the end: nothing too long is by then. */
  const asJson: Array<object> = []
  let isDated = false
  let size = 0
  for (const param of params) {
    // From the outside in: it grows as it is read.
    const found: Array<readonly [value: unknown, depth: number]> = [[param, 0]]
    let left = mostCollected
    for (const [value, depth] of found) {
      size += sizeOf(value)
      if (size > mostCharacters) return undefined
      if (typeof value === "string") {
        texts.add(lowered(value))
        isDated ||= year.test(value)
        if (value.length > fewCharacters) found.push([heldIn(value), deepestJson + 1])
      } else if (typeof value === "bigint") texts.add(String(value))
      else if (typeof value === "number") for (const text of numberTexts(value)) texts.add(text)
      if (typeof value !== "object" || value === null || seen.has(value)) continue
      seen.add(value)
      const inner = attempt(() => {
        isDated ||= value instanceof Date
        if (depth <= deepestJson && !(value instanceof Date || value instanceof Uint8Array))
          asJson.push(value)
        return collectOne(value, texts)
      }, [])
      left -= inner.length
      if (left < 0) return undefined
      for (const one of inner) found.push([one, depth + 1])
    }
  }
  for (const value of asJson) {
    const json = lowered(jsonOf(value))
    texts.add(json.startsWith('"') ? json.slice(1, -1) : json)
  }
  return { texts, isDated }
}

const isWordCharacter = (character: string): boolean => /[\p{L}\p{N}_$]/u.test(character)

/** Whether `part` stands in `text` at this place without being a piece of a longer word. */
const isBounded = (text: string, at: number, part: string): boolean =>
  !(isWordCharacter(part.charAt(0)) && at > 0 && isWordCharacter(text.charAt(at - 1))) &&
  !(isWordCharacter(part.charAt(part.length - 1)) && isWordCharacter(text.charAt(at + part.length)))

/** Whether `part` stands anywhere in `text` as a whole word or words. */
export const holds = (text: string, part: string): boolean => {
  for (let at = text.indexOf(part); at >= 0 && part !== ""; at = text.indexOf(part, at + 1)) {
    if (isBounded(text, at, part)) return true
  }
  return false
}

/** Numbers of `text` that are one of the values become an ellipsis. */
const withoutNumbers = (text: string, values: ReadonlyArray<Numeral>): string =>
  values.length === 0
    ? text
    : numbers.reduce(
        (left, pattern) =>
          left.replace(pattern, (number) => {
            const numeral = numeralOf(lowered(number))
            return values.some((value) => isSameNumber(numeral, value)) ? "…" : number
          }),
        text
      )

/** Words of `text` that one of the values has become an ellipsis; of a longer value only those with a digit. */
const withoutWords = (text: string, values: ReadonlyArray<string>): string =>
  text.replace(longWords, (word) => {
    const lower = lowered(word)
    const most = /\p{N}/u.test(word) ? mostCharacters : fewCharacters
    return values.some((value) => value.length <= most && value.includes(lower)) ? "…" : word
  })

/** Every occurrence of `part`, ignoring case, becomes an ellipsis. */
const without = (text: string, part: string): string => {
  const lower = lowered(text)
  let result = ""
  let kept = 0
  for (let at = lower.indexOf(part); at >= 0; at = lower.indexOf(part, at + 1)) {
    if (at < kept || (part.length < telling && !isBounded(lower, at, part))) continue
    result += `${text.slice(kept, at)}…`
    kept = at + part.length
  }
  return result + text.slice(kept)
}

/** Runs of `longRun` characters and more that one of the texts has too become an ellipsis. */
const withoutRuns = (text: string, long: ReadonlyArray<string>): string => {
  if (long.length === 0) return text
  const lower = lowered(text)
  let result = ""
  let kept = 0
  for (let at = 0; at + longRun <= text.length; at++) {
    let end = at + longRun
    const source = long.find((value) => value.includes(lower.slice(at, end)))
    if (source === undefined) continue
    while (end < text.length && source.includes(lower.slice(at, end + 1))) end++
    result += `${text.slice(kept, at)}…`
    kept = end
    at = end - 1
  }
  return result + text.slice(kept)
}

const timestamps = /\d{4,}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d(?::?\d\d)*)?)?/g
const edges = /^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu
const longWords = /[\p{L}\p{N}]{4,}/gu
const quotation = /["«»„“”‘’「」]/

/**
 * The values of these parameters; `undefined` where they are too long or too many to be looked at. Nested ones count one by one,
 * and booleans and NULL not at all.
 */
export const valuesOf = (params: ReadonlyArray<unknown>): Values | undefined => {
  const collected = collect(params)
  if (collected === undefined) return undefined
  const { isDated, texts } = collected
  let characters = 0
  for (const text of texts) characters += text.length
  if (characters > mostCharacters) return undefined
  texts.delete("")
  texts.delete("[]")
  texts.delete("{}")
  const words = new Set<string>()
  for (const text of Array.from(texts)) {
    const bare = text.replace(edges, "")
    texts.add(bare)
    for (const word of bare.match(longWords) ?? []) words.add(word)
  }
  texts.delete("")
  const all = Array.from(texts).sort((left, right) => right.length - left.length)
  const long = all.filter((text) => text.length >= longRun)
  const given = all.filter((text) => numeric.test(text)).map(numeralOf)
  return {
    none: all.length === 0,
    quoting: all.some((text) => quotation.test(text)),
    hasLines: all.some((text) => /[\n\r]/.test(text)),
    related: (content) => {
      const lower = lowered(content)
      for (const word of words) if (lower.includes(word)) return true
      return (
        all.some(
          (text) =>
            text === lower ||
            (text.length >= longPart ? lower.includes(text) : holds(lower, text)) ||
            (lower.length >= longPart ? text.includes(lower) : holds(text, lower))
        ) || withoutNumbers(content, given) !== content
      )
    },
    blankQuoting: (text) => all.filter((value) => quotation.test(value)).reduce(without, text),
    blank: (text, thorough) => {
      let result = isDated ? text.replace(timestamps, "…") : text
      for (const value of all) {
        if (thorough || value.length >= longPart) result = without(result, value)
      }
      result = withoutRuns(result, long)
      return thorough ? withoutNumbers(withoutWords(result, all), given) : result
    }
  }
}

const kindOf = (value: unknown): string => {
  if (value === null || value === undefined) return "NULL"
  if (typeof value !== "object") return `a ${typeof value}`
  return attempt(() => {
    if (Array.isArray(value)) return "an array"
    return value instanceof Date ? "a Date" : value instanceof Uint8Array ? "bytes" : "an object"
  }, "an object")
}

/** A parameter by its JavaScript type only, for instance `$2, a string`. */
export const describeParameter = (params: ReadonlyArray<unknown> | undefined, number: number): string =>
  params !== undefined && number <= params.length ? `$${number}, ${kindOf(params[number - 1])}` : `$${number}`
