/**
 * Metrics of the pools, as a user's own exporter reads them: true at the moment of asking, and bounded in number.
 */
import { assert, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Predicate from "effect/Predicate"
import * as TestClock from "effect/testing/TestClock"
import { PG, PoolRegistry } from "effect-global-pool"
import { eventually } from "./support/database.ts"
import { tenants } from "./support/tenants.ts"

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)

/** A metric registry of the test's own around the pools. */
const metered =
  (options: { readonly maxConnections?: number } = {}) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    effect.pipe(
      Effect.provide(PoolRegistry.layer(options)),
      Effect.provideService(Metric.MetricRegistry, new Map())
    )

const tag = "db.client.connection.pool.name"

/** The states of the series of one name, for one pool, by what else they are tagged with. */
const series = (name: string, pool: string | undefined, also: Record<string, string> = {}) =>
  Effect.map(Metric.snapshot, (all) => {
    const found = all.filter(
      ({ attributes, id }) =>
        id === `db.client.connection.${name}` &&
        attributes?.[tag] === pool &&
        Object.entries(also).every(([key, value]) => attributes?.[key] === value)
    )
    assert.lengthOf(found, 1)
    return found[0]?.state
  })

const states = (pool: string | undefined) =>
  Effect.all({
    idle: series("count", pool, { "db.client.connection.state": "idle" }),
    used: series("count", pool, { "db.client.connection.state": "used" }),
    max: series("max", pool),
    waiting: series("pending_requests", pool),
    opened: series("opened", pool)
  })

it.live("connections in use and idle, and calls that wait, at the moment of asking", () =>
  Effect.gen(function* () {
    const given = yield* tenants(1)
    const pgdb = given.pgdb(0, { maxConnections: 2 })
    yield* pgdb.select`select 1`
    const fibers = yield* Effect.forEach(numbers(3), () => Effect.forkChild(pgdb.select`select pg_sleep(1)`))
    yield* eventually(
      "two are lent, and one waits",
      states(given.names[0]),
      (found) =>
        JSON.stringify(found) ===
        JSON.stringify({
          idle: { count: 0, incremental: false },
          used: { count: 2, incremental: false },
          max: { count: 2, incremental: false },
          waiting: { count: 1, incremental: false },
          opened: { count: 2, incremental: true }
        })
    )
    yield* Fiber.joinAll(fibers)
    assert.deepStrictEqual(yield* states(given.names[0]), {
      idle: { count: 2, incremental: false },
      used: { count: 0, incremental: false },
      max: { count: 2, incremental: false },
      waiting: { count: 0, incremental: false },
      opened: { count: 2, incremental: true }
    })
    yield* pgdb.terminate
    assert.deepStrictEqual(yield* states(given.names[0]), {
      idle: { count: 0, incremental: false },
      used: { count: 0, incremental: false },
      max: { count: 0, incremental: false },
      waiting: { count: 0, incremental: false },
      opened: { count: 2, incremental: true }
    })
  }).pipe(metered())
)

it.effect("closed connections are counted by the reason", () =>
  Effect.gen(function* () {
    const given = yield* tenants(2)
    const pgdb = given.pgdb(0, { idleTimeout: "10 seconds", connectionTTL: "25 seconds" })
    const closed = (reason: string, count: number) =>
      eventually(
        `${count} are closed: ${reason}`,
        series("closed", given.names[0], { reason }),
        (state) => JSON.stringify(state) === JSON.stringify({ count, incremental: true })
      )
    yield* pgdb.select`select 1`
    yield* TestClock.adjust("11 seconds")
    yield* closed("idle", 1)
    yield* pgdb.select`select 1`
    yield* TestClock.adjust("9 seconds")
    yield* pgdb.select`select 1`
    yield* TestClock.adjust("9 seconds")
    yield* pgdb.select`select 1`
    yield* TestClock.adjust("9 seconds")
    yield* closed("expired", 1)
    yield* pgdb.select`select 1`
    yield* given.witness.query("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", [
      given.names[0]
    ])
    yield* closed("broken", 1)
    yield* pgdb.select`select 1`
    yield* given.pgdb(1).select`select 1`
    yield* closed("evicted", 1)
    // A role that may not take back what a session may hold cannot reset it.
    const inside = yield* given.home.connect({ ...given.home.settings, database: given.names[0] ?? "" })
    yield* inside.query("revoke execute on function pg_catalog.pg_advisory_unlock_all() from public")
    yield* pgdb.execute`set work_mem = '5MB'`
    yield* closed("unclean", 1)
    yield* pgdb.select`select 1`
    yield* pgdb.terminate
    yield* closed("ended", 1)
  }).pipe(metered({ maxConnections: 1 }))
)

