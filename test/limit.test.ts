/**
 * One limit over all pools: the server never sees more, whatever is going on, and no place is ever lost. The server itself
 * is the witness: it refuses the role one connection more than the limit.
 */
import { assert, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { PG, PoolRegistry } from "effect-global-pool"
import { database, eventually } from "./support/database.ts"
import { proxy } from "./support/proxy.ts"
import { mostSessions, type Tenants, tenants } from "./support/tenants.ts"

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)
const inParallel = { concurrency: "unbounded" } as const

/** The same numbers in every run. */
const randoms = (seed: number) => {
  let state = seed
  return (below: number) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

/** Every place can be had at once, and not one more: none was lost, none was given away twice. */
const allPlacesAreThere = (given: Tenants, limit: number) =>
  Effect.gen(function* () {
    const everybody = yield* Deferred.make<void>()
    let inside = 0
    const hold = (tenant: number) =>
      given.pgdb(tenant).transaction(
        Effect.gen(function* () {
          yield* given.pgdb(tenant).select`select 1`
          inside++
          if (inside === limit) yield* Deferred.succeed(everybody, undefined)
          yield* Deferred.await(everybody)
        })
      )
    yield* Effect.forEach(numbers(limit), hold, inParallel)
    assert.strictEqual(inside, limit)
  })

/** Connections that were opened so far, counted in the metric registry of the test. */
const opened = Effect.map(Metric.snapshot, (all) =>
  all.reduce(
    (sum, { id, state }) =>
      id.endsWith("connection.opened") && "count" in state ? sum + Number(state.count) : sum,
    0
  )
)

const limited = (maxConnections: number) => Effect.provide(PoolRegistry.layer({ maxConnections }))

it.live(
  "a hundred databases, all kinds of work, interruptions, broken connections: never one more",
  () =>
    Effect.gen(function* () {
      const limit = 8
      const given = yield* tenants(100)
      yield* given.allow(limit)
      const work = Effect.gen(function* () {
        const random = randoms(20_260_101)
        const failures: Array<string> = []
        const missing = PG.make({ ...given.settings(0), database: `${given.names[0]}_gone` })
        const one = (index: number) =>
          Effect.gen(function* () {
            const tenant = Math.min(random(100), random(100))
            const pgdb = given.pgdb(tenant)
            const people = pgdb.table("people")
            const kind = index % 10
            if (kind === 7) {
              const error = yield* Effect.flip(missing.select`select 1`)
              assert.include(error.message, "does not exist")
            } else if (kind === 8) {
              // Left at any moment: while it waits, opens, or runs.
              const fiber = yield* Effect.forkChild(pgdb.select`select pg_sleep(5)`)
              yield* given.witness.query(`select pg_sleep(${random(20) / 1000})`)
              yield* Fiber.interrupt(fiber)
            } else if (kind === 9) {
              yield* pgdb.terminateWithin(random(2) * 50)
            } else if (index % 20 === 6) {
              const ending = pgdb.select`select pg_terminate_backend(pg_backend_pid())`
              const { message } = yield* Effect.flip(pgdb.transaction(ending))
              assert.match(message, /terminating connection|was ended while/)
            } else if (kind === 6) {
              yield* pgdb.transaction(
                Effect.andThen(people.select`select * from people`, pgdb.select`select 1`)
              )
            } else if (kind === 5) {
              yield* Stream.runCollect(Stream.take(people.stream`select generate_series(1, 1000) as n`, 5))
            } else {
              const rows = yield* people.select`select name from people where id = ${(index % 3) + 1}`
              assert.lengthOf(rows, 1)
            }
          }).pipe(
            Effect.exit,
            Effect.tap((exit) =>
              Effect.sync(() => {
                // A pool that was just ended by another caller says so, or cancels what runs; nothing else may go wrong.
                if (Exit.isFailure(exit) && !/was ended while|due to user request/.test(String(exit.cause)))
                  failures.push(String(exit.cause))
              })
            )
          )
        yield* Effect.forEach(numbers(300), one, { concurrency: 48, discard: true })
        assert.deepStrictEqual(failures.slice(0, 3), [])
        yield* allPlacesAreThere(given, limit)
      }).pipe(limited(limit))
      const { looks, most } = yield* mostSessions(given, work)
      assert.isAbove(looks, 20)
      assert.isAtMost(most, limit)
      assert.isAbove(most, limit / 2)
      assert.deepStrictEqual(yield* given.sessions, [])
    }),
  180_000
)

it.live("the place of a session that takes its time to end is given over when the server has ended it", () =>
  Effect.gen(function* () {
    const given = yield* tenants(3)
    yield* given.allow(1)
    /** Leaves a session that has much to put away before its process is gone; no statement's text shows it. */
    const linger = (tenant: number) =>
      Effect.gen(function* () {
        const pgdb = given.pgdb(tenant)
        yield* pgdb.execute`create or replace function clutter() returns void language plpgsql as $$ begin
          for n in 1 .. 500 loop execute format('create temporary table clutter_%s (n int)', n); end loop;
        end $$`
        yield* pgdb.select`select clutter()`
      })
    const one = (tenant: number) => given.pgdb(tenant).select`select 1 as one`
    yield* linger(0)
    assert.deepStrictEqual(yield* one(1), [{ one: 1 }])
    yield* linger(2)
    yield* Effect.all([given.pgdb(2).terminate, one(1)], inParallel)
    // The server says goodbye before it puts them away.
    yield* linger(0)
    yield* given.witness.query("select pg_terminate_backend(pid) from pg_stat_activity where usename = $1", [
      given.role
    ])
    assert.deepStrictEqual(yield* one(2), [{ one: 1 }])
  }).pipe(limited(1))
)

it.effect("the place of a session that the server has not ended yet is nobody else's", () =>
  Effect.gen(function* () {
    const { settings } = yield* database()
    const link = yield* proxy(settings)
    const first = PG.make({ ...settings, ...link.address, key: "first" })
    const second = PG.make({ ...settings, key: "second", acquireTimeout: 20_000 })
    assert.deepStrictEqual(yield* first.select`select 1 as one`, [{ one: 1 }])
    // The server does not hear of the end of the first one's session.
    yield* link.pause
    const waiting = yield* Effect.forkChild(Effect.flip(second.select`select 1`), { startImmediately: true })
    yield* TestClock.adjust("19 seconds")
    assert.isUndefined(waiting.pollUnsafe())
    yield* TestClock.adjust("1 second")
    const error = yield* Fiber.join(waiting)
    assert.strictEqual(error._tag === "PoolError" ? error.reason._tag : error._tag, "AcquireTimeout")
    yield* link.resume
    assert.deepStrictEqual(yield* second.select`select 1 as one`, [{ one: 1 }])
  }).pipe(limited(1))
)

/** What a caller of the first tenant's may have under way when its pool is ended at once. */
const work: Readonly<
  Record<string, (pgdb: PG.Database) => Effect.Effect<unknown, PG.OperationError, PoolRegistry>>
> = {
  nothing: (pgdb) => pgdb.select`select 1`,
  "a statement": (pgdb) => pgdb.select`select pg_sleep(60)`,
  "an idle transaction": (pgdb) => pgdb.transaction(Effect.andThen(pgdb.select`select 1`, Effect.never)),
  "a stream whose reader sleeps": (pgdb) =>
    Stream.runForEach(pgdb.stream`select generate_series(1, 100000) n`, () => Effect.never),
  "a listener": (pgdb) => Stream.runDrain(pgdb.listen("jobs"))
}

for (const [name, begin] of Object.entries(work)) {
  it.live(
    `a pool that is ended at once, with ${name} under way, keeps its place until the server has ended it`,
    () =>
      Effect.gen(function* () {
        const given = yield* tenants(2)
        yield* given.allow(1)
        const link = yield* proxy(given.settings(0))
        const pgdb = given.pgdb(0, link.address)
        const caller = yield* Effect.forkChild(Effect.exit(begin(pgdb)))
        const begun = given.witness.query("select from pg_stat_activity where usename = $1 and query <> ''", [
          given.role
        ])
        yield* eventually("it has begun", begun, (all) => all.length === 1)
        if (name === "nothing") yield* Fiber.join(caller)
        // The server hears nothing more of this session; new links work, as that of a cancel.
        yield* link.freeze
        const [took] = yield* Effect.timed(pgdb.terminateWithin(0))
        assert.isBelow(Duration.toMillis(took), 1_500)
        const next = yield* Effect.forkChild(given.pgdb(1).select`select 1 as one`)
        yield* eventually("the next pool waits for the place", PoolRegistry.stats, (all) =>
          all.some(({ waiting }) => waiting === 1)
        )
        yield* Effect.sleep("300 millis")
        yield* link.resume
        assert.deepStrictEqual(yield* Fiber.join(next), [{ one: 1 }])
        yield* Fiber.interrupt(caller)
      }).pipe(limited(1))
  )
}

it.live("the connection idle longest, in whichever pool, makes room", () =>
  Effect.gen(function* () {
    const given = yield* tenants(5)
    const use = (tenant: number) => given.pgdb(tenant).select`select 1`
    const open = Effect.map(given.sessions, (all) => all.map((name) => given.names.indexOf(name)).sort())
    for (const tenant of [0, 1, 2]) yield* use(tenant)
    assert.deepStrictEqual(yield* open, [0, 1, 2])
    yield* use(0)
    yield* use(3)
    assert.deepStrictEqual(yield* open, [0, 2, 3])
    yield* use(2)
    yield* use(4)
    assert.deepStrictEqual(yield* open, [2, 3, 4])
  }).pipe(limited(3))
)

it.live(
  "databases that wait get one turn each, round and round; within one, first come is first served",
  () =>
    Effect.gen(function* () {
      const given = yield* tenants(5)
      yield* given.allow(1)
      const served: Array<readonly [tenant: number, call: number]> = []
      // Longer than a turn, so that one statement is one turn.
      const call = (tenant: number, number: number) =>
        Effect.map(given.pgdb(tenant).select`select pg_sleep(0.015)`, () => {
          served.push([tenant, number])
        })
      const calls = numbers(5).flatMap((tenant) => numbers(4).map((number) => [tenant, number] as const))
      yield* Effect.forEach(calls, ([tenant, number]) => call(tenant, number), inParallel)
      assert.deepStrictEqual(
        served,
        numbers(4).flatMap((number) => numbers(5).map((tenant) => [tenant, number] as const))
      )
    }).pipe(limited(1))
)

it.live("a tenant that floods delays another's single call by one turn per waiting database", () =>
  Effect.gen(function* () {
    const given = yield* tenants(4)
    let flooded = 0
    const flood = Effect.map(given.pgdb(0).select`select pg_sleep(0.012)`, () => {
      flooded++
    })
    const started = yield* Deferred.make<void>()
    const flooding = yield* Effect.forkChild(
      Effect.forEach(
        numbers(10_000),
        (index) => (index === 0 ? Effect.tap(flood, Deferred.succeed(started, undefined)) : flood),
        inParallel
      )
    )
    yield* Deferred.await(started)
    for (const _ of numbers(5)) {
      // A turn is a place that changed hands: a connection that was opened.
      const before = yield* opened
      yield* Effect.forEach([1, 2, 3], (tenant) => given.pgdb(tenant).select`select 1`, inParallel)
      // One each, and one of the flood's before, between or behind them.
      assert.isAtMost((yield* opened) - before, 6)
    }
    assert.isBelow(flooded, 5_000)
    yield* Fiber.interrupt(flooding)
    yield* allPlacesAreThere(given, 2)
  }).pipe(limited(2), Effect.provideService(Metric.MetricRegistry, new Map()))
)

it.live("a flood of short reads, which share a connection, gives it up after its turn too", () =>
  Effect.gen(function* () {
    const given = yield* tenants(2)
    const [flooding, other] = [given.pgdb(0), given.pgdb(1)]
    let flooded = 0
    const read = Effect.map(flooding.select`select 1`, () => {
      flooded++
    })
    // From the third run on it is known to be short.
    for (const _ of numbers(3)) yield* read
    const flood = yield* Effect.forkChild(Effect.forEach(numbers(10_000), () => read, inParallel))
    yield* eventually(
      "it floods",
      Effect.sync(() => flooded),
      (count) => count > 3
    )
    assert.lengthOf(yield* other.select`select 1`, 1)
    assert.isBelow(flooded, 9_000)
    yield* Fiber.join(flood)
  }).pipe(limited(1))
)

it.live("a pool alone under the limit keeps its connections, however many wait", () =>
  Effect.gen(function* () {
    const given = yield* tenants(1)
    const pids = yield* Effect.forEach(
      numbers(40),
      () => given.pgdb(0).selectValue`select pg_backend_pid() from pg_sleep(0.015)`,
      inParallel
    )
    assert.strictEqual(new Set(pids.map((pid) => (pid._tag === "Some" ? pid.value : 0))).size, 2)
  }).pipe(limited(2))
)

it.live("minConnections takes free places, and none from another pool", () =>
  Effect.gen(function* () {
    const given = yield* tenants(3)
    yield* given.allow(2)
    const pids = (tenant: number) =>
      Effect.map(given.pgdb(tenant, { minConnections: 2 }).selectValue`select pg_backend_pid()`, String)
    const first = yield* pids(0)
    yield* eventually("both are open", given.sessions, (all) => all.length === 2)
    const second = yield* pids(1)
    yield* eventually("each has one", given.sessions, (all) => new Set(all).size === 2)
    // Nobody calls, so nothing changes: the connections stay who they are.
    for (const _ of numbers(20)) assert.lengthOf(yield* given.sessions, 2)
    assert.strictEqual(yield* pids(1), second)
    assert.notStrictEqual(yield* pids(2), first)
  }).pipe(limited(2))
)

it.live(
  "minConnections whose place another pool needed are back, without a call, when it needs it no more",
  () =>
    Effect.gen(function* () {
      const given = yield* tenants(2)
      yield* given.allow(2)
      const names = (...tenants: ReadonlyArray<number>) => tenants.map((tenant) => given.names[tenant] ?? "")
      const are = (...tenants: ReadonlyArray<number>) =>
        eventually(`they are of ${tenants}`, given.sessions, (all) => `${all}` === `${names(...tenants)}`)
      yield* given.pgdb(0, { minConnections: 2 }).select`select 1`
      yield* are(0, 0)
      const passing = given.pgdb(1, { idleTimeout: "300 millis" })
      for (const _ of numbers(2)) {
        yield* passing.select`select 1`
        yield* are(0, 1)
        yield* are(0, 0)
      }
    }).pipe(limited(2))
)

it.live("two pools that both lack minConnections do not take a place from each other", () =>
  Effect.gen(function* () {
    const given = yield* tenants(3)
    yield* given.allow(3)
    const three = eventually("all places are taken", given.sessions, (all) => all.length === 3)
    for (const tenant of [0, 1]) yield* given.pgdb(tenant, { minConnections: 2 }).select`select 1`
    yield* three
    const others = Effect.map(given.sessions, (all) => all.filter((name) => name !== given.names[2]).length)
    for (const _ of numbers(3)) {
      yield* given.pgdb(2).select`select 1`
      assert.strictEqual(yield* others, 2)
      yield* given.pgdb(2).terminate
      yield* eventually("its place is taken", others, (count) => count === 3)
      const before = yield* opened
      for (const _ of numbers(20)) yield* given.witness.query("select pg_sleep(0.01)")
      assert.strictEqual(yield* opened, before)
      assert.strictEqual(yield* others, 3)
    }
  }).pipe(limited(3), Effect.provideService(Metric.MetricRegistry, new Map()))
)

it.live("a pool that ends while its connection is cleared for another leaves its place behind, once", () =>
  Effect.gen(function* () {
    const given = yield* tenants(6)
    yield* given.allow(2)
    for (const round of numbers(25)) {
      const tenant = round % 6
      yield* Effect.all(
        [given.pgdb(tenant).select`select 1`, given.pgdb((tenant + 1) % 6).select`select 1`],
        inParallel
      )
      // The third takes the place of one of them, which ends at that moment.
      yield* Effect.all(
        [
          given.pgdb((tenant + 2) % 6).select`select 1`,
          given.pgdb(tenant).terminate,
          given.pgdb((tenant + 1) % 6).terminateWithin(0),
          given.pgdb((tenant + 3) % 6).select`select 1`
        ],
        inParallel
      )
    }
    yield* allPlacesAreThere(given, 2)
    // Idle connections still make room: nothing is counted as leaving that has left.
    for (const tenant of numbers(6)) yield* given.pgdb(tenant).select`select 1`
  }).pipe(limited(2))
)
