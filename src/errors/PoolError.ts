/**
 * What this package itself refuses or gives up on: one error with a reason, as `SqlError` is for the database's errors.
 *
 * Both are Schema classes, so that they cross an RPC.
 */
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { ConnectionError, SqlError, UnknownError } from "effect/sql/SqlError"

/** The whole story: what happened, to what, and what to do. */
const message = Schema.String

/** A setting is missing, malformed or out of range. Nothing was connected. */
export class InvalidSettings extends Schema.TaggedError<InvalidSettings>(
  "effect-global-pool/PoolError/InvalidSettings"
)("InvalidSettings", {
  message,
  /** The setting's name as the user wrote it, for instance `port`. */
  setting: Schema.String
}) {}

/** The pool of this key is open with other settings. Nothing was sent. */
export class DatabaseConflict extends Schema.TaggedError<DatabaseConflict>(
  "effect-global-pool/PoolError/DatabaseConflict"
)("DatabaseConflict", {
  message,
  key: Schema.String,
  /** Names of the settings that differ. */
  settings: Schema.Array(Schema.String)
}) {}

/** No connection came free in time. Nothing was sent. */
export class AcquireTimeout extends Schema.TaggedError<AcquireTimeout>(
  "effect-global-pool/PoolError/AcquireTimeout"
)("AcquireTimeout", {
  message,
  key: Schema.String,
  inUse: Schema.Number,
  max: Schema.Number,
  waiting: Schema.Number,
  /** Why the last opening failed, if it did. */
  cause: Schema.optional(Schema.Defect())
}) {}

/** A listener was slower than its notifications: more than `size` of them waited. */
export class BufferOverflow extends Schema.TaggedError<BufferOverflow>(
  "effect-global-pool/PoolError/BufferOverflow"
)("BufferOverflow", { message, size: Schema.Number }) {}

/** The statement or its parameters were refused. Nothing was sent. */
export class StatementRefused extends Schema.TaggedError<StatementRefused>(
  "effect-global-pool/PoolError/StatementRefused"
)("StatementRefused", { message }) {}

/** The statement ran, and what it was to give is not there. A value that cannot be read is an `UnknownError` of `SqlError`. */
export class ResultUnavailable extends Schema.TaggedError<ResultUnavailable>(
  "effect-global-pool/PoolError/ResultUnavailable"
)("ResultUnavailable", { message }) {}

const reasons = [
  InvalidSettings,
  DatabaseConflict,
  AcquireTimeout,
  BufferOverflow,
  StatementRefused,
  ResultUnavailable
] as const

export type PoolErrorReason = (typeof reasons)[number]["Type"]

/**
 * An error of the pool; `reason._tag` is its kind.
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
export class PoolError extends Schema.TaggedError<PoolError>("effect-global-pool/PoolError")("PoolError", {
  reason: Schema.Union(reasons)
}) {
  override readonly name = "PoolError"

  override get message(): string {
    return this.reason.message
  }

  /** Whether trying again can help: nothing was sent, and a connection may come free. */
  get isRetryable(): boolean {
    return this.reason._tag === "AcquireTimeout"
  }
}

/** The errors of every operation. */
export type OperationError = SqlError | PoolError

/** A statement that is not sent: what happened and what to do instead. */
export const refused = (message: string): PoolError =>
  new PoolError({ reason: new StatementRefused({ message }) })

/** The statement ran, and what it was to give is not there. */
export const notReturned = (message: string): PoolError =>
  new PoolError({ reason: new ResultUnavailable({ message }) })

/** A setting that breaks a rule. */
export const invalid = (setting: string, message: string): PoolError =>
  new PoolError({ reason: new InvalidSettings({ setting, message }) })

/** Another handle has opened the pool of this key with other settings. */
export const conflict = (
  key: string,
  settings: ReadonlyArray<string>,
  known: string,
  asked: string
): PoolError =>
  new PoolError({
    reason: new DatabaseConflict({
      key,
      settings,
      message: `The pool "${key}" is for database ${known} with other settings than this handle, which asks for ${asked}. They differ in ${settings.join(", ")}. One key is one pool: give this handle a key of its own, { key: "…" }, and it gets a pool of its own.`
    })
  })

/** Whether it is an error of a pool, made by any copy of this module: a registry can outlive a reload. */
export const isPoolError = (error: unknown): error is PoolError => Predicate.isTagged(error, "PoolError")

/** A pool's error where only a `SqlError` may stand: in Effect's own SQL clients. What is refused once is refused again. */
export const toSqlError = (error: OperationError): SqlError => {
  if (!isPoolError(error)) return error
  const fields = { cause: error, message: error.message }
  return new SqlError({
    reason:
      error.reason._tag === "AcquireTimeout"
        ? new ConnectionError({ ...fields, operation: "acquire" })
        : new UnknownError({ ...fields, operation: "query" })
  })
}
