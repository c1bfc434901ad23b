/**
 * What stores rows in a table: in the fiber's transaction, or on a connection of the pool; and what is known of the table.
 */
import * as Effect from "effect/Effect"
import * as ConnectionErrors from "../errors/ConnectionErrors.ts"
import type { OperationError } from "../errors/PoolError.ts"
import { type BeforeSend, onLent, orUnsent } from "../execute/Execute.ts"
import { isJob, prepare } from "../execute/Job.ts"
import { lookLocked, type Mistaken, type Step, store } from "../execute/StoreRows.ts"
import * as OwnSpans from "../pool/OwnSpans.ts"
import type { Pool } from "../pool/Pool.ts"
import type { Exchange } from "../protocol/Exchange.ts"
import type { Bound } from "../statement/Statement.ts"
import * as InTransaction from "../transaction/InTransaction.ts"
import { joining } from "../transaction/Run.ts"
import { transaction } from "../transaction/Transaction.ts"
import * as TransactionErrors from "../transaction/TransactionErrors.ts"
import { currentOf, type Transaction } from "../transaction/TransactionState.ts"
import { ownText } from "../types/Parameters.ts"
import { fromAnswer, lookQuery, type TableShape } from "../types/TableShape.ts"
import { codecsOf } from "../types/TypeCodec.ts"

/** So many tables of a pool are known at the most; then it begins anew. */
const mostTables = 1_000

const remember = ({ tables }: Pool, table: string, shape: TableShape): TableShape => {
  const known = tables.get(table)
  const kept = known?.digest === shape.digest ? known : shape
  if (tables.size >= mostTables) tables.clear()
  // Where there is no table there is nothing to compare with.
  if (shape.kind !== "") tables.set(table, kept)
  return kept
}

/** Asks the catalogue, which is no operation of the program's. */
export const askCatalogue = (pool: Pool, statement: Bound): Effect.Effect<Exchange, OperationError> =>
  Effect.withFiber((fiber) => {
    const job = prepare(pool, { ...statement, isOwn: true })
    return isJob(job)
      ? OwnSpans.within(pool.settings, "learn types", joining(pool, fiber, job))
      : Effect.fail(job)
  })

/** What the catalogue says of a table. */
export const look = (pool: Pool, table: string): Effect.Effect<TableShape, OperationError> =>
  Effect.map(askCatalogue(pool, { text: lookQuery, params: [ownText(table)] }), ({ rows }) =>
    remember(pool, table, fromAnswer(rows[0], codecsOf(pool.settings.types)))
  )

/** What is known of a table, or else what the catalogue says. */
export const shapeOf = (pool: Pool, table: string): Effect.Effect<TableShape, OperationError> =>
  Effect.suspend(() => {
    const known = pool.tables.get(table)
    return known === undefined ? look(pool, table) : Effect.succeed(known)
  })

/** Runs something in turn on the connection of the fiber's transaction. */
const inside = <A, E>(
  pool: Pool,
  run: (transaction: Transaction, before: BeforeSend) => Effect.Effect<A, E>
): Effect.Effect<A, E | OperationError> =>
  Effect.withFiber((fiber) => {
    const membership = currentOf(pool, fiber.context)
    if (membership === undefined) return Effect.fail(TransactionErrors.over())
    const [{ transaction }] = membership
    return Effect.mapError(
      InTransaction.inTurn(membership, (before) => run(transaction, before)),
      (error) => InTransaction.inTransactionError(transaction, error)
    )
  })

/** The table's shape, which stays as it is until the fiber's transaction ends. */
export const lockedShapeOf = (pool: Pool, table: string): Effect.Effect<TableShape, OperationError> =>
  Effect.map(
    inside(pool, ({ connection }, before) => lookLocked(pool, connection, table, before)),
    (shape) => remember(pool, table, shape)
  )

const forget = ({ tables }: Pool, table: string, { refusesCopy }: Mistaken): void => {
  const known = tables.get(table)
  if (refusesCopy && known !== undefined) tables.set(table, { ...known, refusesCopy })
  else tables.delete(table)
}

const send = (
  pool: Pool,
  table: string,
  steps: () => Iterator<Step>,
  shape: TableShape | undefined
): Effect.Effect<number, OperationError | Mistaken> =>
  Effect.withFiber((fiber) => {
    const isInside = currentOf(pool, fiber.context) !== undefined
    const guard = shape === undefined || shape.kind === "" ? undefined : { table, digest: shape.digest }
    if (!isInside && pool.settings.pipelining) {
      return onLent(
        pool,
        (connection) => store(pool, connection, steps(), guard, pool.cutOff),
        () => ({})
      )
    }
    const sent = orUnsent(
      inside(pool, ({ connection }, before) => store(pool, connection, steps(), guard, before)),
      () => ConnectionErrors.unsentError({})
    )
    // What fails for something remembered must not spoil the transaction around it.
    return isInside && guard === undefined ? sent : transaction(pool, fiber, sent)
  })

/** Sends what stores rows; `shape` is what is known of the table. */
export const storeRows = (
  pool: Pool,
  table: string,
  steps: () => Iterator<Step>,
  shape: TableShape | undefined
): Effect.Effect<number, OperationError | Mistaken> =>
  Effect.tapError(send(pool, table, steps, shape), (error) =>
    Effect.sync(() => {
      if (error._tag === "Mistaken") forget(pool, table, error)
    })
  )
