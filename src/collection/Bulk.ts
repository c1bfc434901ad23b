/**
 * Many rows, from an array or a stream, all or nothing: by `COPY` where that means the same (`BulkWay.ts`), else by `INSERT`s of
 * pieces, a statement or a few for each.
 *
 * What is known of the table decides which way they go and how a `COPY` is written. Whether it still holds is found out with the
 * `COPY` itself (`StoreRows.ts`); where it does not, nothing has run, and the rows are written anew.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { OperationError, PoolError } from "../errors/PoolError.ts"
import { isPoolError } from "../errors/PoolError.ts"
import type { Outcome, Row } from "../execute/Outcome.ts"
import type { Progress } from "../execute/Progress.ts"
import type { Mistaken, Step } from "../execute/StoreRows.ts"
import { isArray } from "../statement/PlainObject.ts"
import type { TableShape } from "../types/TableShape.ts"
import * as BulkRows from "./BulkRows.ts"
import * as BulkSql from "./BulkSql.ts"
import type { CopyState } from "./BulkSteps.ts"
import { copySteps, tellInsert } from "./BulkSteps.ts"
import { wayOf } from "./BulkWay.ts"
import { described, refuse } from "./CheckInput.ts"
import * as Chunk from "./Chunk.ts"
import type * as Returning from "./Returning.ts"
import type { TableBackend } from "./TableBackend.ts"
import type { ProgressOptions } from "./Types.ts"
import * as Upsert from "./Upsert.ts"

/** What is done with the rows. */
interface Work extends CopyState {
  readonly returning: Returning.Columns
  /** Rows that came back, with their numbers. */
  readonly returned: Array<readonly [number: number, row: Row]>
  /** The call as a message names it. */
  readonly place: string
  readonly shape: TableShape
  /** `undefined` for an insert. */
  readonly plan: Upsert.Plan | undefined
}

const insertion = (place: string, shape: TableShape): Work => ({
  place,
  shape,
  plan: undefined,
  returning: "none",
  returned: [],
  isText: false
})

const siteOf = <A, E, R>(table: TableBackend<A, E, R>, place: string) => ({
  place,
  table: table.name,
  naming: table.naming,
  takesInstances: table.takesInstances
})

/** Whether all rows of a piece can go by `COPY`. */
const isCopied = ({ plan, returning, shape }: Work, { groups }: Chunk.Chunk): boolean => {
  const wanted = { upsert: plan !== undefined, returning: returning !== "none" }
  return Array.from(groups.values()).every(({ columns }) => wayOf(shape, columns, wanted) !== "insert")
}

/** What copies a piece, group by group. */
function* copying<A, E, R>(table: TableBackend<A, E, R>, work: Work, piece: Chunk.Chunk): Generator<Step> {
  for (const group of piece.groups.values()) {
    yield* copySteps(table.name, BulkRows.make(siteOf(table, work.place), work.shape, group), work)
  }
}

/** The statement that stores a group of rows, ready to run. */
const writeGroup = <A, E, R>(
  table: TableBackend<A, E, R>,
  { place, plan, returned, returning, shape }: Work,
  group: Chunk.Group
): Effect.Effect<Effect.Effect<Outcome, OperationError, R>, OperationError, R> => {
  const site = siteOf(table, place)
  const conflict =
    plan === undefined
      ? Result.succeed(undefined)
      : Upsert.conflict(plan, group.columns, `row ${group.numbers[0]}`, place)
  const written = Result.flatMap(conflict, (conflict) =>
    BulkSql.store(site, shape.columns, group, returning, conflict)
  )
  if (Result.isFailure(written)) return Effect.fail(written.failure)
  const tell = tellInsert(BulkRows.make(site, shape, group))
  const stored = table.bulk(written.success.text, written.success.params, place, tell)
  if (returning === "none") return stored
  const { numbers } = group
  const take = ({ rows }: Outcome) => {
    // A trigger kept some of them, and it is not known which.
    for (const [index, row] of rows.entries())
      returned.push([numbers[rows.length === numbers.length ? index : 0] ?? 0, row])
  }
  return Effect.map(stored, (outcome) => Effect.tap(outcome, (outcome) => Effect.sync(() => take(outcome))))
}

