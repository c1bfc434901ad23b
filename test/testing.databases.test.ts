/** The databases that `TestDatabase.layer` makes on a server that is there: templates, copies, and nothing else. */
import { assert, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { PG } from "effect-global-pool"
import { TestDatabase, type TestDatabaseSetup } from "effect-global-pool/testing"
import { connectionLimit, nameOf } from "../src/testing/Databases.ts"
import { connect, eventually, server } from "./support/database.ts"
import { proxy } from "./support/proxy.ts"
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

it.live("a database has the settings that the setup gave to its own", () =>
  Effect.gen(function* () {
    const given = `do $do$ begin
      create schema "My App";
      execute format('alter database %I set search_path to "My App", public', current_database());
      execute format('alter database %I set session_preload_libraries to plpgsql, dict_snowball', current_database());
      execute format('alter database %I set work_mem to ''7MB''', current_database());
      execute format('alter database %I set my.title to ''a=b, "c" it''''s''', current_database());
      execute format('alter role %I in database %I set statement_timeout to ''77s''', current_user, current_database());
    end $do$`
    const rows = yield* Effect.flatMap(TestDatabase.pgdb, (pgdb) =>
      pgdb.select(
        `select current_setting('search_path') as path, current_setting('work_mem') as memory,
           current_setting('my.title') as title, current_setting('statement_timeout') as timeout,
           current_setting('session_preload_libraries') as libraries`
      )
    ).pipe(Effect.provide(on([unique, given])))
    const expected = {
      path: '"My App", public',
      memory: "7MB",
      title: 'a=b, "c" it\'s',
      timeout: "77s",
      libraries: "plpgsql, dict_snowball"
    }
    assert.deepStrictEqual(rows, [expected])
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

it.live("a setup that leaves a transaction open fails, and says where it began", () =>
  Effect.gen(function* () {
    const begun = [`${unique};\nbegin`, "create table users (name text)"]
    const open = yield* Effect.flip(Effect.provide(current, on(begun)))
    assert.include(open.message, "Statement 2 of 3, line 2 of text 1 of the setup: The transaction")
    assert.include(open.message, "is never ended: COMMIT is missing")
    assert.isFalse(yield* isThere(templateOf(begun)))

    const closed = [...begun, "commit; begin; select 1; rollback; begin read only; end"]
    const count = Effect.flatMap(TestDatabase.pgdb, (pgdb) => pgdb.table("users").count())
    assert.strictEqual(yield* Effect.provide(count, on(closed)), 0)
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

it.live("a copy that was being made when its process was cut off is dropped by the next", () =>
  Effect.gen(function* () {
    const network = yield* proxy(server())
    const cut = urlOf({ ...server(), ...network.address })
    const running = yield* Effect.forkChild(
      Effect.exit(Effect.provide(current, TestDatabase.layer({ url: cut })))
    )
    const [, left = ""] = yield* eventually(
      "a database is being made",
      Effect.sync(() => /create database "(effect_test_[0-9a-f]{16})"/.exec(network.sent()) ?? []),
      ([found]) => found !== undefined
    )
    yield* network.cut
    yield* Fiber.join(running)
    yield* eventually("it is there", isThere(left), (is) => is)
    // The server may still be at it.
    yield* eventually(
      "it is gone",
      Effect.andThen(Effect.provide(Effect.void, on(undefined)), isThere(left)),
      (is) => !is
    )
  }).pipe(Effect.scoped)
)

it.live("copies that others use are not dropped, nor what has such a name and was not made by it", () =>
  Effect.gen(function* () {
    const { query } = yield* connect(server(), "witness")
    const named = "effect_test_0123456789abcdef"
    const limited = `limited_${process.pid}`
    for (const [name, limit] of [
      [named, -1],
      [limited, connectionLimit]
    ] as const) {
      yield* Effect.acquireRelease(query(`create database ${name} connection limit ${limit}`), () =>
        Effect.orDie(query(`drop database ${name}`))
      )
    }
    yield* Effect.gen(function* () {
      const used = yield* current
      yield* Effect.provide(Effect.void, on(undefined))
      assert.isTrue(yield* isThere(used))
      assert.isTrue(yield* isThere(named))
      assert.isTrue(yield* isThere(limited))
    }).pipe(Effect.provide(on(undefined)))
  }).pipe(Effect.scoped)
)

it.live("a template that was not finished is made anew, and one that nobody asked for in a week goes", () =>
  Effect.gen(function* () {
    const { query } = yield* connect(server(), "witness")
    const setup = [`${unique}; select 'interrupted'`]
    const name = templateOf(setup)
    yield* query(`create database ${name} connection limit ${connectionLimit}`)
    const count = Effect.flatMap(TestDatabase.pgdb, (pgdb) =>
      pgdb.select("select 1 from pg_tables where tablename ~ '^t_'")
    )
    assert.lengthOf(yield* Effect.provide(count, on(setup)), 1)
    assert.isTrue(yield* isThere(name))
    yield* query(
      `comment on database ${name} is 'A template of effect-global-pool/testing, of 2001-02-03T04:05:06.789Z'`
    )
    yield* Effect.provide(Effect.void, on(undefined))
    assert.isFalse(yield* isThere(name))
  }).pipe(Effect.scoped)
)

it.live("a setup with what psql alone takes is refused, and says what to do", () =>
  Effect.gen(function* () {
    for (const [text, advice] of [
      ["\\restrict abc\ncreate table users (name text);", "take it out of the file"],
      ["select 1;\n\ncopy users (name) from stdin;\nAda\n\\.\n", "Use copyFrom"]
    ] as const) {
      const error = yield* Effect.flip(Effect.provide(current, on([unique, text])))
      assert.match(error.message, /^Statement [23] of \d, line [13] of text 2 of the setup: /)
      assert.include(error.message, advice)
      assert.isFalse(yield* isThere(templateOf([unique, text])))
    }
  })
)

it.live("an error of a setup says where in it: the text, the line, the statement, or the program's key", () =>
  Effect.gen(function* () {
    const texts = [`${unique};\n`, "-- two\nselect 1;\n\nselect misspelt"]
    const error = yield* Effect.flip(Effect.provide(current, on(texts)))
    assert.include(error.message, "Statement 3 of 3, line 4 of text 2 of the setup:")
    const key = `migrations ${process.pid}.${Date.now()}`
    const run = () => Effect.fail(new Error("not today"))
    const cause = yield* Effect.flip(Effect.sandbox(Effect.provide(current, on({ key, run }))))
    assert.include(Cause.pretty(cause), "not today")
    assert.include(Cause.pretty(cause), `the setup with the key "${key}"`)
    const secret = { key: [`${unique}; create role r password 'hush'`], run }
    const quiet = yield* Effect.flip(Effect.sandbox(Effect.provide(current, on(secret))))
    assert.include(Cause.pretty(quiet), `the setup of ${nameOf(["key", ...secret.key])}`)
    assert.notInclude(Cause.pretty(quiet), "hush")
  })
)

it.effect(
  "an option that does not exist, or is of another type, is refused by its name before anything starts",
  () =>
    Effect.gen(function* () {
      const wrong: ReadonlyArray<readonly [string, object]> = [
        ["setUp", { url, setUp: [] }],
        ["setup", { url, setup: "create table users ()" }],
        ["setup", { url, setup: [1] }],
        ["setup", { url, setup: { key: "1" } }],
        ["setup", { url, setup: { key: "1", run: () => Effect.void, runs: 1 } }],
        ["url", { url: 5432 }],
        ["server", { server: "localhost" }],
        ["server", { url, server: {} }]
      ]
      for (const [name, options] of wrong) {
        const error = yield* Effect.flip(Effect.provide(current, TestDatabase.layer(options)))
        assert.strictEqual(error._tag, "PoolError", name)
        assert.match(error.message, new RegExp(`^The (option|setting) ${name} `))
        assert.notInclude(error.message, "5432")
      }
      const misspelt: object = { prot: 5 }
      const server = Effect.provide(current, TestDatabase.layer({ server: misspelt }))
      assert.include(
        (yield* Effect.flip(server)).message,
        "The option prot of EmbeddedPostgres.make does not exist"
      )
    })
)

it.live("a user who may not create databases gets the server's words", () =>
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
