/**
 * A listener's connection is lost, in every way: it is opened again, `onListen` runs anew, and what cannot come back is an error.
 */
import { assert, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { PG, PoolRegistry } from "effect-global-pool"
import { pauseOf } from "../src/pool/ListenConnection.ts"
import { database, eventually } from "./support/database.ts"
import { withDatabase } from "./support/handle.ts"
import { linked, reasonOf } from "./support/link.ts"
import { ear, killListening, listening } from "./support/listen.ts"
import { meddle } from "./support/meddle.ts"

withDatabase("a killed backend: the streams go on, and onListen runs anew", [], (given) =>
  Effect.gen(function* () {
    const { pgdb } = given
    const ears = [yield* ear(pgdb, ["a", "b"]), yield* ear(pgdb, "a")]
    for (const round of [1, 2, 3]) {
      yield* Effect.forEach(ears, ({ listens }) => listens(round))
      yield* pgdb.notify("a", `a${round}`)
      yield* Effect.forEach(ears, ({ hears }) => hears(2 * round))
      yield* killListening(given)
    }
    yield* Effect.forEach(ears, ({ listens }) => listens(4))
    assert.lengthOf(yield* listening(given), 1)
    for (const { heard } of ears) {
      assert.deepStrictEqual(heard, ["listens", "a1", "listens", "a2", "listens", "a3", "listens"])
    }
  })
)

withDatabase(
  "a link that is cut and refused for a while: what is notified meanwhile is not heard",
  [],
  (given) =>
    Effect.gen(function* () {
      const { pgdb, proxy } = yield* linked(given)
      const { heard, hears, listens } = yield* ear(pgdb, "a")
      yield* listens(1)
      yield* proxy.refuse
      yield* proxy.cut
      yield* given.until("the session has ended", (all) => all.length === 0)
      yield* given.witness.query("select pg_notify('a', 'missed')")
      yield* proxy.accept
      yield* listens(2)
      yield* given.witness.query("select pg_notify('a', 'heard')")
      yield* hears(3)
      assert.deepStrictEqual(heard, ["listens", "listens", "heard"])
    })
)

/** Counts losses, as a schedule that has no end. */
const counting = () => {
  let losses = 0
  return {
    retry: Schedule.tap(Schedule.forever, () => Effect.sync(() => losses++)),
    losses: () => losses,
    lost: (count: number) =>
      eventually(
        `it was lost for the ${count}. time`,
        Effect.sync(() => losses),
        (seen) => seen >= count
      )
  }
}

it.effect("a link that went silent is noticed in 10 seconds and answerTimeout, and replaced", () =>
  Effect.gen(function* () {
    const given = yield* database()
    const { pgdb, proxy } = yield* linked(given, { answerTimeout: "3 seconds" })
    const { losses, lost, retry } = counting()
    const { fiber, listens } = yield* ear(pgdb, "a", { retry })
    const bounded = yield* ear(pgdb, "a", { retry: Schedule.recurs(0) })
    yield* listens(1)
    yield* proxy.pause
    yield* TestClock.adjust("10 seconds")
    yield* TestClock.adjust("2999 millis")
    assert.strictEqual(losses(), 0)
    yield* TestClock.adjust("1 millis")
    yield* lost(1)
    assert.include(
      (yield* Effect.flip(Fiber.join(bounded.fiber))).message,
      "the server did not answer within 3000 ms"
    )
    yield* proxy.resume
    yield* TestClock.adjust("100 millis")
    yield* listens(2)
    yield* eventually("one connection is left", given.sessions, (all) => all.length === 1)
    assert.isUndefined(fiber.pollUnsafe())
  }).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer()))
)

it.effect("a link that goes silent before LISTEN is answered is noticed as well", () =>
  Effect.gen(function* () {
    const given = yield* database()
    const opened = yield* Deferred.make<void>()
    let onConnect: Effect.Effect<unknown> = Effect.void
    const { pgdb, proxy } = yield* linked(given, {
      answerTimeout: "3 seconds",
      onConnect: Effect.suspend(() => onConnect)
    })
    onConnect = Effect.andThen(proxy.pause, Deferred.succeed(opened, undefined))
    const { fiber } = yield* ear(pgdb, "a", { retry: Schedule.recurs(0) })
    yield* Deferred.await(opened)
    yield* TestClock.adjust("13 seconds")
    assert.include(
      (yield* Effect.flip(Fiber.join(fiber))).message,
      "the server did not answer within 3000 ms"
    )
  }).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer()))
)

