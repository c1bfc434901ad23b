/**
 * The process that uses many databases in turn: short statements by 256 callers, tenants distributed as Zipf says.
 * Takes the assignment as JSON, prints one JSON line.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import pg from "pg"
import { PG, PoolRegistry } from "../../src/index.ts"
import type { Target } from "./data.ts"
import { quantile } from "./numbers.ts"

export interface TenantsAssignment {
  /** `tenants`: this package, a database each; `one`: this package, one database; `pools`: one `pg.Pool` per tenant. */
  readonly mode: "tenants" | "one" | "pools"
  readonly target: Target
  readonly tenants: number
  readonly statements: number
  readonly limit: number
}

export interface TenantsFound {
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
  readonly failed: number
  /** The first failure, as text. */
  readonly failure: string
  readonly memory: number
}

const assignment: TenantsAssignment = JSON.parse(process.argv[2] ?? "")
const { mode, target, tenants, statements, limit } = assignment
const callers = 256
const text = "select id, name from people where id = $1"

/** Tenant numbers from 1, the first ones far more often than the last: weight 1/n. */
const zipf = (() => {
  const cumulative = new Float64Array(tenants)
  let total = 0
  for (let index = 0; index < tenants; index++) cumulative[index] = total += 1 / (index + 1)
  let random = 0x2545f491
  return () => {
    random ^= random << 13
    random ^= random >>> 17
    random ^= random << 5
    const point = ((random >>> 0) / 4_294_967_296) * total
    let [low, high] = [0, tenants - 1]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((cumulative[middle] ?? 0) < point) low = middle + 1
      else high = middle
    }
    return low + 1
  }
})()

const databaseOf = (tenant: number) => (mode === "one" ? "tenant_1" : `tenant_${tenant}`)

let begun = 0
let failed = 0
let failure = ""
const latencies = new Float64Array(statements)
const fail = (error: unknown) => {
  failed++
  if (failure === "") failure = String(error instanceof Error ? error.message : error).split("\n")[0] ?? ""
}

const ours = () => {
  const handles = Array.from({ length: tenants }, (_, index) =>
    PG.make({
      ...target,
      database: databaseOf(index + 1),
      maxConnections: mode === "one" ? limit : 10,
      acquireTimeout: "5 minutes",
      applicationName: "tenants"
    }).table("people")
  )
  const loop = Effect.gen(function* () {
    while (begun < statements) {
      const number = begun++
      const startedAt = performance.now()
      const exit = yield* Effect.exit(handles[zipf() - 1]!.select(text, [(number % 100) + 1]))
      latencies[number] = performance.now() - startedAt
      if (Exit.isFailure(exit)) fail(exit.cause.toString())
    }
  })
  const program = Effect.forEach(Array.from({ length: callers }), () => loop, {
    concurrency: "unbounded",
    discard: true
  })
  return Effect.runPromise(Effect.provide(program, PoolRegistry.layer({ maxConnections: limit })))
}

const pools = async () => {
  const { username: user, database: _, ...where } = target
  const made = new Map<number, pg.Pool>()
  const poolOf = (tenant: number) => {
    const known = made.get(tenant)
    if (known !== undefined) return known
    const pool = new pg.Pool({
      ...where,
      user,
      database: databaseOf(tenant),
      max: 10,
      application_name: "tenants"
    })
    pool.on("error", () => undefined)
    made.set(tenant, pool)
    return pool
  }
  const loop = async () => {
    while (begun < statements) {
      const number = begun++
      const startedAt = performance.now()
      try {
        await poolOf(zipf()).query({ name: "one", text, values: [(number % 100) + 1] })
      } catch (error) {
        fail(error)
      }
      latencies[number] = performance.now() - startedAt
    }
  }
  await Promise.all(Array.from({ length: callers }, loop))
  await Promise.all([...made.values()].map((pool) => pool.end()))
}

const startedAt = performance.now()
await (mode === "pools" ? pools() : ours())
const seconds = (performance.now() - startedAt) / 1000
latencies.sort()
const found: TenantsFound = {
  perSecond: (statements - failed) / seconds,
  p50: quantile(latencies, 0.5),
  p99: quantile(latencies, 0.99),
  failed,
  failure,
  memory: process.resourceUsage().maxRSS / 1024
}
process.stdout.write(`${JSON.stringify(found)}\n`)
