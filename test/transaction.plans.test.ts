/** Tables that change under statements that a connection has prepared: the right rows, or one clear error that may be retried. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { isSqlError } from "effect/sql/SqlError"
import { PG } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"
import { atRest, reasonOf } from "./support/link.ts"

const setUp = [
  "create table t (n int)",
  "insert into t values (1)",
  "create table u (n int)",
  "insert into u values (1)"
]
const changes = ["alter table t add column more text default 'x'", "alter table u alter column n type text"]
const reads = ["select * from t", "select * from u", "select n from u where n is not null"]

/** A handle of one connection on which the statements are prepared. */
const warm = (settings: PG.Settings) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...settings, maxConnections: 1 })
    for (const read of reads) {
      yield* pgdb.select(read)
      yield* pgdb.select(read)
    }
    return pgdb
  })

withDatabase("a stale plan outside a transaction gives the new rows", setUp, ({ settings, witness }) =>
  Effect.gen(function* () {
    const pgdb = yield* warm(settings)
    for (const change of changes) yield* witness.query(change)
    expect(yield* pgdb.select(reads[0]!)).toEqual([{ n: 1, more: "x" }])
    expect(yield* pgdb.select(reads[1]!)).toEqual([{ n: "1" }])
  })
)

withDatabase(
  "a record that waits behind a change of the catalogue comes with the types of its fields",
  setUp,
  (given) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
      const select = "select array_agg(n) as all, row(n, 'x') as r from t group by n"
      const row = { all: [1], r: [1, "x"] }
      for (const way of [pgdb.select(select), Effect.map(pgdb.trans([select]), ([one]) => one?.rows)]) {
        expect(yield* way).toEqual([row])
        const change = pgdb.execute("create table if not exists v (n int)")
        const [, rows] = yield* Effect.all([change, way], { concurrency: "unbounded" })
        expect(rows).toEqual([row])
      }
    })
)

for (const options of [{}, { prepare: false }, { pipelining: false }] as const) {
  withDatabase(
    `records are read while another fiber changes the catalogue all the time, with ${JSON.stringify(options)}`,
    setUp,
    ({ settings }) =>
      Effect.gen(function* () {
        const pgdb = PG.make({ ...settings, ...options, maxConnections: 2 })
        const change = pgdb.execute("create or replace view v as select 1 as n")
        const changing = yield* Effect.forkChild(Effect.forever(change))
        for (let run = 0; run < 10; run++) {
          const select = (place: number) => `select row(n, 'x') as r from t limit ${run * 10 + place}`
          const [, second, third] = yield* pgdb.trans([select(1), select(2), select(3)])
          const row = { r: [1, "x"] }
          expect([second?.rows, third?.rows]).toEqual([[row], [row]])
          expect(yield* pgdb.transaction(pgdb.select(select(4)))).toEqual([row])
        }
        yield* Fiber.interrupt(changing)
      })
  )
}

for (const options of [{ maxConnections: 2 }, { prepare: false }, { prepare: "auto" }] as const) {
  withDatabase(
    `columns that a table has got are read right at once, with ${JSON.stringify(options)}`,
    ["create table t (n int)", "insert into t values (1)"],
    ({ settings, witness }) =>
      Effect.gen(function* () {
        const pgdb = PG.make({ ...settings, ...options })
        const read = "select * from t"
        yield* pgdb.select(read)
        yield* pgdb.select(read)
        yield* witness.query(
          "alter table t add more int default 5, add ok bool default true, add f float8 default 1.5, add j jsonb default '[1]'"
        )
        const row = { n: 1, more: 5, ok: true, f: 1.5, j: [1] }
        const busy = pgdb.select("select pg_sleep(0.3)")
        // On another connection, which has not prepared the statement.
        const [, ...rows] = yield* Effect.all([busy, pgdb.select(read), pgdb.select(read)], {
          concurrency: "unbounded"
        })
        expect(rows).toEqual([[row], [row]])
      })
  )
}

