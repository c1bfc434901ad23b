/**
 * Rows of a stream into a table, all or nothing: a piece at a time, by `COPY` where that means the same (`BulkWay.ts`), else by
 * `INSERT`. The first piece shows whether the table takes a `COPY`; what follows is written as it comes (`CopyPiece.ts`).
 */
import type { Buffer } from "node:buffer"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { OperationError } from "../errors/PoolError.ts"
import type { Progress } from "../execute/Progress.ts"
import type { TableShape } from "../types/TableShape.ts"
import { insertion, inTurn, isCopied, isMistaken, siteOf, write } from "./BulkPieces.ts"
import * as Chunk from "./Chunk.ts"
import * as CopyPiece from "./CopyPiece.ts"
import type { TableBackend } from "./TableBackend.ts"
import type { ProgressOptions } from "./Types.ts"

/** Stores the pieces of a stream in turn, in a transaction, as they are taken in. */
type Put<R> = (store: Effect.Effect<number, OperationError, R>) => Effect.Effect<void, OperationError, R>

/** Takes rows, and stores them by `put`; `finish` stores the last. */
const makeTaker = <A, E, R>(
  table: TableBackend<A, E, R>,
  place: string,
  shape: TableShape,
  { onProgress }: ProgressOptions,
  put: Put<R>
) => {
  const site = siteOf(table, place)
  const next = (limits: Chunk.Limits) => Chunk.make(place, shape.columns, false, limits)
  let work = insertion(place, shape)
  let piece = next(Chunk.small)
  let copied = CopyPiece.make(site, shape, work)
  let taken: Progress = { rows: 0, bytes: 0 }
  let isFirst = true
  let spare: Buffer | undefined

  const letGoOf = (rows: Chunk.Chunk) => Effect.sync(() => Chunk.clear(rows))
  const progressed = Effect.sync(() => onProgress?.(taken))

  /** What sends the rows that are written already. Two pieces take turns in the same memory. */
  const sending = () => {
    const sent = copied
    const steps = CopyPiece.stepsOf(sent)
    copied = CopyPiece.make(site, shape, work, spare)
    spare = undefined
    const store = table.store(() => steps.values(), undefined)
    return Effect.tap(store, () =>
      Effect.sync(() => {
        spare = CopyPiece.roomOf(sent)
        steps.length = 0
      })
    )
  }

  const send = Effect.suspend(() => {
    if (copied.rows === 0) return Effect.void
    const store = Effect.catchIf(sending(), isMistaken, ({ error }) => Effect.fail(error))
    return Effect.andThen(put(store), progressed)
  })

  /** Sends the first rows, in a savepoint: where no COPY is taken, they and all others go by INSERT. */
  const sendFirst = (rows: Chunk.Chunk) => {
    const stored = Effect.catchIf(table.transaction(sending()), isMistaken, () => {
      work = { ...work, shape: { ...shape, refusesCopy: true } }
      return Effect.flatten(write(table, work, rows))
    })
    const first = Effect.ensuring(stored, letGoOf(rows))
    return Effect.flatMap(first, (count) => Effect.andThen(put(Effect.succeed(count)), progressed))
  }

  const insert = (rows: Chunk.Chunk) =>
    Effect.flatMap(write(table, work, rows), (store) =>
      Effect.andThen(put(Effect.ensuring(store, letGoOf(rows))), progressed)
    )

  const flush = Effect.suspend((): Effect.Effect<void, OperationError, R> => {
    const rows = piece
    const wasFirst = isFirst
    isFirst = false
    taken = { rows: taken.rows + rows.rows, bytes: taken.bytes + rows.bytes }
    if (!isCopied(work, rows)) {
      piece = next(Chunk.small)
      return Effect.andThen(send, insert(rows))
    }
    piece = next(Chunk.written)
    const problem = CopyPiece.take(copied, rows)
    // What is on its way is stored first, and undone with the transaction.
    if (problem !== undefined) return Effect.andThen(put(Effect.succeed(0)), Effect.fail(problem))
    if (wasFirst) return sendFirst(rows)
    // The socket takes a large piece in parts, while others have their turn.
    return CopyPiece.isFull(copied) ? send : Effect.yieldNow
  })

  /** Takes rows in from where the last call has stopped, and lets go of them. */
  const takeFrom = (left: {
    rows: ReadonlyArray<unknown>
    from: number
  }): Effect.Effect<void, OperationError, R> => {
    const { rows } = left
    for (let index = left.from; index < rows.length; index++) {
      const problem = Chunk.take(piece, rows[index], taken.rows + piece.rows + 1)
      if (problem !== undefined) return Effect.fail(problem)
      if (Chunk.isFull(piece)) {
        left.from = index + 1
        return Effect.flatMap(flush, () => takeFrom(left))
      }
    }
    left.rows = []
    return Effect.void
  }

  return {
    take: (chunk: ReadonlyArray<unknown>): Effect.Effect<void, E | OperationError, R> =>
      Effect.flatMap(table.translation.stored({ place, before: taken.rows + piece.rows }, chunk), (rows) =>
        takeFrom({ rows, from: 0 })
      ),
    finish: Effect.suspend(() => (piece.rows > 0 ? Effect.andThen(flush, send) : send))
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
  place: string,
  rows: Stream.Stream<unknown, E2, R2>,
  options: ProgressOptions
): Effect.Effect<number, E | E2 | OperationError, R | R2> =>
  table.transaction(
    Effect.flatMap(table.lockedShape, (shape) =>
      inTurn<OperationError, R, E | E2 | OperationError, R | R2>((put) => {
        const taker = makeTaker(table, place, shape, options, put)
        return Effect.andThen(Stream.runForEachArray(rows, taker.take), taker.finish)
      })
    )
  )
