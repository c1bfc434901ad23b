/** Memory of bulk work: ten million rows out and in, and what `insertMany` takes beside the rows themselves. */
import type { BulkAssignment, BulkFound } from "../bulkChild.ts"
import { clean, makeView } from "../data.ts"
import { median, shown } from "../numbers.ts"
import { peers } from "../peers/list.ts"
import type { Context } from "../run.ts"
import { answerOrFailure } from "./answer.ts"
import type { Section, Suite } from "./Suite.ts"

const mostStreaming = 150
const mostTimes = 3

const run = <A>(context: Context, assignment: BulkAssignment): A | string => {
  const weighs = assignment.work === "rows" || assignment.work === "peer"
  return answerOrFailure<A>(context, "bulkChild", [assignment], weighs ? ["--expose-gc"] : [])
}

const streams = async (context: Context): Promise<Section> => {
  const count = context.quick ? 1_000_000 : 10_000_000
  const sizes = { ...context.sizes, events: count }
  const rows: Array<ReadonlyArray<string>> = []
  await makeView(context.admin, count)
  for (const work of ["stream", "findStream", "insertStream"] as const) {
    const found = run<BulkFound>(context, { target: context.target, sizes, work })
    await clean(context.admin)
    rows.push(
      typeof found === "string"
        ? [work, found, "", "", "", "", "", "", ""]
        : [
            work,
            shown(count / found.seconds, 0),
            shown(found.before, 0),
            shown(found.median, 0),
            shown(found.most, 0),
            String(mostStreaming),
            shown(found.young, 0),
            shown(found.old, 0),
            shown(found.external, 0)
          ]
    )
  }
  const head = ["", "rows/s", "before MB", "median MB", "most MB", "at most", "young", "old", "external"]
  return {
    title: `Resident memory over ${shown(count, 0)} rows`,
    rows: [head, ...rows],
    note: "Sampled every 20 ms in a process of its own with Node's own flags. Before: with the connection open. Young, old, external: the most that V8 kept for young objects, for the others, and outside of its heap."
  }
}

const many = async (context: Context): Promise<Section> => {
  const { sizes, target } = context
  const own = run<number>(context, { target, sizes, work: "rows" })
  if (typeof own === "string") throw new Error(own)
  const rows: Array<ReadonlyArray<string>> = []
  for (const { kind, module, name, only, variant } of peers) {
    if (kind !== "node" || (only !== undefined && !only.includes("insertMany"))) continue
    const found: Array<BulkFound> = []
    let failure: string | undefined
    for (let round = 0; round < Math.min(context.rounds, 3); round++) {
      const one = run<BulkFound>(context, { target, sizes, work: "peer", module, variant })
      await clean(context.admin)
      if (typeof one === "string") failure = one
      else found.push(one)
    }
    const grown = median(found.map(({ before, most }) => most - before))
    rows.push(
      failure === undefined
        ? [
            name,
            shown(own, 1),
            shown(median(found.map(({ before }) => before)), 0),
            shown(grown, 1),
            shown((own + grown) / own, 2),
            String(mostTimes)
          ]
        : [name, failure.slice(0, 80), "", "", "", ""]
    )
  }
  return {
    title: `Memory of insertMany, ${shown(sizes.bulk, 0)} rows of 5 columns`,
    rows: [["", "rows MB", "before MB", "grown MB", "times the rows", "at most"], ...rows],
    note: "The first call of a process: how far its resident memory grows beyond what it has with the rows made and the connection open. Times: the rows and the growth, by the rows."
  }
}

export const bulk: Suite = {
  name: "bulk",
  always: true,
  quick: false,
  run: async (context) => [await streams(context), await many(context)]
}
