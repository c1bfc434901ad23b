/**
 * One key is one pool: a handle with other settings than those that the pool was opened with fails and says so, and never gets
 * the wrong server.
 */
import { assert, describe } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { PG, PoolError, PoolRegistry } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"
import { proxy } from "./support/proxy.ts"

const conflictOf = (pgdb: PG.Database) =>
  pgdb.select("select 1").pipe(
    Effect.flip,
    Effect.flatMap((error) => {
      assert.instanceOf(error, PoolError)
      assert.strictEqual(error.reason._tag, "DatabaseConflict")
      return error.reason._tag === "DatabaseConflict"
        ? Effect.succeed({ ...error.reason, message: error.message })
        : Effect.die(error)
    })
  )

/** Keeps a pool in use for as long as the scope is open. */
const inUse = Effect.fnUntraced(function* (pgdb: PG.Database) {
  const used = yield* Deferred.make<void>()
  yield* Effect.forkScoped(
    pgdb.transaction(
      Effect.andThen(pgdb.select("select 1"), Effect.andThen(Deferred.succeed(used, undefined), Effect.never))
    )
  )
  yield* Deferred.await(used)
})

withDatabase("the same name on another server is refused, and says what differs", [], ({ pgdb, settings }) =>
  Effect.gen(function* () {
    // For the pool, another port is another server.
    const other = yield* proxy(settings)
    const elsewhere = PG.make({ ...settings, ...other.address })
    yield* pgdb.select("select 1")
    const { key, message, settings: names } = yield* conflictOf(elsewhere)
    assert.strictEqual(key, settings.database)
    assert.includeMembers([...names], ["port"])
    assert.include(message, `${settings.host}:${settings.port}`)
    assert.include(message, `127.0.0.1:${other.address.port}`)
    assert.include(message, "They differ in ")
    assert.include(message, "port")
    assert.include(message, "{ key: ")
    assert.notInclude(message, settings.password)
    assert.strictEqual(other.opened(), 0)

    const own = PG.make({ ...settings, ...other.address, key: "the other one" })
    assert.deepStrictEqual(yield* own.selectValue("select 1"), Option.some(1))
    assert.deepStrictEqual(yield* pgdb.selectValue("select 1"), Option.some(1))
    assert.strictEqual(other.opened(), 1)
    assert.deepStrictEqual(
      (yield* PoolRegistry.stats)
        .map(({ key, open }) => ({ key, open }))
        .sort((a, b) => (a.key < b.key ? -1 : 1)),
      [
        { key: settings.database, open: 1 },
        { key: "the other one", open: 1 }
      ]
    )
  })
)

withDatabase("every operation refuses while the pool is in use", [], ({ pgdb, settings }) =>
  Effect.gen(function* () {
    yield* inUse(pgdb)
    const other = PG.make({ ...settings, maxConnections: 3 })
    const operations: ReadonlyArray<Effect.Effect<unknown, unknown, PoolRegistry>> = [
      other.execute("select 1"),
      other.selectOne("select 1"),
      other.selectValue("select 1"),
      other.trans(["select 1"]),
      other.transaction(Effect.void),
      other.client,
      Stream.runDrain(other.stream("select 1")),
      other.table("t").find(),
      other.table("t").insert({ a: 1 })
    ]
    for (const operation of operations) {
      const exit = yield* Effect.exit(operation)
      assert.isTrue(Exit.isFailure(exit))
      assert.include(String(exit), "They differ in maxConnections.")
    }
  })
)

