/**
 * A pool, or a transaction's connection, in the form of a connection of Effect's SQL clients.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Connection } from "effect/sql/SqlConnection"
import type { SqlError } from "effect/sql/SqlError"
import { onHeld, single } from "../Execute.ts"
import { type PoolError, toSqlError } from "../PoolError.ts"
import type { Result, Row } from "../pool/Connection.ts"
import type { Held, Link } from "../pool/Held.ts"
import type { Pool } from "../pool/Pool.ts"
import { rowsOnHeld, rowsOnPool } from "../Rows.ts"
import type { Bound } from "../Sql.ts"

type Run = (statement: Bound, prepare: boolean) => Effect.Effect<Result, SqlError | PoolError>
type RunStream = (statement: Bound) => Stream.Stream<Row, SqlError | PoolError>
type Transform = ((rows: ReadonlyArray<object>) => ReadonlyArray<object>) | undefined

const connection = (run: Run, stream: RunStream): Connection => {
  const result = (text: string, params: ReadonlyArray<unknown>, prepare: boolean) =>
    Effect.mapError(run({ text, params }, prepare), toSqlError)
  const rows = (text: string, params: ReadonlyArray<unknown>, prepare: boolean, transform: Transform) =>
    Effect.map(result(text, params, prepare), ({ rows }) =>
      transform === undefined ? rows : transform(rows)
    )
  const values = (text: string, params: ReadonlyArray<unknown>, prepare: boolean) =>
    Effect.map(result(text, params, prepare), ({ fields, rows }) =>
      rows.map((row) => fields.map(({ name }) => row[name]))
    )
  return {
    execute: (text, params, transform) => rows(text, params, true, transform),
    executeRaw: (text, params) => result(text, params, true),
    executeValues: (text, params) => values(text, params, true),
    executeValuesUnprepared: (text, params) => values(text, params, false),
    executeUnprepared: (text, params, transform) => rows(text, params, false, transform),
    executeStream: (text, params, transform) => {
      const plain = Stream.mapError(stream({ text, params }), toSqlError)
      return transform === undefined
        ? plain
        : Stream.flatMap(Stream.chunks(plain), (chunk) => Stream.fromArray(transform(chunk)))
    }
  }
}

/** Each statement takes a connection of its own from the pool of that moment, or joins the fiber's transaction. */
export const poolLink = (current: Effect.Effect<Pool, PoolError>): Connection =>
  connection(
    (statement, prepare) => Effect.flatMap(current, (pool) => single(pool, statement, prepare)),
    (statement) => Stream.unwrap(Effect.map(current, (pool) => rowsOnPool(pool, statement)))
  )

export const linkTo = (pool: Pool, held: Held): Link => ({
  held,
  ...connection(
    (statement, prepare) => onHeld(pool, held, statement, prepare),
    (statement) => rowsOnHeld(pool, held, statement)
  )
})
