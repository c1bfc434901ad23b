/**
 * Arrays as Postgres reads them: `{1,2,NULL}`, `{{a,b},{c,d}}`.
 */
import type { Writing } from "./Literal.ts"
import { baseOf, fail, literal, nameOf, takesArray } from "./Literal.ts"

const needsQuotes = /[\\"]/

const quote = (text: string): string =>
  needsQuotes.test(text) ? `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"` : `"${text}"`

const listOf = (value: unknown): ReadonlyArray<unknown> | undefined => {
  if (Array.isArray(value)) return value
  if (!ArrayBuffer.isView(value) || value instanceof DataView) return undefined
  return Symbol.iterator in value && typeof value[Symbol.iterator] === "function"
    ? Array.from(iterable(value))
    : undefined
}

const iterable = function* (view: object): Generator<unknown> {
  const length: unknown = Reflect.get(view, "length")
  for (let index = 0; typeof length === "number" && index < length; index++) yield Reflect.get(view, index)
}

/**
 * An array for elements of this type. Arrays inside it are further dimensions, which have to be of one length, unless one
 * array is a value of the element's type, as for json.
 */
export const arrayLiteral = (writing: Writing, value: unknown, element: number): string | null => {
  const values = listOf(value)
  const type = baseOf(writing.session, element)
  if (values === undefined) {
    return fail(writing, `is ${nameOf(value)}, and the server expects an array of ${type?.name ?? "values"}`)
  }
  // An array as an element: json, a vector, a domain over an array.
  const isFlat = takesArray(type) || type?.kind === "array"
  const delimiter = type?.delimiter ?? ","
  const shape: Array<number> = []
  let leafDepth = -1
  let isRagged = false
  const level = (items: ReadonlyArray<unknown>, depth: number): string => {
    if (shape[depth] === undefined) shape[depth] = items.length
    else if (shape[depth] !== items.length) isRagged = true
    let text = ""
    for (let index = 0; index < items.length; index++) {
      const item = items[index]
      if (index > 0) text += delimiter
      if (!isFlat && Array.isArray(item)) {
        text += level(item, depth + 1)
        continue
      }
      if (leafDepth < 0) leafDepth = depth
      else if (leafDepth !== depth) isRagged = true
      const inner = literal(writing, item, element)
      text +=
        inner === null ? "NULL" : typeof item === "number" || typeof item === "boolean" ? inner : quote(inner)
    }
    return `{${text}}`
  }
  const text = level(values, 0)
  if (isRagged || (leafDepth >= 0 && leafDepth !== shape.length - 1)) {
    return fail(writing, "is an array whose inner arrays differ in length, which Postgres has no value for")
  }
  return leafDepth < 0 ? "{}" : text
}