describe("a password", () => {
  withDatabase("that differs is only named", [], ({ pgdb, settings }) =>
    Effect.gen(function* () {
      yield* inUse(pgdb)
      const { message, settings: names } = yield* conflictOf(PG.make({ ...settings, password: "hunter2" }))
      assert.deepStrictEqual(names, ["password"])
      assert.include(message, "They differ in password.")
      assert.notInclude(message, "hunter2")
      assert.notInclude(message, settings.password)
    })
  )

  withDatabase("is the same as a text, Redacted and in a URL", [], ({ pgdb, settings, url }) =>
    Effect.gen(function* () {
      yield* pgdb.select("select 1")
      for (const same of [
        PG.make({ ...settings }),
        PG.make({ ...settings, password: Redacted.make(settings.password) }),
        PG.make(url),
        PG.make({ url: Redacted.make(url) })
      ]) {
        yield* same.select("select 1")
      }
      assert.lengthOf(yield* PoolRegistry.stats, 1)
    })
  )

  withDatabase("that is asked for is the same when it is the same effect", [], ({ settings }) =>
    Effect.gen(function* () {
      const password = Effect.succeed(Redacted.make(settings.password))
      yield* PG.make({ ...settings, password }).select("select 1")
      yield* inUse(PG.make({ ...settings, password }))
      assert.lengthOf(yield* PoolRegistry.stats, 1)
      const other = Effect.sync(() => Redacted.make(settings.password))
      const { settings: names } = yield* conflictOf(PG.make({ ...settings, password: other }))
      assert.deepStrictEqual(names, ["password"])
    })
  )
})

withDatabase("settings that say the same are no conflict, however they are written", [], ({ settings }) =>
  Effect.gen(function* () {
    const ca = "-----BEGIN CERTIFICATE-----"
    const handles: ReadonlyArray<readonly [PG.Settings, PG.Settings]> = [
      [{ idleTimeout: "60 seconds" }, { idleTimeout: 60_000 }],
      [{ connectTimeout: { seconds: 5 } }, {}],
      [{ maxConnections: undefined }, { maxConnections: 10 }],
      [{ startupParameters: { a: "1", b: "2" } }, { startupParameters: { b: "2", a: "1" } }],
      [{ ssl: { ca: [ca], servername: "db" } }, { ssl: { ca: [ca], servername: "db" } }],
      [{ ssl: { ca: Buffer.from(ca) } }, { ssl: { ca: Buffer.from(ca) } }]
    ]
    for (const [index, [left, right]] of handles.entries()) {
      const key = `pool ${index}`
      // The client finds the pool, and nothing connects.
      yield* PG.make({ ...settings, ...left, key }).client
      yield* PG.make({ ...settings, ...right, key }).client
    }
    assert.lengthOf(yield* PoolRegistry.stats, handles.length)
  })
)

withDatabase("an idle pool makes room for other settings of its database, and the log says so", [], (given) =>
  Effect.gen(function* () {
    const { pgdb, settings } = given
    const logged: Array<unknown> = []
    const logger = Logger.make(({ logLevel, message }) => logged.push(logLevel, message))
    const other = PG.make({ ...settings, maxConnections: 2, password: settings.password })
    yield* pgdb.select("select 1")
    yield* Effect.provide(other.select("select 1"), Logger.layer([logger]))
    assert.deepStrictEqual(
      (yield* PoolRegistry.stats).map(({ max, open }) => ({ max, open })),
      [{ max: 2, open: 1 }]
    )
    assert.lengthOf(yield* given.sessions, 1)
    assert.strictEqual(logged[0], "Warn")
    assert.include(String(logged[1]), "makes room for a handle with other settings: maxConnections.")
    // Neither while a call waits, nor for another server.
    yield* inUse(other)
    yield* conflictOf(pgdb)
  })
)

withDatabase("after terminate, the key is free for other settings", [], ({ pgdb, settings }) =>
  Effect.gen(function* () {
    yield* Effect.scoped(
      Effect.gen(function* () {
        yield* inUse(pgdb)
        yield* conflictOf(PG.make({ ...settings, maxConnections: 2 }))
      })
    )
    const elsewhere = PG.make({ ...settings, port: 1 })
    yield* conflictOf(elsewhere)
    yield* elsewhere.terminate
    assert.lengthOf(yield* PoolRegistry.stats, 0)
    assert.strictEqual(
      yield* Effect.flip(Effect.asVoid(elsewhere.select("select 1"))).pipe(Effect.map(({ _tag }) => _tag)),
      "SqlError"
    )
  })
)
