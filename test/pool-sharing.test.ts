/** What interruption means for a statement that has its connection whole, and for one that shares it. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { PG, PoolRegistry } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"

const table = ["create table numbers (n int)", "insert into numbers values (1), (2)"]
const read = "select count(*) as n from numbers"

withDatabase(
  "a statement with a connection to itself is cancelled on the server",
  [],
  ({ pgdb, until, sessions }) =>
    Effect.gen(function* () {
      const sleeping = yield* Effect.forkChild(pgdb.select`select pg_sleep(600)`)
      yield* until("it runs", (all) => all.some(({ waitEvent }) => waitEvent === "PgSleep"))
      yield* Fiber.interrupt(sleeping)
      assert.deepStrictEqual(
        (yield* sessions).map(({ state }) => state),
        ["idle"]
      )
    })
)

withDatabase(
  "a read that shares a connection is not cancelled: its caller goes on, and its neighbour is answered",
  table,
  (given) =>
    Effect.gen(function* () {
      const { sessions, settings, until, witness } = given
      const pgdb = PG.make({ ...settings, maxConnections: 1 })
      yield* Effect.replicateEffect(pgdb.select(read), 20)
      yield* witness.query("begin")
      yield* witness.query("lock table numbers")
      const [first, second] = yield* Effect.all([
        Effect.forkChild(pgdb.select(read)),
        Effect.forkChild(pgdb.select(read))
      ])
      const waits = yield* until("they wait for the lock", (all) =>
        all.some(({ state, waitEvent }) => state === "active" && waitEvent === "relation")
      )

      const stats = yield* PoolRegistry.stats
      assert.deepStrictEqual(
        stats.map(({ inUse, waiting }) => ({ inUse, waiting })),
        [{ inUse: 1, waiting: 0 }]
      )
      yield* Fiber.interrupt(second)
      assert.deepStrictEqual(yield* sessions, waits)

      yield* witness.query("rollback")
      assert.deepStrictEqual(yield* Fiber.join(first), [{ n: 2 }])
      assert.deepStrictEqual(yield* pgdb.select(read), [{ n: 2 }])
      assert.strictEqual((yield* sessions)[0]?.pid, waits[0]?.pid)
    })
)

withDatabase(
  "without pipelining each statement is cancelled, since no connection is shared",
  table,
  (given) =>
    Effect.gen(function* () {
      const { settings, until, witness } = given
      const pgdb = PG.make({ ...settings, maxConnections: 1, pipelining: false })
      yield* Effect.replicateEffect(pgdb.select(read), 20)
      yield* witness.query("begin")
      yield* witness.query("lock table numbers")
      const first = yield* Effect.forkChild(pgdb.select(read))
      const second = yield* Effect.forkChild(pgdb.select(read))
      yield* until("one waits for the lock", (all) => all.some(({ waitEvent }) => waitEvent === "relation"))
      yield* Fiber.interrupt(first)
      yield* until("the other waits for it", (all) => all.some(({ waitEvent }) => waitEvent === "relation"))
      yield* witness.query("rollback")
      assert.deepStrictEqual(yield* Fiber.join(second), [{ n: 2 }])
    })
)
