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
import { attempt, isPlain } from "../statement/PlainObject.ts"
import type { Fields } from "./CheckInput.ts"
import { described, refuse } from "./CheckInput.ts"
import type { Columns } from "./TableColumns.ts"

export interface Group {
  /** Columns that some of the rows name, in order of appearance. */
  readonly columns: Set<string>
  readonly rows: Array<Fields>
  /** Each row's number in the whole call, from 1. */
  readonly numbers: Array<number>
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
export const small: Limits = { rows: 2500, bytes: 1024 * 1024 }

export const make = (place: string, columns: Columns, exact: boolean): Chunk => ({
  place,
  columns,
  exact,
  shapes: new Map(),
  groups: new Map(),
  last: undefined,
  rows: 0,
  bytes: 0
})

export const isFull = (piece: Chunk, limits: Limits): boolean =>
  piece.rows >= limits.rows || piece.bytes >= limits.bytes

/** Whether a row lacks a column that another row of its group names. */
export const isMixed = (piece: Chunk): boolean => {
  for (const group of piece.groups.values()) if (group.shapes > 1) return true
  return false
}

const sameKeys = (a: ReadonlyArray<string>, b: ReadonlyArray<string>): boolean => {
  if (a.length !== b.length) return false
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false
  return true
}

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
  if (piece.last !== undefined && sameKeys(piece.last.keys, keys)) return piece.last
  const name = keys.join("\0")
  let shape = piece.shapes.get(name)
  if (shape === undefined) {
    shape = { keys, group: groupOf(piece, keys) }
    shape.group.shapes++
    for (const key of keys) shape.group.columns.add(key)
    piece.shapes.set(name, shape)
  }
  piece.last = shape
  return shape
}

/** A row without the columns that are `undefined`: they take their defaults. */
const withoutUndefined = (row: Fields): Fields =>
  Object.fromEntries(Object.entries(row).filter(([, value]) => value !== undefined))

/** Takes one row into the piece, or says why it cannot be stored; `number` counts the rows of the whole call from 1. */
export const take = (piece: Chunk, row: unknown, number: number): PoolError | undefined =>
  attempt(
    () => takeRow(piece, row, number),
    () =>
      refuse(piece.place, `row ${number} cannot be read: one of its properties throws`, "Give plain objects.")
  )

const takeRow = (piece: Chunk, row: unknown, number: number): PoolError | undefined => {
  if (!isPlain(row)) {
    return refuse(
      piece.place,
      `row ${number} is ${described(row)}, not a plain object`,
      "Write it as { column: value }."
    )
  }
  const keys = Object.keys(row)
  let bytes = 0
  let whole = true
  for (const key of keys) {
    const value = row[key]
    if (value === undefined) whole = false
    bytes += sizeOf(value)
  }
  const kept = whole ? row : withoutUndefined(row)
  const { group } = shapeOf(piece, whole ? keys : Object.keys(kept))
  group.rows.push(kept)
  group.numbers.push(number)
  piece.rows++
  piece.bytes += bytes
  return undefined
}

/** Lets go of the rows; their number and size stay. */
export const release = (piece: Chunk): void => {
  piece.shapes.clear()
  piece.groups.clear()
  piece.last = undefined
}

/** A column of a group's rows: NULL in rows that lack it. */
export const valuesOf = (group: Group, column: string): ReadonlyArray<unknown> => {
  const { rows, shapes } = group
  const values: Array<unknown> = new Array(rows.length)
  for (let index = 0; index < rows.length; index++) {
    const row = rows[index]!
    values[index] = shapes === 1 || Object.hasOwn(row, column) ? row[column] : null
  }
  return values
}
