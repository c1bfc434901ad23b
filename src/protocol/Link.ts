/**
 * The way to a server: a socket that is connected, and encrypted where that is asked for.
 */
import { ADDRCONFIG } from "node:dns"
import { lookup } from "node:dns/promises"
import * as Net from "node:net"
import { setTimeout } from "node:timers"
import * as PgProtocol from "@effect/sql-pg/PgProtocol"
import * as Effect from "effect/Effect"
import { certificateHash } from "./CertificateHash.ts"
import type { Attempt, Encryption } from "./Encryption.ts"
import * as Encryptions from "./Encryption.ts"
import * as Incoming from "./Incoming.ts"
import { LinkProblem } from "./LinkProblem.ts"

/** Where a server listens. */
export interface Address {
  /** Its name, which a certificate and the password file go by; for a Unix socket its folder. */
  readonly host: string
  readonly port: number
  /** The address to connect to in place of the name. */
  readonly address: string | undefined
  /** The file of its Unix socket. */
  readonly path: string | undefined
}

export interface Link {
  readonly socket: Net.Socket
  readonly incoming: Incoming.Incoming
  readonly isEncrypted: boolean
  /** Nobody between here and the server can read what is sent. */
  readonly isPrivate: boolean
  /** What SCRAM can bind to. */
  readonly certificateHash: Buffer | undefined
}

export interface Options {
  /** The first of those of the encryption, unless given. */
  readonly attempt?: Attempt
  /** After so many milliseconds without traffic the system begins to probe the link; `Infinity` for never. */
  readonly keepAlive?: number
  /** Takes the socket when it begins to connect: the caller may be interrupted before it is given the link. */
  readonly sockets?: Array<Net.Socket>
  /** Takes the address that was connected to, whatever comes of it. */
  readonly reached?: Set<string> | undefined
}

const discard = (socket: Net.Socket): void => {
  socket.on("error", () => undefined)
  socket.destroy()
}

/** Closes what is still open of these sockets, without a word. */
export const discardAll = (sockets: ReadonlyArray<Net.Socket>): Effect.Effect<void> =>
  Effect.sync(() => sockets.forEach(discard))

/** What a server has done that ends a connection without a word. */
export const closedEarly = "The server closed the connection while it was being opened"

/** Waits for one of the socket's events and its argument. Interruption and failure destroy the socket. */
const until = (
  socket: Net.Socket,
  event: string,
  what: string,
  isOfTls = false
): Effect.Effect<unknown, LinkProblem> =>
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
      settle(Effect.fail(new LinkProblem(what, { cause, isOfTls })))
    }
    const closed = () => settle(Effect.fail(new LinkProblem(closedEarly, { isOfTls })))
    socket.once(event, done)
    socket.once("error", failed)
    socket.once("close", closed)
    return Effect.sync(() => discard(socket))
  })

const unreachable = (cause: unknown) => new LinkProblem("The server cannot be reached", { cause })

/** The addresses of a server's name, in the order of the system. */
export const addressesOf = (name: string): Effect.Effect<ReadonlyArray<string>, LinkProblem> =>
  Effect.map(
    Effect.tryPromise({
      // As `net` looks names up: without addresses of a family that this machine does not have.
      try: () => lookup(name, { all: true, hints: process.platform === "win32" ? 0 : ADDRCONFIG }),
      catch: unreachable
    }),
    (found) => found.map(({ address }) => address)
  )

/** Whether names are looked up here: Cloudflare and Deno do that themselves, and may have granted access to a name alone. */
const looksUp = (): boolean => !Incoming.isCloudflare() && !("deno" in process.versions)

/** The families by turns, beginning with the first, as RFC 8305 section 4 has it. */
const byTurns = (addresses: ReadonlyArray<string>): ReadonlyArray<string> => {
  const isFirst = (address: string) => Net.isIP(address) === Net.isIP(addresses[0] ?? "")
  const [first, second] = [addresses.filter(isFirst), addresses.filter((address) => !isFirst(address))]
  return addresses
    .flatMap((_, index) => [first[index], second[index]])
    .filter((address) => address !== undefined)
}

