/**
 * Metrics of the pools, as a user's own exporter reads them: true at the moment of asking, and bounded in number.
 */
import { assert, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
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
          idle: { value: 0 },
          used: { value: 2 },
          max: { value: 2 },
          waiting: { value: 1 },
          opened: { count: 2, incremental: true }
        })
    )
    yield* Fiber.joinAll(fibers)
    assert.deepStrictEqual(yield* states(given.names[0]), {
      idle: { value: 2 },
      used: { value: 0 },
      max: { value: 2 },
      waiting: { value: 0 },
      opened: { count: 2, incremental: true }
    })
    yield* pgdb.terminate
    assert.deepStrictEqual(yield* states(given.names[0]), {
      idle: { value: 0 },
      used: { value: 0 },
      max: { value: 0 },
      waiting: { value: 0 },
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

it.effect("how long calls waited is a histogram, in seconds; who got none is a timeout", () =>
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
    assert.strictEqual(tags.size, 101)
    assert.deepStrictEqual(yield* series("opened", "key 99"), { count: 1, incremental: true })
    assert.deepStrictEqual(yield* series("opened", "other"), { count: 3, incremental: true })
  }).pipe(metered({ maxConnections: 5 }))
)
