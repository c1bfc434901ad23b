/** COPY: rows by `insertMany` and `insertStream` beside other ways of bulk loading, and a CSV file both ways beside `psql`. */
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import type { BulkFound } from "../bulkChild.ts"
import type { CopyFound } from "../copyChild.ts"
import { bulkRow, clean, type Target } from "../data.ts"
import { pinned } from "../machine.ts"
import { median, shown } from "../numbers.ts"
import { ours, peers } from "../peers/list.ts"
import { linesOf } from "../report.ts"
import { type Context, runWorkload } from "../run.ts"
import { workloads } from "../workloads/list.ts"
import { answerOrFailure } from "./answer.ts"
import type { Section, Suite } from "./Suite.ts"

/** What this package is to be ahead by. */
const leads: Readonly<Record<string, number>> = { "asyncpg copy": 1.2, postgres: 6, "psql \\copy": 1.5 }
const leastOfStream = 0.9
const mostMemory = 150

const line = (index: number): string => {
  const { active, at, id, name, score } = bulkRow(index)
  return `${id},${name},${active},${score},${at.toISOString()}\n`
}

/** Writes lines until the file has so many bytes or rows. */
const writeCsv = (file: string, limit: { readonly bytes: number; readonly rows: number }): void => {
  const descriptor = fs.openSync(file, "w")
  let [bytes, index] = [0, 0]
  while (bytes < limit.bytes && index < limit.rows) {
    let piece = ""
    for (const end = Math.min(index + 10_000, limit.rows); index < end; index++) piece += line(index)
    bytes += fs.writeSync(descriptor, piece)
  }
  fs.closeSync(descriptor)
}

/** How long `psql` takes for a `\copy`, in seconds, with its start. */
const psql = (context: Context, target: Target, copy: string): number | string => {
  const [command, args] = pinned(context.cores.load, "psql", ["-qXc", `\\copy ${copy}`])
  const env = {
    ...process.env,
    PGHOST: target.host,
    PGPORT: String(target.port),
    PGUSER: target.username,
    PGPASSWORD: target.password,
    PGDATABASE: target.database
  }
  const start = performance.now()
  const { error, status, stderr } = spawnSync(command, args, { env, encoding: "utf8" })
  if (status === 0) return (performance.now() - start) / 1000
  return error === undefined ? stderr.trim() : "psql is not installed"
}

const rows = async (context: Context, file: string): Promise<ReadonlyArray<Section>> => {
  const { admin, quick, sizes, target } = context
  const workload = workloads(sizes).find(({ name }) => name === "insert-many")
  if (workload === undefined) throw new Error("No workload insert-many")
  const entries = peers.filter(({ name }) => name === ours || leads[name] !== undefined)
  const lines = linesOf(await runWorkload(workload, entries, context))
  const own = lines.find(({ peer }) => peer === ours)?.perSecond ?? Number.NaN
  writeCsv(file, { bytes: Number.POSITIVE_INFINITY, rows: sizes.bulk })
  const times: Array<number> = []
  let missing: string | undefined
  for (let round = 0; round < context.rounds; round++) {
    await clean(admin)
    const found = psql(context, target, `bulk from '${file}' csv`)
    if (typeof found === "number") times.push(found)
    else missing = found
  }
  const all = [...lines, { peer: "psql \\copy", missing, perSecond: sizes.bulk / median(times) }]
  const count = quick ? 1_000_000 : 10_000_000
  await clean(admin)
  const stream = answerOrFailure<BulkFound>(context, "bulkChild", [
    { target, sizes: { ...sizes, events: count }, work: "insertStream" }
  ])
  const streamed = typeof stream === "string" ? Number.NaN : count / stream.seconds
  return [
    {
      title: `Bulk loading: ${shown(sizes.bulk, 0)} rows of 5 columns`,
      rows: [
        ["", "rows/s", "ahead by", "at least"],
        ...all.map(({ missing, peer, perSecond }) => [
          peer,
          missing ?? shown(perSecond, 0),
          shown(own / perSecond, 2),
          shown(leads[peer] ?? Number.NaN, 1)
        ])
      ]
    },
    {
      title: `insertStream of ${shown(count, 0)} rows`,
      rows: [
        ["", "rows/s", "of insertMany", "at least", "before MB", "most MB"],
        [
          "insertStream",
          typeof stream === "string" ? stream : shown(streamed, 0),
          shown(streamed / own, 2),
          shown(leastOfStream, 1),
          typeof stream === "string" ? "" : shown(stream.before, 0),
          typeof stream === "string" ? "" : shown(stream.most, 0)
        ]
      ]
    }
  ]
}

const files = async (context: Context, file: string): Promise<Section> => {
  const { admin, quick, target } = context
  writeCsv(file, { bytes: quick ? 100_000_000 : 1_000_000_000, rows: Number.POSITIVE_INFINITY })
  const size = fs.statSync(file).size / 1_000_000
  const out = `${file}.out`
  const found: Array<ReadonlyArray<string>> = []
  for (const direction of ["in", "out"] as const) {
    const own: Array<CopyFound> = []
    const others: Array<number> = []
    const failures: Array<string> = []
    for (let round = 0; round < Math.min(context.rounds, 3); round++) {
      if (direction === "in") await clean(admin)
      const copy = direction === "in" ? `bulk from '${file}' csv` : `bulk to '${out}' csv`
      const other = psql(context, target, copy)
      if (typeof other === "number") others.push(other)
      else failures.push(other)
      if (direction === "in") await clean(admin)
      const assignment = { target, direction, file: direction === "in" ? file : out }
      const one = answerOrFailure<CopyFound>(context, "copyChild", [assignment])
      if (typeof one === "string") failures.push(one)
      else own.push(one)
    }
    const [seconds, other] = [median(own.map(({ seconds }) => seconds)), median(others)]
    found.push([
      direction === "in" ? "copyFrom" : "copyTo",
      failures[0] ?? shown(size / seconds, 0),
      shown(size / other, 0),
      shown(other / seconds, 2),
      "1.00",
      shown(median(own.map(({ before }) => before)), 0),
      shown(Math.max(...own.map(({ most }) => most)), 0),
      String(mostMemory)
    ])
  }
  fs.rmSync(out, { force: true })
  return {
    title: `A CSV file of ${shown(size, 0)} MB`,
    rows: [
      ["", "MB/s", "psql \\copy MB/s", "ahead by", "at least", "before MB", "most MB", "at most"],
      ...found
    ]
  }
}

export const copy: Suite = {
  name: "copy",
  always: true,
  quick: false,
  run: async (context) => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "copy-"))
    try {
      const file = path.join(folder, "rows.csv")
      return [...(await rows(context, file)), await files(context, file)]
    } finally {
      fs.rmSync(folder, { recursive: true, force: true })
    }
  }
}
