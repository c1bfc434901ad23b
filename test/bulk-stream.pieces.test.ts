/** Rows behind the first piece of a stream are written as they come: their order, their errors and their memory stay as promised. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { PG } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

/** Rows that only one of every two thousands has this form of. */
const byTurns = <A, B>(one: (id: number) => A, other: (id: number) => B) =>
  Stream.map(Stream.range(1, 12_000), (id): A | B =>
    Math.floor((id - 1) / 1000) % 2 === 0 ? one(id) : other(id)
  )

describe("the later pieces of a stream", () => {
  withDatabase(
    "are not taken any more when the session ends between two of them",
    ["create table lost (id int)"],
    ({ pgdb, witness }) =>
      Effect.gen(function* () {
        let taken = 0
        const terminate = witness.query(
          "select pg_terminate_backend(pid, 5000) from pg_stat_activity where state like 'idle in%' and datname = current_database()"
        )
        const between = Stream.fromEffect(Effect.delay(Effect.andThen(terminate, Effect.sleep(100)), 400))
        const rows = Stream.range(1, 5_000).pipe(
          Stream.concat(Stream.drain(between)),
          Stream.concat(Stream.range(5_001, 3_000_000)),
          Stream.map((id) => {
            taken = id
            return { id }
          })
        )
        const { message } = yield* Effect.flip(pgdb.table("lost").insertStream(rows))
        assert.include(message, "nothing of it took effect")
        assert.isBelow(taken, 1_500_000)
        assert.strictEqual(yield* pgdb.table("lost").count(), 0)
      })
  )

  withDatabase(
    "keep the order of rows that may stand in one statement",
    ["create table keyed (n serial primary key, id int, a int)"],
    ({ pgdb, witness }) =>
      Effect.gen(function* () {
        const keyed = pgdb.table("keyed")
        const streams = {
          "in another order of keys": byTurns(
            (id) => ({ id, a: 1 }),
            (id) => ({ a: 1, id })
          ),
          "without a column": byTurns(
            (id) => ({ id, a: 1 }),
            (id) => ({ id })
          ),
          "with one more": byTurns(
            (id) => ({ id }),
            (id) => ({ id, a: 1 })
          )
        }
        for (const [story, rows] of Object.entries(streams)) {
          assert.strictEqual(yield* keyed.insertStream(rows), 12_000, story)
          const wrong = yield* witness.query("select count(*)::int as wrong from keyed where n <> id")
          assert.deepStrictEqual(wrong, [{ wrong: 0 }], story)
          yield* witness.query("truncate keyed restart identity")
        }
      })
  )

  withDatabase(
    "store parents before their children",
    ["create table nodes (id int primary key, parent int references nodes)"],
    ({ pgdb, witness }) =>
      Effect.gen(function* () {
        const rows = [
          ...range(1, 5000).map((id) => ({ id })),
          ...range(5001, 6000).map((id) => (id % 2 === 1 ? { id } : { id, parent: id - 1 })),
          ...range(6001, 7000).map((id) => ({ id })),
          ...range(7001, 8000).map((id) => ({ id, parent: id - 1000 })),
          ...range(8001, 9000).map((id) => (id % 2 === 1 ? { id } : { id, parent: id - 1500 }))
        ]
        assert.strictEqual(yield* pgdb.table("nodes").insertStream(Stream.fromIterable(rows)), 9000)
        const found = yield* witness.query("select count(*)::int as children from nodes where parent > 0")
        assert.deepStrictEqual(found, [{ children: 2000 }])
        // Rows that need a statement of their own stand between the children and those before them.
        yield* witness.query("truncate nodes")
        yield* witness.query("alter table nodes add note text default 'x'")
        const noted = [
          ...range(1, 6000).map((id) => ({ id })),
          ...range(6001, 7000).map((id) => ({ id, note: "y" })),
          ...range(7001, 8000).map((id) => ({ id, parent: id - 1000 }))
        ]
        assert.strictEqual(yield* pgdb.table("nodes").insertStream(Stream.fromIterable(noted)), 8000)
      })
  )

  withDatabase(
    "tell a row that no line names, without keeping the process from its other work",
    [
      "create table others (id int primary key)",
      "insert into others values (1)",
      "create table t (id int, other int references others, c1 int, c2 int, c3 int)"
    ],
    ({ pgdb }) =>
      Effect.gen(function* () {
        const rows = Stream.map(Stream.range(1, 38_000), (id) => ({
          id,
          other: id === 37_000 ? 2 : 1,
          c1: 1,
          c2: 2,
          c3: 3
        }))
        const before = process.cpuUsage()
        const { message } = yield* Effect.flip(pgdb.table("t").insertStream(rows))
        const { user } = process.cpuUsage(before)
        assert.match(message, /23503.*In: t\.insertStream, row 37000, column "other"/s)
        // It took minutes where each row was looked up among all.
        assert.isBelow(user / 1000, 10_000)
      })
  )

  withDatabase(
    "tell the number of a row that shares its statement with others than its neighbours",
    ["create table t (id int, note text default 'x', big int check (big < 7000))"],
    ({ pgdb }) =>
      Effect.gen(function* () {
        for (const wrong of [7_001, 7_002, 11_999]) {
          const rows = Stream.map(Stream.range(1, 12_000), (id) => ({
            id,
            big: id === wrong ? 7000 : 1,
            ...(id % 3 === 0 ? { note: "y" } : {})
          }))
          const { message } = yield* Effect.flip(pgdb.table("t").insertStream(rows))
          assert.match(message, new RegExp(`23514.*In: t\\.insertStream, row ${wrong}\\b`, "s"))
        }
      })
  )

  withDatabase(
    "store all digits of a large number, as an insert of one row does",
    ["create table t (n numeric)"],
    ({ pgdb, witness }) =>
      Effect.gen(function* () {
        const row = { n: 2 ** 61 + 512 }
        yield* pgdb.table("t").insertStream(Stream.map(Stream.range(1, 12_000), () => row))
        yield* pgdb.table("t").insertMany([row, row])
        yield* pgdb.table("t").insert(row)
        assert.deepStrictEqual(yield* witness.query("select distinct n::text from t"), [
          { n: "2305843009213694464" }
        ])
      })
  )

  const secrets: ReadonlyArray<readonly [columns: string, shows: string, value: unknown, secret: RegExp]> = [
    ["j json", "new.j", 12_345_678_901_234_567_890n, /12345678901/],
    ["j jsonb", "(new.j->>'at')::timestamptz", { at: new Date("1971-03-04T05:06:07Z") }, /1971|05:06/],
    ["j date", "new.j::timestamp", new Date("1971-03-04"), /1971/],
    ["j numeric", "new.j", 77_001.5, /77001/],
    ["j timestamptz, p point", "new.j", new Date("1971-03-04T05:06:07Z"), /1971|05:06/],
    ["j text[], p point", "new.j[1]", ["pass word1", "x"], /pass|word1/],
    ["j jsonb, p point", "new.j->>'pw'", { pw: "hunter two" }, /hunter/],
    ["j bytea, p point", "encode(new.j, 'hex')", Uint8Array.of(0xab, 0xcd, 0xef, 1), /abcdef/],
    ["j pair, p point", "(new.j).a", { a: "pass word1", b: "x" }, /pass|word1/]
  ]

  withDatabase(
    "show no value in an error of a trigger",
    ["create type pair as (a text, b text)"],
    ({ pgdb, witness }) =>
      Effect.gen(function* () {
        for (const [number, [columns, shows, value, secret]] of secrets.entries()) {
          const name = `t${number}`
          yield* witness.query(`create table ${name} (id int, ${columns})`)
          yield* witness.query(
            `create function f${number}() returns trigger language plpgsql as $$ begin
             if new.id = 5500 then raise exception 'bad one %', ${shows}; end if; return new; end $$`
          )
          yield* witness.query(
            `create trigger refuse before insert on ${name} for each row execute function f${number}()`
          )
          const more = columns.includes("point") ? { p: "(1,2)" } : {}
          const rows = Stream.map(Stream.range(1, 6000), (id) => ({ id, j: value, ...more }))
          const { message } = yield* Effect.flip(pgdb.table(name).insertStream(rows))
          assert.include(message, "P0001", columns)
          assert.notMatch(message, secret, columns)
        }
      })
  )

  withDatabase(
    "keep within statementTimeout, since a piece is as large as the server is quick",
    [
      "create table t (id int)",
      `create function f() returns trigger language plpgsql as $$ begin
       for i in 1..4000 loop null; end loop; return new; end $$`,
      "create trigger slow before insert on t for each row execute function f()"
    ],
    ({ settings }) =>
      Effect.gen(function* () {
        const pgdb = PG.make({ ...settings, statementTimeout: "3 seconds", key: "limited" })
        const rows = Stream.map(Stream.range(1, 40_000), (id) => ({ id }))
        assert.strictEqual(yield* pgdb.table("t").insertStream(rows), 40_000)
      })
  )

  withDatabase(
    "stop the stream when the server refuses a row",
    ["create table t (id int primary key)"],
    ({ pgdb }) =>
      Effect.gen(function* () {
        let taken = 0
        const rows = Stream.rechunk(Stream.range(1, 1_000_000), 100).pipe(
          Stream.map((id) => {
            taken++
            return { id: id === 6000 ? 5999 : id }
          }),
          Stream.rechunk(100),
          Stream.tap(({ id }) => (id % 1000 === 0 ? Effect.sleep("5 millis") : Effect.void))
        )
        const { message } = yield* Effect.flip(pgdb.table("t").insertStream(rows))
        assert.match(message, /23505.*row 6000/s)
        assert.isBelow(taken, 100_000)
      })
  )

  withDatabase(
    "do not wait for a thousand rows of a slow stream",
    ["create table t (id int primary key)"],
    ({ pgdb }) =>
      Effect.gen(function* () {
        let taken = 0
        const quick = Stream.range(1, 5500)
        const slow = Stream.fromIterable(range(5501, 5560)).pipe(
          Stream.rechunk(1),
          Stream.tap(() => Effect.sleep("100 millis"))
        )
        const rows = Stream.map(Stream.concat(quick, slow), (id) => {
          taken++
          return { id: id === 5400 ? 1 : id }
        })
        const { message } = yield* Effect.flip(pgdb.table("t").insertStream(rows))
        assert.match(message, /23505.*row 5400/s)
        assert.isBelow(taken, 5540)
      })
  )

  withDatabase(
    "are counted by onProgress once each, whichever way they go",
    ["create table t (id int)"],
    ({ pgdb }) =>
      Effect.gen(function* () {
        const seen: Array<number> = []
        const rows = Stream.map(Stream.range(1, 12_000), (id) => ({ id }))
        yield* pgdb.table("t").insertStream(rows, { onProgress: (progress) => seen.push(progress.rows) })
        assert.deepStrictEqual(
          seen,
          [...new Set(seen)].sort((left, right) => left - right)
        )
        assert.strictEqual(seen.at(-1), 12_000)
      })
  )
})
