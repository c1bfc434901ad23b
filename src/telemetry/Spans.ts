/**
 * Spans of operations, by OpenTelemetry's semantic conventions for database clients.
 *
 * **Details**
 *
 * A span is made only where a tracer is installed, since nobody sees those of Effect's own default. It has the statement with its
 * literals blanked, and never a parameter.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { isSqlError } from "effect/sql/SqlError"
import * as Tracer from "effect/Tracer"
import { blank } from "../errors/BlankLiterals.ts"
import { stringOf } from "../errors/ConnectionErrors.ts"
import { isPoolError } from "../errors/PoolError.ts"
import type { ResolvedSettings } from "../settings/Settings.ts"
import { analyze } from "../statement/Analyze.ts"

/** What an operation does, for its span. */
export interface About {
  readonly settings: ResolvedSettings
  /** The statement's text, or how many statements there are. */
  readonly does: string | number
  /** The table that the handle names. */
  readonly table: string | undefined
}

/** Whether anybody could see a span of this fiber. */
export const isSeen = ({ cache }: Fiber.Fiber<unknown, unknown>): boolean =>
  cache.tracer !== undefined && cache.tracerEnabled && cache.tracer !== Tracer.nativeTracer

const sanitized = (text: string): string =>
  blank({ text, index: undefined }, ({ kind }) => kind === "string" || kind === "number").text

/** Which database it is, as pairs. */
export const serverOf = (settings: ResolvedSettings): ReadonlyArray<readonly [string, unknown]> => [
  ["db.system.name", "postgresql"],
  ["db.namespace", settings.database],
  ["server.address", settings.servers[0].path ?? settings.servers[0].host],
  ["server.port", settings.servers[0].port]
]

const attributesOf = ({ does, settings, table }: About, operation: string) => ({
  ...Object.fromEntries(serverOf(settings)),
  "db.operation.name": operation,
  ...(typeof does === "string" ? { "db.query.text": sanitized(does) } : { "db.operation.batch.size": does }),
  ...(table === undefined ? {} : { "db.collection.name": table })
})

const operationOf = ({ does }: About): string =>
  typeof does === "number" ? "BATCH" : analyze(does).command || "EMPTY"

/** What went wrong, as SQLSTATE where the server said so. */
const fault = (span: Tracer.Span, error: unknown): void => {
  if (isSqlError(error)) {
    const code = stringOf(error.reason.cause, "code")
    const state = code !== undefined && /^[0-9A-Z]{5}$/.test(code) ? code : undefined
    if (state !== undefined) span.attribute("db.response.status_code", state)
    span.attribute("error.type", state ?? error.reason._tag)
  } else if (isPoolError(error)) span.attribute("error.type", error.reason._tag)
}

const note = (span: Tracer.Span, exit: Exit.Exit<unknown, unknown>): undefined => {
  const error = Exit.findErrorOption(exit)
  if (Option.isSome(error)) fault(span, error.value)
  return undefined
}

const spanOf = (about: About) => {
  const operation = operationOf(about)
  return {
    name: `${operation} ${about.table ?? about.settings.database}`,
    options: { kind: "client", attributes: attributesOf(about, operation) }
  } as const
}

/** Runs an operation, in a span of its own where somebody sees it. */
export const around = <A, E, R>(
  fiber: Fiber.Fiber<unknown, unknown>,
  about: About,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => {
  if (!isSeen(fiber)) return effect
  const { name, options } = spanOf(about)
  return Effect.useSpan(name, options, (span) => Effect.onExitPrimitive(effect, (exit) => note(span, exit)))
}

/** Gives rows, in a span that lasts until the last one where somebody sees it. */
export const aroundRows = <A, E, R>(
  fiber: Fiber.Fiber<unknown, unknown>,
  about: About,
  rows: Stream.Stream<A, E, R>
): Stream.Stream<A, E, R> => {
  if (!isSeen(fiber)) return rows
  const { name, options } = spanOf(about)
  return Stream.unwrap(
    Effect.map(Effect.makeSpanScoped(name, options), (span) =>
      Stream.tapError(rows, (error) => Effect.sync(() => fault(span, error)))
    )
  )
}

/** The span of a transaction. */
export const transactionOptions = (settings: ResolvedSettings) =>
  ({ kind: "internal", attributes: Object.fromEntries(serverOf(settings)) }) as const
