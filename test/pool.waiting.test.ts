/** Who waits for a connection gets one: beside reads that share all of them, idle ones, silent links and slow openings. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { PG, PoolRegistry } from "effect-global-pool"
import { database, eventually, type TestDatabase } from "./support/database.ts"
import { proxy } from "./support/proxy.ts"

const test = <E>(
  name: string,
  body: (given: TestDatabase) => Effect.Effect<void, E, PoolRegistry | import("effect/Scope").Scope>,
  limit?: number
) =>
  it.live(name, () =>
    Effect.gen(function* () {
      const given = yield* database()
      yield* given.witness.query("create table t (n int)")
      yield* body(given)
    }).pipe(
      Effect.scoped,
      Effect.provide(PoolRegistry.layer(limit === undefined ? {} : { maxConnections: limit }))
    )
  )

const range = (count: number) => Array.from({ length: count }, (_, index) => index)

const failures = <A, E>(exits: ReadonlyArray<Exit.Exit<A, E>>) => exits.filter(Exit.isFailure)

for (const [max, readers, held] of [
  [1, 4, 0],
  [4, 40, 3]
] as const) {
  test(`several writes beside reads that share the connection: ${max} connections`, ({ settings }) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...settings, maxConnections: max, acquireTimeout: "5 seconds" })
      // How long a read takes is known, so that it may share.
      yield* Effect.forEach(range(5), (n) => pgdb.select("select $1::int as n", [n]))
      const holders = yield* Effect.forEach(range(held), () =>
        Effect.forkChild(pgdb.transaction(Effect.andThen(pgdb.select("select 1"), Effect.never)))
      )
      let isOver = false
      let reads = 0
      const reading = yield* Effect.forEach(range(readers), (n) =>
        Effect.forkChild(
          Effect.whileLoop({
            while: () => !isOver,
            body: () => pgdb.select("select $1::int as n", [n]),
            step: () => {
              reads++
            }
          })
        )
      )
      yield* eventually(
        "reads are under way",
        Effect.sync(() => reads),
        (count) => count > 100
      )
      const writes = yield* Effect.forEach(
        range(5),
        () => Effect.exit(pgdb.execute("insert into t values (1)")),
        {
          concurrency: "unbounded"
        }
      )
      assert.deepStrictEqual(failures(writes), [])
      isOver = true
      yield* Effect.forEach(reading, Fiber.join)
      yield* Effect.forEach(holders, Fiber.interrupt)
    }))
}

test("a write waits for the connections that are shared, and not for one that expires while it is lent", (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({
      ...given.settings,
      maxConnections: 2,
      connectionTTL: "1 second",
      acquireTimeout: "5 seconds"
    })
    yield* Effect.forEach(range(5), (n) => pgdb.select("select $1::int as n", [n]))
    const holder = yield* Effect.forkChild(
      pgdb.transaction(Effect.andThen(pgdb.select("select 1"), Effect.never))
    )
    // The connection that is held is too old then.
    yield* Effect.sleep("1200 millis")
    let isOver = false
    const reading = yield* Effect.forEach(range(20), (n) =>
      Effect.forkChild(
        Effect.whileLoop({
          while: () => !isOver,
          body: () => pgdb.select("select $1::int as n", [n]),
          step: () => undefined
        })
      )
    )
    yield* Effect.sleep("100 millis")
    const begin = performance.now()
    yield* pgdb.execute("insert into t values (1)")
    const took = performance.now() - begin
    isOver = true
    yield* Effect.forEach(reading, Fiber.join)
    yield* Fiber.interrupt(holder)
    // Without that it waits until the other one expires.
    assert.isBelow(took, 700)
  }))

test("maxWaiting counts no caller whose connection is there and is asked first whether it is alive", (given) =>
  Effect.gen(function* () {
    const { settings } = given
    const pgdb = PG.make({ ...settings, maxConnections: 5, maxWaiting: 0 })
    const five = Effect.forEach(
      range(5),
      () => Effect.exit(pgdb.execute("insert into t select 1 from pg_sleep(0.1)")),
      { concurrency: "unbounded" }
    )
    yield* five
    assert.deepStrictEqual(failures(yield* five), [])
    // So long idle ones are not asked.
    yield* Effect.sleep("1200 millis")
    assert.deepStrictEqual(failures(yield* five), [])
  }))

test(
  "a connection that ends over a silent link holds no place that an idle one of another pool could give",
  ({ settings }) =>
    Effect.gen(function* () {
      const between = yield* proxy(settings)
      const silent = PG.make({ ...settings, ...between.address, key: "silent", idleTimeout: "500 millis" })
      const idle = PG.make({ ...settings, key: "idle" })
      yield* silent.select("select 1")
      yield* between.pause
      yield* idle.select("select 1")
      yield* Effect.sleep("800 millis")
      yield* PG.make({ ...settings, key: "third", acquireTimeout: "10 seconds" }).select("select 1")
      yield* between.resume
    }),
  2
)

test("an onConnect that is given up is cancelled on the server, and its session ends", (given) =>
  Effect.gen(function* () {
    const { settings, witness } = given
    const pgdb = PG.make({
      ...settings,
      maxConnections: 1,
      connectTimeout: "300 millis",
      acquireTimeout: "1 second",
      onConnect: ({ execute }) => execute("select pg_sleep(60)")
    })
    const sleeping = witness.query(
      "select pid from pg_stat_activity where datname = current_database() and query like '%pg_sleep(60)%' and pid <> pg_backend_pid()"
    )
    for (let call = 0; call < 4; call++) {
      yield* Effect.exit(pgdb.select("select 1"))
      assert.isAtMost((yield* sleeping).length, 2)
    }
    const interrupted = yield* Effect.forkChild(
      PG.make({ ...settings, key: "two", onConnect: ({ execute }) => execute("select pg_sleep(60)") }).select(
        "select 1"
      )
    )
    yield* eventually("it sleeps", sleeping, (all) => all.length > 0)
    yield* Fiber.interrupt(interrupted)
    yield* PoolRegistry.use((registry) => registry.terminate("two", 0))
    yield* pgdb.terminate
    yield* eventually("nothing sleeps", sleeping, (all) => all.length === 0)
  }))
