/** A name that stands for several addresses, of which some do not answer. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { PG, PoolRegistry } from "effect-global-pool"
import { vi } from "vitest"
import * as Link from "../src/protocol/Link.ts"
import { deaf } from "./support/deaf.ts"
import { withDatabase } from "./support/handle.ts"
import { error, liar } from "./support/liar.ts"
import { unencrypted } from "./support/session.ts"

const addresses: Array<string> = []
vi.mock("node:dns/promises", async (original) => ({
  ...(await original<typeof import("node:dns/promises")>()),
  lookup: async () => addresses.map((address) => ({ address, family: 4 }))
}))

const named = (all: ReadonlyArray<string>) => addresses.splice(0, addresses.length, ...all)

const link = (port: number) =>
  Effect.acquireRelease(
    Link.open({ host: "several.example", port, address: undefined, path: undefined }, unencrypted),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

withDatabase("one that does not answer costs a quarter of a second", [], ({ settings }) =>
  Effect.gen(function* () {
    yield* deaf("127.0.0.2", settings.port)
    named(["127.0.0.2", settings.host])
    const pgdb = PG.make({ ...settings, host: "several.example", connectTimeout: "10 seconds" })
    const begin = performance.now()
    assert.deepStrictEqual(yield* pgdb.select("select 1 as a"), [{ a: 1 }])
    assert.isBelow(performance.now() - begin, 5_000)
  })
)

for (const [what, answer, code] of [
  ["is silent", Buffer.alloc(0), undefined],
  ["starts up", error("FATAL", "57P03", "the database system is starting up"), "57P03"]
] as const) {
  withDatabase(`one that takes the link and ${what} makes way for the next`, [], ({ settings }) =>
    Effect.gen(function* () {
      const failing = yield* liar(() => answer, undefined, { host: "127.0.0.2", port: settings.port })
      named(["127.0.0.2", "127.0.0.3", settings.host])
      const several = { ...settings, host: "several.example", connectTimeout: "300 millis" } as const
      assert.deepStrictEqual(yield* PG.make(several).select("select 1 as a"), [{ a: 1 }])
      assert.strictEqual(failing.opened(), 1)
      named(["127.0.0.2", "127.0.0.3"])
      const refused = yield* Effect.flip(PG.make({ ...several, key: "none serves" }).select("select 1"))
      assert.strictEqual(PG.sqlState(refused), code)
      assert.notInclude(refused.message, "nothing listens")
    })
  )
}

it.live("one that takes longer than that is still waited for while the next one does not answer", () =>
  Effect.gen(function* () {
    const slow = yield* deaf("127.0.0.2")
    yield* deaf("127.0.0.3", slow.port)
    named(["127.0.0.2", "127.0.0.3"])
    const opening = yield* Effect.forkChild(link(slow.port))
    yield* Effect.sleep("600 millis")
    yield* slow.wake
    const { socket } = yield* Fiber.join(opening)
    assert.strictEqual(socket.remoteAddress, "127.0.0.2")
  }).pipe(Effect.scoped)
)

it.live("where all refuse, the error is that of the first, and comes at once", () =>
  Effect.gen(function* () {
    named(["127.0.0.2", "127.0.0.3", "fe80::1"])
    const pgdb = PG.make({ host: "several.example", port: 1, database: "d", acquireTimeout: "1 second" })
    const error = yield* Effect.flip(pgdb.select("select 1"))
    assert.include(error.message, "ECONNREFUSED")
  }).pipe(Effect.provide(PoolRegistry.layer()))
)

it.live("an interruption leaves no socket of them", () =>
  Effect.gen(function* () {
    const slow = yield* deaf("127.0.0.2")
    yield* deaf("127.0.0.3", slow.port)
    named(["127.0.0.2", "127.0.0.3"])
    const sockets: Array<import("node:net").Socket> = []
    const address = { host: "several.example", port: slow.port, address: undefined, path: undefined }
    const opening = yield* Effect.forkChild(Link.open(address, unencrypted, { sockets }))
    yield* Effect.sleep("400 millis")
    yield* Fiber.interrupt(opening)
    assert.deepStrictEqual(
      sockets.map(({ destroyed }) => destroyed),
      [true, true]
    )
  }).pipe(Effect.scoped)
)
