/**
 * A failed opening is not remembered, and neither are its settings: a pool that never had a connection, whatever became of its
 * callers, makes room for a handle of the same key with other settings, and no other pool does.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import { PG, PoolRegistry } from "effect-global-pool"
import { database, eventually } from "./support/database.ts"
import { type Given, withDatabase } from "./support/handle.ts"
import { proxy } from "./support/proxy.ts"
import type { TestServer } from "./support/server.ts"

/** What an operation comes to: its value, or the reason of its error. */
const outcome = (pgdb: PG.Database) =>
  pgdb.selectValue("select 1").pipe(
    Effect.map(Option.getOrUndefined),
    Effect.catch((error) => Effect.succeed(error.reason._tag))
  )

const outcomes = (handles: ReadonlyArray<PG.Database>) =>
  Effect.forEach(handles, outcome, { concurrency: "unbounded" })

const times = <A>(n: number, value: A): Array<A> => Array.from({ length: n }, () => value)

const rightAndWrong = (settings: TestServer, more: PG.Settings = {}) => ({
  right: PG.make({ ...settings, ...more }),
  wrong: PG.make({ ...settings, ...more, password: "wrong one" })
})

const pools = Effect.map(PoolRegistry.stats, (pools) => pools.map(({ open, max }) => ({ open, max })))

describe("a wrong password and the right one, under one key", () => {
  withDatabase("in turn", [], ({ settings }) =>
    Effect.gen(function* () {
      const { right, wrong } = rightAndWrong(settings)
      assert.strictEqual(yield* outcome(wrong), "AuthenticationError")
      assert.strictEqual(yield* outcome(right), 1)
      // An idle pool makes room, also for settings that turn out to be wrong.
      assert.strictEqual(yield* outcome(wrong), "AuthenticationError")
      assert.strictEqual(yield* outcome(right), 1)
      assert.deepStrictEqual(yield* pools, [{ open: 1, max: 10 }])
      yield* right.terminate
      assert.strictEqual(yield* outcome(wrong), "AuthenticationError")
      assert.strictEqual(yield* outcome(wrong), "AuthenticationError")
      assert.strictEqual(yield* outcome(right), 1)
    })
  )

  withDatabase("at once, the wrong one first", [], ({ settings }) =>
    Effect.gen(function* () {
      const between = yield* proxy(settings)
      const { right, wrong } = rightAndWrong(settings, between.address)
      assert.deepStrictEqual(yield* outcomes([...times(5, wrong), ...times(5, right)]), [
        ...times(5, "AuthenticationError"),
        ...times(5, "DatabaseConflict")
      ])
      assert.strictEqual(between.opened(), 1)
      assert.deepStrictEqual(yield* outcomes(times(5, right)), times(5, 1))
      assert.lengthOf(yield* pools, 1)
    })
  )

  withDatabase("at once, the right one first", [], ({ settings }) =>
    Effect.gen(function* () {
      const { right, wrong } = rightAndWrong(settings)
      assert.deepStrictEqual(yield* outcomes([...times(5, right), ...times(5, wrong)]), [
        ...times(5, 1),
        ...times(5, "DatabaseConflict")
      ])
    })
  )

  withDatabase("at once, after a failure: the pool makes room for one of them", [], (given) =>
    Effect.gen(function* () {
      const { settings } = given
      const { right, wrong } = rightAndWrong(settings)
      const other = PG.make({ ...settings, maxConnections: 2 })
      assert.strictEqual(yield* outcome(wrong), "AuthenticationError")
      assert.deepStrictEqual(yield* outcomes([...times(3, right), ...times(3, other), wrong]), [
        ...times(3, 1),
        ...times(3, "DatabaseConflict"),
        "DatabaseConflict"
      ])
      assert.lengthOf(yield* pools, 1)
      yield* right.terminate
      assert.deepStrictEqual(yield* given.sessions, [])
    })
  )

  withDatabase("with minConnections, which ask before any caller does", [], ({ settings }) =>
    Effect.gen(function* () {
      const { right, wrong } = rightAndWrong(settings, { minConnections: 1 })
      assert.strictEqual(yield* outcome(wrong), "AuthenticationError")
      assert.strictEqual(yield* outcome(right), 1)
    })
  )

  withDatabase("through clients, which outlive a pool", [], ({ settings }) =>
    Effect.gen(function* () {
      const { right, wrong } = rightAndWrong(settings)
      const client = yield* wrong.client
      // The client only names the pool, which is idle.
      assert.strictEqual(yield* outcome(right), 1)
      assert.include(String(yield* Effect.flip(client`select 1`)), "password authentication failed")
      assert.strictEqual(yield* outcome(right), 1)
    })
  )
})

