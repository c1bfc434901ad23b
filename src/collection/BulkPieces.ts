/**
 * What arrays and streams of rows share on their way into a table: which of them can go by `COPY`, and pieces by `INSERT`, a
 * statement or a few for each, one behind another.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import type { OperationError } from "../errors/PoolError.ts"
import type { Outcome, Row } from "../execute/Outcome.ts"
import type { Step } from "../execute/StoreRows.ts"
import type { TableShape } from "../types/TableShape.ts"
import * as BulkRows from "./BulkRows.ts"
import * as BulkSql from "./BulkSql.ts"
import type { CopyState } from "./BulkSteps.ts"
import { copySteps, tellInsert } from "./BulkSteps.ts"
import { takesCopy } from "./BulkWay.ts"
import type * as Chunk from "./Chunk.ts"
import type * as Returning from "./Returning.ts"
import type * as SqlBuilder from "./SqlBuilder.ts"
import type { TableBackend } from "./TableBackend.ts"
import * as Upsert from "./Upsert.ts"

/** What is done with the rows. */
export interface Work extends CopyState {
  readonly returning: Returning.Columns
  readonly returned: Array<readonly [number: number, row: Row]>
  readonly shape: TableShape
  /** `undefined` for an insert. */
  readonly plan: Upsert.Plan | undefined
}

export const insertion = (shape: TableShape): Work => ({
  shape,
  plan: undefined,
  returning: "none",
  returned: [],
  isText: false
})

/** Whether all rows of a piece can go by `COPY`, where they are only inserted and none come back. */
export const isCopied = ({ shape }: Work, { groups }: Chunk.Chunk): boolean =>
  Array.from(groups.values()).every(({ columns }) => takesCopy(shape, columns))

/** What copies a piece, group by group. */
export function* copying(site: SqlBuilder.Site, work: Work, piece: Chunk.Chunk): Generator<Step> {
  for (const group of piece.groups.values()) {
    yield* copySteps(site.table, BulkRows.make(site, work.shape, group), work)
  }
}

/** The statement that stores a group of rows, ready to run. */
const writeGroup = <A, E, R>(
  table: TableBackend<A, E, R>,
  { plan, returned, returning, shape }: Work,
  group: Chunk.Group
): Effect.Effect<Effect.Effect<Outcome, OperationError, R>, OperationError, R> => {
  const rows = BulkRows.make(table, shape, group)
  const { keys, numbers } = rows
  const conflict =
    plan === undefined
      ? Result.succeed(undefined)
      : Upsert.conflict(plan, keys, `row ${numbers[0]}`, table.place)
  const written = Result.flatMap(conflict, (conflict) => BulkSql.store(table, rows, returning, conflict))
  if (Result.isFailure(written)) return Effect.fail(written.failure)
  const stored = table.bulk(written.success, tellInsert(BulkRows.known(rows)), shape.types)
  if (returning === "none") return stored
  const take = ({ rows }: Outcome) => {
    // A trigger kept some of them, and it is not known which.
    for (const [index, row] of rows.entries())
      returned.push([numbers[rows.length === numbers.length ? index : 0] ?? 0, row])
  }
  return Effect.map(stored, (outcome) => Effect.tap(outcome, (outcome) => Effect.sync(() => take(outcome))))
}

/** What stores a piece by `INSERT` and gives the number of rows stored. */
export const write = <A, E, R>(
  table: TableBackend<A, E, R>,
  work: Work,
  piece: Chunk.Chunk
): Effect.Effect<Effect.Effect<number, OperationError, R>, OperationError, R> =>
  Effect.map(
    Effect.forEach(Array.from(piece.groups.values()), (group) => writeGroup(table, work, group)),
    (statements) =>
      Effect.map(Effect.all(statements), (outcomes) =>
        outcomes.reduce((stored, { rowCount }) => stored + rowCount, 0)
      )
  )

/**
 * Stores pieces in turn, in a transaction: while the server works on one, the next is taken in and written. At most two
 * are held at a time. When one cannot be stored, no more rows are taken in.
 */
export const inTurn = <E, R, E2, R2>(
  feed: (
    put: (store: Effect.Effect<number, E, R>) => Effect.Effect<void, E, R>
  ) => Effect.Effect<void, E2, R2>
): Effect.Effect<number, E | E2, R | R2> =>
  Effect.scoped(
    Effect.flatMap(Effect.scope, (scope) => {
      let stored = 0
      let underWay: Fiber.Fiber<number, E> | undefined
      const broken = Deferred.makeUnsafe<never, E>()
      const finish = Effect.suspend(() =>
        underWay === undefined
          ? Effect.void
          : Effect.map(Fiber.join(underWay), (rows) => {
              stored += rows
            })
      )
      const start = (store: Effect.Effect<number, E, R>) =>
        Effect.map(
          Effect.forkIn(
            Effect.tapCause(store, (cause) => Deferred.failCause(broken, cause)),
            scope,
            { startImmediately: true }
          ),
          (fiber) => {
            underWay = fiber
          }
        )
      const fed = Effect.andThen(
        feed((store) => Effect.flatMap(finish, () => start(store))),
        finish
      )
      return Effect.map(Effect.raceFirst(fed, Deferred.await(broken)), () => stored)
    })
  )