for (const options of [{ maxConnections: 2 }, { prepare: false }] as const) {
  withDatabase(
    `a column of a type without a binary form is read at once, with ${JSON.stringify(options)}`,
    ["create extension citext", "create table t (n int, name text)", "insert into t values (1, 'Ada')"],
    ({ settings, witness }) =>
      Effect.gen(function* () {
        const pgdb = PG.make({ ...settings, ...options })
        const read = pgdb.select("select * from t")
        yield* read
        yield* read
        for (const [type, value] of [
          ["citext", "Ada"],
          ["inet", "10.0.0.1/32"]
        ]) {
          // On another connection, which has not prepared the statement.
          for (const again of [
            read,
            Effect.map(pgdb.trans(["select * from t"]), ([outcome]) => outcome?.rows)
          ]) {
            yield* witness.query(`alter table t alter name type ${type} using '${value}'`)
            const both = [pgdb.select("select pg_sleep(0.3)"), again]
            const rows = yield* Effect.all(both, { concurrency: "unbounded" })
            expect(rows[1]).toEqual([{ n: 1, name: value }])
            yield* witness.query("alter table t alter name type text")
            yield* pgdb.terminate
            yield* read
            yield* read
          }
        }
      })
  )
}

withDatabase(
  "a Date that a column did not take is stored right once the column has another type",
  ["create table t (at int)"],
  ({ settings, witness }) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...settings, startupParameters: { TimeZone: "Asia/Kathmandu" } })
      const at = new Date("2026-03-01T15:30:00Z")
      const insert = pgdb.select("insert into t values ($1) returning at", [at])
      for (const type of ["timestamp", "time", "text"]) {
        yield* Effect.flip(insert)
        yield* witness.query(`alter table t alter at type ${type} using null`)
        yield* insert
        const [row] = yield* witness.query("select at::text from t where at is not null")
        expect(row?.at).toContain("15:30:00")
        yield* witness.query("truncate t")
        yield* witness.query("alter table t alter at type int using null")
        yield* pgdb.terminate
      }
    })
)

withDatabase(
  "a row that is read whole has its values under their names, also behind a change of its table",
  ["create table t (n int, word text, ip inet)", "insert into t values (1, 'first', '10.0.0.1')"],
  ({ pgdb, settings, witness }) =>
    Effect.gen(function* () {
      const read = pgdb.select("select t as whole from t")
      for (let round = 0; round < 2; round++) {
        expect(yield* read).toEqual([{ whole: { n: 1, word: "first", ip: "10.0.0.1/32" } }])
      }
      const blocked =
        "select pid from pg_stat_activity where wait_event_type = 'Lock' and query = 'select t as whole from t'"
      const migration = PG.make({ ...settings, key: "migration" })
      const rows = yield* migration.transaction(
        Effect.gen(function* () {
          yield* migration.execute("alter table t add column late text default 'second'")
          yield* migration.execute("alter table t drop column word")
          const reading = yield* Effect.forkDetach(read)
          while ((yield* witness.query(blocked)).length === 0) yield* Effect.yieldNow
          return reading
        })
      )
      expect(yield* Fiber.join(rows)).toEqual([{ whole: { n: 1, ip: "10.0.0.1/32", late: "second" } }])
    })
)

withDatabase(
  "trans gives the new rows, however many plans are stale, and does everything once",
  setUp,
  (given) =>
    Effect.gen(function* () {
      const pgdb = yield* warm(given.settings)
      for (const change of changes) yield* given.witness.query(change)
      const outcomes = yield* pgdb.trans(["insert into t values (2)", ...reads])
      expect(outcomes.map(({ rows }) => rows)).toEqual([
        [],
        [
          { n: 1, more: "x" },
          { n: 2, more: "x" }
        ],
        [{ n: "1" }],
        [{ n: "1" }]
      ])
      expect(yield* given.witness.query("select n from t order by n")).toEqual([{ n: 1 }, { n: 2 }])
      yield* atRest(given)
    })
)

