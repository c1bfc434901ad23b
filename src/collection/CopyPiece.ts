/**
 * Rows of a stream on their way into a table by `COPY`: written as they come, so that the rows themselves are let go at once.
 *
 * **Details**
 *
 * A `COPY` of few rows costs the server more for each of them (it begins by making its table longer, and has that for every
 * `COPY` anew), and rows that wait are what a garbage collector copies. So a piece has many rows, and has them as bytes; what an
 * error tells of a row is read back from there.
 *
 * Only the last `COPY` takes more rows, so that no row goes in before one of an earlier chunk. Of the same group, a row that lacks
 * columns of it has NULL there, and one that has others begins the next.
 */
import { Buffer } from "node:buffer"
import type { PoolError } from "../errors/PoolError.ts"
import type { Step } from "../execute/StoreRows.ts"
import { attempt } from "../statement/PlainObject.ts"
import * as Sink from "../types/Sink.ts"
import type { TableShape } from "../types/TableShape.ts"
import { readerOf } from "../types/WrittenField.ts"
import * as BulkRows from "./BulkRows.ts"
import { type CopyState, copyOf, messageSize, type Writers } from "./BulkSteps.ts"
import type * as Chunk from "./Chunk.ts"
import * as CopyRows from "./CopyRows.ts"
import type * as SqlBuilder from "./SqlBuilder.ts"

/** Numbers of rows of the call, as a list where they do not follow one another: lists would live as long as the piece. */
interface Numbers {
  readonly first: number
  readonly length: number
  readonly list: ReadonlyArray<number> | undefined
}

/** The rows of one `COPY`. */
interface Run extends Pick<BulkRows.KnownRows, "place" | "shape" | "columns" | "keys" | "takesInstances"> {
  readonly group: string
  readonly writers: Writers
  readonly sink: Sink.Sink
  /** The numbers of its rows, those of each group in turn. */
  readonly numbers: Array<Numbers>
}

export interface CopyPiece {
  readonly site: SqlBuilder.Site
  readonly shape: TableShape
  readonly state: CopyState
  readonly runs: Array<Run>
  /** Holds the bytes of its first run. */
  readonly room: Buffer
  /** What is in it, as the progress counts it. */
  rows: number
  bytes: number
}

/** About so many bytes or rows are sent at once. Measured: with more the server is hardly faster. */
const mostBytes = 2 ** 21
export const mostRows = 32_768
const firstRoom = 2 ** 16
/** Further runs begin small: there may be many. */
const smallRoom = 2 ** 10
/** The memory of a huge row is not kept for the next piece. */
const largestRoom = 4 * mostBytes

export const make = (
  site: SqlBuilder.Site,
  shape: TableShape,
  state: CopyState,
  room: Buffer = Buffer.allocUnsafeSlow(firstRoom)
): CopyPiece => ({ site, shape, state, runs: [], room, rows: 0, bytes: 0 })

/** The memory of a piece that was stored, for another one. */
export const roomOf = ({ room, runs }: CopyPiece): Buffer | undefined => {
  const bytes = runs[0]?.sink.bytes ?? room
  return bytes.length <= largestRoom ? bytes : undefined
}

/** Whether it has so many rows, or about as many bytes as are sent at once. */
export const isFull = ({ rows, runs }: CopyPiece, most: number): boolean => {
  let bytes = 0
  for (const [index, { sink }] of runs.entries()) bytes += index === 0 ? sink.at : sink.bytes.length
  return rows >= most || bytes >= mostBytes
}

/** The run that takes rows of a group next. */
const runOf = (piece: CopyPiece, group: string, rows: BulkRows.BulkRows, writers: Writers): Run => {
  const last = piece.runs.at(-1)
  const isSame = last?.group === group && (last.writers === undefined) === (writers === undefined)
  if (isSame && rows.keys.every((key) => last.keys.includes(key))) return last
  const { columns, keys, place, shape, takesInstances } = rows
  const sink = piece.runs.length === 0 ? { bytes: piece.room, at: 0 } : Sink.make(smallRoom)
  const run: Run = { place, shape, columns, keys, takesInstances, group, writers, sink, numbers: [] }
  if (writers !== undefined) CopyRows.putHeader(sink)
  piece.runs.push(run)
  return run
}

