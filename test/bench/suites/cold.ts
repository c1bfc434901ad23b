/** Cold start: a script of a few lines, from the start of its process to its first row, and to its end. */
import { spawn } from "node:child_process"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { pinned } from "../machine.ts"
import { median } from "../numbers.ts"
import type { Context } from "../run.ts"
import type { Suite } from "./Suite.ts"

const scripts = [
  ["effect-global-pool", "ours"],
  ["PgClient, submodule imports", "driver"],
  ["PgClient, barrel imports", "driverBarrel"],
  ["pg", "pg"],
  ["postgres", "postgres"],
  ["pg-promise", "pgPromise"],
  ["slonik", "slonik"],
  ["kysely", "kysely"],
  ["asyncpg", "python"]
] as const

interface Times {
  readonly firstRow: number
  readonly whole: number
}

/** Runs a script once. Milliseconds. */
const start = (context: Context, script: string): Promise<Times> =>
  new Promise((resolve, reject) => {
    const [program, file] =
      script === "python"
        ? [context.python ?? "python3", fileURLToPath(new URL("../python/cold.py", import.meta.url))]
        : [process.execPath, path.join(context.built, `test/bench/cold/${script}.js`)]
    const [command, args] = pinned(context.cores.load, program, [file])
    const startedAt = performance.now()
    let firstRow = Number.NaN
    let complaint = ""
    const child = spawn(command, args, {
      env: { ...process.env, BENCH_TARGET: JSON.stringify(context.target) },
      stdio: ["ignore", "pipe", "pipe"]
    })
    child.stdout.once("data", () => {
      firstRow = performance.now() - startedAt
    })
    child.stderr.on("data", (chunk: Buffer) => {
      complaint += chunk.toString()
    })
    child.once("error", reject)
    child.once("close", (code) =>
      code === 0 ? resolve({ firstRow, whole: performance.now() - startedAt }) : reject(new Error(complaint))
    )
  })

/** The medians of each script, the scripts in turns. Also the start-up ratio of the cost suite. */
export const coldStarts = async (
  context: Context,
  names: ReadonlyArray<string>,
  rounds: number
): Promise<ReadonlyMap<string, Times | string>> => {
  const found = new Map<string, Array<Times> | string>()
  for (let round = -1; round < rounds; round++) {
    for (const [name, script] of scripts) {
      if (!names.includes(name) || typeof found.get(name) === "string") continue
      if (script === "python" && context.python === undefined) {
        found.set(name, "python3 with asyncpg is not installed")
        continue
      }
      try {
        const times = await start(context, script)
        const kept = found.get(name)
        if (round >= 0) found.set(name, [...(Array.isArray(kept) ? kept : []), times])
      } catch (error) {
        found.set(name, `FAILED: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
  }
  return new Map(
    Array.from(found, ([name, times]) => [
      name,
      typeof times === "string"
        ? times
        : {
            firstRow: median(times.map((time) => time.firstRow)),
            whole: median(times.map((time) => time.whole))
          }
    ])
  )
}

export const cold: Suite = {
  name: "cold",
  always: true,
  quick: true,
  run: async (context) => {
    const times = await coldStarts(
      context,
      scripts.map(([name]) => name),
      context.quick ? 2 : 10
    )
    const own = times.get("effect-global-pool")
    const ownWhole = typeof own === "object" ? own.whole : Number.NaN
    return [
      {
        title: "Cold start of a script to its first row",
        rows: [
          ["", "first row ms", "whole process ms", "ratio"],
          ...Array.from(times, ([name, time]) =>
            typeof time === "string"
              ? [name, time.split("\n")[0]?.slice(0, 60) ?? "", "", ""]
              : [name, time.firstRow.toFixed(0), time.whole.toFixed(0), (time.whole / ownWhole).toFixed(2)]
          )
        ]
      }
    ]
  }
}
