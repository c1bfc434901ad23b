/**
 * Folders for tests, and what is left in them.
 */
import { readFileSync } from "node:fs"
import * as Fs from "node:fs/promises"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { eventually, type NeverHeld } from "./database.ts"

/** An empty folder that goes with the scope; everyone may enter it unless another mode is given. */
export const folder = (mode = 0o755): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const path = await Fs.realpath(await Fs.mkdtemp(Path.join(Os.tmpdir(), "test-")))
      await Fs.chmod(path, mode)
      return path
    }),
    (path) => Effect.promise(() => Fs.rm(path, { recursive: true, force: true }))
  )

/** The folder for temporary files of a test file and of what it starts. */
export class Temporary extends Context.Service<Temporary, { readonly path: string }>()("test/Temporary") {
  static readonly layer = Layer.effect(
    Temporary,
    Effect.gen(function* () {
      const path = yield* folder()
      const before = process.env.TMPDIR
      process.env.TMPDIR = path
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          if (before === undefined) delete process.env.TMPDIR
          else process.env.TMPDIR = before
        })
      )
      return { path }
    })
  )
}

/** What embedded servers have in a folder for temporary files, their binaries left out: those are shared and stay. */
export const tracesIn = (path: string): Effect.Effect<ReadonlyArray<string>> =>
  Effect.promise(async () =>
    (await Fs.readdir(path)).filter((name) => /^effect-global-pool-(?!embedded-postgres)/.test(name))
  )

/** The same for the folder of this test file. */
export const traces: Effect.Effect<ReadonlyArray<string>, never, Temporary> = Effect.flatMap(
  Temporary,
  ({ path }) => tracesIn(path)
)

/** Whether a process is there and runs; one that has ended and was not collected does not. */
export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    // It may end between the two.
    return process.platform !== "linux" || !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ")
  } catch {
    return false
  }
}

/** The process id of the server with this data directory. */
export const serverPid = (dataDir: string): Effect.Effect<number> =>
  Effect.promise(async () =>
    Number.parseInt(await Fs.readFile(Path.join(dataDir, "postmaster.pid"), "utf8"), 10)
  )

/** Waits for the one embedded server of this test file to have a process, and gives it. */
export const onlyServer: Effect.Effect<
  { readonly pid: number; readonly dataDir: string },
  NeverHeld,
  Temporary
> = Effect.gen(function* () {
  const { path } = yield* Temporary
  const look = Effect.gen(function* () {
    const [name = "none"] = yield* traces
    const dataDir = Path.join(path, name, "data")
    // While a directory is set up the file comes and goes.
    const pid = yield* Effect.catchDefect(serverPid(dataDir), () => Effect.succeed(Number.NaN))
    return { dataDir, pid }
  })
  return yield* eventually("the server has a process", look, ({ pid }) => pid > 0)
})

/** Waits until a server and its directory are gone. */
export const gone = (server: {
  readonly pid: number
  readonly dataDir: string
}): Effect.Effect<unknown, NeverHeld> =>
  eventually(
    "the server and its directory are gone",
    Effect.promise(async () => ({
      alive: isAlive(server.pid),
      files: await Fs.readdir(Path.dirname(server.dataDir)).catch(() => "none")
    })),
    ({ alive, files }) => !alive && files === "none"
  )
