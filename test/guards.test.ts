/** What would poison a pooled connection is refused before it is sent, and what a statement leaves never reaches the next borrower. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { PG } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"
import { atRest, linked, reasonOf, roundTrips, sentBy } from "./support/link.ts"

const refused: ReadonlyArray<readonly [text: string, advice: string]> = [
  ["begin", "transaction(effect)"],
  ["BEGIN ISOLATION LEVEL SERIALIZABLE", "transaction(effect)"],
  ["  /* nested /* as Postgres nests */ them */ -- and a line\n\tBeGiN;", "transaction(effect)"],
  ["start transaction", "transaction(effect)"],
  ["commit", "commit when they succeed"],
  ["commit and chain", "commit when they succeed"],
  ["commit prepared 'x'", "two-phase"],
  ["end", "commit when they succeed"],
  ["abort", "roll back when they fail"],
  ["rollback", "roll back when they fail"],
  ["rollback work", "roll back when they fail"],
  ["rollback to savepoint s", "is a savepoint"],
  ["rollback prepared 'x'", "two-phase"],
  ["savepoint s", "is a savepoint"],
  ["release s", "is a savepoint"],
  ["prepare transaction 'x'", "two-phase"],
  ["listen jobs", "pgdb.listen"],
  ["UNLISTEN *", "pgdb.listen"],
  ["copy t from stdin", "insertMany"],
  ["copy (select 1) to stdout", "stream"],
  ["", "holds no SQL"],
  ["-- nothing", "holds no SQL"]
]

withDatabase(
  "manual control of transactions, COPY and LISTEN are refused, through every operation, and nothing is sent",
  [],
  (given) =>
    Effect.gen(function* () {
      const { pgdb, proxy } = yield* linked(given)
      const client = yield* pgdb.client
      yield* pgdb.select("select 1")
      const before = proxy.sent()
      for (const [text, advice] of refused) {
        const operations = [
          pgdb.execute(text),
          pgdb.select(text),
          pgdb.table("t").selectOne(text),
          pgdb.selectValue(text),
          Stream.runDrain(pgdb.stream(text)),
          pgdb.trans([text]),
          pgdb.transaction(pgdb.execute(text)),
          pgdb.transaction(Stream.runDrain(pgdb.stream(text)))
        ]
        for (const operation of operations) {
          const error = yield* Effect.flip(operation)
          expect(reasonOf(error)).toBe("StatementRefused")
          expect(error.message).toContain(advice)
        }
        const standard = yield* Effect.flip(client.unsafe(text))
        expect(standard.message).toContain(advice)
      }
      expect(proxy.sent()).toBe(before)
    })
)

withDatabase(
  "words in strings, names and bodies of functions are not taken for commands",
  ['create table commit ("begin" text)'],
  ({ pgdb }) =>
    Effect.gen(function* () {
      expect(yield* pgdb.selectValue("select 'BEGIN'")).toEqual(Option.some("BEGIN"))
      expect(yield* pgdb.selectValue("select $$commit$$")).toEqual(Option.some("commit"))
      yield* pgdb.execute("insert into commit (\"begin\") values ('rollback')")
      yield* pgdb.execute("/* begin */ select 1 -- commit")
      yield* pgdb.execute("do $$ begin perform 1; end $$")
      yield* pgdb.execute("create procedure p() language plpgsql as $$ begin commit; end $$")
      yield* pgdb.execute("call p()")
      yield* pgdb.execute("create function f() returns int language sql begin atomic select 1; end")
      yield* pgdb.execute("copy (select 1) to program 'cat > /dev/null'")
      expect(yield* pgdb.selectValue("select f()")).toEqual(Option.some(1))
    })
)

/** What a statement leaves, and how the next borrower would notice. */
const leavings: ReadonlyArray<readonly [leave: string, look: string, clean: unknown]> = [
  ["set work_mem = '1234kB'", "select current_setting('work_mem')", "4MB"],
  ["select set_config('work_mem', '1234kB', false)", "select current_setting('work_mem')", "4MB"],
  ["set session my.tenant = '7'", "select coalesce(current_setting('my.tenant', true), '')", ""],
  ["set role pg_monitor", "select current_user = session_user", true],
  ["set session authorization pg_monitor", "select session_user <> 'pg_monitor'", true],
  ["set time zone 'Asia/Tokyo'", "select current_setting('TimeZone') <> 'Asia/Tokyo'", true],
  ["create temporary table left_behind (n int)", "select to_regclass('left_behind')::text", null],
  ["create temp table left_behind as select 1", "select to_regclass('left_behind')::text", null],
  ["do $$ begin execute 'listen something'; end $$", "select count(*)::int from pg_listening_channels()", 0],
  ["declare c cursor with hold for select 1", "select count(*)::int from pg_cursors where name = 'c'", 0],
  ["prepare p as select 1", "select count(*)::int from pg_prepared_statements where name = 'p'", 0],
  [
    "select pg_advisory_lock(77)",
    "select count(*)::int from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()",
    0
  ]
]

withDatabase("session state never reaches the next borrower", [], (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
    for (const [leave, look, clean] of leavings) {
      const ways = [
        Effect.asVoid(pgdb.execute(leave)),
        Effect.asVoid(pgdb.trans([leave, "select 1"])),
        Effect.asVoid(pgdb.transaction(pgdb.execute(leave))),
        Effect.ignore(pgdb.transaction(Effect.andThen(pgdb.execute(leave), Effect.fail("no"))))
      ]
      for (const way of ways) {
        yield* way
        expect([leave, yield* pgdb.selectValue(look)]).toEqual([leave, Option.some(clean)])
      }
    }
    yield* atRest(given)
  })
)

