/**
 * What this package itself refuses or gives up on, as one error with a reason.
 *
 * Errors of the database are `SqlError` from `effect/sql`; a `PoolError` means that a statement did not
 * reach the server at all.
 */
import * as Data from "effect/Data"
import * as Predicate from "effect/Predicate"
import { ConnectionError, SqlError } from "effect/sql/SqlError"

/** A setting is missing, malformed or out of range. Nothing was connected. */
export interface InvalidSettings {
  readonly _tag: "InvalidSettings"
  /** The setting's name as the user wrote it, for instance `port`. */
  readonly setting: string
}

/** The pool of this key was opened with other settings. */
export interface DatabaseConflict {
  readonly _tag: "DatabaseConflict"
  readonly key: string
  /** Names of the settings that differ. */
  readonly settings: ReadonlyArray<string>
}

/** No connection came free in time. */
export interface AcquireTimeout {
  readonly _tag: "AcquireTimeout"
  readonly key: string
  readonly inUse: number
  readonly max: number
  readonly waiting: number
}

/** A listener was slower than the notifications that it was to get: more than `size` of them waited. */
export interface BufferOverflow {
  readonly _tag: "BufferOverflow"
  readonly size: number
}

/** The statement or its parameters were refused before anything was sent. */
export interface StatementRefused {
  readonly _tag: "StatementRefused"
}

export type Reason = InvalidSettings | DatabaseConflict | AcquireTimeout | StatementRefused | BufferOverflow

/**
 * An error of the pool: nothing was sent to the server.
 *
 * **Example** (Telling reasons apart)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { PG } from "effect-global-pool"
 *
 * const program = PG.make({ port: 70000 }).select("select 1").pipe(
 *   Effect.catchTag("PoolError", (error) => Effect.succeed(error.reason._tag))
 * )
 * ```
 */
export class PoolError extends Data.TaggedError("PoolError")<{
  readonly reason: Reason
  readonly message: string
}> {}

/** The errors of every operation. */
export type OperationError = SqlError | PoolError

/** A statement that is not sent: `what` happened and what to do instead. */
export const refused = (message: string): PoolError =>
  new PoolError({ reason: { _tag: "StatementRefused" }, message })

/** A setting that breaks a rule. */
export const invalid = (setting: string, message: string): PoolError =>
  new PoolError({ reason: { _tag: "InvalidSettings", setting }, message })

/** Another handle has opened the pool of this key with other settings. */
export const conflict = (
  key: string,
  settings: ReadonlyArray<string>,
  known: string,
  asked: string
): PoolError =>
  new PoolError({
    reason: { _tag: "DatabaseConflict", key, settings },
    message: `The pool "${key}" is for database ${known} with other settings than this handle, which asks for ${asked}. They differ in ${settings.join(", ")}. One key is one pool: give this handle a key of its own, { key: "…" }, and it gets a pool of its own.`
  })

/** Whether it is an error of a pool, made by whichever copy of this module: a registry can outlive a reload. */
export const isPoolError = (error: unknown): error is PoolError => Predicate.isTagged(error, "PoolError")

/** A pool's error where only a `SqlError` may stand: in Effect's own SQL clients. */
export const toSqlError = (error: SqlError | PoolError): SqlError =>
  isPoolError(error)
    ? new SqlError({
        reason: new ConnectionError({ cause: error, message: error.message, operation: "acquire" })
      })
    : error

/** The pool's error again. */
export const fromSqlError = (error: SqlError): SqlError | PoolError =>
  isPoolError(error.reason.cause) ? error.reason.cause : error

/** The statement ran, and what it was to give is not there. */
export const notReturned = refused
