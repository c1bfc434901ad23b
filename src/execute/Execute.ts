/**
 * One statement, from its job to its rows: it runs on a connection that is lent or shared for it, or that its caller has, and is
 * sent again where the rule of `Resend.ts` allows it.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type { SqlError } from "effect/sql/SqlError"
import * as ConnectionErrors from "../errors/ConnectionErrors.ts"
import type { OperationError } from "../errors/PoolError.ts"
import type { About } from "../errors/ServerErrors.ts"
import type { AnyFiber, Pool } from "../pool/Pool.ts"
import type { PooledConnection } from "../pool/PooledConnection.ts"
import { isDead, isInTransaction, markDirty } from "../pool/PooledConnection.ts"
import type { Caution } from "../pool/PoolState.ts"
import * as Commands from "../protocol/Commands.ts"
import type { Exchange } from "../protocol/Exchange.ts"
import type { Encoded } from "../types/Parameters.ts"
import * as Encode from "./Encode.ts"
import { aboutOf, type Job } from "./Job.ts"
import { learn, learnFloats } from "./Learn.ts"
import { maxAttempts, verdictOf } from "./Resend.ts"
import { isReadyOn, isTyped, isTypical, plainOf, ready, send, sendOnce } from "./Send.ts"
import {
  errorOf,
  failing,
  finish,
  forgetRefused,
  hasUncertainFloats,
  isReadable,
  onDone,
  tooFewDigits,
  wasMisasked
} from "./Settle.ts"

/** Runs just before a statement is written, in the same step; gives why it is not. */
export type BeforeSend = () => OperationError | undefined

/** The statement has to run on another connection. */
export const elsewhere = Symbol("elsewhere")

/** Whether the rows of a statement that has run are all there, with all digits. */
const isSettled = (pool: Pool, connection: PooledConnection, job: Job, exchange: Exchange): boolean => {
  onDone(pool, connection, job)
  return isReadable(exchange) && !hasUncertainFloats(pool, connection, job, exchange)
}

/**
 * Does what is left to do for its rows. Where floats among them may lack digits the session is asked how it prints them. `again`
 * runs a plain read once more, for all digits or in formats that can be read.
 */
const settle = <A>(
  pool: Pool,
  connection: PooledConnection,
  job: Job,
  exchange: Exchange,
  again: () => Effect.Effect<A, OperationError>
): Effect.Effect<Exchange | A, OperationError> => {
  const sure = () =>
    Effect.flatMap(learnFloats(connection), (): Effect.Effect<Exchange | A, OperationError> => {
      if (isTypical(connection)) return finish(pool, connection, job, exchange)
      return job.known.analysis.isPlainRead ? again() : Effect.fail(tooFewDigits(pool, job))
    })
  if (hasUncertainFloats(pool, connection, job, exchange)) return sure()
  if (wasMisasked(job, exchange)) return again()
  // Whether types that are new to the pool hold floats is known when they are learnt.
  return Effect.flatMap(finish(pool, connection, job, exchange), () =>
    hasUncertainFloats(pool, connection, job, exchange) ? sure() : Effect.succeed(exchange)
  )
}

/** What is known of these types, to compare it with what is known later. */
const definitionsOf = ({ types }: Pool, oids: ReadonlyArray<number>): string =>
  oids.length === 0 ? "" : JSON.stringify(oids.map(types.typeOf))

/**
 * Runs a statement on a connection that its caller has whole: describes it first where that is needed, and sends it again
 * where it was refused for something remembered.
 */
const runOn = Effect.fnUntraced(function* (
  pool: Pool,
  connection: PooledConnection,
  job: Job,
  before: BeforeSend,
  attempts = 0
): Effect.fn.Return<Exchange | typeof elsewhere, OperationError> {
  const wasInTransaction = isInTransaction(connection)
  const prepared = yield* Effect.result(ready(pool, connection, job))
  if (Result.isFailure(prepared)) {
    const { failure } = prepared
    if (failure._tag !== "DescribeFailure") return yield* failure
    // Nothing of the statement has run.
    if (isDead(connection) && !wasInTransaction && attempts === 0) return elsewhere
    // A transaction fails with it, as if the statement itself had been sent.
    const isOpen = before() === undefined && (isInTransaction(connection) || connection.session.pending() > 0)
    if (isOpen) yield* Encode.describeAgain(connection, failure)
    return yield* errorOf(pool, job, failure.exchange, connection)
  }
  const { composites, encoded } = prepared.success
  const { isPlainRead } = job.known.analysis
  // A plain read goes first and is read by what is remembered: it may wait for a lock, behind which a type is another one. All else
  // goes behind the question, since it cannot run again. What became of the statement counts; its rows ask again.
  const asksFirst = !isPlainRead || job.portal !== undefined
  const sent = Effect.suspend(() => {
    const refusal = before()
    if (refusal !== undefined) return Effect.fail(refusal)
    markDirty(connection, job.known.analysis)
    return sendOnce(pool, connection, job, encoded, asksFirst ? undefined : { answers: 0 })
  })
  const question = Effect.ignore(learn(connection, composites))
  const definitions = () => (asksFirst ? "" : definitionsOf(pool, composites))
  const remembered = definitions()
  const concurrency = "unbounded"
  const { exchange, usedMemory } =
    composites.length === 0
      ? yield* sent
      : asksFirst
        ? (yield* Effect.all([question, sent], { concurrency }))[1]
        : (yield* Effect.all([sent, question], { concurrency }))[0]
  if (exchange.state === "done") {
    const again = () => {
      if (attempts >= maxAttempts) return finish(pool, connection, job, exchange)
      if (job.portal !== undefined) Commands.closePortal(connection.session, job.portal.name)
      return runOn(pool, connection, job, before, attempts + 1)
    }
    if (definitions() !== remembered) return yield* again()
    return isSettled(pool, connection, job, exchange)
      ? exchange
      : yield* settle(pool, connection, job, exchange, again)
  }
  if (exchange.state === "failed") forgetRefused(connection, job, exchange)
  const verdict = verdictOf(exchange, isDead(connection), {
    analysis: job.known.analysis,
    usedMemory: usedMemory || isTyped(pool, job),
    inTransaction: wasInTransaction || isInTransaction(connection),
    attempts
  })
  if (verdict === "anew" && attempts === 0) return yield* runOn(pool, connection, job, before, 1)
  if (verdict === "elsewhere") return elsewhere
  return yield* errorOf(pool, job, exchange, connection, { encoded })
})

