/**
 * A runtime outside Effect that is not disposed keeps its process alive until its pools are forgotten, and no longer; behind
 * the end of a registry nothing is tried again.
 */
import { join } from "node:path"
import { assert, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { PG, PoolRegistry } from "effect-global-pool"
import { written } from "./support/blocks.ts"
import { database } from "./support/database.ts"
import { program } from "./support/process.ts"

const text = `
import { ManagedRuntime, Option } from "effect"
import { PG, PoolRegistry } from "effect-global-pool"

const [poolIdleTimeout = "", dispose] = process.argv.slice(2)
const runtime = ManagedRuntime.make(PoolRegistry.layer({ poolIdleTimeout: Number(poolIdleTimeout) }))
const pgdb = PG.make({ url: process.env.DATABASE_URL })
console.log(Option.getOrThrow(await runtime.runPromise(pgdb.selectValue("select 1"))))
if (dispose !== undefined) await runtime.dispose()
`

for (const [what, args] of [
  ["disposed", ["3600000", "dispose"]],
  ["not disposed, its pools forgotten", ["50"]]
] as const) {
  it.live(`a process ends whose runtime is ${what}`, () =>
    Effect.gen(function* () {
      const { sessions, url } = yield* database()
      const place = yield* written({ "runtime.ts": text })
      const running = yield* program(join(place, "runtime.ts"), { args, env: { DATABASE_URL: url } })
      assert.deepStrictEqual(yield* running.exit, { code: 0, signal: null })
      assert.strictEqual(running.stdout(), "1\n")
      assert.deepStrictEqual(yield* sessions, [])
    })
  )
}

it.live("what is run behind the end of its registry is refused, and a loop over what is retryable ends", () =>
  Effect.gen(function* () {
    const { sessions, settings, witness } = yield* database()
    const pgdb = PG.make(settings)
    const { client, registry } = yield* Effect.scoped(
      Effect.gen(function* () {
        const context = yield* Layer.build(PoolRegistry.layer())
        const client = yield* Effect.provideContext(pgdb.client, context)
        assert.lengthOf(yield* client`select 1`, 1)
        // What was registered later runs before the registry ends.
        const last = PG.make({ ...settings, key: "opened by a finalizer" }).execute("create table last ()")
        yield* Effect.addFinalizer(() => Effect.orDie(Effect.provideContext(last, context)))
        return { client, registry: Context.get(context, PoolRegistry) }
      })
    )
    assert.lengthOf(yield* witness.query("select from pg_class where relname = 'last'"), 1)
    const select = Effect.provideService(pgdb.select("select 1"), PoolRegistry, registry)
    for (const one of [select, client`select 1`]) {
      const again = Effect.retry(one, {
        while: ({ isRetryable }) => isRetryable,
        schedule: Schedule.spaced("1 millis")
      })
      const error = yield* Effect.flip(Effect.timeout(again, "5 seconds"))
      assert.include(error.message, "The registry of the pools has ended")
    }
    assert.deepStrictEqual(yield* sessions, [])
  })
)
