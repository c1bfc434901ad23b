/** The processes in which suites measure: each takes JSON arguments and prints one JSON line. */
import { spawnSync } from "node:child_process"
import * as path from "node:path"
import { pinned } from "../machine.ts"
import type { Context } from "../run.ts"

const patience = 600_000

/**
 * What `test/bench/<name>.ts` answers, run on the cores of the load with Node's `flags`. Throws what it complained of, its error
 * in the first line.
 */
export const answerOf = <A>(
  { built, cores }: Context,
  name: string,
  args: ReadonlyArray<unknown>,
  flags: ReadonlyArray<string> = []
): A => {
  const [command, all] = pinned(cores.load, process.execPath, [
    ...flags,
    path.join(built, `test/bench/${name}.js`),
    ...args.map((arg) => JSON.stringify(arg))
  ])
  const child = spawnSync(command, all, { encoding: "utf8", timeout: patience })
  if (child.status === 0) return JSON.parse(child.stdout)
  const complaint = child.error?.message ?? child.stderr.trim()
  const [error = complaint.slice(0, 200)] = /^\w*Error.*$/m.exec(complaint) ?? []
  throw new Error(`${name} FAILED: ${error}\n${complaint}`)
}

/** As `answerOf`, for a table in which the others go on: where it fails, why, in a line. */
export const answerOrFailure = <A>(...asked: Parameters<typeof answerOf>): A | string => {
  try {
    return answerOf<A>(...asked)
  } catch (error) {
    return String(error instanceof Error ? error.message : error).split("\n", 1)[0]!
  }
}
