/** Errors say what is wrong and what to do, in every operation that can meet them. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { PG, PoolError, type PoolRegistry } from "effect-global-pool"
import { forEach, operations, plainOperations, type Rows, withEachSetting } from "./support/cases.ts"
import { withDatabase } from "./support/handle.ts"
import { reasonOf } from "./support/link.ts"

type Work = Effect.Effect<unknown, unknown, PoolRegistry>

/** The refusal of a call, also where a client of `effect/sql` can only wrap it. */
const refusalOf = (work: Work) =>
  Effect.map(Effect.flip(work), (error) => {
    if (error instanceof PoolError) return error
    const cause =
      typeof error === "object" && error !== null && "reason" in error ? Object(error.reason).cause : error
    expect(cause).toBeInstanceOf(PoolError)
    return cause as PoolError
  })

const cyclic: Record<string, unknown> = {}
cyclic.self = cyclic

withEachSetting(
  "a value that json cannot hold is refused alike by everything that takes values",
  ["create table t (k jsonb unique, j jsonb)"],
  {},
  ({ pgdb, witness }) =>
    Effect.gen(function* () {
      const t = pgdb.table("t")
      for (const [value, why] of [
        [cyclic, "it refers to itself or nests too deeply"],
        [{ deep: [cyclic] }, "it refers to itself or nests too deeply"],
        [[1n], "holds a bigint, which json cannot hold"],
        [{ a: { b: 1n } }, "holds a bigint, which json cannot hold"]
      ] as const) {
        const calls: Readonly<Record<string, Work>> = {
          insert: t.insert({ j: value }),
          insertMany: t.insertMany([{ j: value }]),
          "insertMany, second row": t.insertMany([{ j: {} }, { j: value }]),
          insertStream: t.insertStream(Stream.make({ j: value })),
          upsert: t.upsert({ k: value }, { on: "k" }),
          "upsert of several": t.upsert([{ k: value, j: 1 }], { on: "k" }),
          "upsert of several, another column": t.upsert([{ k: 1, j: value }], { on: "k" }),
          "upsert of two": t.upsert([{ k: value }, { k: value }], { on: "k" }),
          update: t.update({}, { j: value }),
          find: t.find({ j: { $eq: value } }),
          $in: t.find({ j: { $in: [value] } }),
          $contains: t.find({ j: { $contains: value } }),
          findStream: Stream.runDrain(t.findStream({ j: { $eq: value } })),
          count: t.count({ j: { $eq: value } }),
          delete: t.delete({ j: { $eq: value } }),
          "insert in a transaction": pgdb.transaction(t.insert({ j: value }))
        }
        yield* forEach(calls, (call, name) =>
          Effect.gen(function* () {
            const error = yield* refusalOf(call)
            expect(error.reason._tag).toBe("StatementRefused")
            expect([name, error.message]).toEqual([name, expect.stringContaining(why)])
          })
        )
        yield* forEach(operations, (run) =>
          Effect.map(refusalOf(run(pgdb, "select $1::jsonb", [value])), (error) =>
            expect(error.message).toContain(why)
          )
        )
      }
      const sql = yield* pgdb.client
      expect((yield* refusalOf(sql`select ${sql.json(cyclic)}`)).message).toContain("it refers to itself")
      expect(yield* witness.query("select count(*)::int as n from t")).toEqual([{ n: 0 }])
    })
)

const many = (count: number, type = "int") =>
  `select count(*)::int as n from (values ${Array.from({ length: count }, (_, n) => `($${n + 1}::${type})`).join(",")}) v`
const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)

