/**
 * What a person reads when there is no connection, or no longer: where it was to go, why not, what to do; and which of
 * these failures may be tried again.
 */
import * as Net from "node:net"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { SqlError } from "effect/sql/SqlError"
import { isSqlError } from "effect/sql/SqlError"
import { PG, PoolRegistry } from "effect-global-pool"
import {
  connectError,
  lostError,
  tookEffect,
  unreadableError,
  unsentError
} from "../src/errors/ConnectionErrors.ts"
import { type About, serverError } from "../src/errors/ServerErrors.ts"
import { AuthenticationProblem } from "../src/protocol/Authentication.ts"
import { LinkProblem } from "../src/protocol/LinkProblem.ts"
import { ServerRefusal } from "../src/protocol/Startup.ts"
import { UnreadableValue } from "../src/types/PgType.ts"
import { database, eventually, server } from "./support/database.ts"
import { proxy } from "./support/proxy.ts"

const shop: About = { server: "db.internal:5432/shop" }
const update: About = { ...shop, text: "update users set name = $1", params: ["hunter2"] }

/** An error of the system, as Node gives it. */
const system = (code: string, syscall = "connect") =>
  Object.assign(new Error(`${syscall} ${code} 10.0.0.1:5432`), { code, syscall })

const sqlError = (error: unknown): SqlError => {
  if (!isSqlError(error)) throw error
  expect(error.message).not.toContain("hunter2")
  return error
}

/** The error of a statement on a handle with these settings. */
const failing = (
  settings: PG.Settings,
  text = "select 1",
  params: ReadonlyArray<unknown> = []
): Effect.Effect<SqlError> =>
  Effect.flip(PG.make(settings).select(text, params)).pipe(
    Effect.map(sqlError),
    Effect.provide(PoolRegistry.layer()),
    Effect.orDie
  )

/** The settings of a server that does this to each connection. */
const listening = (
  onConnection: (socket: Net.Socket) => void
): Effect.Effect<PG.Settings, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<Net.Server>((resume) => {
      const listener = Net.createServer((socket) => {
        socket.on("error", () => undefined)
        onConnection(socket)
      })
      listener.listen(0, "127.0.0.1", () => resume(Effect.succeed(listener)))
    }),
    (listener) => Effect.sync(() => listener.close())
  ).pipe(
    Effect.map((listener) => {
      const address = listener.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      return { host: "127.0.0.1", port, username: "ann", password: "hunter2", database: "shop" }
    })
  )

it("an unreachable server: each reason of the system is put in words, with what to do, and is worth another try", () => {
  const codes = [
    "ECONNREFUSED",
    "ENOTFOUND",
    "EAI_AGAIN",
    "ETIMEDOUT",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "ECONNRESET",
    "EPIPE"
  ]
  const messages = codes.map((code) => {
    const error = connectError(new LinkProblem("The server cannot be reached", { cause: system(code) }), shop)
    expect(error.reason._tag).toBe("ConnectionError")
    expect(error.isRetryable).toBe(true)
    expect(error.reason.operation).toBe("connect")
    expect(error.reason.cause).toHaveProperty("code", code)
    return error.message
  })
  expect(messages.join("\n\n")).toMatchInlineSnapshot(`
    "Could not connect to db.internal:5432/shop: nothing listens there (ECONNREFUSED).
    Check the settings host and port, and that the server runs.

    Could not connect to db.internal:5432/shop: its host name has no address (ENOTFOUND).
    Check the setting host.

    Could not connect to db.internal:5432/shop: its host name could not be looked up (EAI_AGAIN).
    Check the setting host and the name service.

    Could not connect to db.internal:5432/shop: it did not answer in time (ETIMEDOUT).
    Check the settings host and port and what filters traffic on the way, or raise connectTimeout.

    Could not connect to db.internal:5432/shop: no route leads there (EHOSTUNREACH).
    Check the setting host and the network.

    Could not connect to db.internal:5432/shop: no route leads there (ENETUNREACH).
    Check the setting host and the network.

    Could not connect to db.internal:5432/shop: the server cannot be reached (ECONNRESET).

    Could not connect to db.internal:5432/shop: the server cannot be reached (EPIPE)."
  `)
})

