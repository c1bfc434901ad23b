/** `COPY` in and out: data as they stand in a file, in every format, by tables and by statements. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { PG } from "effect-global-pool"
import * as fc from "fast-check"
import { bytesOf, textOf } from "./support/copied.ts"
import { withDatabase } from "./support/handle.ts"

const people = [
  "create table people (id int primary key, name text, at timestamptz default '2020-01-01 00:00:00Z')"
]

describe("copyFrom", () => {
  withDatabase("loads a CSV as it stands, and gives the number of rows", people, ({ pgdb, witness }) =>
    Effect.gen(function* () {
      const file = 'id,name\n1,Ada\n2,"a,b"\n3,"two\nlines"\n4,\n5,""\n'
      const table = pgdb.table("people")
      const loaded = table.copyFrom(Stream.make(file), { header: true, columns: ["id", "name"] })
      assert.strictEqual(yield* loaded, 5)
      const rows = yield* witness.query(
        "select id, name, at = '2020-01-01 00:00:00Z' as old from people order by id"
      )
      assert.deepStrictEqual(
        rows.map(({ name, old }) => [name, old]),
        [
          ["Ada", true],
          ["a,b", true],
          ["two\nlines", true],
          [null, true],
          ["", true]
        ]
      )
      assert.strictEqual(yield* table.copyFrom(Stream.empty), 0)
    })
  )

  withDatabase("takes COPY's own options, whatever characters they are", people, ({ pgdb, witness }) =>
    Effect.gen(function* () {
      const table = pgdb.table("people")
      const load = (text: string | Uint8Array, options: PG.CopyFromOptions) =>
        table.copyFrom(Stream.make(text), { columns: ["id", "name"], ...options })
      yield* load("1|*a|b*\n2|none\n", { delimiter: "|", quote: "*", null: "none" })
      yield* load("3\tx\\ty\n4\t\\N\n", { format: "text" })
      yield* load("5;'it''s'\n6;\\'x\n".replace("\\'x", "\\x"), { delimiter: ";", quote: "'", null: "\\x" })
      yield* load(Uint8Array.from([55, 44, 0xe9, 10]), { encoding: "LATIN1" })
      yield* load("id,name\n8,z\n", { header: "match" })
      assert.include((yield* Effect.flip(load("name,id\n9,z\n", { header: "match" }))).message, "22P04")
      assert.deepStrictEqual(
        (yield* witness.query("select name from people order by id")).map(({ name }) => name),
        ["a|b", null, "x\ty", null, "it's", null, "é", "z"]
      )
    })
  )

  withDatabase("stores the same rows wherever the data are cut", people, ({ pgdb, witness }) =>
    Effect.gen(function* () {
      const file = Buffer.from('1,żółw 🐢\n2,"a\nb"\n3,\n')
      const table = pgdb.table("people")
      const expected = [
        { id: 1, name: "żółw 🐢" },
        { id: 2, name: "a\nb" },
        { id: 3, name: null }
      ]
      const check = (pieces: ReadonlyArray<Uint8Array | string>) =>
        Effect.gen(function* () {
          yield* witness.query("truncate people")
          yield* table.copyFrom(Stream.rechunk(Stream.fromIterable(pieces), 2), { columns: ["id", "name"] })
          assert.deepStrictEqual(yield* witness.query("select id, name from people order by id"), expected)
        })
      const cuts = fc.sample(fc.array(fc.nat(file.length), { maxLength: 6 }), { numRuns: 25, seed: 17 })
      for (const cut of cuts) {
        const at = [0, ...cut.sort((a, b) => a - b), file.length]
        yield* check(at.slice(1).map((end, index) => file.subarray(at[index], end)))
      }
      // A character of two units that two texts share.
      const text = String(file)
      yield* check([...text].flatMap((character) => character.split("")))
      yield* check([text.slice(0, 9), Buffer.from(text.slice(9, 14)), text.slice(14)])
    })
  )

  withDatabase("runs any COPY of a statement", people, ({ pgdb }) =>
    Effect.gen(function* () {
      const rows = Stream.make("1\tAda\n2\tEve\n3\tBob\n")
      const table = PG.id("people")
      assert.strictEqual(
        yield* pgdb.copyFrom(PG.sql`copy ${table} (id, name) from stdin where id > 1`, rows),
        2
      )
      assert.strictEqual(
        yield* pgdb.copyFrom(
          "/* bulk */ copy people (id, name) from stdin (format csv, force_null (name))",
          Stream.make('9,""\n')
        ),
        1
      )
      assert.deepStrictEqual(yield* pgdb.select("select id, name from people order by id"), [
        { id: 2, name: "Eve" },
        { id: 3, name: "Bob" },
        { id: 9, name: null }
      ])
    })
  )

  withDatabase("tells how far it has come", people, ({ pgdb }) =>
    Effect.gen(function* () {
      const seen: Array<number> = []
      const lines = Array.from({ length: 1000 }, (_, id) => `${id},name ${id}\n`)
      yield* pgdb.table("people").copyFrom(Stream.rechunk(Stream.fromIterable(lines), 100), {
        columns: ["id", "name"],
        onProgress: ({ bytes }) => seen.push(bytes)
      })
      assert.lengthOf(seen, 10)
      assert.strictEqual(seen.at(-1), lines.join("").length)
      assert.deepStrictEqual(
        seen,
        seen.toSorted((a, b) => a - b)
      )
    })
  )

  withDatabase("refuses what it cannot be, and sends nothing", people, ({ pgdb, witness }) =>
    Effect.gen(function* () {
      const table = pgdb.table("people")
      const none = Stream.make("")
      const odd = (options: object) => Effect.flip(table.copyFrom(none, options))
      assert.include((yield* odd({ format: "xml" })).message, 'It is "csv", "text" or "binary".')
      assert.include((yield* odd({ header: "yes" })).message, 'It is true, false or "match".')
      assert.include((yield* odd({ delimiter: 1 })).message, "the option delimiter is a number")
      assert.include((yield* odd({ null: "\0" })).message, "the option null is an unknown text")
      assert.include((yield* odd({ columns: [] })).message, "columns is an array that holds no names")
      assert.include((yield* odd({ delimitr: "," })).message, '"delimitr" is no option')
      for (const statement of ["select 1", "copy people from '/etc/passwd'", "copy people to stdout", ""]) {
        const error = yield* Effect.flip(pgdb.copyFrom(statement, none))
        assert.strictEqual(error._tag, "PoolError", statement)
      }
      const param = yield* Effect.flip(
        pgdb.copyFrom(PG.sql`copy people from stdin where id > ${1}`, Stream.make("1\n"))
      )
      assert.include(param.message, "42P02")
      assert.deepStrictEqual(yield* witness.query("select 1 from people"), [])
    })
  )
})

