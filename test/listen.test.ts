/**
 * Listening: one connection for all channels of a pool, whose listeners hear what comes and know from when on; and an end
 * that leaves nothing.
 */
import { assert, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { PG, PoolRegistry } from "effect-global-pool"
import { database, eventually } from "./support/database.ts"
import { withDatabase } from "./support/handle.ts"
import { linked, reasonOf } from "./support/link.ts"
import { ear, killListening, listening } from "./support/listen.ts"

withDatabase("notifications of several channels come in order, with names as they stand", [], (given) =>
  Effect.gen(function* () {
    const { pgdb, witness } = given
    const channels = ["jobs", 'Mixed "Case"; drop', "a b"]
    const heard: Array<PG.Notification> = []
    const ready = yield* Deferred.make<void>()
    const fiber = yield* Effect.forkChild(
      pgdb.listen(channels, { onListen: Deferred.succeed(ready, undefined) }).pipe(
        Stream.take(7),
        Stream.runForEach((one) => Effect.sync(() => heard.push(one)))
      )
    )
    yield* Deferred.await(ready)
    const [me] = yield* witness.query("select pg_backend_pid() as pid")
    for (const [index, channel] of [...channels, ...channels].entries()) {
      yield* witness.query("select pg_notify($1, $2)", [channel, String(index)])
    }
    yield* witness.query("notify jobs")
    yield* Fiber.join(fiber)
    assert.deepStrictEqual(
      heard,
      [...channels, ...channels, "jobs"].map((channel, index) => ({
        channel,
        payload: index < 6 ? String(index) : "",
        processId: Number(me?.pid)
      }))
    )
  })
)

withDatabase(
  "a notification inside a transaction comes at its commit, and never if it rolls back",
  [],
  (given) =>
    Effect.gen(function* () {
      const { pgdb } = given
      const { hears, heard, listens } = yield* ear(pgdb, "jobs")
      yield* listens(1)
      yield* Effect.ignore(pgdb.transaction(Effect.andThen(pgdb.notify("jobs", "undone"), Effect.fail("no"))))
      yield* pgdb.transaction(
        Effect.gen(function* () {
          yield* pgdb.notify("jobs", "done")
          yield* given.witness.query("select pg_notify('jobs', 'before')")
          yield* hears(2)
        })
      )
      yield* pgdb.notify("jobs")
      yield* hears(4)
      assert.deepStrictEqual(heard, ["listens", "before", "done", ""])
    })
)

withDatabase("listeners share one connection, outside of maxConnections", [], (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...given.settings, maxConnections: 3 })
    const ears = yield* Effect.forEach(["a", "b", "c", "a"], (channel) => ear(pgdb, channel))
    yield* Effect.forEach(ears, ({ listens }) => listens(1))
    const sleeping = pgdb.transaction(pgdb.select("select pg_sleep(0.1)"))
    yield* Effect.all([sleeping, sleeping, sleeping], { concurrency: "unbounded" })
    assert.lengthOf(yield* given.sessions, 4)
    assert.lengthOf(yield* listening(given), 1)
    yield* pgdb.notify("a", "1")
    yield* pgdb.notify("b", "2")
    yield* Effect.forEach(ears, ({ hears }, index) => (index === 2 ? Effect.void : hears(2)))
    assert.deepStrictEqual(
      ears.map(({ heard }) => heard[1]),
      ["1", "2", undefined, "1"]
    )
  })
)

withDatabase("onListen runs before what comes after it, and its failure is the stream's", [], ({ pgdb }) =>
  Effect.gen(function* () {
    const order: Array<string> = []
    const add = (line: string) => Effect.sync(() => order.push(line))
    const onListen = Effect.andThen(pgdb.notify("jobs", "told within"), add("ready"))
    yield* pgdb.listen("jobs", { onListen }).pipe(
      Stream.take(1),
      Stream.runForEach(({ payload }) => add(payload))
    )
    assert.deepStrictEqual(order, ["ready", "told within"])
    const failing = pgdb.listen("jobs", { onListen: Effect.fail("own") })
    assert.strictEqual(yield* Effect.flip(Stream.runDrain(failing)), "own")
  })
)

