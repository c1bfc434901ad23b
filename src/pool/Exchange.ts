/**
 * What goes over a transaction's connection: the user's statements in turn, each behind what waits to be sent before it.
 *
 * A nested transaction keeps its outer one's turn until it ends, so that what it rolls back is its own and nobody else's.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import type { PoolError } from "../PoolError.ts"
import * as ServerError from "../ServerError.ts"
import * as Fate from "./Fate.ts"
import * as Held from "./Held.ts"
import type * as Lines from "./Lines.ts"
import * as Turn from "./Turn.ts"

const answerTime = 5_000

/** Waits for something that the server answers at once; a connection that stays silent is cut off. */
export const promptly = <A>(member: Lines.Member, effect: Effect.Effect<A>): Effect.Effect<A | undefined> =>
  Effect.timeoutOrElse(effect, {
    duration: answerTime,
    orElse: () => Effect.as(member.connection.cut, undefined)
  })

/** Never fails: a connection that cannot roll back is closed when it comes back, which rolls back too. */
export const rollback = (member: Lines.Member): Effect.Effect<void> =>
  Effect.suspend(() =>
    member.connection.isDead() || !member.connection.inTransaction()
      ? Effect.void
      : promptly(member, Effect.ignore(member.connection.query("ROLLBACK", [], false)))
  )

interface Failure {
  readonly pending: Held.Pending
  readonly error: SqlError
}

/** Statements of ours that are on the wire. */
interface Sent {
  /** The first failure among their answers, once all are there. */
  readonly answered: Effect.Effect<Failure | undefined>
  /** Whether all are there. */
  readonly isAnswered: () => boolean
}

/** Sends what is pending. */
const sendPending = (held: Held.Held): Effect.Effect<Sent> =>
  Effect.suspend(() => {
    const { connection } = held.member
    const sent = held.pending.filter(({ level }) => Held.isAlive(level))
    held.begun = Held.isTransaction(held)
    held.pending = []
    return Effect.map(
      Effect.forEach(sent, ({ level, opens, text }) =>
        Effect.forkDetach(
          opens && level.outer === undefined ? connection.begin(text) : connection.query(text, [], false),
          { startImmediately: true }
        )
      ),
      (fibers) => ({
        answered: Effect.map(Fiber.awaitAll(fibers), (exits) => {
          for (const [index, exit] of exits.entries()) {
            const error = Exit.findErrorOption(exit)
            if (error._tag === "Some") return { pending: sent[index]!, error: error.value }
          }
          return undefined
        }),
        isAnswered: () => fibers.every((fiber) => fiber.pollUnsafe() !== undefined)
      })
    )
  })

const isBegin = ({ pending: { level, opens } }: Failure): boolean => opens && level.outer === undefined

const isRefused = (failure: Failure): boolean => isBegin(failure) && Fate.isAnswer(failure.error)

/** The error of something that ran behind a pending statement which failed. */
const failed = <A, E>(
  held: Held.Held,
  failure: Failure,
  exit: Exit.Exit<A, E> | undefined
): Exit.Exit<A, E | SqlError> => {
  const error = ServerError.tell(failure.error, { text: failure.pending.text })
  if (!isBegin(failure)) return exit !== undefined && Fate.isAborted(error) ? exit : Exit.fail(error)
  held.failed = Fate.notBegun(error, exit === undefined ? "Nothing of it was sent." : Fate.byItself(exit))
  return Exit.fail(held.failed)
}

/** Cancels what is on the wire; a question about types that was cut off leaves nothing open around what comes next. */
const recover = (held: Held.Held): Effect.Effect<void> =>
  Effect.andThen(
    held.member.connection.recover,
    Effect.suspend(() => (Held.isTransaction(held) ? Effect.void : rollback(held.member)))
  )

/** Runs something behind the pending statements, in one write with them where the connection pipelines. */
const behindPending = <A, E>(held: Held.Held, run: Effect.Effect<A, E>): Effect.Effect<A, E | SqlError> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(sendPending(held), ({ answered, isAnswered }) => {
      const { connection } = held.member
      // As a rule they are answered by the time that something behind them is.
      const begun = Effect.suspend(() => (isAnswered() ? answered : promptly(held.member, answered)))
      const ended = (exit: Exit.Exit<A, E>) =>
        // A cancel that hit BEGIN would let what follows run outside the transaction, so it waits for that answer.
        Effect.flatMap(begun, (failure): Effect.Effect<A, E | SqlError> => {
          const end = Effect.suspend(() =>
            failure === undefined || (connection.isDead() && !isRefused(failure))
              ? exit
              : failed(held, failure, exit)
          )
          return Exit.hasInterrupts(exit) ? Effect.andThen(recover(held), end) : end
        })
      const go = Effect.flatMap(Effect.exit(restore(run)), ended)
      held.ahead = answered
      return held.owner.settings.pipelining
        ? go
        : Effect.flatMap(begun, (failure) =>
            failure === undefined || connection.isDead() ? go : failed<A, E>(held, failure, undefined)
          )
    })
  )

/**
 * Runs something on the transaction's connection, in turn, with what is pending sent just before it in the same write. An
 * interruption cancels it on the server.
 */
export const on = <A, E>(
  held: Held.Held,
  run: (member: Lines.Member, level: Held.Level) => Effect.Effect<A, E>
): Effect.Effect<A, E | SqlError | PoolError> =>
  Effect.withFiber((fiber) => {
    const level = Held.levelOf(held, fiber.context)
    const { connection } = held.member
    // Not before what is pending was sent: a statement that asks the server for types looks whether a transaction is open.
    const go = Effect.suspend((): Effect.Effect<A, E | SqlError | PoolError> => {
      // The transaction may have ended, and dropped what was pending, since this fiber got its turn.
      const refusal = Held.closed(held, level)
      return refusal === undefined ? run(held.member, level) : Effect.fail(refusal)
    })
    let runs: "not" | "alone" | "behind" = "not"
    const begin = Effect.suspend((): Effect.Effect<A, E | SqlError | PoolError> => {
      const refusal = Held.closed(held, level)
      if (refusal !== undefined) return Effect.fail(refusal)
      held.running = true
      runs = held.pending.length === 0 ? "alone" : "behind"
      return runs === "alone" ? go : behindPending(held, go)
    })
    const end = () => {
      held.running = false
      for (const resume of held.onRest) resume()
      held.onRest.clear()
    }
    const now = Effect.onExitPrimitive(begin, (exit) => {
      // Refused, it leaves alone what a fiber of another level runs.
      if (runs === "not") return undefined
      // What ran behind pending statements has recovered.
      if (runs === "alone" && Exit.hasInterrupts(exit)) {
        return Effect.ensuring(recover(held), Effect.sync(end))
      }
      end()
      return undefined
    })
    return Effect.mapError(Turn.withTurn(level.turn, Held.patienceOf(held), now), (error) =>
      isSqlError(error) && !Fate.isAnswer(error) && connection.isDead() && held.begun
        ? Fate.undone(error)
        : error
    )
  })

/**
 * Cancels what a fiber that outlived its level has on the wire, once `BEGIN` is answered: a cancel that hit `BEGIN` would let
 * the statement behind it run outside the transaction.
 */
export const rest = (held: Held.Held): Effect.Effect<void> =>
  Effect.suspend(() =>
    held.running
      ? promptly(held.member, held.ahead).pipe(
          Effect.andThen(held.member.connection.recover),
          Effect.andThen(
            Effect.callback<void>((resume) => {
              if (held.running) held.onRest.add(() => resume(Effect.void))
              else resume(Effect.void)
            })
          )
        )
      : Effect.void
  )
