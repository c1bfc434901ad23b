/**
 * The way to a server: a socket that is connected, and encrypted where that is asked for.
 */
import * as Net from "node:net"
import * as Tls from "node:tls"
import * as PgProtocol from "@effect/sql-pg/PgProtocol"
import * as Effect from "effect/Effect"
import { certificateHash } from "./CertificateHash.ts"

/** Where a server listens. */
export type Address =
  | { readonly host: string; readonly port: number; readonly path?: undefined }
  | { readonly path: string }

/** How a link is encrypted. */
export interface Encryption {
  /** `"off"`, `"offered"` where the server offers it, or `"required"`. */
  readonly mode: "off" | "offered" | "required"
  readonly options: Tls.ConnectionOptions
}

export interface Link {
  readonly socket: Net.Socket
  readonly isEncrypted: boolean
  /** Nobody between here and the server can read what is sent. */
  readonly isPrivate: boolean
  /** What SCRAM can bind to. */
  readonly certificateHash: Buffer | undefined
}

/** Why there is no link. */
export class LinkProblem extends Error {
  override readonly name = "LinkProblem"
  /** Node's code, such as `ECONNREFUSED` or `ENOTFOUND`, where the system has one. */
  readonly code: string | undefined
  /** Trying again cannot help: the settings or the server have to change. */
  readonly isPermanent: boolean
  /** What to do about it, where more can be said than its code says. */
  readonly advice: string | undefined

  constructor(
    message: string,
    options: { readonly cause?: unknown; readonly isPermanent?: boolean; readonly advice?: string } = {}
  ) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    const { cause, isPermanent = false } = options
    this.code =
      typeof cause === "object" && cause !== null && "code" in cause && typeof cause.code === "string"
        ? cause.code
        : undefined
    this.isPermanent = isPermanent
    this.advice = options.advice
  }
}

/** An idle link is probed by the system after so many milliseconds. */
const keepAlive = 10_000

const discard = (socket: Net.Socket): void => {
  socket.on("error", () => undefined)
  socket.destroy()
}

/** Waits for one of the socket's events and its argument. Interruption and failure destroy the socket. */
const until = (socket: Net.Socket, event: string, what: string): Effect.Effect<unknown, LinkProblem> =>
  Effect.callback((resume) => {
    const settle = (result: Effect.Effect<unknown, LinkProblem>) => {
      socket.off(event, done)
      socket.off("error", failed)
      socket.off("close", closed)
      resume(result)
    }
    const done = (argument: unknown) => settle(Effect.succeed(argument))
    const failed = (cause: Error) => {
      discard(socket)
      settle(Effect.fail(new LinkProblem(what, { cause })))
    }
    const closed = () =>
      settle(Effect.fail(new LinkProblem("The server closed the connection while it was being opened")))
    socket.once(event, done)
    socket.once("error", failed)
    socket.once("close", closed)
    return Effect.sync(() => discard(socket))
  })

const connect = (address: Address): Effect.Effect<Net.Socket, LinkProblem> =>
  Effect.suspend(() => {
    const socket =
      address.path === undefined
        ? Net.connect({
            host: address.host,
            port: address.port,
            noDelay: true,
            keepAlive: true,
            keepAliveInitialDelay: keepAlive
          })
        : Net.connect({ path: address.path })
    return Effect.as(until(socket, "connect", "The server cannot be reached"), socket)
  })

const offered = 0x53
const declined = 0x4e

/** Asks for TLS; the server answers with one byte. More than one would be bytes from somebody in between (CVE-2021-23222). */
const negotiate = (socket: Net.Socket): Effect.Effect<number, LinkProblem> =>
  Effect.suspend(() => {
    socket.write(PgProtocol.encodeSslRequest())
    return Effect.flatMap(until(socket, "data", "The server cannot be reached"), (answer) => {
      const byte = answer instanceof Uint8Array && answer.length === 1 ? answer[0] : undefined
      if (byte === offered || byte === declined) return Effect.succeed(byte)
      discard(socket)
      return Effect.fail(
        new LinkProblem(
          "The server answered the request for TLS with something else; is it a Postgres server?"
        )
      )
    })
  })

const encrypt = (
  socket: Net.Socket,
  address: Address,
  options: Tls.ConnectionOptions
): Effect.Effect<Link, LinkProblem> =>
  Effect.suspend(() => {
    const host = address.path === undefined ? address.host : undefined
    const encrypted = Tls.connect({
      ...(host === undefined ? {} : { host }),
      ...(host !== undefined && Net.isIP(host) === 0 ? { servername: host } : {}),
      ...options,
      socket
    })
    return Effect.map(until(encrypted, "secureConnect", "TLS failed"), () => {
      const certificate = encrypted.getPeerX509Certificate()?.raw
      return {
        socket: encrypted,
        isEncrypted: true,
        isPrivate: true,
        certificateHash: certificate === undefined ? undefined : certificateHash(certificate)
      }
    })
  })

const isLoopback = (address: string | undefined): boolean =>
  address === undefined || address === "::1" || /^(?:::ffff:)?127\./.test(address)

const inTheClear = (socket: Net.Socket): Link => ({
  socket,
  isEncrypted: false,
  isPrivate: isLoopback(socket.remoteAddress),
  certificateHash: undefined
})

/** Opens a link. The caller owns its socket. */
export const open = (address: Address, { mode, options }: Encryption): Effect.Effect<Link, LinkProblem> =>
  Effect.flatMap(connect(address), (socket) => {
    // As in libpq, a socket of this machine's file system needs no encryption.
    if (mode === "off" || (address.path !== undefined && mode === "offered")) {
      return Effect.succeed(inTheClear(socket))
    }
    return Effect.flatMap(negotiate(socket), (answer) => {
      if (answer === offered) return encrypt(socket, address, options)
      if (mode === "offered") return Effect.succeed(inTheClear(socket))
      discard(socket)
      return Effect.fail(
        new LinkProblem("The server does not offer TLS, and the setting ssl asks for it", {
          isPermanent: true,
          advice: "Set ssl: false, or turn TLS on at the server."
        })
      )
    })
  })

/** Waits until a socket is closed on both sides, which a server does when its process for it has ended. */
export const closed = (socket: Net.Socket): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (socket.closed) return resume(Effect.void)
    const done = () => resume(Effect.void)
    socket.once("close", done)
    return Effect.sync(() => socket.off("close", done))
  })

/** Waits so long for the server to close its side of the link, then cuts it off. */
export const hangUp = (socket: Net.Socket, patience: number): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (socket.destroyed) return Effect.void
    socket.end()
    socket.resume()
    return Effect.andThen(
      Effect.timeoutOption(closed(socket), patience),
      Effect.sync(() => socket.destroy())
    )
  })
