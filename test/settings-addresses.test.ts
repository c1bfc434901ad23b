/**
 * Where the database is, in every form that says so: settings, URLs, the environment, and the file of a Unix socket.
 */
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { PG, PoolRegistry } from "effect-global-pool"
import { database, server, type TestDatabase } from "./support/database.ts"
import { withDatabase } from "./support/handle.ts"
import { proxy } from "./support/proxy.ts"

const encode = encodeURIComponent

/** Who the session says it is. */
const who = (pgdb: PG.Database) =>
  Effect.ensuring(
    Effect.map(
      pgdb.select<{ database: string; username: string; application: string; port: number | null }>(
        `select current_database() as database, current_user::text as username,
         current_setting('application_name') as application, inet_server_port() as port`
      ),
      ([row]) => row
    ),
    pgdb.terminate
  )

const isHere = (given: TestDatabase, pgdb: PG.Database, application = "effect-global-pool") =>
  Effect.map(who(pgdb), (row) =>
    assert.deepStrictEqual(row, {
      database: given.settings.database,
      username: given.settings.username,
      application,
      port: given.settings.port
    })
  )

withDatabase("each form of a URL leads to the same database", [], (given) =>
  Effect.gen(function* () {
    const { database, host, password, port, username } = given.settings
    const login = `${encode(username)}:${encode(password)}`
    for (const url of [
      given.url,
      given.url.replace("postgres:", "postgresql:"),
      `postgres:///${encode(database)}?host=${host}&port=${port}&user=${encode(username)}&password=${encode(password)}`,
      `postgres://${login}@/?host=${host}&port=${port}&dbname=${encode(database)}`,
      `postgres://${login}@:${port}/${encode(database)}?host=${host}`,
      `${given.url}?sslmode=disable&connect_timeout=3&work_mem=2MB`,
      `${given.url}?sslmode=prefer`
    ]) {
      yield* isHere(given, PG.make(url))
      yield* isHere(given, PG.make({ url: Redacted.make(url) }))
    }
    yield* isHere(given, PG.make(`${given.url}?application_name=from%20the%20URL`), "from the URL")
    const options = PG.make(`${given.url}?options=${encode("-c search_path=elsewhere -c work_mem=123kB")}`)
    assert.deepStrictEqual(
      yield* options.selectValue("select current_setting('work_mem')"),
      Option.some("123kB")
    )
  })
)

withDatabase("a field wins over the same part of the URL", [], (given) =>
  Effect.gen(function* () {
    const url = "postgres://nobody:nothing@192.0.2.1:1/nowhere?application_name=lost"
    yield* isHere(given, PG.make({ url, ...given.settings, applicationName: "won" }), "won")
  })
)

withDatabase("an address of IPv6 is the same place in a field and in a URL", [], (given) =>
  Effect.gen(function* () {
    const there = yield* Effect.exit(who(PG.make({ ...given.settings, host: "::1" })))
    const url = given.url.replace("127.0.0.1", "[::1]")
    const byUrl = yield* Effect.exit(who(PG.make(url)))
    // Whether the server listens there or not, both name the same place.
    assert.strictEqual(String(byUrl), String(there))
  })
)

withDatabase("settings of the session are those that the handle gives", [], ({ settings }) =>
  Effect.gen(function* () {
    const pgdb = PG.make({
      ...settings,
      startupParameters: { search_path: "elsewhere", "my.own": "mine" },
      statementTimeout: "1500 millis"
    })
    assert.deepStrictEqual(
      yield* pgdb.select(
        "select current_setting('search_path') as path, current_setting('my.own') as own, current_setting('statement_timeout') as timeout"
      ),
      [{ path: "elsewhere", own: "mine", timeout: "1500ms" }]
    )
  })
)

