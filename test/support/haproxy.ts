/** An HAProxy of its own before one or several servers, or other proxies. */
import { type ChildProcess, spawn } from "node:child_process"
import { writeFile } from "node:fs/promises"
import { createServer } from "node:http"
import { connect } from "node:net"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { findDaemon, freePort, kill } from "./daemon.ts"
import { eventually, type Witness } from "./database.ts"
import { folder } from "./folder.ts"
import type { Address } from "./proxy.ts"

const program = findDaemon("haproxy")

/** Whether there is one on this machine. */
export const hasHaproxy = program !== undefined

export interface Haproxy {
  readonly address: Address
  /** Starts another one that takes the port over; the first serves what it has until that ends. */
  readonly reload: Effect.Effect<void>
  /** Ends it and all that goes through it at once, and starts it again. */
  readonly restart: Effect.Effect<void>
}

/** A server behind it: `more` are words of its line. */
export interface Backend extends Address {
  readonly more?: string
}

const answers = ({ host, port }: Address) =>
  Effect.callback<boolean>((resume) => {
    const socket = connect(port, host)
    const done = (isOpen: boolean) => {
      socket.destroy()
      resume(Effect.succeed(isOpen))
    }
    socket.once("connect", () => done(true))
    socket.once("error", () => done(false))
  })

/** Starts one with lines of its own for the servers. */
export const haproxy = (
  backends: ReadonlyArray<Backend>,
  lines: ReadonlyArray<string> = []
): Effect.Effect<Haproxy, never, Scope.Scope> =>
  Effect.gen(function* () {
    const file = join(yield* folder(), "haproxy.cfg")
    const address = { host: "127.0.0.1", port: yield* freePort }
    const text = [
      "defaults",
      "  mode tcp",
      "  timeout connect 1s",
      "  timeout client 30s",
      "  timeout server 30s",
      "listen postgres",
      `  bind 127.0.0.1:${address.port}`,
      ...lines.map((line) => `  ${line}`),
      ...backends.map(({ host, more = "", port }, index) => `  server server${index} ${host}:${port} ${more}`)
    ]
    yield* Effect.promise(() => writeFile(file, `${text.join("\n")}\n`))
    const children: Array<ChildProcess> = []
    const run = (...more: ReadonlyArray<string>) =>
      Effect.sync(() => {
        children.push(spawn(program ?? "haproxy", ["-db", "-f", file, ...more], { stdio: "ignore" }))
      })
    const stop = Effect.suspend(() => Effect.forEach(children.splice(0), kill, { discard: true }))
    const isUp = eventually("HAProxy is up", answers(address), (isOpen) => isOpen)
    yield* Effect.acquireRelease(run(), () => stop)
    yield* isUp
    return {
      address,
      reload: Effect.suspend(() => run("-sf", ...children.map(({ pid }) => String(pid)))),
      restart: Effect.orDie(Effect.andThen(Effect.andThen(stop, run()), isUp))
    }
  }).pipe(Effect.orDie)

/** Says by HTTP whether a server is a primary, as an agent beside it does; gives words for its line in HAProxy. */
export const primaryCheck = ({ query }: Witness): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<ReturnType<typeof createServer>>((resume) => {
      const server = createServer((_, response) => {
        Effect.runFork(
          query("select pg_is_in_recovery() as standby").pipe(
            Effect.match({
              onFailure: () => 503,
              onSuccess: ([row]) => (row?.standby === false ? 200 : 503)
            }),
            Effect.map((status) => response.writeHead(status).end())
          )
        )
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
  ).pipe(
    Effect.map((server) => {
      const address = server.address()
      const port = typeof address === "object" ? address?.port : undefined
      return `check port ${port} inter 100ms fall 1 rise 1 on-marked-down shutdown-sessions`
    })
  )
