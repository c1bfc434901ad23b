/** What writes without SQL give and take: rows in place of numbers, upserts that add, pieces of SQL, and the newer operators. */
import { assert, expectTypeOf } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { PG, type PoolRegistry } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"

interface Page {
  readonly path: string
  readonly count: number
  readonly owed: string | null
  readonly data: unknown
  readonly at: Date
}

const tables = [
  "create table pages (path text primary key, count int not null default 1, owed numeric, data jsonb, at timestamptz not null default '2026-03-01 15:30Z')"
]
const at = new Date("2026-03-01T15:30:00Z")
const page = (path: string, more: Partial<Page> = {}): Page => ({
  path,
  count: 1,
  owed: null,
  data: null,
  at,
  ...more
})

const refused = (effect: Effect.Effect<unknown, PG.OperationError, PoolRegistry>, ...words: string[]) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.strictEqual(error.reason._tag, "StatementRefused")
    for (const word of words) assert.include(error.message, word)
  })

withDatabase("writes give their rows where they are asked for, and else their number", tables, ({ pgdb }) =>
  Effect.gen(function* () {
    const pages = pgdb.table<Page>("pages")
    const rows = [{ path: "b", count: 2 }, { path: "a" }, { path: "c", count: 3, data: { x: [1] } }]
    const stored = yield* pages.insertMany(rows, { returning: true })
    expectTypeOf(stored).toEqualTypeOf<ReadonlyArray<Page>>()
    // In the order in which they were given, whatever columns they name.
    assert.deepStrictEqual(stored, [
      page("b", { count: 2 }),
      page("a"),
      page("c", { count: 3, data: { x: [1] } })
    ])
    assert.deepStrictEqual(yield* pages.insertMany([], { returning: true }), [])
    assert.strictEqual(yield* pages.insertMany([{ path: "d" }], { returning: false }), 1)

    const changed = yield* pages.update(
      { path: "a" },
      { count: { $inc: 4 } },
      { returning: ["path", "count"] }
    )
    expectTypeOf(changed).toEqualTypeOf<ReadonlyArray<Pick<Page, "path" | "count">>>()
    assert.deepStrictEqual(changed, [{ path: "a", count: 5 }])
    assert.strictEqual(yield* pages.update({}, { owed: "0.10" }), 4)

    const upserted = yield* pages.upsert({ path: "e", count: 9 }, { on: "path", returning: ["count"] })
    assert.deepStrictEqual(upserted, [{ count: 9 }])
    const many = [
      { path: "e", count: 10 },
      { path: "f", data: "text" }
    ]
    assert.deepStrictEqual(yield* pages.upsert(many, { on: "path", returning: true }), [
      page("e", { count: 10 }),
      page("f", { data: "text" })
    ])
    // What is kept as it is, is not returned.
    assert.deepStrictEqual(
      yield* pages.upsert({ path: "e" }, { on: "path", update: [], returning: true }),
      []
    )

    const gone = yield* pages.delete({ path: { $in: ["e", "f"] } }, { returning: ["path"] })
    assert.deepStrictEqual(new Set(gone.map(({ path }) => path)), new Set(["e", "f"]))
    assert.strictEqual(yield* pages.delete({}), 4)
  })
)

withDatabase("many rows come back in the order in which they were given", tables, ({ pgdb }) =>
  Effect.gen(function* () {
    const pages = pgdb.table<Page>("pages")
    const rows = Array.from({ length: 25_000 }, (_, n) => ({
      path: `p${(n * 7919) % 25_000}`,
      ...(n % 3 === 0 ? { count: n } : {})
    }))
    const stored = yield* pages.insertMany(rows, { returning: ["path", "count"] })
    assert.deepStrictEqual(
      stored,
      rows.map(({ path, count = 1 }) => ({ path, count }))
    )
  })
)

withDatabase("returning is checked before anything is sent", tables, ({ pgdb }) =>
  Effect.gen(function* () {
    const pages = pgdb.table("pages")
    yield* refused(pages.delete({}, JSON.parse('{"returning":[]}')), "pages.delete", "returning")
    yield* refused(pages.delete({}, JSON.parse('{"returning":"*"}')), "returning")
    yield* refused(pages.update({}, { count: 1 }, JSON.parse('{"return":true}')), "return", "no option")
    yield* refused(pages.insertMany([{ path: "a" }], JSON.parse('{"returning":[1]}')), "returning")
    const error = yield* Effect.flip(pages.insertMany([{ path: "a" }], { returning: ["pth"] }))
    assert.include(error.message, "pth")
    assert.strictEqual(yield* pages.count(), 0)
  })
)

