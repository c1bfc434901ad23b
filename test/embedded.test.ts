import * as Fs from "node:fs/promises"
import * as Net from "node:net"
import * as Path from "node:path"
import { inspect } from "node:util"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { PG } from "effect-global-pool"
import { EmbeddedPostgres, type EmbeddedPostgresOptions } from "effect-global-pool/embedded"
import { type ServerSettings, start } from "../src/embedded/Server.ts"
import { eventually } from "./support/database.ts"
import { folder, gone, isAlive, serverPid, temporaryFolder, traces } from "./support/folder.ts"

const query = (server: ServerSettings, sql: string) =>
  Effect.scoped(Effect.flatMap(PgConnection.make(server), (connection) => connection.query(sql)))

const value = (server: ServerSettings, sql: string) =>
  Effect.map(query(server, sql), ({ rows }) => Object.values(rows[0] ?? {})[0])

/** What starting fails with; nothing of it may be left. */
const failure = (options: EmbeddedPostgresOptions) =>
  Effect.gen(function* () {
    const temporary = yield* temporaryFolder
    const error = yield* Effect.flip(Effect.scoped(start(options)))
    assert.strictEqual(error._tag, "EmbeddedPostgresError")
    assert.deepStrictEqual(yield* traces(temporary), [])
    return error
  })

describe("a server of its own", () => {
  it.effect("answers on loopback alone, and is gone with its scope", () =>
    Effect.gen(function* () {
      const temporary = yield* temporaryFolder
      const server = yield* Effect.scoped(
        Effect.gen(function* () {
          const server = yield* start({})
          assert.strictEqual(yield* value(server, "select current_database()"), "postgres")
          assert.strictEqual(yield* value(server, "select current_user"), "postgres")
          assert.strictEqual(yield* value(server, "show listen_addresses"), "127.0.0.1")
          assert.strictEqual(yield* value(server, "show unix_socket_directories"), "")
          assert.strictEqual(yield* value(server, "select upper('ä ж')"), "Ä Ж")
          assert.isTrue(server.dataDir.startsWith(temporary))
          return { dataDir: server.dataDir, pid: yield* serverPid(server.dataDir) }
        })
      )
      assert.isFalse(isAlive(server.pid))
      assert.deepStrictEqual(yield* traces(temporary), [])
    })
  )

  it.effect("stops with sessions open and a statement under way", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const server = yield* Scope.provide(start({}), scope)
      const pid = yield* serverPid(server.dataDir)
      yield* PgConnection.make(server)
      const sleeping = yield* Effect.forkScoped(Effect.exit(query(server, "select pg_sleep(600)")))
      yield* eventually(
        "the statement runs",
        value(server, "select count(*)::int from pg_stat_activity where wait_event = 'PgSleep'"),
        (count) => count === 1
      )
      yield* Scope.close(scope, Exit.void)
      yield* gone({ pid, dataDir: server.dataDir })
      assert.isTrue(Exit.isFailure(yield* Fiber.join(sleeping)))
    })
  )

  it.effect("is gone after a failure, a defect and an interruption", () =>
    Effect.gen(function* () {
      const temporary = yield* temporaryFolder
      const never: Effect.Effect<never> = Effect.never
      const endings = [Effect.fail("failed"), Effect.die("died"), Effect.interrupt, never]
      for (const ending of endings) {
        let pid = 0
        const fiber = yield* Effect.forkScoped(
          Effect.scoped(
            Effect.gen(function* () {
              const { dataDir } = yield* start({})
              pid = yield* serverPid(dataDir)
              return yield* ending
            })
          )
        )
        if (ending === never) {
          yield* eventually(
            "it runs",
            Effect.sync(() => pid),
            (pid) => pid > 0
          )
          yield* Fiber.interrupt(fiber)
        }
        assert.isTrue(Exit.isFailure(yield* Fiber.await(fiber)))
        assert.isFalse(isAlive(pid))
        assert.deepStrictEqual(yield* traces(temporary), [])
      }
    })
  )

  it.effect("leaves nothing when it is interrupted while it starts", () =>
    Effect.gen(function* () {
      const temporary = yield* temporaryFolder
      const entries = Effect.promise(() => Fs.readdir(temporary, { recursive: true }))
      for (const stage of [/\/data$/, /pg_wal$/, /postmaster.pid$/]) {
        const fiber = yield* Effect.forkScoped(Effect.scoped(start({})))
        yield* eventually(`${stage} is there`, entries, (names) => names.some((name) => stage.test(name)))
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(yield* traces(temporary), [])
      }
    })
  )

  it.effect("runs beside others", () =>
    Effect.gen(function* () {
      const servers = yield* Effect.all([start({}), start({}), start({})], { concurrency: "unbounded" })
      assert.strictEqual(new Set(servers.map(({ port }) => port)).size, 3)
      assert.strictEqual(new Set(servers.map(({ password }) => Redacted.value(password))).size, 3)
      const systems = yield* Effect.forEach(servers, (server) =>
        value(server, "select system_identifier::text from pg_control_system()")
      )
      assert.strictEqual(new Set(systems).size, 3)
    })
  )

  it.effect("takes a name, a password, a database and settings in any language", () =>
    Effect.gen(function* () {
      const server = yield* start({
        username: "Jürgen J 山",
        password: "pässwörd ' \" \\ 山",
        database: 'Bücher "x" 本',
        serverSettings: { max_connections: 17, "my.own": "it's mine" }
      })
      assert.strictEqual(yield* value(server, "select current_database()"), 'Bücher "x" 本')
      assert.strictEqual(yield* value(server, "select current_user"), "Jürgen J 山")
      assert.strictEqual(yield* value(server, "show max_connections"), "17")
      assert.strictEqual(yield* value(server, "show my.own"), "it's mine")
    })
  )

  it.effect("asks for its password, and does not tell it", () =>
    Effect.gen(function* () {
      const server = yield* start({})
      const secret = Redacted.value(server.password)
      assert.notInclude(inspect(server, { depth: 9 }), secret)
      assert.notInclude(JSON.stringify(server), secret)
      const error = yield* Effect.flip(query({ ...server, password: Redacted.make("wrong") }, "select 1"))
      assert.strictEqual(error.reason._tag, "AuthenticationError")
    })
  )
})

