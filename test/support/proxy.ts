/**
 * A TCP proxy on loopback between a client and the server: it counts what goes through, and is a bad network when a
 * test asks for one.
 */
import * as Net from "node:net"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

export interface Address {
  readonly host: string
  readonly port: number
}

export interface Proxy {
  /** Where clients connect to: spread it over the server's settings. */
  readonly address: Address
  /** Connections that are open now. */
  readonly open: () => number
  /** Connections opened so far. */
  readonly opened: () => number
  /** The most connections that were open at one time. */
  readonly peak: () => number
  /** How often the server answered after a client had spoken; opening a connection takes some of them. */
  readonly roundTrips: () => number
  readonly bytes: () => { readonly toServer: number; readonly toClient: number }
  /** Everything that clients have sent so far, as text of one byte a character. */
  readonly sent: () => string
  /** Delays what follows, each way. */
  readonly delay: (latency: Duration.Input) => Effect.Effect<void>
  /** Ends every open connection at once, without a word. */
  readonly cut: Effect.Effect<void>
  /** Lets nothing through in either direction until `resume`; connections stay open, and new ones are accepted. */
  readonly pause: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
  /** Lets nothing more through on the connections that are open, as a firewall that lost its state; new ones work. */
  readonly freeze: Effect.Effect<void>
  /** Refuses new connections until `accept`; the open ones stay. */
  readonly refuse: Effect.Effect<void>
  readonly accept: Effect.Effect<void>
}

interface Counts {
  opened: number
  peak: number
  roundTrips: number
  toServer: number
  toClient: number
}

/** Hands chunks on, late by the latency of the moment and never out of order. */
const pipe = (
  from: Net.Socket,
  to: Net.Socket,
  latency: () => number,
  onChunk: (chunk: Buffer) => void
): void => {
  const pass = (act: () => void) => {
    // A delay is what is being simulated here: nothing else could be awaited.
    if (latency() > 0) setTimeout(act, latency())
    else act()
  }
  from.on("data", (chunk: Buffer) => {
    onChunk(chunk)
    pass(() => to.write(chunk))
  })
  from.on("end", () => pass(() => to.end()))
  from.on("error", () => to.destroy())
  from.on("close", () => pass(() => to.destroy()))
}

const listen = (server: Net.Server, port: number): Effect.Effect<number> =>
  Effect.callback((resume) => {
    server.listen(port, "127.0.0.1", () => {
      const address = server.address()
      resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

/** Starts a proxy to the target; it ends with the scope, and its connections with it. */
export const proxy: (target: Address, latency?: Duration.Input) => Effect.Effect<Proxy, never, Scope.Scope> =
  Effect.fnUntraced(function* (target: Address, latency: Duration.Input = 0) {
    const counts: Counts = { opened: 0, peak: 0, roundTrips: 0, toServer: 0, toClient: 0 }
    const clients = new Map<Net.Socket, Net.Socket>()
    const sent: Array<string> = []
    let delay = Duration.toMillis(Duration.fromInputUnsafe(latency))
    let paused = false

    const server = Net.createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
      const upstream = Net.connect({ ...target, allowHalfOpen: true, noDelay: true })
      clients.set(client, upstream)
      counts.opened += 1
      counts.peak = Math.max(counts.peak, clients.size)
      let spoken = false
      pipe(
        client,
        upstream,
        () => delay,
        (chunk) => {
          spoken = true
          counts.toServer += chunk.length
          sent.push(chunk.toString("latin1"))
        }
      )
      pipe(
        upstream,
        client,
        () => delay,
        (chunk) => {
          counts.toClient += chunk.length
          if (spoken) counts.roundTrips += 1
          spoken = false
        }
      )
      client.on("close", () => clients.delete(client))
      if (paused) halt(client, upstream)
    })

    const halt = (...sockets: ReadonlyArray<Net.Socket>) => {
      for (const socket of sockets) socket.pause()
    }
    const everySocket = () => [...clients].flat()
    const cut = Effect.sync(() => {
      for (const socket of everySocket()) socket.destroy()
    })
    const refuse = Effect.sync(() => {
      server.close()
    })

    const port = yield* Effect.acquireRelease(listen(server, 0), () => Effect.andThen(refuse, cut))
    return {
      address: { host: "127.0.0.1", port },
      open: () => clients.size,
      opened: () => counts.opened,
      peak: () => counts.peak,
      roundTrips: () => counts.roundTrips,
      bytes: () => ({ toServer: counts.toServer, toClient: counts.toClient }),
      sent: () => sent.join(""),
      delay: (latency) =>
        Effect.sync(() => {
          delay = Duration.toMillis(Duration.fromInputUnsafe(latency))
        }),
      cut,
      pause: Effect.sync(() => {
        paused = true
        halt(...everySocket())
      }),
      resume: Effect.sync(() => {
        paused = false
        for (const socket of everySocket()) socket.resume()
      }),
      freeze: Effect.sync(() => halt(...everySocket())),
      refuse,
      accept: Effect.asVoid(listen(server, port))
    }
  })