withDatabase("what a schema makes of a row, it makes of one that a write returns", tables, ({ pgdb }) =>
  Effect.gen(function* () {
    const Page = Schema.Struct({ path: Schema.String, at: Schema.DateTimeUtcFromDate })
    const pages = pgdb.table("pages", Page)
    const [stored] = yield* pages.insertMany([{ path: "a" }], { returning: true })
    assert.strictEqual(stored?.at.epochMilliseconds, at.getTime())
    const [changed] = yield* pages.update({}, { path: "b" }, { returning: ["path"] })
    assert.deepStrictEqual(changed, { path: "b" })
    const strict = pgdb.table("pages", Schema.Struct({ path: Schema.Literal("x") }))
    const error = yield* Effect.flip(strict.delete({}, { returning: true }))
    assert.match(error.message, /pages\.delete, row 1, column "path".*The rows were deleted\./s)
  })
)

withDatabase("an upsert adds to the row that is there, and changes it by SQL", tables, ({ pgdb }) =>
  Effect.gen(function* () {
    const pages = pgdb.table<Page>("pages")
    const visit = (path: string) =>
      pages.upsert(
        { path, owed: "1.50", data: "new" },
        {
          on: "path",
          update: {
            count: { $inc: 1 },
            owed: { $inc: "0.25" },
            data: PG.sql`to_jsonb(${"sql"}::text) || excluded.data`
          },
          returning: ["count", "owed", "data"]
        }
      )
    assert.deepStrictEqual(yield* visit("a"), [{ count: 1, owed: "1.50", data: "new" }])
    assert.deepStrictEqual(yield* visit("a"), [{ count: 2, owed: "1.75", data: ["sql", "new"] }])
    const rows = [
      { path: "a", count: 5 },
      { path: "b", count: 7 }
    ]
    // The same with many rows at once, in which each has values of its own.
    const update: PG.Changes<Page> = {
      count: PG.sql`${PG.id("pages", "count")} + excluded.count * ${2}`,
      owed: { $inc: "0.01" },
      data: { kind: "value" },
      at: PG.sql`${new Date(0)}`
    }
    assert.deepStrictEqual(yield* pages.upsert(rows, { on: "path", update, returning: true }), [
      page("a", { count: 12, owed: "1.76", data: { kind: "value" }, at: new Date(0) }),
      page("b", { count: 7 })
    ])
    assert.strictEqual(yield* pages.upsert(rows, { on: "path", update: { count: { $inc: 1 } } }), 2)
    assert.deepStrictEqual(yield* pages.find({}, { columns: ["count"], orderBy: { path: "asc" } }), [
      { count: 13 },
      { count: 8 }
    ])
    yield* refused(pages.upsert({ path: "a" }, { on: "path", update: {} }), "empty")
    yield* refused(pages.upsert(rows, { on: "path", update: JSON.parse('{"count":{"$mul":2}}') }), "$mul")
    for (const given of [rows, rows.slice(0, 1)[0] ?? page("a")]) {
      yield* refused(
        pages.upsert(given, { on: "path", update: { count: 0.5 } }),
        '"count"',
        "no whole number"
      )
    }
  })
)

withDatabase("an upsert in another schema adds to its own table's column", [], ({ pgdb, witness }) =>
  Effect.gen(function* () {
    yield* witness.query("create schema audit")
    yield* witness.query('create table audit."my.counts" (key text primary key, n int)')
    const counts = pgdb.table('audit."my.counts"')
    for (const _ of [1, 2, 3])
      yield* counts.upsert({ key: "a", n: 1 }, { on: "key", update: { n: { $inc: 1 } } })
    yield* counts.upsert(
      [
        { key: "a", n: 1 },
        { key: "b", n: 1 }
      ],
      { on: "key", update: { n: { $inc: 10 } } }
    )
    assert.deepStrictEqual(yield* counts.find({}, { orderBy: { key: "asc" } }), [
      { key: "a", n: 13 },
      { key: "b", n: 1 }
    ])
  })
)

