/**
 * `run` leaves nothing behind: when it comes back, however it does, the server has no connection of it any more, and
 * nothing of it keeps the process alive.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { PG, PoolRegistry } from "effect-global-pool"

import { database, type TestDatabase } from "./support/database.ts"
import { program } from "./support/process.ts"
import { proxy } from "./support/proxy.ts"

const slow = "select pg_sleep(60)"

const nobody = (given: TestDatabase) =>
  // One look, without waiting: `run` has waited already.
  Effect.map(given.sessions, (sessions) => assert.deepStrictEqual(sessions, []))

describe("the server has no connection left when run", () => {
  it.live("returns", () =>
    Effect.gen(function* () {
      const given = yield* database()
      const pgdb = PG.make(given.settings)
      const statement = "select pg_sleep(0.01)::text"
      const rows = yield* pgdb.run((self) =>
        Effect.forEach(Array.from({ length: 30 }), () => self.select(statement), { concurrency: "unbounded" })
      )
      yield* nobody(given)
      assert.lengthOf(rows, 30)
      assert.deepStrictEqual(yield* pgdb.table("any").run((self) => self.select("select 1 as one")), [
        { one: 1 }
      ])
      yield* nobody(given)
      assert.deepStrictEqual(yield* PG.run(pgdb.select("select 2 as two")), [{ two: 2 }])
      yield* nobody(given)
    })
  )

  it.live("fails", () =>
    Effect.gen(function* () {
      const given = yield* database()
      const error = yield* Effect.flip(PG.make(given.settings).run((self) => self.select("select nothing")))
      yield* nobody(given)
      assert.include(error.message, 'column "nothing" does not exist')
    })
  )

  it.live("dies", () =>
    Effect.gen(function* () {
      const given = yield* database()
      const exit = yield* Effect.exit(
        PG.make(given.settings).run((self) => Effect.andThen(self.select("select 1"), Effect.die("dead")))
      )
      yield* nobody(given)
      assert.isTrue(Exit.hasDies(exit))
      // Also when its function throws before there is an effect.
      const thrown = yield* Effect.exit(
        PG.make(given.settings).run((): Effect.Effect<never> => {
          throw new Error("thrown")
        })
      )
      assert.isTrue(Exit.hasDies(thrown))
    })
  )

  const inTheMiddle: Readonly<
    Record<string, (self: PG.Database) => Effect.Effect<unknown, PG.OperationError, PoolRegistry>>
  > = {
    "in a statement": (self) => self.select(slow),
    "in a stream": (self) =>
      Stream.runDrain(self.stream(`select n, pg_sleep(n) from generate_series(0, 60) n`)),
    "in a transaction": (self) =>
      self.transaction(Effect.andThen(self.select("select 1"), self.select(slow))),
    "in a batch": (self) => self.trans(["select 1", slow]),
    "idle in a transaction": (self) =>
      self.transaction(Effect.andThen(self.select("select 1"), Effect.never)),
    "in ten statements": (self) =>
      Effect.forEach(Array.from({ length: 10 }), () => self.select(slow), { concurrency: "unbounded" })
  }
  for (const [place, work] of Object.entries(inTheMiddle)) {
    it.live(`is interrupted ${place}`, () =>
      Effect.gen(function* () {
        const given = yield* database()
        const fiber = yield* Effect.forkChild(PG.make(given.settings).run(work))
        yield* given.until("it is at work", (sessions) =>
          sessions.some(({ query, state }) =>
            place.startsWith("idle") ? state === "idle in transaction" : query.includes("pg_sleep")
          )
        )
        yield* Fiber.interrupt(fiber)
        yield* nobody(given)
      })
    )
  }

  it.live("is interrupted while a caller waits for a connection", () =>
    Effect.gen(function* () {
      const given = yield* database()
      const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
      const fiber = yield* Effect.forkChild(
        pgdb.run((self) =>
          Effect.all(
            [self.select(slow), self.select("select 1"), self.transaction(self.select("select 2"))],
            {
              concurrency: "unbounded"
            }
          )
        )
      )
      yield* given.until("it is at work", (sessions) => sessions.some(({ query }) => query === slow))
      yield* Fiber.interrupt(fiber)
      yield* nobody(given)
    })
  )

  it.live("is interrupted while it connects", () =>
    Effect.gen(function* () {
      const given = yield* database()
      const between = yield* proxy(given.settings)
      yield* between.delay("10 millis")
      const pgdb = PG.make({ ...given.settings, ...between.address, applicationName: "connecting" })
      const fiber = yield* Effect.forkChild(pgdb.run((self) => self.select("select 1")))
      yield* given.until("the session begins", (sessions) => sessions.length > 0)
      yield* Fiber.interrupt(fiber)
      yield* nobody(given)
      assert.strictEqual(between.open(), 0)
    })
  )
})

describe("overlapping runs of one database", () => {
  it.live("share one pool, which ends with the later one", () =>
    Effect.gen(function* () {
      const given = yield* database()
      const pid = (self: PG.Database) => self.selectValue("select pg_backend_pid()")
      const longIsIn = yield* Deferred.make<void>()
      const shortIsOut = yield* Deferred.make<void>()
      const long = yield* Effect.forkChild(
        PG.make(given.settings).run((self) =>
          Effect.gen(function* () {
            const before = yield* pid(self)
            yield* Deferred.succeed(longIsIn, undefined)
            yield* Deferred.await(shortIsOut)
            return { before, after: yield* pid(self), pools: yield* PoolRegistry.stats }
          })
        )
      )
      yield* Deferred.await(longIsIn)
      const short = yield* PG.make(given.settings)
        .table("other")
        .run((self) => self.selectValue("select pg_backend_pid()"))
      assert.lengthOf(yield* given.sessions, 1)
      yield* Deferred.succeed(shortIsOut, undefined)
      const { after, before, pools } = yield* Fiber.join(long)
      yield* nobody(given)
      assert.deepStrictEqual(short, before)
      assert.deepStrictEqual(after, before)
      assert.strictEqual(pools.filter(({ key }) => key === given.settings.database).length, 1)
    })
  )
})

describe("a script ends by itself after run", () => {
  const ends: Readonly<Record<string, string>> = {
    returns: "ended: Success",
    fails: "ended: Failure",
    dies: "ended: Failure, a defect",
    interrupted: "ended: Success",
    "interrupted in a transaction": "ended: Success",
    "interrupted in a stream": "ended: Success"
  }
  for (const [way, said] of Object.entries(ends)) {
    it.live(way, () =>
      Effect.gen(function* () {
        const given = yield* database()
        const script = yield* program("test/support/running.ts", {
          args: [way],
          env: { DATABASE_URL: given.url }
        })
        yield* script.prints("ended: ")
        // The pool's own times are a minute and more.
        const { code } = yield* script.exitWithin("5 seconds")
        assert.strictEqual(script.stdout().trim(), said)
        assert.strictEqual(script.stderr(), "")
        assert.strictEqual(code, 0)
        yield* nobody(given)
      })
    )
  }
})