describe("its handle", () => {
  it.effect("is that of any database", () =>
    Effect.gen(function* () {
      const pgdb = yield* EmbeddedPostgres.make({ database: "shop" })
      const rows = yield* PG.run(
        Effect.gen(function* () {
          const users = pgdb.table("users")
          yield* users.execute("create table users (id int, name text)")
          yield* users.execute`insert into ${users} values (${1}, ${"Ada"})`
          return yield* users.select`select * from ${users}`
        })
      )
      assert.deepStrictEqual(rows, [{ id: 1, name: "Ada" }])
    })
  )

  it.effect("gets along with those of other embedded servers in one registry", () =>
    Effect.gen(function* () {
      const ask = (pgdb: PG.Database) => pgdb.selectValue("select inet_server_port()")
      const ports = yield* PG.run(
        Effect.gen(function* () {
          const first = yield* EmbeddedPostgres.make()
          const second = yield* EmbeddedPostgres.make()
          const third = yield* Effect.scoped(Effect.flatMap(EmbeddedPostgres.make(), ask))
          return [yield* ask(first), yield* ask(second), third]
        })
      )
      assert.strictEqual(new Set(ports.map((port) => Option.getOrThrow(port))).size, 3)
    })
  )

  it.effect("fails with an error that a program can catch by its tag", () =>
    Effect.gen(function* () {
      const reason = yield* Effect.scoped(EmbeddedPostgres.make({ port: -1 })).pipe(
        Effect.as("started"),
        Effect.catchTag("EmbeddedPostgresError", (error) => Effect.succeed(error.reason._tag))
      )
      assert.strictEqual(reason, "InvalidOption")
    })
  )
})

