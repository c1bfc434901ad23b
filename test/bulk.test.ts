/** Many rows at once: all or nothing, each column in its own type, defaults where a row lacks a column. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { PG } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"

describe("insertMany", () => {
  withDatabase("stores nothing, without traffic, when there is nothing", [], ({ pgdb }) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* pgdb.table("nowhere").insertMany([]), 0)
      assert.strictEqual(yield* pgdb.table("nowhere").upsert([], { on: "id" }), 0)
    })
  )

  withDatabase(
    "names the row and the column of a value that the server does not take",
    ["create table bills (id int, amount numeric)"],
    ({ pgdb, witness }) =>
      Effect.gen(function* () {
        const rows = Array.from({ length: 100 }, (_, id) => ({ id, amount: id === 77 ? "secret" : "1.5" }))
        const error = yield* Effect.flip(pgdb.table("bills").insertMany(rows))
        assert.include(error.message, 'In: bills.insertMany, row 78, column "amount"\n')
        assert.notInclude(error.message, "secret")
        assert.deepStrictEqual(yield* witness.query("select 1 from bills"), [])
      })
  )

  withDatabase(
    "stores each type as a single insert does",
    [
      "create type mood as enum ('sad', 'happy')",
      "create type place as (street text, no int)",
      "create domain small as int check (value < 100)",
      "create domain pair as int[] check (cardinality(value) = 2)",
      `create table kinds (id int, b boolean, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric, nn numeric(8, 2), t text,
         v varchar(5), c char(3), ch "char", u uuid, j json, jb jsonb, by bytea, d date, ti time, ts timestamp, tz timestamptz,
         iv interval, m mood, p place, s small, pa pair, ia int[], ta text[], ja jsonb[], tza timestamptz[], ma mood[],
         r int4range, ip inet, x xml, pt point)`
    ],
    ({ pgdb }) =>
      Effect.gen(function* () {
        const table = pgdb.table("kinds")
        const rows: ReadonlyArray<Readonly<Record<string, unknown>>> = [
          {
            b: true,
            i2: -3,
            i4: 4,
            i8: 2 ** 40,
            f4: 0.5,
            f8: 1e300,
            n: "12345678901234567890.5",
            nn: 1.5,
            t: "x",
            v: "abc"
          },
          {
            b: "f",
            i2: "7",
            i4: 5n,
            i8: "-9",
            f4: 2,
            f8: "NaN",
            n: 1.25,
            nn: "2",
            t: 'q"u,{}\\',
            v: "",
            c: "ab",
            ch: "x"
          },
          {
            u: "00000000-0000-0000-0000-00000000000a",
            j: { a: [1, null] },
            jb: [1, { b: "é" }],
            by: new Uint8Array([0, 255])
          },
          {
            j: "text",
            jb: "12",
            jb2: undefined,
            d: "2020-02-29",
            ti: "12:00:01",
            ts: new Date(0),
            tz: new Date(1e12)
          },
          {
            j: PG.json([1]),
            jb: PG.json("12"),
            tz: Number.POSITIVE_INFINITY,
            iv: "1 day",
            m: "happy",
            p: { street: "A", no: 1 }
          },
          {
            s: 99,
            pa: [1, 2],
            ia: [1, null, 3],
            ta: ["a", 'b"', "NULL", "", null],
            r: "[1,5)",
            ip: "10.0.0.1/8"
          },
          {
            ia: [
              [1, 2],
              [3, 4]
            ],
            ta: [],
            ja: [{ a: 1 }, [2], "s"],
            tza: [new Date(0), null],
            ma: ["sad"],
            x: "<a/>",
            pt: "(1,2)"
          },
          {
            ia: "{7,8}",
            ta: "{x,y}",
            by: "\\x00ff",
            tz: "2020-01-01T00:00:00Z",
            b: null,
            i4: null,
            jb: null,
            ia2: undefined
          }
        ]
        const named = rows.map((row, id) =>
          Object.fromEntries(Object.entries({ ...row, id }).filter(([, value]) => value !== undefined))
        )
        for (const row of named) yield* table.insert(row)
        const single = yield* table.find({}, { orderBy: { id: "asc" } })
        yield* table.delete({})
        assert.strictEqual(yield* table.insertMany(named), rows.length)
        assert.deepStrictEqual(yield* table.find({}, { orderBy: { id: "asc" } }), single)
        assert.strictEqual(yield* table.insertMany(single), rows.length)
        const doubled = yield* table.find({}, { orderBy: { id: "asc" } })
        assert.deepStrictEqual(
          doubled,
          single.flatMap((row) => [row, row])
        )
      })
  )

  withDatabase(
    "leaves to the table what a row lacks: defaults, identities, generated columns",
    [
      "create domain flag as text default 'plain'",
      `create table t (id int generated always as identity, n int default 7, f flag, big int generated always as (n * 2) stored,
         note text)`
    ],
    ({ pgdb }) =>
      Effect.gen(function* () {
        const table = pgdb.table("t")
        const rows = [
          { note: "a" },
          { n: 1 },
          { f: "x", note: "b" },
          {},
          { n: 2, note: undefined },
          { note: "c" },
          { n: undefined }
        ]
        assert.strictEqual(yield* table.insertMany(rows), 7)
        const stored = yield* table.find({}, { columns: ["n", "f", "big", "note"], orderBy: { id: "asc" } })
        const plain = { n: 7, f: "plain", big: 14, note: null }
        assert.deepStrictEqual(stored, [
          { ...plain, note: "a" },
          plain,
          { ...plain, note: "c" },
          plain,
          { ...plain, n: 1, big: 2 },
          { ...plain, n: 2, big: 4 },
          { ...plain, f: "x", note: "b" }
        ])
        assert.strictEqual(yield* table.insertMany([{}, {}]), 2)
        const error = yield* Effect.flip(table.insertMany([{ id: 1 }, { id: 2 }]))
        assert.include(error.message, "GENERATED ALWAYS")
      })
  )

  withDatabase(
    "keeps the order of rows that name the same columns",
    ["create table t (id serial, n int)"],
    ({ pgdb }) =>
      Effect.gen(function* () {
        const table = pgdb.table("t")
        yield* table.insertMany(Array.from({ length: 25_000 }, (_, n) => ({ n })))
        assert.strictEqual(
          yield* pgdb.selectValue`select count(*) from t where id <> n + 1`.pipe(Effect.map(String)),
          "some(0)"
        )
      })
  )

  withDatabase(
    "is all or nothing over any number of pieces, and in a transaction leaves it usable",
    ["create table t (id int primary key, a text)"],
    ({ pgdb }) =>
      Effect.gen(function* () {
        const table = pgdb.table("t")
        const rows = Array.from({ length: 30_000 }, (_, id) => ({ id: id === 29_999 ? 0 : id, a: "x" }))
        const error = yield* Effect.flip(table.insertMany(rows))
        assert.include(error.message, "23505")
        assert.strictEqual(yield* table.count(), 0)
        yield* pgdb.transaction(
          Effect.gen(function* () {
            yield* table.insert({ id: 1 })
            yield* Effect.flip(table.insertMany(rows))
            yield* table.insert({ id: 2 })
          })
        )
        assert.strictEqual(yield* table.count(), 2)
        const refused = yield* Effect.flip(
          table.insertMany([...rows.slice(3, 15_000), { id: 20_000, a: new Map() }])
        )
        assert.include(refused.message, "t.insertMany, row 14998")
        assert.strictEqual(yield* table.count(), 2)
      })
  )

  withDatabase(
    "stores one row for a row, whatever its values are, or says which row and column do not fit",
    [
      "create type place as (street text, no int)",
      "create table odd (t text, i int, v varchar, p point, r int4range, c place, b bool, u uuid, d date, f float4, by bytea)"
    ],
    ({ pgdb }) =>
      Effect.gen(function* () {
        const table = pgdb.table("odd")
        const lists: ReadonlyArray<unknown> = [
          [1, 2],
          [[1, 2]],
          [],
          [[]],
          ["a"],
          [null],
          new Uint8Array([1, 2])
        ]
        for (const list of lists) {
          for (const column of ["t", "i", "v", "p", "r", "c", "b", "u", "d", "f", "by"]) {
            const rows = [{ [column]: list }, { [column]: list }]
            const said = yield* Effect.match(table.insertMany(rows), {
              onFailure: ({ message }) => message,
              onSuccess: String
            })
            const kept = yield* table.count()
            assert.strictEqual(kept, said === "2" ? 2 : 0, `${JSON.stringify(list)} in ${column}: ${said}`)
            if (said !== "2" && Array.isArray(list)) assert.match(said, /row 1, column|2\d[A-Z0-9]{3} /)
            yield* table.delete({})
          }
        }
        for (const tooFar of [1e300, -1e300, 1e-300]) {
          const error = yield* Effect.flip(table.insertMany([{ f: 1.5 }, { f: tooFar }]))
          assert.include(error.message, "22003")
        }
        const far = [Number.POSITIVE_INFINITY, Number.NaN, 0, -0, 3.4e38, 1e-40].map((f) => ({ f }))
        assert.strictEqual(yield* table.insertMany(far), 6)
      })
  )

  withDatabase("takes a row of many columns and rows of long texts", [], ({ pgdb, witness }) =>
    Effect.gen(function* () {
      const names = Array.from({ length: 1000 }, (_, index) => `c${index}`)
      yield* witness.query(`create table wide (${names.map((name) => `${name} int`).join(", ")})`)
      const row = Object.fromEntries(names.map((name, index) => [name, index]))
      assert.strictEqual(yield* pgdb.table("wide").insertMany(Array.from({ length: 200 }, () => row)), 200)
      yield* witness.query("create table long (a text, b bytea)")
      const long = { a: "é".repeat(1_000_000), b: new Uint8Array(1_000_000) }
      assert.strictEqual(yield* pgdb.table("long").insertMany(Array.from({ length: 12 }, () => long)), 12)
      const sizes = yield* pgdb.select`select distinct length(a) as a, length(b) as b from long`
      assert.deepStrictEqual(sizes, [{ a: 1_000_000, b: 1_000_000 }])
    })
  )

  withDatabase(
    "does not cut a value to a column's length, nor round it where the column would not",
    ["create table t (v varchar(3), c char(2), b bit(2), ts timestamp(0))"],
    ({ pgdb }) =>
      Effect.gen(function* () {
        const table = pgdb.table("t")
        for (const row of [{ v: "abcd" }, { c: "abc" }, { b: "101" }]) {
          const error = yield* Effect.flip(table.insertMany([row, row]))
          assert.match(error.message, /22001|22026/)
        }
      })
  )

  withDatabase(
    "stores through a view, whose table fills in its defaults",
    ["create table t (id serial, n int, k int default 5)", "create view w as select id, n, k from t"],
    ({ pgdb }) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* pgdb.table("w").insertMany([{ n: 1 }, { n: 2, k: 6 }]), 2)
        const rows = yield* pgdb.table("t").find({}, { orderBy: { id: "asc" } })
        assert.deepStrictEqual(rows, [
          { id: 1, n: 1, k: 5 },
          { id: 2, n: 2, k: 6 }
        ])
      })
  )
})

describe("upsert", () => {
  const stock = [
    "create table stock (shop text, item text, n int default 1, note text, primary key (shop, item))",
    "insert into stock values ('s', 'a', 10, 'old'), ('s', 'b', 20, 'old')"
  ]
  const all = { orderBy: { item: "asc" } } as const

  withDatabase("stores what is new and changes what is there: all other columns", stock, ({ pgdb }) =>
    Effect.gen(function* () {
      const table = pgdb.table("stock")
      const on = ["shop", "item"]
      const rows = [
        { shop: "s", item: "a", n: 11 },
        { shop: "s", item: "b", note: "new" },
        { shop: "s", item: "c", n: null, note: "new" }
      ]
      assert.strictEqual(yield* table.upsert(rows, { on }), 3)
      assert.deepStrictEqual(yield* table.find({}, all), [
        { shop: "s", item: "a", n: 11, note: "old" },
        { shop: "s", item: "b", n: 20, note: "new" },
        { shop: "s", item: "c", n: null, note: "new" }
      ])
      assert.strictEqual(yield* table.upsert({ shop: "s", item: "d", note: "one" }, { on }), 1)
      assert.strictEqual(yield* table.upsert({ shop: "s", item: "d", n: 5 }, { on }), 1)
      assert.deepStrictEqual(yield* table.find({ item: "d" }), [{ shop: "s", item: "d", n: 5, note: "one" }])
    })
  )

  withDatabase("updates the columns named, or none", stock, ({ pgdb }) =>
    Effect.gen(function* () {
      const table = pgdb.table("stock")
      const on = ["shop", "item"]
      const rows = [
        { shop: "s", item: "a", n: 1, note: "x" },
        { shop: "s", item: "z", n: 1, note: "x" }
      ]
      assert.strictEqual(yield* table.upsert(rows, { on, update: ["n"] }), 2)
      assert.deepStrictEqual(yield* table.find({ item: "a" }), [{ shop: "s", item: "a", n: 1, note: "old" }])
      assert.strictEqual(
        yield* table.upsert([...rows, ...rows, { shop: "s", item: "y" }], { on, update: [] }),
        1
      )
      assert.strictEqual(yield* table.upsert({ shop: "s", item: "y" }, { on }), 0)
    })
  )

  withDatabase(
    "names the rows that are one to Postgres, before anything is sent",
    [
      "create table k (i int unique, n numeric unique, u uuid unique, t text unique, d timestamptz unique, f float8[] unique, v int)",
      "create extension citext",
      "create table ci (c citext primary key, v int)"
    ],
    ({ pgdb }) =>
      Effect.gen(function* () {
        const table = pgdb.table("k")
        const pairs: ReadonlyArray<readonly [column: string, a: unknown, b: unknown]> = [
          ["i", 1, 1],
          ["i", 1, "01"],
          ["i", 1n, 1],
          ["n", "1.50", "1.5"],
          ["n", 2, "2.0"],
          ["u", "0000000A-0000-0000-0000-000000000000", "0000000a000000000000000000000000"],
          ["t", "x", "x"],
          ["d", new Date(5), new Date(5)],
          ["f", [1, null], [1, null]]
        ]
        for (const [column, a, b] of pairs) {
          const rows = [
            { [column]: a, v: 1 },
            { [column]: null, v: 2 },
            { [column]: null, v: 3 },
            { [column]: b, v: 4 }
          ]
          const error = yield* Effect.flip(table.upsert(rows, { on: column }))
          assert.include(error.message, `k.upsert: row 4 has the same "${column}" as row 1`)
        }
        assert.strictEqual(yield* table.count(), 0)
        assert.strictEqual(yield* table.upsert([{ t: "x" }, { t: "X" }, { t: " x" }], { on: "t" }), 3)
        const floats = [Number.NaN, Number.POSITIVE_INFINITY, null].map((one) => ({ f: [one] }))
        assert.strictEqual(yield* table.upsert(floats, { on: "f" }), 3)
        const unknowable = yield* Effect.flip(
          pgdb.table("ci").upsert(
            [
              { c: "x", v: 1 },
              { c: "X", v: 2 }
            ],
            { on: "c" }
          )
        )
        assert.include(unknowable.message, "21000")
        assert.strictEqual(yield* pgdb.table("ci").count(), 0)
      })
  )

  withDatabase("refuses rows without a key by their number, and stores none", stock, ({ pgdb }) =>
    Effect.gen(function* () {
      const table = pgdb.table("stock")
      const on = ["shop", "item"]
      const keyed = { shop: "s", item: "new", n: 1 }
      for (const keyless of [
        { shop: "s", n: 1 },
        { shop: "s", item: undefined, n: 1 }
      ]) {
        for (const update of [undefined, ["n"], []]) {
          const options = update === undefined ? { on } : { on, update }
          const error = yield* Effect.flip(table.upsert([keyed, keyless], options))
          assert.include(error.message, `stock.upsert: row 2 lacks column "item"`)
          assert.include(error.message, "The call had no effect.")
        }
      }
      const many = Array.from({ length: 25_000 }, (_, n) => ({ shop: "many", item: String(n) }))
      const late = yield* Effect.flip(table.upsert([...many, { shop: "many" }], { on }))
      assert.include(late.message, "row 25001 lacks")
      assert.strictEqual(yield* table.count(), 2)
    })
  )

  withDatabase("a key that is NULL equals none, unless its index says so", [], ({ pgdb, witness }) =>
    Effect.gen(function* () {
      yield* witness.query("create table a (k int unique, v int)")
      yield* witness.query("create table b (k int unique nulls not distinct, v int)")
      for (const [name, left] of [
        ["a", 3],
        ["b", 1]
      ] as const) {
        const table = pgdb.table(name)
        yield* table.upsert({ k: null, v: 1 }, { on: "k" })
        yield* table.upsert({ k: null, v: 2 }, { on: "k" })
        yield* table.upsert([{ k: null, v: 3 }], { on: "k" })
        assert.strictEqual(yield* table.count(), left)
        assert.isTrue(yield* table.exists({ v: 3 }))
      }
    })
  )

  withDatabase("needs a unique index on the columns of on", stock, ({ pgdb }) =>
    Effect.gen(function* () {
      const table = pgdb.table("stock")
      const error = yield* Effect.flip(table.upsert([{ shop: "x", item: "y" }], { on: "shop" }))
      assert.include(error.message, "42P10")
    })
  )
})
