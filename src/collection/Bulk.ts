/**
 * Many rows, from an array or a stream, all or nothing: cut into pieces, a statement or a few for each.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { OperationError } from "../errors/PoolError.ts"
import type { Outcome, Row } from "../execute/Outcome.ts"
import type { Progress } from "../execute/Progress.ts"
import { isArray } from "../statement/PlainObject.ts"
import * as BulkSql from "./BulkSql.ts"
import { described, refuse } from "./CheckInput.ts"
import * as Chunk from "./Chunk.ts"
import type * as Returning from "./Returning.ts"
import type { TableBackend } from "./TableBackend.ts"
import type { Columns } from "./TableColumns.ts"
import { look } from "./TableColumns.ts"
import type { ProgressOptions } from "./Types.ts"
import * as Upsert from "./Upsert.ts"

/** What is done with the rows. */
interface Work {
  readonly returning: Returning.Returning
  /** Rows that came back, with their numbers. */
  readonly returned: Array<readonly [number: number, row: Row]>
  /** The call as a message names it. */
  readonly place: string
  readonly columns: Columns
  /** `undefined` for an insert. */
  readonly plan: Upsert.Plan | undefined
}

/** The statement that stores a group of rows, ready to run: it holds bytes, and none of the rows. */
const writeGroup = <A, E, R>(
  table: TableBackend<A, E, R>,
  { columns, place, plan, returned, returning }: Work,
  group: Chunk.Group
): Effect.Effect<Effect.Effect<Outcome, OperationError, R>, OperationError, R> => {
  const site = { place, table: table.name, naming: table.naming, takesInstances: table.takesInstances }
  const conflict =
    plan === undefined
      ? Result.succeed(undefined)
      : Upsert.conflict(plan, group.columns, `row ${group.numbers[0]}`, place)
  const written = Result.flatMap(conflict, (conflict) =>
    BulkSql.store(site, columns, group, returning, conflict)
  )
  if (Result.isFailure(written)) return Effect.fail(written.failure)
  const stored = table.bulk(written.success.text, written.success.params, place)
  if (returning === "none") return stored
  const { numbers } = group
  const take = ({ rows }: Outcome) => {
    // Where a trigger kept some of them, nobody knows which.
    for (const [index, row] of rows.entries())
      returned.push([numbers[rows.length === numbers.length ? index : 0] ?? 0, row])
  }
  return Effect.map(stored, (outcome) => Effect.tap(outcome, (outcome) => Effect.sync(() => take(outcome))))
}

/** What stores a piece and gives the number of rows stored. The piece lets go of its rows: what waits for the server is small. */
const write = <A, E, R>(
  table: TableBackend<A, E, R>,
  work: Work,
  piece: Chunk.Chunk
): Effect.Effect<Effect.Effect<number, OperationError, R>, OperationError, R> =>
  Effect.map(
    Effect.forEach(Array.from(piece.groups.values()), (group) => writeGroup(table, work, group)),
    (statements) => {
      Chunk.release(piece)
      return Effect.map(Effect.all(statements), (outcomes) =>
        outcomes.reduce((stored, { rowCount }) => stored + rowCount, 0)
      )
    }
  )

/**
 * Stores pieces in turn, in a transaction: while the server works on one, the next is taken in and written. At most two
 * are held at a time, as bytes.
 */
const inTurn = <A, E, R, E2, R2>(
  table: TableBackend<A, E, R>,
  work: Work,
  feed: (put: (piece: Chunk.Chunk) => Effect.Effect<void, OperationError, R>) => Effect.Effect<void, E2, R2>
): Effect.Effect<number, E2 | OperationError, R | R2> =>
  table.transaction(
    Effect.scoped(
      Effect.flatMap(Effect.scope, (scope) => {
        let stored = 0
        let underWay: Fiber.Fiber<number, OperationError> | undefined
        const finish = Effect.suspend(() =>
          underWay === undefined
            ? Effect.void
            : Effect.map(Fiber.join(underWay), (rows) => {
                stored += rows
              })
        )
        const start = (store: Effect.Effect<number, OperationError, R>) =>
          Effect.map(Effect.forkIn(store, scope, { startImmediately: true }), (fiber) => {
            underWay = fiber
          })
        const put = (piece: Chunk.Chunk) =>
          Effect.flatMap(write(table, work, piece), (store) => Effect.flatMap(finish, () => start(store)))
        return feed(put).pipe(
          Effect.andThen(finish),
          Effect.map(() => stored)
        )
      })
    )
  )

