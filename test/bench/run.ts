/** Runs one workload: a process per peer, all alive at once, each taking its turn in every round. */
import { type ChildProcess, spawn } from "node:child_process"
import * as path from "node:path"
import * as readline from "node:readline"
import { fileURLToPath } from "node:url"
import type { Client } from "pg"
import type { Assignment, Command } from "./child.ts"
import { accounts, clean, type Operation, type Sizes, type Target, text } from "./data.ts"
import { type Cores, pinned } from "./machine.ts"
import type { Measured } from "./meter.ts"
import type { PeerEntry } from "./peers/list.ts"
import { runPgbench } from "./pgbench.ts"
import { verify } from "./verify.ts"
import type { Workload } from "./workloads/Workload.ts"

/** What the machine offers and what the run was asked for. */
export interface Context {
  readonly admin: Client
  readonly target: Target
  /** The server behind the link that adds 1 ms each way. */
  readonly linked: Target
  readonly sizes: Sizes
  readonly cores: Cores
  /** Folder of the built package and benchmark, as `build.ts` leaves it. */
  readonly built: string
  readonly quick: boolean
  readonly rounds: number
  readonly milliseconds: number
  readonly warm: number
  readonly python: string | undefined
  readonly pgbench: string | undefined
  /** Folder for CPU profiles of the Node children, if asked for. */
  readonly profiles: string | undefined
}

/** The rounds of one peer, or why there are none. */
export interface Entry {
  readonly peer: string
  readonly rounds: ReadonlyArray<Measured>
  readonly missing?: string
}

export interface Outcome {
  readonly workload: Workload
  readonly entries: ReadonlyArray<Entry>
}

export interface Child {
  readonly ask: (command: Command) => Promise<unknown>
  readonly stop: () => Promise<void>
}

const converse = (child: ChildProcess): Child => {
  const { stdin, stdout, stderr } = child
  if (stdin === null || stdout === null || stderr === null) throw new Error("The child has no pipes")
  let complaint = ""
  stderr.on("data", (chunk: Buffer) => {
    complaint = (complaint + chunk.toString()).slice(-2000)
  })
  stdin.on("error", () => undefined)
  const lines = readline.createInterface({ input: stdout })[Symbol.asyncIterator]()
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  return {
    ask: async (command) => {
      stdin.write(`${JSON.stringify(command)}\n`)
      const line = await lines.next()
      if (line.done === true)
        throw new Error(`The process ended: ${/^\w*Error.*$/m.exec(complaint)?.[0] ?? complaint}`)
      const answer: { readonly ok?: unknown; readonly error?: string } = JSON.parse(line.value)
      if (answer.error !== undefined) throw new Error(answer.error)
      return answer.ok
    },
    stop: async () => {
      stdin.end()
      const timer = setTimeout(() => child.kill("SIGKILL"), 5000)
      await exited
      clearTimeout(timer)
    }
  }
}

/** Starts the process of a Node or Python peer. */
const startChild = (entry: PeerEntry, workload: Workload, context: Context): Child => {
  const assignment: Assignment = {
    module: entry.module,
    variant: entry.variant,
    target: workload.link ? context.linked : context.target,
    sizes: context.sizes,
    load: workload.load,
    profile:
      context.profiles === undefined
        ? undefined
        : path.join(context.profiles, `${workload.name}.${entry.name}.cpuprofile`)
  }
  const [command, args] =
    entry.kind === "node"
      ? pinned(context.cores.load, process.execPath, [
          path.join(context.built, "test/bench/child.js"),
          JSON.stringify(assignment)
        ])
      : pinned(context.cores.load, context.python ?? "python3", [
          fileURLToPath(new URL("./python/peer.py", import.meta.url)),
          JSON.stringify({ ...assignment, text, accounts })
        ])
  return converse(spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] }))
}

