/** Connections that are lost: what is retryable, and what is not, in every operation. */
import { expect } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { PG, type PoolRegistry } from "effect-global-pool"
import { forEach, withEachSetting } from "./support/cases.ts"
import { type Given, withDatabase } from "./support/handle.ts"
import { linked } from "./support/link.ts"

type Work = Effect.Effect<unknown, unknown, PoolRegistry>

const end = ({ witness }: Given) =>
  witness.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name <> 'witness'"
  )

const isSlow = (given: Given) =>
  given.until("a session sleeps", (sessions) => sessions.some(({ waitEvent }) => waitEvent === "PgSleep"))

withEachSetting(
  "a backend that is ended before, in or behind a statement of a transaction says so, and nothing took effect",
  ["create table t (a int)"],
  {},
  (given) =>
    Effect.gen(function* () {
      const { pgdb } = given
      const insert = pgdb.execute("insert into t values (1)")
      const sleep = pgdb.execute("select pg_sleep(60)")
      const sql = yield* pgdb.client
      const working: Readonly<Record<string, Work>> = {
        "trans, its first statement": pgdb.trans(["select pg_sleep(60)", "insert into t values (1)"]),
        "trans, its second": pgdb.trans([
          "insert into t values (1)",
          "select pg_sleep(60)",
          "insert into t values (2)"
        ]),
        "trans, its last": pgdb.trans([
          "insert into t values (1)",
          "insert into t select 1 from pg_sleep(60)"
        ]),
        "transaction, its first statement": pgdb.transaction(Effect.andThen(sleep, insert)),
        "transaction, its second": pgdb.transaction(Effect.andThen(insert, sleep)),
        savepoint: pgdb.transaction(Effect.andThen(insert, pgdb.transaction(sleep))),
        "trans in a transaction": pgdb.transaction(
          Effect.andThen(insert, pgdb.trans(["select pg_sleep(60)"]))
        ),
        "a stream in a transaction": pgdb.transaction(
          Effect.andThen(insert, Stream.runDrain(pgdb.stream("select pg_sleep(60)")))
        ),
        "the client's transaction": sql.withTransaction(
          Effect.andThen(sql`insert into t values (1)`, sql`select pg_sleep(60)`)
        ),
        "a write": pgdb.execute("insert into t select 1 from pg_sleep(60)")
      }
      yield* forEach(working, (work, name) =>
        Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(Effect.flip(work))
          yield* isSlow(given)
          yield* end(given)
          const error = yield* Fiber.join(fiber)
          expect([name, PG.sqlState(error)]).toEqual([name, "57P01"])
          expect([name, error]).toMatchObject([
            name,
            { isRetryable: true, reason: { _tag: "ConnectionError" } }
          ])
          expect(String(error)).not.toContain("unknown")
        })
      )
      const idle: Readonly<Record<string, (meanwhile: Effect.Effect<unknown>) => Work>> = {
        "before its first statement": (meanwhile) => pgdb.transaction(Effect.andThen(meanwhile, insert)),
        "before its second": (meanwhile) =>
          pgdb.transaction(Effect.andThen(insert, Effect.andThen(meanwhile, insert))),
        "before COMMIT": (meanwhile) => pgdb.transaction(Effect.andThen(insert, meanwhile)),
        "before a savepoint": (meanwhile) =>
          pgdb.transaction(Effect.andThen(insert, Effect.andThen(meanwhile, pgdb.transaction(insert)))),
        "before trans": (meanwhile) =>
          pgdb.transaction(
            Effect.andThen(insert, Effect.andThen(meanwhile, pgdb.trans(["insert into t values (2)"])))
          ),
        "before a stream": (meanwhile) =>
          pgdb.transaction(
            Effect.andThen(insert, Effect.andThen(meanwhile, Stream.runDrain(pgdb.stream("select 1"))))
          )
      }
      yield* forEach(idle, (work, name) =>
        Effect.gen(function* () {
          yield* pgdb.select("select 1")
          const reached = yield* Deferred.make<void>()
          const ended = yield* Deferred.make<void>()
          const meanwhile = Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(ended))
          const fiber = yield* Effect.forkChild(Effect.flip(work(meanwhile)))
          yield* Deferred.await(reached)
          yield* end(given)
          yield* given.until("the session has ended", (sessions) => sessions.length === 0)
          yield* Deferred.succeed(ended, undefined)
          const error = yield* Fiber.join(fiber)
          expect([name, PG.sqlState(error)]).toEqual([name, "57P01"])
          expect([name, error]).toMatchObject([name, { isRetryable: true }])
          expect(String(error)).not.toContain("unknown")
        })
      )
      expect(yield* pgdb.table("t").count()).toBe(0)
    })
)

withEachSetting(
  "trans on a session that was ended while it was idle is sent on another",
  ["create table t (a int)"],
  {},
  (given) =>
    Effect.gen(function* () {
      const { pgdb } = given
      for (let run = 1; run <= 5; run++) {
        yield* pgdb.select("select 1")
        yield* end(given)
        yield* pgdb.trans(["insert into t values (1)", "select 1"])
        expect(yield* pgdb.table("t").count()).toBe(run)
      }
    })
)

