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
  /** Delays what follows, each way; by more or less than that by up to `jitter`. */
  readonly delay: (latency: Duration.Input, jitter?: Duration.Input) => Effect.Effect<void>
  /** Lets so many bytes a second through to each client; `Infinity` all. */
  readonly throttle: (bytes: number) => Effect.Effect<void>
  /** Lets so many bytes more through to the clients that are there now, each, and then ends their connections. */
  readonly cutAfter: (bytes: number) => Effect.Effect<void>
  /** Ends every open connection by a reset. */
  readonly reset: Effect.Effect<void>
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

/** Hands chunks on, late by the latency of the moment, no faster than the rate (bytes a second), and never out of order. */
const pipe = (
  from: Net.Socket,
  to: Net.Socket,
  latency: () => number,
  rate: () => number,
  onChunk: (chunk: Buffer) => Buffer
): void => {
  const late: Array<() => void> = []
  let free = 0
  const pass = (act: () => void, length = 0) => {
    const now = performance.now()
    const at = Math.max(free, now + latency())
    free = at + (1_000 * length) / rate()
    if (at <= now && late.length === 0) return act()
    late.push(act)
    // A delay is what is being simulated here: nothing else could be awaited.
    setTimeout(() => late.shift()?.(), at - now)
  }
  from.on("data", (chunk: Buffer) => {
    const passed = onChunk(chunk)
    // What a slow link takes in a fiftieth of a second.
    const step = Math.max(1, Math.min(passed.length, Math.ceil(rate() / 50)))
    for (let at = 0; at < passed.length; at += step) {
      const part = passed.subarray(at, at + step)
      pass(() => to.write(part), part.length)
    }
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
    let spread = 0
    let paused = false
    let rate = Number.POSITIVE_INFINITY
    const latencyNow = () => Math.max(0, delay + spread * (2 * Math.random() - 1))
    /** What is still let through to a client. */
    const allowances = new Map<Net.Socket, number>()

    const server = Net.createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
      const upstream = Net.connect({ ...target, allowHalfOpen: true, noDelay: true })
      clients.set(client, upstream)
      counts.opened += 1
      counts.peak = Math.max(counts.peak, clients.size)
      let spoken = false
      pipe(
        client,
        upstream,
        latencyNow,
        () => Number.POSITIVE_INFINITY,
        (chunk) => {
          spoken = true
          counts.toServer += chunk.length
          sent.push(chunk.toString("latin1"))
          return chunk
        }
      )
      pipe(
        upstream,
        client,
        latencyNow,
        () => rate,
        (chunk) => {
          counts.toClient += chunk.length
          if (spoken) counts.roundTrips += 1
          spoken = false
          const allowance = allowances.get(client)
          if (allowance === undefined) return chunk
          allowances.set(client, allowance - chunk.length)
          if (chunk.length >= allowance) setImmediate(() => client.end(() => client.destroy()))
          return chunk.subarray(0, Math.max(0, allowance))
        }
      )
      client.on("close", () => {
        clients.delete(client)
        allowances.delete(client)
      })
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
      delay: (latency, jitter = 0) =>
        Effect.sync(() => {
          delay = Duration.toMillis(Duration.fromInputUnsafe(latency))
          spread = Duration.toMillis(Duration.fromInputUnsafe(jitter))
        }),
      throttle: (bytes) =>
        Effect.sync(() => {
          rate = bytes
        }),
      cutAfter: (bytes) =>
        Effect.sync(() => {
          for (const client of clients.keys()) allowances.set(client, bytes)
        }),
      cut,
      reset: Effect.sync(() => {
        for (const socket of everySocket()) socket.resetAndDestroy()
      }),
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
