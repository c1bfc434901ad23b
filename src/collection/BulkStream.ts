/**
 * Rows of a stream into a table, all or nothing: a piece at a time, by `COPY` where that means the same (`BulkWay.ts`), else by
 * `INSERT`. The first piece shows whether the table takes a `COPY`; what follows is written as it comes (`CopyPiece.ts`).
 */
import type { Buffer } from "node:buffer"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { OperationError } from "../errors/PoolError.ts"
import { isPoolError } from "../errors/PoolError.ts"
import type { Progress } from "../execute/Progress.ts"
import type { Step } from "../execute/StoreRows.ts"
import type { TableShape } from "../types/TableShape.ts"
import { copying, insertion, inTurn, isCopied, write } from "./BulkPieces.ts"
import * as Chunk from "./Chunk.ts"
import * as CopyPiece from "./CopyPiece.ts"
import type { TableBackend } from "./TableBackend.ts"
import type { ProgressOptions } from "./Types.ts"

/** Stores the pieces of a stream in turn, in a transaction, as they are taken in. */
type Put<R> = (store: Effect.Effect<number, OperationError, R>) => Effect.Effect<void, OperationError, R>

/**
 * A piece is no larger than what the server stores in this time, in milliseconds, since each is a statement, which has a limit of its
 * own. Nor does it wait longer while a slow stream gives rows, so that a refusal is not told late.
 */
const mostMillis = 250

/** Takes rows, and stores them by `put`; `finish` stores the last. */
const makeTaker = <A, E, R>(
  table: TableBackend<A, E, R>,
  shape: TableShape,
  { onProgress }: ProgressOptions,
  clock: Clock.Clock,
  put: Put<R>
) => {
  const { place } = table
  const now = () => clock.currentTimeMillisUnsafe()
  const next = (limits: Chunk.Limits) => Chunk.make(place, shape.columns, false, limits)
  let work = insertion(shape)
  let chunk = next(Chunk.small)
  let copied = CopyPiece.make(table, shape, work)
  /** The memory of a piece that was stored: two take turns. */
  let spare: Buffer | undefined
  let mostRows = CopyPiece.mostRows
  let isFirst = true
  /** Rows taken in, in front of the chunk. */
  let taken = 0
  let sent: Progress = { rows: 0, bytes: 0 }
  /** When the first row came that was not sent. */
  let since = 0

  const progressed = (more: Progress) =>
    Effect.sync(() => {
      sent = { rows: sent.rows + more.rows, bytes: sent.bytes + more.bytes }
      onProgress?.(sent)
    })
  const letGoOf = (rows: Chunk.Chunk) => Effect.sync(() => Chunk.clear(rows))

  /** Sends steps, and sees how long the server takes for them. */
  const sending = (steps: Array<Step>) =>
    Effect.suspend(() => {
      const start = now()
      return Effect.tap(
        table.store(() => steps.values(), undefined),
        (rows) =>
          Effect.sync(() => {
            steps.length = 0
            const fitting = Math.floor((rows * mostMillis) / Math.max(1, now() - start))
            mostRows = Math.min(CopyPiece.mostRows, Math.max(Chunk.brief.rows, fitting))
          })
      )
    })

  const send = Effect.suspend(() => {
    if (copied.rows === 0) return Effect.void
    const piece = copied
    const stored = Effect.tap(sending(CopyPiece.stepsOf(piece)), () =>
      Effect.sync(() => {
        spare = CopyPiece.roomOf(piece)
      })
    )
    const sure = Effect.catchTag(stored, "Mistaken", ({ error }) => Effect.fail(error))
    return Effect.flatMap(put(sure), () => {
      // The piece in front of it is stored by now.
      copied = CopyPiece.make(table, shape, work, spare)
      spare = undefined
      return progressed(piece)
    })
  })

  /** Sends the first rows, in a savepoint: where no COPY is taken, they and all others go by INSERT. */
  const sendFirst = (rows: Chunk.Chunk) => {
    const steps = Array.from(copying(table, work, rows))
    const problem = steps.find(isPoolError)
    if (problem !== undefined) return Effect.fail(problem)
    const stored = Effect.catchTag(table.transaction(sending(steps)), "Mistaken", () => {
      work = { ...work, shape: { ...shape, refusesCopy: true } }
      return Effect.flatten(write(table, work, rows))
    })
    const first = Effect.flatMap(Effect.ensuring(stored, letGoOf(rows)), (count) =>
      Effect.andThen(put(Effect.succeed(count)), progressed(rows))
    )
    // Rows in front of them may have gone by INSERT.
    return Effect.andThen(put(Effect.succeed(0)), first)
  }

  const insert = (rows: Chunk.Chunk) =>
    Effect.flatMap(write(table, work, rows), (store) =>
      Effect.andThen(put(Effect.ensuring(store, letGoOf(rows))), progressed(rows))
    )

  const flush = Effect.suspend((): Effect.Effect<void, OperationError, R> => {
    const rows = chunk
    const wasFirst = isFirst
    taken += rows.rows
    if (!isCopied(work, rows)) {
      chunk = next(Chunk.small)
      return Effect.andThen(send, insert(rows))
    }
    isFirst = false
    // Rows of several groups change places in a chunk, and are fewer COPYs in a larger one.
    chunk = next(rows.groups.size > 1 ? Chunk.small : Chunk.brief)
    if (wasFirst) return sendFirst(rows)
    const problem = CopyPiece.take(copied, rows)
    // What is on its way is stored first, and undone with the transaction.
    if (problem !== undefined) return Effect.andThen(put(Effect.succeed(0)), Effect.fail(problem))
    // The socket takes a large piece in parts, while others have their turn.
    return CopyPiece.isFull(copied, mostRows) ? send : Effect.yieldNow
  })

  const sendAll = Effect.suspend(() => (chunk.rows > 0 ? Effect.andThen(flush, send) : send))

  /** Takes rows in from where the last call has stopped, and lets go of them. */
  const takeFrom = (left: {
    rows: ReadonlyArray<unknown>
    from: number
  }): Effect.Effect<void, OperationError, R> => {
    const { rows } = left
    if (chunk.rows + copied.rows === 0) since = now()
    for (let index = left.from; index < rows.length; index++) {
      const problem = Chunk.take(chunk, rows[index], taken + chunk.rows + 1)
      if (problem !== undefined) return Effect.fail(problem)
      if (Chunk.isFull(chunk)) {
        left.from = index + 1
        return Effect.flatMap(flush, () => takeFrom(left))
      }
    }
    left.rows = []
    return now() - since < mostMillis ? Effect.void : sendAll
  }

  return {
    take: (chunked: ReadonlyArray<unknown>): Effect.Effect<void, E | OperationError, R> =>
      Effect.flatMap(table.translation.stored({ place, before: taken + chunk.rows }, chunked), (rows) =>
        takeFrom({ rows, from: 0 })
      ),
    finish: sendAll
  }
}

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
  rows: Stream.Stream<unknown, E2, R2>,
  options: ProgressOptions
): Effect.Effect<number, E | E2 | OperationError, R | R2> =>
  table.transaction(
    Effect.flatMap(Effect.all([table.lockedShape, Clock.Clock]), ([shape, clock]) =>
      inTurn<OperationError, R, E | E2 | OperationError, R | R2>((put) => {
        const taker = makeTaker(table, shape, options, clock, put)
        return Effect.andThen(Stream.runForEachArray(rows, taker.take), taker.finish)
      })
    )
  )
