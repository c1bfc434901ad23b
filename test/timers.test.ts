/**
 * Everything that the pool waits for has an end, by the clock of the program: a test that simulates time needs no
 * patience. What a server that fell silent holds up is shown here; other timers have tests beside what they are for.
 */
import { assert, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import { PG, PoolRegistry } from "effect-global-pool"
import { database, eventually } from "./support/database.ts"
import { type Proxy, proxy } from "./support/proxy.ts"

/** A handle on a server that can fall silent: connections stay open and nothing comes through. */
const silenced = (options: Partial<PG.Settings> = {}) =>
  Effect.gen(function* () {
    const { settings } = yield* database()
    const between = yield* proxy(settings)
    return { between, pgdb: PG.make({ ...settings, ...between.address, ...options }) }
  })

const isDone = <A, E>(fiber: Fiber.Fiber<A, E>) => Effect.sync(() => fiber.pollUnsafe() !== undefined)
/** Lets time pass until the fiber has ended. */
const passing = <A, E>(fiber: Fiber.Fiber<A, E>, step: Duration.Input = "1 second") =>
  Effect.repeat(Effect.andThen(TestClock.adjust(step), isDone(fiber)), { until: (done) => done })

/** The proxy hears of the ends of connections when it is a good network again. */
const goneFrom = (between: Proxy) =>
  Effect.andThen(
    between.resume,
    eventually("nothing is open", Effect.sync(between.open), (open) => open === 0)
  )

it.effect("connectTimeout: an opening that nobody answers ends, and its connection with it", () =>
  Effect.gen(function* () {
    const { between, pgdb } = yield* silenced({ connectTimeout: "7 seconds" })
    yield* between.pause
    const call = yield* Effect.forkChild(Effect.flip(pgdb.select`select 1`))
    yield* eventually("it connects", Effect.sync(between.open), (open) => open === 1)
    yield* TestClock.adjust("6999 millis")
    assert.isFalse(yield* isDone(call))
    assert.strictEqual(between.open(), 1)
    yield* TestClock.adjust("1 millis")
    // It hangs up, and waits two seconds for the server to do so.
    yield* passing(call)
    assert.include((yield* Fiber.join(call)).message, "connectTimeout, 7000 ms")
    yield* goneFrom(between)
  }).pipe(Effect.provide(PoolRegistry.layer()))
)

it.effect("poolIdleTimeout is five minutes by default", () =>
  Effect.gen(function* () {
    const { sessions, settings } = yield* database()
    yield* PG.make(settings).select`select 1`
    yield* TestClock.adjust("299 seconds")
    yield* eventually("its connection is gone", sessions, (all) => all.length === 0)
    assert.lengthOf(yield* PoolRegistry.stats, 1)
    yield* TestClock.adjust("1 second")
    yield* eventually("it is forgotten", PoolRegistry.stats, (all) => all.length === 0)
  }).pipe(Effect.provide(PoolRegistry.layer()))
)

it.effect("a session that does not end when it is closed is cut off after two seconds", () =>
  Effect.gen(function* () {
    const { between, pgdb } = yield* silenced()
    yield* pgdb.select`select 1`
    yield* between.pause
    const ending = yield* Effect.forkChild(pgdb.terminate)
    yield* TestClock.adjust("1999 millis")
    assert.isFalse(yield* isDone(ending))
    yield* TestClock.adjust("1 millis")
    yield* Fiber.join(ending)
    yield* goneFrom(between)
  }).pipe(Effect.provide(PoolRegistry.layer()))
)

it.effect("a cancel that nobody answers is given up after five seconds, and so is its connection", () =>
  Effect.gen(function* () {
    const { between, pgdb } = yield* silenced()
    const before = yield* pgdb.selectValue`select pg_backend_pid()`
    const call = yield* Effect.forkChild(pgdb.select`select pg_sleep(600)`)
    yield* eventually("it runs", Effect.sync(between.sent), (sent) => sent.includes("pg_sleep"))
    yield* between.pause
    const leaving = yield* Effect.forkChild(Fiber.interrupt(call))
    yield* eventually("the cancel is on its way", Effect.sync(between.opened), (opened) => opened === 2)
    yield* TestClock.adjust("4999 millis")
    assert.isAbove(between.open(), 0)
    yield* TestClock.adjust("1 millis")
    yield* passing(leaving)
    assert.isBelow(yield* Clock.currentTimeMillis, 30_000)
    yield* goneFrom(between)
    assert.notDeepEqual(yield* pgdb.selectValue`select pg_backend_pid()`, before)
  }).pipe(Effect.provide(PoolRegistry.layer()))
)

it.effect(
  "a statement of a transaction that waits for its own end fails and says so after acquireTimeout",
  () =>
    Effect.gen(function* () {
      const { settings } = yield* database()
      const pgdb = PG.make({ ...settings, acquireTimeout: "1 hour" })
      const go = yield* Deferred.make<void>()
      const stuck = pgdb.transaction(
        Effect.gen(function* () {
          const outer = yield* Effect.forkChild(Effect.andThen(Deferred.await(go), pgdb.select`select 1`))
          yield* pgdb.transaction(
            Effect.gen(function* () {
              yield* pgdb.select`select 2`
              yield* Deferred.succeed(go, undefined)
              yield* Fiber.join(outer)
            })
          )
        })
      )
      const call = yield* Effect.forkChild(Effect.flip(stuck))
      yield* Effect.exit(Deferred.await(go))
      yield* passing(call, "10 minutes")
      assert.isAtLeast(yield* Clock.currentTimeMillis, 3_600_000)
      assert.include((yield* Fiber.join(call)).message, "must not wait for a fiber of the outer one")
    }).pipe(Effect.provide(PoolRegistry.layer()))
)

it.effect("a transaction that is tried again waits before it is", () =>
  Effect.gen(function* () {
    const { settings } = yield* database()
    const pgdb = PG.make(settings)
    let tries = 0
    const failing = pgdb.transaction(
      Effect.suspend(() => {
        tries++
        return pgdb.execute("do $$ begin raise exception using errcode = '40001'; end $$")
      }),
      { retry: { times: 2 } }
    )
    const call = yield* Effect.forkChild(Effect.flip(failing))
    const tried = Effect.sync(() => tries)
    yield* eventually("it was tried", tried, (count) => count === 1)
    // The pauses are of some milliseconds; seconds would be more than a ROLLBACK is waited for.
    const passes = Effect.provideService(TestClock.adjust("20 millis"), Clock.Clock, yield* Clock.Clock)
    const later = Effect.andThen(passes, tried)
    yield* eventually("it was tried again, twice", later, (count) => count === 3)
    yield* eventually("it has failed", isDone(call), (done) => done)
  }).pipe(Effect.provide(PoolRegistry.layer()))
)

it.effect("a ROLLBACK that nobody answers is given up after five seconds, and so is its connection", () =>
  Effect.gen(function* () {
    const { between, pgdb } = yield* silenced()
    const silent = yield* Deferred.make<void>()
    const failing = pgdb.transaction(
      Effect.gen(function* () {
        yield* pgdb.select`select 1`
        yield* between.pause
        yield* Deferred.succeed(silent, undefined)
        return yield* Effect.fail("no")
      })
    )
    const call = yield* Effect.forkChild(Effect.flip(failing))
    yield* Deferred.await(silent)
    yield* TestClock.adjust("4999 millis")
    assert.isFalse(yield* isDone(call))
    yield* passing(call)
    assert.strictEqual(yield* Fiber.join(call), "no")
    assert.isBelow(yield* Clock.currentTimeMillis, 30_000)
    yield* goneFrom(between)
    assert.lengthOf(yield* pgdb.select`select 1`, 1)
  }).pipe(Effect.provide(PoolRegistry.layer()))
)

it.effect(
  "the names of the databases that there are, for the error of a missing one, are waited for briefly",
  () =>
    Effect.gen(function* () {
      const { between, pgdb } = yield* silenced({
        database: "nowhere_to_be_found",
        connectTimeout: "1 minute"
      })
      yield* between.delay("20 millis")
      const call = yield* Effect.forkChild(Effect.flip(pgdb.select`select 1`))
      yield* eventually("it asks for them", Effect.sync(between.opened), (opened) => opened === 2)
      yield* between.pause
      yield* TestClock.adjust("1999 millis")
      assert.isFalse(yield* isDone(call))
      yield* passing(call)
      assert.include((yield* Fiber.join(call)).message, 'database "nowhere_to_be_found" does not exist')
      assert.isBelow(yield* Clock.currentTimeMillis, 30_000)
      yield* goneFrom(between)
    }).pipe(Effect.provide(PoolRegistry.layer()))
)
