/** What becomes of `trans` when it is interrupted, when the connection dies, when BEGIN fails: done or undone, and it says which. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { isSqlError } from "effect/sql/SqlError"
import { PG, PoolRegistry } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"
import { atRest, blocked, linked, openTransactions, reasonOf, slowCommit } from "./support/link.ts"
import { meddle } from "./support/meddle.ts"

const table = "create table t (n int)"
const count = "select count(*)::int as n from t"
const insert = "insert into t values (1)"

withDatabase(
  "trans interrupted in a statement is cancelled on the server and undone, and the connection is fit",
  [table],
  (given) =>
    Effect.gen(function* () {
      const { pgdb, witness } = given
      yield* witness.query("select pg_advisory_lock(1)")
      for (let time = 0; time < 10; time++) {
        const fiber = yield* Effect.forkChild(pgdb.trans([insert, "select pg_advisory_xact_lock(1)", insert]))
        yield* blocked(given)
        yield* Fiber.interrupt(fiber)
        expect(yield* openTransactions(given)).toBe(0)
      }
      expect(yield* witness.query(count)).toEqual([{ n: 0 }])
      yield* witness.query("select pg_advisory_unlock(1)")
      yield* pgdb.trans([insert])
      expect(yield* pgdb.select(count)).toEqual([{ n: 1 }])
      yield* atRest(given)
      expect((yield* given.sessions).length).toBe(1)
    })
)

withDatabase("trans interrupted in COMMIT is done or undone, never open", slowCommit, (given) =>
  Effect.gen(function* () {
    yield* given.witness.query("select pg_advisory_lock(1)")
    const fiber = yield* Effect.forkChild(given.pgdb.trans([insert]))
    yield* blocked(given)
    yield* Fiber.interrupt(fiber)
    expect(yield* openTransactions(given)).toBe(0)
    expect(yield* given.witness.query(count)).toEqual([{ n: 0 }])
    yield* atRest(given)
  })
)

withDatabase("trans interrupted at any moment has done all of its batch or nothing of it", [table], (given) =>
  Effect.gen(function* () {
    const { pgdb } = given
    const batch = Array.from({ length: 300 }, (_, n) => ["insert into t values ($1)", [n]] as const)
    yield* pgdb.trans([["insert into t values ($1)", [0]]])
    for (let steps = 0; steps < 60; steps++) {
      const fiber = yield* Effect.forkChild(pgdb.trans(batch), { startImmediately: true })
      for (let step = 0; step < steps; step++) yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      const [row] = yield* pgdb.select<{ n: number }>(count)
      expect((row!.n - 1) % 300).toBe(0)
    }
    expect(yield* openTransactions(given)).toBe(0)
    yield* atRest(given)
  })
)

withDatabase("waiting for a connection, an interrupted trans leaves the line", [table], (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
    yield* given.witness.query("select pg_advisory_lock(1)")
    const busy = yield* Effect.forkChild(pgdb.select("select pg_advisory_lock_shared(1)"))
    yield* blocked(given)
    const waiting = yield* Effect.forkChild(pgdb.trans([insert]), { startImmediately: true })
    expect((yield* PoolRegistry.stats)[0]).toMatchObject({ waiting: 1 })
    yield* Fiber.interrupt(waiting)
    expect((yield* PoolRegistry.stats)[0]).toMatchObject({ waiting: 0, inUse: 1 })
    yield* given.witness.query("select pg_advisory_unlock(1)")
    yield* Fiber.join(busy)
    yield* atRest(given)
  })
)

withDatabase(
  "a connection lost in COMMIT: the outcome is unknown, and it is not for trying again",
  slowCommit,
  (given) =>
    Effect.gen(function* () {
      const { pgdb, proxy } = yield* linked(given)
      let attempts = 0
      const batch = Effect.suspend(() => {
        attempts++
        return pgdb.trans([insert, "select 1"])
      })
      yield* pgdb.select("select 1")
      yield* given.witness.query("select pg_advisory_lock(1)")
      const fiber = yield* Effect.forkChild(
        Effect.flip(
          Effect.retry(batch, { times: 3, while: (error) => isSqlError(error) && error.isRetryable })
        )
      )
      yield* blocked(given)
      yield* proxy.cut
      const error = yield* Fiber.join(fiber)
      expect(attempts).toBe(1)
      expect(reasonOf(error)).toBe("ConnectionError")
      expect(error.message).toContain(
        "The connection was lost during COMMIT, so it is unknown whether the transaction took effect"
      )
      expect(error.message).not.toContain("Statement 1")
      // The server did not notice and commits.
      yield* given.witness.query("select pg_advisory_unlock(1)")
      yield* given.until("the cut session is gone", (sessions) =>
        sessions.every(({ state }) => state === "idle")
      )
      expect(yield* given.witness.query(count)).toEqual([{ n: 1 }])
      expect(yield* pgdb.select(count)).toEqual([{ n: 1 }])
      expect((yield* PoolRegistry.stats)[0]).toMatchObject({ open: 1, inUse: 0 })
    })
)

withDatabase(
  "a backend that is terminated in a statement: nothing took effect, and it may run again",
  [table],
  (given) =>
    Effect.gen(function* () {
      const { pgdb, witness } = given
      yield* witness.query("select pg_advisory_lock(1)")
      const fiber = yield* Effect.forkChild(
        Effect.flip(pgdb.trans([insert, "select pg_advisory_xact_lock(1)"]))
      )
      yield* blocked(given)
      const [session] = yield* given.sessions
      yield* witness.query("select pg_terminate_backend($1)", [session!.pid])
      const error = yield* Fiber.join(fiber)
      expect(isSqlError(error) && error.isRetryable).toBe(true)
      expect(error.message).toContain("nothing of it took effect")
      expect(error.message).toContain("57P01")
      expect(yield* witness.query(count)).toEqual([{ n: 0 }])
      yield* atRest(given)
      yield* pgdb.trans([insert])
    })
)

withDatabase(
  "a connection lost before COMMIT was sent: nothing took effect, and it may run again",
  [table],
  (given) =>
    Effect.gen(function* () {
      const { pgdb, witness } = given
      yield* witness.query("select pg_advisory_lock(1)")
      const long = Array.from({ length: 500 }, () => insert)
      const fiber = yield* Effect.forkChild(
        Effect.flip(pgdb.trans(["select pg_advisory_xact_lock(1)", ...long]))
      )
      yield* blocked(given)
      const [session] = yield* given.sessions
      yield* witness.query("select pg_terminate_backend($1)", [session!.pid])
      const error = yield* Fiber.join(fiber)
      expect(reasonOf(error)).toBe("ConnectionError")
      expect(isSqlError(error) && error.isRetryable).toBe(true)
      expect(error.message).toContain("before COMMIT was sent: nothing of it took effect")
      expect(error.message).not.toContain("not known")
      yield* atRest(given)
    })
)

withDatabase(
  "a value that cannot be given is an error after the fact: the transaction is committed",
  [table],
  (given) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(given.pgdb.trans([insert, "select 9007199254740993 as big"]))
      expect(error.message).toContain('"big"')
      expect(error.message).toContain("All 2 statements of the transaction are committed: do not repeat it.")
      expect(isSqlError(error) && error.isRetryable).toBe(false)
      expect(yield* given.witness.query(count)).toEqual([{ n: 1 }])
      yield* atRest(given)
    })
)

withDatabase("a value that cannot be read does not hide the failure behind it", [table], (given) =>
  Effect.gen(function* () {
    const error = yield* Effect.flip(
      given.pgdb.trans([
        insert,
        "create type mood as enum ('glad')",
        "select 'glad'::mood as m",
        "select 1 / 0"
      ])
    )
    expect(error.message).toContain("division by zero")
    expect(error.message).toContain("Statement 4 of 4:")
    expect(yield* given.witness.query(count)).toEqual([{ n: 0 }])
    yield* atRest(given)
  })
)

withDatabase(
  "prepared statements that a function dropped do not let a batch run outside its transaction",
  [table],
  (given) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
      const batch = [insert, "select 1 as one"]
      yield* pgdb.trans(batch)
      yield* pgdb.execute("do $$ begin execute 'deallocate all'; end $$")
      expect((yield* pgdb.trans(batch)).map(({ command }) => command)).toEqual(["INSERT", "SELECT"])
      yield* pgdb.execute("do $$ begin execute 'deallocate all'; end $$")
      const exit = yield* Effect.exit(pgdb.trans([insert, "select 1 / 0"]))
      expect(Exit.isFailure(exit)).toBe(true)
      expect(yield* given.witness.query(count)).toEqual([{ n: 2 }])
      yield* atRest(given)
    })
)

for (const pipelining of [true, false]) {
  withDatabase(`all of it holds ${pipelining ? "with" : "without"} pipelining`, [table], (given) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...given.settings, pipelining, prepare: pipelining })
      expect((yield* pgdb.trans([insert, ["select $1::int as n", [2]]]))[1]!.rows).toEqual([{ n: 2 }])
      const error = yield* Effect.flip(pgdb.trans([insert, "select 1 / 0", insert]))
      expect(error.message).toContain("Statement 2 of 3:")
      yield* given.witness.query("select pg_advisory_lock(1)")
      const fiber = yield* Effect.forkChild(pgdb.trans([insert, "select pg_advisory_xact_lock(1)"]))
      yield* blocked(given)
      yield* Fiber.interrupt(fiber)
      yield* given.witness.query("select pg_advisory_unlock(1)")
      expect(yield* pgdb.select(count)).toEqual([{ n: 1 }])
      yield* atRest(given)
    })
  )
}

withDatabase(
  "a connection that dies while a value is learnt after COMMIT: committed, and not to be repeated",
  [table],
  (given) =>
    Effect.gen(function* () {
      let committed = false
      const cut = yield* meddle(given.settings, (said) => {
        if (committed) return undefined
        committed ||= said.includes("COMMIT")
        return said
      })
      const pgdb = PG.make(cut)
      yield* pgdb.select("select 1")
      yield* given.witness.query("create type mood as enum ('glad')")
      const error = yield* Effect.flip(pgdb.trans([insert, "select 'glad'::mood as m"]))
      expect(error.message).toContain("All 2 statements of the transaction are committed: do not repeat it.")
      expect(isSqlError(error) && error.isRetryable).toBe(false)
      expect(yield* given.witness.query(count)).toEqual([{ n: 1 }])
      yield* atRest(given)
    })
)
