/** A server that takes no more connections: its process is stopped, and those that wait for it are as many as the system lets wait. */
import { spawn } from "node:child_process"
import * as Net from "node:net"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

const script = `
  const server = require("node:net").createServer((socket) => socket.end())
  server.listen({ host: process.argv[1], port: Number(process.argv[2]), backlog: 1 }, () => {
    console.log(server.address().port)
  })`

export interface Deaf {
  readonly port: number
  /** From now on it takes those that wait, and ends them. */
  readonly wake: Effect.Effect<void>
}

/** Starts one on an address of this machine; it ends with the scope. */
export const deaf = (host: string, port = 0): Effect.Effect<Deaf, never, Scope.Scope> =>
  Effect.gen(function* () {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, ["-e", script, host, String(port)], { stdio: ["ignore", "pipe", "inherit"] })
      ),
      (child) => Effect.sync(() => void child.kill("SIGKILL"))
    )
    const own = yield* Effect.promise(
      () => new Promise<number>((resolve) => child.stdout.once("data", (text) => resolve(Number(text))))
    )
    child.kill("SIGSTOP")
    const connects = (socket: Net.Socket) =>
      Effect.promise<boolean>(
        () =>
          new Promise((resolve) => {
            socket.once("connect", () => resolve(true))
            setTimeout(() => resolve(false), 200)
          })
      )
    for (let isTaken = true; isTaken; ) {
      const socket = yield* Effect.acquireRelease(
        Effect.sync(() => Net.connect(own, host).on("error", () => undefined)),
        (socket) => Effect.sync(() => socket.destroy())
      )
      isTaken = yield* connects(socket)
    }
    return { port: own, wake: Effect.sync(() => void child.kill("SIGCONT")) }
  })
