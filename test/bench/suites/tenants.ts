/**
 * A database per tenant: 1 000 databases under a limit of 50 connections, beside the same load on one database and
 * beside one `pg.Pool` per tenant; what a flooding tenant costs the others; what handles and forgotten pools weigh. Makes
 * some 8 GB of databases, so it runs only when it is named.
 */
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import pg from "pg"
import { root } from "../build.ts"
import type { FloodAssignment, FloodFound } from "../floodChild.ts"
import type { HandlesAssignment, HandlesFound, Weight } from "../handlesChild.ts"
import { describeMachine, pinned } from "../machine.ts"
import { shown } from "../numbers.ts"
import { sectionOf } from "../report.ts"
import type { Context } from "../run.ts"
import type { TenantsAssignment, TenantsFound } from "../tenantsChild.ts"
import type { Section, Suite } from "./Suite.ts"

/** How much of everything; the quick run has less. */
interface Extent {
  readonly databases: number
  readonly limit: number
  readonly statements: number
  /** Waiting calls of the tenant that floods. */
  readonly flood: number
  readonly handles: number
}

const full: Extent = { databases: 1000, limit: 50, statements: 200_000, flood: 10_000, handles: 10_000 }
const short: Extent = { databases: 50, limit: 10, statements: 5000, flood: 1000, handles: 500 }

/** Makes the tenants' databases from one template, several at a time. */
const provision = async (context: Context, count: number): Promise<void> => {
  const { username: user, ...where } = context.target
  await context.admin.query("create database tenant_template")
  const template = new pg.Client({ ...where, user, database: "tenant_template" })
  await template.connect()
  await template.query("create table people (id int4 primary key, name text not null)")
  await template.query("insert into people select i, 'Person ' || i from generate_series(1, 100) i")
  await template.query("vacuum analyze people")
  await template.end()
  const makers = Array.from({ length: 4 }, () => new pg.Client({ ...where, user }))
  let next = 1
  await Promise.all(
    makers.map(async (maker) => {
      await maker.connect()
      while (next <= count) await maker.query(`create database tenant_${next++} template tenant_template`)
      await maker.end()
    })
  )
  await context.admin.query("checkpoint")
}

interface Watched extends TenantsFound {
  /** The most connections of the load that the server showed at one moment. */
  readonly most: number
  /** Connections opened in all. */
  readonly opened: number
}

/** Sessions of the tenants' databases so far; the server writes its statistics down within a second. */
const sessions = async (context: Context): Promise<number> => {
  await new Promise((resolve) => setTimeout(resolve, 1500))
  const found = await context.admin.query(
    "select coalesce(sum(sessions), 0)::int as sessions from pg_stat_database where datname ~ '^tenant_[0-9]+$'"
  )
  return found.rows[0]?.sessions ?? 0
}

interface Assignments {
  readonly tenants: TenantsAssignment
  readonly flood: FloodAssignment
  readonly handles: HandlesAssignment
}

/** A process with its part of the work; `said` is its one line, or what went wrong. */
const start = <Name extends keyof Assignments>(
  context: Context,
  name: Name,
  assignment: Assignments[Name]
) => {
  const [command, args] = pinned(context.cores.load, process.execPath, [
    "--expose-gc",
    path.join(context.built, `test/bench/${name}Child.js`),
    JSON.stringify(assignment)
  ])
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] })
  let output = ""
  let complaint = ""
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString()
  })
  child.stderr.on("data", (chunk: Buffer) => {
    complaint += chunk.toString()
  })
  const state = { running: true }
  const said = new Promise<string>((resolve, reject) => {
    child.once("close", () => {
      state.running = false
      if (output !== "") resolve(output)
      else reject(new Error(`FAILED: ${/^\w*Error.*$/m.exec(complaint)?.[0] ?? complaint.slice(0, 200)}`))
    })
  })
  return { state, said }
}

