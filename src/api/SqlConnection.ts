/**
 * A pool, or a connection that a caller has for itself, in the form of a connection of Effect's SQL clients.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { Connection } from "effect/sql/SqlConnection"
import type { SqlError } from "effect/sql/SqlError"
import { type PoolError, toSqlError } from "../errors/PoolError.ts"
import type { Rows } from "../execute/StreamRows.ts"
import type { AnyFiber, Pool } from "../pool/Pool.ts"
import { commandOf, type Exchange, rowCountOf } from "../protocol/Exchange.ts"
import type { Bound } from "../statement/Statement.ts"
import * as InTransaction from "../transaction/InTransaction.ts"
import { rowsInTransaction } from "../transaction/StreamInTransaction.ts"
import { type Joined, membershipIn, type Transaction } from "../transaction/TransactionState.ts"
import type { OwnReaders } from "../types/TypeMap.ts"
import { runStatement, type StatementOptions, streamStatement } from "./Run.ts"

/** How a client's values are read, and what its parameters are before they are encoded. */
export interface Values {
  readonly readers: OwnReaders | undefined
  readonly parameters: (params: ReadonlyArray<unknown>) => Result.Result<ReadonlyArray<unknown>, PoolError>
}

/** Values as handles have them. */
const plain: Values = { readers: undefined, parameters: Result.succeed }

/** How statements of a connection run. */
interface Runner {
  readonly run: (statement: Bound, options: StatementOptions) => Effect.Effect<Exchange, SqlError | PoolError>
  readonly stream: (statement: Bound, options: StatementOptions) => Rows
}

type Transform = ((rows: ReadonlyArray<object>) => ReadonlyArray<object>) | undefined

const isObject = (_row: unknown): _row is object => true
const isArray = (_row: unknown): _row is ReadonlyArray<unknown> => true

/** What `executeRaw` gives: the result as the driver has it. */
const resultOf = (exchange: Exchange) => ({
  command: commandOf(exchange),
  rowCount: rowCountOf(exchange),
  // The tag of INSERT names one, which is 0 since tables have none.
  oid: commandOf(exchange) === "INSERT" ? 0 : null,
  rows: exchange.rows,
  fields: (exchange.prepared?.description?.columns ?? []).map(({ name, type }) => ({
    name,
    dataTypeId: type
  }))
})

const connection = ({ run, stream }: Runner, { parameters, readers }: Values): Connection => {
  const bound = (text: string, params: ReadonlyArray<unknown>): Effect.Effect<Bound, PoolError> =>
    Effect.map(Effect.fromResult(parameters(params)), (params) => ({ text, params }))
  const ask = (text: string, params: ReadonlyArray<unknown>, options: StatementOptions) =>
    Effect.mapError(
      Effect.flatMap(bound(text, params), (statement) =>
        run(statement, { readers, hasSpan: true, ...options })
      ),
      toSqlError
    )
  const execute = (text: string, params: ReadonlyArray<unknown>, transform: Transform, prepare: boolean) =>
    Effect.map(ask(text, params, { prepare }), ({ rows }) => {
      const objects = rows.filter(isObject)
      return transform === undefined ? objects : transform(objects)
    })
  const values = (text: string, params: ReadonlyArray<unknown>, prepare: boolean) =>
    Effect.map(ask(text, params, { prepare, shape: "array" }), ({ rows }) => rows.filter(isArray))
  return {
    execute: (text, params, transform) => execute(text, params, transform, true),
    executeUnprepared: (text, params, transform) => execute(text, params, transform, false),
    executeRaw: (text, params) => Effect.map(ask(text, params, {}), resultOf),
    executeValues: (text, params) => values(text, params, true),
    executeValuesUnprepared: (text, params) => values(text, params, false),
    executeStream: (text, params, transform) => {
      const rows = Stream.mapError(
        Stream.unwrap(
          Effect.map(bound(text, params), (statement) => stream(statement, { readers, hasSpan: true }))
        ),
        toSqlError
      )
      return transform === undefined
        ? rows
        : Stream.flatMap(Stream.chunks(rows), (chunk) => Stream.fromArray(transform(chunk)))
    }
  }
}

/** Each statement joins the fiber's transaction, or takes a connection of its own from the pool of that moment. */
export const poolConnection = (current: Effect.Effect<Pool, PoolError>, values: Values): Connection =>
  connection(
    {
      run: (statement, options) =>
        Effect.flatMap(current, (pool) =>
          Effect.withFiber((fiber) => runStatement(pool, fiber, statement, options))
        ),
      stream: (statement, options) =>
        Stream.unwrap(Effect.map(current, (pool) => streamStatement(pool, statement, options)))
    },
    values
  )

/** A transaction's connection; or one that a caller has for itself, and `controls` with statements such as `BEGIN`. */
export const join = (transaction: Transaction, values = plain, controls = false): Joined => {
  const { pool } = transaction
  const membership = (fiber: AnyFiber) => membershipIn(joined, fiber.context)
  const joined: Joined = {
    transaction,
    level: transaction.root,
    ...connection(
      {
        run: (statement, options) =>
          Effect.withFiber((fiber) =>
            runStatement(pool, fiber, statement, { ...options, controls }, (_, fiber, job) =>
              InTransaction.run(membership(fiber), job)
            )
          ),
        stream: (statement, options) =>
          streamStatement(pool, statement, { ...options, controls }, (_, fiber, job) =>
            rowsInTransaction(membership(fiber), job)
          )
      },
      values
    )
  }
  return joined
}