it.live(
  "an unreachable server: what a handle says when nothing listens, and when there is no such socket",
  () =>
    Effect.gen(function* () {
      const free = yield* Effect.scoped(listening(() => undefined))
      const refused = yield* failing(free)
      expect(refused.reason._tag).toBe("ConnectionError")
      expect(refused.isRetryable).toBe(true)
      expect(refused.reason.cause).toHaveProperty("code", "ECONNREFUSED")
      expect(refused.message.replace(/127\.0\.0\.1:\d+/, "db:5432")).toMatchInlineSnapshot(`
        "Could not connect to "shop" on db:5432: nothing listens there (ECONNREFUSED).
        Check the settings host and port, and that the server runs."
      `)

      const missing = yield* failing({ ...server(), database: "shop", path: "/nowhere/.s.PGSQL.5432" })
      expect(missing.reason.cause).toHaveProperty("code", "ENOENT")
      expect(missing.message).toMatchInlineSnapshot(`
        "Could not connect to "shop" on /nowhere/.s.PGSQL.5432: there is no such socket (ENOENT).
        Check the setting path, and that the server runs."
      `)
    })
)

it.live(
  "a server that hangs up, is silent or is no Postgres server: the error says which of them it is",
  () =>
    Effect.gen(function* () {
      const messages: Array<string> = []
      for (const [onConnection, options] of [
        [(socket: Net.Socket) => socket.end(), {}],
        [(socket: Net.Socket) => void socket.once("data", () => socket.resetAndDestroy()), {}],
        [() => undefined, { connectTimeout: "100 millis" }],
        [
          (socket: Net.Socket) =>
            void socket.once("data", () => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n")),
          {}
        ],
        [(socket: Net.Socket) => void socket.once("data", () => socket.write("HTTP/1.1 400")), { ssl: true }]
      ] as const) {
        const settings = yield* listening(onConnection)
        const error = yield* failing({ ...settings, ...options })
        expect(error.reason._tag).toBe("ConnectionError")
        expect(error.isRetryable).toBe(true)
        expect(error.message).not.toContain("?.")
        messages.push(error.message.replace(/127\.0\.0\.1:\d+/, "db:5432"))
      }
      expect(messages.join("\n\n")).toMatchInlineSnapshot(`
      "Could not connect to "shop" on db:5432: the server closed the connection while it was being opened.

      Could not connect to "shop" on db:5432: the connection broke off (ECONNRESET).

      Could not connect to "shop" on db:5432: opening a connection took longer than connectTimeout, 100 ms (ETIMEDOUT).
      Check the settings host and port and what filters traffic on the way, or raise connectTimeout.

      Could not connect to "shop" on db:5432: the server does not speak Postgres's protocol.

      Could not connect to "shop" on db:5432: the server answered the request for TLS with something else; is it a Postgres server?"
    `)
    })
)

it.live(
  "TLS: a certificate that nobody vouches for, and a server without it, are not worth another try",
  () =>
    Effect.gen(function* () {
      const untrusted = connectError(
        new LinkProblem("TLS failed", { cause: system("DEPTH_ZERO_SELF_SIGNED_CERT") }),
        shop
      )
      expect(untrusted.reason._tag).toBe("ConnectionError")
      expect(untrusted.isRetryable).toBe(false)
      expect(untrusted.message).toMatchInlineSnapshot(`
        "The TLS certificate of db.internal:5432/shop was not accepted (DEPTH_ZERO_SELF_SIGNED_CERT).
        Give the authority that signed it, ssl: { ca } or sslrootcert, and connect to a name that it is made out to."
      `)
      const handshake = connectError(
        new LinkProblem("TLS failed", { cause: system("ERR_SSL_UNSUPPORTED_PROTOCOL") }),
        shop
      )
      expect(handshake.message).toMatchInlineSnapshot(
        `"db.internal:5432/shop and this program could not agree on TLS (ERR_SSL_UNSUPPORTED_PROTOCOL)."`
      )
      // It answers every request for TLS with no.
      const plain = yield* failing({
        ...(yield* listening((socket) => void socket.on("data", () => socket.write("N")))),
        ssl: true
      })
      expect(plain.isRetryable).toBe(false)
      expect(plain.message).toContain("does not offer TLS")
      expect(plain.message).toContain("Set ssl: false or sslmode=disable, or turn TLS on at the server.")
    })
)

it.effect("a URL with another library's word for the schema: the error says which setting chooses one", () =>
  Effect.gen(function* () {
    const { database: name, host, password, port, username } = server()
    const url = (query: string) => `postgres://${username}:${password ?? ""}@${host}:${port}/${name}?${query}`
    const error = yield* failing({ url: url("schema=reports") })
    expect(error.message).toContain('unrecognized configuration parameter "schema"')
    expect(error.message).toContain('"?search_path=…" in url')
    const rows = yield* PG.make({ url: url("search_path=pg_catalog") })
      .select("show search_path")
      .pipe(Effect.provide(PoolRegistry.layer()))
    expect(rows).toEqual([{ search_path: "pg_catalog" }])
  })
)

it("a database that does not exist: the error names those that were perhaps meant, and is not worth another try", () => {
  const refusal = (database: string) =>
    new ServerRefusal(
      { severity: "FATAL", code: "3D000", message: `database "${database}" does not exist` },
      "start"
    )
  const about = { server: "localhost:5432/shpo", databases: ["postgres", "shop", "blog"] }
  const near = connectError(refusal("shpo"), about)
  expect(near.reason._tag).toBe("ConnectionError")
  expect(near.isRetryable).toBe(false)
  expect(near.message).toMatchInlineSnapshot(`
    "database "shpo" does not exist (SQLSTATE 3D000 invalid_catalog_name)
    Did you mean "shop"?
    Server: localhost:5432/shpo"
  `)
  const far = connectError(refusal("inventory"), about)
  expect(far.message).toContain('The server has "postgres", "shop", "blog".')
  const many = connectError(refusal("inventory"), {
    databases: Array.from({ length: 11 }, (_, index) => `db${index}`)
  })
  expect(many.message).toContain('"db9" and others.')
})

it.live("a database that does not exist: a handle looks up those that exist", () =>
  Effect.gen(function* () {
    const { settings } = yield* database()
    const typo = `${settings.database}_`
    const near = yield* failing({ ...settings, database: typo })
    expect(near.reason._tag).toBe("ConnectionError")
    expect(near.isRetryable).toBe(false)
    expect(near.message).toBe(
      `database "${typo}" does not exist (SQLSTATE 3D000 invalid_catalog_name)\nDid you mean "${settings.database}"?\n` +
        `Server: "${typo}" on ${settings.host}:${settings.port}`
    )
    const far = yield* failing({ ...settings, database: "ζ" })
    expect(far.message).toMatch(/\nThe server has "[^"]+"(?:, "[^"]+")*(?: and others)?\.\n/)
  })
)

