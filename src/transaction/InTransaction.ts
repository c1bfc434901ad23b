/**
 * Statements of a transaction: one at a time on its connection, each behind what waits to be sent before it.
 *
 * What waits and the statement share one `Sync`: when `BEGIN` or `SAVEPOINT` fails, the server skips the statement. A nested
 * transaction keeps its outer one's mutex until it ends, so that it rolls back nothing but its own work.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { SqlError } from "effect/sql/SqlError"
import { isSqlError } from "effect/sql/SqlError"
import type { OperationError, PoolError } from "../errors/PoolError.ts"
import { serverError } from "../errors/ServerErrors.ts"
import * as Execute from "../execute/Execute.ts"
import * as Jobs from "../execute/Job.ts"
import * as Send from "../execute/Send.ts"
import { isDead } from "../pool/PooledConnection.ts"
import { awaitBriefly, recover } from "../pool/Recover.ts"
import { statementOf } from "../pool/StatementCache.ts"
import { answerTo } from "../protocol/Ask.ts"
import * as Commands from "../protocol/Commands.ts"
import type { Exchange } from "../protocol/Exchange.ts"
import * as Mutex from "./Mutex.ts"
import * as TransactionErrors from "./TransactionErrors.ts"
import type { Level, Membership, Pending, Transaction } from "./TransactionState.ts"
import * as State from "./TransactionState.ts"

const none: ReadonlyArray<number> = []

/** Writes a statement of the transaction's own. */
export const command = (
  { connection, pool }: Transaction,
  text: string,
  onSettled: (exchange: Exchange) => void,
  syncs: boolean
): Exchange => {
  const statement = statementOf(pool.statements, pool.statements.get(text), none)
  return Commands.run(connection.session, statement, [], onSettled, {
    keep: pool.settings.prepare !== false,
    syncs
  })
}

/** What was sent ahead of a statement. */
interface Ahead {
  readonly pending: Pending
  readonly exchange: Exchange
}

const nothing = () => undefined
const noneAhead: ReadonlyArray<Ahead> = []

/** Writes what waits; without a `Sync`, since a statement follows. */
const writePending = (transaction: Transaction, onSettled?: () => void): ReadonlyArray<Ahead> => {
  if (transaction.pending.length === 0) return noneAhead
  const pending = State.takePending(transaction)
  return pending.map((one, index) => {
    const isLast = onSettled !== undefined && index === pending.length - 1
    return { pending: one, exchange: command(transaction, one.text, isLast ? onSettled : nothing, isLast) }
  })
}

/** Sends what waits, and waits for its answer. */
export const sendPending = (transaction: Transaction): Effect.Effect<void, SqlError> =>
  Effect.suspend(() => {
    if (transaction.pending.length === 0) return Effect.void
    return Effect.flatMap(
      Effect.callback<ReadonlyArray<Ahead>>((resume) => {
        const ahead = writePending(transaction, () => resume(Effect.succeed(ahead)))
        if (ahead.length === 0) resume(Effect.succeed(ahead))
      }),
      (ahead) => {
        const error = aheadError(transaction, ahead)
        return error === undefined ? Effect.void : Effect.fail(error)
      }
    )
  })

/** The error of what was sent ahead, if it failed. */
const aheadError = (transaction: Transaction, ahead: ReadonlyArray<Ahead>): SqlError | undefined => {
  for (const { exchange, pending } of ahead) {
    if (exchange.state !== "failed") continue
    const error = serverError(exchange.error ?? {}, { text: pending.text })
    if (!pending.opens || pending.level.outer !== undefined) return error
    transaction.failure =
      isDead(transaction.connection) && error.isRetryable
        ? TransactionErrors.undone(error)
        : TransactionErrors.notBegun(error)
    return transaction.failure
  }
  return undefined
}

/** Notes when the server has no transaction open although it should: nothing may run outside of it. */
const checkOpen = (transaction: Transaction): void => {
  const { connection, failure, hasBegun, hasEnded } = transaction
  if (!hasBegun || hasEnded || failure !== undefined || isDead(connection)) return
  if (connection.session.status() === "idle") transaction.failure = TransactionErrors.lostTransaction()
}

const setRunning = (transaction: Transaction, isRunning: boolean): void => {
  transaction.isRunning = isRunning
  if (isRunning || transaction.onRest.size === 0) return
  for (const resume of transaction.onRest) resume()
  transaction.onRest.clear()
}

/** What an error means in a transaction. */
export const inTransactionError = <E>(transaction: Transaction, error: E): E | SqlError =>
  isSqlError(error) &&
  error !== transaction.failure &&
  !TransactionErrors.isAnswer(error) &&
  isDead(transaction.connection) &&
  transaction.hasBegun
    ? TransactionErrors.undone(error)
    : error

/** Cancels what runs, then does `after`; waits a moment for it. */
const cancelThen = (transaction: Transaction, after: () => void): Effect.Effect<void> =>
  awaitBriefly(
    transaction.connection,
    Effect.andThen(
      recover(transaction.connection, transaction.pool.settings.answerTimeout),
      Effect.sync(() => {
        checkOpen(transaction)
        after()
      })
    )
  )

interface TurnOptions {
  /**
   * It runs a program of the user's, for which others do not wait longer than `acquireTimeout`. What waits is answered before
   * that begins; else it is written with the first statement, where connections pipeline.
   */
  readonly isProgram: boolean
}

