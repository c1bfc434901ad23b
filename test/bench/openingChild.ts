/**
 * The process of the opening suite: from nothing to the first row, one opening after the other, through a pool of this package
 * and through a connection of the driver, in turns. Takes targets and a number of turns, prints one JSON line.
 */
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { PG } from "../../src/index.ts"
import type { Target } from "./data.ts"
import { median } from "./numbers.ts"

export interface Opening {
  readonly name: string
  readonly ours: number
  readonly theirs: number
  /** Of this package to the driver, by the clock and by the processor time of the process: medians over the pairs. */
  readonly ratio: number
  readonly cpu: number
}

const targets: Readonly<Record<string, Target>> = JSON.parse(process.argv[2] ?? "")
const turns = Number(process.argv[3])

/** Milliseconds by the clock and of this process. */
const timed = <E, R>(program: Effect.Effect<unknown, E, R>) =>
  Effect.gen(function* () {
    const start = performance.now()
    const before = process.cpuUsage()
    yield* program
    const wall = performance.now() - start
    const { system, user } = process.cpuUsage(before)
    return { wall, cpu: (system + user) / 1000 }
  })

const pool = (to: Target) => PG.run(timed(PG.make(to).select("select 1")))

const driver = (to: Target) =>
  Effect.scoped(
    timed(
      Effect.flatMap(PgConnection.make({ ...to, password: Redacted.make(to.password) }), (connection) =>
        connection.query("select 1", [])
      )
    )
  )

const measure = (name: string, to: Target) =>
  Effect.gen(function* () {
    const found = []
    for (let turn = -20; turn < turns; turn++) {
      const first = yield* turn % 2 === 0 ? pool(to) : driver(to)
      const second = yield* turn % 2 === 0 ? driver(to) : pool(to)
      const [own, other] = turn % 2 === 0 ? [first, second] : [second, first]
      if (turn >= 0) found.push({ own, other })
    }
    const opening: Opening = {
      name,
      ours: median(found.map(({ own }) => own.wall)),
      theirs: median(found.map(({ other }) => other.wall)),
      ratio: median(found.map(({ other, own }) => own.wall / other.wall)),
      cpu: median(found.map(({ other, own }) => own.cpu / other.cpu))
    }
    return opening
  })

const openings = Effect.forEach(Object.entries(targets), ([name, target]) => measure(name, target))

process.stdout.write(`${JSON.stringify(await Effect.runPromise(openings))}\n`)