withDatabase("trans that changes the table itself gives the new rows", setUp, (given) =>
  Effect.gen(function* () {
    const pgdb = yield* warm(given.settings)
    const outcomes = yield* pgdb.trans(["select * from t", changes[0]!, "select * from t", "select * from t"])
    expect(outcomes.map(({ rows }) => rows)).toEqual([
      [{ n: 1 }],
      [],
      [{ n: 1, more: "x" }],
      [{ n: 1, more: "x" }]
    ])
  })
)

withDatabase("trans inside a transaction gives the new rows, and the transaction goes on", setUp, (given) =>
  Effect.gen(function* () {
    const pgdb = yield* warm(given.settings)
    yield* pgdb.transaction(
      Effect.gen(function* () {
        yield* pgdb.execute("insert into t values (2)")
        for (const change of changes.slice(1)) yield* given.witness.query(change)
        yield* pgdb.execute(changes[0]!)
        const [first, second] = yield* pgdb.trans(reads)
        expect(first!.rows).toHaveLength(2)
        expect(second!.rows).toEqual([{ n: "1" }])
      })
    )
    expect(yield* given.witness.query("select n from t order by n")).toEqual([{ n: 1 }, { n: 2 }])
    yield* atRest(given)
  })
)

withDatabase(
  "a stale plan in a transaction is an error that says what to do, or gives the new rows with retry",
  setUp,
  (given) =>
    Effect.gen(function* () {
      const pgdb = yield* warm(given.settings)
      for (const change of changes) yield* given.witness.query(change)
      let attempts = 0
      const work = Effect.suspend(() => {
        attempts++
        return Effect.all([pgdb.select(reads[0]!), pgdb.select(reads[1]!)])
      })
      const error = yield* Effect.flip(pgdb.transaction(work))
      expect(reasonOf(error)).toBe("SerializationError")
      expect(isSqlError(error) && error.isRetryable).toBe(true)
      expect(error.message).toContain(
        "A table changed after the statement was prepared. Run it again, in a transaction all of it."
      )
      expect(attempts).toBe(1)
      expect(yield* pgdb.transaction(work, { retry: { times: 3 } })).toEqual([
        [{ n: 1, more: "x" }],
        [{ n: "1" }]
      ])
      yield* atRest(given)
    })
)

withDatabase(
  "a table with another number of columns is an error that may be retried, or gives the new rows with retry",
  ["create table mixed (a int, b numeric)", "insert into mixed values (1, 2)"],
  ({ settings, witness }) =>
    Effect.gen(function* () {
      for (const prepare of [true, false]) {
        const pgdb = PG.make({ ...settings, prepare, key: `prepare_${prepare}` })
        const read = pgdb.select("select * from mixed")
        yield* read
        yield* read
        yield* witness.query("alter table mixed add column if not exists c int")
        yield* witness.query(`alter table mixed add column d_${prepare} int`)
        expect(reasonOf(yield* Effect.flip(pgdb.transaction(read)))).toBe("SerializationError")
        yield* witness.query(`alter table mixed drop column d_${prepare}`)
        expect(yield* pgdb.transaction(read, { retry: { times: 3 } })).toEqual([{ a: 1, b: "2", c: null }])
      }
    })
)

withDatabase(
  "what was learnt of a type inside a transaction goes with its rollback",
  ["create type pair as (a int, b int)"],
  ({ pgdb }) =>
    Effect.gen(function* () {
      const pair = "select row(1, 2)::pair as pair"
      const renamed = pgdb.transaction(
        Effect.gen(function* () {
          yield* pgdb.execute("alter type pair rename attribute a to first")
          expect(yield* pgdb.select(pair)).toEqual([{ pair: { first: 1, b: 2 } }])
          return yield* Effect.fail("no")
        })
      )
      expect(yield* Effect.flip(renamed)).toBe("no")
      expect(yield* pgdb.select(pair)).toEqual([{ pair: { a: 1, b: 2 } }])
      yield* pgdb.transaction(
        Effect.gen(function* () {
          expect(yield* Effect.flip(renamed)).toBe("no")
          expect(yield* pgdb.select(pair)).toEqual([{ pair: { a: 1, b: 2 } }])
        })
      )
      yield* Effect.flip(pgdb.trans(["alter type pair rename attribute a to first", pair, "select 1 / 0"]))
      expect(yield* pgdb.select(pair)).toEqual([{ pair: { a: 1, b: 2 } }])
    })
)

