/** A pool that ends, and connections that die while they are opened: nobody waits for what cannot come, and nothing is left. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { PG, PoolRegistry } from "effect-global-pool"
import { eventually } from "./support/database.ts"
import { withDatabase } from "./support/handle.ts"
import { proxy } from "./support/proxy.ts"

withDatabase("a pool that ends lets its callers go when its last opening fails", [], (given) =>
  Effect.gen(function* () {
    const between = yield* proxy(given.settings)
    const pgdb = PG.make({ ...given.settings, ...between.address, key: "between", maxConnections: 2 })
    yield* pgdb.select("select 1")
    // The next opening is accepted and never answered.
    yield* between.pause
    yield* between.cut
    const waiting = yield* Effect.forkChild(pgdb.select("select 2"))
    yield* eventually("it waits", PoolRegistry.stats, ([pool]) => pool?.waiting === 1)
    yield* eventually(
      "a connection is being opened",
      Effect.sync(() => between.open()),
      (open) => open > 0
    )
    const ending = yield* Effect.forkChild(pgdb.terminateWithin("60 seconds"))
    yield* Effect.yieldNow
    yield* between.cut
    const ended = yield* Effect.timeoutOption(
      Effect.all([Fiber.await(waiting), Fiber.await(ending)]),
      "5 seconds"
    )
    assert.deepStrictEqual(
      Option.map(ended, ([caller, end]) => [Exit.isFailure(caller), Exit.isSuccess(end)]),
      Option.some([true, true])
    )
  })
)

withDatabase("a connection whose onConnect dies is closed", [], (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({
      ...given.settings,
      applicationName: "dying",
      onConnect: () => Effect.die(new Error("the hook is broken"))
    })
    for (let attempt = 0; attempt < 3; attempt++) {
      const exit = yield* Effect.exit(pgdb.select("select 1"))
      assert.isTrue(Exit.isFailure(exit) && String(exit.cause).includes("the hook is broken"))
    }
    yield* eventually(
      "none is left on the server",
      given.witness.query("select pid from pg_stat_activity where application_name = 'dying'"),
      (sessions) => sessions.length === 0,
      "3 seconds"
    )
  })
)
