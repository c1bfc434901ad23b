/**
 * Many rows of an array, all or nothing: by `COPY` where that means the same (`BulkWay.ts`), else by `INSERT`s of pieces.
 *
 * What is known of the table decides which way they go and how a `COPY` is written. Whether it still holds is found out with the
 * `COPY` itself (`StoreRows.ts`); where it does not, nothing has run, and the rows are written anew.
 */
import * as Effect from "effect/Effect"
import type { OperationError, PoolError } from "../errors/PoolError.ts"
import { isPoolError } from "../errors/PoolError.ts"
import { isArray } from "../statement/PlainObject.ts"
import type { TableShape } from "../types/TableShape.ts"
import { copying, insertion, inTurn, isCopied, type Work, write } from "./BulkPieces.ts"
import { described, refusal } from "./CheckInput.ts"
import * as Chunk from "./Chunk.ts"
import type * as Returning from "./Returning.ts"
import type * as SqlBuilder from "./SqlBuilder.ts"
import type { TableBackend } from "./TableBackend.ts"
import * as Upsert from "./Upsert.ts"

/** Rows from number `from` on, counted from 1, up to these limits. */
const cut = (
  { place }: SqlBuilder.Site,
  { plan, shape }: Work,
  rows: ReadonlyArray<unknown>,
  from: number,
  limits: Chunk.Limits | undefined,
  seen: Upsert.Seen
): Chunk.Chunk | PoolError => {
  const piece = Chunk.make(place, shape.columns, plan !== undefined, limits)
  if (limits === undefined && Chunk.takeAlike(piece, rows)) return piece
  for (let number = from; number <= rows.length && !Chunk.isFull(piece); number++) {
    const row = rows[number - 1]
    const problem =
      Chunk.take(piece, row, number) ??
      (plan === undefined ? undefined : Upsert.repeated(seen, plan, row, number, shape, place))
    if (problem !== undefined) return problem
  }
  return piece
}

/** How often what is known of a table is looked at again. */
const mostLooks = 3

/** Stores an array of rows by one `COPY` for each group of them; `undefined` where that is not the way. */
const copyAll = <A, E, R>(
  table: TableBackend<A, E, R>,
  rows: ReadonlyArray<unknown>,
  looks = 1,
  last?: { readonly shape: TableShape; readonly error: OperationError }
): Effect.Effect<number | undefined, OperationError, R> =>
  Effect.flatMap(table.shape, (shape) => {
    if (last?.shape.digest === shape.digest && last.shape.refusesCopy === shape.refusesCopy) {
      return Effect.fail(last.error)
    }
    const work = insertion(shape)
    const all = cut(table, work, rows, 1, undefined, new Map())
    if (isPoolError(all)) return Effect.fail(all)
    if (!isCopied(work, all)) return Effect.succeed(undefined)
    return Effect.catchTag(
      table.store(() => copying(table, work, all), shape),
      "Mistaken",
      ({ error }) =>
        looks === mostLooks ? Effect.fail(error) : copyAll(table, rows, looks + 1, { shape, error })
    )
  })

export const many = Effect.fnUntraced(function* <A, E, R>(
  table: TableBackend<A, E, R>,
  given: unknown,
  returning: Returning.Columns,
  plan?: Upsert.Plan
): Effect.fn.Return<Returning.Stored, E | OperationError, R> {
  const { place } = table
  if (!isArray(given)) {
    return yield* refusal(
      place,
      `the rows are ${described(given)}, not an array`,
      "Give the rows in an array."
    )
  }
  if (given.length === 0) return { rowCount: 0, rows: [] }
  const rows = yield* table.translation.stored({ place, before: 0 }, given)
  const copied = plan === undefined && returning === "none" ? yield* copyAll(table, rows) : undefined
  if (copied !== undefined) return { rowCount: copied, rows: [] }
  const work: Work = { ...insertion(yield* table.freshShape), plan, returning }
  const seen: Upsert.Seen = new Map()
  const first = cut(table, work, rows, 1, Chunk.large, seen)
  if (isPoolError(first)) return yield* first
  const pieces = inTurn<OperationError, R, OperationError, R>((put) =>
    Effect.gen(function* () {
      yield* put(yield* write(table, work, first))
      for (let done = first.rows; done < rows.length; ) {
        const piece = cut(table, work, rows, done + 1, Chunk.large, seen)
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
