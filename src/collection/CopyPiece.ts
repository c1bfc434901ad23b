/**
 * Rows of a stream on their way into a table by `COPY`: written as they come, so that the rows themselves are let go at once.
 *
 * **Details**
 *
 * A `COPY` of few rows costs the server more for each of them (it begins by making its table longer, and has that for every
 * `COPY` anew), and rows that wait are what a garbage collector copies. So a piece has many rows, and has them as bytes; what an
 * error tells of a row is read back from there.
 */
import { Buffer } from "node:buffer"
import type { PoolError } from "../errors/PoolError.ts"
import type { Step } from "../execute/StoreRows.ts"
import * as Sink from "../types/Sink.ts"
import type { TableShape } from "../types/TableShape.ts"
import { readerOf } from "../types/WrittenField.ts"
import * as BulkRows from "./BulkRows.ts"
import { type CopyState, copyOf } from "./BulkSteps.ts"
import type * as Chunk from "./Chunk.ts"
import * as CopyRows from "./CopyRows.ts"
import type * as SqlBuilder from "./SqlBuilder.ts"

/** The rows of one `COPY`. */
interface Run extends Pick<BulkRows.KnownRows, "place" | "shape" | "columns" | "keys" | "takesInstances"> {
  readonly format: "binary" | "text"
  readonly sink: Sink.Sink
  /** The numbers of its rows, a list for each group. */
  readonly numbers: Array<ReadonlyArray<number>>
}

export interface CopyPiece {
  readonly site: SqlBuilder.Site
  readonly shape: TableShape
  readonly state: CopyState
  /** By format and columns. */
  readonly runs: Map<string, Run>
  /** Holds the bytes of its first run. */
  readonly room: Buffer
  rows: number
}

/** So many bytes or rows are sent at once. Measured: with more the server is hardly faster. */
const mostBytes = 2 ** 21
const mostRows = 32_768
const smallRoom = 2 ** 16

export const make = (
  site: SqlBuilder.Site,
  shape: TableShape,
  state: CopyState,
  room: Buffer = Buffer.allocUnsafeSlow(smallRoom)
): CopyPiece => ({ site, shape, state, runs: new Map(), room, rows: 0 })

/** The memory of a piece that was stored, for the next one. */
export const roomOf = ({ room, runs }: CopyPiece): Buffer => {
  const [first] = runs.values()
  return first?.sink.bytes ?? room
}

export const isFull = ({ rows, runs }: CopyPiece): boolean => {
  let bytes = 0
  for (const { sink } of runs.values()) bytes += sink.at
  return rows >= mostRows || bytes >= mostBytes
}

const runOf = ({ room, runs }: CopyPiece, rows: BulkRows.BulkRows, format: Run["format"]): Run => {
  const name = [format, ...rows.keys].join("\0")
  const known = runs.get(name)
  if (known !== undefined) return known
  const { columns, keys, place, shape, takesInstances } = rows
  const sink = runs.size === 0 ? { bytes: room, at: 0 } : Sink.make(smallRoom)
  const run: Run = { place, shape, columns, keys, takesInstances, format, sink, numbers: [] }
  if (format === "binary") CopyRows.putHeader(sink)
  runs.set(name, run)
  return run
}

const all = Number.POSITIVE_INFINITY

const put = (piece: CopyPiece, rows: BulkRows.BulkRows): PoolError | undefined => {
  const writers = piece.state.isText ? undefined : CopyRows.writersOf(rows)
  let from = 0
  if (writers !== undefined) {
    const run = runOf(piece, rows, "binary")
    from = CopyRows.putBinary(run.sink, rows, writers, 0, all)
    run.numbers.push(from === rows.rows.length ? rows.numbers : rows.numbers.slice(0, from))
  }
  if (from === rows.rows.length) return undefined
  piece.state.isText = true
  const run = runOf(piece, rows, "text")
  const end = CopyRows.putTexts(run.sink, rows, from, all)
  if (typeof end !== "number") return end
  run.numbers.push(rows.numbers.slice(from))
  return undefined
}

/** Writes rows behind those that it has, or says why one of them cannot be stored. */
export const take = (piece: CopyPiece, { groups, rows }: Chunk.Chunk): PoolError | undefined => {
  for (const group of groups.values()) {
    const problem = put(piece, BulkRows.make(piece.site, piece.shape, group))
    if (problem !== undefined) return problem
  }
  piece.rows += rows
  return undefined
}

/** What is told of a run's rows; they are read back once it is asked for. */
const knownRows = (run: Run): BulkRows.KnownRows => {
  const written = run.sink.bytes.subarray(0, run.sink.at)
  let rows: ReadonlyArray<ReadonlyArray<unknown>> | undefined
  const read = () => {
    const { columns, format, shape } = run
    if (format === "text") return CopyRows.writtenTexts(written)
    const readers = columns.map(({ oid }) => readerOf(shape.types, oid))
    return CopyRows.writtenBinary(written, readers)
  }
  return {
    ...run,
    length: () => run.numbers.reduce((sum, { length }) => sum + length, 0),
    numberOf: (index) => run.numbers.flat()[index],
    valueOf: (index, at) => {
      rows ??= read()
      return rows[index]?.[at]
    }
  }
}

/** What sends a piece, which takes no more. */
export const stepsOf = ({ runs, site }: CopyPiece): Array<Step> => {
  const steps: Array<Step> = []
  for (const run of runs.values()) {
    const { format, numbers, sink } = run
    if (numbers.every(({ length }) => length === 0)) continue
    steps.push(copyOf(site.table, knownRows(run), 0, format))
    if (format === "binary") CopyRows.putTrailer(sink)
    steps.push(sink.bytes.subarray(0, sink.at))
  }
  return steps
}
