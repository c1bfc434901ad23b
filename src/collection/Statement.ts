/**
 * Statements of a collection on their way to the server: written with what the catalogue says of the table's columns,
 * which is asked once per pool and table, and again where it turns out to be stale.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { isSqlError } from "effect/sql/SqlError"
import type { OperationError, Outcome } from "../Operations.ts"
import type { Columns } from "./Columns.ts"
import { fromRows, query } from "./Columns.ts"
import type { Compiled, Parsed, Site } from "./Draft.ts"
import type { Target } from "./Target.ts"

const nothing: Columns = new Map()

/** Asks the catalogue. A table that is not there is not remembered. */
export const look = <A, E, R>(target: Target<A, E, R>): Effect.Effect<Columns, OperationError, R> =>
  Effect.flatMap(target.memory, (memory) =>
    Effect.map(target.execute(query, [target.name]), ({ rows }) => {
      const columns = fromRows(rows)
      if (columns.size > 0) memory.set(target.name, columns)
      return columns
    })
  )

/** What is remembered of the table. */
export const remembered = <A, E, R>(
  target: Target<A, E, R>
): Effect.Effect<Columns | undefined, OperationError, R> =>
  Effect.map(target.memory, (memory) => memory.get(target.name))

/** An error after which the table may look otherwise than remembered: a constraint's is none. */
export const mayBeStale = (error: unknown): boolean =>
  isSqlError(error) && (error.reason._tag === "SqlSyntaxError" || error.reason._tag === "UnknownError")

/** Writes a statement, runs it and gives what came of it. */
export const run = Effect.fnUntraced(function* <A, E, R>(
  target: Target<A, E, R>,
  place: string,
  write: (site: Site) => Parsed<Compiled>
): Effect.fn.Return<Outcome, OperationError, R> {
  const statement = yield* compile(target, place, write)
  return yield* Effect.tapError(target.execute(statement.text, statement.params), (error) =>
    mayBeStale(error) ? Effect.map(target.memory, (memory) => memory.delete(target.name)) : Effect.void
  )
})

/** Writes a statement. What is refused whatever the columns are is refused before the catalogue is asked. */
export const compile = Effect.fnUntraced(function* <A, E, R>(
  target: Target<A, E, R>,
  place: string,
  write: (site: Site) => Parsed<Compiled>
): Effect.fn.Return<Compiled, OperationError, R> {
  const by = (columns: Columns) => write({ place, table: target.name, columns })
  const known = yield* remembered(target)
  const statement = by(known ?? nothing)
  if (known === undefined) {
    yield* Effect.fromResult(statement)
    return yield* Effect.fromResult(by(yield* look(target)))
  }
  if (Result.isSuccess(statement)) {
    return statement.success.hasUnknown
      ? yield* Effect.fromResult(by(yield* look(target)))
      : statement.success
  }
  yield* Effect.fromResult(by(nothing))
  // The columns may be others by now; who cannot be asked does not stand in the way of the refusal.
  const columns = yield* Effect.orElseSucceed(look(target), () => known)
  return yield* Effect.fromResult(by(columns))
})
