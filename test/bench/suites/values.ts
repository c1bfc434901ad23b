/** How fast each type is decoded, beside `text` of the same length. */
import { spawnSync } from "node:child_process"
import * as path from "node:path"
import { pinned } from "../machine.ts"
import { shown } from "../numbers.ts"
import { strings, type ValueFound } from "../values.ts"
import type { Section, Suite } from "./Suite.ts"

const least = 0.95

export const values: Suite = {
  name: "values",
  always: true,
  quick: false,
  run: async (context) => {
    const [command, args] = pinned(context.cores.load, process.execPath, [
      path.join(context.built, "test/bench/valuesChild.js"),
      JSON.stringify(context.target),
      context.quick ? "5" : "21"
    ])
    const child = spawnSync(command, args, { encoding: "utf8", timeout: 600_000 })
    if (child.status !== 0) throw new Error(`The values suite failed: ${child.stderr}`)
    // The server's notices are logged before it.
    const found: ReadonlyArray<ValueFound> = JSON.parse(child.stdout.trim().split("\n").at(-1) ?? "")
    const names = new Set(strings.map(([name]) => name))
    const sectionOf = (title: string, chosen: ReadonlyArray<ValueFound>, note: string): Section => ({
      title,
      rows: [
        ["", "printed bytes", "µs", "MB/s", "speed, by CPU", "by the clock", "at least"],
        ...chosen.map((one) => [
          one.name,
          shown(one.length, 0),
          shown(one.microseconds, 0),
          shown((one.length * 1000) / one.microseconds, 1),
          shown(one.cpu, 2),
          shown(one.speed, 2),
          names.has(one.name) ? String(least) : ""
        ])
      ],
      note
    })
    return [
      sectionOf(
        "Decoding: types that are strings, beside text",
        found.filter(({ name }) => names.has(name)),
        "1 000 rows of one column through a pool of one connection, in turns with a `text` column that holds the same values printed, so that a value is compared with a text of its own length; µs are those of the whole read, MB/s of printed text. The speed is the time of `text` divided by that of the type, the median over the turns: by the processor time of the reading process, which is the rule, and by the clock, in which the server's own work has its part."
      ),
      sectionOf(
        "Decoding: other types, beside text",
        found.filter(({ name }) => !names.has(name)),
        "The same for types that are not strings, or that the driver decodes."
      )
    ]
  }
}
