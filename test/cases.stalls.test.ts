/** Nothing waits for what it does not need: streams, ends of pools, silent servers, bounded memory. */
import * as Net from "node:net"
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { PG, PoolRegistry } from "effect-global-pool"
import { forEach, withEachSetting } from "./support/cases.ts"
import { eventually } from "./support/database.ts"
import { withDatabase } from "./support/handle.ts"
import { linked } from "./support/link.ts"

/** The milliseconds that an effect takes. */
const millisOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const began = performance.now()
    return Effect.map(effect, () => performance.now() - began)
  })

/** Statements that take a streamed statement, each with the stream's rows. */
const streams: Readonly<
  Record<
    string,
    (
      pgdb: PG.Database,
      text: string,
      count: number
    ) => Effect.Effect<ReadonlyArray<unknown>, PG.OperationError, PoolRegistry>
  >
> = {
  stream: (pgdb, text, count) => Stream.runCollect(Stream.take(pgdb.stream(text), count)),
  "stream in a transaction": (pgdb, text, count) =>
    pgdb.transaction(Stream.runCollect(Stream.take(pgdb.stream(text), count))),
  "stream in a savepoint": (pgdb, text, count) =>
    pgdb.transaction(pgdb.transaction(Stream.runCollect(Stream.take(pgdb.stream(text), count)))),
  "stream of the client": (pgdb, text, count) =>
    Effect.flatMap(pgdb.client, (sql) => Stream.runCollect(Stream.take(sql.unsafe(text).stream, count))),
  "stream of the client in its transaction": (pgdb, text, count) =>
    Effect.flatMap(pgdb.client, (sql) =>
      sql.withTransaction(Stream.runCollect(Stream.take(sql.unsafe(text).stream, count)))
    ),
  "stream of a reserved connection": (pgdb, text, count) =>
    Effect.scoped(
      Effect.flatMap(pgdb.client, (sql) =>
        Effect.flatMap(sql.reserve, (connection) =>
          Stream.runCollect(Stream.take(connection.executeStream(text, [], undefined), count))
        )
      )
    )
}

const pidOf = (pgdb: PG.Database) => pgdb.selectValue("select pg_backend_pid()")

withEachSetting(
  "a stream of a gigabyte ends when its reader has enough, on the same connection",
  ["create table big as select g, repeat('x', 1000000) a from generate_series(1, 5) g"],
  { maxConnections: 1 },
  ({ pgdb }) =>
    Effect.gen(function* () {
      const pid = yield* pidOf(pgdb)
      yield* forEach(streams, (stream, name) =>
        Effect.gen(function* () {
          const took = yield* millisOf(
            Effect.map(stream(pgdb, "select generate_series(1, 1000) g, repeat('x', 1000000) a", 3), (rows) =>
              expect(rows).toHaveLength(3)
            )
          )
          // All of it takes longer than the cancel by far; the bound leaves room for a busy machine.
          expect([name, took < 4_000]).toEqual([name, true])
          expect([name, yield* pidOf(pgdb)]).toEqual([name, pid])
        })
      )
      yield* Stream.runDrain(Stream.take(pgdb.table("big").findStream(), 1))
      expect(yield* pidOf(pgdb)).toEqual(pid)
    })
)

withEachSetting(
  "a stream gives its first row when the server has it",
  [],
  { maxConnections: 1 },
  ({ pgdb }) =>
    Effect.gen(function* () {
      const pid = yield* pidOf(pgdb)
      const slow = "select 1 a union all select (pg_sleep(20) is null)::int"
      yield* forEach(streams, (stream) =>
        Effect.gen(function* () {
          expect(yield* Effect.timeout(stream(pgdb, slow, 1), "10 seconds")).toEqual([{ a: 1 }])
        })
      )
      expect(yield* pidOf(pgdb)).toEqual(pid)
    })
)

const late = (value: string) =>
  `select case when g = 900 then ${value} end as r from generate_series(1, 1000) g`

