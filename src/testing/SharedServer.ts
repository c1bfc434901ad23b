/**
 * The embedded server that all test processes of a machine share: started by the first, kept by `Keeper.ts`, ended with the
 * last.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { createHash } from "node:crypto"
import * as Fs from "node:fs/promises"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Errors from "../embedded/EmbeddedPostgresError.ts"
import { checked, type EmbeddedPostgresOptions } from "../embedded/Options.ts"
import type { ServerSettings } from "../embedded/Server.ts"

/** The keeper's answer: where its server is, or why there is none. */
type Answer =
  | { readonly server: Omit<ServerSettings, "password"> & { readonly password: string } }
  | { readonly message: string; readonly reason: Errors.Reason }

/** Many small databases, which are worth neither a flush to the disk nor an autovacuum. */
const quick = { max_connections: 200, autovacuum: false, fsync: false, full_page_writes: false }

const isSource = import.meta.url.endsWith(".ts")
/** Beside this module in the sources, below it in the package. */
const keeper = fileURLToPath(new URL(isSource ? "./Keeper.ts" : "./testing/Keeper.js", import.meta.url))

/** A folder of this user's alone, in which others could not have put a socket of their own. */
const folder = Effect.gen(function* () {
  const user = process.getuid?.()
  const path = Path.resolve(Os.tmpdir(), `effect-global-pool-testing-${user ?? 0}`)
  const about = yield* Effect.tryPromise({
    try: async () => {
      await Fs.mkdir(path, { recursive: true, mode: 0o700 })
      return await Fs.lstat(path)
    },
    catch: (cause) =>
      Errors.startFailed(`The folder ${path} for the server's socket cannot be made.`, { cause })
  })
  const isOwn = about.isDirectory() && about.uid === user && (about.mode & 0o077) === 0
  if (user !== undefined && !isOwn)
    return yield* Errors.startFailed(`The folder ${path} for the server's socket is open to other users.`)
  return path
})

/** The keeper's answer, as long as the scope is open; `undefined` when there is no keeper. */
const attach = (name: string): Effect.Effect<string | undefined, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<{ readonly socket: Net.Socket; readonly text: string | undefined }>((resume) => {
        const socket = Net.connect(name).setEncoding("utf8")
        let text = ""
        socket.on("error", () => undefined)
        socket.on("close", () => resume(Effect.succeed({ socket, text: undefined })))
        socket.on("data", (chunk) => {
          text += chunk
          if (text.endsWith("\n")) resume(Effect.succeed({ socket: socket.unref(), text }))
        })
      }),
      ({ socket }) => Effect.sync(() => socket.destroy())
    ),
    ({ text }) => text
  )

/** Finds the server of these options, or has it started. It stays while a scope of any process holds it. */
export const start = Effect.fnUntraced(function* (
  options: EmbeddedPostgresOptions
): Effect.fn.Return<ServerSettings, Errors.EmbeddedPostgresError, Scope.Scope> {
  const { password, serverSettings, ...others } = options
  // With a whole path, so that two folders with a `dataDir` of one name do not have one server.
  const { dataDir, startTimeout } = yield* checked(options)
  const input = JSON.stringify({
    ...others,
    dataDir,
    ...(password === undefined
      ? {}
      : { password: Redacted.isRedacted(password) ? Redacted.value(password) : password }),
    serverSettings: { ...quick, ...serverSettings }
  })
  const hash = createHash("sha256")
    .update(input)
    .update(import.meta.url)
    .digest("hex")
    .slice(0, 16)
  const isPipe = process.platform === "win32"
  const name = isPipe ? `\\\\.\\pipe\\effect-global-pool-${hash}` : Path.join(yield* folder, `${hash}.sock`)
  let child: ChildProcess | undefined
  let complaints = ""
  const launch = Effect.sync(() => {
    // What runs TypeScript here runs it there too.
    child = spawn(process.execPath, [...(isSource ? process.execArgv : []), keeper, name], {
      stdio: ["pipe", "ignore", "pipe"],
      detached: true
    })
    child.on("error", (error) => {
      complaints += error.message
    })
    child.stderr?.on("data", (chunk) => {
      complaints += chunk
    })
    child.stdin?.on("error", () => undefined).end(input)
    child.unref()
  })
  const look = Effect.gen(function* () {
    const answer = yield* attach(name)
    if (answer !== undefined) return answer
    const code = child?.exitCode
    if (code !== undefined && code !== null && code !== 0) {
      return yield* Errors.startFailed("The process that keeps the server could not be started.", {
        log: complaints
      })
    }
    if (code !== null) yield* isPipe ? launch : Effect.andThen(folder, launch)
    return undefined
  })
  const found = yield* look.pipe(
    Effect.repeat({ schedule: Schedule.spaced("20 millis"), until: (answer) => answer !== undefined }),
    Effect.timeoutOrElse({
      duration: startTimeout,
      orElse: () =>
        Effect.fail(Errors.startFailed("The server was not ready within startTimeout.", { log: complaints }))
    }),
    Effect.provideService(Clock.Clock, Clock.Clock.defaultValue())
  )
  child?.stderr?.destroy()
  const answer: Answer = JSON.parse(found ?? "")
  if ("reason" in answer) return yield* new Errors.EmbeddedPostgresError(answer)
  return { ...answer.server, password: Redacted.make(answer.server.password) }
})