interface Runner {
  readonly peer: string
  /** Checks the answers and warms up, before the first round. */
  readonly ready: () => Promise<void>
  readonly round: () => Promise<Measured>
  readonly stop: () => Promise<void>
}

const nothing = async () => undefined

/** A runner whose figures cannot be had; `ready` says why. */
const absent = (peer: string, missing: string): Runner => ({
  peer,
  ready: () => Promise.reject(new Missing(missing)),
  round: () => Promise.reject(new Missing(missing)),
  stop: nothing
})

/** Not a failure: the peer or the machine has no such thing. */
class Missing extends Error {}

const reason = (error: unknown): string =>
  error instanceof Missing
    ? error.message
    : `FAILED: ${(error instanceof Error ? error.message : String(error)).split("\n")[0]?.slice(0, 200)}`

const pgbenchRunner = (entry: PeerEntry, workload: Workload, context: Context): Runner => {
  const { pgbench } = context
  if (pgbench === undefined) return absent(entry.name, "pgbench is not installed")
  const target = workload.link ? context.linked : context.target
  const command = pinned(context.cores.load, pgbench, [])
  return {
    peer: entry.name,
    ready: nothing,
    round: async () => {
      const found = await runPgbench(
        command,
        entry.variant,
        workload,
        target,
        context.sizes,
        context.milliseconds
      )
      if (found === undefined) throw new Missing("no such operation")
      return found
    },
    stop: nothing
  }
}

/** Starts a peer's process, which goes on starting while those of the others are started. */
const startRunner = (entry: PeerEntry, workload: Workload, context: Context): Runner => {
  if (entry.kind === "pgbench") return pgbenchRunner(entry, workload, context)
  if (entry.kind === "python" && context.python === undefined) {
    return absent(entry.name, "python3 with asyncpg is not installed")
  }
  const { operation, slowShare, times } = workload.load
  const child = startChild(entry, workload, context)
  return {
    peer: entry.name,
    ready: async () => {
      const offered = (await child.ask({ do: "operations" })) as ReadonlyArray<Operation>
      if (!offered.includes(operation) || (slowShare > 0 && !offered.includes("slow"))) {
        throw new Missing("no such operation")
      }
      const wrong = await verify(context.admin, operation, context.sizes, (turn) =>
        child.ask({ do: "once", operation, turn })
      )
      if (wrong !== undefined) throw new Error(wrong)
      await child.ask({ do: "round", warm: context.warm, milliseconds: 200 })
    },
    round: async () =>
      (await child.ask({
        do: "round",
        warm: times === undefined ? Math.min(200, context.warm) : 0,
        milliseconds: context.milliseconds
      })) as Measured,
    stop: child.stop
  }
}

/** All peers, round by round in turns. A peer that fails is named with its reason and left out of later rounds. */
export const runWorkload = async (
  workload: Workload,
  entries: ReadonlyArray<PeerEntry>,
  context: Context
): Promise<Outcome> => {
  const { operation } = workload.load
  const runners = entries
    .filter((entry) => entry.only === undefined || entry.only.includes(operation))
    .map((entry) => startRunner(entry, workload, context))
  const results = runners.map((runner) => ({ runner, rounds: [] as Measured[], missing: [] as string[] }))
  try {
    for (const { runner, missing } of results) {
      await runner.ready().catch((error: unknown) => {
        missing.push(reason(error))
        return runner.stop()
      })
    }
    for (let round = 0; round < context.rounds; round++) {
      for (const { runner, rounds, missing } of results) {
        if (missing.length > 0) continue
        await clean(context.admin)
        await runner.round().then(
          (measured) => rounds.push(measured),
          (error: unknown) => missing.push(reason(error))
        )
      }
    }
  } finally {
    await Promise.all(runners.map((runner) => runner.stop()))
  }
  return {
    workload,
    entries: results.map(({ runner, rounds, missing }) => ({
      peer: runner.peer,
      rounds,
      ...(missing[0] === undefined ? {} : { missing: missing[0] })
    }))
  }
}
