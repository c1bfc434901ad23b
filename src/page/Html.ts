/**
 * The page as a text: HTML and SVG that can be read as they are. A script of ten lines fetches it again every two seconds.
 */
import * as Option from "effect/Option"
import type { PoolStats } from "../pool/Stats.ts"
import { keptMillis, type Sample } from "./History.ts"
import type { Wait } from "./Waits.ts"

/** A statement, as its callers saw it; times in milliseconds. */
export interface Statistics {
  readonly text: string
  readonly runs: number
  readonly failures: number
  readonly millis: number
  readonly longest: number
}

/** What is shown of one pool. */
export interface PoolView {
  readonly stats: PoolStats
  readonly where: string
  readonly samples: ReadonlyArray<Sample>
  readonly slowest: ReadonlyArray<Statistics>
  readonly mostFrequent: ReadonlyArray<Statistics>
  /** `none`: no server could be asked. */
  readonly waits: Option.Option<ReadonlyArray<Wait>>
}

export interface View {
  readonly at: number
  readonly used: number
  /** The registry's limit; `Infinity` where it has none. */
  readonly max: number
  readonly pools: ReadonlyArray<PoolView>
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;"
}

const escape = (text: string): string => text.replace(/[&<>"']/g, (one) => entities[one] ?? "")

const time = (millis: number): string =>
  millis >= 10_000 ? `${(millis / 1_000).toFixed(0)} s` : `${millis.toFixed(millis < 10 ? 2 : 0)} ms`

const width = 640
const height = 120

/** A line through the samples; steps, since a pool has so many connections and not some in between. */
const line = (
  samples: ReadonlyArray<Sample>,
  at: number,
  top: number,
  name: "open" | "inUse" | "waiting"
): string => {
  const x = (when: number) => (width * (1 - (at - when) / keptMillis)).toFixed(1)
  const y = (value: number) => (height - (height - 4) * (value / top)).toFixed(1)
  const points = samples.map((sample) => `${x(sample.at)},${y(sample[name])}`)
  return `<polyline class="${name}" points="${points.join(" ")}"/>`
}

const chart = ({ samples, stats }: PoolView, at: number): string => {
  const top = Math.max(stats.max, ...samples.map(({ open, waiting }) => Math.max(open, waiting)))
  const label = `Connections and calls of the pool ${stats.key} over the last five minutes, up to ${top}`
  return `<figure><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escape(label)}"><title>${escape(label)}</title>
<path class="grid" d="M0 4H${width}M0 ${height / 2 + 2}H${width}M0 ${height}H${width}"/>
${(["open", "inUse", "waiting"] as const).map((name) => line(samples, at, top, name)).join("\n")}
</svg><figcaption><span class="open">open</span> <span class="inUse">in use</span> <span class="waiting">waiting</span> of the last five minutes, up to ${top}</figcaption></figure>`
}

const table = (
  caption: string,
  heads: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>
): string =>
  `<table><caption>${caption}</caption><thead><tr>${heads.map((head) => `<th scope="col">${head}</th>`).join("")}</tr></thead>
<tbody>${rows.map((cells) => `<tr>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`).join("\n")}</tbody></table>`

const statements = (caption: string, all: ReadonlyArray<Statistics>): string =>
  table(
    caption,
    ["on average", "longest", "runs", "failed", "statement"],
    all.map(({ failures, longest, millis, runs, text }) => [
      time(millis / runs),
      time(longest),
      String(runs),
      String(failures),
      `<code>${escape(text.trim())}</code>`
    ])
  )

const waits = (all: PoolView["waits"]): string => {
  if (Option.isNone(all)) return "<p>Who waits for whom could not be asked in time.</p>"
  if (all.value.length === 0) return "<p>No session waits for another one.</p>"
  return table(
    "Who waits for whom",
    ["waits", "for", "since", "statement", "held by", "its last statement"],
    all.value.map(({ holding, holdingText, millis, waiting, waitingFor, waitingText }) => [
      escape(waiting),
      escape(waitingFor),
      time(millis),
      `<code>${escape(waitingText)}</code>`,
      escape(holding),
      `<code>${escape(holdingText)}</code>`
    ])
  )
}

const pool = (view: PoolView, at: number): string => {
  const { stats } = view
  const figures = [
    ["open", stats.open],
    ["in use", stats.inUse],
    ["idle", stats.idle],
    ["waiting", stats.waiting],
    ["at most", stats.max]
  ] as const
  return `<section><h2>${escape(stats.key)}</h2><p>${escape(view.where)}</p>
<dl>${figures.map(([name, value]) => `<div><dt>${name}</dt><dd>${value}</dd></div>`).join("")}</dl>
${chart(view, at)}
${waits(view.waits)}
${view.slowest.length === 0 ? "<p>No statement has run.</p>" : statements("Slowest statements", view.slowest) + statements("Most frequent statements", view.mostFrequent)}
</section>`
}

const style = `:root{color-scheme:light dark;--open:#4269d0;--inUse:#3a8f5c;--waiting:#d1495b;--line:#8884}
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.2rem;margin:2rem 0 0}section>p{margin:.2rem 0 .6rem}
dl{display:flex;flex-wrap:wrap;gap:.5rem 2rem;margin:0}dt{font-size:.8rem;opacity:.75}dd{margin:0;font-size:1.5rem;font-variant-numeric:tabular-nums}
figure{margin:1rem 0}svg{width:100%;height:auto;display:block}polyline{fill:none;stroke-width:2;stroke-linejoin:round}.grid{stroke:var(--line)}
polyline.open{stroke:var(--open)}polyline.inUse{stroke:var(--inUse);stroke-dasharray:6 2}polyline.waiting{stroke:var(--waiting);stroke-dasharray:2 3}
figcaption{font-size:.85rem}figcaption span{font-weight:600}span.open{color:var(--open)}span.inUse{color:var(--inUse)}span.waiting{color:var(--waiting)}
table{border-collapse:collapse;width:100%;margin:1rem 0;font-size:.9rem}caption{text-align:left;font-weight:600;padding:.3rem 0}
th{text-align:left;font-weight:500;opacity:.75}th,td{padding:.25rem .8rem .25rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td:not(:has(code)){white-space:nowrap;font-variant-numeric:tabular-nums}code{font-size:.85rem;overflow-wrap:anywhere;white-space:pre-wrap;display:block;max-height:8rem;overflow:auto}`

const script = `const state = document.getElementById("state")
const again = async () => {
  try {
    if (!document.hidden && String(getSelection()) === "") {
      const answer = await fetch(location.href)
      if (!answer.ok) throw new Error(String(answer.status))
      const page = new DOMParser().parseFromString(await answer.text(), "text/html")
      document.querySelector("main").replaceWith(page.querySelector("main"))
      state.textContent = "live"
    }
  } catch {
    state.textContent = "not reached any more"
  }
  setTimeout(again, 2000)
}
state.textContent = "live"
setTimeout(again, 2000)`

/** The page; `nonce` is what its style and script are allowed by. */
export const render = ({ at, max, pools, used }: View, nonce: string): string => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Pools</title>
<style nonce="${nonce}">${style}</style></head>
<body><h1>Pools</h1><p><span id="state">as of the last load; load again for newer figures</span></p>
<main><p><time datetime="${new Date(at).toISOString()}">${new Date(at).toISOString()}</time>: ${pools.length} ${pools.length === 1 ? "pool" : "pools"}, ${used} connections${max === Number.POSITIVE_INFINITY ? "" : ` of ${max}`}</p>
${pools.map((one) => pool(one, at)).join("\n")}
</main><script nonce="${nonce}">${script}</script></body></html>
`
