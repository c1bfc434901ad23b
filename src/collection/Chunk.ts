/**
 * Rows on their way into one or a few statements: taken one by one, grouped by the columns they name, until the piece
 * is full.
 *
 * **Details**
 *
 * Rows of one group share a statement. A column without a default is NULL in a row that lacks it, so rows that differ in
 * such columns only stay together; a column that has a default must be left out of the statement for rows that lack it.
 * Rows of one group keep their order, and groups follow one another as their first rows do.
 */

import type { PoolError } from "../errors/PoolError.ts"
import { sizeOf } from "../execute/Progress.ts"
import { isPlain } from "../statement/PlainObject.ts"
import type { Columns } from "../types/TableShape.ts"
import type { Fields } from "./CheckInput.ts"
import { described, refusal } from "./CheckInput.ts"

export interface Group {
  /** Columns that some of the rows name, in order of appearance. */
  readonly columns: Set<string>
  rows: Array<Fields>
  /** Each row's number in the whole call, from 1. */
  numbers: Array<number>
  /** How many different sets of columns its rows have. */
  shapes: number
}

interface Shape {
  readonly keys: ReadonlyArray<string>
  readonly group: Group
}

export interface Chunk {
  /** The call as a message names it. */
  readonly place: string
  readonly columns: Columns
  /** Whether a row's own columns decide its statement, as they do for an upsert. */
  readonly exact: boolean
  /** How much it takes; without limits its rows are not measured. */
  readonly limits: Limits | undefined
  readonly shapes: Map<string, Shape>
  readonly groups: Map<string, Group>
  last: Shape | undefined
  rows: number
  bytes: number
}

/** How much a piece takes. */
export interface Limits {
  readonly rows: number
  readonly bytes: number
}

/** For rows that are in memory anyway. Measured: still larger pieces are hardly faster. */
export const large: Limits = { rows: 10_000, bytes: 4 * 1024 * 1024 }

/** For a stream's rows: what lives shorter costs less memory. */
export const small: Limits = { rows: 5000, bytes: 2 * 1024 * 1024 }

/** For rows of a stream that are written at once and let go. */
export const brief: Limits = { rows: 1000, bytes: 256 * 1024 }

export const make = (place: string, columns: Columns, exact: boolean, limits: Limits | undefined): Chunk => ({
  place,
  columns,
  exact,
  limits,
  shapes: new Map(),
  groups: new Map(),
  last: undefined,
  rows: 0,
  bytes: 0
})

/** Lets go of the rows: V8 may keep what held the piece for long, and would keep them with it. */
export const clear = ({ groups }: Chunk): void => {
  for (const group of groups.values()) {
    group.rows.length = 0
    group.numbers.length = 0
  }
}

export const isFull = ({ bytes, limits, rows }: Chunk): boolean =>
  limits !== undefined && (rows >= limits.rows || bytes >= limits.bytes)

const groupOf = (piece: Chunk, keys: ReadonlyArray<string>): Group => {
  const deciding = piece.exact ? keys : keys.filter((key) => piece.columns.get(key)?.hasDefault !== false)
  const name = deciding.toSorted().join("\0")
  const known = piece.groups.get(name)
  if (known !== undefined) return known
  const group: Group = { columns: new Set(), rows: [], numbers: [], shapes: 0 }
  piece.groups.set(name, group)
  return group
}

const shapeOf = (piece: Chunk, keys: ReadonlyArray<string>): Shape => {
  const name = keys.join("\0")
  let shape = piece.shapes.get(name)
  if (shape === undefined) {
    shape = { keys, group: groupOf(piece, keys) }
    shape.group.shapes++
    for (const key of keys) shape.group.columns.add(key)
    piece.shapes.set(name, shape)
  }
  return shape
}

/** The size of a row, where it is wanted, if the row has these columns, each with a value; else `undefined`. */
const sizeIfAlike = (keys: ReadonlyArray<string>, isMeasured: boolean, row: Fields): number | undefined => {
  let index = 0
  let size = 0
  for (const key in row) {
    const value = row[key]
    if (key !== keys[index] || value === undefined) return undefined
    if (isMeasured) size += sizeOf(value)
    index++
  }
  return index === keys.length ? size : undefined
}

/** Takes all rows into an empty piece if they have the same columns, each with a value; else it takes none. */
export const takeAlike = (piece: Chunk, rows: ReadonlyArray<unknown>): boolean => {
  const [first] = rows
  if (!isPlain(first)) return false
  const kept: Array<Fields> = new Array(rows.length)
  const numbers: Array<number> = new Array(rows.length)
  try {
    const keys = Object.keys(first)
    for (let index = 0; index < rows.length; index++) {
      const row = rows[index]
      if (!isPlain(row) || sizeIfAlike(keys, false, row) === undefined) return false
      kept[index] = row
      numbers[index] = index + 1
    }
    const { group } = shapeOf(piece, keys)
    group.rows = kept
    group.numbers = numbers
    piece.rows = rows.length
    return true
  } catch {
    return false
  }
}

/** Takes one row into the piece, or says why it cannot be stored; `number` counts the rows of the whole call from 1. */
export const take = (piece: Chunk, row: unknown, number: number): PoolError | undefined => {
  // No functions, which would be made for each row.
  try {
    return takeRow(piece, row, number)
  } catch {
    return refusal(
      piece.place,
      `row ${number} cannot be read: one of its properties throws`,
      "Give plain objects."
    )
  }
}

const takeRow = (piece: Chunk, row: unknown, number: number): PoolError | undefined => {
  if (!isPlain(row)) {
    return refusal(
      piece.place,
      `row ${number} is ${described(row)}, not a plain object`,
      "Write it as { column: value }."
    )
  }
  let kept = row
  const isMeasured = piece.limits !== undefined
  let size = piece.last === undefined ? undefined : sizeIfAlike(piece.last.keys, isMeasured, row)
  if (size === undefined) {
    // Columns that are `undefined` take their defaults.
    const entries = Object.entries(row).filter(([, value]) => value !== undefined)
    if (entries.length < Object.keys(row).length) kept = Object.fromEntries(entries)
    piece.last = shapeOf(
      piece,
      entries.map(([key]) => key)
    )
    size = isMeasured ? entries.reduce((sum, [, value]) => sum + sizeOf(value), 0) : 0
  }
  piece.bytes += size
  const { group } = piece.last!
  group.rows.push(kept)
  group.numbers.push(number)
  piece.rows++
  return undefined
}
