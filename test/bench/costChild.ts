/**
 * The process of the cost suite: this package beside the driver it is built on, in turns in one process. Needs
 * `--expose-gc`. Takes a target and the number of turns, prints one JSON line.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Reactivity from "effect/reactivity/Reactivity"
import { PG } from "../../src/index.ts"
import { type Target, text } from "./data.ts"
import { median } from "./numbers.ts"

const target: Target = JSON.parse(process.argv[2] ?? "")
const turns = Number(process.argv[3])
const driverTarget = {
  ...target,
  password: Redacted.make(target.password),
  idleTimeout: "10 minutes" as const
}

type Task = Effect.Effect<unknown, unknown, import("../../src/index.ts").PoolRegistry>

/** Operations a second of `inFlight` fibers for a length of time. */
const speed = (task: Task, inFlight: number, milliseconds: number) =>
  Effect.gen(function* () {
    const start = performance.now()
    const end = start + milliseconds
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
    return (count * 1000) / (performance.now() - start)
  })

/** Both in turns; the order changes every turn. `ratio` is the median over the turns of ours divided by theirs. */
const compare = (ours: Task, theirs: Task, inFlight: number) =>
  Effect.gen(function* () {
    const found: Array<readonly [number, number]> = []
    for (let turn = -3; turn < turns; turn++) {
      const first = yield* speed(turn % 2 === 0 ? ours : theirs, inFlight, 150)
      const second = yield* speed(turn % 2 === 0 ? theirs : ours, inFlight, 150)
      if (turn >= 0) found.push(turn % 2 === 0 ? [first, second] : [second, first])
    }
    return {
      ours: median(found.map(([own]) => own)),
      theirs: median(found.map(([, other]) => other)),
      ratio: median(found.map(([own, other]) => own / other))
    }
  })

/** What one value costs: nanoseconds to make, bytes to keep. */
const costOf = (make: (index: number) => unknown) => {
  const times: Array<number> = []
  for (let round = 0; round < 7; round++) {
    const start = process.hrtime.bigint()
    for (let index = 0; index < 200_000; index++) make(index)
    times.push(Number(process.hrtime.bigint() - start) / 200_000)
  }
  const kept: Array<unknown> = new Array(100_000).fill(undefined)
  globalThis.gc?.()
  const before = process.memoryUsage().heapUsed
  for (let index = 0; index < kept.length; index++) kept[index] = make(index)
  globalThis.gc?.()
  const bytes = (process.memoryUsage().heapUsed - before) / kept.length
  return { nanoseconds: median(times), bytes, kept: kept.length }
}

const program = Effect.gen(function* () {
  const pgdb = PG.make(target)
  const people = pgdb.table("people")
  const wide = pgdb.table("wide")
  const plain = yield* PgClient.make(driverTarget)
  const multiplex = yield* PgClient.make({ ...driverTarget, multiplex: true })
  const connection = yield* PgConnection.make(driverTarget)

  const point = people.select(text.pointSelect, [7])
  const rows = wide.select(text.rows1000)
  return {
    database: costOf(() => PG.make(target)),
    table: costOf((index) => pgdb.table(index % 2 === 0 ? "people" : "audit.events")),
    select: costOf(() => people.select(text.pointSelect, [7])),
    point1: yield* compare(point, plain.unsafe(text.pointSelect, [7]), 1),
    point10: yield* compare(point, plain.unsafe(text.pointSelect, [7]), 10),
    point64: yield* compare(point, plain.unsafe(text.pointSelect, [7]), 64),
    multiplex64: yield* compare(point, multiplex.unsafe(text.pointSelect, [7]), 64),
    rows1: yield* compare(rows, plain.unsafe(text.rows1000), 1),
    rowsBare: yield* compare(rows, connection.query(text.rows1000, []), 1)
  }
})

const found = await Effect.runPromise(
  Effect.scoped(Effect.provide(program, PG.layer)).pipe(Effect.provide(Reactivity.layer))
)
process.stdout.write(`${JSON.stringify(found)}\n`)
