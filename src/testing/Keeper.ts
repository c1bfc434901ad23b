/**
 * A process that keeps one embedded server for all test processes of a machine, and ends with the last of them: however they
 * end, their sockets close. It belongs to no terminal, so that Ctrl-C does not reach it.
 *
 * It is started with the name of its socket, and reads the server's options from its input. Of several that are started at
 * one time one gets the name, and the others end.
 */
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import type { EmbeddedPostgresOptions } from "../embedded/Options.ts"

const [, , name = ""] = process.argv
/** The process of the next test file starts a moment after the end of the last. */
const lingerMillis = 5_000

const optionsOf = async (): Promise<EmbeddedPostgresOptions> => {
  const chunks: Array<Buffer> = []
  for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk))
  return JSON.parse(Buffer.concat(chunks).toString())
}

/** `false` when another process has the name. */
const listen = (server: Net.Server): Promise<boolean> =>
  new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EADDRINUSE") return reject(error)
      const other = Net.connect(name, () => resolve(false))
      // A process that was killed has left the name behind.
      other.once("error", () => {
        Fs.rmSync(name, { force: true })
        resolve(listen(server))
      })
    })
    server.listen(name, () => resolve(true))
  })

const keep = async (): Promise<void> => {
  const options = await optionsOf()
  const sockets = new Set<Net.Socket>()
  let answer: string | undefined
  let end = (): unknown => process.exit()
  let timer: NodeJS.Timeout | undefined
  const linger = (): void => {
    clearTimeout(timer)
    if (sockets.size === 0 && answer !== undefined) timer = setTimeout(() => end(), lingerMillis)
  }
  const server = Net.createServer((socket) => {
    sockets.add(socket)
    socket.resume().on("error", () => undefined)
    socket.on("close", () => {
      sockets.delete(socket)
      linger()
    })
    linger()
    if (answer !== undefined) socket.write(answer)
  })
  if (!(await listen(server))) process.exit()
  const [Effect, Exit, Redacted, Scope, { start }] = await Promise.all([
    import("effect/Effect"),
    import("effect/Exit"),
    import("effect/Redacted"),
    import("effect/Scope"),
    import("../embedded/Server.ts")
  ])
  const scope = Scope.makeUnsafe()
  // The name is given up last, so that the next process finds the data free.
  end = () => {
    answer = undefined
    return Effect.runPromise(Scope.close(scope, Exit.void)).then(() => {
      Fs.rmSync(name, { force: true })
      Fs.rmdir(Path.dirname(name), () => process.exit())
    })
  }
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.once(signal, end)
  const started = await Effect.runPromise(Effect.result(Scope.provide(start(options), scope)))
  const told =
    started._tag === "Success"
      ? { server: { ...started.success, password: Redacted.value(started.success.password) } }
      : { message: started.failure.message, reason: started.failure.reason }
  answer = `${JSON.stringify(told)}\n`
  for (const socket of sockets) socket.write(answer)
  if (started._tag === "Failure") end()
  else linger()
}

keep()