withDatabase("a listener that joins a channel hears nothing of it before its onListen", [], (given) =>
  Effect.gen(function* () {
    const { pgdb, proxy } = yield* linked(given)
    const first = yield* ear(pgdb, "jobs")
    yield* first.listens(1)
    // The first has heard of it before the server knows of the second.
    yield* proxy.pause
    yield* given.witness.query("select pg_notify('jobs', 'early')")
    const second = yield* ear(pgdb, ["jobs", "more"])
    yield* proxy.resume
    yield* second.listens(1)
    yield* given.witness.query("select pg_notify('jobs', 'late')")
    yield* first.hears(3)
    yield* second.hears(2)
    assert.deepStrictEqual(first.heard, ["listens", "early", "late"])
    assert.deepStrictEqual(second.heard, ["listens", "late"])
  })
)

withDatabase("a reader that is too slow has what waited for it, and then a clear failure", [], (given) =>
  Effect.gen(function* () {
    const { pgdb, witness } = given
    const quick = yield* ear(pgdb, "jobs")
    yield* quick.listens(1)
    const ready = yield* Deferred.make<void>()
    const goOn = yield* Deferred.make<void>()
    const heard: Array<string> = []
    const slow = yield* Effect.forkChild(
      Effect.flip(
        Stream.runForEach(
          pgdb.listen("jobs", { bufferSize: 10, onListen: Deferred.succeed(ready, undefined) }),
          ({ payload }) =>
            Effect.andThen(
              Effect.sync(() => heard.push(payload)),
              Deferred.await(goOn)
            )
        )
      )
    )
    yield* Deferred.await(ready)
    // The first is at work, and ten more may wait.
    yield* witness.query("select pg_notify('jobs', '1')")
    yield* eventually(
      "the first is heard",
      Effect.sync(() => heard.length),
      (count) => count === 1
    )
    yield* witness.query("select pg_notify('jobs', n::text) from generate_series(2, 11) n")
    yield* quick.hears(12)
    assert.isUndefined(slow.pollUnsafe())
    yield* witness.query("select pg_notify('jobs', n::text) from generate_series(12, 20) n")
    yield* quick.hears(21)
    yield* Deferred.succeed(goOn, undefined)
    const error = yield* Fiber.join(slow)
    assert.strictEqual(reasonOf(error), "BufferOverflow")
    assert.include(error.message, '"jobs" was too slow: 10 notifications waited')
    assert.deepStrictEqual(
      heard,
      Array.from({ length: 11 }, (_, index) => String(index + 1))
    )
  })
)

withDatabase("the connection is closed behind the last listener, and opened anew for the next", [], (given) =>
  Effect.gen(function* () {
    const { pgdb, proxy } = yield* linked(given)
    const [one, other] = [yield* ear(pgdb, ["a", "both"]), yield* ear(pgdb, ["b", "both"])]
    yield* one.listens(1)
    yield* other.listens(1)
    yield* Fiber.interrupt(one.fiber)
    yield* eventually("its own channel is given up", Effect.sync(proxy.sent), (sent) =>
      sent.includes('UNLISTEN "a"')
    )
    yield* given.witness.query("select pg_notify('both', 'still')")
    yield* other.hears(2)
    assert.notInclude(proxy.sent(), 'UNLISTEN "both"')
    yield* Fiber.interrupt(other.fiber)
    yield* given.until("nothing is open", (all) => all.length === 0)
    const again = yield* ear(pgdb, "a")
    yield* again.listens(1)
    assert.lengthOf(yield* given.sessions, 1)
  })
)

withDatabase(
  "a listener that comes when the last one has just left waits for the end of its connection",
  [],
  (given) =>
    Effect.gen(function* () {
      const { pgdb, proxy } = yield* linked(given, {}, 20)
      for (const _ of [1, 2, 3]) {
        const { fiber, listens } = yield* ear(pgdb, "jobs")
        yield* listens(1)
        yield* Fiber.interrupt(fiber)
      }
      assert.strictEqual(proxy.peak(), 1)
    })
)

withDatabase("a listener that leaves while the connection is being opened leaves nothing", [], (given) =>
  Effect.gen(function* () {
    const { pgdb, proxy } = yield* linked(given)
    yield* proxy.pause
    const { fiber } = yield* ear(pgdb, "jobs")
    yield* eventually("it connects", Effect.sync(proxy.open), (open) => open === 1)
    yield* Fiber.interrupt(fiber)
    yield* proxy.resume
    yield* eventually("it hangs up", Effect.sync(proxy.open), (open) => open === 0)
    const { listens } = yield* ear(pgdb, "jobs")
    yield* listens(1)
  })
)

