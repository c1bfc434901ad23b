/**
 * Whatever would widen what an operation touches, or be overlooked, is refused. The handle of most of these tests reaches
 * no server: what is not refused would fail in another way.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { PG, type PoolError, PoolRegistry } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"

const nowhere = PG.make({ host: "127.0.0.1", port: 1, username: "nobody", database: "none" }).table("users")

const refused = Effect.fnUntraced(function* <A, E extends { readonly _tag: string }>(
  effect: Effect.Effect<A, E | PoolError, PoolRegistry>,
  ...words: ReadonlyArray<string>
) {
  const error = yield* Effect.flip(effect)
  assert.strictEqual(error._tag, "PoolError")
  const { message, reason } = error as PoolError
  assert.strictEqual(reason._tag, "StatementRefused")
  assert.include(message, "The call had no effect.")
  for (const word of words) assert.include(message, word)
  return message
})

const each = (name: string, body: () => Effect.Effect<unknown, unknown, PoolRegistry>) =>
  it.live(name, () => Effect.asVoid(body()).pipe(Effect.provide(PoolRegistry.layer())))

class Point {
  readonly id = 1
}

describe("a filter is refused", () => {
  const cases: ReadonlyArray<readonly [name: string, filter: unknown, ...words: ReadonlyArray<string>]> = [
    ["that is an array", [], "an array", "plain object"],
    ["that is null", null, "null"],
    ["that is a string", "id = 1", "a string"],
    ["that is a Map", new Map([["id", 1]]), "a Map"],
    ["that is of a class", new Point(), "a Point"],
    ["that inherits its columns", Object.create({ id: 1 }), "prototype of its own"],
    ["whose prototype was set in the literal", { __proto__: { id: 1 } }, "prototype of its own"],
    ["with a symbol", { id: 1, [Symbol("x")]: 1 }, "a symbol"],
    ["with a hidden property", Object.defineProperty({}, "id", { value: 1 }), '"id"', "not enumerable"],
    ["with undefined", { id: undefined }, '"id"', "undefined", "null for IS NULL"],
    ["with undefined behind an operator", { id: { $gt: undefined } }, "$gt", '"id"', "undefined"],
    ["with undefined in a list", { id: { $in: [1, undefined] } }, "element 1 of $in", '"id"'],
    ["with a hole in a list", { id: { $in: new Array(1) } }, "element 0 of $in"],
    ["with undefined in $or", { $or: [{ a: 1 }, { b: undefined }] }, '"b"', "undefined"],
    ["with an array as a value", { id: [1] }, "array", "$in"],
    ["with an unknown operator", { id: { $near: 1 } }, '"$near"', "$gte"],
    ["with an operator spelt otherwise", { id: { $GT: 1 } }, '"$GT"'],
    ["with operators and keys", { id: { $gt: 1, x: 2 } }, '"x"'],
    ["with no operator", { id: {} }, '"id"', "empty"],
    ["with an operator where filters are joined", { $gt: 1 }, '"$gt"', "$and"],
    ["with $where", { $where: "1 = 1" }, '"$where"'],
    ["with $not on a column", { id: { $not: { $gt: 1 } } }, "$not goes around a filter"],
    ["with $and on a column", { id: { $and: [] } }, "$and goes around filters"],
    ["with $or that is no array", { $or: { a: 1 } }, "$or takes an array"],
    ["with $and of something that is not a filter", { $and: [1] }, "a filter of $and", "a number"],
    ["with $not of nothing", { $not: undefined }, "$not", "undefined"],
    ["with $in of something that is not an array", { id: { $in: "1,2" } }, "$in takes an array"],
    [
      "with $isNull of something that is not a boolean",
      { id: { $isNull: 1 } },
      "$isNull takes true or false"
    ],
    ["with a pattern that is a RegExp", { id: { $regex: /a/ } }, "a RegExp", "Postgres' own syntax"],
    ["with a pattern that is a number", { id: { $like: 1 } }, "a number"]
  ]
  for (const [name, filter, ...words] of cases) {
    each(name, () =>
      Effect.gen(function* () {
        const given = filter as Readonly<Record<string, unknown>>
        yield* refused(nowhere.delete(given), "users.delete", ...words)
        yield* refused(nowhere.update(given, { a: 1 }), "users.update", ...words)
        yield* refused(nowhere.find(given), "users.find", ...words)
        yield* refused(nowhere.findOne(given), "users.findOne", ...words)
        yield* refused(nowhere.count(given), "users.count", ...words)
        yield* refused(nowhere.exists(given), "users.exists", ...words)
        yield* refused(nowhere.distinct("id", given), "users.distinct", ...words)
        yield* refused(Stream.runDrain(nowhere.findStream(given)), "users.findStream", ...words)
      })
    )
  }

  each("that is left out where rows would be lost", () =>
    Effect.gen(function* () {
      const missing = undefined as unknown as Readonly<Record<string, unknown>>
      yield* refused(nowhere.delete(missing), "undefined")
      yield* refused(nowhere.update(missing, { a: 1 }), "undefined")
    })
  )

  each("that nests without end", () => {
    const endless: Record<string, unknown> = {}
    endless.$not = endless
    return refused(nowhere.delete(endless), "100 levels")
  })
})

describe("changes are refused", () => {
  const cases: ReadonlyArray<readonly [name: string, changes: unknown, ...words: ReadonlyArray<string>]> = [
    ["that are empty", {}, "empty", "at least one column"],
    ["that are an array", [{ a: 1 }], "an array"],
    ["that are missing", undefined, "undefined"],
    ["with undefined", { a: undefined }, '"a"', "undefined"],
    ["with $set", { $set: { a: 1 } }, '"$set"', "without $set"],
    ["with an unknown operator", { a: { $push: 1 } }, '"$push"', "$inc"],
    ["with two operators", { a: { $inc: 1, $mul: 2 } }, '"$inc"'],
    ["with $inc of undefined", { a: { $inc: undefined } }, "$inc", "undefined"],
    ["with $inc of an object", { a: { $inc: {} } }, "$inc", "an object"],
    ["with $inc of SQL", { a: { $inc: PG.sql`2` } }, "$inc"],
    ["with $inc of bytes", { a: { $inc: new Uint8Array(2) } }, "$inc"]
  ]
  for (const [name, changes, ...words] of cases) {
    each(name, () =>
      refused(nowhere.update({}, changes as Readonly<Record<string, unknown>>), "users.update", ...words)
    )
  }
})

describe("options are refused", () => {
  const cases: ReadonlyArray<readonly [name: string, options: unknown, ...words: ReadonlyArray<string>]> = [
    ["that do not exist", { sort: { a: 1 } }, '"sort"', "orderBy"],
    ["with a direction that is none", { orderBy: { a: "asc; drop table users" } }, '"a"', '"asc" or "desc"'],
    ["with a number as direction", { orderBy: { a: -1 } }, '"a"'],
    ["with orderBy as an array", { orderBy: ["a"] }, "an array"],
    ["with a negative limit", { limit: -1 }, "limit"],
    ["with a limit of text", { limit: "1" }, "limit"],
    ["with a fraction as offset", { offset: 0.5 }, "offset"],
    ["with no columns", { columns: [] }, "columns"],
    ["with columns of text", { columns: "a, b" }, "columns"],
    ["with columns that are no names", { columns: ["a", 1] }, "columns"]
  ]
  for (const [name, options, ...words] of cases) {
    each(name, () => refused(nowhere.find({}, options as { limit: number }), ...words))
  }
  each("limit of findOne", () => refused(nowhere.findOne({}, { limit: 2 } as { columns?: ["a"] }), '"limit"'))

  const upserts: ReadonlyArray<readonly [name: string, options: unknown, ...words: ReadonlyArray<string>]> = [
    ["upsert's that are missing", undefined, "undefined"],
    ["upsert's without on", {}, "on names no column"],
    ["upsert's with no column in on", { on: [] }, "on names no column"],
    ["upsert's with on that is no name", { on: [1] }, "on"],
    ["upsert's that do not exist", { on: "id", set: {} }, '"set"'],
    ["upsert's with update of what the row lacks", { on: "id", update: ["b"] }, '"b"', "lacks"],
    ["upsert's with on of what the row lacks", { on: ["id", "key"] }, "the row", '"key"', "insert it"]
  ]
  for (const [name, options, ...words] of upserts) {
    each(name, () =>
      refused(nowhere.upsert({ id: 1, a: 1 }, options as { on: string }), "users.upsert", ...words)
    )
  }
})

describe("rows are refused", () => {
  each("that are no plain objects", () =>
    Effect.gen(function* () {
      const rows: ReadonlyArray<unknown> = [new Map(), [1], null, "x", new Point(), Object.create({ a: 1 })]
      for (const row of rows)
        yield* refused(nowhere.insert(row as Readonly<Record<string, unknown>>), "users.insert")
    })
  )
  each("that cannot be told from others in an upsert", () =>
    refused(nowhere.upsert({ id: undefined, a: 1 }, { on: "id" }), "users.upsert", "the row", '"id"')
  )
  each("that are no array, where many are meant", () =>
    refused(nowhere.insertMany(new Set([{ a: 1 }]) as unknown as []), "users.insertMany", "a Set")
  )
})

const table = ["create table t (id int primary key, a text, j jsonb)", "insert into t values (1, 'x', '{}')"]

withDatabase("a value that cannot be bound is refused by the name of its column", table, ({ pgdb }) =>
  Effect.gen(function* () {
    const t = pgdb.table("t")
    const values: ReadonlyArray<readonly [unknown, string]> = [
      [new Map(), "a Map"],
      [() => 1, "a function"],
      [Symbol("x"), "a symbol"],
      [/x/, "a RegExp"],
      [new Point(), "a Point"],
      [t, "a handle"]
    ]
    for (const [value, word] of values) {
      for (const column of ["a", "j"]) {
        yield* refused(t.find({ [column]: value }), `"${column}"`, word)
        yield* refused(t.delete({ [column]: { $in: ["x", value] } }), `"${column}"`, word)
        yield* refused(t.update({}, { [column]: value }), `"${column}"`, word)
        yield* refused(t.insert({ id: 2, [column]: value }), `"${column}"`, word)
        yield* refused(
          t.insertMany([
            { id: 2, [column]: "x" },
            { id: 3, [column]: value }
          ]),
          "row 2",
          `"${column}"`,
          word
        )
        yield* refused(t.upsert({ id: 1, [column]: value }, { on: "id" }), `"${column}"`, word)
      }
    }
    const piece = PG.sql`now()`
    for (const effect of [
      Effect.as(t.insert({ id: 2, a: piece }), 0),
      t.insertMany([{ id: 2, a: piece }]),
      t.upsert({ id: 1, a: piece }, { on: "id" })
    ]) {
      yield* refused(effect, '"a"', "a piece of SQL")
    }
    assert.deepStrictEqual(yield* t.find(), [{ id: 1, a: "x", j: {} }])
  })
)

withDatabase("columns named as the prototype's are columns like others", table, ({ pgdb }) =>
  Effect.gen(function* () {
    const t = pgdb.table("t")
    for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
      const named: Readonly<Record<string, unknown>> = JSON.parse(`{"${name}": 1}`)
      for (const effect of [
        t.delete(named),
        t.update({}, named),
        t.insertMany([named]),
        t.insertMany([{ id: 2, a: "y" }, named])
      ]) {
        const error = yield* Effect.flip(effect)
        assert.include(error.message, `column "${name}"`)
        assert.include(error.message, "42703")
      }
    }
    yield* pgdb.execute('create table odd ("__proto__" int, "constructor" int)')
    const odd = pgdb.table("odd")
    assert.strictEqual(
      yield* odd.insertMany([JSON.parse('{"__proto__": 1, "constructor": 2}'), { constructor: 3 }, {}]),
      3
    )
    assert.strictEqual(yield* odd.count({ constructor: null }), 1)
    assert.strictEqual(yield* odd.delete(JSON.parse('{"__proto__": null}')), 2)
    assert.strictEqual(yield* odd.count(JSON.parse('{"__proto__": {"$gt": 0}}')), 1)
  })
)

withDatabase("a message never shows a value", table, ({ pgdb }) =>
  Effect.gen(function* () {
    const t = pgdb.table("t")
    const secret = "hunter2"
    const messages = [
      yield* refused(t.find({ a: { $in: secret } })),
      yield* refused(t.find({ a: [secret] })),
      yield* refused(t.find({ a: { $regex: new RegExp(secret) } })),
      yield* refused(t.update({}, { a: new String(secret) })),
      yield* refused(
        t.upsert(
          [
            { id: 1, a: secret },
            { id: 1, a: secret }
          ],
          { on: "id" }
        )
      )
    ]
    for (const message of messages) assert.notInclude(message, secret)
  })
)

withDatabase(
  "a fraction that an integer column would round is refused, and taken once the column is numeric",
  ["create domain whole as int8", "create table n (id int primary key, i int, w whole)"],
  ({ pgdb, witness }) =>
    Effect.gen(function* () {
      const n = pgdb.table("n")
      yield* n.insert({ id: 1, i: 2, w: 3 })
      for (const column of ["i", "w"]) {
        for (const value of [1.5, -0.1, Number.NaN, Number.POSITIVE_INFINITY]) {
          const words = [`"${column}"`, "whole number"]
          yield* refused(n.insert({ id: 2, [column]: value }), ...words)
          yield* refused(n.update({}, { [column]: value }), ...words)
          yield* refused(n.update({}, { [column]: { $inc: value } }), ...words)
          yield* refused(n.upsert({ id: 1, [column]: value }, { on: ["id"] }), ...words)
        }
        assert.strictEqual(yield* n.count({ [column]: { $gt: 0.5, $lt: 3.5 } }), 1)
      }
      assert.deepStrictEqual(yield* witness.query("select * from n"), [{ id: 1, i: 2, w: 3n }])
      // Without a second look at the table the error is the same.
      const failed = pgdb.transaction(
        Effect.gen(function* () {
          yield* Effect.flip(pgdb.select("select 1 / 0"))
          yield* refused(n.insert({ id: 2, w: 0.5 }), '"w"', "whole number")
          return yield* Effect.fail("enough")
        })
      )
      assert.strictEqual(yield* Effect.flip(failed), "enough")
      yield* witness.query("alter table n alter i type numeric")
      assert.deepStrictEqual(yield* n.insert({ id: 2, i: 1.5 }), { id: 2, i: "1.5", w: null })
    })
)
