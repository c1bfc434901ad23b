/**
 * A program as a process of its own, as a user runs it: what it prints, how it takes a signal, how it ends.
 */
import { spawn } from "node:child_process"
import { createRequire } from "node:module"
import * as Path from "node:path"
import { pathToFileURL } from "node:url"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { root, runnable } from "./build.ts"
import { eventually, NeverHeld } from "./database.ts"

export { root } from "./build.ts"

/** What the package's own scripts run TypeScript with. */
export const loader = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface Program {
  readonly pid: number
  readonly stdout: () => string
  readonly stderr: () => string
  /** Waits until it has printed this, and gives what the pattern matched; fails after 30 seconds, or when it has ended. */
  readonly prints: (pattern: string | RegExp) => Effect.Effect<RegExpMatchArray, NeverHeld>
  /** Sends a signal to the process alone, as `kill` does. */
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Sends a signal to the process and its children in its group, as Ctrl-C in a terminal does. */
  readonly signalGroup: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Waits for its end; fails after `patience`, 30 seconds unless given. */
  readonly exit: Effect.Effect<Ended, NeverHeld>
  readonly exitWithin: (patience: Duration.Input) => Effect.Effect<Ended, NeverHeld>
}

export interface ProgramOptions {
  readonly args?: ReadonlyArray<string>
  /** Added to this process's environment; `undefined` takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** The package's root unless given. */
  readonly cwd?: string
  /** The user to run as, for root to choose. */
  readonly uid?: number
  readonly gid?: number
  /** Node's own arguments, with which it runs the file as it stands and not built. */
  readonly node?: ReadonlyArray<string>
  /** Another `node` than the one that runs the tests. */
  readonly executable?: string
}

const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")

/**
 * Runs a TypeScript or JavaScript file of the package. The scope kills it, should it still run.
 */
export const program = (
  file: string,
  options: ProgramOptions = {}
): Effect.Effect<Program, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(async () => {
        const { args = [], env, cwd = root, node, executable = process.execPath, uid, gid } = options
        const path = Path.resolve(root, file)
        const started =
          node === undefined && path.endsWith(".ts")
            ? ["--enable-source-maps", await runnable(path)]
            : [...(node ?? []), path]
        const child = spawn(executable, [...started, ...args], {
          cwd,
          env: { ...process.env, TSX_TSCONFIG_PATH: Path.join(root, "tsconfig.json"), ...env },
          // A group of its own: a signal for the group must not reach the test runner.
          detached: true,
          stdio: ["pipe", "pipe", "pipe"],
          ...(uid === undefined ? {} : { uid }),
          ...(gid === undefined ? {} : { gid })
        })
        const output = { stdout: "", stderr: "" }
        child.stdout.on("data", (chunk: Buffer) => {
          output.stdout += chunk.toString("utf8")
        })
        child.stderr.on("data", (chunk: Buffer) => {
          output.stderr += chunk.toString("utf8")
        })
        child.on("error", (error) => {
          output.stderr += String(error)
        })
        // Not before all it has written is read.
        let closed = false
        child.on("close", () => {
          closed = true
        })
        return { child, output, isOver: () => closed }
      }),
      ({ child }) =>
        Effect.sync(() => {
          child.kill("SIGKILL")
        })
    ),
    ({ child, output, isOver }) => {
      const hasExited = () => child.exitCode !== null || child.signalCode !== null
      const ended = (): Ended => ({ code: child.exitCode, signal: child.signalCode })
      const exitWithin: Program["exitWithin"] = (patience) =>
        Effect.map(
          eventually(
            `${file} has ended`,
            Effect.sync(() => ({ over: isOver(), ...output })),
            ({ over }) => over,
            patience
          ),
          ended
        )
      return {
        pid: child.pid ?? 0,
        stdout: () => output.stdout,
        stderr: () => output.stderr,
        prints: (pattern) => {
          const expression = typeof pattern === "string" ? new RegExp(escape(pattern)) : pattern
          const what = `${file} prints ${expression}`
          let read: string | undefined
          // A process that is left behind may hold the pipes open: from the end on, one look that brings nothing new is the last.
          const look = Effect.sync(() => {
            const now = hasExited() ? output.stdout + output.stderr : undefined
            const over = isOver() || (now !== undefined && now === read)
            read = now
            return { match: expression.exec(output.stdout), over, ...output }
          })
          return eventually(what, look, ({ match, over }) => match !== null || over, "30 seconds").pipe(
            Effect.flatMap(({ match, ...seen }) =>
              match !== null
                ? Effect.succeed(match)
                : Effect.fail(new NeverHeld({ message: `Ended before ${what}: ${JSON.stringify(seen)}` }))
            )
          )
        },
        signal: (signal) => Effect.sync(() => void child.kill(signal)),
        signalGroup: (signal) => Effect.sync(() => void process.kill(-(child.pid ?? 0), signal)),
        exit: exitWithin("30 seconds"),
        exitWithin
      }
    }
  )