it.live("a connection that cannot be had is not the fault of the statement that needed it", () =>
  Effect.gen(function* () {
    const error = yield* failing({ ...server(), database: "shpo" }, "select $1", ["shpo"])
    expect(error.message).toContain('database "shpo" does not exist (SQLSTATE 3D000 invalid_catalog_name)\n')
    expect(error.message).not.toContain("Statement")
    const unreachable = yield* failing({ ...server(), path: "/nowhere/.s.PGSQL.5432" }, "select $1", ["shpo"])
    expect(unreachable.message).not.toContain("Statement")
    const about = { ...shop, text: "select $1", params: ["shpo"] }
    const refusal = new ServerRefusal({ code: "3D000", message: 'database "shpo" does not exist' }, "start")
    for (const problem of [refusal, new LinkProblem("No."), new AuthenticationProblem("no")]) {
      expect(connectError(problem, about).message).not.toContain("Statement")
    }
  })
)

it.live(
  "a role that does not exist, a wrong password and none are errors of authentication, not worth another try",
  () =>
    Effect.gen(function* () {
      const { password: _, ...nameless } = server()
      const wrong = yield* failing({ ...server(), username: "nobody_here" })
      const missing = yield* failing({ ...nameless, database: "shop" })
      for (const error of [wrong, missing]) {
        expect(error.reason._tag).toBe("AuthenticationError")
        expect(error.isRetryable).toBe(false)
      }
      expect(wrong.message).toContain('"nobody_here"')
      expect(missing.message.replace(/\S+:\d+/, "db:5432")).toMatchInlineSnapshot(`
        "Could not connect to "shop" on db:5432: the server asks for a password and none is set.
        Set the setting password."
      `)
    })
)

