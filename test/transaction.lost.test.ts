/** Interruption, cut connections and ended backends at every point of a transaction: nothing stays open, nothing is lost. */
import { expect } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { isSqlError } from "effect/sql/SqlError"
import { PG, PoolRegistry } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"
import { atRest, blocked, linked, openTransactions, reasonOf, slowCommit } from "./support/link.ts"

const table = "create table t (n int)"
const insert = "insert into t values (1)"
const count = "select count(*)::int as n from t"
const wait = "select pg_advisory_xact_lock(1)"

withDatabase(
  "a transaction interrupted before, in and between statements is rolled back when its fiber has ended",
  [table],
  (given) =>
    Effect.gen(function* () {
      const { pgdb, witness } = given
      yield* witness.query("select pg_advisory_lock(1)")
      const steps = [
        (reached: Effect.Effect<unknown>) => pgdb.transaction(Effect.andThen(reached, Effect.never)),
        (reached: Effect.Effect<unknown>) =>
          pgdb.transaction(Effect.andThen(Effect.andThen(pgdb.execute(insert), reached), Effect.never)),
        (reached: Effect.Effect<unknown>) =>
          pgdb.transaction(Effect.andThen(pgdb.execute(insert), Effect.andThen(reached, pgdb.select(wait)))),
        (reached: Effect.Effect<unknown>) => pgdb.transaction(Effect.andThen(reached, pgdb.select(wait))),
        (reached: Effect.Effect<unknown>) =>
          pgdb.transaction(
            Effect.andThen(
              pgdb.execute(insert),
              pgdb.transaction(Effect.andThen(reached, pgdb.trans([insert, wait])))
            )
          )
      ]
      for (const [index, step] of steps.entries()) {
        const reached = yield* Deferred.make<void>()
        const fiber = yield* Effect.forkChild(step(Deferred.succeed(reached, undefined)))
        yield* Deferred.await(reached)
        if (index >= 2) yield* blocked(given)
        yield* Fiber.interrupt(fiber)
        expect(yield* openTransactions(given)).toBe(0)
        expect((yield* PoolRegistry.stats)[0]).toMatchObject({ inUse: 0, open: 1 })
      }
      expect(yield* witness.query(count)).toEqual([{ n: 0 }])
      yield* atRest(given)
    })
)

withDatabase(
  "a transaction interrupted at any moment is done or undone, and the connection is fit for the next",
  [table],
  (given) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...given.settings, maxConnections: 2 })
      yield* pgdb.select("select 1")
      for (let steps = 0; steps < 150; steps++) {
        const fiber = yield* Effect.forkChild(
          pgdb.transaction(
            Effect.gen(function* () {
              yield* pgdb.execute(insert)
              yield* pgdb.transaction(pgdb.execute(insert))
              yield* pgdb.trans([insert, insert])
            })
          ),
          { startImmediately: true }
        )
        for (let step = 0; step < steps; step++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        const [row] = yield* pgdb.select<{ n: number }>(count)
        expect(row!.n % 4).toBe(0)
      }
      expect(yield* openTransactions(given)).toBe(0)
      yield* atRest(given)
    })
)

withDatabase("waiting for a connection, an interrupted transaction leaves the line", [table], (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
    yield* given.witness.query("select pg_advisory_lock(1)")
    const busy = yield* Effect.forkChild(pgdb.transaction(pgdb.select(wait)))
    yield* blocked(given)
    const fiber = yield* Effect.forkChild(pgdb.transaction(pgdb.execute(insert)), { startImmediately: true })
    expect((yield* PoolRegistry.stats)[0]).toMatchObject({ waiting: 1, inUse: 1 })
    yield* Fiber.interrupt(fiber)
    expect((yield* PoolRegistry.stats)[0]).toMatchObject({ waiting: 0, inUse: 1 })
    yield* given.witness.query("select pg_advisory_unlock(1)")
    yield* Fiber.join(busy)
    yield* atRest(given)
  })
)

withDatabase(
  "a transaction interrupted in COMMIT is cancelled on the server and undone",
  slowCommit,
  (given) =>
    Effect.gen(function* () {
      yield* given.witness.query("select pg_advisory_lock(1)")
      const ran: Array<string> = []
      const fiber = yield* Effect.forkChild(
        given.pgdb.transaction(
          Effect.andThen(
            given.pgdb.afterCommit(Effect.sync(() => ran.push("after"))),
            given.pgdb.execute(insert)
          )
        )
      )
      yield* blocked(given)
      yield* Fiber.interrupt(fiber)
      expect(yield* openTransactions(given)).toBe(0)
      expect(yield* given.witness.query(count)).toEqual([{ n: 0 }])
      expect(ran).toEqual([])
      yield* atRest(given)
    })
)

withDatabase(
  "a connection lost in COMMIT: the outcome is unknown, and nobody tries again",
  slowCommit,
  (given) =>
    Effect.gen(function* () {
      const { pgdb, proxy } = yield* linked(given)
      let attempts = 0
      const once = pgdb.transaction(
        Effect.suspend(() => {
          attempts++
          return pgdb.execute(insert)
        }),
        { retry: { times: 3 } }
      )
      yield* given.witness.query("select pg_advisory_lock(1)")
      const fiber = yield* Effect.forkChild(
        Effect.flip(
          Effect.retry(once, { times: 3, while: (error) => isSqlError(error) && error.isRetryable })
        )
      )
      yield* blocked(given)
      yield* proxy.cut
      const error = yield* Fiber.join(fiber)
      expect(attempts).toBe(1)
      expect(reasonOf(error)).toBe("ConnectionError")
      expect(error.message).toContain("unknown whether the transaction took effect")
      yield* given.witness.query("select pg_advisory_unlock(1)")
      yield* given.until("the cut session is gone", (sessions) => sessions.length === 0)
      expect(yield* given.witness.query(count)).toEqual([{ n: 1 }])
      yield* pgdb.transaction(pgdb.execute("select 1"))
      yield* atRest(given)
    })
)

