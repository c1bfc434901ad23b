/** What SCRAM derives from a password takes most of an opening's CPU, so it is derived once for all pools of a registry. */
import { createHook } from "node:async_hooks"
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { PG, PoolRegistry } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"

/** How often a key was derived from a password since this scope began, as Node says. */
const derivations = Effect.gen(function* () {
  let count = 0
  const hook = createHook({
    init: (_, type) => {
      if (type === "PBKDF2REQUEST") count++
    }
  })
  yield* Effect.acquireRelease(
    Effect.sync(() => hook.enable()),
    () => Effect.sync(() => hook.disable())
  )
  return () => count
})

withDatabase(
  "a key is derived once for a role, however often connections are opened, and anew for another password",
  ["drop role if exists scram_keys", "create role scram_keys login password 'first'"],
  ({ settings, witness }) =>
    Effect.gen(function* () {
      const derived = yield* derivations
      const opening = (password: string, key: string) => {
        const pgdb = PG.make({ ...settings, username: "scram_keys", password, key })
        return Effect.andThen(pgdb.select("select 1"), pgdb.terminate)
      }
      yield* opening("first", "one")
      expect(derived()).toBe(1)
      yield* opening("first", "one")
      yield* opening("first", "another pool")
      expect(derived()).toBe(1)
      yield* witness.query("alter role scram_keys password 'second'")
      yield* opening("second", "one")
      expect(derived()).toBe(2)
      // A registry of its own keeps its own.
      yield* Effect.provide(opening("second", "one"), PoolRegistry.layer())
      expect(derived()).toBe(3)
    }).pipe(Effect.scoped, Effect.ensuring(Effect.ignore(witness.query("drop role scram_keys"))))
)