const retyped = "alter table u alter column n type text using 'x' || n"

withDatabase(
  "a column of another type than the statement was prepared for gives the right rows",
  setUp,
  (given) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
      const statements = [
        ["select n from u where n = $1", ["1"], ["x1"]],
        ["select n from u where n = any($1)", [[1]], [["x1"]]],
        ["insert into u values ($1) returning n", ["7"], ["x7"]],
        ["update u set n = $1 where n is null", [null], ["x8"]]
      ] as const
      for (const [text, before] of statements) {
        yield* pgdb.select(text, before)
        yield* pgdb.select(text, before)
      }
      yield* given.witness.query("delete from u where n = 7")
      yield* given.witness.query(retyped)
      const [equal, anyOf, insert, update] = statements
      expect(yield* pgdb.select(equal[0], equal[2])).toEqual([{ n: "x1" }])
      expect(yield* pgdb.select(insert[0], insert[2])).toEqual([{ n: "x7" }])
      expect(yield* pgdb.select(update[0], update[2])).toEqual([])
      // The types of its array were asked for and remembered: one error, and the next time they are asked for again.
      yield* Effect.ignore(pgdb.select(anyOf[0], anyOf[2]))
      expect(yield* pgdb.select(anyOf[0], anyOf[2])).toEqual([{ n: "x1" }])
      yield* atRest(given)
    })
)

withDatabase("a column of another type gives the right rows at once in a transaction", setUp, (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
    const read = "select n from u where n = $1"
    yield* pgdb.select(read, ["1"])
    yield* pgdb.select(read, ["1"])
    yield* given.witness.query(retyped)
    expect(yield* pgdb.transaction(pgdb.select(read, ["x1"]))).toEqual([{ n: "x1" }])
    yield* atRest(given)
  })
)

withDatabase(
  "a row for a column that has become json in between fails so that the transaction can be repeated",
  ["create table t (id int, x int[])"],
  ({ pgdb, witness }) =>
    Effect.gen(function* () {
      const t = pgdb.table("t")
      const insert = (id: number, x: unknown) => pgdb.transaction(t.insert({ id, x }))
      yield* insert(1, [1])
      yield* witness.query("alter table t alter x type jsonb using null")
      expect(reasonOf(yield* Effect.flip(insert(2, "a word")))).toBe("SerializationError")
      yield* insert(3, "a word")
      // What is wrong whatever was remembered is the caller's own.
      yield* witness.query("alter table t alter x type int[] using null")
      yield* insert(4, [1])
      const wrong = yield* Effect.flip(insert(5, "a word"))
      expect(PG.sqlState(wrong)).toBe("22P02")
      expect(reasonOf(wrong)).not.toBe("SerializationError")
      expect(yield* witness.query("select id from t order by id")).toEqual([{ id: 1 }, { id: 3 }, { id: 4 }])
    })
)

withDatabase("a statement that is wrong fails as it is, and is run once", ["create sequence s"], (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
    const error = yield* Effect.flip(pgdb.select("select nextval('s'), 1 / $1::int", [0]))
    expect(error.message).toContain("division by zero")
    expect(yield* pgdb.selectValue("select last_value::int from s")).toMatchObject({ value: 1 })
    expect((yield* Effect.flip(pgdb.select("select $1::int", ["x"]))).message).toContain(
      "invalid input syntax"
    )
    yield* atRest(given)
  })
)

