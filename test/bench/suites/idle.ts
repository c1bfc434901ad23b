/** Memory of an idle pool: 10 connections, opened, used and at rest. */
import { median, shown } from "../numbers.ts"
import { peers } from "../peers/list.ts"
import type { Context } from "../run.ts"
import { answerOrFailure } from "./answer.ts"
import type { Suite } from "./Suite.ts"

interface Weight {
  readonly rss: number
  readonly grown: number
}

const weigh = (context: Context, module: string, variant: string): Weight | string => {
  const assignment = { module, variant, target: context.target, sizes: { ...context.sizes, bulk: 0 } }
  return answerOrFailure<Weight>(context, "idleChild", [assignment], ["--expose-gc"])
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
