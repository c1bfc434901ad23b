/**
 * The statements that read: find, count, exists and distinct.
 */

import * as Result from "effect/Result"
import { described, entriesOf, optionsOf, reading, refuse, shown } from "./CheckInput.ts"
import type { Condition } from "./Filter.ts"
import { where } from "./FilterSql.ts"
import * as SqlBuilder from "./SqlBuilder.ts"

/** What `find` takes beside its filter, checked. */
export interface Options {
  readonly columns: ReadonlyArray<string> | undefined
  readonly orderBy: ReadonlyArray<readonly [column: string, direction: "asc" | "desc"]>
  readonly limit: number | undefined
  readonly offset: number | undefined
}

const form = "{ columns, orderBy, limit, offset }"

/** Names of columns in an array. */
export const parseColumns = (
  option: string,
  value: unknown,
  place: string
): SqlBuilder.Parsed<ReadonlyArray<string>> => {
  const names: ReadonlyArray<unknown> = Array.isArray(value) ? Array.from(value) : []
  if (names.length > 0 && names.every((name) => typeof name === "string")) return Result.succeed(names)
  const what = Array.isArray(value) ? "an array that holds no names" : described(value)
  return refuse(
    place,
    `${option} is ${what}`,
    `Name the columns in an array, ["id", "name"], ${option === "columns" ? "or leave it out" : "or say true"} for all.`
  )
}

const parseOrder = (value: unknown, place: string): SqlBuilder.Parsed<Options["orderBy"]> =>
  Result.gen(function* () {
    const order: Array<readonly [string, "asc" | "desc"]> = []
    const form = '{ column: "asc" } or { column: "desc" }'
    for (const [column, direction] of yield* entriesOf(value, "orderBy", place, form)) {
      if (direction !== "asc" && direction !== "desc") {
        const what = `orderBy has no direction for column ${shown(column)}`
        return yield* refuse(place, what, 'A direction is "asc" or "desc".')
      }
      order.push([column, direction])
    }
    return order
  })

const parseCount = (name: string, value: unknown, place: string): SqlBuilder.Parsed<number> =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0
    ? Result.succeed(value)
    : refuse(place, `${name} is no whole number from 0 up`, `Leave ${name} out where there is none.`)

/** The options of a find; those not in `known` are refused. An option that is `undefined` counts as left out. */
export const parseOptions = (
  options: unknown,
  known: ReadonlyArray<string>,
  place: string
): SqlBuilder.Parsed<Options> =>
  reading(place, "the options", () =>
    Result.gen(function* () {
      const given = options === undefined ? {} : options
      const { columns, limit, offset, orderBy } = yield* optionsOf(given, known, place, form)
      return {
        columns: columns === undefined ? undefined : yield* parseColumns("columns", columns, place),
        orderBy: orderBy === undefined ? [] : yield* parseOrder(orderBy, place),
        limit: limit === undefined ? undefined : yield* parseCount("limit", limit, place),
        offset: offset === undefined ? undefined : yield* parseCount("offset", offset, place)
      }
    })
  )

const order = (builder: SqlBuilder.SqlBuilder, by: Options["orderBy"]): string =>
  by.length === 0
    ? ""
    : ` order by ${by.map(([column, direction]) => `${SqlBuilder.column(builder, column)} ${direction}`).join(", ")}`

export const find = (builder: SqlBuilder.SqlBuilder, condition: Condition, options: Options): string => {
  const columns = SqlBuilder.returned(builder, options.columns)
  let text = `select ${columns} from ${builder.table}${where(builder, condition)}${order(builder, options.orderBy)}`
  if (options.limit !== undefined) text += ` limit ${SqlBuilder.bound(builder, options.limit)}`
  if (options.offset !== undefined) text += ` offset ${SqlBuilder.bound(builder, options.offset)}`
  return text
}

export const count = (builder: SqlBuilder.SqlBuilder, condition: Condition): string =>
  `select count(*) as "count" from ${builder.table}${where(builder, condition)}`

export const exists = (builder: SqlBuilder.SqlBuilder, condition: Condition): string =>
  `select exists(select from ${builder.table}${where(builder, condition)}) as "exists"`

export const distinct = (builder: SqlBuilder.SqlBuilder, column: string, condition: Condition): string =>
  `select distinct ${SqlBuilder.column(builder, column)} as "value" from ${builder.table}${where(builder, condition)}`