withDatabase("what a transaction creates under a temporary search_path is gone behind it", [], (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
    for (const local of [
      "set local search_path = pg_temp",
      ["select set_config('search_path', $1, true)", ["PG_TEMP, public"]] as const,
      "set local search_path = E'pg\\137temp'",
      "set local schema 'pg_temp'"
    ]) {
      for (const create of ["create table users (id int)", "select 1 as id into users"]) {
        const way = pgdb.trans([local, create])
        yield* way
        expect(yield* pgdb.selectValue("select to_regclass('users')::text")).toEqual(Option.some(null))
        yield* pgdb.transaction(way)
        expect(yield* pgdb.selectValue("select to_regclass('users')::text")).toEqual(Option.some(null))
      }
    }
  })
)

withDatabase(
  "what a function hides is caught by reset always",
  ["create function f() returns void language sql as $$ select set_config('work_mem', '1234kB', false) $$"],
  (given) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...given.settings, maxConnections: 1, reset: "always" })
      for (const way of [
        pgdb.execute("select f()"),
        pgdb.trans(["select f()"]),
        pgdb.transaction(pgdb.execute("select f()"))
      ]) {
        yield* way
        expect(yield* pgdb.selectValue("select current_setting('work_mem')")).toEqual(Option.some("4MB"))
      }
    })
)

withDatabase(
  "what a function prepares and forgets is put right by reset always",
  ["create function run(text text) returns void language plpgsql as $$ begin execute text; end $$"],
  (given) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...given.settings, maxConnections: 1, reset: "always" })
      const own = pgdb.selectValue("select count(*)::int from pg_prepared_statements where from_sql")
      yield* pgdb.select("select run($1)", ["prepare report as select 1"])
      expect(yield* own).toEqual(Option.some(0))
      yield* pgdb.select("select run($1)", ["deallocate all"])
      expect(yield* pgdb.transaction(own)).toEqual(Option.some(0))
    })
)

withDatabase(
  "a session that has lost its prepared statements prepares them again",
  [
    "create table t (n int)",
    "create function run(text text) returns void language plpgsql as $$ begin execute text; end $$"
  ],
  (given) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
      const insert = "insert into t values (1)"
      const nested = (text: string) =>
        pgdb.transaction(
          Effect.all([pgdb.execute(insert), pgdb.execute(text), pgdb.transaction(pgdb.execute(insert))])
        )
      for (const _ of [1, 2]) yield* nested("deallocate all")
      for (const _ of [1, 2]) yield* pgdb.trans([insert, "deallocate all", insert])
      yield* pgdb.execute("select run('deallocate all')")
      yield* pgdb.trans([insert])
      yield* pgdb.execute("select run('deallocate all')")
      yield* pgdb.execute(insert)
      yield* pgdb.execute("select run('deallocate all')")
      yield* Effect.ignore(pgdb.transaction(pgdb.execute(insert)))
      yield* pgdb.transaction(pgdb.execute(insert))
      yield* atRest(given)
    })
)

withDatabase(
  "a transaction that prepares by SQL again and again leaves no statements behind",
  [],
  ({ pgdb }) =>
    Effect.gen(function* () {
      const texts = ["prepare q as select 1 as a", "execute q", "deallocate q"]
      const each = Effect.forEach(texts, (text) => pgdb.execute(text))
      const count = pgdb.selectValue<number>("select count(*)::int from pg_prepared_statements")
      const left = yield* pgdb.transaction(Effect.andThen(Effect.repeat(each, { times: 20 }), count))
      expect(Option.getOrThrow(left)).toBeLessThan(10)
    })
)

withDatabase(
  "what is set for a transaction only costs no reset, and a clean connection costs none either",
  [],
  (given) =>
    Effect.gen(function* () {
      const link = yield* linked(given, { maxConnections: 1 })
      const { pgdb } = link
      const local = pgdb.transaction(
        Effect.all([
          pgdb.execute("set local work_mem = '1234kB'"),
          pgdb.execute("select set_config('my.tenant', '7', true)"),
          pgdb.execute("select pg_advisory_xact_lock(3)")
        ])
      )
      yield* local
      yield* pgdb.select("select 1")
      expect(yield* roundTrips(link, local)).toBe(4)
      expect(yield* roundTrips(link, pgdb.select("select 1"))).toBe(1)
      expect(yield* sentBy(link, pgdb.select("select 1"))).not.toContain("RESET")
      expect(yield* pgdb.selectValue("select current_setting('work_mem')")).toEqual(Option.some("4MB"))
    })
)

withDatabase("a reset gives the session the role back that it began with", [], (given) =>
  Effect.gen(function* () {
    const startupParameters = { role: "pg_monitor" }
    const pgdb = PG.make({ ...given.settings, maxConnections: 1, startupParameters })
    const role = pgdb.selectValue("select current_user::text")
    expect(yield* role).toEqual(Option.some("pg_monitor"))
    yield* pgdb.execute("set statement_timeout = 0")
    expect(yield* role).toEqual(Option.some("pg_monitor"))
  })
)
