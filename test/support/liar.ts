/** A server that says what a test has it say: the messages of the protocol, and bytes that are none. */
import * as Net from "node:net"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Address } from "./proxy.ts"

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value | 0)
  return bytes
}

/** A message of the server's: its letter and what it holds. */
export const message = (letter: string, ...parts: ReadonlyArray<Buffer | string | number>): Buffer => {
  const body = Buffer.concat(
    parts.map((part) =>
      typeof part === "number" ? int32(part) : typeof part === "string" ? Buffer.from(`${part}\0`) : part
    )
  )
  return Buffer.concat([Buffer.from(letter), int32(body.length + 4), body])
}

/** The same with another length than it has. */
export const lying = (letter: string, length: number, body = ""): Buffer =>
  Buffer.concat([Buffer.from(letter), int32(length), Buffer.from(body)])

export const ready = message("Z", Buffer.from("I"))
export const welcome = Buffer.concat([
  message("R", 0),
  message("S", "server_version", "18.0"),
  message("S", "client_encoding", "UTF8"),
  message("S", "DateStyle", "ISO, MDY"),
  message("K", 4711, 1234),
  ready
])

export const error = (severity: string, code: string, text: string): Buffer =>
  message("E", ...[`S${severity}`, `V${severity}`, `C${code}`, `M${text}`, ""].map((field) => field))

export interface Liar {
  readonly address: Address
  /** Connections that are open now. */
  readonly open: () => number
  readonly opened: () => number
  /** All that clients have said, as text of one byte a character. */
  readonly heard: () => string
}

/** What the server says when a client has said something for the n-th time (from 0); `undefined` ends the connection. */
export type Script = (turn: number, heard: Buffer, socket: Net.Socket) => Buffer | undefined

/** Starts such a server; it ends with the scope, and a connection that is silent for `patience` milliseconds at once. */
export const liar = (
  script: Script,
  patience?: number,
  at: Address = { host: "127.0.0.1", port: 0 }
): Effect.Effect<Liar, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<readonly [Net.Server, Liar]>((resume) => {
      const sockets = new Set<Net.Socket>()
      let opened = 0
      let heard = ""
      const server = Net.createServer({ noDelay: true }, (socket) => {
        let turn = 0
        opened++
        sockets.add(socket)
        socket.on("error", () => undefined)
        if (patience !== undefined) socket.setTimeout(patience, () => socket.end())
        socket.on("close", () => sockets.delete(socket))
        socket.on("data", (chunk) => {
          heard += chunk.toString("latin1")
          const answer = script(turn++, chunk, socket)
          if (answer === undefined) socket.end()
          else if (answer.length > 0) socket.write(answer)
        })
      })
      server.listen(at.port, at.host, () => {
        const address = server.address()
        const port = typeof address === "object" ? (address?.port ?? 0) : 0
        const liar = {
          address: { host: at.host, port },
          open: () => sockets.size,
          opened: () => opened,
          heard: () => heard
        }
        resume(Effect.succeed([server, liar]))
      })
    }),
    ([server]) => Effect.sync(() => server.close())
  ).pipe(Effect.map(([, liar]) => liar))