it.effect("a clock that leaps takes no link for a silent one", () =>
  Effect.gen(function* () {
    const given = yield* database()
    const { losses, retry } = counting()
    const { hears, listens } = yield* ear(PG.make(given.settings), "a", { retry })
    yield* listens(1)
    for (const _ of [1, 2, 3]) yield* TestClock.adjust("1 hour")
    yield* given.witness.query("select pg_notify('a', 'heard')")
    yield* hears(2)
    assert.strictEqual(losses(), 0)
  }).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer()))
)

it("pauses double from 50 to 100 milliseconds up to 15 to 30 seconds", () => {
  const pauses = [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]
  for (const [failures, longest] of pauses.entries()) {
    assert.deepStrictEqual(
      [0, 0.5, 1].map((chance) => pauseOf(failures, chance) / longest),
      [0.5, 0.75, 1]
    )
  }
  assert.strictEqual(pauseOf(5_000, 1), 30_000)
})

it.effect(
  "a listener tries again after each pause, by the program's clock, and begins with short ones once it listens",
  () =>
    Effect.gen(function* () {
      const given = yield* database()
      const { pgdb, proxy } = yield* linked(given)
      const { losses, lost, retry } = counting()
      const { heard, listens } = yield* ear(pgdb, "a", { retry })
      yield* listens(1)
      for (const round of [1, 2]) {
        const before = losses()
        yield* proxy.refuse
        yield* proxy.cut
        for (let failures = 0; failures < 12; failures++) {
          yield* lost(before + failures + 1)
          yield* TestClock.adjust(pauseOf(failures, 1))
        }
        yield* proxy.accept
        // One that was refused a moment ago pauses again.
        yield* Effect.repeat(TestClock.adjust("1 second"), { until: () => heard.length > round })
      }
    }).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer()))
)

withDatabase("retry bounds how often in a row the connection is opened again", [], (given) =>
  Effect.gen(function* () {
    const { pgdb, proxy } = yield* linked(given)
    const patient = yield* ear(pgdb, "a")
    const { fiber, listens } = yield* ear(pgdb, "a", { retry: Schedule.recurs(2) })
    // More losses in all than it allows in a row.
    for (const round of [1, 2, 3, 4]) {
      yield* listens(round)
      yield* patient.listens(round)
      yield* killListening(given)
    }
    yield* listens(5)
    yield* proxy.refuse
    yield* proxy.cut
    const error = yield* Effect.flip(Fiber.join(fiber))
    assert.strictEqual(reasonOf(error), "ConnectionError")
    assert.include(error.message, "ECONNREFUSED")
    assert.isTrue(error.isRetryable)
    yield* proxy.accept
    yield* patient.listens(6)
  })
)

it.live(
  "what trying again cannot mend fails the stream at once, and a corrected handle takes the pool's place",
  () =>
    Effect.gen(function* () {
      const given = yield* database()
      const wrong = PG.make({ ...given.settings, password: "wrong", key: "app" })
      assert.strictEqual(
        reasonOf(yield* Effect.flip(Stream.runDrain(wrong.listen("a")))),
        "AuthenticationError"
      )
      const missing = PG.make({ ...given.settings, database: "missing", key: "other" })
      assert.include((yield* Effect.flip(Stream.runDrain(missing.listen("a")))).message, "3D000")
      for (const key of ["app", "other"]) {
        const { listens } = yield* ear(PG.make({ ...given.settings, key }), "a")
        yield* listens(1)
      }
      // A pool that listens is in use, though no statement ever ran on it.
      const conflict = PG.make({ ...given.settings, key: "app", maxConnections: 2 })
      assert.strictEqual(reasonOf(yield* Effect.flip(conflict.select("select 1"))), "DatabaseConflict")
    }).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer()))
)

it.live("a database that is dropped under its listener ends the stream", () =>
  Effect.gen(function* () {
    const given = yield* database()
    const home = yield* given.connect(given.settings)
    yield* home.query('create database "dropped under a listener"')
    const { fiber, listens } = yield* ear(
      PG.make({ ...given.settings, database: "dropped under a listener" }),
      "a"
    )
    yield* listens(1)
    yield* home.query('drop database "dropped under a listener" with (force)')
    const error = yield* Effect.flip(Fiber.join(fiber))
    assert.include(error.message, "3D000")
    assert.isFalse(error.isRetryable)
  }).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer()))
)