/** So long an address is tried alone (RFC 8305, section 5). */
const headStartMillis = 250

/**
 * Connects to one of several places: each is tried when the one before it has failed, or has taken a while, and the first that
 * connects is taken. Node's own `autoSelectFamily` gives an address up when the next one begins. The error is that of the first.
 */
const connectAny = (
  places: ReadonlyArray<Net.NetConnectOpts>,
  { reached, sockets = [] }: Options
): Effect.Effect<Net.Socket, LinkProblem> =>
  Effect.callback((resume) => {
    const trying = new Set<Net.Socket>()
    let next = 0
    let failure: LinkProblem | undefined
    let timer: NodeJS.Timeout | undefined
    const stop = () => {
      clearTimeout(timer)
      trying.forEach(discard)
      trying.clear()
    }
    const tryNext = () => {
      clearTimeout(timer)
      const place = places[next++]
      if (place === undefined) return resume(Effect.fail(failure ?? unreachable(undefined)))
      const socket = Net.connect(place)
      sockets.push(socket)
      trying.add(socket)
      // An error closes the socket, which its users notice. Without a listener it would end the process.
      socket.on("error", (cause) => {
        if (!trying.delete(socket)) return
        failure ??= unreachable(cause)
        if (next < places.length || trying.size === 0) tryNext()
      })
      socket.once("connect", () => {
        if (!trying.delete(socket)) return
        stop()
        if ("host" in place && place.host !== undefined) reached?.add(place.host)
        resume(Effect.succeed(socket))
      })
      if (next < places.length) timer = setTimeout(tryNext, headStartMillis)
    }
    tryNext()
    return Effect.sync(stop)
  })

const connect = (
  { address, host, path, port }: Address,
  options: Options,
  reading: { readonly onread?: Net.OnReadOpts }
): Effect.Effect<Net.Socket, LinkProblem> => {
  if (path !== undefined) return connectAny([{ path, ...reading }], options)
  const { keepAlive = Number.POSITIVE_INFINITY } = options
  const known = address ?? (Net.isIP(host) > 0 ? host : undefined)
  const probes = keepAlive < Number.POSITIVE_INFINITY
  const found = known !== undefined || !looksUp() ? Effect.succeed([known ?? host]) : addressesOf(host)
  return Effect.flatMap(found, (hosts) =>
    connectAny(
      byTurns(hosts).map((host) => ({
        host,
        port,
        noDelay: true,
        keepAlive: probes,
        ...(probes ? { keepAliveInitialDelay: keepAlive } : {}),
        ...reading
      })),
      options
    )
  )
}

const offered = 0x53
const declined = 0x4e

/** Asks for TLS; the server answers with one byte. More than one would be bytes that an attacker put in between (CVE-2021-23222). */
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

const noDirect = () =>
  Encryptions.wrong(
    "The server does not take TLS without being asked, and sslnegotiation is direct",
    "That needs Postgres 17. Leave sslnegotiation out for an older server."
  )

/** Takes what a socket emits: that of TLS, or one of a platform that cannot read into the one buffer. */
const listenTo = (socket: Net.Socket, incoming = Incoming.make()): Incoming.Incoming => {
  socket.on("data", (chunk: Buffer) => incoming.onChunk(chunk))
  return incoming
}

