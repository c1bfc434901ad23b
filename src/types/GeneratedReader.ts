/**
 * A reader of rows as a function of its own for one result: `RowReader.ts` changes to it when a statement has given many rows, where
 * the platform allows code to be generated. One literal makes the object, and each column's reader is called at a place of
 * its own, which V8 compiles to code for exactly these types: a row takes half of what the loop over all columns takes.
 *
 * **Guarantees**
 *
 * The text of the code holds the names of the columns and their number, nothing else; a result with a name that is not made
 * of ASCII letters, digits and underscores has no such function, and its rows are read by the loop. What is read, and what is
 * refused, is the same in both, which a property test compares.
 */
import { attempt } from "../statement/PlainObject.ts"
import type { ReadBinary } from "./PgType.ts"
import type { ReadRow } from "./RowReader.ts"

/** More columns make a function that takes longer to compile than it saves. */
const mostColumns = 32
const plainName = /^[A-Za-z_][A-Za-z0-9_]*$/

/** How the function ends with an error. */
export interface Refusals {
  /** Of a row that is not of the columns that were described. */
  readonly malformed: (message: string) => Error
  /** Of what went wrong while the value of column `index` was read. */
  readonly located: (error: unknown, index: number) => Error
}

const column = (index: number): string => `
    size = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]
    at += 4
    if (size >= 0) {
      if (at + size > end) throw malformed("a value that is longer than its row")
      v${index} = read${index}(bytes, at, size, locale)
      at += size
    } else if (size !== -1) throw malformed("a value of a negative length")
    index++`

const code = (names: ReadonlyArray<string>): string => {
  const indices = [...names.keys()]
  return `"use strict"
const [${indices.map((index) => `read${index}`)}] = readers
return (bytes, start, end, locale) => {
  if (((bytes[start] << 8) | bytes[start + 1]) !== ${names.length}) throw malformed("a row with another number of columns")
  let at = start + 2, size = 0, index = 0, ${indices.map((index) => `v${index} = null`)}
  try {${indices.map(column).join("")}
  } catch (error) {
    throw located(error, index)
  }
  if (at !== end) throw malformed("a row that is longer than its values")
  return { ${names.map((name, index) => `"${name}": v${index}`)} }
}`
}

/** A reader of objects with these names, or `undefined` where there can be none. */
export const generate = (
  names: ReadonlyArray<string>,
  readers: ReadonlyArray<ReadBinary>,
  { located, malformed }: Refusals
): ReadRow | undefined => {
  if (names.length === 0 || names.length > mostColumns) return undefined
  if (!names.every((name) => plainName.test(name) && name !== "__proto__")) return undefined
  // The platform may not allow it: a worker at the edge, or Node with --disallow-code-generation-from-strings.
  return attempt(() => {
    const make = new Function("readers", "malformed", "located", code(names))
    return Reflect.apply(make, undefined, [readers, malformed, located])
  }, undefined)
}
