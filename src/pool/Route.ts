/**
 * Where connections lead: to the address in their handle's settings, or elsewhere while a test says so.
 *
 * `effect-global-pool/testing` has routes of its own, one for the fibers of each test and one for all others of the process,
 * such as those of a `ManagedRuntime`. A program without it has the default, which changes nothing.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { ConnectionError, type SqlError } from "effect/sql/SqlError"
import { finish } from "../errors/BuildError.ts"
import type { ResolvedSettings } from "../settings/Settings.ts"

/** Gives the settings to connect with in place of a handle's. */
export type Follow = (settings: ResolvedSettings) => Effect.Effect<ResolvedSettings, SqlError>

export interface Route {
  readonly follow: Follow
  /** Keeps the registry that `PG.layer` gives on this route; without it that is the process's. */
  readonly memoMap: Layer.MemoMap | undefined
}

/** Under this name `globalThis` has the routes of the process, for all copies of this module. */
const name = Symbol.for("effect-global-pool/routes/1")

const routes = (): Set<Follow> => {
  const known: unknown = Reflect.get(globalThis, name)
  if (known instanceof Set) return known
  const made = new Set<Follow>()
  Reflect.defineProperty(globalThis, name, { value: made })
  return made
}

/** A connection that leads nowhere: it is not known which test it belongs to. */
export const unroutable = (...parts: ReadonlyArray<string>): SqlError =>
  finish(
    (message) => new ConnectionError({ cause: new Error(parts[0]), message, operation: "connect" }),
    parts,
    false
  )

const followProcess: Follow = (settings) => {
  if (!Reflect.has(globalThis, name)) return Effect.succeed(settings)
  const [follow, ...others] = routes()
  if (follow === undefined) return Effect.succeed(settings)
  if (others.length === 0) return follow(settings)
  return Effect.fail(
    unroutable(
      "Several test databases are open in this process, and nothing says which of them this connection is for.",
      "Run the code in the fiber of its test, with PG.layer, in place of a runtime of its own."
    )
  )
}

/** Routes the connections of fibers without a route of their own while the scope is open. */
export const forProcess = (follow: Follow): Effect.Effect<void, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => void routes().add(follow)),
    () => Effect.sync(() => routes().delete(follow))
  )

export const Route = Context.Reference<Route>("effect-global-pool/Route", {
  defaultValue: () => ({ follow: followProcess, memoMap: undefined })
})
