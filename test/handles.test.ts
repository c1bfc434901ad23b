/**
 * Handles are plain, immutable values: making one connects nothing and changes no other; every form of a statement does the
 * same through each of them.
 */
import { getHeapStatistics, setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { PG, PoolRegistry } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"
import { proxy } from "./support/proxy.ts"

describe("a handle", () => {
  withDatabase("connects nothing, however many there are", [], ({ settings }) =>
    Effect.gen(function* () {
      const between = yield* proxy(settings)
      const handles = Array.from({ length: 1_000 }, (_, index) =>
        PG.make({ ...settings, ...between.address }).table(`table_${index}`)
      )
      for (const handle of handles) {
        handle.select("select 1")
        handle.trans(["select 1"])
        String(handle)
      }
      assert.deepStrictEqual(yield* PoolRegistry.stats, [])
      assert.strictEqual(between.opened(), 0)
      // An effect is a description too: it runs as often as it is asked to.
      const select = handles[0]!.select("select 1 as one")
      assert.deepStrictEqual([yield* select, yield* select], [[{ one: 1 }], [{ one: 1 }]])
      assert.strictEqual(between.opened(), 1)
    })
  )

  it("of a table is a new one each time, and none changes the database's", () => {
    const pgdb = PG.make("postgres://localhost/app")
    const before = String(pgdb)
    const [users, orders, again] = [pgdb.table("users"), pgdb.table("orders"), pgdb.table("users")]
    assert.notStrictEqual<unknown>(users, again)
    assert.deepStrictEqual([users.name, orders.name, again.name], ["users", "orders", "users"])
    assert.strictEqual(String(pgdb), before)
    assert.strictEqual(String(pgdb), 'Database "app" on localhost:5432')
    assert.strictEqual(String(orders), 'Table "orders" of database "app" on localhost:5432')
    assert.strictEqual(JSON.stringify({ users }), `{"users":${JSON.stringify(String(users))}}`)
  })

  withDatabase("keeps the settings that it was made with", [], ({ settings }) =>
    Effect.gen(function* () {
      const mutable: { -readonly [K in keyof PG.Settings]: PG.Settings[K] } = {
        ...settings,
        maxConnections: 3
      }
      const pgdb = PG.make(mutable)
      mutable.maxConnections = 7
      mutable.database = "elsewhere"
      yield* pgdb.select("select 1")
      assert.deepStrictEqual(
        (yield* PoolRegistry.stats).map(({ key, max }) => ({ key, max })),
        [{ key: settings.database, max: 3 }]
      )
    })
  )

  withDatabase("keeps the settings of its sessions that it was made with", [], ({ settings }) =>
    Effect.gen(function* () {
      const startupParameters = { search_path: "kept" }
      const pgdb = PG.make({ ...settings, startupParameters })
      startupParameters.search_path = "changed"
      assert.deepStrictEqual(yield* pgdb.selectValue("show search_path"), Option.some("kept"))
    })
  )

  it("checks its settings when it is first used, and once for all its tables", () => {
    let looks = 0
    const decode = String
    const codec = {
      encode: String,
      get decode() {
        looks++
        return decode
      }
    }
    const pgdb = PG.make({ url: "postgres://localhost/app", types: { date: codec } })
    const [users, orders] = [pgdb.table("users"), pgdb.table("orders", Schema.Struct({ id: Schema.Number }))]
    assert.strictEqual(looks, 0)
    users.select("select 1")
    const looked = looks
    assert.isAbove(looked, 0)
    orders.find({})
    pgdb.trans(["select 1"])
    String(users)
    assert.strictEqual(looks, looked)
  })

  it("takes less than 500 bytes of memory until it is used, and a table's less than 200", () => {
    setFlagsFromString("--expose-gc")
    const collect: () => void = runInNewContext("gc")
    const bytesOf = <A>(make: (index: number) => A): number => {
      const kept = Array.from({ length: 10_000 }, (): A | undefined => undefined)
      const weigh = () => {
        collect()
        return getHeapStatistics().used_heap_size
      }
      // The first round compiles what the second uses.
      kept.forEach((_, index) => {
        kept[index] = make(index)
      })
      kept.fill(undefined)
      const before = weigh()
      kept.forEach((_, index) => {
        kept[index] = make(index)
      })
      return (weigh() - before) / kept.length
    }
    const given = { host: "localhost", port: 5432, username: "app", password: "secret", maxConnections: 5 }
    const pgdb = PG.make(given)
    assert.isBelow(
      bytesOf((index) => PG.make({ ...given, database: `tenant ${index}` })),
      500
    )
    assert.isBelow(
      bytesOf((index) => pgdb.table(`table ${index}`)),
      200
    )
  })
})

const users = [
  "create table users (id int primary key, name text)",
  "insert into users values (1, 'Ann'), (2, 'Bob'), (3, null)"
]

withDatabase(
  "every form of a statement does the same, on the database's handle and a table's",
  users,
  ({ pgdb }) =>
    Effect.gen(function* () {
      const table = pgdb.table("users")
      const expected = [{ id: 2, name: "Bob" }]
      const condition = PG.sql`id = ${2}`
      for (const handle of [pgdb, table]) {
        assert.deepStrictEqual(yield* handle.select("select * from users where id = 2"), expected)
        assert.deepStrictEqual(yield* handle.select("select * from users where id = $1", [2]), expected)
        assert.deepStrictEqual(yield* handle.select`select * from users where id = ${2}`, expected)
        assert.deepStrictEqual(
          yield* handle.select`select * from ${table} where ${PG.id("id")} = ${2}`,
          expected
        )
        assert.deepStrictEqual(
          yield* handle.select`select * from ${PG.id("public", "users")} where ${condition}`,
          expected
        )
        assert.deepStrictEqual(
          yield* handle.select(PG.sql`select * from ${table} where ${condition}`),
          expected
        )
        assert.deepStrictEqual(
          yield* handle.select(
            PG.sql`select * from (${PG.sql`select * from ${table} where id > ${1}`}) u where ${condition} or name = ${"Bob"}`
          ),
          expected
        )
        const outcomes = yield* handle.trans([
          "select * from users where id = 2",
          ["select * from users where id = $1", [2]],
          PG.sql`select * from ${table} where ${condition}`
        ])
        assert.deepStrictEqual(
          outcomes,
          [1, 2, 3].map(() => ({ command: "SELECT", rowCount: 1, rows: expected }))
        )
        assert.deepStrictEqual(
          [...(yield* Stream.runCollect(handle.stream`select * from ${table} where ${condition}`))],
          expected
        )
      }
    })
)

withDatabase("selectOne and selectValue give the first, or none", users, ({ pgdb }) =>
  Effect.gen(function* () {
    const all = "select name, id from users order by id"
    assert.deepStrictEqual(yield* pgdb.selectOne(all), Option.some({ name: "Ann", id: 1 }))
    assert.deepStrictEqual(yield* pgdb.selectOne`select * from users where id = ${9}`, Option.none())
    assert.deepStrictEqual(yield* pgdb.selectValue(all), Option.some("Ann"))
    assert.deepStrictEqual(yield* pgdb.selectValue`select name from users where id = ${9}`, Option.none())
    // NULL is a value.
    assert.deepStrictEqual(yield* pgdb.selectValue`select name from users where id = ${3}`, Option.some(null))
    // The first column is the server's, not the object's: names like numbers come first in objects.
    assert.deepStrictEqual(
      yield* pgdb.selectValue(`select 'first' as b, 'second' as "1"`),
      Option.some("first")
    )
    assert.deepStrictEqual(yield* pgdb.selectValue("insert into users values (4, 'Dee')"), Option.none())
  })
)

withDatabase("execute says what a statement did", users, ({ pgdb }) =>
  Effect.gen(function* () {
    assert.deepStrictEqual(yield* pgdb.execute("create table t (n int)"), {
      command: "CREATE",
      rowCount: 0,
      rows: []
    })
    assert.deepStrictEqual(yield* pgdb.execute("insert into users values (5, 'x'), (6, 'y') returning id"), {
      command: "INSERT",
      rowCount: 2,
      rows: [{ id: 5 }, { id: 6 }]
    })
    assert.deepStrictEqual(yield* pgdb.execute`update users set name = ${"z"} where id > ${4}`, {
      command: "UPDATE",
      rowCount: 2,
      rows: []
    })
    assert.deepStrictEqual(yield* pgdb.execute("delete from users where id > 100"), {
      command: "DELETE",
      rowCount: 0,
      rows: []
    })
  })
)

withDatabase("rows are plain objects, whatever their columns are called", [], ({ pgdb }) =>
  Effect.gen(function* () {
    const [row] = yield* pgdb.select(
      `select 1 as "__proto__", 2 as "constructor", 3 as "toString", 4 as "hasOwnProperty", 5 as "then"`
    )
    assert.deepStrictEqual(Object.entries(row ?? {}), [
      ["__proto__", 1],
      ["constructor", 2],
      ["toString", 3],
      ["hasOwnProperty", 4],
      ["then", 5]
    ])
  })
)

withDatabase("a table with a schema decodes what its operations return", users, ({ pgdb }) =>
  Effect.gen(function* () {
    const User = Schema.Struct({
      id: Schema.Number,
      name: Schema.NullOr(Schema.String.check(Schema.isUppercased()))
    })
    const table = pgdb.table("users", User)
    const invalid = yield* Effect.flip(table.select("select * from users"))
    assert.strictEqual(invalid._tag, "SchemaError")
    assert.include(String(invalid.message), "name")
    const upper = "select id, upper(name) as name from users order by id"
    assert.deepStrictEqual(yield* table.select(upper), [
      { id: 1, name: "ANN" },
      { id: 2, name: "BOB" },
      { id: 3, name: null }
    ])
    assert.deepStrictEqual(yield* table.selectOne(upper), Option.some({ id: 1, name: "ANN" }))
    assert.deepStrictEqual(yield* Stream.runCount(table.stream(upper)), 3)
    const failing = yield* Effect.flip(Stream.runDrain(table.stream("select * from users")))
    assert.strictEqual(failing._tag, "SchemaError")
    // Another shape is read through the database.
    assert.deepStrictEqual(yield* pgdb.select("select count(*) as n from users"), [{ n: 3 }])
  })
)
