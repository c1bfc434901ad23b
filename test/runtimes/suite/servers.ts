/** TLS, servers outside Effect, and the embedded server. */
import { existsSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { NodeHttpServer } from "@effect/platform-node"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { PG } from "effect-global-pool"
import { EmbeddedPostgres } from "effect-global-pool/embedded"
import { assert, promise } from "./promise.ts"

const isEncrypted = (pgdb: PG.Database) =>
  pgdb.selectValue("select ssl from pg_stat_ssl where pid = pg_backend_pid()")

export const servers = [
  promise("TLS checks the server's certificate", ({ ca, settings }) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...settings, ssl: { ca }, key: "tls" })
      assert.deepEqual(yield* isEncrypted(pgdb), Option.some(true))
      yield* pgdb.terminate
    })
  ),
  promise("TLS refuses a certificate that nobody vouches for", ({ settings }) =>
    Effect.map(
      Effect.flip(PG.make({ ...settings, ssl: true, key: "untrusted" }).select("select 1")),
      (error) => assert.match(error.message, /certificate/i)
    )
  ),
  promise("TLS may go without a check", ({ settings }) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...settings, ssl: { rejectUnauthorized: false }, key: "unchecked" })
      assert.deepEqual(yield* isEncrypted(pgdb), Option.some(true))
      yield* pgdb.terminate
    })
  ),
  promise("a statement over TLS is cancelled", ({ ca, settings }) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...settings, ssl: { ca }, key: "tls cancel" })
      const began = Date.now()
      yield* Effect.timeoutOption(pgdb.execute("select pg_sleep(60)"), "100 millis")
      assert.deepEqual(yield* pgdb.selectValue("select 1"), Option.some(1))
      assert.ok(Date.now() - began < 5_000)
      yield* pgdb.terminate
    })
  ),
  promise(
    "node:http answers a hundred requests from one pool, and dispose ends it",
    ({ sessions, settings }) =>
      Effect.promise(async () => {
        const runtime = ManagedRuntime.make(PG.layer)
        const pgdb = PG.make({ ...settings, key: "server" })
        const before = (await Effect.runPromise(sessions)).length
        const server = createServer((_request, response) => {
          runtime.runPromise(pgdb.selectValue("select 6 * 7")).then(
            (found) => response.end(String(Option.getOrThrow(found))),
            () => response.writeHead(503).end()
          )
        })
        await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
        const { port } = server.address() as AddressInfo
        const answers = await Promise.all(
          Array.from({ length: 100 }, () =>
            fetch(`http://127.0.0.1:${port}/`).then((response) => response.text())
          )
        )
        assert.deepEqual(new Set(answers), new Set(["42"]))
        const open = (await Effect.runPromise(sessions)).length - before
        assert.ok(open >= 1 && open <= 10, `${open} connections`)
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
        await runtime.dispose()
        assert.equal((await Effect.runPromise(sessions)).length, before)
      })
  ),
  promise("an HTTP server of Effect answers from the pool", ({ settings }) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...settings, key: "effect server" })
      const route = HttpRouter.add(
        "GET",
        "/people",
        Effect.flatMap(Effect.orDie(pgdb.table("people").count({ name: "Ada" })), HttpServerResponse.json)
      )
      const server = HttpRouter.serve(route, { disableLogger: true, disableListenLog: true }).pipe(
        Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0 })),
        Layer.provide(PG.layer)
      )
      const { address } = Context.get(yield* Layer.build(server), HttpServer.HttpServer)
      const port = "port" in address ? address.port : 0
      const found = yield* Effect.promise(() =>
        fetch(`http://127.0.0.1:${port}/people`).then((response) => response.json())
      )
      assert.equal(found, 1)
    })
  ),
  promise("a password may be an Effect, asked for each connection", ({ settings }) =>
    Effect.gen(function* () {
      let asked = 0
      const { password } = settings
      const given = Redacted.isRedacted(password) ? Redacted.value(password) : String(password)
      const pgdb = PG.make({
        ...settings,
        password: Effect.sync(() => {
          asked++
          return Redacted.make(given)
        }),
        key: "asked"
      })
      assert.deepEqual(yield* pgdb.selectValue("select 1"), Option.some(1))
      assert.equal(asked, 1)
      yield* pgdb.terminate
    })
  ),
  promise("PG.fromEnv reads the environment", ({ settings }) =>
    Effect.gen(function* () {
      const { host = "", password, port, username = "" } = settings
      const given = Redacted.isRedacted(password) ? Redacted.value(password) : String(password)
      const provider = ConfigProvider.fromEnv({
        env: {
          PGHOST: String(host),
          PGPORT: String(port),
          PGUSER: username,
          PGPASSWORD: given,
          PGDATABASE: "template1"
        }
      })
      const pgdb = yield* Effect.provideService(PG.fromEnv, ConfigProvider.ConfigProvider, provider)
      assert.deepEqual(yield* pgdb.selectValue("select current_database()"), Option.some("template1"))
      yield* pgdb.terminate
    })
  ),
  promise("an embedded server starts, answers, and is gone with its scope", () =>
    Effect.gen(function* () {
      const directory = yield* Effect.scoped(
        Effect.gen(function* () {
          const pgdb = yield* EmbeddedPostgres.make({ database: "shop" })
          return yield* PG.run(pgdb.selectValue<string>("show data_directory"))
        })
      )
      assert.ok(Option.isSome(directory))
      assert.equal(existsSync(directory.value), false)
    })
  )
]