/**
 * Runs something on the transaction's connection in turn. `run` is given what has to happen just before it writes: that
 * writes what waits, or says why nothing is sent.
 */
export const inTurn = <A, E, R = never>(
  [{ level, transaction }]: Membership,
  run: (before: Execute.BeforeSend) => Effect.Effect<A, E, R>,
  { isProgram }: TurnOptions = { isProgram: false }
): Effect.Effect<A, E | OperationError, R> =>
  Mutex.withTurn(
    level.mutex,
    State.patienceOf(transaction),
    (release, restore) =>
      Effect.suspend((): Effect.Effect<A, E | OperationError, R> => {
        const refusal = State.closedError(transaction, level)
        if (refusal !== undefined) {
          release()
          return Effect.fail(refusal)
        }
        let ahead = noneAhead
        const before: Execute.BeforeSend = () => {
          const closed = State.closedError(transaction, level)
          if (closed === undefined) ahead = writePending(transaction)
          return closed
        }
        setRunning(transaction, true)
        const rest = () => {
          setRunning(transaction, false)
          release()
        }
        const program = Effect.andThen(
          isProgram || !transaction.pool.settings.pipelining ? sendPending(transaction) : Effect.void,
          Effect.suspend(() => run(before))
        )
        let failure: SqlError | undefined
        const settled = Effect.onExitPrimitive(
          restore(program),
          (exit): Effect.Effect<A, E | SqlError> | undefined => {
            if (Exit.hasInterrupts(exit)) return Effect.andThen(cancelThen(transaction, rest), exit)
            checkOpen(transaction)
            failure = aheadError(transaction, ahead)
            rest()
            return failure === undefined || Exit.isFailure(exit) ? undefined : Effect.fail(failure)
          }
        )
        // A statement that was skipped fails by what stood in front of it.
        return Effect.mapError(settled, (error) => failure ?? error)
      }),
    isProgram
  )

/** Runs a statement in its fiber's transaction: at once, or in its turn where another fiber has the connection. */
export const run = (membership: Membership, given: Jobs.Job): Effect.Effect<Exchange, OperationError> => {
  const [{ level, transaction }] = membership
  const { connection, pool } = transaction
  const job = Jobs.jobIn(pool, connection, given)
  const slowly = () =>
    Effect.mapError(
      inTurn(membership, (before) => Execute.runHere(pool, connection, job, before)),
      (error) => inTransactionError(transaction, error)
    )
  return Effect.callback<Exchange, OperationError>((resume) => {
    const plain = pool.settings.pipelining ? Send.plainOf(pool, job, connection) : undefined
    const turn = plain === undefined ? undefined : Mutex.tryAcquire(level.mutex)
    if (plain === undefined || turn === undefined) return resume(slowly())
    const refusal = State.closedError(transaction, level)
    if (refusal !== undefined) {
      Mutex.release(level.mutex, turn)
      return resume(Effect.fail(refusal))
    }
    const rest = () => {
      setRunning(transaction, false)
      Mutex.release(level.mutex, turn)
    }
    let isInterrupted = false
    setRunning(transaction, true)
    const ahead = writePending(transaction)
    Execute.sendPlain(pool, connection, job, plain, (result) => {
      if (isInterrupted) return
      checkOpen(transaction)
      const error = ahead.length === 0 ? undefined : aheadError(transaction, ahead)
      const settled = error === undefined ? result : Effect.fail(error)
      if (Exit.isExit(settled) && Exit.isSuccess(settled)) {
        rest()
        return resume(settled)
      }
      const restored = Effect.onExitPrimitive(settled, (exit) => {
        if (Exit.hasInterrupts(exit)) return cancelThen(transaction, rest)
        rest()
        return undefined
      })
      resume(Effect.mapError(restored, (error) => inTransactionError(transaction, error)))
    })
    return Effect.suspend(() => {
      isInterrupted = true
      return cancelThen(transaction, rest)
    })
  })
}

/** Cancels what a fiber that outlived its level still runs, and waits until it rests. */
export const rest = (transaction: Transaction): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (!transaction.isRunning && transaction.connection.session.pending() === 0) return Effect.void
    return Effect.andThen(
      recover(transaction.connection, transaction.pool.settings.answerTimeout),
      Effect.callback<void>((resume) => {
        if (transaction.isRunning) transaction.onRest.add(() => resume(Effect.void))
        else resume(Effect.void)
      })
    )
  })

/** Runs a statement of the transaction's own, and waits for its answer; the session of a server that gives none is ended. */
export const ask = (transaction: Transaction, text: string): Effect.Effect<void> => {
  const answer = answerTo((onSettled) => command(transaction, text, onSettled, true))
  return Effect.timeoutOrElse(Effect.asVoid(answer), {
    duration: transaction.pool.settings.answerTimeout,
    orElse: () => Effect.sync(() => transaction.connection.session.destroy())
  })
}

/**
 * Keeps the connection until the scope closes, and then cancels what is still under way on it, for a moment. Interruption while
 * waiting leaves the line.
 */
export const hold = (
  transaction: Transaction,
  level: Level,
  isProgram = false
): Effect.Effect<void, PoolError, Scope.Scope> => {
  const settle = (release: () => void) =>
    Effect.suspend(() =>
      transaction.connection.session.pending() === 0 ? Effect.sync(release) : cancelThen(transaction, release)
    )
  return Mutex.withTurn(
    level.mutex,
    State.patienceOf(transaction),
    (release) => Effect.addFinalizer(() => settle(release)),
    isProgram
  )
}
