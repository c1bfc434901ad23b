/**
 * Connections that the server or the network ends: idle ones are replaced without a word, one in use tells its caller, and the
 * pool goes on.
 */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { PG, PoolRegistry } from "effect-global-pool"
import { eventually } from "./support/database.ts"
import { type Given, together, withDatabase } from "./support/handle.ts"
import { proxy } from "./support/proxy.ts"

const slow = "select pg_sleep(60)"

const terminateAll = ({ settings, witness }: Given) =>
  witness.query(
    "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1 and application_name <> 'witness' and pid <> pg_backend_pid() and application_name = 'effect-global-pool'",
    [settings.database]
  )

/** So many as a pool may have to serve one after the other. */
const five = (pgdb: PG.Database) =>
  Effect.forEach([1, 2, 3, 4, 5], () => pgdb.transaction(pgdb.select("select pg_sleep(0.02)")), {
    concurrency: "unbounded"
  })

const isWhole = (pgdb: PG.Database) =>
  Effect.gen(function* () {
    yield* five(pgdb)
    const [pool] = yield* PoolRegistry.stats
    assert.deepStrictEqual(
      { inUse: pool?.inUse, open: pool?.open, waiting: pool?.waiting },
      { inUse: 0, open: pool?.idle, waiting: 0 }
    )
  })

describe("idle connections", () => {
  withDatabase("ended by the server are replaced without an error", [], (given) =>
    Effect.gen(function* () {
      for (const _ of [1, 2, 3]) {
        yield* together(given.pgdb, 5)
        assert.lengthOf(yield* given.sessions, 5)
        yield* terminateAll(given)
        yield* eventually("the pool knows", PoolRegistry.stats, ([pool]) => pool?.open === 0)
        assert.deepStrictEqual(yield* given.pgdb.select("select 1 as one"), [{ one: 1 }])
      }
      yield* isWhole(given.pgdb)
    })
  )

  withDatabase("cut by the network are replaced without an error", [], (given) =>
    Effect.gen(function* () {
      const between = yield* proxy(given.settings)
      const pgdb = PG.make({ ...given.settings, ...between.address })
      yield* five(pgdb)
      yield* between.cut
      yield* eventually("the pool knows", PoolRegistry.stats, ([pool]) => pool?.open === 0)
      assert.deepStrictEqual(yield* pgdb.select("select 1 as one"), [{ one: 1 }])
      yield* isWhole(pgdb)
    })
  )
})

describe("a connection in use that is ended is a ConnectionError, and the next call works:", () => {
  const works: Readonly<
    Record<string, (pgdb: PG.Database) => Effect.Effect<unknown, PG.OperationError, PoolRegistry>>
  > = {
    "a statement": (pgdb) => pgdb.select(slow),
    "a stream": (pgdb) => Stream.runDrain(pgdb.stream("select n, pg_sleep(n) from generate_series(0, 60) n")),
    "a batch": (pgdb) => pgdb.trans(["select 1", slow]),
    "a transaction": (pgdb) => pgdb.transaction(Effect.andThen(pgdb.select("select 1"), pgdb.select(slow)))
  }
  for (const [what, work] of Object.entries(works)) {
    withDatabase(what, [], (given) =>
      Effect.gen(function* () {
        const between = yield* proxy(given.settings)
        const pgdb = PG.make({ ...given.settings, ...between.address })
        for (const end of [Effect.asVoid(terminateAll(given)), between.cut]) {
          const fiber = yield* Effect.forkChild(Effect.flip(work(pgdb)))
          yield* given.until("it is at work", (sessions) =>
            sessions.some(({ query, state }) => query.includes("pg_sleep") && state === "active")
          )
          yield* end
          const error = yield* Fiber.join(fiber)
          assert.strictEqual(error._tag, "SqlError")
          assert.strictEqual(error.reason._tag, "ConnectionError")
          assert.match(
            error.message,
            /terminating connection due to administrator command|lost while the statement was under way/
          )
          yield* eventually("the pool knows", PoolRegistry.stats, ([pool]) => pool?.open === 0)
          assert.deepStrictEqual(yield* pgdb.select("select 1 as one"), [{ one: 1 }])
          yield* isWhole(pgdb)
        }
      })
    )
  }

  withDatabase("a transaction that is idle", [], (given) =>
    Effect.gen(function* () {
      const { pgdb } = given
      const error = yield* Effect.flip(
        pgdb.transaction(
          Effect.gen(function* () {
            yield* pgdb.select("select 1")
            yield* terminateAll(given)
            return yield* pgdb.select("select 2")
          })
        )
      )
      assert.strictEqual(error._tag, "SqlError")
      assert.strictEqual(error.reason._tag, "ConnectionError")
      yield* isWhole(pgdb)
    })
  )
})

