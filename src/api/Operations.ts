/**
 * The SQL operations that database and table handles share: their types.
 */
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { OperationError } from "../errors/PoolError.ts"
import type { Form, Many, One, Outcome } from "../execute/Outcome.ts"
import type { StreamOptions } from "../execute/Progress.ts"
import type { PoolRegistry } from "../registry/PoolRegistry.ts"
import type { Sql } from "../statement/Sql.ts"
import type { Statement } from "../statement/Statement.ts"
import type { TransactionOptions } from "../transaction/TransactionOptions.ts"

/** What `Effect.forEach` passes behind a statement. Behind one that is seen to have placeholders it would be mistaken for a parameter. */
type Index<S extends string> = S extends `${string}$${number}${string}` ? ReadonlyArray<unknown> : number

/** A template, a text with parameters, or `PG.sql`. The last form is that in which `Effect.forEach` calls it. */
export interface Run<A, E, R, F extends Form = "effect"> {
  (sql: string | Sql, params?: ReadonlyArray<unknown>): One<F, A, E, R>
  (strings: TemplateStringsArray, ...values: ReadonlyArray<unknown>): One<F, A, E, R>
  <S extends string, I extends Index<S>>(sql: S | Sql, index: I): One<F, A, E, R>
}

/** Rows as arrays by position, in place of objects by column name. */
export interface RowsAsArray {
  readonly rowsAs: "array"
}

/** A row by position. */
type Values = ReadonlyArray<unknown>

/** As `Run`, with a row type that the caller vouches for. */
export interface RunMany<A, E, R, F extends Form = "effect"> {
  <B = A>(sql: string | Sql, params?: ReadonlyArray<unknown>): One<F, ReadonlyArray<B>, E, R>
  <B extends Values = Values>(
    sql: string | Sql,
    params: ReadonlyArray<unknown> | undefined,
    options: RowsAsArray
  ): One<F, ReadonlyArray<B>, E, R>
  <B extends Values = Values>(sql: string | Sql, options: RowsAsArray): One<F, ReadonlyArray<B>, E, R>
  <B = A>(strings: TemplateStringsArray, ...values: ReadonlyArray<unknown>): One<F, ReadonlyArray<B>, E, R>
  <S extends string, I extends Index<S>>(sql: S | Sql, index: I): One<F, ReadonlyArray<A>, E, R>
}

export interface RunOne<A, E, R, F extends Form = "effect"> {
  <B = A>(sql: string | Sql, params?: ReadonlyArray<unknown>): One<F, Option.Option<B>, E, R>
  <B = A>(strings: TemplateStringsArray, ...values: ReadonlyArray<unknown>): One<F, Option.Option<B>, E, R>
  <S extends string, I extends Index<S>>(sql: S | Sql, index: I): One<F, Option.Option<A>, E, R>
}

export interface RunStream<A, E, R, F extends Form = "effect"> {
  <B extends Values = Values>(
    sql: string | Sql,
    params: ReadonlyArray<unknown> | undefined,
    options: RowsAsArray & StreamOptions
  ): Many<F, B, E, R>
  <B extends Values = Values>(sql: string | Sql, options: RowsAsArray & StreamOptions): Many<F, B, E, R>
  <B = A>(sql: string | Sql, params?: ReadonlyArray<unknown>, options?: StreamOptions): Many<F, B, E, R>
  <B = A>(strings: TemplateStringsArray, ...values: ReadonlyArray<unknown>): Many<F, B, E, R>
}

/** What runs on a handle, whatever its rows are. */
export interface Operations<F extends Form = "effect"> {
  /**
   * Runs one statement and says what it did.
   *
   * The counterpart of asyncpg's `Connection.execute`, with the rows that a `returning` gives.
   */
  readonly execute: Run<Outcome, OperationError, PoolRegistry, F>

  /** The first column of the first row. The counterpart of asyncpg's `fetchval`. */
  readonly selectValue: RunOne<unknown, OperationError, PoolRegistry, F>

  /**
   * All statements or none, on one connection and in one round trip; the outcomes in order.
   *
   * A failing statement fails the whole with its own error, which says which one of how many it is. An empty array is an
   * empty result and no traffic. Inside a `transaction` it is a savepoint of it.
   */
  readonly trans: (
    statements: ReadonlyArray<Statement>
  ) => One<F, ReadonlyArray<Outcome>, OperationError, PoolRegistry>

  /**
   * Runs an effect in a transaction: every operation of the same database inside it, through any handle or
   * `pgdb.client`, joins; one inside another is a savepoint. Failure, defect and interruption roll back.
   *
   * **Gotchas**
   *
   * Fibers forked inside are serialized on the one connection, and a nested transaction keeps it until it ends. When the
   * connection is lost during `COMMIT`, the error says that the outcome is unknown, and `retry` does not repeat it.
   */
  readonly transaction: <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    options?: TransactionOptions
  ) => Effect.Effect<A, E | OperationError, R | PoolRegistry>
}

/** The operations that give rows; `A` is a row, `E` what decoding may fail with, `R` what it may need. */
export interface RowOperations<A, E = never, R = never, F extends Form = "effect"> {
  /**
   * All rows, as plain objects keyed by column name. The counterpart of asyncpg's `fetch`.
   *
   * **Gotchas**
   *
   * Of two columns of one name the last is in the object. `{ rowsAs: "array" }`, as the last argument, gives arrays by position.
   *
   * **Example** (Two columns of one name)
   *
   * ```ts
   * import { PG } from "effect-global-pool"
   *
   * const pgdb = PG.make("postgres://localhost/app")
   * const pairs = pgdb.select<[number, number]>("select a.oid, b.oid from pg_class a, pg_class b limit $1", [3], { rowsAs: "array" })
   * ```
   */
  readonly select: RunMany<A, E | OperationError, R | PoolRegistry, F>

  /** The first row. The counterpart of asyncpg's `fetchrow`. */
  readonly selectOne: RunOne<A, E | OperationError, R | PoolRegistry, F>

  /**
   * Rows as they come, in constant memory and with back pressure; ending early ends the statement on the server.
   *
   * The counterpart of asyncpg's `Connection.cursor`, and of iterating a pymongo cursor.
   */
  readonly stream: RunStream<A, E | OperationError, R | PoolRegistry, F>
}

/** As `RowOperations`, where a `Schema` decodes each row, so no caller has to vouch for its type. */
export interface DecodedOperations<A, E, R, F extends Form = "effect"> {
  readonly select: Run<ReadonlyArray<A>, E | OperationError, R | PoolRegistry, F>
  readonly selectOne: Run<Option.Option<A>, E | OperationError, R | PoolRegistry, F>
  readonly stream: {
    (
      sql: string | Sql,
      params?: ReadonlyArray<unknown>,
      options?: StreamOptions
    ): Many<F, A, E | OperationError, R | PoolRegistry>
    (
      strings: TemplateStringsArray,
      ...values: ReadonlyArray<unknown>
    ): Many<F, A, E | OperationError, R | PoolRegistry>
  }
}
