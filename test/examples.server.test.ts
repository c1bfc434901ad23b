/** The server example: what it answers, also to wrong requests, and how it ends. */
import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { database, type TestDatabase } from "./support/database.ts"
import { isAlive, onlyServer, Temporary, traces } from "./support/folder.ts"
import { type Answer, ask, json, listens } from "./support/http.ts"
import { loader, program } from "./support/process.ts"
import { proxy } from "./support/proxy.ts"

const start = Effect.fnUntraced(function* (url: string | undefined, node?: ReadonlyArray<string>) {
  const running = yield* program("examples/server.ts", {
    ...(node === undefined ? {} : { node }),
    env: { DATABASE_URL: url, HOST: "127.0.0.1", PORT: "0", NO_COLOR: "1" }
  })
  const [, address = ""] = yield* running.prints(/Listening on (\S+)/)
  return { running, address, orders: `${address}/orders` }
})

const tea = { item: "tea", quantity: 2 }

/** Nothing of the server's inside: no stack, no file, no SQL, no secret. */
const isDiscreet = ({ text }: Answer, { settings }: TestDatabase) => {
  assert.notMatch(text, /\bat \S+ \(|\.ts\b|node_modules|select |insert /i)
  assert.notInclude(text, settings.password)
}

/** A request that waits for a lock that the witness holds until `release`. */
const underWay = Effect.fnUntraced(function* (given: TestDatabase, orders: string) {
  yield* ask(orders, { body: tea })
  yield* given.witness.query("begin")
  yield* given.witness.query("lock table orders")
  const request = yield* Effect.forkChild(ask(orders, { body: { item: "slow", quantity: 1 } }))
  yield* given.until("the request waits for the lock", (all) =>
    all.some(({ waitEvent }) => waitEvent === "relation")
  )
  return { request, release: given.witness.query("rollback") }
})

describe("examples/server.ts answers", () => {
  it.live("by the pool that its first request opened", () =>
    Effect.gen(function* () {
      const { sessions, url } = yield* database()
      const { address, orders } = yield* start(url)
      assert.deepStrictEqual(yield* sessions, [])
      assert.deepStrictEqual(json(yield* ask(`${address}/pools`)), [])

      assert.deepStrictEqual(json(yield* ask(`${address}/health`)), { status: "ok" })
      const [pool] = json<ReadonlyArray<object>>(yield* ask(`${address}/pools`))
      assert.include(pool, { open: 1, inUse: 0, idle: 1, waiting: 0, max: 10 })

      assert.deepStrictEqual(json(yield* ask(orders)), [])
      const created = yield* ask(orders, { body: tea })
      assert.strictEqual(created.status, 201)
      const order = json<object>(created)
      assert.include(order, { id: 1, ...tea })
      assert.deepStrictEqual(json(yield* ask(`${orders}/1`)), order)
      assert.deepStrictEqual(json(yield* ask(orders)), [order])
      assert.strictEqual(
        (yield* ask(orders, { body: { item: "'; drop table orders; --", quantity: 1 } })).status,
        201
      )
      const [newest] = json<ReadonlyArray<object>>(yield* ask(`${orders}?limit=1`))
      assert.include(newest, { id: 2, item: "'; drop table orders; --" })
    })
  )

  it.live("a hundred first requests at once", () =>
    Effect.gen(function* () {
      const { sessions, url } = yield* database()
      const { orders } = yield* start(url)
      const answers = yield* Effect.forEach(Array.from({ length: 100 }), () => ask(orders, { body: tea }), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(new Set(answers.map(({ status }) => status)), new Set([201]))
      assert.isAtMost((yield* sessions).length, 10)
    })
  )

  it.live("wrong requests with the reason, and no more than that", () =>
    Effect.gen(function* () {
      const given = yield* database()
      const { address, orders } = yield* start(given.url)
      const wrong = [
        [400, "The body is not JSON.", ask(orders, { body: '{"item":"tea' })],
        [400, "Expected object", ask(orders, { body: "", method: "POST" })],
        [400, 'Missing key\n  at ["item"]', ask(orders, { body: { quantity: 1 } })],
        [400, 'Expected number\n  at ["quantity"]', ask(orders, { body: { item: "tea", quantity: "2" } })],
        [400, "Expected a value between 1 and 1000", ask(orders, { body: { item: "tea", quantity: 0 } })],
        [400, "Expected an integer", ask(orders, { body: { item: "tea", quantity: 1.5 } })],
        [400, "at least 1", ask(orders, { body: { item: "", quantity: 1 } })],
        [400, "at most 200", ask(orders, { body: { item: "x".repeat(201), quantity: 1 } })],
        [400, 'at ["item"]', ask(orders, { body: { item: "a\0b", quantity: 1 } })],
        [400, "Expected object", ask(orders, { body: "null" })],
        [400, "Expected object", ask(orders, { body: "[]" })],
        [
          413,
          "An order has at most 16 KiB.",
          ask(orders, { body: { item: "x".repeat(20_000), quantity: 1 } })
        ],
        [400, "Expected a value between 1 and 100", ask(`${orders}?limit=0`)],
        [400, 'at ["limit"]', ask(`${orders}?limit=many`)],
        [404, "There is no such order.", ask(`${orders}/1`)],
        [404, "There is no such order.", ask(`${orders}/tea`)],
        [404, "There is no such order.", ask(`${orders}/99999999999`)],
        [404, "There is no such order.", ask(`${orders}/1%27%20or%20true`)],
        [404, "There is no such page.", ask(`${address}/nothing`)],
        [404, "There is no such page.", ask(`${orders}/1`, { method: "DELETE" })]
      ] as const
      for (const [status, reason, request] of wrong) {
        const answer = yield* request
        assert.strictEqual(answer.status, status, reason)
        assert.strictEqual(answer.type, "application/json")
        const { error } = json<{ readonly error: string }>(answer)
        assert.include(error, reason)
        isDiscreet(answer, given)
      }
      assert.strictEqual((yield* ask(orders, { body: tea })).status, 201)
    })
  )

  it.live("503 while the database is away, and as before when it is back", () =>
    Effect.gen(function* () {
      const given = yield* database()
      const network = yield* proxy(given.settings)
      const url = new URL(given.url)
      url.port = String(network.address.port)
      yield* network.refuse
      const { address, orders } = yield* start(url.href)
      const away = Effect.gen(function* () {
        for (const request of [
          ask(`${address}/health`),
          ask(orders),
          ask(orders, { body: tea }),
          ask(`${orders}/1`)
        ]) {
          const answer = yield* request
          assert.strictEqual(answer.status, 503)
          assert.deepStrictEqual(json(answer), {
            error: "The database cannot be reached. Try again in a moment."
          })
        }
      })
      yield* away
      assert.strictEqual((yield* ask(`${orders}?limit=0`)).status, 400)

      yield* network.accept
      assert.strictEqual((yield* ask(orders, { body: tea })).status, 201)
      yield* Effect.andThen(network.refuse, network.cut)
      yield* given.until("its connections are gone", (all) => all.length === 0)
      yield* away

      yield* network.accept
      assert.strictEqual((yield* ask(`${orders}/1`)).status, 200)
    })
  )

  it.live("500 to an error of its own, which the log tells", () =>
    Effect.gen(function* () {
      const given = yield* database()
      yield* given.witness.query("create table orders (id int)")
      const { running, orders } = yield* start(given.url)
      const answer = yield* ask(orders, { body: tea })
      assert.strictEqual(answer.status, 500)
      assert.deepStrictEqual(json(answer), { error: "Something went wrong." })
      yield* running.prints('column "item" of relation "orders" does not exist')
    })
  )
})

describe("examples/server.ts ends", () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it.live(`by ${signal} when the request under way is answered`, () =>
      Effect.gen(function* () {
        const given = yield* database()
        const { address, orders, running } = yield* start(given.url)
        const { release, request } = yield* underWay(given, orders)
        yield* running.signal(signal)
        // It takes no more requests, and gives the one that is under way a second.
        yield* Effect.repeat(listens(address), { while: (open) => open })
        yield* release
        const answer = yield* Fiber.join(request)
        assert.strictEqual(answer.status, 201)
        assert.include(json<object>(answer), { id: 2, item: "slow" })
        assert.strictEqual((yield* running.exitWithin("2 seconds")).signal, null)
        assert.deepStrictEqual(yield* given.sessions, [])
      })
    )

    it.live(`by ${signal} within two seconds when the request goes on`, () =>
      Effect.gen(function* () {
        const given = yield* database()
        const { orders, running } = yield* start(given.url)
        const { release, request } = yield* underWay(given, orders)
        yield* running.signal(signal)
        assert.strictEqual((yield* running.exitWithin("2 seconds")).signal, null)
        assert.oneOf((yield* Fiber.join(request)).status, [0, 503])
        assert.deepStrictEqual(yield* given.sessions, [])
        yield* release
        assert.deepStrictEqual(yield* given.witness.query("select item from orders"), [{ item: "tea" }])
      })
    )
  }
})

layer(Temporary.layer)("examples/server.ts without DATABASE_URL", (it) => {
  for (const [name, signal, group] of [
    ["Ctrl-C", "SIGINT", true],
    ["SIGTERM", "SIGTERM", false]
  ] as const) {
    it.effect(`brings its own database, and by ${name} leaves no trace of it`, () =>
      Effect.gen(function* () {
        // As `npm run server` runs it.
        const { orders, running } = yield* start(undefined, ["--import", loader])
        assert.strictEqual((yield* ask(orders, { body: tea })).status, 201)
        const { pid } = yield* onlyServer
        yield* group ? running.signalGroup(signal) : running.signal(signal)
        assert.strictEqual((yield* running.exitWithin("2 seconds")).signal, null)
        assert.deepStrictEqual(yield* traces, [])
        assert.isFalse(isAlive(pid))
      })
    )
  }
})