/** The next piece of the rows, from number `from`, counted from 1. */
const cut = Effect.fnUntraced(function* (
  { place, columns, plan }: Work,
  rows: ReadonlyArray<unknown>,
  from: number,
  seen: Upsert.Seen
) {
  const piece = Chunk.make(place, columns, plan !== undefined)
  for (let number = from; number <= rows.length && !Chunk.isFull(piece, Chunk.large); number++) {
    const row = rows[number - 1]
    const problem =
      Chunk.take(piece, row, number) ??
      (plan === undefined ? undefined : Upsert.repeated(seen, plan, row, number, columns, place))
    if (problem !== undefined) return yield* problem
  }
  return piece
})

/** Stores an array of rows. */
export const many = Effect.fnUntraced(function* <A, E, R>(
  table: TableBackend<A, E, R>,
  place: string,
  given: unknown,
  returning: Returning.Returning,
  plan?: Upsert.Plan
): Effect.fn.Return<Returning.Stored, E | OperationError, R> {
  if (!isArray(given)) {
    return yield* refuse(
      place,
      `the rows are ${described(given)}, not an array`,
      "Give the rows in an array."
    )
  }
  if (given.length === 0) return { rowCount: 0, rows: [] }
  const rows = yield* table.translation.stored({ place, before: 0 }, given)
  const work: Work = { place, columns: yield* look(table), plan, returning, returned: [] }
  const seen: Upsert.Seen = new Map()
  const first = yield* cut(work, rows, 1, seen)
  const isOne = first.rows === rows.length && first.groups.size === 1
  const rowCount = isOne
    ? yield* yield* write(table, work, first)
    : yield* inTurn(table, work, (put) =>
        Effect.gen(function* () {
          yield* put(first)
          for (let done = first.rows; done < rows.length; ) {
            const piece = yield* cut(work, rows, done + 1, seen)
            yield* put(piece)
            done += piece.rows
          }
        })
      )
  work.returned.sort(([left], [right]) => left - right)
  return { rowCount, rows: work.returned.map(([, row]) => row) }
})

/**
 * Stores the rows of a stream.
 *
 * **Details**
 *
 * What waits for the server here is no generator: V8 keeps what the variables of an ended one hold until it collects old
 * objects, and rows kept so long take tens of megabytes more.
 */
export const stream = Effect.fnUntraced(function* <A, E, R, E2, R2>(
  table: TableBackend<A, E, R>,
  place: string,
  rows: Stream.Stream<unknown, E2, R2>,
  { onProgress }: ProgressOptions
): Effect.fn.Return<number, E | E2 | OperationError, R | R2> {
  const work: Work = {
    place,
    columns: yield* look(table),
    plan: undefined,
    returning: "none",
    returned: []
  }
  return yield* inTurn(table, work, (put) => {
    let piece = Chunk.make(place, work.columns, false)
    let taken: Progress = { rows: 0, bytes: 0 }
    const flush = Effect.suspend(() =>
      Effect.map(put(piece), () => {
        taken = { rows: taken.rows + piece.rows, bytes: taken.bytes + piece.bytes }
        piece = Chunk.make(place, work.columns, false)
        onProgress?.(taken)
      })
    )
    const take = (chunk: ReadonlyArray<unknown>, from: number): Effect.Effect<void, OperationError, R> => {
      for (let index = from; index < chunk.length; index++) {
        const problem = Chunk.take(piece, chunk[index], taken.rows + piece.rows + 1)
        if (problem !== undefined) return Effect.fail(problem)
        if (Chunk.isFull(piece, Chunk.small)) return Effect.flatMap(flush, () => take(chunk, index + 1))
      }
      return Effect.void
    }
    return Stream.runForEachArray(rows, (chunk) =>
      Effect.flatMap(table.translation.stored({ place, before: taken.rows + piece.rows }, chunk), (stored) =>
        take(stored, 0)
      )
    ).pipe(Effect.andThen(Effect.suspend(() => (piece.rows > 0 ? flush : Effect.void))))
  })
})
