/**
 * A pool, or a transaction's connection, in the form of a connection of Effect's SQL clients.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Connection } from "effect/sql/SqlConnection"
import type { SqlError } from "effect/sql/SqlError"
import { type PoolError, toSqlError } from "../errors/PoolError.ts"
import * as Execute from "../execute/Execute.ts"
import { type Rows, rowsOnPool } from "../execute/StreamRows.ts"
import type { Pool } from "../pool/Pool.ts"
import { commandOf, type Exchange, rowCountOf } from "../protocol/Exchange.ts"
import * as InTransaction from "../transaction/InTransaction.ts"
import { rowsInTransaction } from "../transaction/StreamInTransaction.ts"
import { type Joined, membershipIn, type Transaction } from "../transaction/TransactionState.ts"

/** How statements of a connection run. */
interface Runner {
  readonly run: (
    text: string,
    params: ReadonlyArray<unknown>,
    options: Execute.JobOptions
  ) => Effect.Effect<Exchange, SqlError | PoolError>
  readonly stream: (text: string, params: ReadonlyArray<unknown>) => Rows
}

type Transform = ((rows: ReadonlyArray<object>) => ReadonlyArray<object>) | undefined

const isObject = (_row: unknown): _row is object => true
const isArray = (_row: unknown): _row is ReadonlyArray<unknown> => true

const connection = ({ run, stream }: Runner): Connection => {
  const execute = (text: string, params: ReadonlyArray<unknown>, transform: Transform, prepare: boolean) =>
    Effect.mapBoth(run(text, params, { prepare }), {
      onFailure: toSqlError,
      onSuccess: ({ rows }) => {
        const objects = rows.filter(isObject)
        return transform === undefined ? objects : transform(objects)
      }
    })
  const values = (text: string, params: ReadonlyArray<unknown>, prepare: boolean) =>
    Effect.mapBoth(run(text, params, { prepare, shape: "array" }), {
      onFailure: toSqlError,
      onSuccess: ({ rows }) => rows.filter(isArray)
    })
  return {
    execute: (text, params, transform) => execute(text, params, transform, true),
    executeUnprepared: (text, params, transform) => execute(text, params, transform, false),
    executeRaw: (text, params) =>
      Effect.mapBoth(run(text, params, {}), {
        onFailure: toSqlError,
        onSuccess: (exchange) => ({
          command: commandOf(exchange),
          rowCount: rowCountOf(exchange),
          rows: exchange.rows
        })
      }),
    executeValues: (text, params) => values(text, params, true),
    executeValuesUnprepared: (text, params) => values(text, params, false),
    executeStream: (text, params, transform) => {
      const plain = Stream.mapError(stream(text, params), toSqlError)
      return transform === undefined
        ? plain
        : Stream.flatMap(Stream.chunks(plain), (chunk) => Stream.fromArray(transform(chunk)))
    }
  }
}

const jobOf = (
  pool: Pool,
  text: string,
  params: ReadonlyArray<unknown>,
  options?: Execute.JobOptions
): Effect.Effect<Execute.Job, PoolError> => {
  const job = Execute.prepare(pool, { text, params }, options)
  return Execute.isJob(job) ? Effect.succeed(job) : Effect.fail(job)
}

/** Each statement takes a connection of its own from the pool of that moment. */
export const poolConnection = (current: Effect.Effect<Pool, PoolError>): Connection =>
  connection({
    run: (text, params, options) =>
      Effect.flatMap(current, (pool) =>
        Effect.flatMap(jobOf(pool, text, params, options), (job) =>
          Effect.withFiber((fiber) => Execute.single(pool, fiber, job))
        )
      ),
    stream: (text, params) =>
      Stream.unwrap(
        Effect.flatMap(current, (pool) =>
          Effect.map(jobOf(pool, text, params), (job) => rowsOnPool(pool, job))
        )
      )
  })

/** A transaction's connection, or one that a caller has for itself. */
export const join = (transaction: Transaction): Joined => {
  const { pool } = transaction
  const joined: Joined = {
    transaction,
    ...connection({
      run: (text, params, options) =>
        Effect.flatMap(jobOf(pool, text, params, options), (job) =>
          Effect.withFiber((fiber) => InTransaction.run(membershipIn(joined, fiber.context), job))
        ),
      stream: (text, params) =>
        Stream.unwrap(
          Effect.flatMap(jobOf(pool, text, params), (job) =>
            Effect.withFiber((fiber) =>
              Effect.succeed(rowsInTransaction(membershipIn(joined, fiber.context), job))
            )
          )
        )
    })
  }
  return joined
}
