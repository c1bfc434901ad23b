/** Rows as they come: constant memory, back pressure that reaches the server, ends that reach it too. */
import { expect } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { PG } from "effect-global-pool"
import { eventually } from "./support/database.ts"
import { withDatabase } from "./support/handle.ts"
import { lettersOf } from "./support/letters.ts"
import { atRest, linked, openTransactions, reasonOf, roundTrips, sentBy } from "./support/link.ts"

const megabyte = 1024 * 1024
const wide = (rows: number) =>
  `select i, repeat('x', ${megabyte}) as text from generate_series(1, ${rows}) as i`
/** Each row is made when it is asked for; from a function in FROM, all would be made first. */
const narrow = (rows: number) => `select generate_series(1, ${rows}) as i`

withDatabase("gives every row, in order, with parameters of any kind", [], ({ pgdb }) =>
  Effect.gen(function* () {
    const rows = yield* Stream.runCollect(
      pgdb.stream<{ i: number; at: Date }>(
        "select i, $2::timestamptz as at from generate_series(1, $1::int) as i",
        [3000, new Date(0)]
      )
    )
    expect(rows.map(({ i }) => i)).toEqual(Array.from({ length: 3000 }, (_, n) => n + 1))
    expect(rows[2999]!.at).toEqual(new Date(0))
    expect(yield* Stream.runCollect(pgdb.stream`select ${1}::int as one`)).toEqual([{ one: 1 }])
    expect(yield* Stream.runCollect(pgdb.stream(narrow(0)))).toEqual([])
  })
)

withDatabase(
  "a slow consumer blocks the server, and few bytes wait in memory",
  ["create sequence made"],
  (given) =>
    Effect.gen(function* () {
      const { pgdb, witness } = given
      // A sequence counts what the server has made, seen by everybody at once.
      const made = Effect.map(witness.query("select last_value::int as n from made"), ([row]) =>
        Number(row?.n)
      )
      for (const [count, size, most] of [
        [300, megabyte, 24],
        [300_000, 100, 150_000]
      ] as const) {
        yield* witness.query("select setval('made', 1, false)")
        const first = yield* Deferred.make<void>()
        const go = yield* Deferred.make<void>()
        const fiber = yield* Effect.forkChild(
          pgdb
            .stream(
              `select nextval('made') as i, repeat('x', ${size}) as text from generate_series(1, ${count})`
            )
            .pipe(
              Stream.chunks,
              Stream.tap(() => Effect.andThen(Deferred.succeed(first, undefined), Deferred.await(go))),
              Stream.runFold(
                () => 0,
                (sum, rows) => sum + rows.length
              )
            )
        )
        yield* Deferred.await(first)
        let before = -1
        yield* given.until("the server waits to send", ([session]) => session?.waitEvent === "ClientWrite")
        const blocked = yield* eventually(
          "the server makes no more rows",
          Effect.map(made, (now) => {
            const last = before
            before = now
            return { now, last }
          }),
          ({ last, now }) => last === now
        )
        expect(blocked.now).toBeLessThan(most)
        yield* Deferred.succeed(go, undefined)
        expect(yield* Fiber.join(fiber)).toBe(count)
      }
      yield* atRest(given)
    })
)

withDatabase("an early end, a failing and an interrupted consumer cancel on the server", [], (given) =>
  Effect.gen(function* () {
    const { pgdb } = given
    const endless = pgdb.stream<{ i: number }>(narrow(1_000_000_000))
    const started = yield* Deferred.make<void>()
    yield* Stream.runDrain(Stream.take(endless, 3))
    expect(yield* Stream.runHead(endless)).toEqual(Option.some({ i: 1 }))
    expect(yield* Effect.flip(Stream.runForEach(endless, () => Effect.fail("mine")))).toBe("mine")
    yield* Effect.exit(Stream.runForEach(endless, () => Effect.die("mine")))
    const fiber = yield* Effect.forkChild(
      Stream.runForEach(endless, () => Effect.andThen(Deferred.succeed(started, undefined), Effect.never))
    )
    yield* Deferred.await(started)
    yield* Fiber.interrupt(fiber)
    yield* given.until("nothing runs", (sessions) => sessions.every(({ state }) => state === "idle"))
    yield* atRest(given)
    expect(yield* pgdb.selectValue("select 1")).toEqual(Option.some(1))
  })
)

