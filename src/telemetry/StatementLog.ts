/**
 * A statement's line in Effect's log, by the settings `logStatements` and `slowStatement`: its text, how long it waited for its
 * connection and how long it ran, its rows, and where in the program it stands. Never a parameter.
 */
import * as Effect from "effect/Effect"
import { CurrentLogAnnotations, CurrentStackFrame } from "effect/References"
import { placeOf } from "../errors/BuildError.ts"
import type { ErrorType } from "../errors/ErrorType.ts"
import type { AnyFiber } from "../pool/Pool.ts"
import type { Shown } from "../pool/StatementCache.ts"
import type { ResolvedSettings } from "../settings/Settings.ts"

/** How one operation went; times in milliseconds. */
export interface Run {
  readonly waited: number
  readonly ran: number
  /** Rows that came back or were touched, if it succeeded. */
  readonly rows: number | undefined
  readonly error: ErrorType | undefined
}

const rounded = (millis: number): number => Math.round(millis * 1_000) / 1_000

/** The line of an operation that has ended; `undefined` where the settings ask for none. */
export const lineOf = (
  { key, logStatements, slowStatement }: ResolvedSettings,
  fiber: AnyFiber,
  { attributes, name, text }: Shown,
  { error, ran, rows, waited }: Run
): Effect.Effect<void> | undefined => {
  const isSlow = waited + ran >= slowStatement
  if (logStatements === "slow" && !isSlow) return undefined
  const frame = fiber.getRef(CurrentStackFrame)
  const size = attributes["db.operation.batch.size"]
  // One change of the context: `annotateLogs` around it takes half as long again.
  const annotations = {
    ...fiber.getRef(CurrentLogAnnotations),
    "db.client.connection.pool.name": key,
    "db.query.summary": name,
    waitMillis: rounded(waited),
    runMillis: rounded(ran),
    ...(rows === undefined ? {} : { rows }),
    ...(size === undefined ? {} : { statements: size }),
    ...(error === undefined ? {} : { "error.type": error.type }),
    ...(frame === undefined ? {} : { at: placeOf(frame) })
  }
  return Effect.provideService(
    Effect.logWithLevel(isSlow ? "Warn" : "Info")(text === "" ? name : text),
    CurrentLogAnnotations,
    annotations
  )
}
