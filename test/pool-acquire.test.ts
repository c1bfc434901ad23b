/**
 * Waiting for a connection: how long, how many, in which order, and with which error the wait ends.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import { PG, PoolError, PoolRegistry } from "effect-global-pool"
import { database, eventually, type TestDatabase } from "./support/database.ts"
import { withDatabase } from "./support/handle.ts"

const slow = "select pg_sleep(60)"

/** Two statements that hold both connections of a pool. */
const busy = Effect.fnUntraced(function* (given: TestDatabase, pgdb: PG.Database) {
  const fibers = yield* Effect.forEach([1, 2], () => Effect.forkChild(pgdb.select(slow)))
  yield* given.until(
    "both are at work",
    (sessions) => sessions.filter(({ query }) => query === slow).length === 2
  )
  return fibers
})

const inLine = (count: number) =>
  eventually(`${count} stand in line`, PoolRegistry.stats, ([pool]) => pool?.waiting === count)

const timeoutOf = (error: PG.OperationError) => {
  assert.instanceOf(error, PoolError)
  const { message, reason } = error
  assert.strictEqual(reason._tag, "AcquireTimeout")
  return { message, reason }
}

describe("acquireTimeout", () => {
  it.effect("is thirty seconds, to the millisecond, and says who is in the way", () =>
    Effect.gen(function* () {
      const given = yield* database()
      const pgdb = PG.make({ ...given.settings, maxConnections: 2 })
      yield* busy(given, pgdb)
      const first = yield* Effect.forkChild(Effect.flip(pgdb.select("select 1")))
      yield* inLine(1)
      yield* TestClock.adjust("10 seconds")
      const second = yield* Effect.forkChild(Effect.flip(pgdb.transaction(pgdb.select("select 1"))))
      yield* inLine(2)
      yield* TestClock.adjust("19999 millis")
      assert.isUndefined(first.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const { message, reason } = timeoutOf(yield* Fiber.join(first))
      const key = given.settings.database
      assert.deepInclude(reason, { _tag: "AcquireTimeout", key, inUse: 2, max: 2, waiting: 2 })
      assert.strictEqual(
        message,
        `No connection of the pool "${key}" came free within acquireTimeout, 30000 ms: 2 of its 2 connections are in use, 2 operations wait. ` +
          "Raise maxConnections, shorten the transactions and streams that hold them, or raise acquireTimeout."
      )
      assert.isUndefined(second.pollUnsafe())
      yield* TestClock.adjust("10 seconds")
      assert.deepInclude(timeoutOf(yield* Fiber.join(second)).reason, { waiting: 1 })
      assert.deepStrictEqual(
        (yield* PoolRegistry.stats).map(({ inUse, open, waiting }) => ({ inUse, open, waiting })),
        [{ inUse: 2, open: 2, waiting: 0 }]
      )
    }).pipe(Effect.provide(PoolRegistry.layer()))
  )

  it.effect("does not count the time that a statement takes", () =>
    Effect.gen(function* () {
      const given = yield* database()
      const pgdb = PG.make({ ...given.settings, acquireTimeout: "1 second" })
      yield* given.witness.query("select pg_advisory_lock(1)")
      const fiber = yield* Effect.forkChild(pgdb.execute("select pg_advisory_xact_lock(1)"))
      yield* given.until("it waits", (sessions) => sessions.some(({ waitEvent }) => waitEvent === "advisory"))
      yield* TestClock.adjust("1 hour")
      yield* given.witness.query("select pg_advisory_unlock(1)")
      assert.strictEqual((yield* Fiber.join(fiber)).rowCount, 1)
    }).pipe(Effect.provide(PoolRegistry.layer()))
  )

  it.effect("says so when the caller may wait for itself", () =>
    Effect.gen(function* () {
      const { settings } = yield* database()
      const one = PG.make({ ...settings, maxConnections: 1 })
      // A pool of its own for the same database: its operations do not join the transaction.
      const other = PG.make({ ...settings, maxConnections: 1, key: "other" })
      const deadlock = one.transaction(
        Effect.andThen(
          one.select("select 1"),
          other.transaction(
            Effect.andThen(
              other.select("select 1"),
              Effect.scoped(Effect.flatMap(one.client, (sql) => sql.reserve))
            )
          )
        )
      )
      const fiber = yield* Effect.forkChild(Effect.flip(deadlock))
      yield* eventually("it waits", PoolRegistry.stats, (pools) =>
        pools.some(({ inUse, waiting }) => inUse === 1 && waiting === 1)
      )
      yield* TestClock.adjust("30 seconds")
      const error = yield* Fiber.join(fiber)
      assert.include(error.message, `already holds a connection of`)
      assert.include(error.message, "it may wait for itself")
    }).pipe(Effect.provide(PoolRegistry.layer()))
  )
})

withDatabase("maxWaiting refuses one more at once", [], (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...given.settings, maxConnections: 2, maxWaiting: 3 })
    const running = yield* busy(given, pgdb)
    const waiting = yield* Effect.forEach([1, 2, 3], (n) =>
      Effect.forkChild(pgdb.selectValue("select $1::int", [n]))
    )
    yield* inLine(3)
    const { message, reason } = timeoutOf(yield* Effect.flip(pgdb.select("select 4")))
    assert.deepInclude(reason, { inUse: 2, max: 2, waiting: 3 })
    assert.include(message, "takes no more waiting operations, by the setting maxWaiting")
    yield* Fiber.interruptAll(running)
    for (const fiber of waiting) assert.isTrue(Exit.isSuccess(yield* Fiber.await(fiber)))
    assert.deepStrictEqual(yield* pgdb.select("select 4 as n"), [{ n: 4 }])
  })
)

withDatabase("maxWaiting of none lets every connection be used", [], (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...given.settings, maxConnections: 2, maxWaiting: 0 })
    const running = yield* busy(given, pgdb)
    timeoutOf(yield* Effect.flip(pgdb.select("select 1")))
    yield* Fiber.interruptAll(running)
    assert.deepStrictEqual(yield* pgdb.select("select 1 as n"), [{ n: 1 }])
  })
)

withDatabase("callers that wait get connections in the order in which they came", [], (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
    yield* given.witness.query("select pg_advisory_lock(1)")
    const holder = yield* Effect.forkChild(pgdb.execute("select pg_advisory_xact_lock(1)"))
    yield* given.until("it waits", (sessions) => sessions.some(({ waitEvent }) => waitEvent === "advisory"))
    const order: Array<number> = []
    const fibers = yield* Effect.forEach([1, 2, 3, 4, 5], (n) =>
      Effect.forkChild(
        Effect.tap(pgdb.transaction(pgdb.select("select 1")), () => Effect.sync(() => order.push(n)))
      )
    )
    yield* inLine(5)
    yield* given.witness.query("select pg_advisory_unlock(1)")
    yield* Fiber.join(holder)
    yield* Effect.forEach(fibers, Fiber.join)
    assert.deepStrictEqual(order, [1, 2, 3, 4, 5])
  })
)

withDatabase("minConnections are there without a call once the pool is", [], (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...given.settings, minConnections: 3, maxConnections: 5 })
    yield* pgdb.select("select 1")
    yield* given.until("three are open", (sessions) => sessions.length === 3)
    const [first] = yield* given.sessions
    yield* given.witness.query("select pg_terminate_backend($1)", [first?.pid])
    yield* given.until(
      "three are open again",
      (sessions) => sessions.length === 3 && sessions.every(({ pid }) => pid !== first?.pid)
    )
  })
)
