/**
 * A pool, or a connection that a caller has for itself, in the form of a connection of Effect's SQL clients.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { Connection } from "effect/sql/SqlConnection"
import { type PoolError, toSqlError } from "../errors/PoolError.ts"
import type { Pool } from "../pool/Pool.ts"
import { commandOf, type Exchange, rowCountOf } from "../protocol/Exchange.ts"
import * as Operation from "../telemetry/Operation.ts"
import type { OwnReaders } from "../types/TypeMap.ts"
import { runStatement, type StatementOptions, streamStatement } from "./Run.ts"
import { currentOf, type Joined, membershipIn, type Transaction } from "./TransactionState.ts"

/** How a client's values are read, and what its parameters are before they are encoded. */
export interface Values {
  readonly readers: OwnReaders | undefined
  readonly parameters: (params: ReadonlyArray<unknown>) => Result.Result<ReadonlyArray<unknown>, PoolError>
}

/** Values as handles have them. */
const plain: Values = { readers: undefined, parameters: Result.succeed }

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

/**
 * A connection whose statements run on the pool of that moment: in the transaction that `membershipOf` gives, which is the fiber's
 * own unless said, or else on a connection that is lent for each. With `controls` they may be such as `BEGIN`.
 */
export const connection = (
  current: Effect.Effect<Pool, PoolError>,
  { parameters, readers }: Values,
  membershipOf = currentOf,
  controls = false
): Connection => {
  const found = Operation.poolOf(current)
  // Statements of Effect's client make their spans; on a connection that is used by itself nobody does.
  const common: StatementOptions = { readers, parameters, hasSpan: !controls, controls }
  const ask = (text: string, params: ReadonlyArray<unknown>, options: StatementOptions) =>
    Effect.mapError(
      Effect.flatMap(found, (pool) =>
        Effect.withFiber((fiber) =>
          runStatement(pool, fiber, { text, params }, { ...common, ...options }, membershipOf)
        )
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
          Effect.map(found, (pool) => streamStatement(pool, { text, params }, common, membershipOf))
        ),
        toSqlError
      )
      return transform === undefined
        ? rows
        : Stream.flatMap(Stream.chunks(rows), (chunk) => Stream.fromArray(transform(chunk)))
    }
  }
}

/** A transaction's connection; or one that a caller has for itself, and `controls` with statements such as `BEGIN`. */
export const join = (transaction: Transaction, values = plain, controls = false): Joined => {
  const current = Effect.succeed(transaction.pool)
  const joined: Joined = {
    transaction,
    level: transaction.root,
    ...connection(current, values, (_, context) => membershipIn(joined, context), controls)
  }
  return joined
}
