/**
 * An interrupted caller goes on at once and leaves nothing behind: its statement ends on the server, its connection serves the
 * next caller, and none is lost from the count.
 */
import { assert, describe } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { PG, PoolRegistry } from "effect-global-pool"
import { eventually, type Session } from "./support/database.ts"
import { type Given, withDatabase } from "./support/handle.ts"
import { proxy } from "./support/proxy.ts"

const slow = "select pg_sleep(60)"

const atWork = ({ until }: Given) =>
  until("it is at work", (sessions) =>
    sessions.some(({ query, state }) => query.includes("pg_sleep") && state === "active")
  )

/** The pool has this many connections, all of them free, and each of them answers. */
const isWhole = Effect.fnUntraced(function* (pgdb: PG.Database, open: number) {
  const [pool] = yield* eventually("all are free", PoolRegistry.stats, ([pool]) => pool?.inUse === 0)
  assert.deepStrictEqual(
    { open: pool?.open, idle: pool?.idle, waiting: pool?.waiting },
    { open, idle: open, waiting: 0 }
  )
  const all = yield* Deferred.make<void>()
  let inside = 0
  const pids = yield* Effect.forEach(
    Array.from({ length: open }),
    () =>
      pgdb.transaction(
        Effect.tap(pgdb.selectValue<number>("select pg_backend_pid()"), () =>
          ++inside === open ? Deferred.succeed(all, undefined) : Deferred.await(all)
        )
      ),
    { concurrency: "unbounded" }
  )
  assert.strictEqual(new Set(pids.map(Option.getOrUndefined)).size, open)
})

const statements: Readonly<
  Record<string, (pgdb: PG.Database) => Effect.Effect<unknown, PG.OperationError, PoolRegistry>>
> = {
  "a statement": (pgdb) => pgdb.select(slow),
  "a statement with parameters": (pgdb) => pgdb.select("select pg_sleep($1), $2::date", [60, new Date()]),
  "a change": (pgdb) => pgdb.execute("insert into t select 1 from pg_sleep(60)"),
  "a stream": (pgdb) => Stream.runDrain(pgdb.stream("select n, pg_sleep(n) from generate_series(0, 60) n")),
  "a batch": (pgdb) => pgdb.trans(["insert into t values (1)", slow]),
  "a transaction": (pgdb) =>
    pgdb.transaction(Effect.andThen(pgdb.execute("insert into t values (1)"), pgdb.select(slow))),
  "a savepoint": (pgdb) =>
    pgdb.transaction(
      Effect.andThen(pgdb.execute("insert into t values (1)"), pgdb.transaction(pgdb.select(slow)))
    ),
  "a statement of the client": (pgdb) => Effect.flatMap(Effect.orDie(pgdb.client), (sql) => sql.unsafe(slow)),
  "a statement that waits for a lock": (pgdb) => pgdb.select("select pg_advisory_xact_lock(1), pg_sleep(60)")
}

describe("the server stops, and the same connection goes on, after", () => {
  for (const [what, work] of Object.entries(statements)) {
    withDatabase(what, ["create table t (n int)"], (given) =>
      Effect.gen(function* () {
        const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
        const before = yield* pgdb.selectValue("select pg_backend_pid()")
        const fiber = yield* Effect.forkChild(work(pgdb))
        yield* atWork(given)
        const [time] = yield* Effect.timed(Fiber.interrupt(fiber))
        // Interruption has waited for the server, unless a tenth of a second has brought no sign of it.
        const hasWaited = Duration.toMillis(time) < 90
        const isIdle = (sessions: ReadonlyArray<Session>) => sessions.every(({ state }) => state === "idle")
        if (hasWaited) assert.isTrue(isIdle(yield* given.sessions))
        else yield* given.until("it has stopped", isIdle)
        assert.deepStrictEqual(yield* pgdb.selectValue("select pg_backend_pid()"), before)
        assert.deepStrictEqual(yield* given.witness.query("select * from t"), [])
        yield* isWhole(pgdb, 1)
      })
    )
  }
})

