/**
 * Processes as effects: one that runs to its end, one that lives as long as a scope.
 *
 * All of them get a session of their own: Ctrl-C in a terminal signals everything in the foreground, and the server
 * must outlive the pool that is being closed.
 */
import { type ChildProcess, spawn } from "node:child_process"
import * as Fs from "node:fs"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"
import { startFailed } from "./EmbeddedPostgresError.ts"
import { environment, type Guard } from "./Guard.ts"
import type { Identity } from "./Identity.ts"

export interface Command {
  readonly file: string
  readonly args: ReadonlyArray<string>
  readonly identity: Identity | undefined
  /** A folder that the user may enter. */
  readonly cwd: string
}

/** A process, and the moment when it and what it started have ended, with the reason if it did not even start. */
interface Child {
  readonly process: ChildProcess
  readonly closed: Promise<NodeJS.ErrnoException | undefined>
}

const start = (command: Command, output: "pipe" | number): Child => {
  const child = spawn(command.file, command.args, {
    ...command.identity,
    cwd: command.cwd,
    env: environment(),
    stdio: ["ignore", output, output],
    detached: true,
    windowsHide: true
  })
  const closed = new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
    child.once("close", () => resolve(undefined))
    child.on("error", resolve)
  })
  return { process: child, closed }
}

const hints: Readonly<Record<string, string>> = {
  ENOENT: " Its binaries need a system with glibc, which Alpine Linux is not.",
  EACCES: " Is its folder mounted noexec? TMPDIR names another one."
}

const couldNotRun = (command: Command, cause: NodeJS.ErrnoException | undefined): EmbeddedPostgresError =>
  startFailed(`${command.file} could not be run.${hints[cause?.code ?? ""] ?? ""}`, { cause })

const hasEnded = (child: ChildProcess): boolean =>
  child.pid === undefined || child.exitCode !== null || child.signalCode !== null

/** Signals to end a process with, one after the other, each with the time it has before the next. */
export type Signals = ReadonlyArray<readonly [signal: NodeJS.Signals, patience: Duration.Input]>

const send = (child: ChildProcess, signal: NodeJS.Signals): void => {
  // What is killed cannot end what it started: the whole group is.
  if (signal === "SIGKILL" && child.pid !== undefined && process.platform !== "win32")
    process.kill(-child.pid, signal)
  else child.kill(signal)
}

const end = Effect.fnUntraced(function* (child: Child, signals: Signals) {
  child.process.ref()
  for (const [signal, patience] of signals) {
    if (!hasEnded(child.process)) send(child.process, signal)
    const closed = yield* Effect.timeoutOption(
      Effect.promise(() => child.closed),
      patience
    )
    if (Option.isSome(closed)) return
  }
})

/** A statement that failed during set-up may be the one with the password. */
const withoutStatements = (log: string): string => log.replace(/^.*STATEMENT: .*(\n\t.*)*\n?/gm, "")

/**
 * Runs a process to its end and gives what it wrote; fails unless it exits with 0. Interrupting sends it the signals
 * and waits for it.
 */
export const run = (
  command: Command,
  options: { readonly guard: Guard; readonly what: string; readonly signals: Signals }
): Effect.Effect<string, EmbeddedPostgresError> =>
  Effect.callback((resume) => {
    const child = start(command, "pipe")
    options.guard.watch(child.process, options.signals[0]?.[0])
    let output = ""
    const collect = (chunk: Buffer) => {
      output += chunk.toString("utf8")
    }
    child.process.stdout?.on("data", collect)
    child.process.stderr?.on("data", collect)
    child.closed.then((error) => {
      if (error !== undefined) resume(Effect.fail(couldNotRun(command, error)))
      else if (child.process.exitCode === 0) resume(Effect.succeed(output))
      else resume(Effect.fail(startFailed(options.what, { log: withoutStatements(output) })))
    })
    return end(child, options.signals)
  })

/** A process that lives until its scope closes. */
export interface Running {
  readonly pid: number
  /** Whether it ended on its own. */
  readonly ended: () => boolean
}

/**
 * Starts a process that writes to the file `log`, and ends it with the scope. It does not keep Node's event loop alive.
 */
export const supervise = Effect.fnUntraced(function* (
  command: Command,
  options: { readonly log: string; readonly guard: Guard; readonly signals: Signals }
): Effect.fn.Return<Running, EmbeddedPostgresError, Scope.Scope> {
  const child = yield* Effect.acquireRelease(
    Effect.try({
      try: () => {
        const log = Fs.openSync(options.log, "a")
        const child = start(command, log)
        Fs.closeSync(log)
        options.guard.watch(child.process, options.signals[0]?.[0])
        child.process.unref()
        return child
      },
      catch: (cause) => startFailed(`${command.file} could not be run.`, { cause })
    }),
    (child) => end(child, options.signals)
  )
  const { pid } = child.process
  if (pid !== undefined) return { pid, ended: () => hasEnded(child.process) }
  return yield* couldNotRun(command, yield* Effect.promise(() => child.closed))
})