const encrypt = (
  tls: Encryptions.NodeTls,
  socket: Net.Socket,
  address: Address,
  encryption: Encryption
): Effect.Effect<Link, LinkProblem> =>
  Effect.flatMap(Encryptions.optionsOf(tls, encryption, address), (options) => {
    // It may have gone while files were read, and TLS would wait for it.
    if (socket.readyState !== "open") return Effect.fail(new LinkProblem(closedEarly, { isOfTls: true }))
    const encrypted = tls.connect({ ...options, socket })
    encrypted.on("error", () => undefined)
    return Effect.flatMap(until(encrypted, "secureConnect", "TLS failed", true), () => {
      if (encryption.negotiation === "direct" && encrypted.alpnProtocol !== Encryptions.protocol) {
        discard(encrypted)
        return Effect.fail(noDirect())
      }
      const certificate = encrypted.getPeerX509Certificate()?.raw
      return Effect.succeed({
        socket: encrypted,
        incoming: listenTo(encrypted),
        isEncrypted: true,
        isPrivate: true,
        certificateHash: certificate === undefined ? undefined : certificateHash(certificate)
      })
    })
  }).pipe(Effect.onError(() => Effect.sync(() => discard(socket))))

const isLoopback = (address: string | undefined): boolean =>
  address === undefined || address === "::1" || /^(?:::ffff:)?127\./.test(address)

const inTheClear = (socket: Net.Socket, incoming = listenTo(socket)): Link => ({
  socket,
  incoming,
  isEncrypted: false,
  isPrivate: isLoopback(socket.remoteAddress),
  certificateHash: undefined
})

const noTls = () =>
  Encryptions.wrong(
    "The server does not offer TLS, and the setting ssl or sslmode in url asks for it",
    "Set ssl: false or sslmode=disable, or turn TLS on at the server."
  )

/** Opens a link. The caller owns its socket. */
export const open = (
  address: Address,
  encryption: Encryption,
  options: Options = {}
): Effect.Effect<Link, LinkProblem> => {
  const { attempt = Encryptions.attemptsOf(encryption, address)[0] } = options
  if (attempt === "plain") {
    const incoming = Incoming.make()
    return Effect.map(connect(address, options, Incoming.intoOneBuffer(incoming)), (socket) =>
      inTheClear(socket, listenTo(socket, incoming))
    )
  }
  // Loaded before the server is asked: nobody listens to the socket between its answer and the encryption.
  return Effect.flatMap(Encryptions.nodeTls, (tls) =>
    Effect.flatMap(connect(address, options, {}), (socket) => {
      if (encryption.negotiation === "direct") return encrypt(tls, socket, address, encryption)
      return Effect.flatMap(negotiate(socket), (answer) => {
        if (answer === offered) return encrypt(tls, socket, address, encryption)
        if (attempt === "offered") return Effect.succeed(inTheClear(socket))
        discard(socket)
        return Effect.fail(noTls())
      })
    })
  )
}

/** The address that a link is connected to, which a name may not stand for any more later. */
export const peerOf = ({ socket }: Link, address: Address): Address =>
  address.path === undefined && socket.remoteAddress !== undefined
    ? { ...address, address: socket.remoteAddress }
    : address

/** Waits until a socket is closed on both sides, which a server does when its process for it has ended. */
export const closed = (socket: Net.Socket): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (socket.closed) return resume(Effect.void)
    const done = () => resume(Effect.void)
    socket.once("close", done)
    return Effect.sync(() => socket.off("close", done))
  })

/** How long the server may take to end a session until its socket is cut off, one with temporary tables to drop for instance. */
const lingerMillis = 30_000
/** The same for a server that said goodbye by itself: one that died there is not waited for long. */
const farewellMillis = 1_000

/** Cuts a socket off that the server has not closed in time. Neither the socket nor its timer keeps the process from ending. */
const cutOffAfter = (socket: Net.Socket, patience: number): void => {
  if (socket.closed) return
  socket.unref()
  const timer = setTimeout(() => socket.destroy(), patience)
  timer.unref()
  socket.once("close", () => clearTimeout(timer))
}

/** Leaves a socket to a server that said goodbye, which closes it when it has put the session away. */
export const leave = (socket: Net.Socket): void => cutOffAfter(socket, farewellMillis)

/** Waits until the server has closed a socket that was ended. */
export const gone = (socket: Net.Socket, patience = lingerMillis): Effect.Effect<void> =>
  Effect.suspend(() => {
    cutOffAfter(socket, patience)
    return closed(socket)
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