/** Runs one load, asking the server every 10 ms how many connections it has. */
const watch = async (context: Context, assignment: TenantsAssignment): Promise<Watched> => {
  const before = await sessions(context)
  const { said, state } = start(context, "tenants", assignment)
  let most = 0
  while (state.running) {
    const seen = await context.admin.query(
      "select count(*)::int as open from pg_stat_activity where application_name = 'tenants' or (backend_type = 'client backend' and datname like 'tenant%')"
    )
    most = Math.max(most, seen.rows[0]?.open ?? 0)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  const found: TenantsFound = JSON.parse(await said)
  return { ...found, most, opened: (await sessions(context)) - before }
}

const inTurn = async (context: Context, { databases, limit, statements }: Extent): Promise<Section> => {
  const load = { target: context.target, tenants: databases, statements, limit }
  const loads = [
    [`effect-global-pool, ${databases} databases, limit ${limit}`, { ...load, mode: "tenants" }],
    [`effect-global-pool, one database, limit ${limit}`, { ...load, mode: "one" }],
    [`pg, a Pool of 10 per tenant, ${databases} databases`, { ...load, mode: "pools" }]
  ] as const
  const rows: Array<ReadonlyArray<string>> = []
  const failures: Array<string> = []
  for (const [title, assignment] of loads) {
    const found = await watch(context, assignment)
    if (found.failed > 0) failures.push(`${title}: "${found.failure}"`)
    rows.push([
      title,
      shown(found.perSecond, 0),
      shown(found.p50, 2),
      shown(found.p99, 1),
      shown(found.failed, 0),
      shown(found.most, 0),
      shown(found.opened, 0),
      shown(found.memory, 0)
    ])
  }
  return {
    title: `${shown(databases, 0)} databases in turn: ${shown(statements, 0)} statements by 256 callers, tenants by Zipf`,
    rows: [["", "statements/s", "p50 ms", "p99 ms", "failed", "at once", "opened", "peak MB"], ...rows],
    note: `At once: the most connections that the server showed, asked every 10 ms; it allows 400. Opened: connections in all.${failures.length > 0 ? ` First failure of ${failures.join("; ")}.` : ""}`
  }
}

const besideAFlood = async (context: Context, { flood, limit }: Extent): Promise<Section> => {
  const load = { target: context.target, others: 40, calls: 50, limit: 10 }
  const rows: Array<ReadonlyArray<string>> = []
  for (const callers of [0, flood]) {
    const found: FloodFound = JSON.parse(await start(context, "flood", { ...load, flood: callers }).said)
    rows.push([
      callers === 0 ? "nobody floods" : `one tenant has ${shown(callers, 0)} calls waiting`,
      shown(found.p50, 1),
      shown(found.p99, 1),
      shown(found.flooded, 0)
    ])
  }
  return {
    title: `A tenant that floods: ${load.others} others with a call at a time, limit ${Math.min(limit, load.limit)}`,
    rows: [["", "others' p50 ms", "others' p99 ms", "flood's statements/s"], ...rows]
  }
}

const forgotten = async (context: Context, { databases, handles, limit }: Extent): Promise<Section> => {
  const assignment = { target: context.target, handles, tenants: databases, limit }
  const found: HandlesFound = JSON.parse(await start(context, "handles", assignment).said)
  const row = (when: string, { heap, resident }: Weight) => [
    when,
    shown(heap, 1),
    shown(heap - found.first.heap, 1),
    shown(heap - found.loaded.heap, 1),
    shown(resident, 0)
  ]
  return {
    title: `Memory of ${shown(handles, 0)} handles, each used once and its pool forgotten after 5 s, twice over`,
    rows: [
      ["MB", "heap", "grown since the first pool", "grown since the start", "resident"],
      row("modules loaded, nothing run", found.loaded),
      row("a first pool used and forgotten", found.first),
      ...found.rounds.map((weight, index) =>
        row(`${shown((index + 1) * handles, 0)} more, their handles gone`, weight)
      )
    ],
    note: `Heap: objects, code and buffers after garbage collection; resident: what the system counts, with what V8 keeps for new objects. A live handle takes ${shown(found.unused / 1024, 2)} KB unused and ${shown(found.used / 1024, 2)} KB once it was used, by the second round. \`PG.make\` takes ${shown(found.made / 1000, 2)} µs, \`table\` ${shown(found.madeTable / 1000, 2)} µs. ${shown(found.pools, 0)} pools were there at one time.`
  }
}

/** The full run's tables are kept beside those of the other workloads. */
const keep = async (context: Context, sections: ReadonlyArray<Section>): Promise<void> => {
  const { rows } = await context.admin.query("show server_version")
  fs.writeFileSync(
    path.join(root, "docs/benchmarks-tenants.md"),
    `# A database per tenant

Written by \`npm run bench -- tenants\`.

- Machine: ${describeMachine()}; ${context.cores.said}.
- Server: Postgres ${rows[0]?.server_version}; all connect over TCP on the loopback, with SCRAM.

${sections.map(sectionOf).join("\n")}`
  )
}

export const tenants: Suite = {
  name: "tenants",
  always: false,
  quick: false,
  run: async (context) => {
    const extent = context.quick ? short : full
    await provision(context, extent.databases)
    const sections: Array<Section> = []
    for (const part of [forgotten, besideAFlood, inTurn]) {
      const section = await part(context, extent)
      console.log(`Done: ${section.title}`)
      sections.push(section)
    }
    if (!context.quick) await keep(context, sections)
    return sections
  }
}