withDatabase("an error in the middle comes after the rows before it", [], (given) =>
  Effect.gen(function* () {
    const { pgdb } = given
    const seen: Array<number> = []
    const statement = "select 1000 / (5000 - generate_series(1, 10000)) as i"
    for (const run of [
      Stream.runForEach(pgdb.stream<{ i: number }>(statement), ({ i }) => Effect.sync(() => seen.push(i))),
      pgdb.transaction(
        Stream.runForEach(pgdb.stream<{ i: number }>(statement), ({ i }) => Effect.sync(() => seen.push(i)))
      )
    ]) {
      seen.length = 0
      const error = yield* Effect.flip(run)
      expect(error.message).toContain("division by zero")
      expect(error.message).toContain("select 1000 / (5000 -")
      expect(error.message).not.toContain("FETCH")
      expect(seen.length).toBeGreaterThan(3000)
      yield* atRest(given)
    }
    const wrong = yield* Effect.flip(
      pgdb.transaction(Stream.runDrain(pgdb.stream("select 1 as one,\n  nonsense")))
    )
    expect(wrong.message).toContain("  nonsense\n    ^")
  })
)

withDatabase("a value that cannot be given says nothing of what its statement does at its end", [], (given) =>
  Effect.gen(function* () {
    const { pgdb } = given
    yield* pgdb.execute("create table late (n int8 unique deferrable initially deferred)")
    const twice = pgdb.stream("insert into late values (2 ^ 53), (2 ^ 53) returning n")
    const error = yield* Effect.flip(Stream.runDrain(twice))
    expect(error.message).toContain("an int8 past")
    expect(error.message).toContain("Whether the statement took effect is not known")
    expect(yield* pgdb.table("late").count()).toBe(0)
  })
)

withDatabase("a backend that ends in the middle is a typed error", [], (given) =>
  Effect.gen(function* () {
    const { pgdb, witness } = given
    const statement = narrow(5_000_000)
    const kill = witness.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name <> 'witness'"
    )
    const consume = (stream: ReturnType<typeof pgdb.stream>) =>
      Stream.runFoldEffect(
        stream,
        () => 0,
        (count) => (count === 10 ? Effect.as(kill, count + 1) : Effect.succeed(count + 1))
      )
    for (const run of [consume(pgdb.stream(statement)), pgdb.transaction(consume(pgdb.stream(statement)))]) {
      expect(reasonOf(yield* Effect.flip(run))).toBe("ConnectionError")
      yield* atRest(given)
    }
  })
)

withDatabase(
  "reads tables and types that changed since",
  ["create table t (n int)", "insert into t values (1)"],
  ({ pgdb, witness }) =>
    Effect.gen(function* () {
      const rows = Stream.runCollect(pgdb.stream("select * from t"))
      const inside = pgdb.transaction(rows)
      expect(yield* rows).toEqual([{ n: 1 }])
      expect(yield* inside).toEqual([{ n: 1 }])
      yield* witness.query("create type mood as enum ('glad', 'sad')")
      yield* witness.query("create type pair as (a int, b mood[])")
      yield* witness.query(
        "alter table t add column m mood default 'glad', add column p pair default row(1, '{sad}')"
      )
      expect(yield* rows).toEqual([{ n: 1, m: "glad", p: { a: 1, b: ["sad"] } }])
      expect(yield* inside).toEqual([{ n: 1, m: "glad", p: { a: 1, b: ["sad"] } }])
      yield* witness.query("alter table t alter column n type bigint using 5")
      expect(yield* inside).toEqual([{ n: 5, m: "glad", p: { a: 1, b: ["sad"] } }])
      yield* pgdb.execute("insert into t select 6 from generate_series(1, 3000)")
      const many = yield* rows
      expect(many).toHaveLength(3001)
      expect(many[3000]).toEqual({ n: 6, m: "glad", p: { a: 1, b: ["sad"] } })
    })
)

withDatabase(
  "a stream in a transaction may change a table that a statement before it has read",
  ["create table t (n int)", "insert into t values (1)"],
  ({ pgdb }) =>
    Effect.gen(function* () {
      const change = Stream.runDrain(pgdb.stream("alter table t add column m int"))
      yield* pgdb.transaction(Effect.andThen(pgdb.select("select n from t"), change))
      expect(yield* pgdb.select("select * from t")).toEqual([{ n: 1, m: null }])
    })
)

withDatabase(
  "a stream and what its rows lead to share a transaction, or use two connections",
  ["create table t (n int)"],
  (given) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...given.settings, maxConnections: 1, acquireTimeout: "1 second" })
      const copy = Stream.runForEach(pgdb.stream<{ i: number }>(narrow(2000)), ({ i }) =>
        i % 100 === 0 ? pgdb.transaction(pgdb.execute("insert into t values ($1)", [i])) : Effect.void
      )
      yield* pgdb.transaction(copy)
      expect(yield* pgdb.selectValue("select count(*)::int from t")).toEqual(Option.some(20))
      const error = yield* Effect.flip(copy)
      expect(reasonOf(error)).toBe("AcquireTimeout")
      yield* atRest(given)
    })
)

