/**
 * `COPY` in a transaction: its data have the connection to themselves until the last of them.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as ConnectionErrors from "../errors/ConnectionErrors.ts"
import type { OperationError } from "../errors/PoolError.ts"
import { type CopyInOptions, copyIn } from "../execute/CopyIn.ts"
import { orUnsent } from "../execute/Execute.ts"
import { aboutOf, type Job } from "../execute/Job.ts"
import { type Begin, pulled } from "../execute/StreamRows.ts"
import * as InTransaction from "./InTransaction.ts"
import * as TransactionErrors from "./TransactionErrors.ts"
import type { Membership } from "./TransactionState.ts"
import * as State from "./TransactionState.ts"

/** As `copyIn`. A statement of the same transaction that the stream runs fails at once: it would wait for itself. */
export const copyInInside = <E, R>(
  membership: Membership,
  job: Job,
  data: Stream.Stream<Uint8Array | string, E, R>,
  options: CopyInOptions
): Effect.Effect<number, E | OperationError, R> => {
  const [{ transaction }] = membership
  const { connection, pool } = transaction
  const apart = Stream.provideService(
    data,
    pool.transactionKey,
    State.refusing(membership, TransactionErrors.copying())
  )
  const copied = InTransaction.inTurn(
    membership,
    (before) => copyIn(pool, connection, job, apart, options, before),
    { isProgram: true }
  )
  return Effect.mapError(
    orUnsent(copied, () => ConnectionErrors.unsentError(aboutOf(pool, job))),
    (error) => InTransaction.inTransactionError(transaction, error)
  )
}

/** The data of a `COPY … TO STDOUT` that `begin` starts. */
export const copyOutInside = <E>(
  [{ level, transaction }]: Membership,
  begin: Begin<E>
): Stream.Stream<unknown, E | OperationError> =>
  pulled(
    Effect.gen(function* () {
      yield* InTransaction.hold(transaction, level, true)
      const before = () => State.closedError(transaction, level)
      const refusal = before()
      if (refusal !== undefined) return yield* refusal
      yield* InTransaction.sendPending(transaction)
      return yield* begin(transaction.connection, before)
    })
  )
