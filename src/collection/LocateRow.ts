/**
 * Which row of many an error of the server is about. For a `COPY` the server names the line. For an `INSERT` of many rows it
 * names none, but it mostly quotes the value, the key or the row that it refuses, which is looked for among the rows.
 */
import type { ServerFields } from "../protocol/MessageReader.ts"

/** Where among the rows, by index: several where the same value stands in several rows. */
export interface Place {
  readonly rows: ReadonlyArray<number>
  readonly column?: string | undefined
}

const unquoted = (name: string): string => name.replace(/^"(.*)"$/s, "$1").replaceAll('""', '"')

/** `Key (a, b)=(1, x) already exists.`: its columns and its values. */
const keyIn = (detail: string): readonly [columns: ReadonlyArray<string>, values: string] | undefined => {
  const [, key, values] = /\((.*?)\)=\((.*?)\)(?: |$|\.|«)/s.exec(detail) ?? []
  return key === undefined || values === undefined ? undefined : [key.split(", ").map(unquoted), values]
}

/** The line that the server names for a `COPY` into this relation, in any language, and the column if it can be known. */
export const inCopy = (
  { column, detail = "", where }: ServerFields,
  relation: string,
  columns: ReadonlyArray<string>
): Place | undefined => {
  const start = `COPY ${relation}`
  const entry = where?.split("\n").find((line) => line.startsWith(start)) ?? ""
  const [, line, named = ""] = /^\D*(\d+)(?:[^\s:]*\s\S+\s(.*))?/.exec(entry.slice(start.length)) ?? []
  if (line === undefined) return undefined
  const isNamed = (name: string) => named.startsWith(name) && /^(?:$|\s?[:：])/.test(named.slice(name.length))
  const [key, ...others] = keyIn(detail)?.[0] ?? []
  const inKey = others.length === 0 ? columns.find((name) => name === key) : undefined
  return { rows: [Number(line) - 1], column: columns.find(isNamed) ?? column ?? inKey }
}

/** The rows of an `INSERT` as the server has got them. */
export interface InsertedRows {
  readonly length: number
  /** The columns that the rows name, and all columns of the table in order. */
  readonly columns: ReadonlyArray<string>
  readonly tableColumns: ReadonlyArray<string>
  /** The columns that take texts of so many characters at the most. */
  readonly limited: (most: number) => ReadonlyArray<string>
  /** A value's text; `null` for NULL. */
  readonly textOf: (row: number, column: string) => string | null
}

const indexes = (length: number, holds: (row: number) => boolean): ReadonlyArray<number> =>
  Array.from({ length }, (_, row) => row).filter(holds)

const byKey = (detail: string, { columns, length, textOf }: InsertedRows): Place | undefined => {
  const [names, values] = keyIn(detail) ?? []
  if (names === undefined || !names.every((name) => columns.includes(name))) return undefined
  const rows = indexes(length, (row) => names.map((name) => textOf(row, name)).join(", ") === values)
  return { rows, column: names.length === 1 ? names[0] : undefined }
}

/** `Failing row contains (1, x, null).`: the row that has most of these values. */
const byRow = (
  detail: string,
  { columns, length, tableColumns, textOf }: InsertedRows
): Place | undefined => {
  const values = /\((.*)\)/s.exec(detail)?.[1]?.split(", ") ?? []
  if (values.length !== tableColumns.length) return undefined
  const scores = indexes(length, () => true).map(
    (row) =>
      columns.filter((name) => (textOf(row, name) ?? "null") === values[tableColumns.indexOf(name)]).length
  )
  const best = scores.reduce((most, score) => Math.max(most, score), 1)
  return { rows: indexes(length, (row) => scores[row] === best) }
}

/** `value too long for type character varying(3)`: the first text of more characters in such a column. */
const byLength = (most: number, { length, limited, textOf }: InsertedRows): Place | undefined => {
  const columns = limited(most)
  for (let row = 0; row < length; row++) {
    const column = columns.find((name) => Array.from(textOf(row, name) ?? "").length > most)
    if (column !== undefined) return { rows: [row], column }
  }
  return undefined
}

/** `invalid input syntax for type integer: "x"` */
const byValue = (message: string, rows: InsertedRows, columns: ReadonlyArray<string>): Place | undefined => {
  for (const column of columns) {
    const found = indexes(rows.length, (row) => {
      const text = rows.textOf(row, column)
      return text !== null && message.includes(`"${text}"`)
    })
    if (found.length > 0) return { rows: found, column }
  }
  return undefined
}

const notNull = "23502"
const tooLong = "22001"

/** Where the refused value, key or row stands; `parameter` is the column of the parameter that the server names. */
export const inInsert = (
  { code, column, detail = "", message = "" }: ServerFields,
  rows: InsertedRows,
  parameter: string | undefined
): Place | undefined => {
  if (code === notNull && column !== undefined) {
    const found = indexes(
      rows.length,
      (row) => !rows.columns.includes(column) || rows.textOf(row, column) === null
    )
    return { rows: found.slice(0, 1), column }
  }
  if (code === tooLong) {
    const most = /\((\d+)\)$/.exec(message)?.[1]
    return most === undefined ? undefined : byLength(Number(most), rows)
  }
  if (code?.startsWith("23") === true) return byKey(detail, rows) ?? byRow(detail, rows)
  return byValue(message, rows, parameter === undefined ? rows.columns : [parameter])
}
