/**
 * The process of the seen suite: what it costs that operations are counted, logged and traced. Takes a target and the number of
 * turns, prints one JSON line.
 */
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Result from "effect/Result"
import * as Tracer from "effect/Tracer"
import * as Execute from "../../src/execute/Execute.ts"
import * as Jobs from "../../src/execute/Job.ts"
import { PG, PoolRegistry } from "../../src/index.ts"
import { check } from "../../src/settings/Check.ts"
import { runStatement } from "../../src/transaction/Run.ts"
import { type Target, text } from "./data.ts"
import { median } from "./numbers.ts"

const target: Target = JSON.parse(process.argv[2] ?? "")
const turns = Number(process.argv[3])

type Task = Effect.Effect<unknown, unknown, PoolRegistry>

/** Operations one behind the other, in so many fibers: microseconds of each by the clock, and of the processor time of this process. */
const cost = (task: Task, inFlight: number, milliseconds: number) =>
  Effect.gen(function* () {
    const start = performance.now()
    const end = start + milliseconds
    const before = process.cpuUsage()
    let count = 0
    const loop = Effect.gen(function* () {
      while (performance.now() < end) {
        yield* task
        count++
      }
    })
    yield* Effect.forEach(Array.from({ length: inFlight }), () => loop, {
      concurrency: "unbounded",
      discard: true
    })
    const { system, user } = process.cpuUsage(before)
    return { cpu: (user + system) / count, clock: (1_000 * (performance.now() - start)) / count }
  })

/** What an operation runs in: with a tracer, a logger, or as it is. */
interface Way {
  readonly task: Task
  readonly within: (loop: ReturnType<typeof cost>) => ReturnType<typeof cost>
}

/** Both in turns; the order changes every turn. The medians over the turns, and by how much the second has more. */
const compare = (without: Way, having: Way, inFlight: number) =>
  Effect.gen(function* () {
    const measure = ({ task, within }: Way) => within(cost(task, inFlight, 150))
    const found: Array<readonly [{ cpu: number; clock: number }, { cpu: number; clock: number }]> = []
    for (let turn = -3; turn < turns; turn++) {
      const first = yield* measure(turn % 2 === 0 ? without : having)
      const second = yield* measure(turn % 2 === 0 ? having : without)
      if (turn >= 0) found.push(turn % 2 === 0 ? [first, second] : [second, first])
    }
    const of = (name: "cpu" | "clock") => ({
      without: median(found.map(([one]) => one[name])),
      having: median(found.map(([, other]) => other[name])),
      more: median(found.map(([one, other]) => other[name] / one[name])) - 1
    })
    return { cpu: of("cpu"), clock: of("clock") }
  })

const tracer = Tracer.make({ span: (options) => new Tracer.NativeSpan(options) })
const silent = Logger.layer([Logger.make(() => undefined)])

const program = Effect.gen(function* () {
  const people = PG.make(target).table("people")
  const logging = PG.make({ ...target, key: "logging", logStatements: "all" }).table("people")
  const bound = { text: text.pointSelect, params: [7] }
  const pool = yield* (yield* PoolRegistry).pool(Result.getOrThrow(check(target)))
  const rowsOf = ({ rows }: { readonly rows: ReadonlyArray<unknown> }) => rows

  const bare = Effect.withFiber((fiber) => {
    const job = Jobs.prepare(pool, bound)
    return Jobs.isJob(job) ? Effect.map(Execute.single(pool, fiber, job), rowsOf) : Effect.fail(job)
  })
  const counted = Effect.withFiber((fiber) =>
    Effect.map(runStatement(pool, fiber, bound, { table: "people" }), rowsOf)
  )
  const plain = people.select(bound.text, bound.params)
  const logged = logging.select(bound.text, bound.params)
  const asIs: Way["within"] = (loop) => loop
  const withLog: Way["within"] = Effect.provide(silent)
  const withTracer: Way["within"] = Effect.provideService(Tracer.Tracer, tracer)
  const all = {
    counted: [
      { task: bare, within: asIs },
      { task: counted, within: asIs }
    ],
    logged: [
      { task: plain, within: asIs },
      { task: logged, within: withLog }
    ],
    traced: [
      { task: plain, within: asIs },
      { task: plain, within: withTracer }
    ],
    both: [
      { task: plain, within: asIs },
      { task: logged, within: (loop: ReturnType<typeof cost>) => withTracer(withLog(loop)) }
    ]
  } as const
  const found: Record<string, unknown> = {}
  for (const [name, [without, having]] of Object.entries(all)) {
    for (const inFlight of [1, 64]) found[`${name}${inFlight}`] = yield* compare(without, having, inFlight)
  }
  return found
})

const found = await Effect.runPromise(Effect.scoped(Effect.provide(program, PG.layer)))
process.stdout.write(`${JSON.stringify(found)}\n`)