withDatabase("reads that share a lost connection are sent again, and all that wait are served", [], (given) =>
  Effect.gen(function* () {
    const between = yield* proxy(given.settings)
    const pgdb = PG.make({ ...given.settings, ...between.address, maxConnections: 1 })
    const read = pgdb.select("select 1 as one")
    for (const _ of [1, 2, 3, 4, 5]) yield* read
    yield* between.pause
    const fibers = yield* Effect.forEach(Array.from({ length: 200 }), () =>
      Effect.forkChild(Effect.exit(read))
    )
    yield* eventually("some wait", PoolRegistry.stats, ([pool]) => (pool?.inUse ?? 0) > 0)
    yield* between.cut
    yield* between.resume
    const exits = yield* Effect.forEach(fibers, Fiber.join)
    assert.deepStrictEqual(exits.filter(Exit.isFailure), [])
    yield* isWhole(pgdb)
  })
)

withDatabase("a connection older than connectionTTL is replaced as soon as it comes back", [], (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({
      ...given.settings,
      maxConnections: 1,
      connectionTTL: "200 millis",
      lifetimeJitter: 0
    })
    const pid = pgdb.selectValue("select pg_backend_pid() from pg_sleep(0.3)")
    // The second call waits for the only connection, so no idle moment comes between the two.
    const [first, second] = yield* Effect.all([pid, pid], { concurrency: "unbounded" })
    assert.notDeepEqual(first, second)
  })
)

withDatabase("thousands of callers that wait and then send nothing are all served", [], (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
    const invalid = pgdb.transaction(Effect.fail("invalid" as const))
    const exits = yield* Effect.forEach(Array.from({ length: 3_000 }), () => Effect.flip(invalid), {
      concurrency: "unbounded"
    })
    assert.isTrue(exits.every((error) => error === "invalid"))
    yield* isWhole(pgdb)
  })
)

withDatabase(
  "a stream whose pool is ended while its reader sleeps does not end as if it were whole",
  [],
  (given) =>
    Effect.gen(function* () {
      const total = 20_000
      let read = 0
      const exit = yield* given.pgdb
        .stream(`select n, repeat('x', 20) as x from generate_series(1, ${total}) n`)
        .pipe(
          Stream.runForEach(() => (++read === 1 ? given.pgdb.terminateWithin(0) : Effect.void)),
          Effect.exit
        )
      if (Exit.isSuccess(exit)) assert.strictEqual(read, total)
    })
)

withDatabase(
  "a read that asks for its columns first is sent again when its connection is lost",
  [],
  (given) =>
    Effect.gen(function* () {
      const between = yield* proxy(given.settings)
      const pgdb = PG.make({ ...given.settings, ...between.address, prepare: false, maxConnections: 1 })
      const read = Effect.flatMap(
        pgdb.client,
        (sql) => sql`select id from (values (1)) v (id) where id = ${1}`
      )
      yield* read
      yield* between.cutAfter(1)
      assert.deepStrictEqual(yield* read, [{ id: 1 }])
    })
)
