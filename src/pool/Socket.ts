/**
 * A socket to the server, ready for the protocol: connected, and encrypted where the settings ask for it.
 *
 * The pool opens its own sockets instead of leaving that to the driver, because three promises hang on them: that a
 * closed connection is gone from the server before its place is given away, that a statement can be cancelled on a
 * connection that pipelines, and that no value of a type unknown so far is read as garbage (see `Wire.ts`).
 */

import * as Net from "node:net"
import * as Tls from "node:tls"
import * as PgProtocol from "@effect/sql-pg/PgProtocol"
import * as Effect from "effect/Effect"
import { ConnectionError, SqlError } from "effect/sql/SqlError"
import type { Checked } from "../settings/Settings.ts"

/** Settings that say where the server is and how to speak to it. */
export type Address = Pick<Checked, "host" | "port" | "path" | "ssl">

const failure = (cause: unknown): SqlError =>
  new SqlError({
    reason: new ConnectionError({
      cause,
      message: "The connection could not be opened",
      operation: "connect"
    })
  })

const offered = 0x53
const declined = 0x4e

const destroy = (socket: Net.Socket): void => {
  socket.on("error", () => undefined)
  socket.destroy()
}

/** Waits for one of the socket's events and its argument; an error or an early end fails. Interruption destroys the socket. */
const until = (socket: Net.Socket, event: string): Effect.Effect<unknown, SqlError> =>
  Effect.callback((resume) => {
    const settle = (result: Effect.Effect<unknown, SqlError>) => {
      socket.off(event, done)
      socket.off("error", failed)
      socket.off("close", ended)
      resume(result)
    }
    const done = (argument: unknown) => settle(Effect.succeed(argument))
    const failed = (cause: Error) => {
      destroy(socket)
      settle(Effect.fail(failure(cause)))
    }
    const ended = () =>
      settle(Effect.fail(failure(new Error("The server closed the connection while it was being opened"))))
    socket.once(event, done)
    socket.once("error", failed)
    socket.once("close", ended)
    return Effect.sync(() => destroy(socket))
  })

const connect = (address: Address): Effect.Effect<Net.Socket, SqlError> =>
  Effect.suspend(() => {
    const socket =
      address.path === undefined
        ? Net.connect({ host: address.host, port: address.port, noDelay: true, keepAlive: true })
        : Net.connect({ path: address.path })
    return Effect.as(until(socket, "connect"), socket)
  })

/** Asks for TLS; the server answers with one byte. More than one would be bytes from somebody in between. */
const negotiate = (socket: Net.Socket): Effect.Effect<number, SqlError> =>
  Effect.suspend(() => {
    socket.write(PgProtocol.encodeSslRequest())
    return Effect.flatMap(until(socket, "data"), (answer) => {
      const byte = answer instanceof Uint8Array && answer.length === 1 ? answer[0] : undefined
      if (byte === offered || byte === declined) return Effect.succeed(byte)
      destroy(socket)
      return Effect.fail(
        failure(
          new Error("The server answered the request for TLS with something else; is it a Postgres server?")
        )
      )
    })
  })

const encrypt = (socket: Net.Socket, address: Address): Effect.Effect<Net.Socket, SqlError> =>
  Effect.suspend(() => {
    const encrypted = Tls.connect({
      host: address.host,
      ...(Net.isIP(address.host) === 0 && !address.host.startsWith("/") ? { servername: address.host } : {}),
      ...(typeof address.ssl === "object" ? address.ssl : {}),
      // Whoever would do without TLS gains nothing by refusing a server that nobody vouches for; libpq does not either.
      ...(address.ssl === "prefer" ? { rejectUnauthorized: false } : {}),
      socket
    })
    return Effect.as(until(encrypted, "secureConnect"), encrypted)
  })

/**
 * Opens a socket. Fails with a `ConnectionError` whose cause is the system's error (`ECONNREFUSED`, `ENOTFOUND` …) or
 * the reason why there is no TLS. The caller owns the socket.
 */
export const open = (address: Address): Effect.Effect<Net.Socket, SqlError> => {
  if (address.ssl === false) return connect(address)
  return Effect.flatMap(connect(address), (socket) =>
    Effect.flatMap(negotiate(socket), (answer) => {
      if (answer === offered) return encrypt(socket, address)
      if (address.ssl === "prefer") return Effect.succeed(socket)
      destroy(socket)
      return Effect.fail(failure(new Error("The server does not offer TLS, and the setting ssl asks for it")))
    })
  )
}

/** Waits until both sides have closed the socket, which a server does when its process for it has ended. */
export const closed = (socket: Net.Socket): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (socket.closed) return resume(Effect.void)
    const done = () => resume(Effect.void)
    socket.once("close", done)
    return Effect.sync(() => socket.off("close", done))
  })

/**
 * Asks the server to cancel what the session of this key runs, and waits until it has passed the request on. `false` when
 * that took too long: the request may still arrive.
 */
export const cancel = (
  address: Address,
  key: { readonly pid: number; readonly secret: number }
): Effect.Effect<boolean> =>
  Effect.acquireRelease(open(address), (socket) => Effect.sync(() => destroy(socket)), {
    interruptible: true
  }).pipe(
    Effect.flatMap((socket) =>
      Effect.suspend(() => {
        socket.on("error", () => undefined)
        socket.resume()
        // The server ends it: one that we end, PgBouncer takes for a request given up.
        socket.write(PgProtocol.encodeCancelRequest(key))
        return closed(socket)
      })
    ),
    Effect.scoped,
    Effect.as(true),
    Effect.timeoutOrElse({ duration: 5_000, orElse: () => Effect.succeed(false) }),
    // Where no socket could be opened, nothing was sent.
    Effect.orElseSucceed(() => true)
  )
