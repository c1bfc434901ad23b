/**
 * Ends a server and removes its directory should this process die without doing so: nothing inside a process can act
 * after SIGKILL, so the guard is a small shell of its own.
 */
import { type ChildProcess, spawn } from "node:child_process"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** The variables that a child process needs of ours, without those that would change how Postgres behaves (`PG…`, `LANG`). */
export const environment = (): NodeJS.ProcessEnv => {
  const kept = ["PATH", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SystemRoot", "TEMP", "TMP"]
  const own = Object.fromEntries(
    kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]))
  )
  return { ...own, LC_ALL: "C" }
}

export interface Guard {
  /** From now on the guard ends this process, in place of the one it watched before, with this signal first. */
  readonly watch: (child: ChildProcess, signal: NodeJS.Signals | undefined) => void
}

/**
 * The shell's program. It reads which process to end and by which signal, a line each time that changes, for as long
 * as we live: the pipe closes when we are gone, whatever the reason. A last line `done` says that there is nothing to do.
 * A process that has ended and that nobody collects (a container's first process often does not) counts as ended.
 */
const script = `
while read -r pid signal; do watched=$pid gently=$signal; done
[ "$watched" = done ] && exit 0
alive() { kill -0 "$watched" 2>/dev/null && ! grep -qs ") Z " "/proc/$watched/stat"; }
if [ -n "$watched" ]; then
  for signal in "$gently" QUIT KILL; do
    kill -"$signal" "$watched" 2>/dev/null
    tries=0
    while alive && [ "$tries" -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
  done
fi
rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }
`

/** A guard of the directory for as long as the scope lives. On Windows it does nothing. */
export const guard = (directory: string): Effect.Effect<Guard, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        if (process.platform === "win32") return undefined
        const shell = spawn("/bin/sh", ["-c", script, "guard", directory], {
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
      watch: (child, signal = "SIGTERM") => {
        if (child.pid !== undefined) shell?.stdin.write(`${child.pid} ${signal.slice("SIG".length)}\n`)
      }
    })
  )