withDatabase(
  "65 535 parameters are sent, and more are refused with their number and what to do",
  [],
  ({ pgdb }) =>
    Effect.gen(function* () {
      expect(yield* pgdb.select(many(40_000), numbers(40_000))).toEqual([{ n: 40_000 }])
      expect(yield* pgdb.select(many(65_535), numbers(65_535))).toEqual([{ n: 65_535 }])
      expect(
        yield* pgdb.select(
          many(40_000, "date"),
          numbers(40_000).map(() => new Date())
        )
      ).toEqual([{ n: 40_000 }])
      const sql = yield* pgdb.client
      expect(yield* sql.unsafe(many(65_535), numbers(65_535))).toEqual([{ n: 65_535 }])
      // What is not sent is not looked at either.
      const text = "select 1"
      const parts = ["65536 parameters", "65535", "any($1)", "insertMany"]
      yield* forEach(operations, (run, name) =>
        Effect.gen(function* () {
          const { message } = yield* refusalOf(run(pgdb, text, numbers(65_536)))
          for (const part of parts) expect([name, message]).toEqual([name, expect.stringContaining(part)])
        })
      )
      const dates = numbers(65_536).map(() => new Date())
      expect((yield* refusalOf(pgdb.select(text, dates))).message).toContain("65536 parameters")
      expect(yield* pgdb.select("select 1 as one")).toEqual([{ one: 1 }])
    })
)

withDatabase(
  "a filter of 70 000 conditions is refused, and one list of 70 000 values is not",
  ["create table t (a int)", "insert into t values (69999)"],
  ({ pgdb }) =>
    Effect.gen(function* () {
      const t = pgdb.table("t")
      const { message } = yield* refusalOf(t.find({ $or: numbers(70_000).map((a) => ({ a })) }))
      expect(message).toContain("70000 parameters")
      expect(message).toContain("$in")
      expect(yield* t.find({ a: { $in: numbers(70_000) } })).toEqual([{ a: 69_999 }])
    })
)

withEachSetting("LISTEN and UNLISTEN as statements are refused, and name pgdb.listen", [], {}, ({ pgdb }) =>
  Effect.gen(function* () {
    for (const text of ["listen jobs", "LISTEN jobs", "unlisten *", "/* x */ listen jobs", "; listen jobs"]) {
      yield* forEach(operations, (run) =>
        Effect.map(refusalOf(run(pgdb, text, [])), ({ message }) => expect(message).toContain("pgdb.listen"))
      )
    }
  })
)

withDatabase(
  "a handle's operations work when they are taken off it",
  ["create table t (a int)"],
  ({ pgdb }) =>
    Effect.gen(function* () {
      const { execute, insert, find, select, selectOne, selectValue, stream, trans, transaction, count } =
        pgdb.table("t")
      expect(yield* select("select 1 as a")).toEqual([{ a: 1 }])
      expect(yield* select`select ${1}::int as a`).toEqual([{ a: 1 }])
      expect(yield* insert({ a: 2 })).toEqual({ a: 2 })
      expect(yield* find({ a: 2 })).toEqual([{ a: 2 }])
      expect(yield* count()).toBe(1)
      expect(yield* selectOne("select 3 as a")).toMatchObject({ value: { a: 3 } })
      expect((yield* execute("update t set a = 4")).rowCount).toBe(1)
      expect(yield* Stream.runCollect(stream("select a from t"))).toEqual([{ a: 4 }])
      expect(yield* trans(["select 5 as a"])).toMatchObject([{ rows: [{ a: 5 }] }])
      expect(yield* transaction(selectValue("select 6"))).toMatchObject({ value: 6 })
      const values = yield* Effect.forEach([1, 2], (n) => select("select $1::int as n", [n]))
      expect(values).toEqual([[{ n: 1 }], [{ n: 2 }]])
      const statements = ["select 7 as a", PG.sql`select ${8}::int as a`]
      expect(yield* Effect.forEach(statements, selectOne)).toMatchObject([
        { value: { a: 7 } },
        { value: { a: 8 } }
      ])
      expect(yield* Effect.forEach(statements, select)).toEqual([[{ a: 7 }], [{ a: 8 }]])
      expect(yield* Effect.forEach(statements, selectValue)).toMatchObject([{ value: 7 }, { value: 8 }])
      expect(yield* Effect.forEach(statements, execute)).toMatchObject([{ rowCount: 1 }, { rowCount: 1 }])
      const incomplete: string = "select $1::int as a"
      const refused = yield* Effect.flip(Effect.forEach([incomplete], select))
      expect(refused.message).toContain("The parameters of a statement are an array")
      const { listen, notify, client, terminate, withLock } = pgdb
      expect(typeof listen).toBe("function")
      yield* notify("x", "y")
      expect(yield* withLock("key", Effect.succeed(1))).toBe(1)
      yield* client
      yield* terminate
    })
)

