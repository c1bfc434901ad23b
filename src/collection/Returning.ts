/**
 * `returning`: the rows that a write has stored, changed or deleted, in place of their number.
 */
import * as Result from "effect/Result"
import type { Outcome } from "../execute/Outcome.ts"
import { optionsOf } from "./CheckInput.ts"
import { parseColumns } from "./Find.ts"
import * as SqlBuilder from "./SqlBuilder.ts"

/** The columns that are asked for; none for the number of rows. */
export type Columns = ReadonlyArray<string> | "all" | "none"

export const parse = (value: unknown, place: string): SqlBuilder.Parsed<Columns> => {
  if (value === undefined || value === false) return Result.succeed("none")
  if (value === true) return Result.succeed("all")
  return parseColumns("returning", value, place)
}

/** Options that have nothing else. */
export const parseOptions = (options: unknown, place: string): SqlBuilder.Parsed<Columns> => {
  if (options === undefined) return Result.succeed("none")
  const given = optionsOf(options, ["returning"], place, "{ returning: true }", "The option is returning.")
  return Result.flatMap(given, ({ returning }) => parse(returning, place))
}

/** ` returning …` */
export const print = (builder: SqlBuilder.SqlBuilder, returning: Columns): string => {
  if (returning === "none") return ""
  return ` returning ${SqlBuilder.returned(builder, returning === "all" ? undefined : returning)}`
}

export type Stored = Pick<Outcome, "rowCount" | "rows">
