/**
 * Rows, changes and filters of a table without SQL, as pieces of statements of one's own: `PG.values`, `PG.set`, `PG.where`.
 *
 * Their values are encoded by the types of their columns, as those of a table's own operations are, and columns are named as the
 * handle that runs the statement names them. What cannot be sent fails when the statement runs.
 */
import * as Result from "effect/Result"
import { valueOf } from "../statement/Slot.ts"
import { draft, isSql, make, type Sql } from "../statement/Sql.ts"
import * as Change from "./Change.ts"
import { described, entriesOf, refuse } from "./CheckInput.ts"
import * as Filter from "./Filter.ts"
import * as FilterSql from "./FilterSql.ts"
import * as SqlBuilder from "./SqlBuilder.ts"
import type { Filter as AnyFilter, AnyRow, Changes } from "./Types.ts"
import { assignment } from "./Write.ts"

/** A piece as it is written, or why it is none. */
const piece = (
  place: string,
  write: (builder: SqlBuilder.SqlBuilder) => SqlBuilder.Parsed<string>,
  of?: string
): Sql => {
  const builder = { ...SqlBuilder.make({ place, table: "", naming: "as-is", takesInstances: true }), of }
  const text = write(builder)
  return Result.isSuccess(text)
    ? SqlBuilder.piece(builder, text.success)
    : make({ ...draft(), problem: text.failure })
}

/**
 * A filter as a condition: `` PG.sql`select * from users where ${PG.where({ age: { $gte: 18 } })}` ``. `of` is a table, or another
 * name that the statement gives it, where the columns of several have to be told apart.
 *
 * **Example** (A filter on one table of two)
 *
 * ```ts
 * import { PG } from "effect-global-pool"
 *
 * const adult = PG.where({ age: { $gte: 18 } }, "u")
 * const statement = PG.sql`select u.name from users u join pg_database d on true where ${adult} limit 1`
 * ```
 */
export const where = (filter: AnyFilter<AnyRow>, of?: string): Sql =>
  piece(
    "PG.where",
    (builder) =>
      Result.map(Filter.parse(filter, builder.place), (condition) => FilterSql.condition(builder, condition)),
    of
  )

/**
 * Changes as assignments: `` PG.sql`update users set ${PG.set({ name, seen: PG.sql`now()` })} where id = ${id}` ``.
 */
export const set = (changes: Changes<AnyRow>): Sql =>
  piece("PG.set", (builder) =>
    Result.map(Change.parse(changes, builder.place), (parsed) =>
      parsed.map((change) => assignment(builder, change)).join(", ")
    )
  )

const list = (values: ReadonlyArray<string>): string => `(${values.join(", ")})`

/** Rows by column name: the columns that any of them has, `default` for one that a row lacks. */
const named = (builder: SqlBuilder.SqlBuilder, given: ReadonlyArray<unknown>): SqlBuilder.Parsed<string> =>
  Result.gen(function* () {
    const rows: Array<ReadonlyMap<string, unknown>> = []
    for (const [index, row] of given.entries()) {
      rows.push(new Map(yield* entriesOf(row, `row ${index + 1}`, builder.place)))
    }
    const names = [...new Set(rows.flatMap((row) => [...row.keys()]))]
    if (names.length === 0 && rows.length === 1) return "default values"
    if (names.length === 0) {
      return yield* refuse(builder.place, "the rows have no columns", "Name one at least.")
    }
    const columns = list(names.map((name) => SqlBuilder.column(builder, name)))
    const values = rows.map((row) =>
      list(
        names.map((name) => {
          const value = row.get(name)
          return value === undefined ? "default" : SqlBuilder.changed(builder, value, name)
        })
      )
    )
    return `${columns} values ${values.join(", ")}`
  })

const positional = (
  builder: SqlBuilder.SqlBuilder,
  rows: ReadonlyArray<ReadonlyArray<unknown>>
): SqlBuilder.Parsed<string> => {
  const uneven = rows.findIndex((row) => row.length === 0 || row.length !== rows[0]?.length)
  if (uneven >= 0) {
    const what = `row ${uneven + 1} has ${rows[uneven]?.length} values, and row 1 has ${rows[0]?.length}`
    return refuse(builder.place, what, "Rows are of one length, from 1 on.")
  }
  const texts = rows.map((row) =>
    list(
      Array.from(row, (value) =>
        isSql(value)
          ? SqlBuilder.changed(builder, value, "")
          : SqlBuilder.gapFor(builder, valueOf("", "given", value))
      )
    )
  )
  return Result.succeed(`values ${texts.join(", ")}`)
}

/**
 * Rows as a statement's values. Objects come with their columns, `("id", "name") values ($1, $2), …`, and `default` for what a row
 * lacks; arrays without, `values ($1, $2), …`.
 *
 * **Example** (Rows that are no table's)
 *
 * ```ts
 * import { PG } from "effect-global-pool"
 *
 * const rows = PG.values([["de", 1], ["fr", 2]])
 * const statement = PG.sql`select code, rank from (${rows}) as given (code, rank)`
 * ```
 */
export const values = (rows: ReadonlyArray<object | ReadonlyArray<unknown>>): Sql =>
  piece("PG.values", (builder) => {
    const given: ReadonlyArray<unknown> = Array.isArray(rows) ? Array.from(rows) : []
    if (given.length === 0) {
      const what = Array.isArray(rows) ? "there are no rows" : `the rows are ${described(rows)}, not an array`
      return refuse(builder.place, what, "SQL has no values without a row.")
    }
    return given.every(Array.isArray) ? positional(builder, given) : named(builder, given)
  })
