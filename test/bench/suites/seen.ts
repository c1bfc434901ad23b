/** What it costs a point select that it is counted, logged and traced. */
import { shown } from "../numbers.ts"
import { answerOf } from "./answer.ts"
import type { Suite } from "./Suite.ts"

interface Comparison {
  readonly without: number
  readonly having: number
  readonly more: number
}

interface Found {
  readonly [name: string]: { readonly cpu: Comparison; readonly clock: Comparison }
}

const lines = [
  ["counted", "counted as a metric, nobody reads it", "3"],
  ["logged", "each in the log, to a logger that drops it", ""],
  ["traced", "each in a span, to a tracer that drops it", ""],
  ["both", "logged and traced", "15"]
] as const

export const seen: Suite = {
  name: "seen",
  always: true,
  quick: false,
  run: async (context) => {
    const found = answerOf<Found>(context, "seenChild", [context.target, context.quick ? 6 : 30], [])
    return [
      {
        title: "A point select that is seen: microseconds",
        rows: [
          ["", "without", "with", "more %", "CPU without", "CPU with", "CPU more %", "at most %"],
          ...lines.flatMap(([name, title, most]) =>
            [1, 64].map((inFlight) => {
              const one = found[`${name}${inFlight}`]
              const figures = (of: Comparison | undefined) => [
                shown(of?.without ?? 0, 1),
                shown(of?.having ?? 0, 1),
                shown(100 * (of?.more ?? 0), 1)
              ]
              return [
                `${title}, ${inFlight} in flight`,
                ...figures(one?.clock),
                ...figures(one?.cpu),
                inFlight === 1 ? most : ""
              ]
            })
          )
        ],
        note: "Medians over turns of 150 ms in one process; `CPU` is this process's alone."
      }
    ]
  }
}
