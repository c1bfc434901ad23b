/**
 * Processes as effects: one that runs to its end, one that lives as long as a scope, and the guard that ends them
 * when this process is killed and cannot.
 *
 * All of them get a session of their own: Ctrl-C in a terminal signals everything in the foreground, and the server
 * must outlive the pool that is being closed.
 */
import { type ChildProcess, spawn } from "node:child_process"
import * as Fs from "node:fs"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"
import { startFailed } from "./EmbeddedPostgresError.ts"
import type { Identity } from "./Identity.ts"

export interface Command {
  readonly file: string
  readonly args: ReadonlyArray<string>
  readonly identity: Identity | undefined
  /** A folder that the user may enter. */
  readonly cwd: string
}

/** What a process needs from ours; nothing that would change how Postgres behaves (`PG…`, `LANG`). */
const environment = (): NodeJS.ProcessEnv => {
  const kept = ["PATH", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SystemRoot", "TEMP", "TMP"]
  const own = Object.fromEntries(
    kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]))
  )
  return { ...own, LC_ALL: "C" }
}

const start = (command: Command, output: "pipe" | number): ChildProcess =>
  spawn(command.file, command.args, {
    ...command.identity,
    cwd: command.cwd,
    env: environment(),
    stdio: ["ignore", output, output],
    detached: true,
    windowsHide: true
  })

const couldNotRun = (command: Command, cause: NodeJS.ErrnoException): EmbeddedPostgresError =>
  startFailed(
    `${command.file} could not be run.${cause.code === "ENOENT" ? " Its binaries need a system with glibc, which Alpine Linux is not." : ""}`,
    { cause }
  )

const hasEnded = (child: ChildProcess): boolean =>
  child.pid === undefined || child.exitCode !== null || child.signalCode !== null

const ended = (child: ChildProcess): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (hasEnded(child)) return resume(Effect.void)
    const onExit = () => resume(Effect.void)
    child.once("exit", onExit)
    return Effect.sync(() => child.off("exit", onExit))
  })

/** Sends one signal after the other, each once the one before had its time, until the process has ended. */
const end = Effect.fnUntraced(function* (
  child: ChildProcess,
  signals: ReadonlyArray<readonly [NodeJS.Signals, Duration.Input]>
) {
  child.ref()
  for (const [signal, patience] of signals) {
    if (hasEnded(child)) return
    child.kill(signal)
    yield* Effect.timeoutOption(ended(child), patience)
  }
})

/**
 * Runs a process to its end and gives what it wrote; fails unless it exits with 0. Interrupting asks the process to
 * stop and waits for it.
 */
export const run = Effect.fnUntraced(function* (command: Command, guard: Guard, what: string) {
  let child: ChildProcess | undefined
  let output = ""
  const collect = (chunk: Buffer) => {
    output += chunk.toString("utf8")
  }
  return yield* Effect.callback<string, EmbeddedPostgresError>((resume) => {
    child = start(command, "pipe")
    guard.watch(child)
    child.stdout?.on("data", collect)
    child.stderr?.on("data", collect)
    child.once("error", (cause) => resume(Effect.fail(couldNotRun(command, cause))))
    child.once("close", (code) =>
      resume(code === 0 ? Effect.succeed(output) : Effect.fail(startFailed(what, { log: output })))
    )
    return Effect.suspend(() =>
      child === undefined
        ? Effect.void
        : end(child, [
            ["SIGINT", "2 seconds"],
            ["SIGKILL", "2 seconds"]
          ])
    )
  })
})

/** A process that lives until its scope closes. */
export interface Running {
  readonly pid: number
  /** Whether it ended on its own. */
  readonly ended: () => boolean
}

/**
 * Starts a process that writes to the file `log`, and ends it with the scope: `signals` one after the other, each
 * with the time it has before the next. It does not keep Node's event loop alive.
 */
export const supervise = Effect.fnUntraced(function* (
  command: Command,
  options: {
    readonly log: string
    readonly guard: Guard
    readonly signals: ReadonlyArray<readonly [NodeJS.Signals, Duration.Input]>
  }
): Effect.fn.Return<Running, EmbeddedPostgresError, Scope.Scope> {
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const log = Fs.openSync(options.log, "a")
      const child = start(command, log)
      Fs.closeSync(log)
      options.guard.watch(child)
      child.unref()
      return child
    }),
    (child) => end(child, options.signals)
  )
  if (child.pid !== undefined) return { pid: child.pid, ended: () => hasEnded(child) }
  return yield* Effect.callback<never, EmbeddedPostgresError>((resume) => {
    child.once("error", (cause) => resume(Effect.fail(couldNotRun(command, cause))))
  })
})

/** Ends processes and removes a directory should this process die without doing so. */
export interface Guard {
  /** From now on the guard ends this process, in place of the one it watched before. */
  readonly watch: (child: ChildProcess) => void
}

/**
 * The guard's program. It reads the process to end, one number a line, for as long as we live: the pipe closes when
 * we are gone, whatever the reason. A last line `done` says that there is nothing to do.
 */
const guardScript = `
while read -r line; do watched=$line; done
[ "$watched" = done ] && exit 0
alive() { kill -0 "$watched" 2>/dev/null; }
if [ -n "$watched" ]; then
  for signal in INT QUIT KILL; do
    kill -"$signal" "$watched" 2>/dev/null
    tries=0
    while alive && [ "$tries" -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
  done
fi
rm -rf -- "$1"
`

/**
 * A guard for as long as the scope lives. It is a small shell of its own, since nothing inside this process
 * can act after SIGKILL. On Windows there is none.
 */
export const guard = (directory: string): Effect.Effect<Guard, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        if (process.platform === "win32") return undefined
        const shell = spawn("/bin/sh", ["-c", guardScript, "guard", directory], {
          cwd: "/",
          env: environment(),
          stdio: ["pipe", "ignore", "ignore"],
          detached: true
        })
        // Without a shell there is no guard, and everything else works.
        shell.on("error", () => {})
        shell.stdin.on("error", () => {})
        shell.unref()
        return shell
      }),
      (shell) => Effect.sync(() => shell?.stdin.end("done\n"))
    ),
    (shell) => ({
      watch: (child) => {
        if (child.pid !== undefined) shell?.stdin.write(`${child.pid}\n`)
      }
    })
  )
