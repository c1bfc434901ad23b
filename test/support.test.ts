import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { database, eventually } from "./support/database.ts"
import { program } from "./support/process.ts"
import { proxy } from "./support/proxy.ts"

it.effect("a test has a database of its own, and sees its sessions", () =>
  Effect.gen(function* () {
    const { witness, settings, until } = yield* database()
    assert.deepStrictEqual(yield* witness.query("select current_database() as name"), [
      { name: settings.database }
    ])
    yield* until("nobody is connected", (sessions) => sessions.length === 0)
  })
)

it.effect("a wait ends with what was seen last", () =>
  Effect.gen(function* () {
    const error = yield* Effect.flip(eventually("it is 2", Effect.succeed(1), (n) => n === 2, "30 millis"))
    assert.strictEqual(error.message, "Waited 30ms in vain until it is 2. Last seen: 1")
  })
)

it.effect("a proxy counts what goes through it, and cuts and refuses", () =>
  Effect.gen(function* () {
    const { settings, connect, until } = yield* database()
    const between = yield* proxy(settings)
    const through = yield* connect({ ...settings, ...between.address })
    const before = between.roundTrips()
    yield* through.query("select 1")
    assert.strictEqual(between.roundTrips() - before, 1)
    assert.strictEqual(between.open(), 1)
    yield* between.cut
    yield* Effect.flip(through.query("select 1"))
    yield* until("the session is gone", (sessions) => sessions.length === 0)
    yield* between.refuse
    yield* Effect.flip(connect({ ...settings, ...between.address }))
    yield* between.accept
    yield* connect({ ...settings, ...between.address })
    assert.strictEqual(between.opened(), 2)
  })
)

it.effect("a program runs as a process of its own", () =>
  Effect.gen(function* () {
    const running = yield* program("test/support/echo.ts", { args: ["hello"] })
    yield* running.prints("hello")
    yield* running.signal("SIGTERM")
    assert.deepStrictEqual(yield* running.exit, { code: null, signal: "SIGTERM" })
  })
)

it.effect("a program that ends is waited for no longer, also when it leaves another behind", () =>
  Effect.gen(function* () {
    const running = yield* program("test/support/orphan.ts")
    const [, orphan] = yield* running.prints(/left (\d+)/)
    yield* Effect.addFinalizer(() => Effect.sync(() => process.kill(Number(orphan), "SIGKILL")))
    const error = yield* Effect.flip(running.prints("never"))
    assert.match(error.message, /^Ended before test\/support\/orphan.ts prints \/never\/: .*left \d+/)
  })
)
