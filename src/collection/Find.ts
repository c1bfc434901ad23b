/**
 * The statements that read: find, count, exists and distinct.
 */

import * as Result from "effect/Result"
import type { Bound } from "../statement/Statement.ts"
import { described, entriesOf, reading, refuse, shown } from "./CheckInput.ts"
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

const noOptions: Options = { columns: undefined, orderBy: [], limit: undefined, offset: undefined }

/** Names of columns in an array. */
export const parseColumns = (
  option: string,
  value: unknown,
  place: string
): SqlBuilder.Parsed<ReadonlyArray<string>> => {
  const names: ReadonlyArray<unknown> = Array.isArray(value) ? Array.from(value) : []
  if (names.length > 0 && names.every((name) => typeof name === "string")) return Result.succeed(names)
  const what = Array.isArray(value) && value.length === 0 ? "an empty array" : described(value)
  return Result.fail(
    refuse(
      place,
      `${option} is ${what}`,
      `Name the columns in an array, ["id", "name"], ${option === "columns" ? "or leave it out" : "or say true"} for all.`
    )
  )
}

const parseOrder = (value: unknown, place: string): SqlBuilder.Parsed<Options["orderBy"]> => {
  const entries = entriesOf(value, "orderBy", place, '{ column: "asc" } or { column: "desc" }')
  if (Result.isFailure(entries)) return Result.fail(entries.failure)
  const order: Array<readonly [string, "asc" | "desc"]> = []
  for (const [column, direction] of entries.success) {
    if (direction !== "asc" && direction !== "desc") {
      const instead = 'A direction is "asc" or "desc".'
      return Result.fail(refuse(place, `orderBy has no direction for column ${shown(column)}`, instead))
    }
    order.push([column, direction])
  }
  return Result.succeed(order)
}

const parseCount = (name: string, value: unknown, place: string): SqlBuilder.Parsed<number> =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0
    ? Result.succeed(value)
    : Result.fail(
        refuse(place, `${name} is no whole number from 0 up`, `Leave ${name} out where there is none.`)
      )

/** The options of a find; those not in `known` are refused. An option that is `undefined` counts as left out. */
export const parseOptions = (
  options: unknown,
  known: ReadonlyArray<string>,
  place: string
): SqlBuilder.Parsed<Options> => reading(place, "the options", () => parseAll(options, known, place))

const parseAll = (
  options: unknown,
  known: ReadonlyArray<string>,
  place: string
): SqlBuilder.Parsed<Options> =>
  Result.gen(function* () {
    if (options === undefined) return noOptions
    let parsed = noOptions
    for (const [name, value] of yield* entriesOf(
      options,
      "the options",
      place,
      "{ columns, orderBy, limit, offset }"
    )) {
      if (!known.includes(name)) {
        return yield* Result.fail(
          refuse(place, `${shown(name)} is no option`, `The options are ${known.join(", ")}.`)
        )
      }
      if (value === undefined) continue
      if (name === "columns") parsed = { ...parsed, columns: yield* parseColumns("columns", value, place) }
      else if (name === "orderBy") parsed = { ...parsed, orderBy: yield* parseOrder(value, place) }
      else if (name === "limit") parsed = { ...parsed, limit: yield* parseCount(name, value, place) }
      else if (name === "offset") parsed = { ...parsed, offset: yield* parseCount(name, value, place) }
    }
    return parsed
  })

const order = (builder: SqlBuilder.SqlBuilder, by: Options["orderBy"]): string =>
  by.length === 0
    ? ""
    : ` order by ${by.map(([column, direction]) => `${SqlBuilder.column(builder, column)} ${direction}`).join(", ")}`

export const find = (
  site: SqlBuilder.Site,
  condition: Condition,
  options: Options
): SqlBuilder.Parsed<Bound> => {
  const builder = SqlBuilder.make(site)
  const columns = options.columns === undefined ? "*" : SqlBuilder.columns(builder, options.columns)
  let text = `select ${columns} from ${site.table}${where(builder, condition)}${order(builder, options.orderBy)}`
  if (options.limit !== undefined) text += ` limit ${SqlBuilder.bound(builder, options.limit)}`
  if (options.offset !== undefined) text += ` offset ${SqlBuilder.bound(builder, options.offset)}`
  return SqlBuilder.finish(builder, text, options.columns === undefined)
}

export const count = (site: SqlBuilder.Site, condition: Condition): SqlBuilder.Parsed<Bound> => {
  const builder = SqlBuilder.make(site)
  return SqlBuilder.finish(
    builder,
    `select count(*) as "count" from ${site.table}${where(builder, condition)}`
  )
}

export const exists = (site: SqlBuilder.Site, condition: Condition): SqlBuilder.Parsed<Bound> => {
  const builder = SqlBuilder.make(site)
  return SqlBuilder.finish(
    builder,
    `select exists(select from ${site.table}${where(builder, condition)}) as "exists"`
  )
}

export const distinct = (
  site: SqlBuilder.Site,
  column: string,
  condition: Condition
): SqlBuilder.Parsed<Bound> => {
  const builder = SqlBuilder.make(site)
  const name = SqlBuilder.column(builder, column)
  return SqlBuilder.finish(
    builder,
    `select distinct ${name} as "value" from ${site.table}${where(builder, condition)}`
  )
}