describe("copyTo", () => {
  withDatabase("gives what copyFrom takes, in each format", [], ({ pgdb, witness }) =>
    Effect.gen(function* () {
      for (const name of ["a", "b"]) {
        yield* witness.query(
          `create table ${name} (id int generated always as identity, n numeric, twice numeric generated always as (n * 2) stored,
             "odd ""name""" text, by bytea, at timestamptz, tags text[])`
        )
      }
      yield* witness.query(
        `insert into a (n, "odd ""name""", by, at, tags) values (1.50, 'a,"b"\\N', '\\x00ff', 'infinity', '{a,"b c"}'),
           (null, '', null, '2020-01-01', null), (3, E'tab\\tline\\n\\r\\\\.', '', null, '{}')`
      )
      const [a, b] = [pgdb.table("a"), pgdb.table("b")]
      for (const format of ["csv", "text", "binary"] as const) {
        assert.strictEqual(yield* b.copyFrom(a.copyTo({ format }), { format }), 3)
        const same = yield* witness.query("select count(*)::int as n from (table a except table b) as other")
        assert.deepStrictEqual(same, [{ n: 0 }])
        yield* witness.query("truncate b")
      }
    })
  )

  withDatabase("takes columns, a header and a filter, whose values are bound", [], ({ pgdb, witness }) =>
    Effect.gen(function* () {
      yield* witness.query(
        "create table t (id int, name text, at timestamptz, on_day date, tags text[], doc jsonb, by bytea, f real, ok bool)"
      )
      yield* witness.query(
        `insert into t values (1, 'it''s; drop table t; --', '2020-01-01 12:00Z', '2020-01-01', '{a,b}', '{"k": [1]}', '\\x01', 1.1, true),
          (2, null, '2021-01-01 12:00Z', null, '{}', null, null, null, false)`
      )
      const t = pgdb.table("t")
      const ids = (filter: PG.Filter) => textOf(t.copyTo({ columns: ["id"], filter }))
      assert.strictEqual(
        yield* textOf(t.copyTo({ columns: ["name", "id"], header: true, delimiter: "|", null: "-" })),
        "name|id\nit's; drop table t; --|1\n-|2\n"
      )
      const one: ReadonlyArray<PG.Filter> = [
        { name: "it's; drop table t; --" },
        { at: new Date("2020-01-01T12:00:00Z") },
        { on_day: { $lte: new Date("2020-01-01T00:00:00Z") } },
        { tags: { $contains: ["b"] } },
        { doc: { $contains: { k: [1] } } },
        { by: new Uint8Array([1]) },
        { f: 1.1 },
        { ok: true },
        { id: { $in: [1, 3_000_000_000] } },
        { $and: [{ name: { $ne: null } }, { $not: { id: 2 } }] }
      ]
      for (const filter of one) assert.strictEqual(yield* ids(filter), "1\n", JSON.stringify(filter))
      assert.strictEqual(yield* ids({ name: null }), "2\n")
      assert.strictEqual(yield* ids({ name: "none" }), "")
      assert.strictEqual(yield* ids({}), "1\n2\n")
      const undefinedFilter = yield* Effect.flip(ids({ id: undefined }))
      assert.include(undefinedFilter.message, "t.copyTo")
      // Nothing of the values is left in the session.
      const left = yield* pgdb.selectValue("select current_setting('effect_global_pool.copy_1', true)")
      assert.include([null, ""], left._tag === "Some" ? left.value : null)
    })
  )

  withDatabase(
    "reads whatever a select does: views, partitions, children, nothing at all",
    [
      "create table parent (id int, name text)",
      "create table child () inherits (parent)",
      "insert into parent values (1, 'a')",
      "insert into child values (2, 'b')",
      "create view v as select * from parent where id > 1",
      "create materialized view m as select * from v",
      "create table p (id int, name text) partition by list (id)",
      "create table p1 partition of p for values in (1)",
      "insert into p values (1, 'x')",
      "create table bare ()"
    ],
    ({ pgdb }) =>
      Effect.gen(function* () {
        for (const [name, data] of [
          ["parent", "1,a\n2,b\n"],
          ["child", "2,b\n"],
          ["v", "2,b\n"],
          ["m", "2,b\n"],
          ["p", "1,x\n"],
          ["bare", ""]
        ] as const) {
          assert.strictEqual(yield* textOf(pgdb.table(name).copyTo()), data, name)
        }
        const missing = yield* Effect.flip(textOf(pgdb.table("nowhere").copyTo()))
        assert.include(missing.message, "42P01")
      })
  )

  withDatabase("gives the data of any statement, with values in its query bound", people, ({ pgdb }) =>
    Effect.gen(function* () {
      yield* pgdb.table("people").insertMany([
        { id: 1, name: "O'Neil" },
        { id: 2, name: "$1" }
      ])
      const found = (statement: string | PG.Sql) => textOf(pgdb.copyTo(statement))
      assert.strictEqual(
        yield* found(
          PG.sql`copy (select id, ${5} + id, '$9' from people where name = ${"O'Neil"}) to stdout`
        ),
        "1\t6\t$9\n"
      )
      assert.strictEqual(
        yield* found(
          PG.sql`copy (select ${null}::text is null, ${[1, 2]}::int[], ${{ a: "'" }}::jsonb, ${new Date(0)}::timestamptz = 'epoch') to stdout (format csv, header false)`
        ),
        't,"{1,2}","{""a"": ""\'""}",t\n'
      )
      assert.strictEqual(
        yield* found("copy (insert into people (id) values (3) returning id) to stdout"),
        "3\n"
      )
      assert.strictEqual(yield* pgdb.table("people").count(), 3)
      assert.strictEqual(yield* found("copy people (name) to stdout"), "O'Neil\n$1\n\\N\n")
      for (const [statement, message] of [
        ["copy people from stdin", "copyFrom"],
        ["copy people to '/tmp/x'", "copyTo takes a COPY … TO STDOUT"],
        ["table people", "copyTo takes a COPY … TO STDOUT"],
        [PG.sql`copy people to stdout with (delimiter ${";"})`, "in its query alone"],
        [PG.sql`copy (select ${"a\0b"}) to stdout`, "NUL"],
        [PG.sql`copy (select ${1}, missing) to stdout`, "42703"]
      ] as const) {
        assert.include((yield* Effect.flip(found(statement))).message, message)
      }
    })
  )

  withDatabase("tells how far it has come, and carries bytes of any length", [], ({ pgdb, witness }) =>
    Effect.gen(function* () {
      yield* witness.query(
        "create table long as select i, repeat('é', 1000000) as a from generate_series(1, 5) i"
      )
      let seen = 0
      const data = yield* bytesOf(
        pgdb.table("long").copyTo({ format: "binary", onProgress: ({ bytes }) => (seen = bytes) })
      )
      assert.strictEqual(seen, data.length)
      assert.isAbove(data.length, 10_000_000)
      yield* witness.query("create table other (like long)")
      const loaded = pgdb.table("other").copyFrom(Stream.make(data), { format: "binary" })
      assert.strictEqual(yield* loaded, 5)
      assert.deepStrictEqual(
        yield* witness.query("select count(*)::int n from (table long except table other) x"),
        [{ n: 0 }]
      )
    })
  )
})

