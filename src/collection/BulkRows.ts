/**
 * Rows that go into the same columns of a table, and their values as texts.
 */
import { type PoolError, refused } from "../errors/PoolError.ts"
import { columnOf } from "../statement/CamelCase.ts"
import { storedText } from "../types/ColumnValues.ts"
import { unreadable, type Writing } from "../types/Literal.ts"
import type { Column, TableShape } from "../types/TableShape.ts"
import { type Fields, shown, valueRefusal } from "./CheckInput.ts"
import type { Group } from "./Chunk.ts"
import type * as SqlBuilder from "./SqlBuilder.ts"

export interface BulkRows {
  /** The call as a message names it. */
  readonly place: string
  readonly shape: TableShape
  readonly columns: ReadonlyArray<Column>
  /** The columns' names in the rows. */
  readonly keys: ReadonlyArray<string>
  /** Whether instances of classes may be values. */
  readonly takesInstances: boolean
  readonly rows: ReadonlyArray<Fields>
  /** Each row's number in the whole call. */
  readonly numbers: ReadonlyArray<number>
  /** Some rows lack some of the columns, and have NULL there. */
  readonly isMixed: boolean
}

/** What the message of an error needs to know of the rows. */
export interface KnownRows extends Pick<BulkRows, "place" | "shape" | "columns" | "keys" | "takesInstances"> {
  /** The values are as the caller gave them, so that none of them is shown. */
  readonly areGiven: boolean
  readonly length: () => number
  /** The number of a row in the whole call. */
  readonly numberOf: (index: number) => number | undefined
  readonly valueOf: (index: number, at: number) => unknown
}

/** A column that the catalogue does not show: the server says so when it reads the statement. */
const unknownColumn = (name: string): Column => ({
  name,
  type: "pg_catalog.text",
  oid: 0,
  form: "text",
  hasDefault: true,
  modifier: -1,
  isGenerated: false
})

export const make = (
  { naming, place, takesInstances }: Omit<SqlBuilder.Site, "table">,
  shape: TableShape,
  group: Group
): BulkRows => ({
  place,
  shape,
  takesInstances,
  keys: Array.from(group.columns),
  columns: Array.from(
    group.columns,
    (name) => shape.columns.get(name) ?? unknownColumn(columnOf(name, naming))
  ),
  rows: group.rows,
  numbers: group.numbers,
  isMixed: group.shapes > 1
})

/** What a row has in a column: NULL where it lacks it, although it may inherit a property of its name. */
export const valueOf = ({ isMixed }: BulkRows, row: Fields, key: string): unknown =>
  isMixed && !Object.hasOwn(row, key) ? null : row[key]

/** What all rows have in a column. */
export const valuesOf = (rows: BulkRows, key: string): ReadonlyArray<unknown> =>
  rows.rows.map((row) => valueOf(rows, row, key))

export const known = (rows: BulkRows): KnownRows => ({
  ...rows,
  areGiven: true,
  length: () => rows.rows.length,
  numberOf: (index) => rows.numbers[index],
  valueOf: (index, at) => valueOf(rows, rows.rows[index] ?? {}, rows.keys[at]!)
})

/** A value as the text that an `INSERT` of its row would send, `null` for NULL, or why it cannot be stored. */
export const textOf = (rows: KnownRows, index: number, at: number): string | null | PoolError => {
  const { place, shape, takesInstances } = rows
  const [column, key] = [rows.columns[at]!, rows.keys[at]!]
  const writing: Writing = { types: shape.types, problem: undefined }
  const where = `${place}, row ${rows.numberOf(index)}`
  let text: string | null = null
  try {
    const value = rows.valueOf(index, at)
    const refusal = valueRefusal(value, key, where, takesInstances)
    if (refusal !== undefined) return refusal
    text = storedText(writing, value, column.oid)
  } catch {
    writing.problem = unreadable
  }
  if (writing.problem === undefined) return text
  return refused(`${where}, column ${shown(key)}: the value ${writing.problem}. The call had no effect.`)
}