withDatabase(
  "a piece of SQL is a filter, a part of one, a value that is compared, and a change",
  tables,
  ({ pgdb }) =>
    Effect.gen(function* () {
      const pages = pgdb.table<Page>("pages")
      yield* pages.insertMany([
        { path: "a", count: 1, owed: "5" },
        { path: "b", count: 2, owed: "2" },
        { path: "C%_", count: 3 }
      ])
      const paths = (filter: PG.Filter<Page>) =>
        Effect.map(pages.find(filter, { columns: ["path"], orderBy: { path: "asc" } }), (rows) =>
          rows.map(({ path }) => path).join("")
        )
      assert.strictEqual(yield* paths(PG.sql`lower(path) = ${"a"}`), "a")
      assert.strictEqual(
        yield* paths({ $or: [{ path: "b" }, PG.sql`count > ${2} and true`] }),
        yield* paths({ path: { $ne: "a" } })
      )
      assert.strictEqual(yield* paths({ $not: PG.sql`count = ${1}`, path: { $startsWith: "b" } }), "b")
      assert.strictEqual(yield* paths({ count: PG.sql`${1} + 1` }), "b")
      assert.strictEqual(yield* paths({ owed: { $gt: PG.sql`count` } }), "a")
      assert.strictEqual(
        yield* paths({ path: { $in: PG.sql`select path from pages where count = ${2}` } }),
        "b"
      )
      assert.strictEqual(yield* paths({ count: { $in: [1, PG.sql`1 + 1`] } as never }), "ab")
      assert.strictEqual(yield* paths({ count: { $between: [2, 3] } }), yield* paths({ count: { $gte: 2 } }))
      assert.strictEqual(yield* paths({ count: { $between: [PG.sql`2`, 2] } }), "b")
      assert.strictEqual(yield* paths({ path: { $startsWith: "C%" } }), "C%_")
      assert.strictEqual(yield* paths({ path: { $startsWith: "%" } }), "")
      assert.strictEqual(yield* pages.update(PG.sql`path = ${"a"}`, { count: PG.sql`count * ${10}` }), 1)
      assert.strictEqual(yield* paths({ count: 10 }), "a")
      assert.strictEqual(yield* pages.delete(PG.sql`path = ${"a"} or false`), 1)
      yield* refused(paths({ count: { $between: [1] } as never }), "$between", "[from, to]")
      yield* refused(paths({ count: { $between: [1, undefined] } as never }), "undefined")
      yield* refused(paths({ path: { $startsWith: 1 } as never }), "$startsWith")
      yield* refused(paths(PG.where({ path: undefined })), "PG.where")
    })
)

withDatabase(
  "a path of json finds something or says what holds, with values as variables",
  tables,
  ({ pgdb }) =>
    Effect.gen(function* () {
      const pages = pgdb.table<Page>("pages")
      yield* pages.insertMany([
        { path: "a", data: { age: 18, tags: ["x", "y"], on: true } },
        { path: "b", data: { age: 40, tags: [], on: false, exists: 1 } },
        { path: "c", data: { age: "old" } }
      ])
      const found = (given: string | readonly [string, Readonly<Record<string, unknown>>]) =>
        Effect.map(pages.find({ data: { $jsonPath: given } }, { orderBy: { path: "asc" } }), (rows) =>
          rows.map(({ path }) => path).join("")
        )
      const cases: ReadonlyArray<readonly [Parameters<typeof found>[0], string]> = [
        ["$.age > 18", "b"],
        ["$.age ? (@ > 18)", "b"],
        ["($.age >= 18 && $.on == true)", "a"],
        ["!($.age > 18)", "a"],
        ["exists($.tags[*])", "a"],
        ["$.exists", "b"],
        ['$.tags[*] ? (@ starts with "x" || (@ == "q"))', "a"],
        ['$.tags[*] starts with "x"', "a"],
        ['$.tags[*] STARTS WITH "x"', "a"],
        ["EXISTS($.tags[*])", "a"],
        ["$.age ? /* over */ (@ > 18)", "b"],
        ['$."age" ? (@ == "a > b")', ""],
        ['$.age == "old" /* ? ( */', "c"],
        ["$.on", "ab"],
        ["strict $.tags.size() ? (@ > 0)", "a"],
        ["($.age > 1) is unknown", "c"],
        [["$.tags[*] ? (@ == $tag)", { tag: "y" }], "a"],
        [["$.age > $least", { least: 18 }], "b"],
        [["$.age == $age", { age: '" || true || "' }], ""],
        // Rows of another shape are left out, with variables as without.
        [["strict $.tags[*] ? (@ == $tag)", { tag: "y" }], "a"],
        [["($.age + $more) ? (@ > 50)", { more: 20 }], "b"],
        [["$.age ? (@ > 1)", { more: 20 }], "ab"]
      ]
      for (const [path, expected] of cases)
        assert.strictEqual(yield* found(path), expected, JSON.stringify(path))
      assert.include(
        (yield* Effect.flip(found(["$.age > $least", {}]))).message,
        "not find jsonpath variable"
      )
      yield* refused(found(1 as never), "$jsonPath")
      yield* refused(found(["$", 1] as never), "$jsonPath")
      const plan = yield* pgdb.trans([
        "create index on pages using gin (data)",
        "set local enable_seqscan = off",
        PG.sql`explain select * from pages where ${PG.where({ data: { $jsonPath: "$.age == 40" } })}`
      ])
      assert.include(JSON.stringify(plan[2]?.rows), "Index")
    })
)
