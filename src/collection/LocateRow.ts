/**
 * Which row of many an error of the server is about. For a `COPY` the server names the line. For an `INSERT` of many rows it
 * names none, but it mostly quotes the value, the key or the row that it refuses, which is looked for among the rows.
 */
import { isPoolError } from "../errors/PoolError.ts"
import { isRaised } from "../errors/ServerErrors.ts"
import type { ServerFields } from "../protocol/MessageReader.ts"
import { oids } from "../types/BuiltinTypes.ts"
import type { Column } from "../types/TableShape.ts"
import { type KnownRows, textOf } from "./BulkRows.ts"

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

export const all = (rows: KnownRows): ReadonlyArray<number> =>
  Array.from({ length: rows.length() }, (_, row) => row)

const indexes = (rows: KnownRows, holds: (row: number) => boolean): ReadonlyArray<number> =>
  all(rows).filter(holds)

/** A value's text as the server has got it; `null` for NULL, and for a column that the rows do not name. */
const textIn = (rows: KnownRows, row: number, name: string): string | null => {
  const at = rows.columns.findIndex((one) => one.name === name)
  const text = at < 0 ? null : textOf(rows, row, at)
  return isPoolError(text) ? null : text
}

const byKey = (detail: string, rows: KnownRows): Place | undefined => {
  const [names, values] = keyIn(detail) ?? []
  if (names === undefined || !names.every((name) => rows.columns.some((one) => one.name === name)))
    return undefined
  const found = indexes(rows, (row) => names.map((name) => textIn(rows, row, name)).join(", ") === values)
  return { rows: found, column: names.length === 1 ? names[0] : undefined }
}

/** `Failing row contains (1, x, null).`: the row that has most of these values. */
const byRow = (detail: string, rows: KnownRows): Place | undefined => {
  const values = /\((.*)\)/s.exec(detail)?.[1]?.split(", ") ?? []
  const names = [...rows.shape.columns.keys()]
  if (values.length !== names.length) return undefined
  const scores = all(rows).map(
    (row) =>
      rows.columns.filter(({ name }) => (textIn(rows, row, name) ?? "null") === values[names.indexOf(name)])
        .length
  )
  const best = scores.reduce((most, score) => Math.max(most, score), 1)
  return { rows: indexes(rows, (row) => scores[row] === best) }
}

/** `value too long for type character varying(3)`: the first text in such a column with more characters, other than blanks. */
const byLength = (most: number, rows: KnownRows): Place | undefined => {
  const limited = rows.columns.filter(
    ({ modifier, oid }) => modifier === most + 4 && (oid === oids.varchar || oid === oids.bpchar)
  )
  for (let row = 0; row < rows.length(); row++) {
    const isTooLong = ({ name }: Column): boolean =>
      Array.from(textIn(rows, row, name) ?? "")
        .slice(most)
        .some((character) => character !== " ")
    const column = limited.find(isTooLong)
    if (column !== undefined) return { rows: [row], column: column.name }
  }
  return undefined
}

/** `invalid input syntax for type integer: "x"` */
const byValue = (message: string, rows: KnownRows, columns: ReadonlyArray<Column>): Place | undefined => {
  for (const { name } of columns) {
    const found = indexes(rows, (row) => {
      const text = textIn(rows, row, name)
      return text !== null && message.includes(`"${text}"`)
    })
    if (found.length > 0) return { rows: found, column: name }
  }
  return undefined
}

/**
 * Values that are refused, and syntax and names inside of values. What is wrong with the text of the statement has a position
 * there; row security and columns that take no values are no matter of one value.
 */
const aboutValues = /^(?:22|42(?!501|8C9))/

const notNull = "23502"
const tooLong = "22001"

/** Where the refused value, key or row of an `INSERT` stands. */
export const inInsert = (fields: ServerFields, rows: KnownRows): Place | undefined => {
  const { code, column, detail = "", message = "", position, where = "" } = fields
  if (code === notNull && column !== undefined) {
    const found = indexes(rows, (row) => textIn(rows, row, column) === null)
    return { rows: found.slice(0, 1), column }
  }
  if (code === tooLong) {
    const most = /\((\d+)\)$/.exec(message)?.[1]
    return most === undefined ? undefined : byLength(Number(most), rows)
  }
  if (code?.startsWith("23") === true) return byKey(detail, rows) ?? byRow(detail, rows)
  if (!isRaised(fields) && (position !== undefined || !aboutValues.test(code ?? ""))) return undefined
  const named = rows.columns[Number(/parameter \$(\d+)/.exec(where)?.[1]) - 1]
  return byValue(message, rows, named === undefined ? rows.columns : [named])
}
