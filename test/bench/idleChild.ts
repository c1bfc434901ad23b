/**
 * The process that shows what an idle pool of 10 connections weighs: memory with the library loaded, and with the
 * pool open, used and at rest. Needs `--expose-gc`. Takes an assignment, prints one JSON line.
 */
import type { Assignment } from "./child.ts"
import type { Open } from "./peers/Peer.ts"

const assignment: Assignment = JSON.parse(process.argv[2] ?? "")
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

const weigh = async () => {
  for (let time = 0; time < 3; time++) {
    await pause(100)
    globalThis.gc?.()
  }
  const { rss, heapUsed, external } = process.memoryUsage()
  return { rss: rss / 2 ** 20, heap: (heapUsed + external) / 1024 }
}

const { open }: { readonly open: Open } = await import(`./peers/${assignment.module}.js`)
const before = await weigh()
const session = await open(assignment.target, assignment.sizes, assignment.variant)
for (let time = 0; time < 5; time++) {
  await Promise.all(Array.from({ length: 10 }, () => session.once("slow", 1)))
  await Promise.all(Array.from({ length: 100 }, (_, turn) => session.once("pointSelect", turn)))
}
const after = await weigh()
process.stdout.write(`${JSON.stringify({ rss: after.rss, grown: after.heap - before.heap })}\n`)
await session.close()