withEachSetting(
  "rows of types that have no binary form are read, in every operation",
  [
    "create table acl (a aclitem, b aclitem[])",
    "insert into acl values ('postgres=r/postgres', '{postgres=r/postgres}')"
  ],
  {},
  ({ pgdb }) =>
    forEach(operations, (run) =>
      Effect.gen(function* () {
        for (let again = 0; again < 2; again++) {
          const [row] = yield* run(pgdb, "select * from pg_namespace where nspname = 'public'", [])
          expect(row).toMatchObject({ nspname: "public", nspacl: expect.any(Array) })
          expect(yield* run(pgdb, "select * from acl", [])).toEqual([
            { a: "postgres=r/postgres", b: ["postgres=r/postgres"] }
          ])
        }
      })
    )
)

withEachSetting(
  "PG.sqlState gives the SQLSTATE, in every operation, and undefined without one",
  [],
  {},
  ({ pgdb }) =>
    Effect.gen(function* () {
      yield* forEach(operations, (run) =>
        Effect.gen(function* () {
          for (const [text, param, code] of [
            ["select $1::int", "abc", "22P02"],
            ["select $1::int2", "70000", "22003"],
            ["select 1 / $1::int", 0, "22012"],
            ["select $1::text from nowhere", "a", "42P01"]
          ] as const) {
            expect(PG.sqlState(yield* Effect.flip(run(pgdb, text, [param])))).toBe(code)
          }
        })
      )
      const refusal = yield* Effect.flip(pgdb.select("begin"))
      const away = PG.make({ host: "127.0.0.1", port: 1, database: "x", key: "away" })
      const gone = yield* Effect.flip(away.select("select 1"))
      for (const error of [
        refusal,
        gone,
        undefined,
        null,
        "22P02",
        new Error("22P02"),
        { reason: { cause: { code: "22P02" } } }
      ]) {
        expect(PG.sqlState(error)).toBeUndefined()
      }
    })
)

withDatabase(
  "BEGIN and its like through the client are refused as through a handle, and not retryable",
  [],
  ({ pgdb }) =>
    Effect.gen(function* () {
      const sql = yield* pgdb.client
      for (const text of ["begin", "commit", "rollback", "savepoint a", "copy a from stdin"]) {
        const expected = yield* Effect.flip(pgdb.execute(text))
        const ways: Readonly<Record<string, Work>> = {
          statement: sql.unsafe(text),
          raw: sql.unsafe(text).raw,
          unprepared: sql.unsafe(text).unprepared,
          values: sql.unsafe(text).values,
          stream: Stream.runDrain(sql.unsafe(text).stream),
          "in a transaction": sql.withTransaction(sql.unsafe(text))
        }
        yield* forEach(ways, (way, name) =>
          Effect.gen(function* () {
            const error = yield* Effect.flip(way)
            expect([name, error]).toMatchObject([name, { isRetryable: false, message: expected.message }])
            expect([name, reasonOf(error)]).toEqual([name, "UnknownError"])
          })
        )
      }
    })
)

withEachSetting("a long message of the server is whole in the cause", [], {}, ({ pgdb }) =>
  forEach(plainOperations, (run) =>
    Effect.gen(function* () {
      const raise =
        "do $$ begin raise exception '%', repeat('x', 5000) || 'END' using detail = repeat('y', 5000) || 'END'; end $$"
      const error = yield* Effect.flip(run(pgdb, raise, []))
      if (error._tag !== "SqlError") throw error
      const { cause } = error.reason
      expect(cause).toMatchObject({ message: expect.stringMatching(/^x{5000}END$/) })
      expect(cause).toMatchObject({ detail: expect.stringMatching(/^y{5000}END$/) })
    })
  )
)

