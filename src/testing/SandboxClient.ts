/**
 * A client of a sandbox, which may be any program that speaks Postgres's protocol: the server's side of its start-up, and
 * the messages that it sends from then on, in a queue until it is its turn.
 */
import { Buffer } from "node:buffer"
import { randomInt, timingSafeEqual } from "node:crypto"
import type * as Net from "node:net"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as MessageReader from "../protocol/MessageReader.ts"
import type { BackendKey } from "../protocol/Session.ts"
import * as Messages from "./Messages.ts"

export interface Client {
  readonly socket: Net.Socket
  readonly key: BackendKey
  /** Settings that its session is to have. */
  readonly settings: ReadonlyMap<string, string>
  /** What it has sent; at its end when the client has left. */
  readonly messages: Queue.Queue<Buffer, Cause.Done>
}

export interface Host {
  readonly database: string
  readonly password: string
  /** What the server reports of itself. */
  readonly reported: ReadonlyMap<string, string>
  readonly onClient: (client: Client) => void
  /** Cancels what the client of this key runs, and calls back. */
  readonly onCancel: (key: BackendKey, onPassed: () => void) => void
}

const codes = { cancel: 80_877_102, ssl: 80_877_103, encryption: 80_877_104 }
const notSettings = new Set(["user", "database", "replication", "options"])
const option = /(?:-c\s*|--)([\w.-]+)=((?:\\.|\S)*)/g

const settingsOf = (pairs: ReadonlyArray<string>): ReadonlyMap<string, string> => {
  const settings = new Map<string, string>()
  for (let at = 0; at + 1 < pairs.length; at += 2) {
    const [name, value] = [pairs[at]!, pairs[at + 1]!]
    if (!notSettings.has(name)) settings.set(name, value)
    for (const [, key = "", text = ""] of name === "options" ? value.matchAll(option) : []) {
      settings.set(key.replaceAll("-", "_"), text.replaceAll(/\\(.)/g, "$1"))
    }
  }
  return settings
}

const valueOf = (pairs: ReadonlyArray<string>, name: string): string | undefined => {
  const at = pairs.findIndex((text, index) => index % 2 === 0 && text === name)
  return at < 0 ? undefined : pairs[at + 1]
}

const isSame = (left: string, right: string): boolean =>
  left.length === right.length && timingSafeEqual(Buffer.from(left), Buffer.from(right))

/** Takes a client in once it has said who it is. */
export const accept = (socket: Net.Socket, host: Host): void => {
  const messages = Effect.runSync(Queue.unbounded<Buffer, Cause.Done>())
  let beginning = Buffer.alloc(0)
  let settings: ReadonlyMap<string, string> | undefined
  let isIn = false

  const welcome = (password: string): void => {
    if (!isSame(password, host.password)) {
      socket.end(Messages.error("28P01", "password authentication failed", "", "FATAL"))
      return
    }
    isIn = true
    const key = { pid: randomInt(1, 2 ** 31), secret: randomInt(1, 2 ** 31) }
    socket.cork()
    socket.write(Messages.message("R", Messages.int32(0)))
    for (const [name, value] of host.reported) {
      socket.write(Messages.message("S", Messages.cString(name), Messages.cString(value)))
    }
    socket.write(Messages.message("K", Messages.int32(key.pid), Messages.int32(key.secret)))
    socket.write(Messages.message("Z", Buffer.from("I")))
    socket.uncork()
    host.onClient({ socket, key, settings: settings ?? new Map(), messages })
  }

  const reader = MessageReader.make((_type, bytes, start, end) => {
    const message = bytes.subarray(start - 5, end)
    const type = Messages.typeOf(message)
    if (type === "X") socket.end()
    else if (isIn) Queue.offerUnsafe(messages, message)
    else if (type === "p") welcome(Messages.texts(message, 1)[0][0] ?? "")
  })
  reader.limit(MessageReader.sessionLimit)

  /** What comes before the first message with a type: a request for encryption, a cancel, or who the client is. */
  const begin = (chunk: Buffer): void => {
    beginning = Buffer.concat([beginning, chunk])
    while (settings === undefined && beginning.length >= 8 && beginning.length >= beginning.readInt32BE(0)) {
      const packet = beginning.subarray(0, beginning.readInt32BE(0))
      beginning = beginning.subarray(packet.length)
      const code = packet.readInt32BE(4)
      if (code === codes.cancel) {
        const key = { pid: packet.readInt32BE(8), secret: packet.readInt32BE(12) }
        host.onCancel(key, () => socket.end())
      } else if (code === codes.ssl || code === codes.encryption) socket.write("N")
      else {
        const pairs = Messages.texts(packet, Number.POSITIVE_INFINITY, 8)[0]
        settings = settingsOf(pairs)
        const database = valueOf(pairs, "database") ?? valueOf(pairs, "user") ?? ""
        if (database !== host.database) {
          socket.end(Messages.error("3D000", `database "${database}" does not exist`, "", "FATAL"))
          return
        }
        socket.write(Messages.message("R", Messages.int32(3)))
        reader.push(beginning)
      }
    }
  }

  socket.on("data", (chunk: Buffer) => {
    try {
      if (settings === undefined) begin(chunk)
      else reader.push(chunk)
    } catch {
      socket.destroy()
    }
  })
  socket.on("error", () => socket.destroy())
  for (const event of ["end", "close"]) socket.on(event, () => Queue.endUnsafe(messages))
}
