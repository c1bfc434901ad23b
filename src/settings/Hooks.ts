/**
 * What settings that are functions are given: a connection that was just opened.
 */
import type * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { PoolError } from "../errors/PoolError.ts"

/** A connection that was just opened, for the setting `onConnect`, before it is lent. */
export interface Connecting {
  /** Runs a statement on this connection and gives its rows. */
  readonly execute: (
    sql: string,
    params?: ReadonlyArray<unknown>
  ) => Effect.Effect<ReadonlyArray<Readonly<Record<string, unknown>>>, SqlError | PoolError>
  /** Settings that the server has reported, such as `server_version` and `in_hot_standby`. */
  readonly parameters: ReadonlyMap<string, string>
}
