/**
 * Rows straight from the bytes of their messages: objects by column name, or arrays by position.
 *
 * The readers of a result's columns are looked up once; what runs for each row is one loop.
 */
import type { Buffer } from "node:buffer"
import { nameOf } from "../statement/CamelCase.ts"
import { itself } from "./BuiltinReaders.ts"
import { sessionTypes } from "./BuiltinTypes.ts"
import { int32, uint16, utf8 } from "./Bytes.ts"
import { generate } from "./GeneratedReader.ts"
import type { Locale, ReadBinary } from "./PgType.ts"
import { UnreadableValue } from "./PgType.ts"
import { put } from "./RecordFormat.ts"
import type { TypeMap } from "./TypeMap.ts"

/** A column of a result. */
export interface Column {
  readonly name: string
  readonly type: number
}

/** Reads the row whose message's content stands from `start` to `end`. Throws `UnreadableValue` or `MalformedRow`. */
export type ReadRow = (bytes: Buffer, start: number, end: number, locale: Locale) => unknown

/** A row that is not of the columns that were described. */
export class MalformedRow extends Error {
  override readonly name = "MalformedRow"
}

/** What rows are: objects, where of two columns of one name the last counts, the same by names in camel case, or arrays. */
export type RowShape = "object" | "camel" | "array"

/**
 * Which columns are asked for in binary: all that are read best so, those whose text depends on what the session sets, or
 * anonymous records alone, which can be read in no other way.
 */
export type BinaryColumns = "all" | "session" | "records"

export const binaryColumns = (
  types: TypeMap,
  columns: ReadonlyArray<Column>,
  which: BinaryColumns
): ReadonlyArray<boolean> =>
  columns.map(({ type }) => {
    const base = types.typeOf(type)
    if (base?.kind === "record" || types.typeOf(base?.of ?? 0)?.kind === "record") return true
    if (which === "records" || types.reader(type).binary === undefined) return false
    return which === "all" || types.contain([type], sessionTypes)
  })

const columnReader = (types: TypeMap, { type }: Column, isBinary: boolean): ReadBinary => {
  const { binary, text } = types.reader(type)
  if (isBinary) return binary ?? types.binaryReader(type)
  return text === itself ? utf8 : (bytes, offset, size, locale) => text(utf8(bytes, offset, size), locale)
}

const located = (error: unknown, column: string): Error => {
  if (error instanceof MalformedRow) return error
  const name = JSON.stringify(column)
  if (error instanceof UnreadableValue)
    return new UnreadableValue(`The value of column ${name} ${error.message}.`, error.type)
  const message = `The value of column ${name} is not of the form that its type has on the wire.`
  return new UnreadableValue(message)
}

/** Objects that grow a property at a time: V8 makes one shape of them, also where a process reads results of many shapes. */
const maker = (names: ReadonlyArray<string>): ((values: ReadonlyArray<unknown>) => object) => {
  const isPlain = !names.includes("__proto__")
  return (values) => {
    const row: Record<string, unknown> = {}
    for (let index = 0; index < names.length; index++) {
      if (isPlain) row[names[index]!] = values[index]
      else put(row, names[index]!, values[index])
    }
    return row
  }
}

/** So many rows of a statement make it worth while to generate a reader: by then its compilation has cost less than they did. */
const manyRows = 2_000

/** A reader of rows with these columns; `binary` says of each whether it comes in binary format. */
export const make = (
  types: TypeMap,
  columns: ReadonlyArray<Column>,
  binary: ReadonlyArray<boolean>,
  shape: RowShape
): ReadRow => {
  const readers = columns.map((column, index) => columnReader(types, column, binary[index] === true))
  const { length } = readers
  const naming = shape === "camel" ? "camel" : "as-is"
  const names = columns.map(({ name }) => nameOf(name, naming))
  const object = shape === "array" ? undefined : maker(names)
  const scratch: Array<unknown> = new Array(length).fill(null)
  const refusals = {
    malformed: (message: string) => new MalformedRow(message),
    located: (error: unknown, index: number) => located(error, columns[index]!.name)
  }
  let generated: ReadRow | undefined
  let left = object === undefined ? Number.POSITIVE_INFINITY : manyRows
  return (bytes, start, end, locale) => {
    if (generated !== undefined) return generated(bytes, start, end, locale)
    if (--left === 0) generated = generate(names, readers, refusals)
    if (uint16(bytes, start) !== length) throw new MalformedRow("a row with another number of columns")
    const values = object === undefined ? new Array<unknown>(length) : scratch
    let at = start + 2
    let index = 0
    try {
      for (; index < length; index++) {
        const size = int32(bytes, at)
        at += 4
        if (size < 0) {
          if (size !== -1) throw new MalformedRow("a value of a negative length")
          values[index] = null
        } else {
          const next = at + size
          if (next > end) throw new MalformedRow("a value that is longer than its row")
          values[index] = readers[index]!(bytes, at, size, locale)
          at = next
        }
      }
    } catch (error) {
      throw located(error, columns[index]!.name)
    }
    if (at !== end) throw new MalformedRow("a row that is longer than its values")
    return object === undefined ? values : object(values)
  }
}
