/** What poolers and proxies of a test share: a port that is free, and a process that ends. */
import type { ChildProcess } from "node:child_process"
import { existsSync } from "node:fs"
import { createServer } from "node:net"
import * as Effect from "effect/Effect"

/** The first of the folders for daemons in which there is such a program. */
export const findDaemon = (name: string): string | undefined =>
  ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
    .map((folder) => `${folder}/${name}`)
    .find((path) => existsSync(path))

export const freePort = Effect.callback<number>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" ? (address?.port ?? 0) : 0)))
  })
})

/** Kills a process, and waits until it is gone. */
export const kill = (child: ChildProcess | undefined): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null)
      return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    child.kill("SIGKILL")
  })
