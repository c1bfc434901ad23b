/** Transactions, interruption, pools, listening. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { PG, PoolRegistry } from "effect-global-pool"
import { assert, promise, until } from "./promise.ts"

const count = (pgdb: PG.Database, name: string) => pgdb.table("people").count({ name })

export const transactions = [
  promise("trans is all or nothing", ({ pgdb }) =>
    Effect.gen(function* () {
      yield* Effect.flip(pgdb.trans(["insert into people (name) values ('t1')", "select 1/0"]))
      assert.equal(yield* count(pgdb, "t1"), 0)
      const outcomes = yield* pgdb.trans([
        "insert into people (name) values ('t1')",
        ["delete from people where name = $1", ["t1"]]
      ])
      assert.deepEqual(
        outcomes.map(({ rowCount }) => rowCount),
        [1, 1]
      )
    })
  ),
  promise("a transaction commits", ({ pgdb }) =>
    Effect.gen(function* () {
      yield* pgdb.transaction(pgdb.table("people").insert({ name: "t2" }))
      assert.equal(yield* count(pgdb, "t2"), 1)
    })
  ),
  promise("a failing transaction rolls back", ({ pgdb }) =>
    Effect.gen(function* () {
      const failing = Effect.andThen(pgdb.table("people").insert({ name: "t3" }), Effect.fail("no"))
      assert.equal(yield* Effect.flip(pgdb.transaction(failing)), "no")
      assert.equal(yield* count(pgdb, "t3"), 0)
    })
  ),
  promise("a transaction inside another is a savepoint", ({ pgdb }) =>
    Effect.gen(function* () {
      const insert = (name: string) => pgdb.table("people").insert({ name })
      yield* pgdb.transaction(
        Effect.gen(function* () {
          yield* insert("t4")
          yield* Effect.ignore(pgdb.transaction(Effect.andThen(insert("t5"), Effect.fail("no"))))
          yield* pgdb.transaction(insert("t6"))
        })
      )
      assert.deepEqual(
        [yield* count(pgdb, "t4"), yield* count(pgdb, "t5"), yield* count(pgdb, "t6")],
        [1, 0, 1]
      )
    })
  ),
  promise("fibers of a transaction share its connection", ({ pgdb }) =>
    Effect.gen(function* () {
      const pid = pgdb.selectValue("select pg_backend_pid()")
      const pids = yield* pgdb.transaction(Effect.all([pid, pid, pid], { concurrency: "unbounded" }))
      assert.deepEqual(pids[1], pids[0])
      assert.deepEqual(pids[2], pids[0])
    })
  ),
  promise("an interrupted transaction rolls back", ({ pgdb }) =>
    Effect.gen(function* () {
      const inserted = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(
        pgdb.transaction(
          Effect.gen(function* () {
            yield* pgdb.table("people").insert({ name: "t7" })
            yield* Deferred.succeed(inserted, undefined)
            yield* Effect.never
          })
        )
      )
      yield* Deferred.await(inserted)
      yield* Fiber.interrupt(fiber)
      assert.equal(yield* count(pgdb, "t7"), 0)
    })
  ),
  promise("a stream runs in a transaction beside other statements", ({ pgdb }) =>
    Effect.gen(function* () {
      const rows = yield* pgdb.transaction(
        Stream.runCollect(
          Stream.mapEffect(pgdb.stream("select n from generate_series(1, 200) n"), ({ n }) =>
            pgdb.selectValue<number>("select $1::int", [n])
          )
        )
      )
      assert.equal(rows.length, 200)
    })
  ),
  promise("afterCommit runs after the commit alone", ({ pgdb }) =>
    Effect.gen(function* () {
      const ran: Array<string> = []
      const note = (what: string) => pgdb.afterCommit(Effect.sync(() => void ran.push(what)))
      yield* pgdb.transaction(note("kept"))
      yield* Effect.ignore(pgdb.transaction(Effect.andThen(note("undone"), Effect.fail("no"))))
      assert.deepEqual(ran, ["kept"])
    })
  ),
  promise("a serialization failure is retried", ({ pgdb }) =>
    Effect.gen(function* () {
      let runs = 0
      const body = Effect.suspend(() =>
        ++runs === 1
          ? pgdb.execute("do $$ begin raise exception 'again' using errcode = '40001'; end $$")
          : pgdb.execute("select 1")
      )
      yield* pgdb.transaction(body, { isolation: "serializable", retry: { times: 3 } })
      assert.equal(runs, 2)
    })
  ),
  promise("the standard client joins a handle's transaction", ({ pgdb }) =>
    Effect.gen(function* () {
      const sql = yield* pgdb.client
      yield* Effect.ignore(
        pgdb.transaction(Effect.andThen(sql`insert into people (name) values ('t8')`, Effect.fail("no")))
      )
      assert.equal(yield* count(pgdb, "t8"), 0)
      assert.deepEqual(yield* sql`select 1::int8 as n`, [{ n: 1n }])
    })
  ),
  promise("an advisory lock keeps others out", ({ pgdb }) =>
    Effect.gen(function* () {
      const other = pgdb.tryLock("runtime", Effect.succeed("mine"))
      assert.deepEqual(yield* pgdb.withLock("runtime", other), Option.some("mine"))
      const locked = yield* Deferred.make<void>()
      const holder = yield* Effect.forkChild(
        pgdb.withLock("runtime", Effect.andThen(Deferred.succeed(locked, undefined), Effect.never))
      )
      yield* Deferred.await(locked)
      assert.deepEqual(yield* other, Option.none())
      yield* Fiber.interrupt(holder)
    })
  )
]

export const interruptions = [
  promise("an interrupted statement is cancelled on the server", ({ pgdb, sessions }) =>
    Effect.gen(function* () {
      const began = Date.now()
      assert.deepEqual(
        yield* Effect.timeoutOption(pgdb.execute("select pg_sleep(60)"), "100 millis"),
        Option.none()
      )
      assert.ok(Date.now() - began < 2_000)
      yield* until(sessions, (all) => all.every(({ state }) => state !== "active"))
    })
  ),
  promise("an interrupted stream is cancelled on the server", ({ pgdb, sessions }) =>
    Effect.gen(function* () {
      const slow = Stream.runDrain(pgdb.stream("select pg_sleep(60)"))
      assert.deepEqual(yield* Effect.timeoutOption(slow, "100 millis"), Option.none())
      yield* until(sessions, (all) => all.every(({ state }) => state !== "active"))
    })
  ),
  promise("the statement timeout ends a statement", ({ settings }) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...settings, statementTimeout: "100 millis", key: "timeout" })
      const error = yield* Effect.flip(pgdb.execute("select pg_sleep(60)"))
      assert.ok(error._tag === "SqlError" && error.reason._tag === "StatementTimeoutError")
      yield* pgdb.terminate
    })
  ),
  promise("a caller waits for a connection no longer than acquireTimeout", ({ settings }) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...settings, maxConnections: 1, acquireTimeout: "500 millis", key: "one" })
      const sql = yield* pgdb.client
      yield* sql.reserve
      const error = yield* Effect.flip(pgdb.select("select 1"))
      assert.match(error.message, /acquireTimeout/)
    })
  )
]

export const pools = [
  promise("a thousand first calls open one pool of at most ten connections", ({ settings }) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...settings, key: "thousand" })
      yield* Effect.forEach(
        Array.from({ length: 1_000 }),
        (_, index) => pgdb.selectValue("select $1::int", [index]),
        { concurrency: "unbounded" }
      )
      const stats = (yield* PoolRegistry.stats).find(({ key }) => key === "thousand")
      assert.ok(stats !== undefined && stats.open >= 1 && stats.open <= 10 && stats.inUse === 0)
      yield* pgdb.terminate
    })
  ),
  promise("PG.run leaves no connection open", ({ pgdb, sessions, settings }) =>
    Effect.gen(function* () {
      const before = (yield* sessions).length
      const mine = PG.make({ ...settings, applicationName: "script", key: "script" })
      yield* PG.run(mine.select("select 1"))
      assert.equal((yield* sessions).length, before)
      yield* pgdb.select("select 1")
    })
  ),
  promise("terminate ends a pool, and the next call opens another", ({ settings }) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...settings, key: "ended" })
      yield* pgdb.select("select 1")
      yield* pgdb.terminate
      assert.deepEqual(
        (yield* PoolRegistry.stats).filter(({ key }) => key === "ended"),
        []
      )
      assert.deepEqual(yield* pgdb.selectValue("select 2"), Option.some(2))
      yield* pgdb.terminate
    })
  ),
  promise("a connection that the server ends is replaced", ({ settings }) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...settings, maxConnections: 1, key: "killed" })
      yield* Effect.flip(pgdb.execute("select pg_terminate_backend(pg_backend_pid())"))
      assert.deepEqual(yield* pgdb.selectValue("select 3"), Option.some(3))
      yield* pgdb.terminate
    })
  ),
  promise("an unused connection is closed after idleTimeout", ({ settings }) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...settings, idleTimeout: "50 millis", key: "idle" })
      yield* pgdb.select("select 1")
      yield* until(PoolRegistry.stats, (all) => all.some(({ key, open }) => key === "idle" && open === 0))
      yield* pgdb.terminate
    })
  ),
  promise("a limit over many pools holds", ({ settings }) =>
    Effect.gen(function* () {
      const handles = Array.from({ length: 8 }, (_, index) =>
        PG.make({ ...settings, key: `tenant ${index}` })
      )
      yield* Effect.forEach([...handles, ...handles], (pgdb) => pgdb.select("select 1"), {
        concurrency: "unbounded"
      })
      const open = (yield* PoolRegistry.stats).reduce((sum, stats) => sum + stats.open, 0)
      assert.ok(open <= 3)
    }).pipe(Effect.provide(PoolRegistry.layer({ maxConnections: 3 })))
  ),
  promise("busy callers share connections", ({ settings }) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...settings, maxConnections: 2, key: "shared" })
      const rounds = Array.from({ length: 2_000 }, (_, index) => index)
      const found = yield* Effect.forEach(rounds, (n) => pgdb.selectValue<number>("select $1::int", [n]), {
        concurrency: 64
      })
      assert.deepEqual(found.map(Option.getOrThrow), rounds)
      yield* pgdb.terminate
    })
  ),
  promise("a handle prints without its password", ({ settings }) =>
    Effect.sync(() => {
      const pgdb = PG.make({ ...settings, password: "s3cret" })
      assert.doesNotMatch(`${pgdb} ${JSON.stringify(pgdb)}`, /s3cret/)
    })
  )
]

export const notifications = [
  promise("a listener hears what is notified", ({ pgdb }) =>
    Effect.gen(function* () {
      const heard = pgdb
        .listen("news", { onListen: pgdb.notify("news", "hello") })
        .pipe(Stream.take(1), Stream.runCollect)
      assert.deepEqual(
        (yield* heard).map(({ payload }) => payload),
        ["hello"]
      )
    })
  ),
  promise("a listener survives the loss of its connection", ({ pgdb }) =>
    Effect.gen(function* () {
      const kill = pgdb.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where query like 'LISTEN%'"
      )
      let times = 0
      const onListen = Effect.suspend(() => (++times === 1 ? kill : pgdb.notify("lost", "again")))
      const heard = pgdb.listen("lost", { onListen }).pipe(Stream.take(1), Stream.runCollect)
      assert.deepEqual(
        (yield* heard).map(({ payload }) => payload),
        ["again"]
      )
    })
  ),
  promise("the standard client's listen is a queue", ({ pgdb }) =>
    Effect.gen(function* () {
      const sql = yield* pgdb.client
      const queue = yield* sql.listen("queue")
      yield* sql.notify("queue", "one")
      assert.equal((yield* Queue.take(queue)).payload, "one")
    }).pipe(Effect.scoped)
  )
]
