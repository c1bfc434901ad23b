/**
 * What went wrong in a word, for spans, metrics and logs: OpenTelemetry's `error.type`, and `db.response.status_code` where the
 * server answered.
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import { isSqlError } from "effect/sql/SqlError"
import { stringOf } from "./ConnectionErrors.ts"
import { isPoolError } from "./PoolError.ts"
import { sqlState } from "./SqlState.ts"

export interface ErrorType {
  /** The SQLSTATE, else the reason of the error, `Interrupted`, or the name of a defect. */
  readonly type: string
  readonly status: string | undefined
}

const ofError = (error: unknown): ErrorType => {
  if (isPoolError(error)) return { type: error.reason._tag, status: undefined }
  if (!isSqlError(error)) {
    const type = stringOf(error, "_tag") ?? (error instanceof Error ? error.name : "_OTHER")
    return { type, status: undefined }
  }
  const { cause } = error.reason
  // The client of Effect has the pool's own errors inside of others.
  if (isPoolError(cause)) return ofError(cause)
  const status = sqlState(error)
  return { type: status ?? error.reason._tag, status }
}

/** What an exit failed with; `undefined` where it did not. */
export const errorTypeOf = (exit: Exit.Exit<unknown, unknown>): ErrorType | undefined => {
  if (Exit.isSuccess(exit)) return undefined
  if (Exit.hasInterrupts(exit)) return { type: "Interrupted", status: undefined }
  return ofError(Cause.squash(exit.cause))
}
