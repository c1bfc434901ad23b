/**
 * The statement that stores a group of rows: each column is one array parameter, so a statement has as many parameters
 * as columns whatever the number of rows.
 *
 * **Details**
 *
 * The arrays are unnested side by side in the select list, which is quicker than in `from`: nothing is materialised.
 */
import * as Result from "effect/Result"
import { oids } from "../types/BuiltinTypes.ts"
import { ColumnParam } from "./BulkParams.ts"
import { type BulkRows, valuesOf } from "./BulkRows.ts"
import { valueRefusal } from "./CheckInput.ts"
import * as Returning from "./Returning.ts"
import * as SqlBuilder from "./SqlBuilder.ts"
import type { Conflict } from "./Write.ts"
import { onConflict } from "./Write.ts"

/** A statement whose parameters are columns. */
export interface Bulk {
  readonly text: string
  readonly params: ReadonlyArray<ColumnParam>
}

/** Whether a value is a list, which an array of a type that is none would take for another dimension. */
const isList = (value: unknown, oid: number): boolean =>
  Array.isArray(value) || (value instanceof Uint8Array && oid !== oids.bytea)

/** Checks the values, and says whether one of them is a list. */
const check = (
  builder: SqlBuilder.SqlBuilder,
  key: string,
  oid: number,
  values: ReadonlyArray<unknown>,
  numbers: ReadonlyArray<number>
): boolean => {
  const { place, takesInstances } = builder
  let hasList = false
  for (let index = 0; index < values.length; index++) {
    const value = values[index]
    const kind = typeof value
    if (kind === "string" || kind === "number" || kind === "boolean") continue
    if (valueRefusal(value, key, "", takesInstances) !== undefined) {
      builder.problem ??= valueRefusal(value, key, `${place}, row ${numbers[index]}`, takesInstances)
      return hasList
    }
    hasList ||= isList(value, oid)
  }
  return hasList
}

const unnested = (placeholder: string, type: string, asTexts: boolean): string =>
  asTexts ? `unnest(${placeholder}::pg_catalog.text[])::${type}` : `unnest(${placeholder}::${type}[])`

const into = (builder: SqlBuilder.SqlBuilder, rows: BulkRows): string => {
  const { columns, keys, numbers } = rows
  if (keys.length === 0) {
    return `insert into ${builder.table} select from pg_catalog.generate_series(1, ${rows.rows.length})`
  }
  const names = SqlBuilder.columns(builder, keys)
  const selected = keys.map((key, at) => {
    const column = columns[at]!
    const values = valuesOf(rows, key)
    const hasList = check(builder, key, column.oid, values, numbers)
    const asTexts = column.form === "text" || (column.form === "typed" && hasList)
    const form = asTexts ? "texts" : "array"
    const param = new ColumnParam({ column: key, type: column.oid, form, values, rows: numbers })
    return unnested(SqlBuilder.gapFor(builder, param), column.type, asTexts)
  })
  return `insert into ${builder.table} (${names}) select ${selected.join(", ")}`
}

export const store = (
  site: SqlBuilder.Site,
  rows: BulkRows,
  returning: Returning.Columns,
  conflict?: Conflict
): SqlBuilder.Parsed<Bulk> =>
  Result.map(
    SqlBuilder.statement(site, (builder) => {
      const insert = into(builder, rows)
      const text = conflict === undefined ? insert : `${insert}${onConflict(builder, conflict)}`
      return `${text}${Returning.print(builder, returning)}`
    }),
    ({ columns: roles, params, text }) => ({
      text,
      params: params.map((param, index): ColumnParam => {
        if (param instanceof ColumnParam) return param
        const { column, role } = roles?.values[index] ?? { column: "", role: "given" }
        const type = role === "stored" ? (rows.shape.columns.get(column)?.oid ?? 0) : 0
        return new ColumnParam({ column, type, form: "one", values: [param], rows: [] })
      })
    })
  )
