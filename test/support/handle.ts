/** A database of its own for a test, with a handle to it and a registry of its own. */
import { it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { PG, PoolRegistry } from "effect-global-pool"
import type { TestDatabase } from "./database.ts"
import { database } from "./database.ts"

export interface Given extends TestDatabase {
  readonly pgdb: PG.Database
}

/** A test on a fresh database in which these statements ran. */
export const withDatabase = <E>(
  name: string,
  statements: ReadonlyArray<string>,
  body: (given: Given) => Effect.Effect<void, E, PoolRegistry | Scope.Scope>
): void =>
  it.live(name, () =>
    Effect.gen(function* () {
      const given = yield* database()
      for (const statement of statements) yield* given.witness.query(statement)
      yield* body({ ...given, pgdb: PG.make(given.settings) })
    }).pipe(Effect.provide(PoolRegistry.layer()))
  )
