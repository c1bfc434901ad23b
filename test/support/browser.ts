/** Debian's headless Chromium, where it is installed. */
import { execFile, spawnSync } from "node:child_process"
import * as Effect from "effect/Effect"

const names = ["chromium", "chromium-browser", "google-chrome"]

/** The browser's command; `undefined` where there is none. */
export const browser = names.find((name) => spawnSync(name, ["--version"]).status === 0)

/** Runs the browser on a page, with these arguments more, and gives what it printed. */
export const browse = (url: string, ...options: ReadonlyArray<string>): Effect.Effect<string> =>
  Effect.callback((resume) => {
    const fixed = [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--hide-scrollbars"
    ]
    const child = execFile(
      browser ?? "chromium",
      [...fixed, ...options, url],
      { maxBuffer: 2 ** 26, timeout: 50_000 },
      (error, stdout) => resume(error === null ? Effect.succeed(stdout) : Effect.die(error))
    )
    return Effect.sync(() => child.kill("SIGKILL"))
  })
