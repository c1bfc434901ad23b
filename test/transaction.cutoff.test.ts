/** Cut off at any step, between two of the program's own or while the server is asked for types: nothing is left behind. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { MaxOpsBeforeYield } from "effect/Scheduler"
import { PG } from "effect-global-pool"
import { eventually } from "./support/database.ts"
import { withDatabase } from "./support/handle.ts"
import { atRest, linked } from "./support/link.ts"

const table = "create table t (n int)"

withDatabase(
  "a fiber of a transaction that is interrupted at any moment leaves the connection fit",
  [table],
  (given) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
      for (let budget = 3; budget < 60; budget++) {
        const exit = yield* Effect.exit(
          pgdb.transaction(
            Effect.gen(function* () {
              yield* pgdb.execute("insert into t values (1)")
              const fiber = yield* Effect.provideService(
                Effect.forkChild(pgdb.execute("insert into t values (2)"), { startImmediately: true }),
                MaxOpsBeforeYield,
                budget
              )
              yield* Fiber.interrupt(fiber)
              return yield* Effect.fail("no")
            })
          )
        )
        expect(exit).toEqual(Exit.fail("no"))
      }
      expect(yield* given.witness.query("select n from t")).toEqual([])
      yield* atRest(given)
    })
)

const dates = "select pg_sleep(60), $1::date[]"

withDatabase("a statement whose types are asked for when its pool is ended does not begin", [], (given) =>
  Effect.gen(function* () {
    const { pgdb, proxy } = yield* linked(given, {}, 20)
    yield* pgdb.select("select 1")
    const fiber = yield* Effect.forkChild(pgdb.execute(dates, [[new Date()]]), { startImmediately: true })
    yield* eventually("it is described", Effect.sync(proxy.sent), (sent) => sent.includes(dates))
    yield* pgdb.terminateWithin(0)
    expect(yield* given.sessions).toEqual([])
    expect(Exit.isFailure(yield* Fiber.await(fiber))).toBe(true)
  })
)

withDatabase(
  "a statement whose types are asked for does not begin when the transaction around it fails",
  [table],
  (given) =>
    Effect.gen(function* () {
      const { pgdb, proxy } = yield* linked(given, { maxConnections: 1 }, 20)
      yield* pgdb.select("select 1")
      const exit = yield* Effect.exit(
        pgdb.transaction(
          Effect.gen(function* () {
            yield* Effect.forkDetach(pgdb.execute(dates, [[new Date()]]), { startImmediately: true })
            yield* eventually("it is described", Effect.sync(proxy.sent), (sent) => sent.includes(dates))
            return yield* Effect.fail("no")
          })
        )
      )
      expect(exit).toEqual(Exit.fail("no"))
      yield* given.until("nobody sleeps", (all) => all.every(({ state }) => state === "idle"))
      yield* atRest(given)
    })
)

withDatabase(
  "a statement that is interrupted in a transaction leaves no transaction around what comes next",
  [table],
  (given) =>
    Effect.gen(function* () {
      const { pgdb, proxy } = yield* linked(given, { pipelining: false, maxConnections: 1 }, 20)
      const sql = yield* pgdb.client
      yield* Effect.scoped(
        Effect.gen(function* () {
          const own = yield* sql.reserve
          const asked = own.executeRaw(dates, [[new Date()]])
          const fiber = yield* Effect.forkChild(asked, { startImmediately: true })
          yield* eventually("it is described", Effect.sync(proxy.sent), (sent) => sent.includes(dates))
          yield* Fiber.interrupt(fiber)
          yield* own.executeRaw("insert into t values (1)", [])
        })
      )
      expect(yield* given.witness.query("select n from t")).toEqual([{ n: 1 }])
      expect(
        yield* pgdb.select("select name from pg_prepared_statements where name like 'effect_global%'")
      ).toEqual([])
      yield* atRest(given)
    })
)
