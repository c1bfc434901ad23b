/**
 * A statement of a handle: in the fiber's transaction, or on a connection of the pool.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { SqlError } from "effect/sql/SqlError"
import type { PoolError } from "../errors/PoolError.ts"
import * as Execute from "../execute/Execute.ts"
import { learn } from "../execute/Learn.ts"
import { type Rows, rowsOnPool } from "../execute/StreamRows.ts"
import type { AnyFiber, Pool } from "../pool/Pool.ts"
import type { Exchange } from "../protocol/Exchange.ts"
import type { Bound } from "../statement/Sql.ts"
import * as InTransaction from "../transaction/InTransaction.ts"
import { rowsInTransaction } from "../transaction/StreamInTransaction.ts"
import { currentOf } from "../transaction/TransactionState.ts"

/** Runs a statement, joining the fiber's transaction if there is one. */
export const runJob = (
  pool: Pool,
  fiber: AnyFiber,
  job: Execute.Job
): Effect.Effect<Exchange, SqlError | PoolError> => {
  const membership = currentOf(pool, fiber.context)
  return membership === undefined ? Execute.single(pool, fiber, job) : InTransaction.run(membership, job)
}

/** Looks at a statement and runs it. */
export const runStatement = (
  pool: Pool,
  fiber: AnyFiber,
  statement: Bound,
  options?: Execute.JobOptions
): Effect.Effect<Exchange, SqlError | PoolError> => {
  const job = Execute.prepare(pool, statement, options)
  return Execute.isJob(job) ? runJob(pool, fiber, job) : Effect.fail(job)
}

/** Rows of a statement, through the fiber's transaction if there is one. */
export const streamStatement = (pool: Pool, statement: Bound, options?: Execute.JobOptions): Rows =>
  Stream.unwrap(
    Effect.withFiber((fiber) => {
      const job = Execute.prepare(pool, statement, options)
      if (!Execute.isJob(job)) return Effect.fail(job)
      const membership = currentOf(pool, fiber.context)
      return Effect.succeed(
        membership === undefined ? rowsOnPool(pool, job) : rowsInTransaction(membership, job)
      )
    })
  )

/** Learns those of these types that the pool does not know, on the fiber's transaction or a connection lent for it. */
export const learnTypes = (
  pool: Pool,
  oids: ReadonlyArray<number>
): Effect.Effect<void, SqlError | PoolError> =>
  Effect.withFiber((fiber) => {
    const unknown = pool.types.unknown(oids)
    if (unknown.length === 0) return Effect.void
    const membership = currentOf(pool, fiber.context)
    if (membership === undefined) return pool.use(({ session }) => learn(session, unknown))
    const [{ transaction }] = membership
    return InTransaction.inTurn(transaction, membership, () => learn(transaction.connection.session, unknown))
  })
