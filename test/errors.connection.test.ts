/**
 * What a person reads when there is no connection, or no longer: where it was to go, why not, what to do; and which of
 * these failures may be tried again.
 */
import * as Net from "node:net"
import { Duplex } from "node:stream"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { ConnectionError, SqlError, UnknownError } from "effect/sql/SqlError"
import { PoolError } from "../src/PoolError.ts"
import { tell } from "../src/ServerError.ts"
import { database, eventually, server } from "./support/database.ts"
import { teller, unreachable } from "./support/telling.ts"

/** A socket that gives the driver this error instead of a connection. */
const broken = (code: string) => () =>
  new Duplex({
    read: () => undefined,
    write: () => undefined,
    construct: (done) =>
      done(Object.assign(new Error(`connect ${code} 10.0.0.1:5432`), { code, syscall: "connect" }))
  })

/** A server that answers every question for TLS with no. */
const withoutTls = () => {
  const server: Duplex = new Duplex({
    read: () => undefined,
    write: (_chunk, _encoding, done) => {
      server.push("N")
      done()
    }
  })
  return server
}

it.effect("nothing listens, no such host, no answer, no socket file", () =>
  Effect.gen(function* () {
    const messages: Array<string> = []
    for (const code of [
      "ECONNREFUSED",
      "ENOTFOUND",
      "EAI_AGAIN",
      "ETIMEDOUT",
      "EHOSTUNREACH",
      "ECONNRESET",
      "EPIPE"
    ]) {
      const error = yield* unreachable(
        server(),
        { server: "db.internal:5432/shop" },
        { stream: broken(code) }
      )
      expect(error.reason._tag).toBe("ConnectionError")
      expect(error.isRetryable).toBe(true)
      expect(error.reason.cause).toHaveProperty("code", code)
      messages.push(error.message)
    }
    const path = yield* unreachable(
      server(),
      { server: "/nowhere/.s.PGSQL.5432/shop" },
      { path: "/nowhere/.s.PGSQL.5432" }
    )
    expect(messages.concat(path.message).join("\n\n")).toMatchInlineSnapshot(`
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

      Could not connect to db.internal:5432/shop: the connection broke off (ECONNRESET).

      Could not connect to db.internal:5432/shop: the connection broke off (EPIPE).

      Could not connect to /nowhere/.s.PGSQL.5432/shop: there is no such socket (ENOENT).
      Check the setting path, and that the server runs."
    `)
  })
)

it.effect("a certificate that nobody vouches for, and a server without TLS", () =>
  Effect.gen(function* () {
    const untrusted = yield* unreachable(
      server(),
      { server: "db.internal:5432/shop" },
      { stream: broken("DEPTH_ZERO_SELF_SIGNED_CERT") }
    )
    expect(untrusted.message).toMatchInlineSnapshot(`
      "The TLS certificate of db.internal:5432/shop was not accepted (DEPTH_ZERO_SELF_SIGNED_CERT).
      Give the authority that signed it, ssl: { ca }, and connect to a name that it is made out to."
    `)
    const plain = yield* unreachable(
      server(),
      { server: "db.internal:5432/shop" },
      { ssl: true, stream: withoutTls }
    )
    expect(plain.message).toMatchInlineSnapshot(`
      "db.internal:5432/shop does not speak TLS.
      Set ssl: false, or turn TLS on at the server."
    `)
  })
)

it.effect(
  "a database that does not exist names those that were perhaps meant, and is not worth another try",
  () =>
    Effect.gen(function* () {
      const settings = { ...server(), database: "shpo" }
      const near = yield* unreachable(settings, {
        server: "localhost:5432/shpo",
        databases: ["postgres", "shop", "blog"]
      })
      expect(near.reason._tag).toBe("ConnectionError")
      expect(near.isRetryable).toBe(false)
      expect(near.message).toMatchInlineSnapshot(`
        "database "shpo" does not exist (SQLSTATE 3D000 invalid_catalog_name)
        Did you mean "shop"?
        Server: localhost:5432/shpo"
      `)
      const far = yield* unreachable(
        { ...settings, database: "inventory" },
        { databases: ["postgres", "shop"] }
      )
      expect(far.message).toContain('The server has "postgres", "shop".')
    })
)

it.effect("a connection that cannot be had is not the fault of the statement that needed it", () =>
  Effect.gen(function* () {
    const settings = { ...server(), database: "shpo" }
    const error = yield* unreachable(settings, {
      server: "db:5432/shpo",
      text: "select $1",
      params: ["shpo"]
    })
    expect(error.message).toBe(
      'database "shpo" does not exist (SQLSTATE 3D000 invalid_catalog_name)\nServer: db:5432/shpo'
    )
  })
)

it.effect("a role that does not exist", () =>
  Effect.gen(function* () {
    const error = yield* unreachable({ ...server(), username: "nobody_here" })
    expect(error.reason._tag).toBe("AuthenticationError")
    expect(error.isRetryable).toBe(false)
    expect(error.message).toContain('"nobody_here"')
  })
)

it.effect("too many connections", () =>
  Effect.gen(function* () {
    const db = yield* database()
    yield* db.witness.query(`alter database "${db.settings.database}" connection limit 0`)
    const role = `guest_${db.settings.database}`
    yield* Effect.acquireRelease(
      db.witness.query(`create role ${role} login password 'x' connection limit 0`),
      () => Effect.orDie(db.witness.query(`drop role ${role}`))
    )
    const error = yield* unreachable(
      { ...db.settings, username: role, password: "x" },
      { server: "localhost:5432/shop" }
    )
    expect(error.reason._tag).toBe("ConnectionError")
    expect(error.isRetryable).toBe(true)
    expect(error.message.replaceAll(db.settings.database, "shop")).toMatchInlineSnapshot(`
      "too many connections for role "guest_shop" (SQLSTATE 53300 too_many_connections)
      Lower maxConnections of the pools that use this server, or raise max_connections of the server.
      Server: localhost:5432/shop"
    `)
  })
)