it.live("too many connections: the error says which number to change, and is worth another try", () =>
  Effect.gen(function* () {
    const db = yield* database()
    const role = `guest_${db.settings.database}`
    yield* Effect.acquireRelease(
      db.witness.query(`create role ${role} login password 'x' connection limit 0`),
      () => Effect.orDie(db.witness.query(`drop role ${role}`))
    )
    const error = yield* failing({ ...db.settings, username: role, password: "x" })
    expect(error.reason._tag).toBe("ConnectionError")
    expect(error.isRetryable).toBe(true)
    expect(
      error.message.replaceAll(db.settings.database, "shop").replace(/\S+:\d+/, "db:5432")
    ).toMatchInlineSnapshot(`
      "too many connections for role "guest_shop" (SQLSTATE 53300 too_many_connections)
      Lower maxConnections of the pools that use this server, or raise max_connections of the server.
      Server: "shop" on db:5432"
    `)
  })
)

it.live("the server ends the connection in the middle of a statement: its last words are the error", () =>
  Effect.gen(function* () {
    const db = yield* database()
    const pgdb = PG.make({ ...db.settings, maxConnections: 1 })
    const fiber = yield* Effect.forkChild(
      Effect.flip(pgdb.select("select pg_sleep(60), $1::text", ["hunter2"]))
    )
    yield* eventually(
      "it is terminated",
      db.witness.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query like 'select pg_sleep%' and wait_event = 'PgSleep'"
      ),
      (rows) => rows.length > 0
    )
    const error = sqlError(yield* Fiber.join(fiber))
    expect(error.reason._tag).toBe("ConnectionError")
    expect(error.isRetryable).toBe(true)
    expect(
      error.message.replaceAll(db.settings.database, "shop").replace(/\S+:\d+/, "db:5432")
    ).toMatchInlineSnapshot(`
      "terminating connection due to administrator command (SQLSTATE 57P01 admin_shutdown)
      The server is shutting down, or an administrator ended the connection. What was not committed is undone; run it again.
      Server: "shop" on db:5432
      Statement:
        select pg_sleep(60), $1::text"
    `)
    expect(yield* pgdb.select("select 1 as n")).toEqual([{ n: 1 }])
  }).pipe(Effect.provide(PoolRegistry.layer()))
)

it.live(
  "the connection is cut in the middle of a statement: its outcome is not known, and it is not worth another try",
  () =>
    Effect.gen(function* () {
      const db = yield* database()
      const network = yield* proxy(db.settings)
      const pgdb = PG.make({ ...db.settings, ...network.address, maxConnections: 1 })
      const fiber = yield* Effect.forkChild(
        Effect.flip(pgdb.select("select pg_sleep(60), $1::text", ["hunter2"]))
      )
      // Described is not yet run: what is cut then is sent again.
      yield* db.until("it runs", (sessions) => sessions.some(({ waitEvent }) => waitEvent === "PgSleep"))
      yield* network.cut
      const error = sqlError(yield* Fiber.join(fiber))
      expect(error.reason._tag).toBe("ConnectionError")
      expect(error.isRetryable).toBe(false)
      expect(
        error.message.replaceAll(db.settings.database, "shop").replace(/127\.0\.0\.1:\d+/, "db:5432")
      ).toMatchInlineSnapshot(`
        "The connection to "shop" on db:5432 was lost while the statement was under way (it was closed).
        Whether the statement took effect is not known: repeat it only if that does no harm.
        Statement:
          select pg_sleep(60), $1::text"
      `)
      expect(yield* pgdb.select("select 1 as n")).toEqual([{ n: 1 }])
    }).pipe(Effect.provide(PoolRegistry.layer()))
)

