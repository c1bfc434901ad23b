/**
 * How a transaction ends on its connection: `COMMIT` and `ROLLBACK`, and what becomes of either when the fiber is interrupted
 * or the connection is lost.
 */
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { OperationError } from "../errors/PoolError.ts"
import { failureOf } from "../execute/Settle.ts"
import { isDead, isInTransaction } from "../pool/PooledConnection.ts"
import { answerTo } from "../protocol/Ask.ts"
import { commandOf, type Exchange } from "../protocol/Exchange.ts"
import { describe } from "../settings/Settings.ts"
import * as InTransaction from "./InTransaction.ts"
import * as Mutex from "./Mutex.ts"
import * as TransactionErrors from "./TransactionErrors.ts"
import type { Transaction } from "./TransactionState.ts"
import * as State from "./TransactionState.ts"

/** What became of a `COMMIT`: nothing to say, or the error. */
export const commitError = ({ connection, pool }: Transaction, exchange: Exchange): SqlError | undefined => {
  if (exchange.state === "done") {
    return commandOf(exchange) === "ROLLBACK" ? TransactionErrors.rolledBack() : undefined
  }
  const about = { text: "COMMIT", server: describe(pool.settings) }
  const error = failureOf(pool, connection, exchange, about, false)
  const end = connection.session.end()
  switch (exchange.state) {
    case "failed":
      // A server that ends the session before it has answered may have committed: while it waits for a standby, for instance.
      return end === undefined ? error : TransactionErrors.unknown(error)
    case "lost":
      return TransactionErrors.unknown(error)
    default:
      return TransactionErrors.undone(error)
  }
}

/** Rolls back on the server if a transaction is open there. A connection that cannot is closed when it comes back. */
export const rollbackOn = (transaction: Transaction): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { connection } = transaction
    if (isDead(connection) || !isInTransaction(connection)) return Effect.void
    return InTransaction.ask(transaction, "ROLLBACK")
  })

/** Rolls back whatever is under way, a nested transaction and its statement included. Never fails. */
export const rollback = (transaction: Transaction): Effect.Effect<void> =>
  Effect.suspend(() => {
    State.end(transaction)
    return Effect.andThen(InTransaction.rest(transaction), rollbackOn(transaction))
  })

const send = (transaction: Transaction): Effect.Effect<void, OperationError> => {
  const { failure, hasBegun } = transaction
  if (failure !== undefined) return Effect.andThen(rollbackOn(transaction), Effect.fail(failure))
  if (!hasBegun) return Effect.void
  return Effect.flatMap(
    answerTo((onSettled) => InTransaction.command(transaction, "COMMIT", onSettled, true)),
    (exchange) => {
      const error = commitError(transaction, exchange)
      return error === undefined ? Effect.void : Effect.fail(error)
    }
  )
}

/** Commits at once if no fiber is in line for the connection, else when those have had their turn. */
export const commit = (transaction: Transaction): Effect.Effect<void, OperationError> => {
  const { mutex } = transaction.root
  const turn = Mutex.tryAcquire(mutex)
  if (turn !== undefined) {
    transaction.hasEnded = true
    Mutex.release(mutex, turn)
    return send(transaction)
  }
  const closed = Mutex.withTurn(mutex, State.patienceOf(transaction), (release) =>
    Effect.sync(() => {
      transaction.hasEnded = true
      release()
    })
  )
  return Effect.flatMap(closed, () => send(transaction))
}