it.effect("the server ends the connection in the middle of a statement", () =>
  Effect.gen(function* () {
    const db = yield* database()
    const pg = yield* teller(db.settings)
    const fiber = yield* Effect.forkChild(pg.failing("select pg_sleep(60)"))
    yield* eventually(
      "it is terminated",
      db.witness.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query like 'select pg_sleep%'"
      ),
      (rows) => rows.length > 0
    )
    const error = yield* Fiber.join(fiber)
    expect(error.reason._tag).toBe("ConnectionError")
    expect(error.isRetryable).toBe(true)
    expect(error.message).toMatchInlineSnapshot(`
      "The connection to localhost:5432/shop was lost while the statement was under way (it was closed).
      Whether the statement took effect is not known: repeat it only if that does no harm.
      Statement:
        select pg_sleep(60)"
    `)
    const next = yield* pg.failing("select 1")
    expect(next.reason._tag).toBe("ConnectionError")
  })
)

it.effect("the connection is cut in the middle of a statement", () =>
  Effect.gen(function* () {
    const db = yield* database()
    let socket: Net.Socket | undefined
    const pg = yield* teller(db.settings, {
      stream: () => {
        socket = Net.connect(db.settings.port, db.settings.host)
        return socket
      }
    })
    const fiber = yield* Effect.forkChild(pg.failing("select pg_sleep(60), $1", ["hunter2"]))
    yield* db.until("it runs", (sessions) =>
      sessions.some(({ query }) => query.startsWith("select pg_sleep"))
    )
    socket?.destroy(Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET", syscall: "read" }))
    const error = yield* Fiber.join(fiber)
    expect(error.reason._tag).toBe("ConnectionError")
    expect(error.message).toMatchInlineSnapshot(`
      "The connection to localhost:5432/shop was lost while the statement was under way (ECONNRESET).
      Whether the statement took effect is not known: repeat it only if that does no harm.
      Statement:
        select pg_sleep(60), $1"
    `)
    const next = yield* pg.failing("select 1")
    expect(next.reason._tag).toBe("ConnectionError")
  })
)

it("what the server said before it closed the connection", () => {
  const lost = new SqlError({
    reason: new ConnectionError({
      cause: new Error("Connection closed"),
      message: "PgConnection: Connection closed"
    })
  })
  const farewell = {
    severity: "FATAL",
    code: "57P01",
    message: "terminating connection due to administrator command"
  }
  const error = tell(lost, { text: "select 1", server: "localhost:5432/shop", farewell })
  expect(error.isRetryable).toBe(true)
  expect(error.message).toMatchInlineSnapshot(`
    "terminating connection due to administrator command (SQLSTATE 57P01 admin_shutdown)
    The server is shutting down, or an administrator ended the connection. What was not committed is undone; run it again.
    Server: localhost:5432/shop
    Statement:
      select 1"
  `)
})

it("an error that is neither the server's nor the socket's keeps what is constant in it", () => {
  const error = new SqlError({
    reason: new UnknownError({
      cause: new Error("boom: hunter2"),
      message: "PgClient: Odd: hunter2",
      operation: "query"
    })
  })
  expect(tell(error, { text: "select $1", params: ["hunter2"] }).message).toMatchInlineSnapshot(`
    "The statement failed: Odd.
    Statement:
      select $1"
  `)
})

it("what the package itself found out keeps its words", () => {
  const own = (operation: string, message: string, cause: unknown) =>
    tell(new SqlError({ reason: new ConnectionError({ cause, message, operation }) }), {
      text: "update users set name = $1",
      params: ["hunter2"],
      server: "db:5432/shop"
    })
  const fatal = Object.assign(new Error("terminating connection"), { severity: "FATAL", code: "57P01" })
  expect(own("commit", "It is unknown whether the transaction took effect: look first.", fatal).message).toBe(
    "It is unknown whether the transaction took effect: look first."
  )
  expect(own("query", "The value is past the largest safe integer.", undefined).message).toBe(
    "The value is past the largest safe integer.\nStatement:\n  update users set name = $1"
  )
  const late = Object.assign(new Error("Opening took longer than connectTimeout, 5000 ms"), {
    code: "ETIMEDOUT"
  })
  expect(own("connect", "Opening a connection timed out", late).message).toBe(
    "Could not connect to db:5432/shop: opening took longer than connectTimeout, 5000 ms (ETIMEDOUT).\n" +
      "Check the settings host and port and what filters traffic on the way, or raise connectTimeout."
  )
  const refused = Object.assign(new Error("connect"), { code: "ECONNREFUSED", syscall: "connect" })
  expect(own("connect", "The connection could not be opened", refused).message).toContain(
    "nothing listens there (ECONNREFUSED)"
  )
  const pool = new PoolError({ reason: { _tag: "StatementRefused" }, message: "No." })
  expect(own("acquire", "No.", pool).reason.cause).toBe(pool)
})

it("an error that was told is told once", () => {
  const error = new SqlError({ reason: new UnknownError({ cause: undefined }) })
  const told = tell(error, { text: "select 1" })
  expect(tell(told, { text: "select 2" })).toBe(told)
})
