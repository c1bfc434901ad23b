import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { inspect } from "node:util"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { PG } from "effect-global-pool"
import { EmbeddedPostgres } from "effect-global-pool/embedded"
import { start } from "../src/embedded/Server.ts"
import { eventually } from "./support/database.ts"
import { query, value } from "./support/embedded-server.ts"
import { folder, gone, isAlive, serverPid, Temporary, traces } from "./support/folder.ts"

layer(Temporary.layer)("an embedded server", (it) => {
  it.effect("answers on loopback alone, and is gone with its scope", () =>
    Effect.gen(function* () {
      const { path: temporary } = yield* Temporary
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
      assert.deepStrictEqual(yield* traces, [])
    })
  )

  it.effect("has its data in a TMPDIR that is relative to the folder of the process", () =>
    Effect.gen(function* () {
      const { path: temporary } = yield* Temporary
      const place = yield* folder()
      yield* Effect.acquireRelease(
        Effect.sync(() => (process.env.TMPDIR = Path.relative(process.cwd(), place))),
        () => Effect.sync(() => (process.env.TMPDIR = temporary))
      )
      const { dataDir } = yield* start({})
      assert.strictEqual(Path.dirname(Path.dirname(dataDir)), place)
    }).pipe(Effect.scoped)
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

  it.effect("is a layer too, with a handle and a URL, and gone with that", () =>
    Effect.gen(function* () {
      const program = Effect.gen(function* () {
        const { database, pgdb, port, url } = yield* EmbeddedPostgres.EmbeddedServer
        assert.notInclude(inspect({ url }), "postgres://")
        const byUrl = PG.make({ url, key: "by URL" })
        assert.deepStrictEqual(
          yield* PG.run(byUrl.select`select current_database() as database, inet_server_port() as port`),
          [{ database, port }]
        )
        return yield* PG.run(pgdb.select`select 1 as one`)
      })
      const rows = yield* Effect.provide(program, EmbeddedPostgres.layer())
      assert.deepStrictEqual(rows, [{ one: 1 }])
      assert.deepStrictEqual(yield* traces, [])
    })
  )

  const never: Effect.Effect<never> = Effect.never
  it.effect.each(["a failure", "an interruption"])("is gone after %s", (ending) =>
    Effect.gen(function* () {
      let pid = 0
      const fiber = yield* Effect.forkScoped(
        Effect.scoped(
          Effect.gen(function* () {
            const { dataDir } = yield* start({})
            pid = yield* serverPid(dataDir)
            return yield* ending === "a failure" ? Effect.fail(ending) : never
          })
        )
      )
      yield* eventually(
        "it runs",
        Effect.sync(() => pid),
        (pid) => pid > 0
      )
      if (ending === "an interruption") yield* Fiber.interrupt(fiber)
      assert.isTrue(Exit.isFailure(yield* Fiber.await(fiber)))
      assert.isFalse(isAlive(pid))
      assert.deepStrictEqual(yield* traces, [])
    })
  )

  it.effect.each(["pg_wal", "postmaster.pid"])(
    "leaves nothing when it is interrupted while it makes %s",
    (stage) =>
      Effect.gen(function* () {
        const { path } = yield* Temporary
        const list = (name: string) => Fs.readdir(Path.join(path, name, "data")).catch(() => [])
        const made = Effect.flatMap(traces, (names) =>
          Effect.promise(async () => (await Promise.all(names.map(list))).flat())
        )
        const fiber = yield* Effect.forkScoped(Effect.scoped(start({})))
        yield* eventually(`${stage} is there`, made, (names) => names.includes(stage))
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(yield* traces, [])
      })
  )

  it.effect("runs beside others", () =>
    Effect.gen(function* () {
      const servers = yield* Effect.all([start({}), start({})], { concurrency: "unbounded" })
      assert.strictEqual(new Set(servers.map(({ port }) => port)).size, 2)
      assert.strictEqual(new Set(servers.map(({ password }) => Redacted.value(password))).size, 2)
      const systems = yield* Effect.forEach(servers, (server) =>
        value(server, "select system_identifier::text from pg_control_system()")
      )
      assert.strictEqual(new Set(systems).size, 2)
    })
  )

  it.effect("takes names and a password in any language, and asks for the password", () =>
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
      const secret = Redacted.value(server.password)
      assert.notInclude(inspect(server, { depth: 9 }), secret)
      assert.notInclude(JSON.stringify(server), secret)
      const error = yield* Effect.flip(query({ ...server, password: Redacted.make("wrong") }, "select 1"))
      assert.strictEqual(error.reason._tag, "AuthenticationError")
    })
  )

  it.effect("has a handle like that of any database", () =>
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

  it.effect("has handles to several databases, with settings of their own", () =>
    Effect.gen(function* () {
      const server = yield* EmbeddedPostgres.start({ password: "only here" })
      assert.deepStrictEqual(Object.keys(server), ["host", "port", "username", "password", "database", "url"])
      assert.notInclude(inspect(server), "only here")
      const admin = PG.make(server)
      const shop = PG.make({ ...server, database: "shop", maxConnections: 1, applicationName: "the shop" })
      const where = "select concat_ws(' ', current_database(), current_setting('application_name'))"
      const names = yield* PG.run(
        Effect.gen(function* () {
          yield* admin.execute`create database shop`
          return [yield* admin.selectValue(where), yield* shop.selectValue(where)]
        })
      )
      assert.deepStrictEqual(names, [
        Option.some("postgres effect-global-pool"),
        Option.some("shop the shop")
      ])
    })
  )

  it.effect("has a handle that gets along with those of other embedded servers in one registry", () =>
    Effect.gen(function* () {
      const ask = (pgdb: PG.Database) => pgdb.selectValue("select inet_server_port()")
      const ports = yield* PG.run(
        Effect.gen(function* () {
          const first = yield* EmbeddedPostgres.make()
          const second = yield* EmbeddedPostgres.make()
          return [yield* ask(first), yield* ask(second)]
        })
      )
      assert.strictEqual(new Set(ports.map((port) => Option.getOrThrow(port))).size, 2)
    })
  )
})
