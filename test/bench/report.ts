/** Medians over the rounds, ratios to this package, and the tables that show them. */
import type { Measured } from "./meter.ts"
import { ours } from "./peers/list.ts"
import type { Entry, Outcome } from "./run.ts"

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length === 0
    ? Number.NaN
    : sorted.length % 2 === 1
      ? (sorted[middle] ?? Number.NaN)
      : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}

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

const number = (value: number, digits: number): string =>
  Number.isFinite(value)
    ? value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })
    : "–"

const firstLine = (reason: string): string => (reason.split("\n")[0] ?? "").slice(0, 80)

const cells = (line: Line): ReadonlyArray<string> =>
  line.missing === undefined
    ? [
        line.peer,
        number(line.perSecond, line.perSecond < 100 ? 1 : 0),
        number(line.ratio, 2),
        number(line.p50, 2),
        number(line.p99, 2),
        number(line.cpu, line.cpu < 10 ? 1 : 0),
        number(line.memory, 0)
      ]
    : [line.peer, firstLine(line.missing), "", "", "", "", ""]

/** A Markdown table whose columns also line up as plain text. */
const table = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const line = (row: ReadonlyArray<string>) =>
    `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join(" | ")} |`
  const [head = [], ...body] = rows
  const rule = `| ${widths.map((width, column) => (column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)).join(" | ")} |`
  return [line(head), rule, ...body.map(line)].join("\n")
}

/** One workload as a heading and a table. */
export const section = (outcome: Outcome): string => {
  const { title, unit } = outcome.workload
  const per = unit === "rows/s" ? "row" : unit === "transactions/s" ? "transaction" : "statement"
  const head = ["", unit, "ratio", "p50 ms", "p99 ms", `CPU µs per ${per}`, "peak MB"]
  return `### ${title}\n\n${table([head, ...linesOf(outcome).map(cells)])}\n`
}
