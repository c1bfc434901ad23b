/** `docs/benchmarks.md`: the machine, how each peer was configured, the tables, and where a peer is ahead. */
import { createRequire } from "node:module"
import { describeMachine } from "./machine.ts"
import { shown } from "./numbers.ts"
import { notes } from "./notes.ts"
import { ours, peers } from "./peers/list.ts"
import { linesOf, section, sectionOf } from "./report.ts"
import type { Context, Outcome } from "./run.ts"
import { serverSettings } from "./servers.ts"
import type { Section } from "./suites/Suite.ts"

const require = createRequire(import.meta.url)

/** Versions of the libraries, as installed. */
const versionOf = (name: string): string => {
  const lock: { readonly packages: Record<string, { readonly version?: string }> } = require("../../package-lock.json")
  return `${name} ${lock.packages[`node_modules/${name}`]?.version ?? "not installed"}`
}

const libraries = ["effect", "@effect/sql-pg", "pg", "postgres", "pg-promise", "slonik", "kysely"]

/** A peer counts as ahead from 3 % on; less is noise. */
const ahead = (outcomes: ReadonlyArray<Outcome>): ReadonlyArray<string> =>
  outcomes.flatMap((outcome) =>
    linesOf(outcome)
      .filter((line) => line.peer !== ours && line.ratio < 0.97)
      .map((line) => {
        const why = notes[line.peer]?.[outcome.workload.load.operation] ?? notes[line.peer]?.any
        return `- ${outcome.workload.title}: ${line.peer}, by ${shown(1 / line.ratio, 2)} times${why === undefined ? "." : `. ${why}`}`
      })
  )

export const resultsOf = (
  context: Context,
  serverVersion: string,
  outcomes: ReadonlyArray<Outcome>,
  sections: ReadonlyArray<Section>
): string => `# Side by side

Written by \`npm run bench\`; ${context.rounds} round${context.rounds === 1 ? "" : "s"} of ${context.milliseconds / 1000} s per peer and workload, the peers in turns within each round, each in a
process of its own; figures are medians over the rounds. \`ratio\` is this package's throughput divided by the
peer's: above 1, this package is ahead. All peers were checked to return the same rows and to leave the same data behind.

- Machine: ${describeMachine()}; ${context.cores.said}.
- Server: ${serverVersion}, as \`initdb\` leaves it but for ${Object.entries(serverSettings)
  .map(([name, value]) => `\`${name}=${value}\``)
  .join(", ")}. All clients connect over TCP on the loopback, with SCRAM.
- "1 ms each way": a proxy in a process of its own that holds every byte back for 1 ms in each direction.
- CPU is that of the client's process; peak memory that of the client's process over all rounds.
- Libraries: ${libraries.map(versionOf).join(", ")}.

## How each peer is configured

The best configuration that its documentation offers for this load, with 10 connections each.

${peers.map((peer) => `- **${peer.name}**: ${peer.said}.`).join("\n")}
${context.python === undefined ? "\nMissing on this machine: python3 with asyncpg.\n" : ""}${context.pgbench === undefined ? "\nMissing on this machine: pgbench.\n" : ""}
## Workloads

${outcomes.map(section).join("\n")}
${sections.map(sectionOf).join("\n")}
## Where a peer is ahead, and why

${ahead(outcomes).join("\n") || "Nowhere by more than 3 %."}
`
