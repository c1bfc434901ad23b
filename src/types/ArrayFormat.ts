/**
 * Arrays of any number of dimensions, from either format. Lower bounds are not kept; NULL elements are `null`.
 *
 * The text format is described in the PostgreSQL manual, "Array Input and Output Syntax" (arrays, 8.15.6).
 */
import { int32, uint32 } from "./Bytes.ts"
import { type Locale, malformed, type ReadBinary, type ReadText } from "./PgType.ts"

/** A flat list of values as nested arrays of these lengths. */
const nest = (values: ReadonlyArray<unknown>, shape: ReadonlyArray<number>): ReadonlyArray<unknown> => {
  let level = values
  for (let depth = shape.length - 1; depth > 0; depth--) {
    const length = shape[depth]!
    level = Array.from({ length: level.length / length }, (_, index) =>
      level.slice(index * length, (index + 1) * length)
    )
  }
  return level
}

/** Postgres has no arrays of more. */
const mostDimensions = 6

/** Reads an array whose elements are read by `element`. */
export const fromBinary =
  (element: ReadBinary): ReadBinary<ReadonlyArray<unknown>> =>
  (bytes, offset, size, locale) => {
    const dimensions = int32(bytes, offset)
    if (dimensions === 0) return []
    if (dimensions < 0 || dimensions > mostDimensions) throw malformed()
    const shape: Array<number> = []
    let count = 1
    for (let depth = 0; depth < dimensions; depth++) {
      const length = int32(bytes, offset + 12 + depth * 8)
      shape.push(length)
      count *= length
    }
    // Each element has a length of four bytes at least.
    if (!(count * 4 <= size)) throw malformed()
    let at = offset + 12 + dimensions * 8
    const values: Array<unknown> = []
    for (let index = 0; index < count; index++) {
      const length = int32(bytes, at)
      at += 4
      if (length < 0) values.push(null)
      else {
        values.push(element(bytes, at, length, locale))
        at += length
      }
    }
    return nest(values, shape)
  }

/** Reads an array that names the type of its elements itself; `read` is how a value of a type is read. */
export const anyFromBinary =
  (read: (oid: number) => ReadBinary): ReadBinary<ReadonlyArray<unknown>> =>
  (bytes, offset, size, locale) =>
    fromBinary(read(uint32(bytes, offset + 8)))(bytes, offset, size, locale)

const backslash = 92
const quote = 34
const open = 123
const close = 125

/** Reads the text of an array whose elements are read by `element` and stand between delimiters. */
export const fromText = (element: ReadText, delimiter: string): ReadText<ReadonlyArray<unknown>> => {
  const separator = delimiter.charCodeAt(0)
  return (text, locale) => {
    // Behind the bounds, where there are any: [0:1]={1,2}
    let at = text.indexOf("{")

    /** Behind an opening quote. */
    const quoted = (): string => {
      let value = ""
      let from = at
      for (;;) {
        const code = text.charCodeAt(at)
        if (code === quote) {
          value += text.slice(from, at)
          at++
          return value
        }
        if (code === backslash) {
          value += text.slice(from, at)
          at++
          from = at
        }
        at++
        if (at > text.length) return value
      }
    }

    /** What needs no quotes: the server quotes what has a backslash. */
    const bare = (): unknown => {
      const from = at
      for (; at < text.length; at++) {
        const code = text.charCodeAt(at)
        if (code === separator || code === close) break
      }
      const value = text.slice(from, at)
      return value === "NULL" ? null : element(value, locale)
    }

    /** Behind an opening brace. */
    const level = (): ReadonlyArray<unknown> => {
      const values: Array<unknown> = []
      while (at < text.length) {
        const code = text.charCodeAt(at)
        if (code === close) {
          at++
          break
        }
        if (code === separator) at++
        else if (code === open) {
          at++
          values.push(level())
        } else if (code === quote) {
          at++
          values.push(element(quoted(), locale))
        } else values.push(bare())
      }
      return values
    }

    at++
    return level()
  }
}

/** Reads the text of an `int2vector` or `oidvector`: `1 2 3`. */
export const fromVectorText =
  (element: ReadText): ReadText<ReadonlyArray<unknown>> =>
  (text: string, locale: Locale) =>
    text === "" ? [] : text.split(" ").map((one) => element(one, locale))
