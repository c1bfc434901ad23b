/**
 * The process of the cost suite that opens pools, in turns: one whose first statement has the catalogue asked for all types of
 * users, since it returns an anonymous record; one that asks nothing; and the driver's connection. Takes a target and a number
 * of turns, prints one JSON line.
 */
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { PG } from "../../src/index.ts"
import type { Target } from "./data.ts"
import { median } from "./numbers.ts"

const target: Target = JSON.parse(process.argv[2] ?? "")
const turns = Number(process.argv[3])
const types = 1000
const full = "cost_types"

/** Milliseconds by the clock and of this process. */
interface Time {
  readonly wall: number
  readonly cpu: number
}

const timed = <E, R>(program: Effect.Effect<unknown, E, R>): Effect.Effect<Time, E, R> =>
  Effect.gen(function* () {
    const start = performance.now()
    const before = process.cpuUsage()
    yield* program
    const wall = performance.now() - start
    const { system, user } = process.cpuUsage(before)
    return { wall, cpu: (system + user) / 1000 }
  })

/** From nothing to a first row; the end of the connection comes after. */
const pool = (to: Target, text = "select 1") => PG.run(timed(PG.make(to).select(text)))

const driver = (to: Target) =>
  Effect.scoped(
    timed(
      Effect.flatMap(PgConnection.make({ ...to, password: Redacted.make(to.password) }), (connection) =>
        connection.query("select 1", [])
      )
    )
  )

/** What one takes longer than another: the medians over turns whose order changes. */
const added = <E>(one: Effect.Effect<Time, E>, other: Effect.Effect<Time, E>) =>
  Effect.gen(function* () {
    const found: Array<Time> = []
    for (let turn = -5; turn < turns; turn++) {
      const first = yield* turn % 2 === 0 ? one : other
      const second = yield* turn % 2 === 0 ? other : one
      const [more, less] = turn % 2 === 0 ? [first, second] : [second, first]
      if (turn >= 0) found.push({ wall: more.wall - less.wall, cpu: more.cpu - less.cpu })
    }
    return { wall: median(found.map(({ wall }) => wall)), cpu: median(found.map(({ cpu }) => cpu)) }
  })

const measure = (to: Target) =>
  Effect.gen(function* () {
    const learning = yield* added(pool(to, "select row(1, 2)"), pool(to, "select (array[1, 2])[1:2]"))
    const whole = yield* added(pool(to), driver(to))
    return { learning: learning.wall, cpu: learning.cpu, pool: whole.wall }
  })

/** Enums, composites, domains and ranges, as many of each. */
const makeTypes = `do $$ begin
  for i in 1..${types / 4} loop
    execute format('create type mood_%s as enum (''sad'', ''ok'', ''happy'')', i);
    execute format('create type pair_%s as (id int4, name text, mood mood_%s)', i, i);
    execute format('create domain positive_%s as int4 check (value > 0)', i);
    execute format('create type span_%s as range (subtype = float8)', i);
  end loop;
end $$`

const program = Effect.gen(function* () {
  const admin = PG.make(target)
  yield* PG.run(
    Effect.gen(function* () {
      yield* admin.execute(`drop database if exists ${full}`)
      yield* admin.execute(`create database ${full}`)
    })
  )
  const many = PG.make({ ...target, database: full })
  yield* PG.run(Effect.andThen(many.execute(makeTypes), many.execute("vacuum analyze")))
  const found = {
    types,
    none: yield* measure(target),
    many: yield* measure({ ...target, database: full })
  }
  yield* PG.run(admin.execute(`drop database ${full}`))
  return found
})

process.stdout.write(`${JSON.stringify(await Effect.runPromise(program))}\n`)
