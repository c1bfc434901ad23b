/**
 * Rows as the data of a `COPY … FROM STDIN`: in its binary format where every value is a plain case, else in its text format,
 * which takes what an `INSERT` takes.
 *
 * Both formats are described in the PostgreSQL manual, "COPY", File Formats (sql-copy).
 */
import { Buffer } from "node:buffer"
import type { PoolError } from "../errors/PoolError.ts"
import type { Write } from "../types/BinaryWriter.ts"
import { writerOf } from "../types/BinaryWriter.ts"
import { int32 } from "../types/Bytes.ts"
import { putInt16, putInt32, putText, reserve, type Sink } from "../types/Sink.ts"
import { type BulkRows, known, textOf, valueOf } from "./BulkRows.ts"

const signature = Buffer.from("PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0", "latin1")

/** Begins the data of a binary `COPY`. */
export const putHeader = (sink: Sink): void => {
  reserve(sink, signature.length)
  sink.bytes.set(signature, sink.at)
  sink.at += signature.length
}

export const putTrailer = (sink: Sink): void => {
  reserve(sink, 2)
  putInt16(sink, -1)
}

/** How the columns are written in binary; `undefined` where the values go as text. */
export const writersOf = ({ columns, shape }: BulkRows): ReadonlyArray<Write> | undefined => {
  if (shape.lacksBinary) return undefined
  const writers = columns.flatMap(({ oid }) => writerOf(shape.types, oid) ?? [])
  return writers.length === columns.length ? writers : undefined
}

/**
 * Writes rows from `from` on until the sink holds `size` bytes, and gives the index of the next row. That is one which has to
 * go as text, if there are more rows and the sink holds less.
 */
export const putBinary = (
  sink: Sink,
  rows: BulkRows,
  writers: ReadonlyArray<Write>,
  from: number,
  size: number
): number => {
  const { isMixed, keys } = rows
  let start = sink.at
  let index = from
  try {
    for (; index < rows.rows.length && sink.at < size; index++) {
      const row = rows.rows[index]!
      start = sink.at
      reserve(sink, 2)
      putInt16(sink, writers.length)
      for (let at = 0; at < writers.length; at++) {
        const value = isMixed ? valueOf(rows, row, keys[at]!) : row[keys[at]!]
        if (value === null || value === undefined) {
          reserve(sink, 4)
          putInt32(sink, -1)
        } else if (!writers[at]!(sink, value)) {
          sink.at = start
          return index
        }
      }
    }
  } catch {
    // What writes it as text says why it cannot be read.
    sink.at = start
  }
  return index
}

const special = /[\\\n\r\t]/
const escapes: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" }

const unescapes: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t" }

const unescaped = (text: string): string =>
  text.replace(/\\(.)/gs, (_, escape: string) => unescapes[escape] ?? escape)

const escaped = (text: string): string =>
  special.test(text) ? text.replace(/[\\\n\r\t]/g, (character) => escapes[character]!) : text

/** As `putBinary`, in the text format; or why a value cannot be stored at all. */
export const putTexts = (sink: Sink, rows: BulkRows, from: number, size: number): number | PoolError => {
  const told = known(rows)
  let index = from
  for (; index < rows.rows.length && sink.at < size; index++) {
    let line = ""
    for (let at = 0; at < rows.columns.length; at++) {
      const text = textOf(told, index, at)
      if (typeof text === "object" && text !== null) return text
      if (at > 0) line += "\t"
      line += text === null ? "\\N" : escaped(text)
    }
    reserve(sink, line.length * 3 + 1)
    putText(sink, line)
    sink.bytes[sink.at++] = 10
  }
  return index
}

/** Reads back the rows that `putHeader` and `putBinary` wrote. */
export const writtenBinary = (
  bytes: Buffer,
  readers: ReadonlyArray<(bytes: Buffer, offset: number, size: number) => unknown>
): ReadonlyArray<ReadonlyArray<unknown>> => {
  const rows: Array<ReadonlyArray<unknown>> = []
  for (let at = signature.length; at < bytes.length; ) {
    at += 2
    const row = readers.map((read) => {
      const size = int32(bytes, at)
      const start = at + 4
      at = start + Math.max(0, size)
      return size < 0 ? null : read(bytes, start, size)
    })
    rows.push(row)
  }
  return rows
}

/** Reads back the rows that `putTexts` wrote. */
export const writtenTexts = (bytes: Buffer): ReadonlyArray<ReadonlyArray<unknown>> =>
  bytes
    .toString("utf8")
    .split("\n")
    .map((line) => line.split("\t").map((text) => (text === "\\N" ? null : unescaped(text))))
