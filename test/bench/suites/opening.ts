/** From nothing to a pool's first row, beside a connection of the driver, by SCRAM and by trust. */
import { shown } from "../numbers.ts"
import type { Opening } from "../openingChild.ts"
import { trusted } from "../servers.ts"
import { answerOf } from "./answer.ts"
import type { Suite } from "./Suite.ts"

export const opening: Suite = {
  name: "opening",
  always: true,
  quick: true,
  run: async (context) => {
    const targets = { SCRAM: context.target, trust: { ...context.target, username: trusted } }
    const found = answerOf<ReadonlyArray<Opening>>(context, "openingChild", [
      targets,
      context.quick ? 50 : 300
    ])
    return [
      {
        title: "A pool's first row, sequential openings",
        rows: [
          ["", "ours ms", "driver's connection ms", "ratio", "of CPU", "at most"],
          ...found.map(({ cpu, name, ours, ratio, theirs }) => [
            name,
            shown(ours, 2),
            shown(theirs, 2),
            shown(ratio, 2),
            shown(cpu, 2),
            "1.3"
          ])
        ],
        note: "Medians over pairs in turn: a new registry with a pool, until its first row, beside a new connection of the driver."
      }
    ]
  }
}