withDatabase(
  "a backend that is ended in COMMIT leaves the outcome unknown, and the error is not retryable",
  slowCommit,
  (given) =>
    Effect.gen(function* () {
      yield* given.witness.query("select pg_advisory_lock(1)")
      const fiber = yield* Effect.forkChild(
        Effect.flip(given.pgdb.transaction(given.pgdb.execute(insert), { retry: { times: 3 } }))
      )
      yield* blocked(given)
      yield* given.witness.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
      )
      const error = yield* Fiber.join(fiber)
      expect(error.message).toContain("unknown whether the transaction took effect")
      expect(isSqlError(error) && error.isRetryable).toBe(false)
      yield* given.witness.query("select pg_advisory_unlock(1)")
      yield* atRest(given)
    })
)

withDatabase(
  "a single write whose backend is ended while it commits is not reported as done",
  slowCommit,
  (given) =>
    Effect.gen(function* () {
      yield* given.witness.query("select pg_advisory_lock(1)")
      const fiber = yield* Effect.forkChild(Effect.flip(given.pgdb.execute(insert)))
      yield* blocked(given)
      yield* given.witness.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
      )
      const error = yield* Fiber.join(fiber)
      expect(isSqlError(error) && error.isRetryable).toBe(false)
      expect(error.message).toContain("Whether the statement took effect is not known")
      expect(yield* given.witness.query(count)).toEqual([{ n: 0 }])
      yield* given.witness.query("select pg_advisory_unlock(1)")
      yield* atRest(given)
    })
)

withDatabase(
  "a network that holds COMMIT back does not hold an interrupted fiber for long",
  [table],
  (given) =>
    Effect.gen(function* () {
      const { pgdb, proxy } = yield* linked(given)
      const paused = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(
        pgdb.transaction(
          Effect.gen(function* () {
            yield* pgdb.execute(insert)
            yield* proxy.pause
            yield* Deferred.succeed(paused, undefined)
          })
        )
      )
      yield* Deferred.await(paused)
      yield* Effect.yieldNow
      const [time] = yield* Effect.timed(Fiber.interrupt(fiber))
      expect(Duration.toMillis(time)).toBeLessThan(1_000)
      expect(Exit.isFailure(yield* Fiber.await(fiber))).toBe(true)
      // What became of it is found out behind the caller's back.
      expect((yield* PoolRegistry.stats)[0]).toMatchObject({ inUse: 1 })
      yield* proxy.resume
      yield* given.until("no session is left in it", (sessions) =>
        sessions.every(({ state }) => state === "idle")
      )
      expect(yield* openTransactions(given)).toBe(0)
      yield* pgdb.transaction(pgdb.execute(insert))
      yield* atRest(given)
    })
)

withDatabase(
  "a backend that ends between or in statements: nothing took effect, and it may run again",
  [table],
  (given) =>
    Effect.gen(function* () {
      const { pgdb, witness } = given
      yield* witness.query("select pg_advisory_lock(1)")
      const pid = Effect.map(pgdb.selectValue("select pg_backend_pid()"), Option.getOrThrow)
      const kill = (pid: unknown) => witness.query("select pg_terminate_backend($1)", [pid])
      const between = Effect.andThen(
        pgdb.execute(insert),
        Effect.andThen(Effect.flatMap(pid, kill), pgdb.execute(insert))
      )
      const inside = Effect.gen(function* () {
        yield* pgdb.execute(insert)
        const own = yield* pid
        const fiber = yield* Effect.forkChild(pgdb.select(wait))
        yield* blocked(given)
        yield* kill(own)
        yield* Fiber.join(fiber)
      })
      const atEnd = Effect.gen(function* () {
        yield* pgdb.execute(insert)
        yield* kill(yield* pid)
        yield* given.until("it is gone", (sessions) => sessions.length === 0)
      })
      for (const effect of [between, inside, atEnd]) {
        const error = yield* Effect.flip(pgdb.transaction(effect))
        expect(reasonOf(error)).toBe("ConnectionError")
        expect(isSqlError(error) && error.isRetryable).toBe(true)
        expect(error.message).toContain("nothing of it took effect")
        expect(error.message).not.toContain("not known")
        yield* atRest(given)
      }
      expect(yield* witness.query(count)).toEqual([{ n: 0 }])
    })
)

withDatabase(
  "a connection cut at any moment: typed errors, all or nothing, and the pool goes on",
  [table],
  (given) =>
    Effect.gen(function* () {
      const { pgdb, proxy } = yield* linked(given)
      const work = pgdb.transaction(Effect.andThen(pgdb.execute(insert), pgdb.trans([insert, insert])))
      for (let steps = 0; steps < 60; steps++) {
        const fiber = yield* Effect.forkChild(Effect.exit(Effect.mapError(work, reasonOf)), {
          startImmediately: true
        })
        for (let step = 0; step < steps; step++) yield* Effect.yieldNow
        yield* proxy.cut
        const exit = yield* Fiber.join(fiber)
        if (Exit.isFailure(exit)) expect(exit).toEqual(Exit.fail("ConnectionError"))
      }
      yield* given.until("cut sessions are gone", (sessions) =>
        sessions.every(({ state }) => state === "idle")
      )
      const [row] = yield* given.witness.query(count)
      expect(Number(row?.n) % 3).toBe(0)
      yield* work
      yield* atRest(given)
    })
)
