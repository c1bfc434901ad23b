/**
 * A process of its own that stands between client and server and delays what passes, each way, as a network would.
 *
 * Run with: the port of the server, the delay each way in milliseconds. Prints its own port.
 */
import * as net from "node:net"

const [serverPort = "5432", delay = "1"] = process.argv.slice(2)
const delayMillis = Number(delay)

interface Parcel {
  readonly due: number
  readonly chunk: Buffer | undefined
  readonly to: net.Socket
}

/** Parcels in order of arrival, which is the order in which they are due, since all wait equally long. */
const parcels: Array<Parcel> = []
let head = 0
let ticking = false

/** Timers are only good to a millisecond and run late: the loop spins for the last part of the delay. */
const tick = (): void => {
  const now = performance.now()
  while (head < parcels.length) {
    const parcel = parcels[head]
    if (parcel === undefined || parcel.due > now) break
    head++
    if (parcel.chunk === undefined) parcel.to.end()
    else parcel.to.write(parcel.chunk)
  }
  if (head === parcels.length) {
    parcels.length = 0
    head = 0
    ticking = false
  } else {
    setImmediate(tick)
  }
}

const post = (to: net.Socket, chunk: Buffer | undefined): void => {
  parcels.push({ due: performance.now() + delayMillis, chunk, to })
  if (!ticking) {
    ticking = true
    setImmediate(tick)
  }
}

const server = net.createServer({ noDelay: true }, (client) => {
  const upstream = net.connect({ port: Number(serverPort), host: "127.0.0.1", noDelay: true })
  for (const [from, to] of [
    [client, upstream],
    [upstream, client]
  ] as const) {
    from.on("data", (chunk: Buffer) => post(to, chunk))
    from.on("end", () => post(to, undefined))
    from.on("error", () => to.destroy())
    from.on("close", () => to.destroySoon())
  }
})

server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  if (typeof address === "object" && address !== null) process.stdout.write(`${address.port}\n`)
})
process.stdin.on("end", () => process.exit(0))
process.stdin.resume()
