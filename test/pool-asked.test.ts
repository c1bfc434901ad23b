/** A connection that is asked whether it is alive belongs to nobody until it has answered. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { PG } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"

const tables = [
  "create table t (id int primary key)",
  "insert into t values (1)",
  "create table account (id int, balance int)",
  "insert into account values (1, 0), (2, 0)"
]

withDatabase(
  "a read does not travel on it: its interruption would reach the transaction that waits for it",
  tables,
  ({ connect, settings, witness }) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...settings, maxConnections: 1 })
      const read = pgdb.select("select id from t where id = $1", [1])
      // Known as a short one, which shares connections.
      yield* Effect.repeat(read, { times: 5 })
      const locker = yield* connect(settings)
      yield* locker.query("begin")
      yield* locker.query("lock table t in access exclusive mode")
      // Long enough without use that a connection is asked before it is lent.
      yield* Effect.sleep("1100 millis")
      const transfer = pgdb.transaction(
        Effect.gen(function* () {
          yield* pgdb.execute("update account set balance = balance - 1 where id = 1")
          yield* Effect.sleep("50 millis")
          yield* pgdb.execute("update account set balance = balance + 1 where id = 2")
        })
      )
      const transaction = yield* Effect.forkChild(transfer, { startImmediately: true })
      const blocked = yield* Effect.forkChild(read, { startImmediately: true })
      yield* Effect.sleep("20 millis")
      yield* Fiber.interrupt(blocked)
      yield* Effect.timeout(Fiber.join(transaction), "10 seconds")
      assert.deepStrictEqual(yield* witness.query("select id, balance from account order by id"), [
        { id: 1, balance: -1 },
        { id: 2, balance: 1 }
      ])
      yield* locker.query("rollback")
    })
)
