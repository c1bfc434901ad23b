/** Tables of every kind, and tables that change between two calls: what is remembered of their columns is renewed. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { PG, PoolRegistry } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"

const inOrder = { orderBy: { id: "asc" } } as const

describe("a table without SQL may be", () => {
  withDatabase(
    "partitioned",
    [
      "create table log (id int, k text default 'a', primary key (id, k)) partition by list (k)",
      "create table log_a partition of log for values in ('a')",
      "create table log_b partition of log for values in ('b')"
    ],
    ({ pgdb }) =>
      Effect.gen(function* () {
        const log = pgdb.table("log")
        assert.strictEqual(yield* log.insertMany([{ id: 1 }, { id: 2, k: "b" }]), 2)
        assert.strictEqual(yield* log.insertStream(Stream.make({ id: 3, k: "b" }, { id: 4 })), 2)
        assert.strictEqual(
          yield* log.upsert(
            [
              { id: 1, k: "a" },
              { id: 5, k: "b" }
            ],
            { on: ["id", "k"], update: [] }
          ),
          1
        )
        assert.deepStrictEqual(yield* pgdb.table("log_a").find({}, inOrder), [
          { id: 1, k: "a" },
          { id: 4, k: "a" }
        ])
        const homeless = yield* Effect.flip(log.insertMany([{ id: 6 }, { id: 7, k: "z" }]))
        assert.include(homeless.message, "23514")
        assert.strictEqual(yield* log.count(), 5)
        assert.strictEqual(yield* log.update({ id: 1 }, { k: "b" }), 1)
        assert.sameMembers([...(yield* log.distinct("k", { id: 1 }))], ["b"])
      })
  )

  withDatabase(
    "a view, which keeps to its check, or a materialized one, which takes nothing",
    [
      "create table t (id int, k text)",
      "create view only_a as select id, k from t where k = 'a' with check option",
      "create materialized view made as select 1 as id"
    ],
    ({ pgdb }) =>
      Effect.gen(function* () {
        const view = pgdb.table("only_a")
        assert.strictEqual(yield* view.insertMany([{ id: 1, k: "a" }]), 1)
        const other = yield* Effect.flip(
          view.insertMany([
            { id: 2, k: "a" },
            { id: 3, k: "b" }
          ])
        )
        assert.include(other.message, "44000")
        assert.deepStrictEqual(yield* view.find(), [{ id: 1, k: "a" }])
        assert.deepStrictEqual(yield* pgdb.table("made").find(), [{ id: 1 }])
        assert.include((yield* Effect.flip(pgdb.table("made").insertMany([{ id: 2 }]))).message, "42809")
      })
  )

  withDatabase(
    "made in the transaction that uses it, with types made there, and changed again",
    ["create type mood as enum ('sad', 'ok')"],
    ({ pgdb }) =>
      Effect.gen(function* () {
        const fresh = pgdb.table("fresh")
        const rows = yield* pgdb.transaction(
          Effect.gen(function* () {
            yield* pgdb.execute("create table fresh (id int primary key, k mood)")
            yield* fresh.insertMany([{ id: 1, k: "ok" }, { id: 2 }])
            yield* pgdb.execute("create type size as enum ('s', 'xl')")
            yield* pgdb.execute("alter table fresh add z size, add zs size[], alter k set default 'sad'")
            yield* fresh.insertMany([
              { id: 3, z: "xl", zs: ["s"] },
              { id: 4, k: null }
            ])
            yield* fresh.insertStream(Stream.make({ id: 5, zs: ["s", "xl"] }))
            yield* pgdb.execute("alter table fresh rename to older")
            return yield* pgdb.table("older").find({}, inOrder)
          })
        )
        const none = { z: null, zs: null }
        assert.deepStrictEqual(rows, [
          { id: 1, k: "ok", ...none },
          { id: 2, k: null, ...none },
          { id: 3, k: "sad", z: "xl", zs: ["s"] },
          { id: 4, k: null, ...none },
          { id: 5, k: "sad", z: null, zs: ["s", "xl"] }
        ])
        assert.include((yield* Effect.flip(fresh.count())).message, "42P01")
      })
  )

  withDatabase(
    "another table of the same name by now",
    ["create table t (id int, b text)"],
    ({ pgdb, witness }) =>
      Effect.gen(function* () {
        const t = pgdb.table("t")
        const rows = [{ id: 1, b: "12" }, { id: 2 }]
        assert.strictEqual(yield* t.insertMany(rows), 2)
        yield* witness.query("alter table t rename to old")
        yield* witness.query("create table t (id text[], b jsonb default '[]')")
        assert.deepStrictEqual(yield* t.find({ b: { $eq: [] } }), [])
        assert.strictEqual(yield* t.insertMany([{ id: ["x"], b: { k: 1 } }, { id: [] }]), 2)
        assert.deepStrictEqual(yield* t.find({ b: { $eq: { k: 1 } } }), [{ id: ["x"], b: { k: 1 } }])
        yield* witness.query("alter table t alter id type text using id::text")
        assert.strictEqual(yield* t.insertMany([{ id: "[1]", b: "x" }]), 1)
        assert.strictEqual(yield* t.update({ id: "[1]" }, { b: { z: [1] } }), 1)
        assert.deepStrictEqual(yield* t.find({ id: "[1]" }), [{ id: "[1]", b: { z: [1] } }])
        yield* witness.query("drop table t")
        assert.include((yield* Effect.flip(t.insertMany(rows))).message, "42P01")
        yield* witness.query("alter table old rename to t")
        assert.strictEqual(yield* t.insertMany(rows), 2)
        assert.strictEqual(yield* t.count({ b: "12" }), 2)
      })
  )

  withDatabase(
    "one of composite columns, which every comparison takes as objects",
    [
      "create type money_of as (amount numeric, currency text)",
      "create domain price as money_of",
      "create table items (id int, price money_of, was price, doc jsonb)"
    ],
    ({ pgdb }) =>
      Effect.gen(function* () {
        const items = pgdb.table("items")
        const euro = (amount: string) => ({ amount, currency: "EUR" })
        for (const [id, amount] of [
          [1, "5"],
          [2, "7"]
        ] as const) {
          yield* items.insert({ id, price: euro(amount), was: euro(amount), doc: euro(amount) })
        }
        const found = (filter: PG.Filter) =>
          Effect.map(items.find(filter, inOrder), (rows) => rows.map(({ id }) => id))
        for (const column of ["price", "was", "doc"]) {
          const wanted: ReadonlyArray<[condition: unknown, ids: Array<unknown>]> = [
            [euro("5"), [1]],
            [{ $eq: euro("7") }, [2]],
            [{ $ne: euro("7") }, [1]],
            [{ $in: [euro("5")] }, [1]],
            [{ $in: [euro("5"), euro("7"), null] }, [1, 2]],
            [{ $nin: [euro("5")] }, [2]],
            [{ $gt: euro("5") }, [2]],
            [{ $between: [euro("5"), euro("6")] }, [1]]
          ]
          for (const [condition, ids] of wanted) {
            assert.deepStrictEqual(yield* found({ [column]: condition }), ids)
          }
        }
        assert.strictEqual(yield* items.update({ price: euro("5") }, { price: euro("6") }), 1)
        assert.strictEqual(yield* items.delete({ price: euro("6") }), 1)
      })
  )

  withDatabase(
    "one of columns that cannot be compared: the server says so",
    ["create table t (id int, j json, p point)", `insert into t values (1, '{"a": 1}', '(1,2)')`],
    ({ pgdb }) =>
      Effect.gen(function* () {
        const t = pgdb.table("t")
        const incomparable: ReadonlyArray<Effect.Effect<unknown, PG.OperationError, PoolRegistry>> = [
          t.distinct("j"),
          t.distinct("p"),
          t.find({ j: { $eq: { a: 1 } } }),
          t.find({}, { orderBy: { j: "asc" } }),
          t.update({}, { j: { $inc: 1 } })
        ]
        for (const effect of incomparable) {
          assert.include((yield* Effect.flip(effect)).message, "42883")
        }
        assert.deepStrictEqual(yield* t.find({ j: { $isNull: false } }), [{ id: 1, j: { a: 1 }, p: "(1,2)" }])
      })
  )
})

withDatabase(
  "$inc adds exactly, in the column's own type, and never past it",
  [
    "create table n (id int, i int, s smallint, b int8, q numeric, f float8, d date, m money)",
    "insert into n values (1, 1, 1, 9007199254740993, 12345678901234567890.5, 0.5, '2020-02-28', 5)"
  ],
  ({ pgdb, witness }) =>
    Effect.gen(function* () {
      const n = pgdb.table("n")
      const changes = {
        i: { $inc: -2 },
        b: { $inc: 1n },
        q: { $inc: "0.10" },
        f: { $inc: 0.25 },
        d: { $inc: 2 }
      }
      assert.strictEqual(yield* n.update({}, { ...changes, m: { $inc: "2.5" } }), 1)
      assert.strictEqual(yield* n.update({ id: 1 }, { q: { $inc: 0.1 } }), 1)
      const now = {
        i: -1,
        b: "9007199254740994",
        q: "12345678901234567890.70",
        f: 0.75,
        d: "2020-03-01",
        m: "7.50"
      }
      const look = "select i, b::text, q::text, f, d::text, m::numeric::text from n"
      assert.deepStrictEqual(yield* witness.query(look), [now])
      for (const [column, $inc] of [
        ["i", 2 ** 40],
        ["s", 70_000],
        ["b", 2n ** 63n - 1n]
      ] as const) {
        assert.match((yield* Effect.flip(n.update({}, { [column]: { $inc } }))).message, /22003/)
      }
      assert.deepStrictEqual(yield* witness.query(look), [now])
    })
)
