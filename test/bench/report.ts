/** Medians over the rounds, ratios to this package, and the tables that show them. */
import type { Measured } from "./meter.ts"
import { median, shown, table } from "./numbers.ts"
import { ours } from "./peers/list.ts"
import type { Entry, Outcome } from "./run.ts"
import type { Section } from "./suites/Suite.ts"

/** The medians of one peer in one workload. */
export interface Line {
  readonly peer: string
  readonly missing: string | undefined
  readonly perSecond: number
  /** Throughput of this package divided by that of the peer: above 1, this package is ahead. */
  readonly ratio: number
  readonly p50: number
  readonly p99: number
  readonly cpu: number
  readonly memory: number
}

const over = (entry: Entry, read: (round: Measured) => number | undefined): number =>
  median(entry.rounds.map((round) => read(round) ?? Number.NaN))

export const linesOf = ({ workload, entries }: Outcome): ReadonlyArray<Line> => {
  const lines = entries.map((entry) => ({
    peer: entry.peer,
    missing: entry.missing,
    perSecond: over(entry, (round) => round.perSecond) * workload.weight,
    p50: over(entry, (round) => round.p50),
    p99: over(entry, (round) => round.p99),
    cpu: over(entry, (round) => round.cpu) / workload.weight,
    memory: Math.max(...entry.rounds.map((round) => round.memory ?? Number.NaN))
  }))
  const own = lines.find((line) => line.peer === ours)?.perSecond ?? Number.NaN
  return lines.map((line) => ({ ...line, ratio: own / line.perSecond }))
}

const cells = (line: Line): ReadonlyArray<string> => [
  line.peer,
  shown(line.perSecond, line.perSecond < 100 ? 1 : 0),
  shown(line.ratio, 2),
  shown(line.p50, 2),
  shown(line.p99, 2),
  shown(line.cpu, line.cpu < 10 ? 1 : 0),
  shown(line.memory, 0)
]

/** Peers without a figure, by reason. */
const absentees = (lines: ReadonlyArray<Line>): string => {
  const reasons = [...new Set(lines.flatMap((line) => line.missing ?? []))]
  const sentences = reasons.map(
    (reason) =>
      `${lines
        .filter((line) => line.missing === reason)
        .map((line) => line.peer)
        .join(", ")}: ${reason}.`
  )
  return sentences.length === 0 ? "" : `\nNot measured: ${sentences.join(" ")}\n`
}

/** A section of a suite as a heading and a table. */
export const sectionOf = ({ title, rows, note }: Section): string =>
  `### ${title}\n\n${note === undefined ? "" : `${note}\n\n`}${table(rows)}\n`

/** One workload as a heading and a table. */
export const section = (outcome: Outcome): string => {
  const { title, unit } = outcome.workload
  const per = unit === "rows/s" ? "row" : unit === "transactions/s" ? "transaction" : "statement"
  const head = ["", unit, "ratio", "p50 ms", "p99 ms", `CPU µs per ${per}`, "peak MB"]
  const lines = linesOf(outcome)
  const measured = lines.filter((line) => line.missing === undefined)
  return `### ${title}\n\n${table([head, ...measured.map(cells)])}\n${absentees(lines)}`
}
