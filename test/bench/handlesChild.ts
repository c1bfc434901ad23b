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

/** Megabytes that the process has at one moment, after garbage collection. */
export interface Weight {
  /** Objects and code of JavaScript, and the buffers that they own. */
  readonly heap: number
  /** What the system has given the process, of which some is kept for what comes. */
  readonly resident: number
}

export interface HandlesFound {
  /** Bytes of a handle that nobody has used, and of one that was used once and whose pool is forgotten. */
  readonly unused: number
  readonly used: number
  /** Nanoseconds to make a handle, and a table's handle; the fastest of ten rounds. */
  readonly made: number
  readonly madeTable: number
  /** Before anything has run; after one pool, used once and forgotten; and after each round of as many as there are handles. */
  readonly loaded: Weight
  readonly first: Weight
  readonly rounds: ReadonlyArray<Weight>
  /** The most pools at one time. */
  readonly pools: number
}

const { target, handles, tenants, limit }: HandlesAssignment = JSON.parse(process.argv[2] ?? "")
const mega = 2 ** 20

const weigh = Effect.promise(async (): Promise<Weight> => {
  for (let time = 0; time < 5; time++) {
    await new Promise((resolve) => setTimeout(resolve, 100))
    globalThis.gc?.()
  }
  const { external, heapUsed, rss } = process.memoryUsage()
  return { heap: (heapUsed + external) / mega, resident: rss / mega }
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

/** Handles are made, used and dropped: what they weigh meanwhile, and what is there afterwards. */
const round = Effect.fnUntraced(function* (name: string) {
  const before = yield* weigh
  let all = make(handles, name)
  const made = yield* weigh
  yield* use(all)
  const alive = yield* weigh
  all = []
  const bytes = (weight: Weight) => ((weight.heap - before.heap) * mega) / handles
  return { unused: bytes(made), used: bytes(alive), after: yield* weigh }
})

/** Nanoseconds of one call: the fastest of ten rounds of as many calls as there are handles. */
const timeOf = <A>(call: (index: number) => A): number => {
  const kept: Array<A> = []
  const rounds = Array.from({ length: 10 }, () => {
    const start = performance.now()
    for (let index = 0; index < handles; index++) kept[index] = call(index)
    return performance.now() - start
  })
  return (Math.min(...rounds) * 1e6) / handles
}

const time = () => {
  const names = Array.from({ length: handles }, (_, index) => `name ${index}`)
  const settings = names.map((key) => ({ ...target, key }))
  const pgdb = PG.make(target)
  return {
    made: timeOf((index) => PG.make(settings[index]!)),
    madeTable: timeOf((index) => pgdb.table(names[index]!))
  }
}

const program = Effect.gen(function* () {
  const times = time()
  const loaded = yield* weigh
  yield* use(make(1, "first"))
  const first = yield* weigh
  const one = yield* round("one")
  // What is compiled was compiled by now, so this one weighs handles alone.
  const { unused, used, after } = yield* round("two")
  const found: HandlesFound = { ...times, unused, used, loaded, first, rounds: [one.after, after], pools }
  process.stdout.write(`${JSON.stringify(found)}\n`)
})

await Effect.runPromise(
  Effect.provide(program, PoolRegistry.layer({ maxConnections: limit, poolIdleTimeout: "5 seconds" }))
)