it.live("a listener takes a place under the registry's limit, and gives it back", () =>
  Effect.gen(function* () {
    const given = yield* database()
    const pgdb = PG.make({ ...given.settings, acquireTimeout: "300 millis" })
    yield* pgdb.select("select 1")
    yield* pgdb.transaction(
      Effect.gen(function* () {
        yield* pgdb.select("select 1")
        const error = yield* Effect.flip(
          Effect.scoped(Effect.flatMap(pgdb.client, (sql) => sql.listen("jobs")))
        )
        assert.include(error.message, "all pools together have 1 of 1")
      })
    )
    // The idle connection makes room.
    const { fiber, listens } = yield* ear(pgdb, "jobs")
    yield* listens(1)
    assert.lengthOf(yield* given.sessions, 1)
    assert.strictEqual(reasonOf(yield* Effect.flip(pgdb.select("select 1"))), "AcquireTimeout")
    yield* Fiber.interrupt(fiber)
    assert.deepStrictEqual(yield* pgdb.select("select 1 as one"), [{ one: 1 }])
  }).pipe(Effect.provide(PoolRegistry.layer({ maxConnections: 1 })))
)

it.live(
  "a stream that finds no place under the registry's limit waits for one, or fails when its retry ends",
  () =>
    Effect.gen(function* () {
      const given = yield* database()
      const pgdb = PG.make({ ...given.settings, acquireTimeout: "200 millis" })
      const waiting = yield* pgdb.transaction(
        Effect.gen(function* () {
          yield* pgdb.select("select 1")
          const waiting = yield* ear(pgdb, "jobs")
          const impatient = pgdb.listen("jobs", { retry: Schedule.recurs(1) })
          assert.strictEqual(reasonOf(yield* Effect.flip(Stream.runDrain(impatient))), "AcquireTimeout")
          assert.isUndefined(waiting.fiber.pollUnsafe())
          return waiting
        })
      )
      yield* waiting.listens(1)
    }).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer({ maxConnections: 1 })))
)

it.effect("listeners that came and went leave nothing of the limit taken", () =>
  Effect.gen(function* () {
    const given = yield* database()
    const others = ["one", "two"].map((key) => PG.make({ ...given.settings, key }))
    const wrong = PG.make({ ...given.settings, password: "wrong", key: "wrong" })
    for (const _ of [1, 2, 3]) {
      const { fiber, listens } = yield* ear(PG.make(given.settings), "jobs")
      yield* listens(1)
      yield* Fiber.interrupt(fiber)
      yield* Effect.flip(Stream.runDrain(wrong.listen("jobs")))
    }
    // By this clock, that stands still, a pool gets the place of an idle connection only while no other change is counted.
    for (const _ of [1, 2, 3]) yield* Effect.forEach(others, (other) => other.select("select 1"))
  }).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer({ maxConnections: 1 })))
)

for (const [name, end] of [
  ["terminate", (pgdb: PG.Database) => pgdb.terminate],
  ["terminateWithin(0)", (pgdb: PG.Database) => pgdb.terminateWithin(0)]
] as const) {
  withDatabase(`${name} ends listeners at once, and the next call opens a new pool`, [], (given) =>
    Effect.gen(function* () {
      const { pgdb } = given
      const ears = [yield* ear(pgdb, "a"), yield* ear(pgdb, "b")]
      yield* Effect.forEach(ears, ({ listens }) => listens(1))
      const before = performance.now()
      yield* end(pgdb)
      assert.isBelow(performance.now() - before, 500)
      assert.deepStrictEqual(yield* given.sessions, [])
      for (const { fiber } of ears) {
        const error = yield* Effect.flip(Fiber.join(fiber))
        assert.include(error.message, "was ended while this operation waited or ran")
        assert.isTrue(error.isRetryable)
      }
      const { listens } = yield* ear(pgdb, "a")
      yield* listens(1)
    })
  )
}

it.live("the end of the pools' scope ends listeners at once", () =>
  Effect.gen(function* () {
    const given = yield* database()
    const pgdb = PG.make(given.settings)
    const before = yield* PG.run(
      Effect.gen(function* () {
        const { listens } = yield* ear(pgdb, "jobs")
        yield* listens(1)
        return performance.now()
      }).pipe(Effect.scoped)
    )
    assert.isBelow(performance.now() - before, 500)
    assert.deepStrictEqual(yield* given.sessions, [])
  })
)

