/** What each operation on a table without SQL does to the rows of a real table. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { PG, type PoolRegistry } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"

const people = [
  `create table people (id serial primary key, name text not null default 'nobody', age int, tags text[], meta jsonb,
     born timestamptz, owed numeric(10, 2))`,
  `insert into people (name, age, tags, meta, born, owed) values
     ('Ann', 31, '{a,b}', '{"city": "Bonn", "n": 1}', '2000-01-01Z', 1.50),
     ('Bob', 42, '{b}', '[1, 2]', '1990-01-01Z', 0),
     ('Cid', null, null, null, null, null)`
]

interface Person {
  readonly id: number
  readonly name: string
  readonly age: number | null
  readonly tags: ReadonlyArray<string> | null
  readonly meta: unknown
  readonly born: Date | null
  readonly owed: string | null
}

describe("find", () => {
  withDatabase("keeps every row without a filter, and whole rows", people, ({ pgdb }) =>
    Effect.gen(function* () {
      const table = pgdb.table("people")
      assert.lengthOf(yield* table.find(), 3)
      assert.lengthOf(yield* table.find({}), 3)
      assert.deepStrictEqual(yield* table.find({ name: "Ann" }), [
        {
          id: 1,
          name: "Ann",
          age: 31,
          tags: ["a", "b"],
          meta: { city: "Bonn", n: 1 },
          born: new Date("2000-01-01T00:00:00Z"),
          owed: "1.50"
        }
      ])
    })
  )

  withDatabase("understands each operator", people, ({ pgdb }) =>
    Effect.gen(function* () {
      const table = pgdb.table("people")
      const names = Effect.fnUntraced(function* (filter: Parameters<typeof table.find>[0]) {
        const rows = yield* table.find(filter, { columns: ["name"], orderBy: { name: "asc" } })
        return rows.map((row) => String(row.name)[0]).join("")
      })
      const expected: ReadonlyArray<readonly [Parameters<typeof table.find>[0], string]> = [
        [{ age: 42 }, "B"],
        [{ age: null }, "C"],
        [{ age: { $eq: null } }, "C"],
        [{ age: { $ne: null } }, "AB"],
        [{ age: { $ne: 42 } }, "A"],
        [{ age: { $isNull: true } }, "C"],
        [{ age: { $isNull: false } }, "AB"],
        [{ age: { $gt: 31 } }, "B"],
        [{ age: { $gte: 31, $lt: 42 } }, "A"],
        [{ age: { $in: [] } }, ""],
        [{ age: { $nin: [] } }, "ABC"],
        [{ age: { $in: [31, null] } }, "AC"],
        [{ age: { $in: [null] } }, "C"],
        [{ age: { $nin: [31] } }, "B"],
        [{ age: { $nin: [31, null] } }, "B"],
        [{ age: { $nin: [null] } }, "AB"],
        [{ name: { $like: "%n%" } }, "A"],
        [{ name: { $ilike: "b_B" } }, "B"],
        [{ name: { $regex: "^[AB]" } }, "AB"],
        [{ tags: { $contains: ["b"] } }, "AB"],
        [{ tags: { $contains: ["a", "b"] } }, "A"],
        [{ tags: { $eq: ["b"] } }, "B"],
        [{ tags: { $in: [["b"], ["c"]] } }, "B"],
        [{ meta: { $contains: { city: "Bonn" } } }, "A"],
        [{ meta: { $contains: [2] } }, "B"],
        [{ meta: { n: 1, city: "Bonn" } }, "A"],
        [{ meta: { $eq: [1, 2] } }, "B"],
        [{ meta: PG.json([1, 2]) }, "B"],
        [{ meta: { $in: [[1, 2], { x: 1 }] } }, "B"],
        [{ born: { $lt: new Date("1995-01-01T00:00:00Z") } }, "B"],
        [{ born: new Date("2000-01-01T00:00:00Z") }, "A"],
        [{ born: { $in: [new Date("2000-01-01T00:00:00Z")] } }, "A"],
        [{ owed: { $gt: 1.25 } }, "A"],
        [{ owed: "1.5" }, "A"],
        [{ $or: [] }, ""],
        [{ $and: [] }, "ABC"],
        [{ $or: [{ age: 31 }, { name: "Cid" }] }, "AC"],
        [{ $and: [{ age: { $gt: 1 } }, { name: "Bob" }] }, "B"],
        [{ $not: { age: 31 } }, "B"],
        [{ $not: {} }, ""],
        [{ $not: { $or: [{ age: { $isNull: true } }, { name: "Ann" }] } }, "B"],
        [{ name: "Ann", age: 42 }, ""]
      ]
      for (const [filter, kept] of expected)
        assert.strictEqual(yield* names(filter), kept, JSON.stringify(filter))
    })
  )

  withDatabase("orders, limits, skips and picks columns", people, ({ pgdb }) =>
    Effect.gen(function* () {
      const table = pgdb.table<Person>("people")
      const options = { columns: ["name"], orderBy: { name: "desc" }, limit: 1, offset: 1 } as const
      assert.deepStrictEqual(yield* table.find({}, options), [{ name: "Bob" }])
      assert.deepStrictEqual(yield* table.find({}, { limit: 0 }), [])
    })
  )

  withDatabase("findOne gives the first row, or none", people, ({ pgdb }) =>
    Effect.gen(function* () {
      const table = pgdb.table<Person>("people")
      const oldest = yield* table.findOne({}, { columns: ["name"], orderBy: { born: "asc" } })
      assert.deepStrictEqual(oldest, Option.some({ name: "Bob" }))
      assert.deepStrictEqual(yield* table.findOne({ id: 99 }), Option.none())
    })
  )

  withDatabase("findStream gives the same rows, and says how far it came", people, ({ pgdb }) =>
    Effect.gen(function* () {
      const table = pgdb.table<Person>("people")
      const seen: Array<number> = []
      const rows = table.findStream(
        { age: { $gt: 0 } },
        { columns: ["name"], orderBy: { name: "asc" }, onProgress: ({ rows }) => seen.push(rows) }
      )
      assert.deepStrictEqual(yield* Stream.runCollect(rows), [{ name: "Ann" }, { name: "Bob" }])
      assert.strictEqual(seen.at(-1), 2)
    })
  )
})

describe("insert", () => {
  withDatabase("gives the row as stored, its defaults filled in", people, ({ pgdb }) =>
    Effect.gen(function* () {
      const table = pgdb.table("people")
      const stored = yield* table.insert({ name: "Dan", tags: ["x"], meta: { deep: [{ a: null }] } })
      assert.deepInclude(stored, {
        id: 4,
        name: "Dan",
        age: null,
        tags: ["x"],
        meta: { deep: [{ a: null }] }
      })
      assert.deepInclude(yield* table.insert({}), { id: 5, name: "nobody" })
      assert.deepInclude(yield* table.insert({ name: undefined }), { id: 6, name: "nobody" })
    })
  )

  withDatabase("what was read can be written, json of every kind too", people, ({ pgdb }) =>
    Effect.gen(function* () {
      const table = pgdb.table("people")
      for (const meta of ["12", "null", "", 12, true, [], ["a"], [[1], { a: 1 }], { $eq: 1 }, {}]) {
        const given = typeof meta === "object" && !Array.isArray(meta) ? PG.json(meta) : meta
        const { id, ...stored } = yield* table.insert({ meta })
        assert.deepStrictEqual(stored.meta, meta)
        assert.isTrue(yield* table.exists({ id, meta: { $eq: given } }))
        yield* table.insertMany([stored])
        yield* table.upsert({ id, meta }, { on: "id" })
        yield* table.update({ id }, { meta: given })
        assert.strictEqual(yield* table.count({ meta: { $in: [given] } }), 2)
        yield* table.delete({ meta: { $eq: given } })
      }
    })
  )
})

describe("update, delete, count, exists, distinct", () => {
  withDatabase("update changes what the filter keeps, and counts it", people, ({ pgdb }) =>
    Effect.gen(function* () {
      const table = pgdb.table<Person>("people")
      assert.strictEqual(
        yield* table.update({ age: { $gt: 0 } }, { age: { $inc: 1 }, owed: { $inc: "0.10" } }),
        2
      )
      assert.strictEqual(yield* table.update({ id: 3 }, { age: { $inc: 1 }, tags: ["z"], born: null }), 1)
      assert.strictEqual(yield* table.update({ id: 99 }, { name: "x" }), 0)
      const rows = yield* table.find({}, { columns: ["age", "owed", "tags"], orderBy: { id: "asc" } })
      assert.deepStrictEqual(rows, [
        { age: 32, owed: "1.60", tags: ["a", "b"] },
        { age: 43, owed: "0.10", tags: ["b"] },
        { age: null, owed: null, tags: ["z"] }
      ])
      assert.strictEqual(yield* table.update({}, { name: "all" }), 3)
    })
  )

  withDatabase("delete removes what the filter keeps, and counts it", people, ({ pgdb }) =>
    Effect.gen(function* () {
      const table = pgdb.table<Person>("people")
      assert.strictEqual(yield* table.delete({ name: { $in: ["Ann", "Zoe"] } }), 1)
      assert.strictEqual(yield* table.delete({}), 2)
    })
  )

  withDatabase("count, exists and distinct look without rows", people, ({ pgdb }) =>
    Effect.gen(function* () {
      const table = pgdb.table<Person>("people")
      assert.strictEqual(yield* table.count(), 3)
      assert.strictEqual(yield* table.count({ age: null }), 1)
      assert.isTrue(yield* table.exists())
      assert.isFalse(yield* table.exists({ name: "Zoe" }))
      yield* table.insert({ name: "Ann" })
      assert.sameDeepMembers([...(yield* table.distinct("name"))], ["Ann", "Bob", "Cid"])
      assert.sameDeepMembers([...(yield* table.distinct("age", { id: { $gt: 1 } }))], [42, null])
    })
  )
})

describe("the table", () => {
  withDatabase(
    "may be in a schema, and have names that need quoting",
    [
      "create schema audit",
      'create table audit."We ""ird" (id int primary key, "Total €" int, "select" text, "a.b" text)'
    ],
    ({ pgdb }) =>
      Effect.gen(function* () {
        const table = pgdb.table('audit.We "ird')
        const row = { id: 1, "Total €": 2, select: "x", "a.b": "y" }
        assert.deepStrictEqual(yield* table.insert(row), row)
        assert.strictEqual(yield* table.insertMany([{ ...row, id: 2 }]), 1)
        assert.strictEqual(
          yield* table.update({ "a.b": "y", id: 2 }, { select: "z", "Total €": { $inc: 1 } }),
          1
        )
        assert.deepStrictEqual(yield* table.find({ select: "z" }), [
          { ...row, id: 2, "Total €": 3, select: "z" }
        ])
        assert.strictEqual(yield* table.upsert([{ ...row, "a.b": "up" }], { on: ["id"] }), 1)
        assert.sameMembers([...(yield* table.distinct("a.b"))], ["y", "up"])
      })
  )

  withDatabase("takes part in transactions", people, ({ pgdb }) =>
    Effect.gen(function* () {
      const table = pgdb.table("people")
      const failing = Effect.gen(function* () {
        yield* table.insert({ name: "Dan" })
        yield* table.insertMany([{ name: "Eve" }, { age: 1 }])
        assert.strictEqual(yield* table.count(), 6)
        assert.lengthOf(yield* Stream.runCollect(table.findStream()), 6)
        return yield* Effect.fail("enough" as const)
      })
      assert.strictEqual(yield* Effect.flip(pgdb.transaction(failing)), "enough")
      assert.strictEqual(yield* table.count(), 3)
    })
  )

  withDatabase(
    "may change behind the handle's back",
    ["create table t (a int, b int)"],
    ({ pgdb, witness }) =>
      Effect.gen(function* () {
        const table = pgdb.table("t")
        yield* table.insertMany([{ a: 1, b: 1 }, { a: 2 }])
        yield* witness.query(
          "alter table t alter b type jsonb using to_jsonb(b), alter b set default '0', add c text[]"
        )
        yield* table.insertMany([{ a: 3, b: 3 }, { a: 4 }])
        yield* table.insertMany([{ a: 5, c: [["y"]] }, { a: 6 }])
        yield* table.insert({ a: 7, b: "z" })
        const rows = yield* table.find({ a: { $gt: 2 } }, { orderBy: { a: "asc" } })
        assert.deepStrictEqual(rows, [
          { a: 3, b: 3, c: null },
          { a: 4, b: 0, c: null },
          { a: 5, b: 0, c: [["y"]] },
          { a: 6, b: 0, c: null },
          { a: 7, b: "z", c: null }
        ])
      })
  )

  withDatabase("that has no such column says so in the server's words", people, ({ pgdb }) =>
    Effect.gen(function* () {
      const table = pgdb.table("people")
      const failing: ReadonlyArray<Effect.Effect<unknown, PG.OperationError, PoolRegistry>> = [
        table.find({ agee: 1 }),
        table.insert({ agee: 1 }),
        table.insertMany([{ agee: 1 }]),
        table.update({}, { agee: 1 }),
        table.find({}, { orderBy: { agee: "asc" } }),
        table.distinct("agee")
      ]
      for (const effect of failing) {
        const error = yield* Effect.flip(effect)
        assert.strictEqual(error._tag, "SqlError")
        assert.include(error.message, 'column "agee"')
        assert.include(error.message, "42703")
      }
      const missing = yield* Effect.flip(pgdb.table("nowhere").insertMany([{ a: 1 }]))
      assert.include(missing.message, 'relation "nowhere" does not exist')
    })
  )
})