describe("a pool that was only found makes room, also for another server", () => {
  const conflicting = ({ settings }: Given) =>
    Effect.map(Effect.all([proxy(settings), proxy(settings)]), ([here, there]) => ({
      here,
      first: PG.make({ ...settings, ...here.address }),
      second: PG.make({ ...settings, ...here.address, maxConnections: 2 }),
      elsewhere: PG.make({ ...settings, ...there.address })
    }))

  withDatabase("by a client that nobody used", [], (given) =>
    Effect.gen(function* () {
      const { elsewhere, first } = yield* conflicting(given)
      const client = yield* first.client
      assert.strictEqual(yield* outcome(elsewhere), 1)
      assert.include(String(yield* Effect.flip(client`select 1`)), "They differ in port")
    })
  )

  withDatabase("by a caller that was interrupted before it asked for a connection", [], (given) =>
    Effect.gen(function* () {
      const { elsewhere, first, here, second } = yield* conflicting(given)
      assert.strictEqual(yield* outcome(first), 1)
      // The pool in whose place the next one is built takes its time to end.
      yield* here.pause
      const caller = yield* Effect.forkChild(outcome(second), { startImmediately: true })
      assert.strictEqual(yield* outcome(elsewhere), "DatabaseConflict")
      yield* Fiber.interrupt(caller)
      assert.strictEqual(here.opened(), 1)
      assert.strictEqual(yield* outcome(elsewhere), 1)
    })
  )
})

describe("no other pool makes room", () => {
  withDatabase("one whose opening is on its way", [], ({ settings }) =>
    Effect.gen(function* () {
      const between = yield* proxy(settings)
      const pgdb = PG.make({ ...settings, ...between.address })
      const other = PG.make({ ...settings, ...between.address, maxConnections: 2 })
      yield* between.pause
      const waiting = yield* Effect.forkChild(outcome(pgdb))
      yield* eventually("it is on its way", Effect.sync(between.open), (open) => open === 1)
      assert.strictEqual(yield* outcome(other), "DatabaseConflict")
      // Nobody waits for it any more, and it comes all the same.
      yield* Fiber.interrupt(waiting)
      assert.strictEqual(yield* outcome(other), "DatabaseConflict")
      yield* between.resume
      assert.strictEqual(yield* outcome(pgdb), 1)
    })
  )

  withDatabase("one whose callers wait for a place under the registry's limit", [], ({ pgdb, settings }) =>
    Effect.gen(function* () {
      const busy = yield* Effect.forkChild(pgdb.transaction(Effect.never))
      yield* eventually("the only place is taken", PoolRegistry.stats, ([first]) => first?.inUse === 1)
      const first = PG.make({ ...settings, key: "second pool" })
      const other = PG.make({ ...settings, key: "second pool", maxConnections: 2 })
      const waiting = yield* Effect.forkChild(outcome(first))
      yield* eventually("it waits", PoolRegistry.stats, (all) => all.some(({ waiting }) => waiting === 1))
      assert.strictEqual(yield* outcome(other), "DatabaseConflict")
      yield* Fiber.interrupt(waiting)
      const served = yield* Effect.forkChild(outcome(other))
      yield* eventually("it waits", PoolRegistry.stats, (all) => all.some(({ waiting }) => waiting === 1))
      assert.strictEqual(yield* outcome(first), "DatabaseConflict")
      yield* Fiber.interrupt(busy)
      assert.strictEqual(yield* Fiber.join(served), 1)
    }).pipe(Effect.provide(PoolRegistry.layer({ maxConnections: 1 })))
  )

  withDatabase("one of another server that has no connection at the moment, and had one", [], (given) =>
    Effect.gen(function* () {
      const { settings } = given
      const between = yield* proxy(settings)
      const pgdb = PG.make({ ...settings, ...between.address, idleTimeout: 0 })
      const other = PG.make(settings)
      assert.strictEqual(yield* outcome(pgdb), 1)
      yield* eventually("it has none", PoolRegistry.stats, ([pool]) => pool?.open === 0)
      assert.strictEqual(yield* outcome(other), "DatabaseConflict")
      // Not either when the next one fails.
      yield* between.refuse
      assert.strictEqual(yield* outcome(pgdb), "ConnectionError")
      assert.strictEqual(yield* outcome(other), "DatabaseConflict")
      yield* between.accept
      assert.strictEqual(yield* outcome(pgdb), 1)
    })
  )
})

it.live("the metrics of a key show the pool that it has", () =>
  Effect.gen(function* () {
    const { settings } = yield* database()
    const { right, wrong } = rightAndWrong(settings)
    yield* Effect.gen(function* () {
      yield* outcome(wrong)
      yield* outcome(PG.make({ ...settings, password: "wrong as well", maxConnections: 3 }))
      yield* outcome(right)
      const max = (yield* Metric.snapshot).filter(({ id }) => id === "db.client.connection.max")
      assert.deepStrictEqual(
        max.map(({ state }) => state),
        [{ count: 10, incremental: false }]
      )
    }).pipe(Effect.provide(PoolRegistry.layer()), Effect.provideService(Metric.MetricRegistry, new Map()))
  })
)
