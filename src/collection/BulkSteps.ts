/**
 * What is sent to store rows by `COPY`: statements and their data, and the errors about many rows.
 */
import type { About } from "../errors/ServerErrors.ts"
import type { Tell } from "../execute/Job.ts"
import type { Step, Storing } from "../execute/StoreRows.ts"
import { quote } from "../statement/Names.ts"
import type { Write } from "../types/BinaryWriter.ts"
import * as Sink from "../types/Sink.ts"
import { type BulkRows, type KnownRows, known } from "./BulkRows.ts"
import { shown } from "./CheckInput.ts"
import * as CopyRows from "./CopyRows.ts"
import * as LocateRow from "./LocateRow.ts"

/** Data of a `COPY` go in messages of about so many bytes. */
export const messageSize = 131_072
/** Rows longer than this make a message grow. */
const spareSize = 4_096

/** What a value takes that is not long. */
const usualSize = 16

/** Several rows are named up to this number. */
const mostNamed = 3

/**
 * The values of rows, which a message must not show. Of values that were read back it is not known how a message may show them: it
 * shows none then.
 */
const hidden = (rows: KnownRows, indexes: ReadonlyArray<number>): About =>
  rows.areGiven
    ? { params: indexes.flatMap((index) => rows.keys.map((_, at) => rows.valueOf(index, at))) }
    : {}

/** The story of an error: where it is about these rows, and what its texts must not show. */
const aboutOf = (rows: KnownRows, found: LocateRow.Place | undefined): About => {
  const { place } = rows
  const [first, ...others] = found?.rows ?? []
  if (first === undefined || others.length >= mostNamed) return {}
  const named = [first, ...others].map(rows.numberOf)
  const where = `${place}, ${named.length === 1 ? "row" : "rows"} ${named.join(" and ")}`
  const at = rows.columns.findIndex(({ name }) => name === found?.column)
  const column = rows.keys[at] ?? found?.column
  return {
    place: column === undefined ? where : `${where}, column ${shown(column)}`,
    ...hidden(rows, [first, ...others])
  }
}

/** The unquoted name of the relation itself. */
const relationOf = (table: string): string =>
  (/(?:^|\.)"((?:[^"]|"")*)"$/.exec(table)?.[1] ?? table).replaceAll('""', '"')

/** How the columns of a `COPY` are written in binary; `undefined` where it goes as text. */
export type Writers = ReadonlyArray<Write> | undefined

/** The statement that `COPY`s these rows from `from` on. */
export const copyOf = (table: string, rows: KnownRows, from: number, writers: Writers): Storing => {
  const format = writers === undefined ? "text" : "binary"
  const names = rows.columns.map(({ name }) => name)
  return {
    _tag: "Storing",
    text: `copy ${table} (${names.map(quote).join(", ")}) from stdin (format ${format})`,
    tell: (fields) => {
      const line = LocateRow.inCopy(fields, relationOf(table), names)
      const found =
        line === undefined
          ? LocateRow.inInsert(fields, rows)
          : { ...line, rows: line.rows.map((row) => row + from) }
      return aboutOf(rows, found)
    }
  }
}

/** Whether rows go as text: once one had to, all that follow do. */
export interface CopyState {
  isText: boolean
}

/** One `COPY` for rows from `from` on, as text or, as far as these writers take them, binary; gives the index of the next. */
function* copy(table: string, rows: BulkRows, from: number, writers: Writers): Generator<Step, number> {
  let next = from
  for (let isFirst = true, isLast = false; !isLast; isFirst = false) {
    const most = 64 + (rows.rows.length - next) * (2 + rows.columns.length * usualSize)
    const sink = Sink.make(Math.min(messageSize + spareSize, most))
    if (isFirst && writers !== undefined) CopyRows.putHeader(sink)
    const end =
      writers === undefined
        ? CopyRows.putTexts(sink, rows, next, messageSize)
        : CopyRows.putBinary(sink, rows, writers, next, messageSize)
    if (typeof end !== "number") {
      yield end
      return next
    }
    isLast = end === rows.rows.length || sink.at < messageSize
    if (isFirst && isLast && end === from) return from
    if (isFirst) yield copyOf(table, known(rows), from, writers)
    if (isLast && writers !== undefined) CopyRows.putTrailer(sink)
    yield sink.bytes.subarray(0, sink.at)
    next = end
  }
  return next
}

/** Stores rows by `COPY`: binary up to the first row with a value that has to go as text. */
export function* copySteps(table: string, rows: BulkRows, state: CopyState): Generator<Step> {
  const writers = state.isText ? undefined : CopyRows.writersOf(rows)
  const from = writers === undefined ? 0 : yield* copy(table, rows, 0, writers)
  if (from === rows.rows.length) return
  state.isText = true
  yield* copy(table, rows, from, undefined)
}

/** What to say of an error of an `INSERT` of these rows: where none of them is named it may speak of any. */
export const tellInsert =
  (rows: KnownRows): Tell =>
  (fields) => {
    const about = aboutOf(rows, LocateRow.inInsert(fields, rows))
    return about.place === undefined ? hidden(rows, LocateRow.all(rows)) : about
  }
