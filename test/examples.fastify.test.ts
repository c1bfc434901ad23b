/** The Fastify example: the pool in a framework that knows nothing of Effect. */
import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { database } from "./support/database.ts"
import { Temporary, traces } from "./support/folder.ts"
import { ask, json } from "./support/http.ts"
import { program } from "./support/process.ts"
import { proxy } from "./support/proxy.ts"

const start = Effect.fnUntraced(function* (url: string | undefined) {
  const running = yield* program("examples/fastify.ts", { env: { DATABASE_URL: url, PORT: "0" } })
  const [, address = ""] = yield* running.prints(/Listening on (\S+)/)
  return { running, users: `${address}/users` }
})

const ada = { email: "ada@example.org" }

describe("examples/fastify.ts", () => {
  it.live("answers from the pool, and wrong requests with the reason", () =>
    Effect.gen(function* () {
      const { url, settings } = yield* database()
      const { users } = yield* start(url)
      assert.deepStrictEqual(json(yield* ask(users)), [])
      const created = yield* ask(users, { body: ada })
      assert.strictEqual(created.status, 201)
      assert.deepStrictEqual(json(created), { id: 1, ...ada })
      assert.deepStrictEqual(json(yield* ask(`${users}/1`)), { id: 1, ...ada })
      assert.deepStrictEqual(json(yield* ask(users)), [{ id: 1, ...ada }])

      for (const [status, reason, request] of [
        [409, "This address is taken.", ask(users, { body: ada })],
        [404, "There is no such user.", ask(`${users}/2`)],
        [400, "params/id must be integer", ask(`${users}/ada`)],
        [400, "params/id must be <= 2147483647", ask(`${users}/99999999999`)],
        [400, "body must have required property 'email'", ask(users, { body: {} })],
        [400, "body/email must match pattern", ask(users, { body: { email: "a\0@b" } })],
        [400, "JSON", ask(users, { body: '{"email":' })]
      ] as const) {
        const answer = yield* request
        assert.strictEqual(answer.status, status, reason)
        assert.include(answer.text, reason)
        assert.notMatch(answer.text, /\bat \S+ \(|\.ts\b|node_modules|insert /)
        assert.notInclude(answer.text, settings.password)
      }
    })
  )

  it.live("says 503 while the database is away, and goes on when it is back", () =>
    Effect.gen(function* () {
      const given = yield* database()
      const network = yield* proxy(given.settings)
      const url = new URL(given.url)
      url.port = String(network.address.port)
      const { users } = yield* start(url.href)
      yield* Effect.andThen(network.refuse, network.cut)
      yield* given.until("its connections are gone", (all) => all.length === 0)
      const away = yield* ask(users, { body: ada })
      assert.strictEqual(away.status, 503)
      assert.deepStrictEqual(json(away), { error: "The database cannot be reached." })
      yield* network.accept
      assert.strictEqual((yield* ask(users, { body: ada })).status, 201)
    })
  )

  it.live("ends a statement whose client has gone", () =>
    Effect.gen(function* () {
      const given = yield* database()
      const { users } = yield* start(given.url)
      yield* given.witness.query("begin")
      yield* given.witness.query("lock table users")
      const request = yield* Effect.forkChild(ask(users))
      yield* given.until("it waits", (all) => all.some(({ waitEvent }) => waitEvent === "relation"))
      yield* Fiber.interrupt(request)
      yield* given.until("it waits no more", (all) => all.every(({ waitEvent }) => waitEvent !== "relation"))
    })
  )

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it.live(`answers what is under way, and ends by ${signal}`, () =>
      Effect.gen(function* () {
        const given = yield* database()
        const { running, users } = yield* start(given.url)
        yield* given.witness.query("begin")
        yield* given.witness.query("lock table users")
        const request = yield* Effect.forkChild(ask(users, { body: ada }))
        yield* given.until("it waits", (all) => all.some(({ waitEvent }) => waitEvent === "relation"))
        yield* running.signal(signal)
        yield* given.witness.query("rollback")
        assert.strictEqual((yield* Fiber.join(request)).status, 201)
        assert.deepStrictEqual(yield* running.exitWithin("2 seconds"), { code: 0, signal: null })
        assert.deepStrictEqual(yield* given.sessions, [])
      })
    )
  }

  it.live("cancels what is still under way after a second", () =>
    Effect.gen(function* () {
      const given = yield* database()
      const { running, users } = yield* start(given.url)
      yield* given.witness.query("begin")
      yield* given.witness.query("lock table users")
      const request = yield* Effect.forkChild(ask(users, { body: ada }))
      yield* given.until("it waits", (all) => all.some(({ waitEvent }) => waitEvent === "relation"))
      yield* running.signal("SIGTERM")
      assert.strictEqual((yield* running.exitWithin("2 seconds")).signal, null)
      assert.strictEqual((yield* Fiber.join(request)).status, 503)
      assert.deepStrictEqual(yield* given.sessions, [])
    })
  )
})

layer(Temporary.layer)("examples/fastify.ts without DATABASE_URL", (it) => {
  it.effect("brings its own database, and leaves no trace of it", () =>
    Effect.gen(function* () {
      const { running, users } = yield* start(undefined)
      assert.strictEqual((yield* ask(users, { body: ada })).status, 201)
      yield* running.signalGroup("SIGINT")
      assert.strictEqual((yield* running.exitWithin("2 seconds")).signal, null)
      assert.deepStrictEqual(yield* traces, [])
    })
  )
})