withEachSetting(
  "over a link that is cut a write's outcome is unknown and it is not retryable, and a read is",
  ["create table t (id int primary key, n int)", "insert into t values (1, 1)"],
  {},
  (given) =>
    Effect.gen(function* () {
      const { pgdb, proxy } = yield* linked(given, { maxConnections: 1, acquireTimeout: "5 seconds" })
      const t = pgdb.table("t")
      const slow = "from pg_sleep(60)"
      const sql = yield* pgdb.client
      yield* given.witness.query(
        "create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(60); return new; end $$"
      )
      const cutIn = (work: Work, isDone: Effect.Effect<unknown, unknown>) =>
        Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(Effect.flip(work))
          yield* isDone
          yield* proxy.cut
          const error = yield* Fiber.join(fiber)
          yield* end(given)
          yield* given.until("no session is left", (sessions) => sessions.length === 0)
          return error
        })
      const writes: Readonly<Record<string, Work>> = {
        execute: pgdb.execute(`insert into t select 2 ${slow}`),
        returning: pgdb.select(`with a as (insert into t select 2 ${slow} returning *) select * from a`),
        "a function": pgdb.select("select pg_sleep(60), set_config('a.b', 'c', false)"),
        stream: Stream.runDrain(pgdb.stream(`insert into t select 2 ${slow} returning *`)),
        client: sql.unsafe(`insert into t select 2 ${slow}`),
        "a lock": pgdb.select("select * from t, pg_sleep(60) for update")
      }
      yield* forEach(writes, (work, name) =>
        Effect.map(cutIn(work, isSlow(given)), (error) => {
          expect([name, error]).toMatchObject([
            name,
            { isRetryable: false, reason: { _tag: "ConnectionError" } }
          ])
          expect([name, String(error)]).toEqual([
            name,
            expect.stringContaining("is not known: repeat it only if")
          ])
        })
      )
      yield* given.witness.query(
        "create trigger slow before insert or update on t for each row execute function slow()"
      )
      const byTable: Readonly<Record<string, Work>> = {
        insert: t.insert({ id: 2 }),
        insertMany: t.insertMany([{ id: 2 }]),
        upsert: t.upsert({ id: 1, n: 2 }, { on: "id" }),
        $inc: t.update({ id: 1 }, { n: { $inc: 1 } })
      }
      yield* forEach(byTable, (work, name) =>
        Effect.map(cutIn(work, isSlow(given)), (error) =>
          expect([name, error]).toMatchObject([name, { isRetryable: false }])
        )
      )
      yield* given.witness.query("drop trigger slow on t")
      // In a transaction nothing takes effect before COMMIT.
      for (const work of [
        pgdb.transaction(pgdb.execute(`insert into t select 2 ${slow}`)),
        pgdb.transaction(Effect.andThen(t.insert({ id: 2 }), pgdb.select("select pg_sleep(60)")))
      ]) {
        expect(yield* cutIn(work, isSlow(given))).toMatchObject({ isRetryable: true })
      }
      // A plain read is sent again by itself, and a caller who sees it fail may repeat it.
      const reading = yield* Effect.forkChild(pgdb.select("select id from t"))
      yield* Fiber.join(reading)
      yield* proxy.cut
      expect(yield* pgdb.select("select id from t")).toEqual([{ id: 1 }])
      expect(yield* given.witness.query("select * from t")).toEqual([{ id: 1, n: 1 }])
    })
)

withDatabase(
  "inserts and increments over a link that resets, repeated where they are retryable, are there once",
  ["create table t (id int)", "create table c (id int primary key, n int)", "insert into c values (1, 0)"],
  (given) =>
    Effect.gen(function* () {
      const { pgdb, proxy } = yield* linked(given, { maxConnections: 3 })
      const t = pgdb.table("t")
      const c = pgdb.table("c")
      const retryable = (error: PG.OperationError) => "isRetryable" in error && error.isRetryable
      const again = <A>(work: Effect.Effect<A, PG.OperationError, PoolRegistry>) =>
        Effect.exit(Effect.retry(work, { times: 20, while: retryable }))
      const cutting = yield* Effect.forkChild(
        Effect.forever(Effect.andThen(Effect.sleep("50 millis"), proxy.cut))
      )
      const inserted: Array<boolean> = []
      const counted = { done: 0, unknown: 0 }
      yield* Effect.forEach(
        Array.from({ length: 300 }, (_, id) => id),
        (id) =>
          Effect.gen(function* () {
            inserted[id] = (yield* again(t.insert({ id })))._tag === "Success"
            const isDone = (yield* again(c.update({ id: 1 }, { n: { $inc: 1 } })))._tag === "Success"
            counted[isDone ? "done" : "unknown"]++
          }),
        { concurrency: 12, discard: true }
      )
      yield* Fiber.interrupt(cutting)
      const rows = yield* given.witness.query("select id, count(*)::int as n from t group by id")
      const times = new Map(rows.map(({ id, n }) => [id, Number(n)]))
      for (const [id, isDone] of inserted.entries()) {
        const n = times.get(id) ?? 0
        expect([id, isDone, n]).toEqual([id, isDone, isDone ? 1 : Math.min(n, 1)])
      }
      const [total] = yield* given.witness.query("select n from c")
      expect(Number(total?.n)).toBeGreaterThanOrEqual(counted.done)
      expect(Number(total?.n)).toBeLessThanOrEqual(counted.done + counted.unknown)
    })
)

withDatabase("a listener whose backend is ended goes on", [], (given) =>
  Effect.gen(function* () {
    const { pgdb } = given
    const heard: Array<string> = []
    const times = { listening: 0 }
    const listener = yield* Effect.forkChild(
      Stream.runForEach(
        pgdb.listen("jobs", { onListen: Effect.sync(() => times.listening++) }),
        ({ payload }) => Effect.sync(() => heard.push(payload))
      )
    )
    yield* given.until("it listens", () => times.listening === 1)
    yield* pgdb.notify("jobs", "first")
    yield* given.until("the first is heard", () => heard.length === 1)
    yield* end(given)
    yield* given.until("it listens again", () => times.listening === 2)
    yield* pgdb.notify("jobs", "second")
    yield* given.until("the second is heard", () => heard.length === 2)
    expect(heard).toEqual(["first", "second"])
    yield* Fiber.interrupt(listener)
  })
)
