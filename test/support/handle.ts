/** A database of its own for a test, with a handle to it and a registry of its own. */
import { it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { PG, PoolRegistry } from "effect-global-pool"
import type { TestDatabase } from "./database.ts"
import { database } from "./database.ts"

export interface Given extends TestDatabase {
  readonly pgdb: PG.Database
}

/** So many transactions that are open at once, each on a connection: none ends before the last has begun. */
export const together = (
  pgdb: PG.Database,
  count: number
): Effect.Effect<void, PG.OperationError, PoolRegistry> =>
  Effect.suspend(() => {
    const all = Deferred.makeUnsafe<void>()
    let arrived = 0
    const arrive = Effect.suspend(() =>
      ++arrived === count ? Deferred.succeed(all, undefined) : Deferred.await(all)
    )
    const one = pgdb.transaction(Effect.andThen(pgdb.select("select 1"), arrive))
    return Effect.all(
      Array.from({ length: count }, () => one),
      { concurrency: "unbounded", discard: true }
    )
  })

/** Registers a test. */
export type Tester = <E>(
  name: string,
  statements: ReadonlyArray<string>,
  body: (given: Given) => Effect.Effect<void, E, PoolRegistry | Scope.Scope>
) => void

const onDatabase: Tester = (name, statements, body) =>
  it.live(name, () =>
    Effect.gen(function* () {
      const given = yield* database()
      for (const statement of statements) yield* given.witness.query(statement)
      yield* body({ ...given, pgdb: PG.make(given.settings) })
    }).pipe(Effect.provide(PoolRegistry.layer()))
  )

const tester = { current: onDatabase }

/** Has tests that are registered from now on run elsewhere. */
export const setTester = (other: Tester): void => {
  tester.current = other
}

/** A test on a fresh database in which these statements ran. */
export const withDatabase: Tester = (name, statements, body) => tester.current(name, statements, body)