/** Rows with the columns of a run, which may have more of them. */
const inRun = (rows: BulkRows.BulkRows, { columns, keys }: Run): BulkRows.BulkRows => ({
  ...rows,
  columns,
  keys,
  isMixed: rows.isMixed || keys.length > rows.keys.length
})

const all = Number.POSITIVE_INFINITY

const numbersOf = (list: ReadonlyArray<number>): Numbers => {
  const { length } = list
  const first = list[0] ?? 0
  const follow = (list[length - 1] ?? 0) - first === length - 1
  return { first, length, list: follow ? undefined : list }
}

const numberAt = (all: ReadonlyArray<Numbers>, index: number): number | undefined => {
  let at = index
  for (const { first, length, list } of all) {
    if (at < length) return list === undefined ? first + at : list[at]
    at -= length
  }
  return undefined
}

const put = (piece: CopyPiece, name: string, rows: BulkRows.BulkRows): PoolError | undefined => {
  const writers = piece.state.isText ? undefined : CopyRows.writersOf(rows)
  let from = 0
  if (writers !== undefined) {
    const run = runOf(piece, name, rows, writers)
    from = CopyRows.putBinary(run.sink, inRun(rows, run), run.writers ?? writers, 0, all)
    run.numbers.push(numbersOf(from === rows.rows.length ? rows.numbers : rows.numbers.slice(0, from)))
  }
  if (from === rows.rows.length) return undefined
  piece.state.isText = true
  const run = runOf(piece, name, rows, undefined)
  const end = CopyRows.putTexts(run.sink, inRun(rows, run), from, all)
  if (typeof end !== "number") return end
  run.numbers.push(numbersOf(rows.numbers.slice(from)))
  return undefined
}

/** Writes rows behind those that it has, or says why one of them cannot be stored. */
export const take = (piece: CopyPiece, { bytes, groups, rows }: Chunk.Chunk): PoolError | undefined => {
  for (const [name, group] of groups) {
    const problem = put(piece, name, BulkRows.make(piece.site, piece.shape, group))
    if (problem !== undefined) return problem
  }
  piece.rows += rows
  piece.bytes += bytes
  return undefined
}

/** What the message of an error needs of a run's rows, which are read back when it asks for one. */
const knownRows = (run: Run): BulkRows.KnownRows => {
  const { columns, shape, sink, writers } = run
  const written = sink.bytes.subarray(0, sink.at)
  let rows: ReadonlyArray<ReadonlyArray<unknown>> | undefined
  const read = () =>
    writers === undefined
      ? CopyRows.writtenTexts(written)
      : CopyRows.writtenBinary(
          written,
          columns.map(({ oid }) => readerOf(shape.types, oid))
        )
  return {
    ...run,
    areGiven: false,
    length: () => run.numbers.reduce((sum, { length }) => sum + length, 0),
    numberOf: (index) => numberAt(run.numbers, index),
    valueOf: (index, at) => {
      rows ??= attempt(read, [])
      return rows[index]?.[at]
    }
  }
}

/** What sends a piece, which takes no more. */
export const stepsOf = ({ runs, site }: CopyPiece): Array<Step> => {
  const steps: Array<Step> = []
  for (const run of runs) {
    const { numbers, sink, writers } = run
    if (numbers.every(({ length }) => length === 0)) continue
    steps.push(copyOf(site.table, knownRows(run), 0, writers))
    if (writers !== undefined) CopyRows.putTrailer(sink)
    for (let from = 0; from < sink.at; from += messageSize) {
      steps.push(sink.bytes.subarray(from, Math.min(sink.at, from + messageSize)))
    }
  }
  return steps
}
