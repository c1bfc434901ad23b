/**
 * A database per tenant: 1 000 databases under a limit of 50 connections, beside the same load on one database and
 * beside one `pg.Pool` per tenant. Makes some 8 GB of databases, so it runs only when it is named.
 */
import { spawn } from "node:child_process"
import * as path from "node:path"
import pg from "pg"
import { pinned } from "../machine.ts"
import { shown } from "../numbers.ts"
import type { Context } from "../run.ts"
import type { TenantsAssignment, TenantsFound } from "../tenantsChild.ts"
import type { Suite } from "./Suite.ts"

const limit = 50

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

/** Runs one load, asking the server every 10 ms how many connections it has. */
const watch = async (context: Context, assignment: TenantsAssignment): Promise<Watched | string> => {
  const before = await sessions(context)
  const [command, args] = pinned(context.cores.load, process.execPath, [
    path.join(context.built, "test/bench/tenantsChild.js"),
    JSON.stringify(assignment)
  ])
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] })
  let said = ""
  let complaint = ""
  let running = true
  child.stdout.on("data", (chunk: Buffer) => {
    said += chunk.toString()
  })
  child.stderr.on("data", (chunk: Buffer) => {
    complaint += chunk.toString()
  })
  child.once("close", () => {
    running = false
  })
  let most = 0
  while (running) {
    const seen = await context.admin.query(
      "select count(*)::int as open from pg_stat_activity where application_name = 'tenants' or (backend_type = 'client backend' and datname like 'tenant%')"
    )
    most = Math.max(most, seen.rows[0]?.open ?? 0)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  const opened = (await sessions(context)) - before
  return said === ""
    ? `FAILED: ${/^\w*Error.*$/m.exec(complaint)?.[0] ?? complaint.slice(0, 200)}`
    : { ...JSON.parse(said), most, opened }
}

export const tenants: Suite = {
  name: "tenants",
  always: false,
  quick: false,
  run: async (context) => {
    const [count, statements] = context.quick ? [50, 5000] : [1000, 200_000]
    await provision(context, count)
    const load = { target: context.target, tenants: count, statements, limit }
    const loads = [
      [`effect-global-pool, ${count} databases, limit ${limit}`, { ...load, mode: "tenants" }],
      [`effect-global-pool, one database, limit ${limit}`, { ...load, mode: "one" }],
      [`pg, a Pool of 10 per tenant, ${count} databases`, { ...load, mode: "pools" }]
    ] as const
    const rows: Array<ReadonlyArray<string>> = []
    const failures: Array<string> = []
    for (const [title, assignment] of loads) {
      const found = await watch(context, assignment)
      if (typeof found === "string") {
        rows.push([title, found, "", "", "", "", "", ""])
        continue
      }
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
    return [
      {
        title: `${shown(count, 0)} databases in turn: ${shown(statements, 0)} statements by 256 callers, tenants by Zipf`,
        rows: [["", "statements/s", "p50 ms", "p99 ms", "failed", "at once", "opened", "peak MB"], ...rows],
        note: `At once: the most connections that the server showed, asked every 10 ms; it allows 400. Opened: connections in all.${failures.length > 0 ? ` First failure of ${failures.join("; ")}.` : ""}`
      }
    ]
  }
}
