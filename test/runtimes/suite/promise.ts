/**
 * What a runtime has to do, one promise at a time: a name and a program that fails when it is broken. Runs without a test
 * framework, so that each runtime runs the same file.
 */
import * as assert from "node:assert/strict"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { PG, PoolRegistry } from "effect-global-pool"

export { assert }

/** What every promise is given. */
export interface Given {
  /** A handle to a database with the table `people`, on a server with TLS. */
  readonly pgdb: PG.Database
  /** What the handle was made of. */
  readonly settings: PG.Settings
  /** The server's certificate. */
  readonly ca: string
  /** Another pool's view of the sessions of the database under test. */
  readonly sessions: Effect.Effect<ReadonlyArray<{ readonly query: string; readonly state: string }>, unknown>
}

export interface Promised {
  readonly name: string
  readonly run: (given: Given) => Effect.Effect<unknown, unknown, PoolRegistry | Scope.Scope>
}

/** A promise by its name. */
export const promise = (name: string, run: Promised["run"]): Promised => ({ name, run })

/** Looks until it holds, for five seconds. */
export const until = <A, E, R>(
  look: Effect.Effect<A, E, R>,
  holds: (found: A) => boolean
): Effect.Effect<A, E, R> =>
  Effect.flatMap(look, (found) =>
    holds(found)
      ? Effect.succeed(found)
      : Effect.andThen(
          Effect.sleep("10 millis"),
          Effect.suspend(() => until(look, holds))
        )
  ).pipe(
    Effect.timeoutOrElse({
      duration: "5 seconds",
      orElse: () => Effect.die(new Error("Waited for five seconds in vain."))
    })
  )