withEachSetting(
  "a stream reads types that it meets late, on a pool of one connection",
  ["create type mood as enum ('a')", "create type pair as (a int, m mood)", "create domain dom as mood"],
  { maxConnections: 1, acquireTimeout: "5 seconds" },
  ({ pgdb, witness }) =>
    Effect.gen(function* () {
      const values: ReadonlyArray<readonly [sql: string, value: unknown]> = [
        ["'pg_class'::regclass", "pg_class"],
        ["'a'::mood", "a"],
        ["'a'::dom", "a"],
        ["array['a'::mood]", ["a"]],
        ["row(1, 'a')::pair", { a: 1, m: "a" }],
        ["row(1, 'a'::dom, row(1, 'a')::pair)", [1, "a", { a: 1, m: "a" }]],
        ["array[row(1, 'a'::mood)]", [[1, "a"]]]
      ]
      for (const [sql, value] of values) {
        yield* forEach(streams, (stream, name) =>
          Effect.gen(function* () {
            const rows = yield* stream(pgdb, late(sql), 1_000)
            // The client gives the driver's values, of which a name by its number is one.
            const given = /client|reserved/.test(name) && value === "pg_class" ? expect.any(Number) : value
            expect([name, sql, rows[899]]).toEqual([name, sql, { r: given }])
            expect(rows).toHaveLength(1_000)
          })
        )
      }
      yield* witness.query("create type newer as (z mood, y int)")
      expect(yield* Stream.runCollect(pgdb.stream("select row(1, row('a', 2)::newer) as r"))).toEqual([
        { r: [1, { z: "a", y: 2 }] }
      ])
    })
)

withDatabase("terminateWithin(0) ends a pool at once, whatever its callers do", [], (given) =>
  Effect.gen(function* () {
    const rows = "select generate_series(1, 100000) g, repeat('x', 1000)"
    const busy: Readonly<
      Record<string, (pgdb: PG.Database) => Effect.Effect<unknown, unknown, PoolRegistry>>
    > = {
      "a statement": (pgdb) => pgdb.select("select pg_sleep(60)"),
      "a stream whose reader sleeps": (pgdb) => Stream.runForEach(pgdb.stream(rows), () => Effect.never),
      "a stream in a transaction whose reader sleeps": (pgdb) =>
        pgdb.transaction(Stream.runForEach(pgdb.stream(rows), () => Effect.never)),
      "a transaction that is idle": (pgdb) =>
        pgdb.transaction(Effect.andThen(pgdb.select("select 1"), Effect.never)),
      "a listener": (pgdb) => Stream.runDrain(pgdb.listen("jobs"))
    }
    yield* forEach(busy, (work, name) =>
      Effect.gen(function* () {
        const { pgdb, proxy } = yield* linked(given, { key: name })
        const running = (yes: number) => given.until(`${name}`, (sessions) => sessions.length >= yes)
        for (const isSilent of [false, true]) {
          const fiber = yield* Effect.forkChild(Effect.exit(work(pgdb)))
          yield* running(1)
          if (isSilent) yield* proxy.pause
          const took = yield* millisOf(pgdb.terminateWithin(0))
          expect([name, isSilent, took < 2_500]).toEqual([name, isSilent, true])
          yield* Fiber.interrupt(fiber)
          yield* proxy.resume
          yield* proxy.cut
          // A server whose client went silent learns of it when the statement ends.
          if (isSilent) {
            yield* given.witness.query(
              "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name <> 'witness'"
            )
          }
          yield* given.until("the sessions have ended", (sessions) => sessions.length === 0)
        }
      })
    )
  })
)

/** A server that accepts connections and never says a word. */
const silent = Effect.acquireRelease(
  Effect.callback<Net.Server>((resume) => {
    const server = Net.createServer((socket) => {
      socket.on("error", () => socket.destroy())
      socket.resume()
    })
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
  }),
  (server) => Effect.sync(() => server.close())
)

withDatabase(
  "a server that accepts and never answers fails by connectTimeout, and is what the error names",
  [],
  ({ settings }) =>
    Effect.gen(function* () {
      const address = (yield* silent).address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      const short = PG.make({ ...settings, port, connectTimeout: "1 second", key: "short" })
      const took = yield* millisOf(Effect.flip(short.select("select 1")))
      expect(took).toBeGreaterThan(900)
      expect(took).toBeLessThan(1_900)
      const error = yield* Effect.flip(short.select("select 1"))
      expect(error.message).toContain("connectTimeout, 1000 ms")
      const long = PG.make({ ...settings, port, acquireTimeout: "300 millis", key: "long" })
      const operations = {
        select: long.select("select 1"),
        stream: Stream.runCollect(long.stream("select 1")),
        trans: long.trans(["select 1"]),
        transaction: long.transaction(long.select("select 1"))
      }
      yield* forEach<Effect.Effect<unknown, unknown, PoolRegistry>, unknown, PoolRegistry>(
        operations,
        (operation) =>
          Effect.map(Effect.flip(operation), (error) => {
            expect(String(error)).toContain(`127.0.0.1:${port} has not answered so far`)
            expect(String(error)).not.toContain("maxConnections")
          })
      )
    })
)