const nothing = () => undefined

/** What was to run elsewhere was not sent, where its caller has no other connection. */
export const orUnsent = <A, E, R>(
  running: Effect.Effect<A | typeof elsewhere, E, R>,
  error: () => SqlError
): Effect.Effect<A, E | SqlError, R> =>
  Effect.flatMap(running, (result) => (result === elsewhere ? Effect.fail(error()) : Effect.succeed(result)))

/** Runs something on a connection of the pool that is lent for it, and on others while it has to run elsewhere. */
export const onLent = <A, E, R>(
  pool: Pool,
  run: (connection: PooledConnection) => Effect.Effect<A | typeof elsewhere, E, R>,
  about: () => About,
  attempts = 0
): Effect.Effect<A, E | OperationError, R> =>
  Effect.flatMap(pool.use(run), (result) => {
    if (result !== elsewhere) return Effect.succeed(result)
    if (attempts < maxAttempts) return onLent(pool, run, about, attempts + 1)
    return Effect.fail(ConnectionErrors.unsentError(about()))
  })

/** Runs a statement on a connection that is its caller's until its end. */
export const runHere = (
  pool: Pool,
  connection: PooledConnection,
  job: Job,
  before: BeforeSend = nothing
): Effect.Effect<Exchange, OperationError> =>
  orUnsent(runOn(pool, connection, job, before), () =>
    ConnectionErrors.unsentError(aboutOf(pool, job), connection.session.end())
  )

/** Sends a statement with nothing to ask first, in a transaction; gives its rows or its error. */
export const sendPlain = (
  pool: Pool,
  connection: PooledConnection,
  job: Job,
  encoded: Encoded,
  onResult: (result: Effect.Effect<Exchange, OperationError>) => void
): void => {
  markDirty(connection, job.known.analysis)
  send(pool, connection, job, encoded, (exchange) => {
    if (exchange.state === "done") {
      if (isSettled(pool, connection, job, exchange)) return onResult(Exit.succeed(exchange))
      const again = () => runHere(pool, connection, job, pool.cutOff)
      return onResult(settle(pool, connection, job, exchange, again))
    }
    if (exchange.state === "failed") forgetRefused(connection, job, exchange)
    onResult(failing(pool, job, exchange, connection))
  })
}

/** Runs one statement on a connection of the pool, which it may share. */
export const single = (
  pool: Pool,
  fiber: AnyFiber,
  job: Job,
  attempts = 0,
  caution: Caution = job.known.analysis.isPlainRead ? "tries" : "asks"
): Effect.Effect<Exchange, OperationError> => {
  const encoded = plainOf(pool, job)
  if (encoded === undefined) {
    const run = (connection: PooledConnection) => runOn(pool, connection, job, pool.cutOff)
    return onLent(pool, run, () => aboutOf(pool, job), attempts)
  }
  const { analysis, latency } = job.known
  const mayShare = analysis.isRead && !analysis.callsFunctions
  return pool.run<Exchange, OperationError>(
    fiber,
    mayShare ? latency : undefined,
    (connection, turn) => {
      const refusal = pool.cutOff()
      if (refusal !== undefined) return pool.done(turn, Effect.fail(refusal))
      if (!isReadyOn(pool, connection, job, encoded)) {
        return pool.keep(
          turn,
          runOn(pool, connection, job, pool.cutOff),
          orElsewhere(pool, fiber, job, attempts)
        )
      }
      markDirty(connection, analysis)
      const { usedMemory } = send(pool, connection, job, encoded, (exchange) => {
        if (exchange.state === "done") {
          if (isSettled(pool, connection, job, exchange)) return pool.done(turn, Exit.succeed(exchange))
          const again = () => runOn(pool, connection, job, pool.cutOff)
          return pool.keep(
            turn,
            settle(pool, connection, job, exchange, again),
            orElsewhere(pool, fiber, job, attempts)
          )
        }
        if (exchange.state === "failed") forgetRefused(connection, job, exchange)
        const situation = { analysis, usedMemory, inTransaction: false, attempts }
        if (verdictOf(exchange, isDead(connection), situation) === "fail") {
          return pool.done(turn, failing(pool, job, exchange, connection))
        }
        pool.done(
          turn,
          Effect.suspend(() =>
            single(pool, fiber, job, attempts + 1, isDead(connection) ? "asks all" : caution)
          )
        )
      })
    },
    caution
  )
}

/** Gives the result of a statement that ran, or runs it on another connection. */
const orElsewhere =
  (pool: Pool, fiber: AnyFiber, job: Job, attempts: number) =>
  (result: Exchange | typeof elsewhere): Effect.Effect<Exchange, OperationError> => {
    if (result !== elsewhere) return Effect.succeed(result)
    return attempts < maxAttempts
      ? single(pool, fiber, job, attempts + 1, "asks all")
      : Effect.fail(ConnectionErrors.unsentError(aboutOf(pool, job)))
  }
