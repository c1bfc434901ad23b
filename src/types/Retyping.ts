/**
 * Whether a value stays what it is when a column gets another type under a prepared statement.
 *
 * Postgres fixes the types of a prepared statement's parameters when it is prepared. When another program changes the type of the
 * column that a parameter is for, the statement goes on with the old type and casts: a Date sent as `date` has lost its time
 * when it reaches a `timestamptz`, `"007"` sent as `int4` arrives in a text column as `7`, and no message says so. So a
 * statement is bound by its prepared name only with values that come out the same either way; with others it is parsed
 * anew, and takes the types that the tables have now.
 *
 * Three changes by another program are not seen, since looking for them would cost a prepared statement or a round trip each time:
 *
 * - a text column that becomes `citext` is compared as text by connections that had prepared the comparison, until they end;
 * - a column of dates, texts or json that becomes `bytea` takes a Date or a plain object as the bytes of its text;
 * - an array column that becomes a column of texts, json, dates or bytes takes an array as the text `{…}`.
 *
 * The last two are about statements of the caller's own text alone, where a table's handle looks at its columns: a new pool would
 * refuse the value.
 *
 * A value whose type was declared, such as a number, is sent as that type in both cases.
 */

import { oids } from "./BuiltinTypes.ts"
import type { WireValue } from "./PgType.ts"
import type { TypeMap } from "./TypeMap.ts"

/** Those that take any text as it is: `xml` and `json` refuse some, and `name` cuts it off. */
const texts: ReadonlySet<number> = new Set([oids.text, oids.varchar, oids.bpchar])
const integers: ReadonlySet<number> = new Set([oids.int2, oids.int4, oids.int8, oids.oid])

const canonicalInteger = /^(?:0|-?[1-9]\d{0,18})$/
const canonicalNumeric = /^-?(?:0|[1-9]\d*)(?:\.\d*[1-9])?$/
const canonicalUuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
/** An element that ends with a blank, in the text of an array. */
const blankAtEnd = / [",}]/
/** The text of an array of integers. */
const integerArray = /^\{(?:(?:-?[1-9]\d{0,18}|0|NULL)(?:,|(?=\}$)))*\}$/

/** Whether a value for a parameter that was prepared as this type is the same for every type that the parameter may get. */
const survives = (types: TypeMap, value: WireValue, type: number): boolean => {
  if (value === null) return true
  // `char(n)` compares without the blanks at the end, and text with them.
  if (texts.has(type)) return typeof value !== "string" || !value.endsWith(" ")
  if (typeof value !== "string") return type === oids.bytea
  if (integers.has(type)) return canonicalInteger.test(value)
  if (type === oids.numeric) return canonicalNumeric.test(value)
  if (type === oids.bool) return value === "true" || value === "false"
  if (type === oids.uuid) return canonicalUuid.test(value)
  const known = types.typeOf(type)
  if (known?.kind === "enum") return known.labels.includes(value)
  if (known?.kind === "array") {
    if (texts.has(known.of)) return !blankAtEnd.test(value)
    return integers.has(known.of) && integerArray.test(value)
  }
  return false
}

/** What json would take for something else than a string. */
const jsonLike = /^\s*(?:-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|true|false|null|[[{"].*)\s*$/s

/** Whether it is written in another way for other types: an array, an object. */
export const isCompound = (value: unknown): boolean =>
  typeof value === "object" && value !== null && !(value instanceof Date)

/** Whether its text for one type can be another value for another type, which does not refuse it. */
export const isAmbiguous = (value: unknown): boolean =>
  typeof value === "string" ? jsonLike.test(value) : isCompound(value)

/** Whether a prepared statement whose parameters have these types may be bound with these values. */
export const surviveRetyping = (
  types: TypeMap,
  values: ReadonlyArray<WireValue>,
  declared: ReadonlyArray<number>,
  prepared: ReadonlyArray<number>
): boolean => {
  for (let index = 0; index < values.length; index++) {
    if (declared[index] === 0 && !survives(types, values[index]!, prepared[index] ?? 0)) return false
  }
  return true
}