describe("without pipelining and prepared statements, as behind some poolers", () => {
  withDatabase("rows and data go both ways, in and outside of transactions", people, (given) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...given.settings, pipelining: false, prepare: false })
      const table = pgdb.table("people")
      const rows = Array.from({ length: 3_000 }, (_, id) => ({ id, name: `name ${id}` }))
      const all = Effect.gen(function* () {
        assert.strictEqual(yield* table.insertMany(rows), 3_000)
        assert.strictEqual(
          yield* table.insertStream(Stream.fromIterable(rows.map(({ id }) => ({ id: id + 3_000 })))),
          3_000
        )
        assert.strictEqual(yield* table.copyFrom(Stream.make("6000,a\n"), { columns: ["id", "name"] }), 1)
        assert.strictEqual(yield* textOf(table.copyTo({ columns: ["name"], filter: { id: 6_000 } })), "a\n")
        assert.include((yield* Effect.flip(table.copyFrom(Stream.make("7000,b,\nx,c,\n")))).message, "line 2")
        assert.strictEqual(yield* table.count(), 6_001)
      })
      yield* all
      yield* table.delete({})
      yield* pgdb.transaction(all)
      assert.strictEqual(yield* table.count(), 6_001)
      const left = yield* pgdb.selectValue("select current_setting('effect_global_pool.copy_1', true)")
      assert.include([null, ""], left._tag === "Some" ? left.value : null)
    })
  )
})

withDatabase(
  "a filter compares with all of a padded text",
  ["create table t (code char(3), flags bit(4))"],
  (given) =>
    Effect.gen(function* () {
      const t = given.pgdb.table("t")
      yield* given.witness.query("insert into t values ('abc', '1010'), ('a', '1000')")
      const rows = (filter: Record<string, unknown>) =>
        Stream.runFold(
          t.copyTo({ filter, header: false }),
          () => "",
          (text, bytes) => text + Buffer.from(bytes).toString()
        )
      assert.strictEqual(yield* rows({ code: "abc" }), "abc,1010\n")
      assert.strictEqual(yield* rows({ code: { $in: ["abc"] } }), "abc,1010\n")
      assert.strictEqual(yield* rows({ flags: "1010" }), "abc,1010\n")
    })
)
