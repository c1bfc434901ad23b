/**
 * A fiber may be interrupted between any two of its steps. Wherever that is, its caller goes on, the connection serves the next
 * one, a transaction goes on or ends, and of what belongs together all is stored or nothing.
 */
import { assert, describe, expect } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { PG, PoolRegistry } from "effect-global-pool"
import { eventually } from "./support/database.ts"
import { type Given, withDatabase } from "./support/handle.ts"
import { interruptAt } from "./support/interruptAt.ts"

type Operation = (pgdb: PG.Database) => Effect.Effect<unknown, unknown, PoolRegistry>

const at = new Date("2026-03-01T15:30:00Z")
const insert = (pgdb: PG.Database) => pgdb.execute("insert into t (x) values (1)")

/** Each stores two rows, or four, or none. */
const operations: Readonly<Record<string, Operation>> = {
  "a statement": (pgdb) => pgdb.select("select id from t where x > $1 limit 1", [3]),
  "a statement that is described": (pgdb) =>
    pgdb.execute("insert into t (x, d) select 1, $1 from generate_series(1, 2)", [at]),
  "rows of composites": (pgdb) =>
    pgdb.select("insert into t (x) select 1 from generate_series(1, 2) returning t"),
  "a batch": (pgdb) =>
    pgdb.trans([
      ["insert into t (x, d) values (1, $1)", [at]],
      ["insert into t (x) values (1)", []]
    ]),
  "a transaction": (pgdb) => pgdb.transaction(Effect.andThen(insert(pgdb), insert(pgdb))),
  "a savepoint": (pgdb) =>
    pgdb.transaction(
      Effect.andThen(pgdb.transaction(Effect.andThen(insert(pgdb), insert(pgdb))), pgdb.select("select 1"))
    ),
  "a lock": (pgdb) => pgdb.withLock("k", pgdb.select("select 1")),
  "a stream": (pgdb) => Stream.runDrain(pgdb.stream("select generate_series(1, 40) as g")),
  "a stream in a transaction": (pgdb) =>
    pgdb.transaction(Stream.runDrain(pgdb.stream("select generate_series(1, 40) as g"))),
  insertMany: (pgdb) => pgdb.table("t").insertMany([{ x: 1 }, { x: 2 }]),
  insertStream: (pgdb) => pgdb.table("t").insertStream(Stream.make({ x: 1 }, { x: 2 })),
  copyFrom: (pgdb) => pgdb.copyFrom("copy t (x) from stdin", Stream.make("1\n", "2\n")),
  copyTo: (pgdb) => Stream.runDrain(pgdb.copyTo("copy (select generate_series(1, 40)) to stdout")),
  "a script": (pgdb) => pgdb.script("insert into t (x) values (1); insert into t (x) values (1)"),
  describe: (pgdb) => pgdb.describe("select * from t"),
  find: (pgdb) => pgdb.table("t").find({ x: 1 }, { limit: 2 }),
  update: (pgdb) => pgdb.table("t").update({ x: 1 }, { x: 1 }),
  "a reserved connection": (pgdb) =>
    Effect.flatMap(pgdb.client, (sql) =>
      Effect.scoped(Effect.flatMap(sql.reserve, (connection) => connection.executeRaw("select 1", [])))
    )
}

const patience = Duration.seconds(4)

const soon = <A, E, R>(what: string, effect: Effect.Effect<A, E, R>) =>
  Effect.timeoutOrElse(effect, {
    duration: patience,
    orElse: () => Effect.die(new Error(`It still waits: ${what}`))
  })

const areFree = eventually(
  "all are free",
  PoolRegistry.stats,
  ([pool]) => pool?.inUse === 0 && pool.waiting === 0
)

const tables = ["create table t (id serial primary key, x int, d timestamptz)", "create table own (step int)"]

/** Runs an operation until it has more steps than are interrupted. */
const atEachStep = <E, R>(
  name: string,
  run: (step: number, at: string) => Effect.Effect<boolean, E, R>
): Effect.Effect<void, E, R> =>
  Effect.gen(function* () {
    let step = 1
    while (yield* run(step, `${name}, interrupted at step ${step}`)) step++
    assert.isAbove(step, 5)
  })

const storesPairs = ({ witness }: Given, at: string) =>
  Effect.map(witness.query("select count(*)::int % 2 as odd from t"), (rows) =>
    expect(rows, at).toEqual([{ odd: 0 }])
  )

describe("interrupted at each of its steps", () => {
  const german = { startupParameters: { DateStyle: "German" } }
  const alone: ReadonlyArray<readonly [name: string, operation: Operation, settings: Partial<PG.Settings>]> =
    [
      ...Object.entries(operations).map(([name, operation]) => [name, operation, {}] as const),
      ["a statement in a session with another DateStyle", (pgdb) => pgdb.select("select 1 as a"), german]
    ]
  for (const [name, operation, settings] of alone) {
    withDatabase(`${name} leaves the pool whole`, tables, (given) =>
      Effect.gen(function* () {
        const pgdb = PG.make({ ...given.settings, ...settings, maxConnections: 1 })
        for (let warm = 0; warm < 3; warm++) yield* operation(pgdb)
        yield* atEachStep(name, (step, at) =>
          Effect.gen(function* () {
            const { isHit } = yield* soon(at, interruptAt(step, operation(pgdb)))
            yield* soon(at, areFree)
            assert.deepStrictEqual(yield* soon(at, pgdb.selectValue("select 1")), Option.some(1), at)
            yield* storesPairs(given, at)
            return isHit
          })
        )
      })
    )
  }

  for (const [name, operation] of Object.entries(operations)) {
    withDatabase(`${name} in a fiber of a transaction lets that go on`, tables, (given) =>
      Effect.gen(function* () {
        const pgdb = PG.make({ ...given.settings, maxConnections: 2 })
        for (let warm = 0; warm < 3; warm++) yield* pgdb.transaction(operation(pgdb))
        yield* atEachStep(name, (step, at) =>
          Effect.gen(function* () {
            let isHit = false
            const outcome = yield* Effect.exit(
              soon(
                at,
                pgdb.transaction(
                  Effect.gen(function* () {
                    yield* pgdb.execute("insert into own values ($1)", [step])
                    ;({ isHit } = yield* soon(at, interruptAt(step, operation(pgdb))))
                    yield* soon(at, pgdb.select("select 1"))
                  })
                )
              )
            )
            yield* soon(at, areFree)
            const [own] = yield* given.witness.query("select count(*)::int as n from own where step = $1", [
              step
            ])
            expect(own, at).toEqual({ n: Exit.isSuccess(outcome) ? 1 : 0 })
            yield* storesPairs(given, at)
            return isHit
          })
        )
      })
    )
  }
})