it.effect(
  "how long calls waited for a connection and had it are histograms, in seconds; a wait in vain is a timeout",
  () =>
    Effect.gen(function* () {
      const given = yield* tenants(1)
      const pgdb = given.pgdb(0, { maxConnections: 1, acquireTimeout: "5 seconds" })
      const holding = yield* Deferred.make<void>()
      const letGo = yield* Deferred.make<void>()
      yield* Effect.forkChild(
        pgdb.transaction(
          pgdb.select`select 1`.pipe(
            Effect.andThen(Deferred.succeed(holding, undefined)),
            Effect.andThen(Deferred.await(letGo))
          )
        )
      )
      yield* Deferred.await(holding)
      const waits = yield* Effect.forkChild(Effect.exit(pgdb.select`select 1`))
      const waiting = (count: number) =>
        eventually("it waits", PoolRegistry.stats, ([pool]) => pool?.waiting === count)
      yield* waiting(1)
      yield* TestClock.adjust("5 seconds")
      assert.isTrue(Exit.isFailure(yield* Fiber.join(waits)))
      assert.deepStrictEqual(yield* series("timeouts", given.names[0]), { count: 1, incremental: true })
      const second = yield* Effect.forkChild(pgdb.select`select 1`)
      yield* waiting(1)
      yield* TestClock.adjust("3 seconds")
      yield* Deferred.succeed(letGo, undefined)
      yield* Fiber.join(second)
      yield* pgdb.select`select 1`
      const state = yield* series("wait_time", given.names[0])
      // The first waited for the connection to open, in no time by this clock; the last had it at once.
      assert.containSubset(state, { count: 3, min: 0, max: 3, sum: 3 })
      assert.containSubset(state, { buckets: [[0, 2]] })
      // The transaction had it for all of that time, the two behind it for none, nor the one that timed out.
      assert.containSubset(yield* series("use_time", given.names[0]), { count: 3, max: 8, sum: 8 })
      assert.containSubset(yield* series("create_time", given.names[0]), { count: 1, sum: 0 })
    }).pipe(metered())
)

it.live("a hundred pools have series of their own, and all others one together", () =>
  Effect.gen(function* () {
    const given = yield* tenants(1)
    yield* Effect.forEach(
      numbers(103),
      (index) => PG.make({ ...given.settings(0), key: `key ${index}` }).select`select 1`
    )
    const all = yield* Metric.snapshot
    const tags = new Set(all.map(({ attributes }) => attributes?.[tag]))
    // Those of operations have none.
    tags.delete(undefined)
    assert.strictEqual(tags.size, 101)
    assert.deepStrictEqual(yield* series("opened", "key 99"), { count: 1, incremental: true })
    assert.deepStrictEqual(yield* series("opened", "other"), { count: 3, incremental: true })
  }).pipe(metered({ maxConnections: 5 }))
)

it.live("a registry's limit, what is taken of it and who waits for it are up-down counters", () =>
  Effect.gen(function* () {
    const given = yield* tenants(2)
    const limits = Effect.map(Metric.snapshot, (all) =>
      all
        .filter(({ id }) => id.startsWith("db.client.registry.connection."))
        .map(({ id, state }) => [id.slice(30), state])
    )
    const states = (max: number, used: number, waiting: number) => [
      ["max", { count: max, incremental: false }],
      ["used", { count: used, incremental: false }],
      ["pending_pools", { count: waiting, incremental: false }]
    ]
    const holding = yield* Deferred.make<void>()
    const letGo = yield* Deferred.make<void>()
    const held = Effect.andThen(given.pgdb(0).select`select 1`, Deferred.succeed(holding, undefined))
    const holder = yield* Effect.forkChild(
      given.pgdb(0).transaction(Effect.andThen(held, Deferred.await(letGo)))
    )
    yield* Deferred.await(holding)
    const waits = yield* Effect.forkChild(given.pgdb(1).select`select 1`)
    yield* eventually(
      "one waits",
      limits,
      (found) => JSON.stringify(found) === JSON.stringify(states(1, 1, 1))
    )
    yield* Deferred.succeed(letGo, undefined)
    yield* Fiber.joinAll([holder, waits])
    assert.deepStrictEqual(yield* limits, states(1, 1, 0))
    // One without a limit has none to tell of.
    const own = yield* Effect.provide(limits, PoolRegistry.layer())
    assert.deepStrictEqual(own, states(1, 1, 0))
  }).pipe(metered({ maxConnections: 1 }))
)

it.live("durations are counted by what was done, and failures by what went wrong", () =>
  Effect.gen(function* () {
    const given = yield* tenants(1)
    const pgdb = given.pgdb(0)
    yield* pgdb.select("select pg_sleep(0.06)")
    yield* pgdb.select("select 1")
    yield* Effect.exit(pgdb.select("select 1 / 0"))
    const found = (yield* Metric.snapshot).filter(({ id }) => id === "db.client.operation.duration")
    const states = found.map(({ attributes, state }) => [attributes?.["error.type"], state] as const)
    assert.deepStrictEqual(
      states.map(([type]) => type),
      [undefined, "22012"]
    )
    assert.containSubset(states[0]?.[1], { count: 2 })
    const slept = states[0]?.[1]
    assert.isAtLeast(Predicate.hasProperty(slept, "max") ? Number(slept.max) : 0, 0.06)
    assert.containSubset(states[1]?.[1], { count: 1 })
  }).pipe(metered())
)

it.live("texts without end leave a bounded number of series", () =>
  Effect.gen(function* () {
    const given = yield* tenants(1)
    yield* Effect.forEach(numbers(230), (index) =>
      Effect.exit(given.pgdb(0).select(`select * from t${index}`))
    )
    const found = (yield* Metric.snapshot).filter(({ id }) => id === "db.client.operation.duration")
    assert.isAtMost(found.length, 202)
    const overflow = found.filter(({ attributes }) => attributes?.["otel.metric.overflow"] === "true")
    assert.isAtLeast(overflow.length, 1)
    const counts = found.map(({ state }) => (state as Metric.HistogramState).count)
    assert.strictEqual(
      counts.reduce((sum, one) => sum + one, 0),
      230
    )
  }).pipe(metered())
)
