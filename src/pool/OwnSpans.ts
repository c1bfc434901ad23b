/**
 * Spans of what a pool does on its own account: it opens connections, resets them, and asks the server about statements and
 * types. Made where a tracer takes them, in the fiber that does it: a connection is opened in the context of the registry's layer.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Tracer from "effect/Tracer"
import { errorTypeOf } from "../errors/ErrorType.ts"
import { placeOf, type ResolvedSettings } from "../settings/Settings.ts"

/** Whether a span of this fiber goes anywhere: Effect's default tracer drops them. */
export const isSeen = ({ cache }: Fiber.Fiber<unknown, unknown>): boolean =>
  cache.tracer !== undefined && cache.tracerEnabled && cache.tracer !== Tracer.nativeTracer

const defaultPort = 5432

/** Which database it is, as pairs: the servers as the settings name them, with their ports where those differ. */
export const serverOf = ({
  database,
  servers
}: ResolvedSettings): ReadonlyArray<readonly [string, string | number]> => {
  const [{ path, port }] = servers
  const isOnePort = servers.every((server) => server.path === path && server.port === port)
  const isOwnPort = isOnePort && path === undefined && port !== defaultPort
  return [
    ["db.system.name", "postgresql"],
    ["db.namespace", database],
    [
      "server.address",
      servers.map((server) => server.path ?? (isOnePort ? server.host : placeOf(server))).join(",")
    ],
    ...(isOwnPort ? [["server.port", port] as const] : [])
  ]
}

/** What went wrong, on the span. */
export const note = (span: Tracer.Span, exit: Exit.Exit<unknown, unknown>): void => {
  const error = errorTypeOf(exit)
  if (error === undefined) return
  span.attribute("error.type", error.type)
  if (error.status !== undefined) span.attribute("db.response.status_code", error.status)
}

/** Runs an effect of the pool's own in a span of this name. */
export const within = <A, E, R>(
  settings: ResolvedSettings,
  name: "connect" | "reset" | "describe" | "learn types" | "listen",
  effect: Effect.Effect<A, E, R>,
  errorOf: (error: E) => unknown = (error) => error
): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    if (!isSeen(fiber)) return effect
    const attributes = {
      ...Object.fromEntries(serverOf(settings)),
      "db.client.connection.pool.name": settings.key,
      "db.operation.name": name
    }
    return Effect.useSpan(`pool ${name}`, { kind: "client", attributes }, (span) =>
      Effect.onExitPrimitive(effect, (exit) => {
        note(span, Exit.mapError(exit, errorOf))
        return undefined
      })
    )
  })

/** The span of a transaction, with attributes of a caller's own. */
export const transactionOptions = (
  settings: ResolvedSettings,
  attributes: Readonly<Record<string, unknown>>
) => ({ kind: "internal", attributes: { ...attributes, ...Object.fromEntries(serverOf(settings)) } }) as const