it.live("a stream goes on when the password's Effect was interrupted once", () =>
  Effect.gen(function* () {
    const given = yield* database()
    let asked = 0
    const password = Effect.suspend(() =>
      ++asked === 2 ? Effect.interrupt : Effect.succeed(Redacted.make(given.settings.password))
    )
    const { listens } = yield* ear(PG.make({ ...given.settings, password }), "a")
    yield* listens(1)
    yield* killListening(given)
    yield* listens(2)
    assert.strictEqual(asked, 3)
  }).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer()))
)

it.live("a password's Effect is asked for each connection, and its defect is the stream's", () =>
  Effect.gen(function* () {
    const given = yield* database()
    let asked = 0
    const password = Effect.suspend(() =>
      ++asked < 3 ? Effect.succeed(Redacted.make(given.settings.password)) : Effect.die("no password")
    )
    const { fiber, listens } = yield* ear(PG.make({ ...given.settings, password }), "a")
    yield* listens(1)
    yield* killListening(given)
    yield* listens(2)
    yield* killListening(given)
    const exit = yield* Fiber.await(fiber)
    assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) === "no password")
    assert.strictEqual(asked, 3)
  }).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer()))
)

withDatabase(
  "a standby, which takes no LISTEN, is left for the next connection, and a listener may bound that",
  [
    `create function standby() returns void language plpgsql as
     $$ begin raise sqlstate '25006' using message = 'cannot execute LISTEN during recovery'; end $$`
  ],
  (given) =>
    Effect.gen(function* () {
      let isStandby = true
      // Of the same length, so that the message around it stays right.
      const asked = 'LISTEN "abcdefghi"'
      const answered = "select standby()".padEnd(asked.length)
      const settings = yield* meddle(given.settings, (said) =>
        isStandby ? said.replaceAll(asked, answered) : said
      )
      const pgdb = PG.make({ ...given.settings, ...settings })
      const patient = yield* ear(pgdb, "abcdefghi")
      const bounded = pgdb.listen("abcdefghi", { retry: Schedule.recurs(2) })
      const error = yield* Effect.flip(Stream.runDrain(bounded))
      assert.include(error.message, "a standby, which takes no LISTEN")
      isStandby = false
      yield* patient.listens(1)
    })
)

withDatabase("only the listener whose channel the server refuses fails", [], (given) =>
  Effect.gen(function* () {
    const asked = 'LISTEN "refused"'
    const settings = yield* meddle(given.settings, (said) => said.replaceAll(asked, "select no_such()"))
    const pgdb = PG.make({ ...given.settings, ...settings })
    const fine = yield* ear(pgdb, "fine")
    yield* fine.listens(1)
    const refused = yield* ear(pgdb, ["fine", "refused", "more"])
    const error = yield* Effect.flip(Fiber.join(refused.fiber))
    assert.include(error.message, "42883")
    assert.include(error.message, 'LISTEN "refused"')
    assert.deepStrictEqual(refused.heard, [])
    yield* pgdb.notify("fine", "still")
    yield* fine.hears(2)
    assert.deepStrictEqual(fine.heard, ["listens", "still"])
  })
)

withDatabase("after a loss, too, nobody hears anything before its onListen", [], (given) =>
  Effect.gen(function* () {
    const asked = 'LISTEN "a long name of a channel"'
    const notifies = "notify a, 'early'".padEnd(asked.length)
    let isSecond = false
    // The second time, the first listener hears of this when the other's channels are about to be listened to.
    const settings = yield* meddle(given.settings, (said) =>
      isSecond ? said.replace(asked, notifies) : said
    )
    const pgdb = PG.make({ ...given.settings, ...settings })
    const first = yield* ear(pgdb, "a")
    const second = yield* ear(pgdb, ["a", "a long name of a channel"])
    yield* Effect.forEach([first, second], ({ listens }) => listens(1))
    isSecond = true
    yield* killListening(given)
    yield* Effect.forEach([first, second], ({ listens }) => listens(2))
    yield* pgdb.notify("a", "late")
    yield* first.hears(4)
    yield* second.hears(3)
    assert.deepStrictEqual(first.heard, ["listens", "listens", "early", "late"])
    assert.deepStrictEqual(second.heard, ["listens", "listens", "late"])
  })
)
