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

const memory = { folder: "/dev/shm", enough: 2 * 2 ** 30 }

/**
 * Where data go that are the server's alone: into memory where there is room, unless `TMPDIR` names another folder. To make
 * a database is to make hundreds of files, which takes most disks ten times as long.
 */
const quickFolder = (): string | undefined => {
  if (process.env.TMPDIR !== undefined) return undefined
  try {
    const { bavail, bsize } = Fs.statfsSync(memory.folder)
    return bavail * bsize < memory.enough ? undefined : memory.folder
  } catch {
    return undefined
  }
}

/** Tells a socket's file from another one that came into its place. */
const identityOf = (path: string): string => {
  const found = Fs.statSync(path, { bigint: true, throwIfNoEntry: false })
  return found === undefined ? "" : `${found.ino} ${found.mtimeNs}`
}

const isPipe = process.platform === "win32"
/** The socket's first name; it gets the one that others look for when it listens, so that nobody finds it deaf. */
const ownName = isPipe ? name : Path.join(Path.dirname(name), String(process.pid))

/** Where another process has the name, or has just removed the folder, this one ends, and is started again if need be. */
const listen = (server: Net.Server): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE" || !(isPipe || Fs.existsSync(Path.dirname(name)))) process.exit()
      reject(error)
    })
    server.listen(ownName, resolve)
  })

/** After `rmSync` of a socket Node 20 would not follow links any more where it looks for packages. */
const remove = (path: string): void => {
  try {
    Fs.unlinkSync(path)
  } catch {
    // It is gone.
  }
}

/** Takes the name away from a process that was killed, and from no other. */
const takeAway = (stale: string): void => {
  if (identityOf(name) !== stale) return
  const aside = `${ownName}.old`
  try {
    Fs.renameSync(name, aside)
    if (identityOf(aside) !== stale) Fs.linkSync(aside, name)
  } catch {
    // Another one was quicker.
  }
  remove(aside)
}

/** `false` when another process has the name. */
const claim = (): Promise<boolean> =>
  new Promise((resolve, reject) => {
    Fs.link(ownName, name, (error) => {
      if (error === null) return resolve(true)
      if (error.code !== "EEXIST") return reject(error)
      const found = identityOf(name)
      const other = Net.connect(name, () => resolve(false))
      other.once("error", ({ code }: NodeJS.ErrnoException) => {
        if (code === "ECONNREFUSED") takeAway(found)
        resolve(claim())
      })
    })
  })

/** Ends; the name is given up last, so that the next process finds the data free. */
const leave = (own: string): void => {
  if (isPipe || identityOf(name) !== own) process.exit()
  remove(name)
  Fs.rmdir(Path.dirname(name), () => process.exit())
}

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
  await listen(server)
  const own = isPipe ? "" : identityOf(ownName)
  const isKeeper = isPipe || (await claim())
  if (!isPipe) remove(ownName)
  if (!isKeeper) process.exit()
  const [Effect, Exit, Redacted, Scope, { start }] = await Promise.all([
    import("effect/Effect"),
    import("effect/Exit"),
    import("effect/Redacted"),
    import("effect/Scope"),
    import("../embedded/Server.ts")
  ])
  const scope = Scope.makeUnsafe()
  end = () => {
    answer = undefined
    return Effect.runPromise(Scope.close(scope, Exit.void)).then(() => leave(own))
  }
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.once(signal, end)
  const started = await Effect.runPromise(Effect.result(Scope.provide(start(options, quickFolder()), scope)))
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
