/** How columns come out and go in: by position, where two have one name, and in camel case. */
import { assert, expectTypeOf, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { PG, PoolRegistry } from "effect-global-pool"
import * as fc from "fast-check"
import { camelOf, snakeOf } from "../src/statement/CamelCase.ts"
import { withDatabase } from "./support/handle.ts"

withDatabase("rows are arrays by position where they are asked for", [], ({ pgdb }) =>
  Effect.gen(function* () {
    const text = "select 1 as id, $1::text as id, 3"
    assert.deepStrictEqual(yield* pgdb.select(text, ["two"]), [{ id: "two", "?column?": 3 }])
    const rows = yield* pgdb.select<readonly [number, string, number]>(text, ["two"], { rowsAs: "array" })
    expectTypeOf(rows).toEqualTypeOf<ReadonlyArray<readonly [number, string, number]>>()
    assert.deepStrictEqual(rows, [[1, "two", 3]])
    assert.deepStrictEqual(yield* pgdb.select(PG.sql`select ${1}::int, ${2}::int`, { rowsAs: "array" }), [
      [1, 2]
    ])
    assert.deepStrictEqual(yield* pgdb.select("select 1, 2", { rowsAs: "array" }), [[1, 2]])
    assert.deepStrictEqual(yield* pgdb.select("select 1, 2", undefined, { rowsAs: "array" }), [[1, 2]])
    assert.deepStrictEqual(yield* pgdb.table("t").select("values (1), (2)", [], { rowsAs: "array" }), [
      [1],
      [2]
    ])

    const counted: Array<number> = []
    const streamed = pgdb.stream<readonly [number, number]>(
      "select n, n * $1::int from generate_series(1, 3) n",
      [2],
      {
        rowsAs: "array",
        onProgress: ({ rows }) => counted.push(rows)
      }
    )
    expectTypeOf(streamed).toEqualTypeOf<
      Stream.Stream<readonly [number, number], PG.OperationError, PoolRegistry>
    >()
    assert.deepStrictEqual(yield* Stream.runCollect(streamed), [
      [1, 2],
      [2, 4],
      [3, 6]
    ])
    assert.strictEqual(counted.at(-1), 3)
    assert.deepStrictEqual(yield* Stream.runCollect(pgdb.stream(PG.sql`select 1, 1`, { rowsAs: "array" })), [
      [1, 1]
    ])
    const inside = pgdb.transaction(Stream.runCollect(pgdb.stream("select 1, 2", [], { rowsAs: "array" })))
    assert.deepStrictEqual(yield* inside, [[1, 2]])
    assert.deepStrictEqual(yield* pgdb.transaction(pgdb.select("select 1, 2", [], { rowsAs: "array" })), [
      [1, 2]
    ])

    for (const wrong of ['{"rowsAs":"map"}', '{"rowAs":"array"}', '{"id":1}']) {
      const error = yield* Effect.flip(pgdb.select("select 1", [], JSON.parse(wrong)))
      assert.strictEqual(error.reason._tag, "StatementRefused", wrong)
    }
    const decoded: PG.Table = pgdb.table("t", Schema.Struct({ id: Schema.Number })) as never
    assert.match(
      (yield* Effect.flip(decoded.select("select 1", [], { rowsAs: "array" }))).message,
      /database's handle/
    )
  })
)

const tables = [
  "create table user_accounts (user_id int primary key generated always as identity, full_name text not null, address_1 text, _private int, \"a__b\" int, is_admin bool not null default false, data jsonb, created_at timestamptz not null default '2026-03-01 15:30Z')"
]
const createdAt = new Date("2026-03-01T15:30:00Z")

withDatabase(
  "names in camel case go both ways, in tables and in statements",
  tables,
  ({ settings, witness }) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...settings, names: "camel" })
      const accounts = pgdb.table("user_accounts")
      const ada = { fullName: "Ada", address_1: "here", _private: 1, a__b: 2, data: { in_json: 1 } }
      const stored = { userId: 1, ...ada, isAdmin: false, createdAt }
      assert.deepStrictEqual(yield* accounts.insert(ada), stored)
      assert.deepStrictEqual(yield* witness.query("select full_name from user_accounts"), [
        { full_name: "Ada" }
      ])
      assert.deepStrictEqual(yield* accounts.find({ fullName: "Ada", isAdmin: { $ne: true } }), [stored])
      const options = {
        columns: ["userId", "createdAt"],
        orderBy: { createdAt: "desc", userId: "asc" }
      } as const
      assert.deepStrictEqual(yield* accounts.find({}, options), [{ userId: 1, createdAt }])
      const more = [{ fullName: "Grace", isAdmin: true }, { fullName: "Alan" }]
      const returned = yield* accounts.insertMany(more, { returning: ["userId", "isAdmin"] })
      assert.deepStrictEqual(returned, [
        { userId: 2, isAdmin: true },
        { userId: 3, isAdmin: false }
      ])
      assert.strictEqual(yield* accounts.insertStream(Stream.make({ fullName: "Barbara" })), 1)
      const changed = yield* accounts.update(
        { fullName: "Alan" },
        { isAdmin: true },
        { returning: ["fullName"] }
      )
      assert.deepStrictEqual(changed, [{ fullName: "Alan" }])
      yield* pgdb.execute`create unique index on ${accounts} (full_name)`
      const upserts = [{ fullName: "Ada", address_1: "there" }]
      assert.strictEqual(yield* accounts.upsert(upserts, { on: "fullName", update: ["address_1"] }), 1)
      const odd = [{ fullName: "Ada", isAdmin: Symbol("no value") }]
      const refused = yield* Effect.flip(accounts.upsert(odd, { on: "fullName" }))
      assert.include(refused.message, 'row 1: the value of column "isAdmin" is a symbol')
      const update = { address_1: PG.sql`excluded.address_1`, _private: { $inc: 1 } }
      assert.deepStrictEqual(
        yield* accounts.upsert(
          { fullName: "Ada", address_1: "up" },
          { on: ["fullName"], update, returning: ["_private"] }
        ),
        [{ _private: 2 }]
      )
      assert.deepStrictEqual(yield* accounts.distinct("isAdmin", { fullName: "Ada" }), [false])
      assert.strictEqual(yield* accounts.count({ isAdmin: true }), 2)
      assert.strictEqual(yield* accounts.exists({ fullName: { $startsWith: "Gr" } }), true)
      assert.deepStrictEqual(
        yield* Stream.runCollect(accounts.findStream({ userId: 1 }, { columns: ["fullName"] })),
        [{ fullName: "Ada" }]
      )

      const text = "select user_id, full_name, data from user_accounts where user_id = 1"
      const row = { userId: 1, fullName: "Ada", data: { in_json: 1 } }
      assert.deepStrictEqual(yield* pgdb.select(text), [row])
      assert.deepStrictEqual(yield* pgdb.selectOne(text), Option.some(row))
      assert.deepStrictEqual((yield* pgdb.execute(text)).rows, [row])
      assert.deepStrictEqual(yield* Stream.runCollect(pgdb.stream(text)), [row])
      assert.deepStrictEqual((yield* pgdb.trans([text]))[0]?.rows, [row])
      assert.deepStrictEqual(yield* pgdb.transaction(pgdb.select(text)), [row])
      assert.deepStrictEqual(yield* pgdb.select(text, [], { rowsAs: "array" }), [[1, "Ada", { in_json: 1 }]])
      // Pieces name columns as the handle that runs them does; PG.id is the database's own name.
      const piece = PG.sql`update user_accounts set ${PG.set({ fullName: "Ada L." })} where ${PG.where({ userId: 1 })} returning ${PG.id("full_name")}`
      assert.deepStrictEqual(yield* pgdb.select(piece), [{ fullName: "Ada L." }])
      yield* pgdb.execute`insert into ${accounts} ${PG.values([{ fullName: "Kay", isAdmin: true }])}`
      assert.deepStrictEqual(
        (yield* pgdb.trans([PG.sql`delete from user_accounts where ${PG.where({ fullName: "Kay" })}`]))[0]
          ?.rowCount,
        1
      )

      const Account = Schema.Struct({
        userId: Schema.Number,
        fullName: Schema.String,
        createdAt: Schema.DateTimeUtcFromDate
      })
      const decoded = pgdb.table("user_accounts", Account)
      const [first] = yield* decoded.find({ userId: 1 }, { columns: ["fullName"] })
      assert.deepStrictEqual(first, { fullName: "Ada L." })
      assert.strictEqual(
        (yield* decoded.insert({ fullName: "Edsger" })).createdAt.epochMilliseconds,
        createdAt.getTime()
      )

      // A handle to the same pool that names them otherwise.
      const plain = PG.make(settings)
      assert.deepStrictEqual(yield* plain.select(text), [
        { user_id: 1, full_name: "Ada L.", data: { in_json: 1 } }
      ])
      assert.deepStrictEqual(yield* pgdb.select(text), [{ ...row, fullName: "Ada L." }])
      assert.lengthOf(yield* PoolRegistry.stats, 1)
      const sql = yield* pgdb.client
      assert.deepStrictEqual(yield* sql`select full_name from user_accounts where user_id = 1`, [
        { full_name: "Ada L." }
      ])
    })
)

it("every name without capitals comes back from camel case as it was", () => {
  const name = fc.string({
    unit: fc.constantFrom("_", "a", "b", "z", "0", "9", "é", " ", "$"),
    maxLength: 12
  })
  fc.assert(
    fc.property(name, (column) => {
      assert.strictEqual(snakeOf(camelOf(column)), column)
    }),
    { numRuns: 5_000 }
  )
  assert.deepStrictEqual(["created_at", "user_i_d", "a_1", "_a", "a__b", "x_y_z"].map(camelOf), [
    "createdAt",
    "userID",
    "a_1",
    "_a",
    "a__b",
    "xYZ"
  ])
})

it("an unknown way of naming is refused by the setting's name", () => {
  const error = Effect.runSync(
    Effect.flip(PG.run(PG.make({ database: "app", names: JSON.parse('"snake"') }).select("select 1")))
  )
  assert.include(error.message, "names")
})
