/**
 * What becomes of a statement that was answered: its rows, its error with the whole story, and what the pool learns of it.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { SqlError } from "effect/sql/SqlError"
import * as ConnectionErrors from "../errors/ConnectionErrors.ts"
import { type About, serverError } from "../errors/ServerErrors.ts"
import type { Pool } from "../pool/Pool.ts"
import type { PooledConnection } from "../pool/PooledConnection.ts"
import { isInTransaction } from "../pool/PooledConnection.ts"
import * as Target from "../pool/Target.ts"
import type { Exchange } from "../protocol/Exchange.ts"
import { forget } from "../protocol/KnownStatement.ts"
import * as PreparedStatements from "../protocol/PreparedStatements.ts"
import type { Encoded } from "../types/Parameters.ts"
import { aboutOf, type Job } from "./Job.ts"
import { readLate } from "./Learn.ts"
import { mayCommit, wasStalePlan } from "./Resend.ts"

/** The error of an exchange that did not come to its end. `isHarmless`: if it was lost, nothing took effect. */
export const failureOf = (
  { settings }: Pool,
  connection: PooledConnection,
  exchange: Exchange,
  about: About,
  isHarmless: boolean
): SqlError => {
  if (exchange.error !== undefined) {
    const isMisplaced = Target.isMisplaced(connection, settings.targetSessionAttributes)
    return serverError(exchange.error, { ...about, isMisplaced })
  }
  const end = connection.session.end()
  return exchange.state === "lost" && end !== undefined
    ? ConnectionErrors.lostError(end, isHarmless, about)
    : ConnectionErrors.unsentError(about, end)
}

interface ErrorOptions {
  /** If it was lost, nothing took effect. */
  readonly isHarmless?: boolean
  /** Its parameters as they were sent. */
  readonly encoded?: Encoded
}

/** The error of a statement that did not come to its end. */
export const errorOf = (
  pool: Pool,
  job: Job,
  exchange: Exchange,
  connection: PooledConnection,
  { isHarmless = job.known.analysis.isPlainRead, encoded }: ErrorOptions = {}
): SqlError => {
  const { analysis } = job.known
  const isInside = isInTransaction(connection)
  const about: About = {
    ...aboutOf(pool, job),
    mayHaveCommitted: mayCommit(analysis) && exchange.isBound && !isInside,
    isStale: isInside && wasStalePlan(exchange, encoded),
    ...(exchange.error === undefined ? undefined : job.tell?.(exchange.error))
  }
  return failureOf(pool, connection, exchange, about, isHarmless)
}

/** The same as an exit: a mistake of this package is a defect of the caller, whom a throw would leave waiting. */
export const failing = (...given: Parameters<typeof errorOf>): Exit.Exit<never, SqlError> => {
  try {
    return Exit.fail(errorOf(...given))
  } catch (defect) {
    return Exit.die(defect)
  }
}

/** What a statement's end changes for the pool. */
export const onDone = (pool: Pool, connection: PooledConnection, { known: { analysis } }: Job): void => {
  if (!analysis.changesCatalogue) return
  pool.onCatalogueChange()
  if (isInTransaction(connection)) connection.hasCatalogueChanges = true
}

/**
 * Gives the rows of a statement that has run. Types that are new to the pool are asked for on its own connection.
 */
export const finish = (
  pool: Pool,
  connection: PooledConnection,
  job: Job,
  exchange: Exchange
): Effect.Effect<Exchange, SqlError> => {
  const outcome = job.known.analysis.isRead ? undefined : ConnectionErrors.tookEffect
  const settled = (): Effect.Effect<Exchange, SqlError> => {
    const { unreadable } = exchange
    if (unreadable === undefined) return Effect.succeed(exchange)
    return Effect.fail(ConnectionErrors.unreadableError(unreadable, outcome, aboutOf(pool, job)))
  }
  if (exchange.late === undefined) return settled()
  const read = Effect.mapError(readLate(connection, exchange), (error) =>
    ConnectionErrors.unreadableError(
      new Error(
        "A value is of a type that the pool has not met, and the server could not be asked about it."
      ),
      outcome,
      aboutOf(pool, job),
      error
    )
  )
  return Effect.flatMap(read, settled)
}

/** Whether the rows are what they are to be. */
export const isReadable = ({ late, unreadable }: Exchange): boolean =>
  unreadable === undefined && late === undefined

/** Whether a plain read has to run again, since formats were asked for that only columns of other types are read from. */
export const wasMisasked = ({ known }: Job, exchange: Exchange): boolean => {
  const { formats, prepared } = exchange
  return (
    known.analysis.isPlainRead &&
    !isReadable(exchange) &&
    formats !== undefined &&
    prepared?.description !== undefined &&
    PreparedStatements.cameMisasked(formats, prepared.description)
  )
}

/**
 * Whether rows have floats that came as text from a session that may show too few digits. Asked at the first run
 * of a text alone.
 */
export const hasUncertainFloats = (
  { types }: Pool,
  { session }: PooledConnection,
  { known }: Job,
  { formats, late, prepared, rows }: Exchange
): boolean =>
  session.floats === "unknown" &&
  known.analysis.isRead &&
  (rows.length > 0 || late !== undefined) &&
  formats !== undefined &&
  prepared?.description !== undefined &&
  PreparedStatements.hasFloatTexts(types, formats, prepared.description)

/** Why rows whose floats lack digits are not given: what calls a function that may do anything does not run twice. */
export const tooFewDigits = (pool: Pool, job: Job): SqlError =>
  ConnectionErrors.unreadableError(
    new Error(
      "A float came with too few digits, since extra_float_digits of this session is below 1. Run the statement again: it is asked for all of them now."
    ),
    undefined,
    aboutOf(pool, job)
  )

/** What was remembered of a statement that the server refused may be why. */
export const forgetRefused = ({ session }: PooledConnection, { known }: Job, { isBound }: Exchange): void => {
  if (isBound) return
  for (const statement of known.statements) {
    forget(statement)
    PreparedStatements.forget(session.statements, statement)
  }
}
