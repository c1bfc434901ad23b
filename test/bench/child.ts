/**
 * The process in which one peer runs one workload. It takes one JSON command per line on stdin and answers each with
 * one JSON line on stdout.
 */
import * as fs from "node:fs"
import { Session } from "node:inspector/promises"
import * as readline from "node:readline"
import type { Operation, Sizes, Target } from "./data.ts"
import { type Load, startMeter } from "./meter.ts"
import type { Open } from "./peers/Peer.ts"

export interface Assignment {
  /** Module of the peer in `peers/`, and which configuration of it. */
  readonly module: string
  readonly variant: string
  readonly target: Target
  readonly sizes: Sizes
  readonly load: Load
  /** File for a CPU profile of the last round. */
  readonly profile: string | undefined
}

export type Command =
  | { readonly do: "operations" }
  | { readonly do: "once"; readonly operation: Operation; readonly turn: number }
  | { readonly do: "round"; readonly warm: number; readonly milliseconds: number }

const assignment: Assignment = JSON.parse(process.argv[2] ?? "")
const { open }: { readonly open: Open } = await import(`./peers/${assignment.module}.js`)
const session = await open(assignment.target, assignment.sizes, assignment.variant)
const { load } = assignment
/** Warming up takes a length of time, whatever a round is. */
const { times: _times, ...timed } = load

/** Runs with the profiler on, if a profile is wanted: start-up and warming up are not in it. */
const profiled = async <A>(work: () => Promise<A>): Promise<A> => {
  const { profile } = assignment
  if (profile === undefined) return await work()
  const inspector = new Session()
  inspector.connect()
  await inspector.post("Profiler.enable")
  await inspector.post("Profiler.start")
  const answer = await work()
  const found = await inspector.post("Profiler.stop")
  fs.writeFileSync(profile, JSON.stringify(found.profile))
  inspector.disconnect()
  return answer
}

/** Each round goes on where the one before ended, so that no row is written twice. */
let turn = 1

const obey = async (command: Command): Promise<unknown> => {
  switch (command.do) {
    case "operations":
      return session.operations
    case "once":
      return await session.once(command.operation, command.turn)
    case "round": {
      if (command.warm > 0) {
        const warm = startMeter(timed, command.warm, turn)
        await session.drive(warm)
        turn = warm.turn()
      }
      return await profiled(async () => {
        const meter = startMeter(load, command.milliseconds, turn)
        await session.drive(meter)
        turn = meter.turn()
        return meter.read()
      })
    }
  }
}

const answer = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`)
const plain = (_: string, value: unknown) => (typeof value === "bigint" ? Number(value) : value)

for await (const line of readline.createInterface({ input: process.stdin })) {
  try {
    const value = await obey(JSON.parse(line))
    answer({ ok: JSON.parse(JSON.stringify(value ?? null, plain)) })
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : ""
    answer({ error: `${error instanceof Error ? error.message : String(error)}${cause}` })
  }
}
await session.close()
