/**
 * A statement of a handle: in the fiber's transaction, or on a connection of the pool.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { OperationError, PoolError } from "../errors/PoolError.ts"
import * as Execute from "../execute/Execute.ts"
import * as Jobs from "../execute/Job.ts"
import { type Rows, rowsOnPool } from "../execute/StreamRows.ts"
import type { AnyFiber, Pool } from "../pool/Pool.ts"
import type { PooledConnection } from "../pool/PooledConnection.ts"
import { type Exchange, rowCountOf } from "../protocol/Exchange.ts"
import type { Bound } from "../statement/Statement.ts"
import * as Operation from "../telemetry/Operation.ts"
import { ofStatement } from "../telemetry/Shown.ts"
import * as InTransaction from "./InTransaction.ts"
import { rowsInTransaction } from "./StreamInTransaction.ts"
import { currentOf } from "./TransactionState.ts"

export interface StatementOptions extends Jobs.JobOptions, Operation.Options {
  /** The table of the handle. */
  readonly table?: string | undefined
}

/** Runs a statement that may be sent: in the fiber's transaction if there is one. */
export const joining = (
  pool: Pool,
  fiber: AnyFiber,
  job: Jobs.Job,
  membershipOf = currentOf
): Effect.Effect<Exchange, OperationError> => {
  const membership = membershipOf(pool, fiber.context)
  return membership === undefined ? Execute.single(pool, fiber, job) : InTransaction.run(membership, job)
}

const shownOf = (pool: Pool, { text }: Bound, job: Jobs.Job | PoolError, { table }: StatementOptions) =>
  ofStatement(pool, Jobs.isJob(job) ? job.known : pool.statements.get(text), table)

/** Looks at a statement and runs it, as one operation; `membershipOf` gives the transaction that it belongs to. */
export const runStatement = (
  pool: Pool,
  fiber: AnyFiber,
  statement: Bound,
  options: StatementOptions = {},
  membershipOf = currentOf
): Effect.Effect<Exchange, OperationError> => {
  const timing = Operation.timingOf(pool)
  const job = Jobs.prepare(pool, statement, options, timing)
  const running = Jobs.isJob(job) ? joining(pool, fiber, job, membershipOf) : Effect.fail(job)
  const subject = { shown: shownOf(pool, statement, job, options), timing, hasSpan: options.hasSpan }
  return Operation.around(pool, fiber, subject, running, rowCountOf)
}

/** The same for its rows. */
const streaming = (pool: Pool, fiber: AnyFiber, job: Jobs.Job, membershipOf: typeof currentOf): Rows => {
  const membership = membershipOf(pool, fiber.context)
  return membership === undefined ? rowsOnPool(pool, job) : rowsInTransaction(membership, job)
}

/** Rows of a statement, as one operation. */
export const streamStatement = (
  pool: Pool,
  statement: Bound,
  options: StatementOptions = {},
  membershipOf = currentOf
): Rows =>
  Stream.unwrap(
    Effect.withFiber((fiber) => {
      const timing = Operation.timingOf(pool)
      const job = Jobs.prepare(pool, statement, options, timing)
      const rows = Jobs.isJob(job) ? streaming(pool, fiber, job, membershipOf) : Stream.fail(job)
      const subject = { shown: shownOf(pool, statement, job, options), timing, hasSpan: options.hasSpan }
      return Effect.succeed(Operation.aroundRows(pool, fiber, subject, rows))
    })
  )

/** Asks something on the connection of the fiber's transaction, or on one that is lent for it. */
export const asking = <A, E>(
  pool: Pool,
  fiber: AnyFiber,
  ask: (connection: PooledConnection) => Effect.Effect<A, E>
): Effect.Effect<A, E | OperationError> => {
  const membership = currentOf(pool, fiber.context)
  if (membership === undefined) return pool.use(ask)
  const [{ transaction }] = membership
  return InTransaction.inTurn(membership, () => ask(transaction.connection))
}
