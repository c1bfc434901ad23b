/** A runtime outside Effect that is not disposed keeps its process alive until its pools are forgotten, and no longer. */
import { join } from "node:path"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
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