withDatabase(
  "a statement of effect/sql is spliced into a template, and the error of a fragment says to use one",
  [],
  ({ pgdb }) =>
    Effect.gen(function* () {
      const sql = yield* pgdb.client
      const statement = sql`${1}::int as a`
      expect(yield* pgdb.select`select ${statement}`).toEqual([{ a: 1 }])
      expect(yield* Stream.runCollect(pgdb.stream`select ${statement}`)).toEqual([{ a: 1 }])
      expect(yield* pgdb.trans([PG.sql`select ${statement}`])).toMatchObject([{ rows: [{ a: 1 }] }])
      const fragment = sql.and([sql`1 = ${1}`, sql`2 = ${2}`])
      for (const work of [
        pgdb.select`select 1 where ${fragment}`,
        pgdb.execute`select 1 where ${fragment}`,
        Stream.runDrain(pgdb.stream`select 1 where ${fragment}`),
        pgdb.trans([PG.sql`select 1 where ${fragment}`])
      ]) {
        expect((yield* refusalOf(work)).message).toContain("put it into a statement of its client")
      }
      expect((yield* refusalOf(pgdb.select("select $1::jsonb", [statement]))).message).toContain("PG.sql")
    })
)

withEachSetting(
  "rowCount is the number of rows of a command that returns rows without counting them",
  ["create procedure p(inout a int) language sql as $$ select a $$"],
  {},
  ({ pgdb }) =>
    Effect.gen(function* () {
      const sql = yield* pgdb.client
      for (const [text, command] of [
        ["show timezone", "SHOW"],
        ["show all", "SHOW"],
        ["explain select 1 from pg_class a, pg_class b", "EXPLAIN"],
        ["explain (format json) select 1", "EXPLAIN"],
        ["call p(1)", "CALL"]
      ] as const) {
        const outcomes: ReadonlyArray<PG.Outcome> = [
          yield* pgdb.execute(text),
          yield* pgdb.transaction(pgdb.execute(text)),
          ...(yield* pgdb.trans([text, text]))
        ]
        for (const outcome of outcomes) {
          expect(outcome.rows.length).toBeGreaterThan(0)
          expect(outcome).toMatchObject({ command, rowCount: outcome.rows.length })
        }
        expect(yield* sql.unsafe(text).raw).toMatchObject({ rowCount: outcomes[0]!.rows.length })
      }
    })
)

withDatabase(
  "a statementTimeout that Postgres cannot count is an invalid setting, and Infinity is none",
  [],
  ({ settings }) =>
    Effect.gen(function* () {
      const shown = (statementTimeout: PG.Settings["statementTimeout"]) =>
        PG.make({ ...settings, statementTimeout, key: String(statementTimeout) }).selectValue(
          "show statement_timeout"
        )
      for (const long of ["100 days", "25 days", 2 ** 31] as const) {
        const error = yield* Effect.flip(shown(long))
        expect(error).toMatchObject({ reason: { _tag: "InvalidSettings", setting: "statementTimeout" } })
        expect(error.message).toContain("24 days")
      }
      expect(yield* shown("24 days")).toMatchObject({ value: "24d" })
      expect(yield* shown(2 ** 31 - 1)).toMatchObject({ value: "2147483647ms" })
      expect(yield* shown("Infinity")).toMatchObject({ value: "0" })
      expect(yield* shown(Number.POSITIVE_INFINITY)).toMatchObject({ value: "0" })
    })
)

withDatabase(
  "a session whose strings take backslashes runs what it understands",
  [],
  ({ settings, witness }) =>
    Effect.gen(function* () {
      yield* witness.query(`alter database "${settings.database}" set standard_conforming_strings = off`)
      yield* witness.query(`alter database "${settings.database}" set escape_string_warning = off`)
      const pgdb = PG.make({ ...settings, key: "backslashes" })
      yield* forEach(operations, (run) =>
        Effect.gen(function* () {
          for (const text of ["it\\'s", "it\\'s; begin", "\\\\", "a\\'$1\\'"]) {
            const rows: Rows = yield* run(pgdb, `select '${text}' a, $1::text b`, ["x"])
            expect(rows).toEqual([{ a: text.replace(/\\(.)/g, "$1"), b: "x" }])
          }
        })
      )
      // What one of both readings shows is what counts.
      const { message } = yield* refusalOf(pgdb.select("select '\\', $1, '\\'", ["a", "b", "c"]))
      expect(message).toContain("parameter")
    })
)

