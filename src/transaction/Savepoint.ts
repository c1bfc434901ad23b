/**
 * Transactions inside transactions: savepoints, which cost no round trip of their own unless they are rolled back.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { SqlError } from "effect/sql/SqlError"
import type { OperationError, PoolError } from "../errors/PoolError.ts"
import { isDead } from "../pool/PooledConnection.ts"
import { awaitBriefly } from "../pool/Recover.ts"
import * as InTransaction from "./InTransaction.ts"
import * as Mutex from "./Mutex.ts"
import * as TransactionErrors from "./TransactionErrors.ts"
import type { Level, Membership, Transaction } from "./TransactionState.ts"
import * as State from "./TransactionState.ts"

/** A savepoint's name, in the form of Effect's SQL clients, and no other's in its transaction. */
const nextName = (transaction: Transaction): string => `effect_sql_${++transaction.savepoints}`

/** Waits for the fibers in line inside the level, and takes no more. */
const close = (transaction: Transaction, level: Level): Effect.Effect<void, PoolError> =>
  Mutex.withTurn(level.mutex, State.patienceOf(transaction), (release) =>
    Effect.sync(() => {
      level.isOpen = false
      release()
    })
  )

const isUnsent = ({ pending }: Transaction, level: Level): boolean =>
  pending.some((one) => one.opens && one.level === level)

/** A level that ends in a failed state did not take effect, whatever became of the failure. */
const checkFailed = (transaction: Transaction, level: Level): Effect.Effect<void, SqlError> =>
  Effect.suspend(() =>
    transaction.connection.session.status() === "failed" && !isUnsent(transaction, level)
      ? Effect.fail(TransactionErrors.rolledBackInside())
      : Effect.void
  )

/** At the transaction's end it is not needed, so it travels with the next statement, if there is one. */
const release = (transaction: Transaction, outer: Level, level: Level): void => {
  outer.afterCommit.push(...level.afterCommit)
  if (isUnsent(transaction, level)) {
    transaction.pending = transaction.pending.filter((one) => one.level !== level)
  } else State.sendLater(transaction, outer, `RELEASE SAVEPOINT ${level.savepoint}`)
}

/** Never fails: where it cannot be done, the transaction itself has failed. */
const undo = (transaction: Transaction, outer: Level, level: Level): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { connection, pool } = transaction
    const wasSent = !isUnsent(transaction, level)
    level.isOpen = false
    level.isUndone = true
    transaction.pending = transaction.pending.filter((one) => State.isAlive(one.level))
    if (!wasSent || State.closedError(transaction, outer) !== undefined || isDead(connection))
      return Effect.void
    return InTransaction.rest(transaction).pipe(
      Effect.andThen(InTransaction.ask(transaction, `ROLLBACK TO SAVEPOINT ${level.savepoint}`)),
      Effect.andThen(
        Effect.sync(() => {
          if (connection.hasCatalogueChanges) pool.onCatalogueChange()
          // It is again what it was before, which is not known.
          if (connection.searchPath !== "") connection.searchPath = `before ${level.savepoint}`
          State.sendLater(transaction, outer, `RELEASE SAVEPOINT ${level.savepoint}`)
        })
      )
    )
  })

/** Runs an effect in a savepoint of the fiber's level, which has the connection to itself until it ends. */
export const nested = <A, E, R>(
  [joined, depth]: Membership,
  enter: (membership: Membership) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | OperationError, R> => {
  const { level: outer, transaction } = joined
  return Mutex.withTurn(
    outer.mutex,
    State.patienceOf(transaction),
    (done, restore) =>
      Effect.suspend((): Effect.Effect<A, E | OperationError, R> => {
        const refusal = State.closedError(transaction, outer)
        if (refusal !== undefined) {
          done()
          return Effect.fail(refusal)
        }
        const level = State.openLevel(transaction, outer, nextName(transaction))
        const inside = Effect.tap(
          Effect.suspend(() => enter([{ ...joined, level }, depth + 1])),
          Effect.andThen(close(transaction, level), checkFailed(transaction, level))
        )
        return Effect.onExitPrimitive(restore(inside), (exit) => {
          if (Exit.isSuccess(exit)) {
            release(transaction, outer, level)
            done()
            return undefined
          }
          // The outer level goes on when all is undone; a fiber that was interrupted does not wait for that.
          const undone = Effect.andThen(undo(transaction, outer, level), Effect.sync(done))
          return Exit.hasInterrupts(exit) ? awaitBriefly(transaction.connection, undone) : undone
        })
      }),
    true
  )
}
