/**
 * Composite values and anonymous records, from either format: objects by the names of the attributes, or arrays.
 *
 * The text format is described in the PostgreSQL manual, "Composite Type Input and Output Syntax" (rowtypes, 8.16.6).
 */
import { int32, uint32 } from "./Bytes.ts"
import type { Locale, PgType, ReadBinary, ReadText } from "./PgType.ts"
import { malformed, UnreadableValue } from "./PgType.ts"

/** Sets a property of an object's own, also one called `__proto__`. */
export const put = <A>(object: Record<string, A>, key: string, value: A): void => {
  if (key !== "__proto__") object[key] = value
  else Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })
}

const altered = ({ oid }: PgType) =>
  new UnreadableValue(
    "is of a composite type that was altered while it was read. Run the statement again",
    oid
  )

/** Reads a composite; `read` is how an attribute of a type is read. */
export const compositeFromBinary =
  (type: PgType, read: (oid: number) => ReadBinary): ReadBinary =>
  (bytes, offset, _size, locale) => {
    const { attributes } = type
    if (int32(bytes, offset) !== attributes.length) throw altered(type)
    const object: Record<string, unknown> = {}
    let at = offset + 4
    for (const { name, oid } of attributes) {
      if (uint32(bytes, at) !== oid) throw altered(type)
      const size = int32(bytes, at + 4)
      put(object, name, size < 0 ? null : read(oid)(bytes, at + 8, size, locale))
      at += 8 + Math.max(size, 0)
    }
    return object
  }

/** Reads an anonymous record, whose fields name their types. */
export const recordFromBinary =
  (read: (oid: number) => ReadBinary): ReadBinary<ReadonlyArray<unknown>> =>
  (bytes, offset, size, locale) => {
    const values: Array<unknown> = []
    let at = offset + 4
    const count = int32(bytes, offset)
    // Each field has a type and a length of four bytes.
    if (count * 8 > size) throw malformed()
    for (let left = count; left > 0; left--) {
      const length = int32(bytes, at + 4)
      values.push(length < 0 ? null : read(uint32(bytes, at))(bytes, at + 8, length, locale))
      at += 8 + Math.max(length, 0)
    }
    return values
  }

/** The fields of a composite's text, without their quotes; nothing at all between two commas is NULL. */
const fieldsOf = (text: string): ReadonlyArray<string | null> => {
  const fields: Array<string | null> = []
  let value: string | null = null
  let quoted = false
  for (let at = 1; at < text.length; at++) {
    const character = text.charAt(at)
    if (character === '"') {
      if (quoted && text.charAt(at + 1) === '"') {
        value = `${value ?? ""}"`
        at++
      } else {
        quoted = !quoted
        value ??= ""
      }
    } else if (character === "\\") value = (value ?? "") + text.charAt(++at)
    else if (!quoted && (character === "," || (character === ")" && at === text.length - 1))) {
      fields.push(value)
      value = null
    } else value = (value ?? "") + character
  }
  return fields
}

/** Reads the text of a composite; `read` is how an attribute of a type is read. */
export const compositeFromText =
  (type: PgType, read: (oid: number) => ReadText): ReadText =>
  (text: string, locale: Locale) => {
    const { attributes } = type
    const fields = attributes.length === 0 ? [] : fieldsOf(text)
    if (fields.length !== attributes.length) throw altered(type)
    const object: Record<string, unknown> = {}
    for (const [index, { name, oid }] of attributes.entries()) {
      const field = fields[index] ?? null
      put(object, name, field === null ? null : read(oid)(field, locale))
    }
    return object
  }
