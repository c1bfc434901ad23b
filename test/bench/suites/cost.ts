/** What this package costs beside the driver it is built on: a handle, a statement, rows, the start of a script. */
import { shown } from "../numbers.ts"
import { answerOf } from "./answer.ts"
import { coldStarts } from "./cold.ts"
import type { Section, Suite } from "./Suite.ts"

interface Comparison {
  readonly ours: number
  readonly theirs: number
  readonly ratio: number
}

interface Cost {
  readonly nanoseconds: number
  readonly bytes: number
}

interface Found {
  readonly [name: string]: Comparison & Cost
}

const comparisons = [
  ["point1", "point select, 1 in flight, beside PgClient", "0.95"],
  ["point10", "point select, 10 in flight, beside PgClient", "0.95"],
  ["point64", "point select, 64 in flight, beside PgClient", "0.95"],
  ["multiplex64", "point select, 64 in flight, beside PgClient with multiplex", ""],
  ["rows1", "1 000 rows of 8 columns, beside PgClient", "0.95"],
  ["rowsBare", "1 000 rows of 8 columns, beside a bare PgConnection", "0.95"]
] as const

const costs = [
  ["database", "a database handle", "1000 ns, 500 bytes"],
  ["table", "a table handle", "1000 ns, 500 bytes"],
  ["select", "the Effect of one select", ""]
] as const

export const cost: Suite = {
  name: "cost",
  always: true,
  quick: false,
  run: async (context) => {
    const { quick, target } = context
    const found = answerOf<Found>(context, "costChild", [target, quick ? 6 : 30], ["--expose-gc"])
    const turns: Section = {
      title: "Beside the driver, in one process, in turns",
      rows: [
        ["", "ours /s", "driver /s", "ratio", "at least"],
        ...comparisons.map(([name, title, least]) => {
          const one = found[name]
          return [
            title,
            shown(one?.ours ?? 0, 0),
            shown(one?.theirs ?? 0, 0),
            shown(one?.ratio ?? 0, 3),
            least
          ]
        })
      ]
    }
    const handles: Section = {
      title: "A handle",
      rows: [
        ["", "ns to make", "bytes to keep", "at most"],
        ...costs.map(([name, title, most]) => [
          title,
          shown(found[name]?.nanoseconds ?? 0, 0),
          shown(found[name]?.bytes ?? 0, 0),
          most
        ])
      ]
    }
    const [own, driver] = ["effect-global-pool", "PgClient, submodule imports"] as const
    const starts = await coldStarts(context, [own, driver], quick ? 4 : 15)
    const [ownTime, driverTime] = [starts.get(own), starts.get(driver)]
    const startUp: Section = {
      title: "Start-up of a script that reads one row",
      rows:
        typeof ownTime === "object" && typeof driverTime === "object"
          ? [
              ["", "ours ms", "driver ms", "ratio", "at most"],
              [
                "whole process",
                shown(ownTime.whole, 0),
                shown(driverTime.whole, 0),
                shown(ownTime.whole / driverTime.whole, 3),
                "1.1"
              ]
            ]
          : [
              ["", "failed"],
              ["whole process", `${ownTime} ${driverTime}`]
            ]
    }
    return [turns, handles, startUp]
  }
}
