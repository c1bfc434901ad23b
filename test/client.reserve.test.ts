/** A connection that the standard client reserves: whole for its caller, streamed through, and given back for good. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { PG, PoolRegistry } from "effect-global-pool"
import { eventually } from "./support/database.ts"
import { withDatabase } from "./support/handle.ts"
import { atRest } from "./support/link.ts"

const table = ["create table t (n int)", "insert into t select generate_series(1, 5000)"]
const pid = "select pg_backend_pid() as pid"
const cursors = "select name from pg_cursors where name <> ''"

withDatabase(
  "a reserved connection streams in pieces, with other statements between, and leaves no cursor",
  table,
  (given) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
      const sql = yield* pgdb.client
      const before = yield* Effect.scoped(
        Effect.gen(function* () {
          const own = yield* sql.reserve
          let between: unknown
          const rows = own.executeStream("select n from t where n > $1 order by n", [10], undefined)
          const seen = yield* rows.pipe(
            Stream.tap(({ n }) =>
              n === 2_000
                ? Effect.map(own.execute(cursors, [], undefined), (open) => {
                    between = open
                  })
                : Effect.void
            ),
            Stream.runCollect
          )
          expect(seen.map(({ n }) => n)).toEqual(Array.from({ length: 4_990 }, (_, index) => index + 11))
          expect(between).toEqual([{ name: expect.stringContaining("effect_cursor_") }])
          expect(yield* own.execute(cursors, [], undefined)).toEqual([])
          // Ended early, its cursor goes with the connection's return.
          expect(yield* Stream.runCollect(Stream.take(rows, 1))).toEqual([{ n: 11 }])
          // What locks rows or writes has no cursor that outlives its statement.
          expect(
            yield* Stream.runCollect(
              own.executeStream("select n from t where n = 1 for update", [], undefined)
            )
          ).toEqual([{ n: 1 }])
          expect(
            yield* Stream.runCollect(own.executeStream("insert into t values (0) returning n", [], undefined))
          ).toEqual([{ n: 0 }])
          return yield* own.execute(pid, [], undefined)
        })
      )
      expect(yield* pgdb.select(pid)).toEqual(before)
      expect(yield* pgdb.select(cursors)).toEqual([])
      yield* atRest(given)
    })
)

withDatabase("a reserved connection cannot be used after its scope", table, (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
    const sql = yield* pgdb.client
    const kept = yield* Effect.scoped(sql.reserve)
    yield* pgdb.transaction(
      Effect.gen(function* () {
        yield* pgdb.execute("insert into t values (-1)")
        const error = yield* Effect.flip(kept.execute("insert into t values (-2)", [], undefined))
        expect(error.message).toContain("The statement was not sent")
        const late = kept.executeStream("select n from t", [], undefined)
        expect((yield* Effect.flip(Stream.runDrain(late))).message).toContain("The statement was not sent")
      })
    )
    expect(yield* given.witness.query("select n from t where n < 0")).toEqual([{ n: -1 }])
    yield* atRest(given)
  })
)

withDatabase(
  "a reserved connection ends what a fiber has under way on it when its scope closes",
  table,
  (given) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
      const sql = yield* pgdb.client
      const slow = yield* Effect.scoped(
        Effect.gen(function* () {
          const own = yield* sql.reserve
          const fiber = yield* Effect.forkDetach(
            Effect.exit(own.execute("select pg_sleep(60)", [], undefined))
          )
          yield* given.until("it sleeps", (all) =>
            all.some(({ query, state }) => /sleep/.test(query) && state === "active")
          )
          return fiber
        })
      )
      expect(String(yield* Fiber.join(slow))).toContain("canceling statement due to user request")
      expect(yield* pgdb.selectValue("select 1")).toMatchObject({ value: 1 })
      yield* atRest(given)
    })
)

withDatabase("who waits for a reserved connection ends when the scope does", table, (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
    const sql = yield* pgdb.client
    yield* pgdb.transaction(
      Effect.gen(function* () {
        yield* pgdb.select(pid)
        const scope = yield* Scope.make()
        const waiting = yield* Effect.forkChild(Scope.provide(sql.reserve, scope))
        yield* eventually("it waits", PoolRegistry.stats, ([pool]) => pool?.waiting === 1)
        yield* Scope.close(scope, Exit.void)
        const ended = yield* Effect.timeoutOption(Fiber.await(waiting), "3 seconds")
        expect(Option.map(ended, (exit) => Exit.isFailure(exit) && Exit.hasInterrupts(exit))).toEqual(
          Option.some(true)
        )
      })
    )
    yield* atRest(given)
  })
)
