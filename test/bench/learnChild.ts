/**
 * The process of the cost suite that opens connections: a pool's first connection, which learns the catalogue, beside one
 * of the driver, in turns. Takes a target and a number of turns, prints one JSON line.
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

const milliseconds = <E, R>(program: Effect.Effect<unknown, E, R>) =>
  Effect.gen(function* () {
    const start = performance.now()
    yield* program
    return performance.now() - start
  })

/** From nothing to a first row; the end of the connection comes after. */
const ours = (to: Target) => PG.run(milliseconds(PG.make(to).select("select 1")))

const theirs = (to: Target) =>
  Effect.scoped(
    milliseconds(
      Effect.flatMap(PgConnection.make({ ...to, password: Redacted.make(to.password) }), (connection) =>
        connection.query("select 1", [])
      )
    )
  )

/** How much longer a pool takes than the driver: the median over turns whose order changes. */
const added = (to: Target) =>
  Effect.gen(function* () {
    const found: Array<number> = []
    for (let turn = -5; turn < turns; turn++) {
      const first = yield* turn % 2 === 0 ? ours(to) : theirs(to)
      const second = yield* turn % 2 === 0 ? theirs(to) : ours(to)
      if (turn >= 0) found.push(turn % 2 === 0 ? first - second : second - first)
    }
    return median(found)
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
    none: yield* added(target),
    many: yield* added({ ...target, database: full })
  }
  yield* PG.run(admin.execute(`drop database ${full}`))
  return found
})

process.stdout.write(`${JSON.stringify(await Effect.runPromise(program))}\n`)
