/**
 * The standard Effect SQL client on a pool: statements, json, notifications, transactions joined both ways, and the modules of
 * `effect/sql` on top of it.
 */

import { PgClient } from "@effect/sql-pg/PgClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { SqlClient } from "effect/sql/SqlClient"
import * as SqlResolver from "effect/sql/SqlResolver"
import * as SqlSchema from "effect/sql/SqlSchema"
import { PG, PoolError, PoolRegistry } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"

const table = ["create table orders (id serial primary key, item text unique, data jsonb, tags text[])"]

describe("statements", () => {
  withDatabase("bind their values, and take helpers", table, ({ pgdb }) =>
    Effect.gen(function* () {
      const sql = yield* pgdb.client
      const [row] =
        yield* sql`insert into orders ${sql.insert({ item: "tea", tags: ["a", "b"] }).returning("*")}`
      assert.deepStrictEqual(row, { id: 1, item: "tea", data: null, tags: ["a", "b"] })
      yield* sql`update orders set data = ${sql.json({ deep: [1, { x: null }] })} where ${sql.in("id", [1, 2])}`
      assert.deepStrictEqual(yield* sql`select ${sql("data")} from ${sql("orders")} where item = ${"tea"}`, [
        { data: { deep: [1, { x: null }] } }
      ])
      // A handle stores the value, and not the client's piece that it is in.
      const orders = pgdb.table("orders")
      yield* pgdb.execute`update orders set data = ${sql.json([1])}`
      assert.strictEqual(yield* orders.count({ data: sql.json([1]) }), 1)
      yield* orders.update({}, { data: sql.json({ a: 1 }) })
      assert.deepStrictEqual(yield* pgdb.select`select data, ${sql.json("x")} as word from orders`, [
        { data: { a: 1 }, word: "x" }
      ])
      assert.deepStrictEqual(yield* sql`select id from orders`.values, [[1]])
      assert.deepStrictEqual(yield* sql`select id from orders`.withoutTransform, [{ id: 1 }])
      assert.deepStrictEqual(yield* sql`select id from orders`.unprepared, [{ id: 1 }])
      assert.deepStrictEqual(yield* sql.unsafe("select $1::int as n", [7]), [{ n: 7 }])
      assert.deepStrictEqual(
        yield* Stream.runCollect(sql`select n from generate_series(1, 2000) n`.stream),
        Array.from({ length: 2_000 }, (_, index) => ({ n: index + 1 }))
      )
    })
  )

  withDatabase("fail with the whole story, and are refused like a handle's", table, ({ pgdb, settings }) =>
    Effect.gen(function* () {
      const sql = yield* pgdb.client
      yield* sql`insert into orders (item) values ('tea')`
      const taken = yield* Effect.flip(sql`insert into orders (item) values (${"tea"})`)
      assert.strictEqual(taken.reason._tag, "UniqueViolation")
      assert.include(taken.message, "orders_item_key")
      const wrong = yield* Effect.flip(sql`select nothing`)
      assert.include(wrong.message, 'column "nothing" does not exist (SQLSTATE 42703')
      const refused = yield* Effect.flip(sql`begin`)
      assert.instanceOf(refused.reason.cause, PoolError)
      assert.include(refused.message, "BEGIN was not sent")
      const away = PG.make({ ...settings, database: `${settings.database}_no`, key: "no" })
      const missing = yield* Effect.flip(Effect.flatMap(away.client, (client) => client`select 1`))
      assert.strictEqual(missing.reason._tag, "ConnectionError")
    })
  )
})

describe("the same pool", () => {
  withDatabase("serves handles and clients, by layer too", [], ({ pgdb, sessions }) =>
    Effect.gen(function* () {
      const [handle] = yield* pgdb.select("select pg_backend_pid() as pid")
      const viaLayer = Effect.gen(function* () {
        const sql = yield* SqlClient
        const pg = yield* PgClient
        assert.strictEqual<unknown>(sql, pg)
        return yield* sql`select pg_backend_pid() as pid`
      })
      assert.deepStrictEqual<unknown>(yield* Effect.provide(viaLayer, pgdb.layer), [handle])
      assert.lengthOf(yield* sessions, 1)
      assert.lengthOf(yield* PoolRegistry.stats, 1)
    })
  )

  withDatabase("a layer opens nothing until its client is used", [], ({ pgdb, sessions }) =>
    Effect.gen(function* () {
      yield* Effect.provide(SqlClient, pgdb.layer)
      assert.deepStrictEqual(yield* sessions, [])
    })
  )
})