it.live("over a link that went silent, a listener is interrupted and the pool ended at once", () =>
  Effect.gen(function* () {
    const given = yield* database()
    const { pgdb, proxy } = yield* linked(given)
    yield* Effect.gen(function* () {
      const ears = [yield* ear(pgdb, "a"), yield* ear(pgdb, "b"), yield* ear(pgdb, "c")]
      yield* Effect.forEach(ears, ({ listens }) => listens(1))
      yield* proxy.pause
      const before = performance.now()
      yield* Fiber.interrupt(ears[0]!.fiber)
      assert.isBelow(performance.now() - before, 50)
      yield* pgdb.terminateWithin(0)
    }).pipe(
      Effect.scoped,
      Effect.provide(PoolRegistry.layer()),
      Effect.timed,
      Effect.tap(([duration]) => Effect.sync(() => assert.isBelow(Duration.toMillis(duration), 2_000)))
    )
  })
)

it.effect("a pool that only listens is not forgotten as idle, until its last listener has left", () =>
  Effect.gen(function* () {
    const given = yield* database()
    const pgdb = PG.make(given.settings)
    const { fiber, listens } = yield* ear(pgdb, "jobs")
    yield* listens(1)
    yield* TestClock.adjust("58 minutes")
    assert.lengthOf(yield* given.sessions, 1)
    yield* Fiber.interrupt(fiber)
    yield* TestClock.adjust("299 seconds")
    assert.lengthOf(yield* PoolRegistry.stats, 1)
    yield* TestClock.adjust("1 second")
    yield* eventually("the pool is forgotten", PoolRegistry.stats, (all) => all.length === 0)
  }).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer()))
)

withDatabase("wrong names and options of listen are refused, and nothing is sent", [], (given) =>
  Effect.gen(function* () {
    const { pgdb, proxy } = yield* linked(given)
    const refusals = [
      [[], "listen takes the name of a channel, or several in an array."],
      ["", "A channel's name is a text that is not empty"],
      ["a\0b", "holds no NUL character"],
      ["\ud800x", "nor half of one"],
      [["ok", "é".repeat(32)], "has 63 bytes at the most, and"]
    ] as const
    for (const [channels, message] of refusals) {
      const error = yield* Effect.flip(Stream.runDrain(pgdb.listen(channels)))
      assert.strictEqual(reasonOf(error), "StatementRefused")
      assert.include(error.message, message)
      assert.include(error.message, "Nothing was sent.")
    }
    for (const bufferSize of [0, 1.5, Number.NaN]) {
      const error = yield* Effect.flip(Stream.runDrain(pgdb.listen("a", { bufferSize })))
      assert.include(error.message, "bufferSize of listen is a whole number from 1")
    }
    const sql = yield* pgdb.client
    assert.include((yield* Effect.flip(Effect.scoped(sql.listen("")))).message, "A channel's name")
    assert.strictEqual(proxy.opened(), 0)
  })
)

withDatabase(
  "the queue of Effect's client fails when its reader is too slow, or its connection is lost",
  [],
  (given) =>
    Effect.gen(function* () {
      const { pgdb, witness } = given
      const sql = yield* pgdb.client
      yield* Effect.scoped(
        Effect.gen(function* () {
          const [one, other] = [yield* sql.listen("one"), yield* sql.listen("other")]
          assert.lengthOf(yield* listening(given), 1)
          yield* witness.query("select pg_notify('one', n::text) from generate_series(1, 1025) n")
          yield* witness.query("select pg_notify('other', 'fine')")
          assert.strictEqual((yield* Queue.take(other)).payload, "fine")
          const payloads = yield* Effect.forEach(Array.from({ length: 1_024 }), () => Queue.take(one))
          assert.strictEqual(payloads.at(-1)?.payload, "1024")
          assert.include(String(yield* Effect.exit(Queue.take(one))), "was too slow")
          yield* killListening(given)
          const lost = yield* Effect.exit(Queue.take(other))
          assert.isTrue(Exit.isFailure(lost))
          assert.include(String(lost), "57P01")
        })
      )
      yield* given.until("nothing listens", (all) => all.every(({ query }) => !query.includes("LISTEN")))
    })
)