describe("a Unix socket", () => {
  it.live("by its folder, its file, and in a URL", () =>
    Effect.gen(function* () {
      const given = yield* database()
      const [row] = yield* given.witness.query(
        "select current_setting('unix_socket_directories') as folders, current_setting('data_directory') as data"
      )
      const [first = ""] = String(row?.folders).split(",")
      const folder = Path.resolve(String(row?.data), first.trim())
      const { database: name, password, port, username } = given.settings
      const login = { username, password, database: name }
      const file = `${folder}/.s.PGSQL.${port}`
      for (const settings of [
        { ...login, port, host: folder },
        { ...login, path: file },
        { ...login, path: file, host: "192.0.2.1", port: 1 },
        `postgres:///${encode(name)}?host=${encode(folder)}&port=${port}&user=${encode(username)}&password=${encode(password)}`,
        `postgres://${encode(username)}:${encode(password)}@${encode(folder)}:${port}/${encode(name)}`
      ]) {
        const pgdb = PG.make(settings)
        const row = yield* who(pgdb)
        assert.strictEqual(row?.database, name)
        assert.strictEqual(row?.port, null)
        // A cancel goes the same way.
        const cancelled = yield* Effect.flip(Effect.timeout(pgdb.select("select pg_sleep(60)"), "100 millis"))
        assert.strictEqual(cancelled._tag, "TimeoutError")
        yield* given.until("it was cancelled", (sessions) => sessions.every(({ state }) => state === "idle"))
        yield* pgdb.terminate
      }
    }).pipe(Effect.provide(PoolRegistry.layer()))
  )

  it.live("that is not there", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        PG.make({ ...server(), path: "/nowhere/.s.PGSQL.1" }).select("select 1")
      )
      assert.include(error.message, "/nowhere/.s.PGSQL.1: there is no such socket (ENOENT)")
    }).pipe(Effect.provide(PoolRegistry.layer()))
  )
})

describe("PG.fromEnv", () => {
  const from = (env: Record<string, string>) =>
    Effect.provideService(PG.fromEnv, ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown(env))

  withDatabase("DATABASE_URL wins", [], (given) =>
    Effect.gen(function* () {
      yield* isHere(given, yield* from({ DATABASE_URL: given.url, PGHOST: "192.0.2.1", PGPORT: "none" }))
    })
  )

  withDatabase("the variables of libpq", [], (given) =>
    Effect.gen(function* () {
      const { database, host, password, port, username } = given.settings
      const env = {
        PGHOST: host,
        PGPORT: String(port),
        PGUSER: username,
        PGPASSWORD: password,
        PGDATABASE: database
      }
      yield* isHere(given, yield* from(env))
      yield* isHere(given, yield* from({ ...env, PGSSLMODE: "prefer" }))
      const wrong = yield* Effect.flip((yield* from({ ...env, PGSSLMODE: "perhaps" })).select("select 1"))
      assert.include(wrong.message, "sslmode must be one of disable, allow, prefer")
    })
  )

  it.effect("what cannot be read is a ConfigError that does not show the rest", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(from({ PGPORT: "high", PGPASSWORD: "hunter2" }))
      assert.strictEqual(error._tag, "ConfigError")
      assert.include(String(error.message), "PGPORT")
      assert.notInclude(String(error), "hunter2")
      const pgdb = yield* from({})
      assert.include(String(pgdb), "localhost:5432")
    })
  )

  it.effect("a malformed URL fails when it is used, and the error does not show it", () =>
    Effect.gen(function* () {
      const pgdb = yield* from({ DATABASE_URL: "mysql://user:hunter2@localhost/app" })
      const error = yield* Effect.flip(pgdb.select("select 1"))
      assert.include(error.message, "postgres://")
      assert.notInclude(error.message, "hunter2")
    }).pipe(Effect.provide(PoolRegistry.layer()))
  )
})

withDatabase("a host's name is looked up", [], (given) =>
  Effect.gen(function* () {
    const between = yield* proxy(given.settings)
    const pgdb = PG.make({ ...given.settings, host: "localhost", port: between.address.port })
    yield* pgdb.select("select 1")
    assert.strictEqual(between.opened(), 1)
    const error = yield* Effect.flip(
      PG.make({ host: "no-such-host.invalid", database: "x" }).select("select 1")
    )
    assert.match(error.message, /host name/)
  })
)
