/** The first thousand operations of a cold process: what scripts, functions and freshly deployed servers see. */
import type { Operation } from "../data.ts"
import { median, shown } from "../numbers.ts"
import { ours, peers } from "../peers/list.ts"
import { answerOrFailure } from "./answer.ts"
import type { Section, Suite } from "./Suite.ts"

const operations: ReadonlyArray<readonly [Operation, string]> = [
  ["pointSelect", "Point select"],
  ["interactive", "Interactive transaction"],
  ["trans3", "Transaction of 3 known statements"]
]
const names = [ours, "pg named", "PgClient", "postgres"]

export const firstThousand: Suite = {
  name: "first-thousand",
  always: true,
  quick: true,
  run: async (context) => {
    const rounds = context.quick ? 3 : 15
    const sections: Array<Section> = []
    for (const [operation, title] of operations) {
      const found = peers
        .filter(({ name }) => names.includes(name))
        .map((peer) => ({ peer, times: [] as Array<number> }))
      for (let round = 0; round < rounds; round++) {
        for (const { peer, times } of found) {
          const load = { operation, inFlight: 10, slowShare: 0, times: 1000 }
          const { module, variant } = peer
          const { sizes, target } = context
          const cpu = answerOrFailure<number>(context, "firstThousandChild", [
            { module, variant, target, sizes, load }
          ])
          if (typeof cpu === "number") times.push(cpu)
        }
      }
      const own = median(found.find(({ peer }) => peer.name === ours)?.times ?? [])
      sections.push({
        title: `${title}, the first 1 000 of a process, 10 in flight`,
        rows: [
          ["", "CPU µs each", "ratio"],
          ...found.map(({ peer, times }) => [
            peer.name,
            shown(median(times), 0),
            shown(own / median(times), 2)
          ])
        ],
        note: `Medians of ${rounds} processes each, in turns. The ratio is the CPU of this package divided by the peer's: below 1, this package takes less.`
      })
    }
    return sections
  }
}