withDatabase("the first row comes before the second is made", [], ({ pgdb, witness }) =>
  Effect.gen(function* () {
    yield* witness.query("select pg_advisory_lock(1)")
    const text = "select i from generate_series(1, 3) i where i = 1 or pg_advisory_xact_lock(1) is not null"
    const read: Array<unknown> = []
    yield* Stream.runForEach(pgdb.stream(text), ({ i }) =>
      read.push(i) === 1 ? witness.query("select pg_advisory_unlock(1)") : Effect.void
    )
    expect(read).toEqual([1, 2, 3])
  })
)

withDatabase(
  "in a transaction: pieces fit the rows, and the first comes with the first round trip",
  [],
  (given) =>
    Effect.gen(function* () {
      const link = yield* linked(given)
      const { pgdb, proxy } = link
      const few = pgdb.transaction(Stream.runDrain(pgdb.stream(narrow(10))))
      yield* few
      // BEGIN and the first row together, since a slow statement may not have a second one for long; the others; COMMIT.
      expect(yield* roundTrips(link, few)).toBe(3)
      const before = proxy.bytes().toClient
      const largest = { rows: 0 }
      yield* pgdb.transaction(
        pgdb.stream(wide(100)).pipe(
          Stream.chunks,
          Stream.runForEach((rows) =>
            Effect.sync(() => {
              largest.rows = Math.max(largest.rows, rows.length)
            })
          )
        )
      )
      expect(largest.rows).toBeLessThanOrEqual(32)
      expect(proxy.bytes().toClient - before).toBeGreaterThan(100 * megabyte)
      const sent = yield* sentBy(link, pgdb.transaction(Stream.runDrain(pgdb.stream(narrow(5000)))))
      // BEGIN, one row, 32 rows, five pieces of a thousand at the most, COMMIT.
      expect(lettersOf(sent).match(/E/g)).toHaveLength(9)
    })
)

withDatabase(
  "in a transaction a statement that is not a query runs whole",
  ["create table t (n int)"],
  (given) =>
    Effect.gen(function* () {
      const { pgdb } = given
      const rows = yield* pgdb.transaction(
        Effect.all([
          Stream.runCollect(pgdb.stream("insert into t values (1), (2) returning n")),
          Stream.runCollect(
            pgdb.stream("with moved as (delete from t returning n) select n from moved order by n")
          ),
          Stream.runCollect(pgdb.stream("values (1), (2)")),
          Stream.runCollect(pgdb.stream("show server_encoding")),
          Stream.runCollect(pgdb.stream("select 1 as one; -- the end"))
        ])
      )
      expect(rows.map((rows) => rows.length)).toEqual([2, 2, 2, 1, 1])
      expect(yield* openTransactions(given)).toBe(0)
    })
)

withDatabase("more streams than connections over types that the pool has yet to learn", [], (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...given.settings, maxConnections: 2, acquireTimeout: "5 seconds" })
    yield* pgdb.select("select 1")
    yield* given.witness.query("create type mood as enum ('glad')")
    const one = Effect.map(
      Stream.runCollect(pgdb.stream("select 'glad'::mood as m from generate_series(1, 2000)")),
      (rows) => rows.filter(({ m }) => m === "glad").length
    )
    const exits = yield* Effect.all(
      Array.from({ length: 6 }, () => Effect.exit(one)),
      { concurrency: "unbounded" }
    )
    expect(exits.map(String)).toEqual(exits.map(() => String(exits[0])))
    yield* atRest(given)
  })
)

withDatabase(
  "a type that the pool has yet to learn, and that comes late, with no other connection to ask on",
  ["create type pair as (a int, b text)", "create domain pairs as pair[]"],
  (given) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...given.settings, maxConnections: 1, acquireTimeout: "5 seconds" })
      const late = (last: string) =>
        Stream.runLast(
          pgdb.stream(`select case when i = 20000 then ${last} end as last from generate_series(1, 20000) i`)
        )
      expect(yield* late("row(1, 'x')::pair")).toEqual(Option.some({ last: { a: 1, b: "x" } }))
      expect(yield* late("array[row(2, 'y')::pair]::pairs")).toEqual(
        Option.some({ last: [{ a: 2, b: "y" }] })
      )
      yield* atRest(given)
    })
)

