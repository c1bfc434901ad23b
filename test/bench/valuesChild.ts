/**
 * The process of the values suite: for each type, 1 000 rows of one column are read through a pool, in turns with a
 * `text` column that holds the same values printed. Takes a target, a number of turns and names of types (none: all),
 * prints one JSON line.
 */
import * as Effect from "effect/Effect"
import { PG } from "../../src/index.ts"
import type { Target } from "./data.ts"
import { median } from "./numbers.ts"
import { type ValueFound, values } from "./values.ts"

const target: Target = JSON.parse(process.argv[2] ?? "")
const turns = Number(process.argv[3])
const wanted = process.argv.slice(4)

const pgdb = PG.make({ ...target, maxConnections: 1 })
const rows = 1000

/** Milliseconds, of the clock and of this process, that reading a table some times takes. */
const time = (sql: string, times: number) =>
  Effect.gen(function* () {
    const start = performance.now()
    const cpu = process.cpuUsage()
    for (let index = 0; index < times; index++) yield* pgdb.select(sql)
    const used = process.cpuUsage(cpu)
    return { wall: performance.now() - start, cpu: (used.user + used.system) / 1000 }
  })

/** Both columns in turns, the order changing every turn. Ratios are medians over the turns. */
const measure = (name: string, expression: string) =>
  Effect.gen(function* () {
    yield* pgdb.execute("drop table if exists value_typed, value_printed")
    yield* pgdb.execute(
      `create table value_typed as select (${expression})::${name.split(",", 1)[0]} as v from generate_series(1, ${rows}) i`
    )
    yield* pgdb.execute("create table value_printed as select v::text as v from value_typed")
    const told = yield* pgdb.selectValue("select avg(octet_length(v))::float8 from value_printed")
    const typed = "select v from value_typed"
    const printed = "select v from value_printed"
    yield* time(typed, 40)
    yield* time(printed, 40)
    const { wall } = yield* time(printed, 20)
    const times = Math.max(5, Math.round((20 * 25) / wall))
    const found: Array<
      readonly [typed: { wall: number; cpu: number }, printed: { wall: number; cpu: number }]
    > = []
    for (let turn = 0; turn < turns; turn++) {
      const first = yield* time(turn % 2 === 0 ? typed : printed, times)
      const second = yield* time(turn % 2 === 0 ? printed : typed, times)
      found.push(turn % 2 === 0 ? [first, second] : [second, first])
    }
    const one: ValueFound = {
      name,
      length: told._tag === "Some" ? Number(told.value) : 0,
      microseconds: median(found.map(([own]) => own.wall / times)) * 1000,
      speed: median(found.map(([own, other]) => other.wall / own.wall)),
      cpu: median(found.map(([own, other]) => other.cpu / own.cpu))
    }
    return one
  })

const program = Effect.gen(function* () {
  yield* pgdb.execute("drop type if exists value_pair")
  yield* pgdb.execute("create type value_pair as (id int4, name text)")
  const chosen = values.filter(([name]) => wanted.length === 0 || wanted.includes(name))
  const found = yield* Effect.forEach(chosen, ([name, expression]) => measure(name, expression))
  yield* pgdb.execute("drop table value_typed, value_printed")
  yield* pgdb.execute("drop type value_pair")
  return found
})

process.stdout.write(`${JSON.stringify(await Effect.runPromise(PG.run(program)))}\n`)
