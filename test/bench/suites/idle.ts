/** Memory of an idle pool: 10 connections, opened, used and at rest. */
import { spawnSync } from "node:child_process"
import * as path from "node:path"
import { pinned } from "../machine.ts"
import { median, shown } from "../numbers.ts"
import { peers } from "../peers/list.ts"
import type { Context } from "../run.ts"
import type { Suite } from "./Suite.ts"

interface Weight {
  readonly rss: number
  readonly grown: number
}

const weigh = (context: Context, module: string, variant: string): Weight | string => {
  const assignment = { module, variant, target: context.target, sizes: { ...context.sizes, bulk: 0 } }
  const [command, args] = pinned(context.cores.load, process.execPath, [
    "--expose-gc",
    path.join(context.built, "test/bench/idleChild.js"),
    JSON.stringify(assignment)
  ])
  const child = spawnSync(command, args, { encoding: "utf8", timeout: 60_000 })
  return child.status === 0 ? JSON.parse(child.stdout) : `FAILED: ${child.stderr.trim().split("\n")[0]}`
}

export const idle: Suite = {
  name: "idle",
  always: true,
  quick: false,
  run: async (context) => {
    const rows = peers
      .filter((peer) => peer.kind === "node" && peer.only === undefined && peer.variant !== "pipeline")
      .map((peer) => {
        const weights = Array.from({ length: 3 }, () => weigh(context, peer.module, peer.variant))
        const failed = weights.find((weight) => typeof weight === "string")
        const found = weights.filter((weight) => typeof weight !== "string")
        return typeof failed === "string"
          ? [peer.name, failed.slice(0, 80), ""]
          : [
              peer.name,
              shown(median(found.map((weight) => weight.grown)), 0),
              shown(median(found.map((weight) => weight.rss)), 0)
            ]
      })
    return [
      {
        title: "Memory of an idle pool of 10 connections",
        rows: [["", "pool KB", "process MB"], ...rows],
        note: "Heap and buffers grown since the library was loaded, after garbage collection; resident memory of the whole process."
      }
    ]
  }
}
