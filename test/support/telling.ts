/**
 * Statements that fail, and the error as a user of the package gets it.
 */
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { SqlError } from "effect/sql/SqlError"
import { type At, tell } from "../../src/ServerError.ts"
import type { TestServer } from "./server.ts"

export interface Teller {
  /** Runs what has to succeed. */
  readonly run: (
    sql: string,
    params?: ReadonlyArray<unknown>
  ) => Effect.Effect<ReadonlyArray<PgConnection.Row>, SqlError>
  /** Runs what has to fail, and gives the error told. */
  readonly failing: (
    sql: string,
    params?: ReadonlyArray<unknown>,
    at?: At
  ) => Effect.Effect<SqlError, SqlError>
}

type Options = Partial<PgConnection.Config>

/** What a connection that cannot be had tells. */
export const unreachable = (
  settings: TestServer,
  at: At = {},
  options: Options = {}
): Effect.Effect<SqlError, never, Scope.Scope> =>
  PgConnection.make({ ...settings, password: Redacted.make(settings.password), ...options }).pipe(
    Effect.flip,
    Effect.orDie,
    Effect.map((error) => tell(error, { server: `${settings.host}:5432/${settings.database}`, ...at }))
  )

/** A connection whose failures are told. */
export const teller = (
  settings: TestServer,
  options: Options = {}
): Effect.Effect<Teller, SqlError, Scope.Scope> =>
  Effect.map(
    PgConnection.make({ ...settings, password: Redacted.make(settings.password), ...options }),
    (connection) => ({
      run: (sql, params) => Effect.map(connection.query(sql, params), ({ rows }) => rows),
      failing: (sql, params = [], at = {}) =>
        connection.query(sql, params).pipe(
          Effect.flip,
          Effect.mapError(() => new Error(`This had to fail: ${sql}`)),
          Effect.orDie,
          Effect.map((error) => tell(error, { text: sql, params, server: "localhost:5432/shop", ...at }))
        )
    })
  )
