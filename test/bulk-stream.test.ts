/** A stream of rows goes in with one piece held at a time, all or nothing. */
import { assert, describe } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import type { PG } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"

const table = ["create table t (id int primary key, a text default 'x')"]

describe("insertStream", () => {
  withDatabase("stores what the stream gives, and says how far it came", table, ({ pgdb }) =>
    Effect.gen(function* () {
      const t = pgdb.table("t")
      const seen: Array<PG.Progress> = []
      const rows = Stream.map(Stream.range(1, 25_000), (id) => (id % 2 === 0 ? { id } : { id, a: "odd" }))
      assert.strictEqual(
        yield* t.insertStream(rows, { onProgress: (progress) => seen.push(progress) }),
        25_000
      )
      assert.strictEqual(yield* t.count({ a: "odd" }), 12_500)
      assert.strictEqual(yield* t.count({ a: "x" }), 12_500)
      assert.isAbove(seen.length, 1)
      assert.deepStrictEqual(seen.at(-1), { rows: 25_000, bytes: 25_000 * 8 + 12_500 * 3 })
      assert.isTrue(seen.every((progress, index) => index === 0 || progress.rows > seen[index - 1]!.rows))
      assert.strictEqual(yield* t.insertStream(Stream.empty), 0)
    })
  )

  withDatabase(
    "stores nothing when the stream fails, a row is refused or the server refuses one",
    table,
    ({ pgdb }) =>
      Effect.gen(function* () {
        const t = pgdb.table("t")
        const many = Stream.map(Stream.range(1, 15_000), (id) => ({ id }))
        const failed = yield* Effect.flip(t.insertStream(Stream.concat(many, Stream.fail("enough" as const))))
        assert.strictEqual(failed, "enough")
        const refused = yield* Effect.flip(
          t.insertStream(Stream.concat(many, Stream.make({ id: 20_000, a: new Map() })))
        )
        assert.include(String(refused), "row 15001")
        const twice = yield* Effect.flip(t.insertStream(Stream.concat(many, many)))
        assert.include(String(twice), "23505")
        assert.strictEqual(yield* t.count(), 0)
      })
  )

  withDatabase(
    "stores nothing when it is interrupted, and leaves no transaction behind",
    table,
    ({ pgdb, until }) =>
      Effect.gen(function* () {
        const t = pgdb.table("t")
        const reached = yield* Deferred.make<void>()
        const rows = Stream.concat(
          Stream.map(Stream.range(1, 15_000), (id) => ({ id })),
          Stream.fromEffect(Effect.andThen(Deferred.succeed(reached, undefined), Effect.never))
        )
        const fiber = yield* Effect.forkChild(t.insertStream(rows))
        yield* Deferred.await(reached)
        yield* Fiber.interrupt(fiber)
        yield* until("no transaction is open", (sessions) => sessions.every(({ state }) => state === "idle"))
        assert.strictEqual(yield* t.count(), 0)
      })
  )

  withDatabase(
    "stores nothing when it is interrupted while the server works, or the connection is lost",
    table,
    ({ connect, pgdb, settings, until, witness }) =>
      Effect.gen(function* () {
        const t = pgdb.table("t")
        const rows = Stream.map(Stream.range(1, 15_000), (id) => ({ id }))
        const locker = yield* connect(settings)
        for (const how of ["interrupt", "terminate", "statement"] as const) {
          yield* locker.query("begin")
          yield* locker.query("lock table t")
          const fiber = yield* Effect.forkChild(t.insertStream(rows))
          yield* until("the insert waits for the lock", (sessions) =>
            sessions.some(({ waitEvent }) => waitEvent === "relation")
          )
          if (how === "interrupt") yield* Fiber.interrupt(fiber)
          else {
            const end = how === "terminate" ? "pg_terminate_backend" : "pg_cancel_backend"
            yield* witness.query(
              `select ${end}(pid) from pg_stat_activity where datname = current_database() and wait_event = 'relation'`
            )
            const exit = yield* Fiber.await(fiber)
            assert.isTrue(Exit.isFailure(exit))
          }
          yield* locker.query("commit")
          yield* until("no transaction is open", (sessions) =>
            sessions.every(({ state }) => state === "idle")
          )
          assert.deepStrictEqual(yield* witness.query("select * from t"), [])
        }
        assert.strictEqual(yield* t.insertStream(rows), 15_000)
      })
  )

  withDatabase("pulls no further than it can store", table, ({ pgdb }) =>
    Effect.gen(function* () {
      const t = pgdb.table("t")
      let pulled = 0
      let most = 0
      let stored = 0
      const rows = Stream.rechunk(Stream.range(1, 300_000), 100).pipe(
        Stream.map((id) => {
          pulled++
          most = Math.max(most, pulled - stored)
          return { id }
        })
      )
      yield* t.insertStream(rows, { onProgress: (progress) => (stored = progress.rows) })
      // Two pieces, and the rows that are being taken in.
      assert.isAtMost(most, 2 * 32_768 + 2_000)
    })
  )

  withDatabase(
    "may read one table and fill another",
    [...table, "create table s (id int primary key, a text)"],
    ({ pgdb }) =>
      Effect.gen(function* () {
        const [s, t] = [pgdb.table("s"), pgdb.table("t")]
        yield* s.insertMany(Array.from({ length: 12_000 }, (_, id) => ({ id, a: `a${id}` })))
        assert.strictEqual(yield* t.insertStream(s.findStream({ id: { $gte: 2000 } })), 10_000)
        assert.deepStrictEqual(yield* t.find({ id: 11_999 }), [{ id: 11_999, a: "a11999" }])
        // Longer rows, so that the reader ends while the last piece is on its way.
        yield* t.delete({ id: { $gte: 0 } })
        yield* s.update({ id: { $gte: 0 } }, { a: "long ".repeat(20) })
        assert.strictEqual(yield* t.insertStream(s.findStream({ id: { $gte: 2000 } })), 10_000)
      })
  )
})