withDatabase("what waits for its answer is not cancelled by another's interruption", [], (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
    for (const round of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]) {
      const fiber = yield* Effect.forkChild(pgdb.select(slow))
      yield* atWork(given)
      const [, next] = yield* Effect.all(
        [Fiber.interrupt(fiber), pgdb.select("select $1::int as n", [round])],
        {
          concurrency: "unbounded"
        }
      )
      assert.deepStrictEqual(next, [{ n: round }])
    }
    yield* isWhole(pgdb, 1)
  })
)

withDatabase("reads that share a connection: one leaves at once, and the others are answered", [], (given) =>
  Effect.gen(function* () {
    const between = yield* proxy(given.settings)
    const pgdb = PG.make({ ...given.settings, ...between.address, maxConnections: 1 })
    const read = (n: number) => pgdb.select<{ n: number }>("select $1::int as n", [n])
    // Short, as it turns out: from then on it may share.
    for (const n of [1, 2, 3, 4, 5]) yield* read(n)
    const rounds = between.roundTrips()
    yield* between.pause
    const fibers = yield* Effect.forEach(
      Array.from({ length: 20 }, (_, index) => index),
      (n) => Effect.forkChild(read(n))
    )
    // The answer is held back, and yet it is gone at once.
    for (const fiber of [fibers[0]!, fibers[7]!, fibers[19]!]) {
      yield* Fiber.interrupt(fiber)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
    }
    yield* between.resume
    const others = yield* Effect.forEach(
      fibers.filter((_, index) => ![0, 7, 19].includes(index)),
      Fiber.join
    )
    assert.deepStrictEqual(
      others.flat().map(({ n }) => n),
      Array.from({ length: 20 }, (_, index) => index).filter((n) => ![0, 7, 19].includes(n))
    )
    assert.strictEqual(between.opened(), 1)
    assert.isBelow(between.roundTrips() - rounds, 20)
    assert.deepStrictEqual(yield* read(99), [{ n: 99 }])
    yield* isWhole(pgdb, 1)
  })
)

withDatabase("callers that leave the line are forgotten", [], (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
    const running = yield* Effect.forkChild(pgdb.select(slow))
    yield* atWork(given)
    const waiting = yield* Effect.forEach(
      [pgdb.select("select 1"), pgdb.transaction(pgdb.select("select 2")), pgdb.trans(["select 3"])],
      (effect) => Effect.forkChild(effect)
    )
    yield* eventually("they stand in line", PoolRegistry.stats, ([pool]) => pool?.waiting === 3)
    yield* Fiber.interruptAll(waiting)
    assert.deepStrictEqual(
      (yield* PoolRegistry.stats).map(({ inUse, waiting }) => ({ inUse, waiting })),
      [{ inUse: 1, waiting: 0 }]
    )
    yield* Fiber.interrupt(running)
    yield* isWhole(pgdb, 1)
  })
)

withDatabase("a thousand interruptions at any moment lose no connection", [], (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...given.settings, maxConnections: 4 })
    const works = [
      pgdb.select("select $1::int", [1]),
      pgdb.select("select pg_sleep(0.002)"),
      pgdb.trans(["select 1", "select pg_sleep(0.002)"]),
      pgdb.transaction(Effect.andThen(pgdb.select("select 1"), pgdb.select("select 2"))),
      Stream.runDrain(pgdb.stream("select n from generate_series(1, 2000) n"))
    ]
    yield* Effect.forEach(
      Array.from({ length: 1_000 }, (_, index) => index),
      (index) =>
        Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(works[index % works.length]!)
          for (let turns = 0; turns < index % 23; turns++) yield* Effect.yieldNow
          // Now and then one that waits for another's answer first, so that moments on the wire are met too.
          if (index % 3 === 0) yield* pgdb.select("select 1")
          yield* Fiber.interrupt(fiber)
        }),
      { concurrency: 16, discard: true }
    )
    yield* Effect.forEach([1, 2, 3, 4], () => pgdb.select("select pg_sleep(0.05)"), {
      concurrency: "unbounded"
    })
    const sessions = yield* given.sessions
    assert.isTrue(sessions.length <= 4 && sessions.every(({ state }) => state === "idle"))
    yield* isWhole(pgdb, sessions.length)
  })
)
