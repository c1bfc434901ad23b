/**
 * `returning`: the rows that a write has stored, changed or deleted, in place of their number.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Outcome } from "../execute/Outcome.ts"
import { entriesOf, refuse, shown } from "./CheckInput.ts"
import { parseColumns } from "./Find.ts"
import type { At } from "./SchemaMismatch.ts"
import type { Translation } from "./Schemas.ts"
import * as SqlBuilder from "./SqlBuilder.ts"
import type { Returning as Given, Returned } from "./Types.ts"

/** The columns that are asked for; none for the number of rows. */
export type Columns = ReadonlyArray<string> | "all" | "none"

/** The value of the option. */
export const parse = (value: unknown, place: string): SqlBuilder.Parsed<Columns> => {
  if (value === undefined || value === false) return Result.succeed("none")
  if (value === true) return Result.succeed("all")
  return parseColumns("returning", value, place)
}

/** Options that have nothing else. */
export const parseOptions = (options: unknown, place: string): SqlBuilder.Parsed<Columns> =>
  Result.gen(function* () {
    if (options === undefined) return "none"
    let returning: Columns = "none"
    for (const [name, value] of yield* entriesOf(options, "the options", place, "{ returning: true }")) {
      if (name !== "returning") {
        return yield* refuse(place, `${shown(name)} is no option`, "The option is returning.")
      }
      returning = yield* parse(value, place)
    }
    return returning
  })

/** ` returning …` */
export const print = (builder: SqlBuilder.SqlBuilder, returning: Columns): string => {
  if (returning === "none") return ""
  return ` returning ${SqlBuilder.returned(builder, returning === "all" ? undefined : returning)}`
}

/** What a write came to. */
export type Stored = Pick<Outcome, "rowCount" | "rows">

/** What a caller is given of a write: the rows that the option asks for, or their number. */
export const give = <A, E, Ret extends Given<A>>(
  translation: Translation<A, E>,
  at: At,
  returning: Columns,
  { rowCount, rows }: Stored
): Effect.Effect<Returned<A, Ret>, E> => {
  const given: Effect.Effect<unknown, E> =
    returning === "none"
      ? Effect.succeed(rowCount)
      : translation.rows(at, rows, returning === "all" ? undefined : returning)
  // Which of them it is, the option says.
  return Effect.map(given, (result) => result as Returned<A, Ret>)
}
