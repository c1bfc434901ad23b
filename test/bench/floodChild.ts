/**
 * The process that shows what one flooding tenant costs the others: each of them has one caller, which asks again as soon as
 * it is answered; the first tenant has ten thousand, or none. Takes the assignment as JSON, prints one JSON line.
 */
import * as Effect from "effect/Effect"
import { PG, PoolRegistry } from "../../src/index.ts"
import type { Target } from "./data.ts"
import { quantile } from "./numbers.ts"

export interface FloodAssignment {
  readonly target: Target
  /** Callers of the first tenant. */
  readonly flood: number
  /** Tenants with a single caller. */
  readonly others: number
  /** Calls of each of these. */
  readonly calls: number
  readonly limit: number
}

export interface FloodFound {
  readonly p50: number
  readonly p99: number
  /** Answers that the flooding tenant got meanwhile, each second. */
  readonly flooded: number
}

const { target, flood, others, calls, limit }: FloodAssignment = JSON.parse(process.argv[2] ?? "")
const text = "select id, name from people where id = $1"
const people = (tenant: number) =>
  PG.make({
    ...target,
    database: `tenant_${tenant}`,
    maxConnections: Math.min(10, limit),
    acquireTimeout: "10 minutes",
    applicationName: "tenants"
  }).table("people")

const latencies: Array<number> = []
let flooded = 0
const all = { concurrency: "unbounded", discard: true } as const
const numbers = (count: number) => Array.from({ length: count }, (_, index) => index + 1)

const quiet = Effect.forEach(
  numbers(others),
  (tenant) => {
    const table = people(tenant + 1)
    return Effect.forEach(
      numbers(calls),
      (call) =>
        Effect.suspend(() => {
          const startedAt = performance.now()
          return Effect.map(table.select(text, [call % 100]), () => {
            latencies.push(performance.now() - startedAt)
          })
        }),
      { discard: true }
    )
  },
  all
)

const table = people(1)
const flooding = Effect.forEach(
  numbers(flood),
  (caller) =>
    Effect.forever(
      Effect.map(table.select(text, [caller % 100]), () => {
        flooded++
      })
    ),
  all
)

const startedAt = performance.now()
await Effect.runPromise(
  Effect.provide(
    flood > 0 ? Effect.raceFirst(quiet, flooding) : quiet,
    PoolRegistry.layer({ maxConnections: limit })
  )
)
const sorted = Float64Array.from(latencies).sort()
const found: FloodFound = {
  p50: quantile(sorted, 0.5),
  p99: quantile(sorted, 0.99),
  flooded: (flooded / (performance.now() - startedAt)) * 1000
}
process.stdout.write(`${JSON.stringify(found)}\n`)
