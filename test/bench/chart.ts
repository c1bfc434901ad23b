/** The results as an SVG of bars, one panel per workload, this package first. */
import { shown } from "./numbers.ts"
import { ours } from "./peers/list.ts"
import { linesOf } from "./report.ts"
import type { Outcome } from "./run.ts"

/** The workloads a reader wants to see first. */
const panels = ["point-1", "point-64", "mix", "rows-1000", "trans-3-link", "insert-many"]

const width = 880
const columns = 2
const panelWidth = width / columns
const barHeight = 15
const labelWidth = 130
const barRoom = panelWidth - labelWidth - 110

const escape = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")

interface Panel {
  readonly height: number
  readonly draw: (x: number, y: number) => string
}

const panelOf = (outcome: Outcome): Panel => {
  const lines = linesOf(outcome)
    .filter((line) => line.missing === undefined && !line.peer.startsWith("pgbench"))
    .sort((a, b) => b.perSecond - a.perSecond)
  const most = Math.max(...lines.map((line) => line.perSecond))
  const mixed = outcome.workload.load.slowShare > 0
  const bars = (x: number, y: number) =>
    lines.map((line, index) => {
      const top = y + 34 + index * (barHeight + 4)
      const length = Math.max(1, (line.perSecond / most) * barRoom)
      const own = line.peer === ours
      const figure = `${shown(line.perSecond, line.perSecond < 100 ? 1 : 0)}${mixed ? `, p99 ${shown(line.p99, 0)} ms` : ""}`
      return [
        `<text x="${x + labelWidth - 6}" y="${top + 12}" text-anchor="end"${own ? ' font-weight="bold"' : ""}>${escape(line.peer)}</text>`,
        `<rect x="${x + labelWidth}" y="${top}" width="${length.toFixed(1)}" height="${barHeight}" rx="2" fill="${own ? "#2563eb" : "#94a3b8"}"/>`,
        `<text x="${x + labelWidth + length + 5}" y="${top + 12}">${figure}</text>`
      ].join("\n")
    })
  return {
    height: 34 + lines.length * (barHeight + 4) + 20,
    draw: (x, y) =>
      [
        `<text x="${x + 12}" y="${y + 20}" font-weight="bold" font-size="13">${escape(outcome.workload.title)} (${outcome.workload.unit})</text>`,
        ...bars(x, y)
      ].join("\n")
  }
}

export const chartOf = (outcomes: ReadonlyArray<Outcome>, subtitle: string): string => {
  const shownPanels = panels.flatMap((name) =>
    outcomes.filter((outcome) => outcome.workload.name === name).map(panelOf)
  )
  let y = 54
  const drawn: Array<string> = []
  for (let index = 0; index < shownPanels.length; index += columns) {
    const row = shownPanels.slice(index, index + columns)
    row.forEach((panel, column) => {
      drawn.push(panel.draw(column * panelWidth, y))
    })
    y += Math.max(...row.map((panel) => panel.height))
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y + 8}" width="${width}" height="${y + 8}" font-family="system-ui, sans-serif" font-size="11" fill="#0f172a">
<title>effect-global-pool beside its peers: medians, longer bars are better</title>
<rect width="100%" height="100%" rx="8" fill="#ffffff"/>
<text x="12" y="24" font-size="15" font-weight="bold">Beside the peers: medians, longer bars are better</text>
<text x="12" y="42" fill="#475569">${escape(subtitle)}</text>
${drawn.join("\n")}
</svg>
`
}
