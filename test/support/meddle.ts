/** A network that changes what a client says, or is cut by it. */
import * as Net from "node:net"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { TestServer } from "./server.ts"

/** The server behind it; `say` gets each chunk as text of one byte a character, and cuts the connection by `undefined`. */
export const meddle = (
  server: TestServer,
  say: (said: string) => string | undefined
): Effect.Effect<TestServer, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<Net.Server>((resume) => {
      const proxy = Net.createServer((client) => {
        const upstream = Net.connect(server.port, server.host)
        client.on("data", (chunk) => {
          const text = say(chunk.toString("latin1"))
          if (text === undefined) client.destroy()
          else upstream.write(Buffer.from(text, "latin1"))
        })
        upstream.pipe(client)
        for (const [one, other] of [
          [client, upstream],
          [upstream, client]
        ] as const) {
          one.on("error", () => other.destroy())
          one.on("close", () => other.destroy())
        }
      })
      proxy.listen(0, "127.0.0.1", () => resume(Effect.succeed(proxy)))
    }),
    (proxy) => Effect.sync(() => proxy.close())
  ).pipe(
    Effect.map((proxy) => {
      const address = proxy.address()
      return { ...server, host: "127.0.0.1", port: typeof address === "object" ? (address?.port ?? 0) : 0 }
    })
  )
