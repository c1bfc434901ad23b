/**
 * Overload has an end: a caller that waits too long, or is one too many, fails with the numbers and leaves the queue.
 */
import { assert, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { type PG, PoolError, PoolRegistry } from "effect-global-pool"
import { eventually } from "./support/database.ts"
import { tenants } from "./support/tenants.ts"

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)

/** Holds every connection that a pool may have; the effect that it gives lets go of them. */
const hold = (pgdb: PG.Database, count: number) =>
  Effect.gen(function* () {
    const letGo = yield* Deferred.make<void>()
    const all = yield* Deferred.make<void>()
    let held = 0
    const one = pgdb.transaction(
      Effect.gen(function* () {
        yield* pgdb.select`select 1`
        held++
        if (held === count) yield* Deferred.succeed(all, undefined)
        yield* Deferred.await(letGo)
      })
    )
    const fibers = yield* Effect.forEach(numbers(count), () => Effect.forkChild(one))
    yield* Deferred.await(all)
    return Effect.andThen(Deferred.succeed(letGo, undefined), Fiber.joinAll(fibers))
  })

const waiting = (count: number) =>
  eventually(
    `${count} wait`,
    PoolRegistry.stats,
    (all) => all.reduce((sum, { waiting }) => sum + waiting, 0) === count
  )

/** The error and its reason, of a call that is refused by the pool. */
const refusal = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.instanceOf(error, PoolError)
    return error
  })

it.effect(
  "after acquireTimeout the error says how many connections are in use and how many callers wait",
  () =>
    Effect.gen(function* () {
      const given = yield* tenants(1)
      const pgdb = given.pgdb(0, { maxConnections: 2, acquireTimeout: "3 seconds" })
      const letGo = yield* hold(pgdb, 2)
      const early = yield* Effect.forkChild(refusal(pgdb.select`select 1`))
      yield* waiting(1)
      yield* TestClock.adjust("2 seconds")
      const late = yield* Effect.forkChild(pgdb.select`select 2 as two`)
      yield* waiting(2)
      yield* TestClock.adjust("1 second")
      const error = yield* Fiber.join(early)
      const key = String(given.names[0])
      assert.deepInclude(error.reason, { _tag: "AcquireTimeout", key, inUse: 2, max: 2, waiting: 2 })
      assert.strictEqual(
        error.message,
        `No connection of the pool "${key}" came free within acquireTimeout, 3000 ms: 2 of its 2 connections are in use, 2 operations wait. ` +
          "Raise maxConnections, shorten the transactions and streams that hold them, or raise acquireTimeout."
      )
      yield* waiting(1)
      yield* letGo
      assert.deepStrictEqual(yield* Fiber.join(late), [{ two: 2 }])
    }).pipe(Effect.provide(PoolRegistry.layer()))
)

it.effect("where the registry's limit is what is exhausted, the message says so", () =>
  Effect.gen(function* () {
    const given = yield* tenants(2)
    const letGo = yield* hold(given.pgdb(0), 2)
    const other = given.pgdb(1, { acquireTimeout: "1 second" })
    const call = yield* Effect.forkChild(refusal(other.select`select 1`))
    yield* waiting(1)
    yield* TestClock.adjust("1 second")
    const error = yield* Fiber.join(call)
    assert.include(
      error.message,
      "0 of its 10 connections are in use, 1 operation waits, and all pools together have 2 of 2. " +
        "Raise the registry's maxConnections, of which each database that listens takes one, shorten "
    )
    yield* letGo
    assert.deepStrictEqual(yield* other.select`select 1 as one`, [{ one: 1 }])
  }).pipe(Effect.provide(PoolRegistry.layer({ maxConnections: 2 })))
)