withDatabase("Effect.timeout returns in time over a link that went silent", [], (given) =>
  Effect.gen(function* () {
    const { pgdb, proxy } = yield* linked(given, { maxConnections: 1 })
    const sql = yield* pgdb.client
    const operations: Readonly<Record<string, Effect.Effect<unknown, unknown, PoolRegistry>>> = {
      select: pgdb.select("select 1"),
      "a write": pgdb.execute("create table x (a int)"),
      "a Date": pgdb.select("select $1::date", [new Date()]),
      trans: pgdb.trans(["select 1"]),
      transaction: pgdb.transaction(pgdb.select("select 1")),
      savepoint: pgdb.transaction(pgdb.transaction(pgdb.select("select 1"))),
      stream: Stream.runCollect(pgdb.stream("select 1")),
      "a statement of the client": sql`select 1`,
      "a reserved connection": Effect.scoped(
        Effect.flatMap(sql.reserve, (connection) => connection.execute("select 1", [], undefined))
      )
    }
    yield* forEach(operations, (operation, name) =>
      Effect.gen(function* () {
        yield* eventually(
          "the link is well",
          Effect.exit(pgdb.select("select 1")),
          (exit) => exit._tag === "Success"
        )
        yield* proxy.pause
        const took = yield* millisOf(Effect.exit(Effect.timeout(operation, "500 millis")))
        expect([name, took < 1_500]).toEqual([name, true])
        yield* proxy.resume
        yield* proxy.cut
      })
    )
  })
)

withEachSetting(
  "a session keeps a bounded number of prepared statements, through failures and interruptions",
  [],
  { maxConnections: 3 },
  ({ pgdb }) =>
    Effect.gen(function* () {
      const preparedOn = Effect.map(
        Effect.forEach(
          Array.from({ length: 30 }),
          () => pgdb.select("select pg_backend_pid() as pid, count(*)::int as n from pg_prepared_statements"),
          { concurrency: "unbounded" }
        ),
        (all) => Math.max(...all.flat().map(({ n }) => Number(n)))
      )
      const failing = (count: number) =>
        Effect.forEach(
          Array.from({ length: count }, (_, n) => n),
          (n) => Effect.ignore(pgdb.select("select 1 / $1::int as x", [n % 100])),
          { concurrency: 48, discard: true }
        )
      yield* failing(2_000)
      expect(yield* preparedOn).toBeLessThan(10)
      yield* failing(2_000)
      expect(yield* preparedOn).toBeLessThan(10)
      const texts = (count: number) =>
        Effect.forEach(
          Array.from({ length: count }, (_, n) => n),
          (n) =>
            Effect.ignore(Effect.timeout(pgdb.select(`select ${n % 700} / $1::int as x`, [n % 3]), n % 2)),
          { concurrency: 48, discard: true }
        )
      yield* texts(2_000)
      const most = yield* preparedOn
      expect(most).toBeLessThan(300)
      yield* texts(2_000)
      expect(yield* preparedOn).toBeLessThan(300)
    })
)

withDatabase(
  "comments before a statement cost time in proportion to their length",
  ["create procedure p(jsonb) language sql as $$ $$"],
  ({ pgdb }) =>
    Effect.gen(function* () {
      const cpu = Effect.fnUntraced(function* (comments: number) {
        const text = `${"/* step */ ".repeat(comments)}call p($1)`
        yield* pgdb.execute(text, [[1]])
        const began = process.cpuUsage()
        yield* pgdb.execute(text, [[1]])
        const { system, user } = process.cpuUsage(began)
        return (system + user) / 1_000
      })
      yield* cpu(26)
      // It doubled with each comment: 26 took seconds, and these would take for ever.
      expect(yield* cpu(2_600)).toBeLessThan(200)
      expect(yield* cpu(26_000)).toBeLessThan(400)
    })
)

withDatabase("listeners leave the pool's connections to statements", [], ({ settings }) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...settings, maxConnections: 3, acquireTimeout: "5 seconds" })
    const listeners = ["a", "b", "c", "d"].map((channel) => Stream.runDrain(pgdb.listen(channel)))
    const fibers = yield* Effect.forEach(listeners, (listener) => Effect.forkChild(listener))
    const together = Effect.forEach([1, 2, 3], () => pgdb.select("select pg_sleep(0.05)"), {
      concurrency: "unbounded"
    })
    yield* together
    const [stats] = yield* PoolRegistry.stats
    expect(stats?.open).toBeLessThanOrEqual(3)
    yield* Effect.forEach(fibers, Fiber.interrupt)
  })
)