it("a lost connection: the error says why, and only a statement that reads is worth another try", () => {
  const reset = lostError({ farewell: undefined, cause: system("ECONNRESET", "read") }, false, update)
  expect(reset.reason._tag).toBe("ConnectionError")
  expect(reset.reason.cause).toHaveProperty("code", "ECONNRESET")
  expect(reset.isRetryable).toBe(false)
  expect(reset.message).toMatchInlineSnapshot(`
    "The connection to db.internal:5432/shop was lost while the statement was under way (ECONNRESET).
    Whether the statement took effect is not known: repeat it only if that does no harm.
    Statement:
      update users set name = $1"
  `)
  const read = lostError({ farewell: undefined, cause: undefined }, true, { ...shop, text: "select 1" })
  expect(read.isRetryable).toBe(true)
  expect(read.message).toMatchInlineSnapshot(`
    "The connection to db.internal:5432/shop was lost while the statement was under way (it was closed).
    Statement:
      select 1"
  `)
  const garbled = new Error("a message out of turn: CopyBothResponse")
  expect(lostError({ farewell: undefined, cause: garbled }, false, update).message).toContain(
    "(its messages could not be understood: a message out of turn: CopyBothResponse)"
  )
})

it("a statement that was not sent says so, and is worth another try", () => {
  const error = unsentError(update)
  expect(error.reason._tag).toBe("ConnectionError")
  expect(error.isRetryable).toBe(true)
  expect(error.message).toMatchInlineSnapshot(`
    "The connection to db.internal:5432/shop was already closed; the statement was not sent.
    Statement:
      update users set name = $1"
  `)
})

it("what the server said before it closed the connection is the error", () => {
  const farewell = {
    severity: "FATAL",
    code: "57P01",
    message: "terminating connection due to administrator command"
  }
  const error = serverError(farewell, { text: "select 1", server: "localhost:5432/shop" })
  expect(error.reason._tag).toBe("ConnectionError")
  expect(error.isRetryable).toBe(true)
  expect(error.message).toMatchInlineSnapshot(`
    "terminating connection due to administrator command (SQLSTATE 57P01 admin_shutdown)
    The server is shutting down, or an administrator ended the connection. What was not committed is undone; run it again.
    Server: localhost:5432/shop
    Statement:
      select 1"
  `)
})

it.live(
  "a value that cannot be read: the error names its column and says whether the statement took effect",
  () =>
    Effect.gen(function* () {
      const { settings, witness } = yield* database()
      yield* witness.query("create table counters (n int8)")
      const past = "9007199254740993"
      const read = yield* failing(settings, "select $1::int8 as total", [past])
      expect(read.reason._tag).toBe("UnknownError")
      expect(read.isRetryable).toBe(false)
      expect(read.message).not.toContain(past)
      expect(read.message).toMatchInlineSnapshot(`
        "The value of column "total" holds an int8 past ±(2^53−1), which a number cannot hold exactly. Set int8: "bigint" or "string", or cast the value to text.
        Statement:
          select $1::int8 as total"
      `)
      const write = yield* failing(settings, "insert into counters values ($1) returning n", [past])
      expect(write.isRetryable).toBe(false)
      expect(write.message).toContain("\nThe statement took effect.\n")
      expect(yield* witness.query("select n::text from counters")).toEqual([{ n: past }])
      const inCause = unreadableError(
        new UnreadableValue("The value of column n is odd."),
        undefined,
        update,
        read
      )
      expect(inCause.message).toContain("The value of column n is odd.\n")
    })
)

it("what the package itself found out about a connection keeps its words", () => {
  const late = new LinkProblem("Opening a connection took longer than connectTimeout, 5000 ms", {
    cause: Object.assign(new Error("timed out"), { code: "ETIMEDOUT" })
  })
  expect(connectError(late, shop).message).toBe(
    "Could not connect to db.internal:5432/shop: opening a connection took longer than connectTimeout, 5000 ms (ETIMEDOUT).\n" +
      "Check the settings host and port and what filters traffic on the way, or raise connectTimeout."
  )
  const problem = connectError(new AuthenticationProblem("the server asks for a password", "Set one."), shop)
  expect(problem.reason._tag).toBe("AuthenticationError")
  expect(problem.message).toBe(
    "Could not connect to db.internal:5432/shop: the server asks for a password.\nSet one."
  )
})

it("an error of a connection never shows a password that the statement sets", () => {
  const about: About = { ...update, text: "alter role ann password 'hunter2'" }
  for (const error of [
    lostError({ farewell: undefined, cause: undefined }, false, about),
    unsentError(about),
    unreadableError(new UnreadableValue("The value is odd."), tookEffect, about),
    connectError(new LinkProblem("No."), about)
  ]) {
    expect(error.message).not.toContain("hunter2")
    expect(String(error)).toBe(`SqlError: ${error.message}`)
  }
})