withDatabase(
  "a transaction inside another may ask for what that has, and for nothing else",
  ["create table t (a int)"],
  ({ pgdb }) =>
    Effect.gen(function* () {
      type Options = NonNullable<Parameters<typeof pgdb.transaction>[1]>
      const inside = (outer: Options, inner: Options) =>
        pgdb.transaction(pgdb.transaction(pgdb.selectValue("show transaction_isolation"), inner), outer)
      const serializable = { isolation: "serializable" } as const
      for (const [outer, inner, isolation] of [
        [serializable, serializable, "serializable"],
        [{}, { isolation: "read committed" }, "read committed"],
        [{}, { readOnly: false }, "read committed"],
        [{}, { deferrable: false }, "read committed"],
        [{ ...serializable, readOnly: true }, { ...serializable, readOnly: true }, "serializable"],
        [{ isolation: "repeatable read" }, { isolation: "repeatable read" }, "repeatable read"]
      ] as const) {
        expect(yield* inside(outer, inner)).toMatchObject({ value: isolation })
      }
      for (const [outer, inner, name] of [
        [serializable, { isolation: "read committed" }, "isolation"],
        [{}, serializable, "isolation"],
        [{ readOnly: true }, { readOnly: false }, "readOnly"],
        [{}, { readOnly: true }, "readOnly"],
        [{}, { deferrable: true }, "deferrable"]
      ] as const) {
        expect((yield* refusalOf(inside(outer, inner))).message).toContain(`cannot have another ${name}`)
      }
      expect((yield* refusalOf(inside({}, { retry: { times: 1 } }))).message).toContain("cannot be retried")
      // The outer one goes on.
      yield* pgdb.transaction(
        Effect.gen(function* () {
          yield* Effect.flip(pgdb.transaction(pgdb.select("select 1"), serializable))
          yield* pgdb.execute("insert into t values (1)")
        })
      )
      expect(yield* pgdb.table("t").count()).toBe(1)
    })
)

withDatabase(
  "the error of a transaction that goes on after a caught failure says to nest that part",
  [],
  ({ pgdb }) =>
    Effect.gen(function* () {
      const sql = yield* pgdb.client
      const caught = Effect.ignore(pgdb.select("select 1 / 0"))
      for (const next of [
        pgdb.select("select 1"),
        pgdb.execute("select 1"),
        Stream.runDrain(pgdb.stream("select 1")),
        sql`select 1`,
        pgdb.trans(["select 1"])
      ] as ReadonlyArray<Work>) {
        const error = yield* Effect.flip(pgdb.transaction(Effect.andThen(caught, next)))
        expect(String(Object(error).message)).toMatch(
          /transaction(?:\(effect\))? of its own|of its own inside/
        )
      }
      const atEnd = yield* Effect.flip(pgdb.transaction(caught))
      expect(atEnd.message).toContain("a transaction of its own")
    })
)

withEachSetting(
  "a Date is its UTC day and time in a column without a zone, whatever the session's zone",
  ["create table t (id int, d date, t timestamp, z timestamptz)"],
  { startupParameters: { TimeZone: "Asia/Tokyo" } },
  ({ pgdb, witness }) =>
    Effect.gen(function* () {
      const late = new Date("2026-03-01T23:30:00Z")
      const values = [late, late, late]
      yield* pgdb.table("t").insert({ id: 1, d: late, t: late, z: late })
      yield* pgdb.table("t").insertMany([{ id: 1, d: late, t: late, z: late }])
      yield* forEach(operations, (run) =>
        Effect.asVoid(run(pgdb, "insert into t values (1, $1, $2, $3)", values))
      )
      expect(
        yield* witness.query("select distinct d::text, t::text, (z at time zone 'UTC')::text as z from t")
      ).toEqual([{ d: "2026-03-01", t: "2026-03-01 23:30:00", z: "2026-03-01 23:30:00" }])
    })
)
