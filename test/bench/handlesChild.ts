/**
 * The process that shows what handles weigh, and what is left of pools that were used once and forgotten. Needs
 * `--expose-gc`. Takes the assignment as JSON, prints one JSON line.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { PG, PoolRegistry } from "../../src/index.ts"
import type { Target } from "./data.ts"

export interface HandlesAssignment {
  readonly target: Target
  readonly handles: number
  /** Databases that the handles are spread over, each handle with a key of its own. */
  readonly tenants: number
  readonly limit: number
}

export interface HandlesFound {
  /** Bytes of a handle that nobody has used. */
  readonly handle: number
  /** Megabytes grown, with all handles alive: by those themselves, and after each was used once and its pool forgotten. */
  readonly made: number
  readonly forgotten: number
  /** Pools that were there at one time. */
  readonly pools: number
}

const { target, handles, tenants, limit }: HandlesAssignment = JSON.parse(process.argv[2] ?? "")

const weigh = Effect.promise(async () => {
  for (let time = 0; time < 5; time++) {
    await new Promise((resolve) => setTimeout(resolve, 100))
    globalThis.gc?.()
  }
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
})

const program = Effect.gen(function* () {
  const before = yield* weigh
  const all = Array.from({ length: handles }, (_, index) =>
    PG.make({ ...target, database: `tenant_${(index % tenants) + 1}`, key: `key ${index}` })
  )
  const made = yield* weigh
  let pools = 0
  yield* Effect.forEach(
    all,
    (pgdb) =>
      Effect.andThen(
        pgdb.select`select 1`,
        Effect.map(PoolRegistry.stats, ({ length }) => {
          pools = Math.max(pools, length)
        })
      ),
    { concurrency: limit, discard: true }
  )
  yield* PoolRegistry.stats.pipe(
    Effect.filterOrFail(({ length }) => length === 0),
    Effect.retry(Schedule.spaced("100 millis"))
  )
  const forgotten = yield* weigh
  const found: HandlesFound = {
    handle: (made - before) / all.length,
    made: (made - before) / 2 ** 20,
    forgotten: (forgotten - before) / 2 ** 20,
    pools
  }
  process.stdout.write(`${JSON.stringify(found)}\n`)
})

await Effect.runPromise(
  Effect.provide(program, PoolRegistry.layer({ maxConnections: limit, poolIdleTimeout: "5 seconds" }))
)
