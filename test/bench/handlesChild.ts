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
  /** Bytes of a handle that nobody has used, and of one that was used once and whose pool is forgotten. */
  readonly unused: number
  readonly used: number
  /** Megabytes left when the handles are gone too. */
  readonly left: number
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

let pools = 0

const make = (count: number, round: string) =>
  Array.from({ length: count }, (_, index) =>
    PG.make({ ...target, database: `tenant_${(index % tenants) + 1}`, key: `${round} ${index}` })
  )

/** Each handle is used once, and then all pools are forgotten. */
const use = (all: ReadonlyArray<PG.Database>) =>
  Effect.gen(function* () {
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
  })

const program = Effect.gen(function* () {
  // What the first pools of a process load and compile stays.
  yield* use(make(200, "first"))
  const before = yield* weigh
  let all = make(handles, "key")
  const made = yield* weigh
  yield* use(all)
  const alive = yield* weigh
  all = []
  const found: HandlesFound = {
    unused: (made - before) / handles,
    used: (alive - before) / handles,
    left: ((yield* weigh) - before) / 2 ** 20,
    pools
  }
  process.stdout.write(`${JSON.stringify(found)}\n`)
})

await Effect.runPromise(
  Effect.provide(program, PoolRegistry.layer({ maxConnections: limit, poolIdleTimeout: "5 seconds" }))
)