withDatabase(
  "a statement that changes rows, and returns a type that the pool has yet to learn, runs once, with no other connection",
  [
    "create type pair as (a int, b text)",
    "create type span as range (subtype = float8)",
    "create table kept (i int)"
  ],
  (given) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...given.settings, maxConnections: 1, acquireTimeout: "5 seconds" })
      const insert = (what: string) =>
        Stream.runCollect(
          pgdb.stream(`insert into kept select i from generate_series(1, 3000) i returning i, ${what} as v`)
        )
      for (const [what, v] of [
        ["case when i = 3000 then row(i, 'x')::pair end", { a: 3000, b: "x" }],
        ["case when i = 3000 then row(i, span(1.5, 2)) end", [3000, "[1.5,2)"]],
        ["case when i = 3000 then array[span(1.5, 2)] end", ["[1.5,2)"]],
        ["case when i = 3000 then row(i, 'y')::pair end", { a: 3000, b: "y" }]
      ] as const) {
        const rows = yield* insert(what)
        expect(rows.map(({ i }) => i)).toEqual(Array.from({ length: 3000 }, (_, index) => index + 1))
        expect([rows[0]?.v, rows[2999]?.v]).toEqual([null, v])
      }
      expect(yield* given.witness.query("select count(*)::int from kept")).toEqual([{ count: 12_000 }])
      yield* atRest(given)
    })
)

withDatabase(
  "another fiber's change of the catalogue does not stop a stream",
  [
    "create type mood as enum ('sad', 'glad')",
    "create table t (n int, mood mood)",
    "insert into t values (1, 'sad'), (2, 'glad')"
  ],
  ({ pgdb, until, witness }) =>
    Effect.gen(function* () {
      yield* witness.query("select pg_advisory_lock(1), pg_advisory_lock(2)")
      const rows = pgdb.stream("select n, mood from t where pg_advisory_xact_lock(n) is not null order by n")
      const reading = yield* Effect.forkChild(Stream.runCollect(rows))
      for (const n of [1, 2]) {
        yield* until(`row ${n} waits`, (all) => all.some(({ waitEvent }) => waitEvent === "advisory"))
        yield* pgdb.execute(`create table other_${n} ()`)
        yield* witness.query("select pg_advisory_unlock($1)", [n])
      }
      expect(yield* Fiber.join(reading)).toEqual([
        { n: 1, mood: "sad" },
        { n: 2, mood: "glad" }
      ])
    })
)

const knownTypes = [
  "create type mood as enum ('sad', 'glad')",
  "create domain ratio as float8",
  "create type spot as (name text, ratio ratio)",
  "create type visit as (day date, spot spot, moods mood[])"
]

withDatabase(
  "a change of the catalogue beside a stream changes no value inside of its composites and records",
  knownTypes,
  ({ pgdb }) =>
    Effect.gen(function* () {
      const value = "row('2026-03-01', row('a', 0.5), '{glad}')::visit"
      const visit = { day: "2026-03-01", spot: { name: "a", ratio: 0.5 }, moods: ["glad"] }
      const text = `select ${value} as v, row(${value}, 'sad'::mood) as r from generate_series(1, 2000)`
      const define = pgdb.execute("create table if not exists other ()")
      const rows = Stream.tap(Stream.zipWithIndex(pgdb.stream(text)), ([, index]) =>
        index === 0 ? define : Effect.void
      )
      const all = Stream.runCollect(Stream.map(rows, ([row]) => row))
      const expected = Array.from({ length: 2000 }, () => ({ v: visit, r: [visit, "sad"] }))
      expect(yield* all).toEqual(expected)
      expect(yield* pgdb.transaction(all)).toEqual(expected)
    })
)

withDatabase(
  "a change of the catalogue while a stream asks for its types has it ask once more",
  knownTypes,
  ({ pgdb }) =>
    Effect.gen(function* () {
      const rows = Stream.runCollect(pgdb.stream("select row(row('a', 0.5)::spot, 'sad'::mood) as record"))
      yield* Effect.all([rows, pgdb.select("select 1")], { concurrency: "unbounded" })
      for (let run = 0; run < 20; run++) {
        const define = Effect.delay(pgdb.execute("create table if not exists other ()"), run / 4)
        const [read] = yield* Effect.all([rows, define], { concurrency: "unbounded" })
        expect(read).toEqual([{ record: [{ name: "a", ratio: 0.5 }, "sad"] }])
      }
    })
)

withDatabase("a definition in a batch changes no value of the rows before it", knownTypes, ({ pgdb }) =>
  Effect.gen(function* () {
    const text = "select array[0.5]::ratio[] as ratios, row('a', 0.5)::spot as spot"
    const row = { ratios: [0.5], spot: { name: "a", ratio: 0.5 } }
    for (const [read, expected] of [
      [text, row],
      [`${text}, 'sad'::mood as mood`, { ...row, mood: "sad" }],
      [`${text}, row('sad'::mood) as record`, { ...row, record: ["sad"] }]
    ] as const) {
      expect(yield* pgdb.select(text)).toEqual([row])
      const [outcome] = yield* pgdb.trans([read, "create table if not exists other ()"])
      expect(outcome?.rows).toEqual([expected])
    }
  })
)