it.effect("maxWaiting refuses the next at once", () =>
  Effect.gen(function* () {
    const given = yield* tenants(1)
    const pgdb = given.pgdb(0, { maxConnections: 1, maxWaiting: 2 })
    const letGo = yield* hold(pgdb, 1)
    const queued = yield* Effect.forEach(numbers(2), () => Effect.forkChild(pgdb.select`select 1 as one`))
    yield* waiting(2)
    const error = yield* refusal(pgdb.select`select 1`)
    assert.strictEqual(error.reason._tag, "AcquireTimeout")
    assert.include(error.message, "takes no more waiting operations, by the setting maxWaiting")
    yield* letGo
    for (const rows of yield* Fiber.joinAll(queued)) assert.deepStrictEqual(rows, [{ one: 1 }])
    assert.deepStrictEqual(yield* pgdb.select`select 1 as one`, [{ one: 1 }])
  }).pipe(Effect.provide(PoolRegistry.layer()))
)

it.effect(
  "maxWaiting counts who waits for another pool's busy connections, and not who waits for an opening",
  () =>
    Effect.gen(function* () {
      const given = yield* tenants(3)
      const letGo = yield* hold(given.pgdb(0), 2)
      const other = given.pgdb(1, { maxWaiting: 1 })
      const queued = yield* Effect.forkChild(other.select`select 1 as one`)
      yield* waiting(1)
      const error = yield* refusal(other.select`select 1`)
      assert.include(
        error.message,
        "by the setting maxWaiting: 0 of its 10 connections are in use, 1 operation waits"
      )
      yield* letGo
      assert.deepStrictEqual(yield* Fiber.join(queued), [{ one: 1 }])
      // Idle connections of other pools make room at once.
      const impatient = given.pgdb(2, { maxWaiting: 0 })
      yield* Effect.forEach(numbers(2), () => impatient.select`select pg_sleep(0.1)`, { concurrency: 2 })
    }).pipe(Effect.provide(PoolRegistry.layer({ maxConnections: 2 })))
)

it.effect("a caller that is interrupted leaves the queue", () =>
  Effect.gen(function* () {
    const given = yield* tenants(2)
    const letGo = yield* hold(given.pgdb(0), 1)
    const own = yield* Effect.forkChild(given.pgdb(0).select`select 1`)
    const others = yield* Effect.forkChild(given.pgdb(1).select`select 1`)
    yield* waiting(2)
    yield* Fiber.interrupt(own)
    yield* waiting(1)
    yield* Fiber.interrupt(others)
    yield* waiting(0)
    yield* letGo
    // Nobody asks for the place any more, so its connection stays.
    assert.deepStrictEqual(yield* given.sessions, given.names.slice(0, 1))
    assert.deepStrictEqual(yield* given.pgdb(1).select`select 1 as one`, [{ one: 1 }])
  }).pipe(Effect.provide(PoolRegistry.layer({ maxConnections: 1 })))
)

const waitsForItself = (
  name: string,
  outer: (
    pgdb: PG.Database,
    inner: Effect.Effect<unknown, unknown, PoolRegistry>
  ) => Effect.Effect<unknown, unknown, PoolRegistry>
) =>
  it.effect(name, () =>
    Effect.gen(function* () {
      const given = yield* tenants(2)
      const [pgdb, other] = [given.pgdb(0), given.pgdb(1)]
      const call = yield* Effect.forkChild(refusal(outer(pgdb, other.select`select 1`)))
      yield* eventually("the inner call waits", PoolRegistry.stats, (all) =>
        all.some(({ key, waiting }) => key === given.names[1] && waiting === 1)
      )
      yield* TestClock.adjust("30 seconds")
      const error = yield* Fiber.join(call)
      assert.include(
        error.message,
        `The fiber that waited already holds a connection of "${given.names[0]}" in a transaction or a stream, and needed one more: it may wait for itself.`
      )
      assert.deepStrictEqual(yield* other.select`select 1 as one`, [{ one: 1 }])
    }).pipe(Effect.provide(PoolRegistry.layer({ maxConnections: 1 })))
  )

waitsForItself(
  "a transaction that needs a connection of another database fails and says that it waits for itself",
  (pgdb, inner) => pgdb.transaction(Effect.andThen(pgdb.select`select 1`, inner))
)

waitsForItself(
  "a stream that needs a connection of another database fails and says that it waits for itself",
  (pgdb, inner) => Stream.runDrain(Stream.mapEffect(pgdb.stream`select generate_series(1, 3)`, () => inner))
)