const elsewhere = [
  "create table t (n int)",
  "create schema other",
  "create function f() returns int language sql as 'select 7'",
  `create function g() returns int language plpgsql as $$
    begin execute 'insert into t values (10 / $1)' using (select d from cfg); return 1; end $$`,
  "create table cfg (d int)",
  "insert into cfg values (5)",
  "create table u (n int)"
]

withDatabase("no statement of a trans runs by itself when the trans was rolled back", elsewhere, (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
    const nothing = Effect.gen(function* () {
      expect(yield* given.witness.query("select n from t")).toEqual([])
      yield* atRest(given)
    })
    const notFound = pgdb.trans(["set local search_path to other", "insert into public.t values (f())"])
    expect((yield* Effect.flip(notFound)).message).toContain("function f() does not exist")
    yield* nothing
    const inside = pgdb.trans(["update cfg set d = 0", "select g()"])
    expect((yield* Effect.flip(inside)).message).toContain("division by zero")
    yield* nothing
    const insert = "insert into u values ($1)"
    yield* pgdb.execute(insert, ["1"])
    yield* pgdb.execute(insert, ["2"])
    yield* given.witness.query("truncate u")
    yield* given.witness.query("alter table u alter column n type text using n::text")
    yield* pgdb.trans([
      [insert, ["abc"]],
      [insert, ["007"]]
    ])
    expect(yield* given.witness.query("select n from u")).toEqual([{ n: "abc" }, { n: "007" }])
  })
)

for (const options of [{}, { prepare: false }, { pipelining: false }] as const) {
  withDatabase(
    `a cursor and a statement by name give their own rows, whatever had the name before: ${JSON.stringify(options)}`,
    [],
    ({ settings }) =>
      Effect.gen(function* () {
        const pgdb = PG.make({ ...settings, ...options, maxConnections: 1 })
        const client = yield* pgdb.client
        const asked = [
          ["select 1 as a", { a: 1 }],
          ["select 2 as a", { a: 2 }],
          ["select 'abcd' as b", { b: "abcd" }],
          ["select 1.5::float8 as a, row(1, 'x') as r", { a: 1.5, r: [1, "x"] }]
        ] as const
        for (const [open, fetch, close] of [
          ["declare c cursor for ", "fetch all c", "close c"],
          ["prepare q as ", "execute q", "deallocate q"]
        ] as const) {
          for (const [select, row] of asked) {
            const each = Effect.forEach([open + select, fetch, close], (text) => pgdb.execute(text))
            const raw = Effect.forEach([open + select, fetch, close], (text) => client.unsafe(text))
            const batch = pgdb.trans([open + select, fetch, close])
            for (const way of [pgdb.transaction(each), batch, pgdb.transaction(batch)]) {
              expect([select, (yield* way)[1]?.rows]).toEqual([select, [row]])
            }
            const [, rows] = yield* client.withTransaction(raw)
            expect([select, rows]).toEqual([select, [row]])
          }
        }
      })
  )
}

withDatabase("a short name for a cursor or a prepared statement is its caller's", [], ({ settings }) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...settings, maxConnections: 1 })
    yield* pgdb.trans(["select 1 as a"])
    for (const name of ["s1", "s2", "s3", "p1"]) {
      const [, executed] = yield* pgdb.trans([`prepare ${name} as select 5 as a`, `execute ${name}`])
      expect(executed?.rows).toEqual([{ a: 5 }])
      const rows = pgdb.transaction(
        Effect.andThen(
          pgdb.execute(`declare ${name} cursor for select 1`),
          Stream.runCollect(pgdb.stream("select 2 as b"))
        )
      )
      expect(yield* rows).toEqual([{ b: 2 }])
      const unknown = yield* Effect.flip(pgdb.execute(`execute ${name}`))
      expect(unknown.message).toContain(`prepared statement "${name}" does not exist`)
    }
  })
)
