/** The databases that `TestDatabase.layer` makes on a server that is there: templates, copies, and nothing else. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { PG } from "effect-global-pool"
import { TestDatabase, type TestDatabaseSetup } from "effect-global-pool/testing"
import { nameOf } from "../src/testing/Databases.ts"
import { connect, eventually, server } from "./support/database.ts"
import { urlOf } from "./support/url.ts"

const url = urlOf(server())
/** What no other run of this test has as its setup. */
const unique = `create table t_${process.pid}_${Date.now()} (n int)`
const templateOf = (setup: ReadonlyArray<string>) => nameOf(["texts", ...setup])

const made = Effect.fnUntraced(function* (like: string) {
  const { query } = yield* connect(server(), "witness")
  const rows = yield* query("select datname from pg_database where datname like $1", [like])
  return rows.map(({ datname }) => String(datname))
}, Effect.scoped)
const isThere = (name: string) => Effect.map(made(name), (names) => names.length === 1)

const current = Effect.flatMap(TestDatabase.pgdb, (pgdb) =>
  Effect.map(
    pgdb.select<{ readonly name: string }>("select current_database() as name"),
    ([row]) => row?.name ?? ""
  )
)
const on = <E = never, R = never>(setup: TestDatabaseSetup<E, R> | undefined) =>
  TestDatabase.layer({ url, setup })

it.live("a setup runs once for all who ask at one time, and again only when it has changed", () =>
  Effect.gen(function* () {
    let runs = 0
    const setup = (key: string) => ({
      key: [unique, key],
      run: (pgdb: PG.Database) =>
        Effect.andThen(
          pgdb.execute("create table users (name text)"),
          Effect.sync(() => runs++)
        )
    })
    const count = Effect.flatMap(TestDatabase.pgdb, (pgdb) => pgdb.table("users").count())
    const ask = (key: string) => Effect.provide(Effect.zip(current, count), on(setup(key)))
    const asked = yield* Effect.all([ask("1"), ask("1"), ask("1")], { concurrency: "unbounded" })
    assert.strictEqual(new Set(asked.map(([name]) => name)).size, 3)
    assert.deepStrictEqual(
      asked.map(([, count]) => count),
      [0, 0, 0]
    )
    yield* ask("1")
    assert.strictEqual(runs, 1)
    yield* ask("2")
    assert.strictEqual(runs, 2)
    for (const [name] of asked) assert.isFalse(yield* isThere(name), name)
  })
)

it.live("a database is a copy of its own, and goes with the layer", () =>
  Effect.gen(function* () {
    const setup = [`${unique}; create table users (name text); insert into users values ('Root')`]
    const users = PG.make("postgres://db.example/app").table("users")
    const layer = on(setup)
    const name = yield* Effect.gen(function* () {
      yield* users.insert({ name: "Ada" })
      yield* Effect.provide(users.insert({ name: "Grace" }), Layer.fresh(layer))
      assert.strictEqual(yield* users.count(), 2)
      return yield* current
    }).pipe(Effect.provide(layer))
    assert.isFalse(yield* isThere(name))
    assert.isTrue(yield* isThere(templateOf(setup)))
  })
)

it.live(
  "a setup that fails is the layer's failure, leaves no template, and runs again at the next time",
  () =>
    Effect.gen(function* () {
      const setup = [unique, "create table users (name text", "select 1"]
      for (const _ of [1, 2]) {
        const error = yield* Effect.flip(Effect.provide(current, on(setup)))
        assert.include(error.message, "syntax error")
        assert.isFalse(yield* isThere(templateOf(setup)))
      }
    })
)

it.live("a database that it has not made is never touched, even by the name of a template", () =>
  Effect.gen(function* () {
    const setup = [unique, "select 'not made by it'"]
    const name = templateOf(setup)
    const { query } = yield* connect(server(), "witness")
    yield* Effect.acquireRelease(query(`create database ${name}`), () =>
      Effect.orDie(query(`drop database ${name}`))
    )
    const error = yield* Effect.flip(Effect.provide(current, on(setup)))
    assert.include(error.message, "was not made by TestDatabase")
    yield* Effect.provide(current, on(undefined))
    assert.isTrue(yield* isThere(name))
  }).pipe(Effect.scoped)
)

it.live("copies that a killed process has left are dropped by the next, and those in use are not", () =>
  Effect.gen(function* () {
    const { query } = yield* connect(server(), "witness")
    yield* query("create database effect_test_left_over")
    yield* query("comment on database effect_test_left_over is 'Made by effect-global-pool/testing'")
    yield* Effect.gen(function* () {
      const used = yield* current
      yield* Effect.provide(Effect.void, on(undefined))
      assert.isTrue(yield* isThere(used))
    }).pipe(Effect.provide(on(undefined)))
    yield* eventually("it is gone", isThere("effect_test_left_over"), (is) => !is)
  }).pipe(Effect.scoped)
)

it.live("a user who may not create databases is told so, by the server's words", () =>
  Effect.gen(function* () {
    const { query } = yield* connect(server(), "witness")
    const role = `plain_${process.pid}`
    yield* Effect.acquireRelease(query(`create role ${role} login password 'secret'`), () =>
      Effect.orDie(query(`drop role ${role}`))
    )
    const plain = urlOf({ ...server(), username: role, password: "secret" })
    const error = yield* Effect.flip(Effect.provide(current, TestDatabase.layer({ url: plain })))
    assert.include(error.message, "permission denied to create database")
    assert.notInclude(error.message, "secret")
  }).pipe(Effect.scoped)
)