describe("a start that fails", () => {
  it.effect("says that the port is taken", () =>
    Effect.gen(function* () {
      const holder = yield* Effect.acquireRelease(
        Effect.callback<Net.Server>((resume) => {
          const server = Net.createServer()
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      const address = holder.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      const error = yield* failure({ port })
      assert.deepStrictEqual(error.reason, { _tag: "PortBusy", port })
      assert.strictEqual(
        error.message,
        `Port ${port} of 127.0.0.1 is taken by another process. Choose another port, or leave the option out to get a free one.`
      )
      assert.isTrue(holder.listening)
    })
  )

  it.effect("shows what the server wrote", () =>
    Effect.gen(function* () {
      const error = yield* failure({ serverSettings: { no_such_setting: 1 } })
      assert.strictEqual(error.reason._tag, "StartFailed")
      assert.include(error.message, 'unrecognized configuration parameter "no_such_setting"')
    })
  )

  it.effect("keeps to its time", () =>
    Effect.gen(function* () {
      const error = yield* failure({ startTimeout: "1 millis" })
      assert.include(error.message, "was not ready within 1ms (the option startTimeout)")
    })
  )

  const wrong: ReadonlyArray<readonly [string, EmbeddedPostgresOptions]> = [
    ["port", { port: 70_000 }],
    ["port", { port: 1.5 }],
    ["port", { port: 0 }],
    ["database", { database: "" }],
    ["database", { database: "本".repeat(22) }],
    ["username", { username: "a\0b" }],
    ["username", { username: "pg_me" }],
    ["username", { username: "J\\J" }],
    ["password", { password: "" }],
    ["password", { password: "two\nlines" }],
    ["dataDir", { dataDir: "" }],
    ["startTimeout", { startTimeout: 0 }],
    ["serverSettings", { serverSettings: { "port; drop": 1 } }]
  ]
  it.effect.each(wrong)("names the option that is wrong: %j", ([option, options]) =>
    Effect.gen(function* () {
      const error = yield* failure(options)
      assert.deepStrictEqual(error.reason, { _tag: "InvalidOption", option })
      assert.include(error.message, `The option ${option} of EmbeddedPostgres.make`)
    })
  )
})

describe("a data directory of one's own", () => {
  it.effect("keeps the data from one server to the next", () =>
    Effect.gen(function* () {
      const dataDir = Path.join(yield* folder(), "new", "data")
      const first = yield* Effect.scoped(
        Effect.tap(start({ dataDir, database: "shop" }), (server) =>
          query(server, "create table kept as select 42 as answer")
        )
      )
      const second = yield* Effect.scoped(
        Effect.tap(start({ dataDir, database: "shop" }), (server) =>
          Effect.gen(function* () {
            assert.strictEqual(yield* value(server, "select answer from kept"), 42)
            assert.strictEqual(yield* value(server, "show fsync"), "on")
          })
        )
      )
      assert.strictEqual(Redacted.value(second.password), Redacted.value(first.password))
    })
  )

  it.effect("is for one server at a time", () =>
    Effect.gen(function* () {
      const dataDir = yield* folder()
      const server = yield* start({ dataDir })
      const error = yield* failure({ dataDir })
      assert.deepStrictEqual(error.reason, { _tag: "DataDirUnusable", dataDir })
      assert.include(error.message, "is in use by another server")
      assert.strictEqual(yield* value(server, "select 1"), 1)
    })
  )

  it.effect("wants the password that it was set up with", () =>
    Effect.gen(function* () {
      const dataDir = yield* folder()
      yield* Effect.scoped(start({ dataDir, password: "first" }))
      const other = yield* failure({ dataDir, password: "second" })
      assert.include(other.message, "was set up with another username or password")
      const none = yield* failure({ dataDir })
      assert.include(none.message, "Give it as the option password")
      for (const { reason, message } of [other, none]) {
        assert.deepStrictEqual(reason, { _tag: "DataDirUnusable", dataDir })
        assert.notInclude(message, "first")
      }
      yield* Effect.scoped(start({ dataDir, password: "first" }))
    })
  )

  it.effect("is refused when it holds something else", () =>
    Effect.gen(function* () {
      const dataDir = yield* folder()
      const file = Path.join(dataDir, "letter.txt")
      yield* Effect.promise(() => Fs.writeFile(file, "dear"))
      const error = yield* failure({ dataDir })
      assert.include(error.message, "is not empty and holds no Postgres data")
      assert.strictEqual(yield* Effect.promise(() => Fs.readFile(file, "utf8")), "dear")
      const inside = yield* failure({ dataDir: file })
      assert.strictEqual(inside.reason._tag, "DataDirUnusable")
    })
  )

  it.effect("is refused when another version made it", () =>
    Effect.gen(function* () {
      const dataDir = yield* folder()
      yield* Effect.promise(() => Fs.writeFile(Path.join(dataDir, "PG_VERSION"), "9\n"))
      const error = yield* failure({ dataDir })
      assert.include(error.message, `The data directory ${dataDir} was made by Postgres 9`)
    })
  )

  it.effect("is as it was when its set-up is interrupted", () =>
    Effect.gen(function* () {
      const dataDir = yield* folder()
      const entries = Effect.promise(() => Fs.readdir(dataDir))
      const fiber = yield* Effect.forkScoped(Effect.scoped(start({ dataDir })))
      yield* eventually("it is being set up", entries, (names) => names.length > 0)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(yield* entries, [])
      yield* Effect.scoped(start({ dataDir }))
    })
  )
})