/** What stores a piece by `INSERT` and gives the number of rows stored. */
const write = <A, E, R>(
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
 * are held at a time.
 */
const inTurn = <E, R, E2, R2>(
  feed: (
    put: (store: Effect.Effect<number, E, R>) => Effect.Effect<void, E, R>
  ) => Effect.Effect<void, E2, R2>
): Effect.Effect<number, E | E2, R | R2> =>
  Effect.scoped(
    Effect.flatMap(Effect.scope, (scope) => {
      let stored = 0
      let underWay: Fiber.Fiber<number, E> | undefined
      const finish = Effect.suspend(() =>
        underWay === undefined
          ? Effect.void
          : Effect.map(Fiber.join(underWay), (rows) => {
              stored += rows
            })
      )
      const start = (store: Effect.Effect<number, E, R>) =>
        Effect.map(Effect.forkIn(store, scope, { startImmediately: true }), (fiber) => {
          underWay = fiber
        })
      return feed((store) => Effect.flatMap(finish, () => start(store))).pipe(
        Effect.andThen(finish),
        Effect.map(() => stored)
      )
    })
  )

/** Rows from number `from` on, counted from 1, up to these limits. */
const cut = (
  { place, plan, shape: { columns } }: Work,
  rows: ReadonlyArray<unknown>,
  from: number,
  limits: Chunk.Limits | undefined,
  seen: Upsert.Seen
): Chunk.Chunk | PoolError => {
  const piece = Chunk.make(place, columns, plan !== undefined, limits)
  for (let number = from; number <= rows.length && !Chunk.isFull(piece); number++) {
    const row = rows[number - 1]
    const problem =
      Chunk.take(piece, row, number) ??
      (plan === undefined ? undefined : Upsert.repeated(seen, plan, row, number, columns, place))
    if (problem !== undefined) return problem
  }
  return piece
}

/** How often what is known of a table is looked at again. */
const mostLooks = 3

const isMistaken = (error: { readonly _tag: string }): error is Mistaken => error._tag === "Mistaken"

/** Stores an array of rows by one `COPY` for each group of them; `undefined` where that is not the way. */
const copyAll = <A, E, R>(
  table: TableBackend<A, E, R>,
  place: string,
  rows: ReadonlyArray<unknown>,
  looks = 1,
  last?: { readonly shape: TableShape; readonly error: OperationError }
): Effect.Effect<number | undefined, OperationError, R> =>
  Effect.flatMap(table.shape, (shape) => {
    if (last?.shape.digest === shape.digest && last.shape.refusesCopy === shape.refusesCopy) {
      return Effect.fail(last.error)
    }
    const work = insertion(place, shape)
    const all = cut(work, rows, 1, undefined, new Map())
    if (isPoolError(all)) return Effect.fail(all)
    if (!isCopied(work, all)) return Effect.succeed(undefined)
    return Effect.catchIf(
      table.store(() => copying(table, work, all), shape),
      isMistaken,
      ({ error }) =>
        looks === mostLooks ? Effect.fail(error) : copyAll(table, place, rows, looks + 1, { shape, error })
    )
  })

/** Stores an array of rows. */
export const many = Effect.fnUntraced(function* <A, E, R>(
  table: TableBackend<A, E, R>,
  place: string,
  given: unknown,
  returning: Returning.Columns,
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
  const copied = plan === undefined && returning === "none" ? yield* copyAll(table, place, rows) : undefined
  if (copied !== undefined) return { rowCount: copied, rows: [] }
  const work: Work = { ...insertion(place, yield* table.freshShape), plan, returning }
  const seen: Upsert.Seen = new Map()
  const first = cut(work, rows, 1, Chunk.large, seen)
  if (isPoolError(first)) return yield* first
  const pieces = inTurn<OperationError, R, OperationError, R>((put) =>
    Effect.gen(function* () {
      yield* put(yield* write(table, work, first))
      for (let done = first.rows; done < rows.length; ) {
        const piece = cut(work, rows, done + 1, Chunk.large, seen)
        if (isPoolError(piece)) return yield* piece
        yield* put(yield* write(table, work, piece))
        done += piece.rows
      }
    })
  )
  const isOne = first.rows === rows.length && first.groups.size === 1
  const rowCount = isOne ? yield* yield* write(table, work, first) : yield* table.transaction(pieces)
  work.returned.sort(([left], [right]) => left - right)
  return { rowCount, rows: work.returned.map(([, row]) => row) }
})

/**
 * Stores the rows of a stream. Between two pieces the connection is free for other statements of the transaction: the stream
 * may read from it.
 *
 * **Details**
 *
 * What waits for the server here is no generator: V8 keeps what the variables of an ended one hold until it collects old
 * objects, and rows kept so long take tens of megabytes more.
 */
export const stream = <A, E, R, E2, R2>(
  table: TableBackend<A, E, R>,
  place: string,
  rows: Stream.Stream<unknown, E2, R2>,
  { onProgress }: ProgressOptions
): Effect.Effect<number, E | E2 | OperationError, R | R2> =>
  table.transaction(
    Effect.flatMap(table.lockedShape, (shape) =>
      inTurn<OperationError, R, E | E2 | OperationError, R | R2>((put) => {
        let work = insertion(place, shape)
        let piece = Chunk.make(place, shape.columns, false, Chunk.small)
        let taken: Progress = { rows: 0, bytes: 0 }
        /** What stores a piece: its rows are written already. */
        const ready = (
          full: Chunk.Chunk
        ): Effect.Effect<Effect.Effect<number, OperationError, R>, OperationError, R> => {
          if (!isCopied(work, full)) return write(table, work, full)
          const steps = Array.from(copying(table, work, full))
          const problem = steps.find(isPoolError)
          const send = () => (problem === undefined ? steps : [problem]).values()
          const letGo = Effect.sync(() => {
            steps.length = 0
          })
          const store = Effect.ensuring(table.store(send, undefined), letGo)
          const sure = Effect.catchIf(store, isMistaken, ({ error }) => Effect.fail(error))
          if (taken.rows > 0) return Effect.succeed(sure)
          // In a savepoint: where no COPY is taken, its rows and all others go by INSERT.
          const stored = Effect.catchIf(table.transaction(store), isMistaken, () => {
            work = { ...work, shape: { ...shape, refusesCopy: true } }
            return Effect.flatten(write(table, work, full))
          })
          return Effect.map(stored, Effect.succeed)
        }
        const flush = Effect.suspend(() => {
          const full = piece
          piece = Chunk.make(place, shape.columns, false, Chunk.small)
          const letGo = Effect.sync(() => Chunk.clear(full))
          const store = Effect.flatMap(ready(full), (store) => put(Effect.ensuring(store, letGo)))
          taken = { rows: taken.rows + full.rows, bytes: taken.bytes + full.bytes }
          return Effect.map(store, () => onProgress?.(taken))
        })
        /** Takes rows in from where the last call has stopped. They are let go for the same reason as those of a piece. */
        const take = (left: {
          rows: ReadonlyArray<unknown>
          from: number
        }): Effect.Effect<void, OperationError, R> => {
          const { rows } = left
          for (let index = left.from; index < rows.length; index++) {
            const problem = Chunk.take(piece, rows[index], taken.rows + piece.rows + 1)
            if (problem !== undefined) return Effect.fail(problem)
            if (Chunk.isFull(piece)) {
              left.from = index + 1
              return Effect.flatMap(flush, () => take(left))
            }
          }
          left.rows = []
          return Effect.void
        }
        return Stream.runForEachArray(rows, (chunk) =>
          Effect.flatMap(
            table.translation.stored({ place, before: taken.rows + piece.rows }, chunk),
            (stored) => take({ rows: stored, from: 0 })
          )
        ).pipe(Effect.andThen(Effect.suspend(() => (piece.rows > 0 ? flush : Effect.void))))
      })
    )
  )