describe("transactions", () => {
  withDatabase("a handle joins the client's, and the client a handle's", table, ({ pgdb, witness }) =>
    Effect.gen(function* () {
      const sql = yield* pgdb.client
      const orders = pgdb.table("orders")
      const count = witness.query("select item from orders order by item")
      const boom = "boom" as const

      const outer = yield* Effect.exit(
        sql.withTransaction(
          Effect.gen(function* () {
            yield* sql`insert into orders (item) values ('client')`
            yield* orders.insert({ item: "handle" })
            assert.deepStrictEqual(yield* pgdb.selectValue("select count(*) from orders"), Option.some(2))
            assert.deepStrictEqual(yield* count, [])
            return yield* Effect.fail(boom)
          })
        )
      )
      assert.deepStrictEqual(outer, Exit.fail(boom))
      assert.deepStrictEqual(yield* count, [])

      yield* pgdb.transaction(
        Effect.gen(function* () {
          yield* orders.insert({ item: "kept" })
          yield* Effect.ignore(
            sql.withTransaction(
              Effect.andThen(sql`insert into orders (item) values ('undone')`, Effect.fail(boom))
            )
          )
          yield* sql.withTransaction(pgdb.trans(["insert into orders (item) values ('nested')"]))
        })
      )
      assert.deepStrictEqual(yield* count, [{ item: "kept" }, { item: "nested" }])
    })
  )

  withDatabase("two clients of one pool are in the same one", table, ({ pgdb }) =>
    Effect.gen(function* () {
      const [one, two] = [yield* pgdb.client, yield* pgdb.client]
      const ids = yield* one.withTransaction(
        Effect.all([
          one`select txid_current()::text as id`,
          two`select txid_current()::text as id`,
          pgdb.select("select txid_current()::text as id")
        ])
      )
      assert.deepStrictEqual(ids[1], ids[0])
      assert.deepStrictEqual(ids[2], ids[0])
    })
  )
})

describe("notifications", () => {
  const channel = 'news: "quoted"'

  withDatabase("arrive, and the connection that listened is clean afterwards", [], ({ pgdb, sessions }) =>
    Effect.gen(function* () {
      const sql = yield* pgdb.client
      const heard = yield* Effect.scoped(
        Effect.gen(function* () {
          const queue = yield* sql.listen(channel)
          yield* sql.notify(channel, "one")
          yield* pgdb.select("select pg_notify($1, $2)", [channel, "two"])
          yield* pgdb.transaction(pgdb.select("select pg_notify($1, $2)", [channel, "it's three"]))
          return yield* Effect.forEach([1, 2, 3], () => Queue.take(queue))
        })
      )
      assert.deepStrictEqual(
        heard.map(({ channel, payload }) => ({ channel, payload })),
        ["one", "two", "it's three"].map((payload) => ({ channel, payload }))
      )
      const open = (yield* sessions).length
      const channels = yield* Effect.forEach(
        Array.from({ length: open }),
        () => pgdb.transaction(pgdb.select("select * from pg_listening_channels(), pg_sleep(0.05)")),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(channels.flat(), [])
    })
  )

  withDatabase("a listener whose connection is lost fails", [], ({ pgdb, sessions, witness }) =>
    Effect.gen(function* () {
      const sql = yield* pgdb.client
      yield* Effect.scoped(
        Effect.gen(function* () {
          const queue = yield* sql.listen(channel)
          const [session] = (yield* sessions).filter(({ query }) => query.startsWith("LISTEN"))
          yield* witness.query("select pg_terminate_backend($1)", [session?.pid])
          assert.isTrue(Exit.isFailure(yield* Effect.exit(Queue.take(queue))))
        })
      )
      assert.deepStrictEqual(yield* pgdb.select("select 1 as one"), [{ one: 1 }])
    })
  )
})

describe("modules of effect/sql", () => {
  withDatabase("SqlSchema and SqlResolver run on it unchanged", table, ({ pgdb }) =>
    Effect.gen(function* () {
      const sql = yield* SqlClient
      const Order = Schema.Struct({ id: Schema.Number, item: Schema.String })
      const create = SqlSchema.findOne({
        Request: Schema.String,
        Result: Order,
        execute: (item) => sql`insert into orders (item) values (${item}) returning id, item`
      })
      const first = yield* create("tea")
      yield* create("coffee")
      assert.deepStrictEqual(first, { id: 1, item: "tea" })
      const byId = SqlResolver.findById({
        Id: Schema.Number,
        Result: Order,
        ResultId: (order) => order.id,
        execute: (ids) => sql`select id, item from orders where ${sql.in("id", ids)}`
      })
      const orders = yield* Effect.forEach([2, 1, 2], (id) => SqlResolver.request(id, byId), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(
        orders.map(({ item }) => item),
        ["coffee", "tea", "coffee"]
      )
    }).pipe(Effect.provide(pgdb.layer))
  )
})

it.effect("says where its server is as pg_dump takes it, which PgMigrator runs", () =>
  Effect.gen(function* () {
    const placeOf = Effect.fnUntraced(function* (settings: PG.Settings) {
      const { config } = yield* PG.make({ database: "app", username: "app", ...settings }).client
      return [config.host, config.port, config.ssl === false ? "prefer" : "require"]
    })
    const socket = { path: "/run/postgresql/.s.PGSQL.5433", key: "socket" }
    assert.deepStrictEqual(yield* placeOf(socket), ["/run/postgresql", 5433, "prefer"])
    for (const [mode, asked] of [
      ["disable", "prefer"],
      ["prefer", "prefer"],
      ["require", "require"]
    ]) {
      const url = `postgres://db.example/app?sslmode=${mode}`
      assert.deepStrictEqual(yield* placeOf({ url, key: mode }), ["db.example", 5432, asked])
    }
  }).pipe(Effect.provide(PoolRegistry.layer()))
)
