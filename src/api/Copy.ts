/**
 * `COPY` of a handle: data in from a stream of bytes, and out as one.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { SqlError } from "effect/sql/SqlError"
import { described } from "../collection/CheckInput.ts"
import type { OperationError, PoolError } from "../errors/PoolError.ts"
import { refused } from "../errors/PoolError.ts"
import { type CopyInOptions, copyIn } from "../execute/CopyIn.ts"
import * as CopyParams from "../execute/CopyParams.ts"
import * as Execute from "../execute/Execute.ts"
import * as Jobs from "../execute/Job.ts"
import { type Begin, onPool as pullOnPool, start } from "../execute/StreamRows.ts"
import * as AcquireErrors from "../pool/AcquireErrors.ts"
import type { Pool } from "../pool/Pool.ts"
import type { Timing } from "../pool/StatementCache.ts"
import type { PoolRegistry } from "../registry/PoolRegistry.ts"
import type { Direction } from "../statement/CopyStatement.ts"
import { attempt } from "../statement/PlainObject.ts"
import type { Bound } from "../statement/Statement.ts"
import * as Operation from "../telemetry/Operation.ts"
import { copyInInside, copyOutInside } from "../transaction/CopyInTransaction.ts"
import { transaction } from "../transaction/Transaction.ts"
import { currentOf } from "../transaction/TransactionState.ts"
import { onPool } from "./Handle.ts"
import type { QuerySource } from "./Query.ts"

const forms: Readonly<Record<Direction, string>> = {
  in: "copyFrom takes a COPY … FROM STDIN",
  out: "copyTo takes a COPY … TO STDOUT"
}

/** The job of a `COPY` whose data go this way, or why it is not sent. */
const jobOf = (
  pool: Pool,
  bound: Bound,
  copies: Direction,
  timing: Timing | undefined
): Jobs.Job | PoolError => {
  const job = Jobs.prepare(pool, bound, { copies, prepare: false }, timing)
  return Jobs.isJob(job) && job.known.analysis.copies !== copies
    ? refused(`${forms[copies]}. Nothing was sent.`)
    : job
}

const copyInOnPool = <E, R>(
  pool: Pool,
  job: Jobs.Job,
  data: Stream.Stream<Uint8Array | string, E, R>,
  options: CopyInOptions
): Effect.Effect<number, E | SqlError | PoolError, R> => {
  const holding = Stream.updateService(data, AcquireErrors.Held, (keys) => [...keys, pool.settings.key])
  return Execute.onLent(
    pool,
    (connection) => copyIn(pool, connection, job, holding, options, pool.cutOff),
    () => Jobs.aboutOf(pool, job)
  )
}

/** Runs a `COPY … FROM STDIN` with these data, in the fiber's transaction if there is one. */
export const copyFrom = <E, R>(
  source: QuerySource<unknown>,
  statement: Bound,
  data: Stream.Stream<Uint8Array | string, E, R>,
  options: CopyInOptions
): Effect.Effect<number, E | OperationError, R | PoolRegistry> => {
  if (!attempt(() => Stream.isStream(data), false)) {
    return Effect.fail(
      refused(`${options.place}: the data are ${described(data)}, not a Stream. Nothing was sent.`)
    )
  }
  return onPool(source, (pool, fiber) => {
    const subject = Operation.subjectOf(pool, statement.text, { table: source.label })
    const job = jobOf(pool, statement, "in", subject.timing)
    if (!Jobs.isJob(job)) return Effect.fail(job)
    const isInside = currentOf(pool, fiber.context) !== undefined
    // A failure is undone by itself, so that the transaction goes on if it is caught.
    const inside = transaction(
      pool,
      fiber,
      Effect.withFiber<number, E | SqlError | PoolError, R>((inner) => {
        const membership = currentOf(pool, inner.context)
        return membership === undefined
          ? copyInOnPool(pool, job, data, options)
          : copyInInside(membership, job, data, options)
      })
    )
    const copied = isInside ? inside : copyInOnPool(pool, job, data, options)
    return Operation.around(pool, fiber, subject, copied, (rows) => rows)
  })
}

const isBytes = (piece: unknown): piece is Uint8Array => piece instanceof Uint8Array

/** The data of a `COPY … TO STDOUT`, from the fiber's transaction if there is one. */
export const copyTo = (
  source: QuerySource<unknown>,
  statement: Bound
): Stream.Stream<Uint8Array, OperationError, PoolRegistry> =>
  Stream.unwrap(
    onPool(source, (pool, fiber) => {
      const subject = Operation.subjectOf(pool, statement.text, { table: source.label })
      const begin: Begin<OperationError> = (connection, before) =>
        Effect.flatMap(CopyParams.bind(pool, connection, statement), ({ text, write }) => {
          const job = jobOf(pool, { text, params: [] }, "out", subject.timing)
          if (!Jobs.isJob(job)) return Effect.fail(job)
          return start(pool, connection, job, () => {
            const refusal = before()
            if (refusal === undefined) write()
            return refusal
          })
        })
      const problem = jobOf(pool, statement, "out", undefined)
      if (!Jobs.isJob(problem)) return Effect.fail(problem)
      const membership = currentOf(pool, fiber.context)
      const data = membership === undefined ? pullOnPool(pool, begin) : copyOutInside(membership, begin)
      const bytes = Stream.filter(data, isBytes)
      return Effect.succeed(Operation.aroundRows(pool, fiber, subject, bytes, () => undefined))
    })
  )
