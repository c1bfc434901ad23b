/** When a transaction runs again: on serialization failures and deadlocks, and on nothing else. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { PoolRegistry } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"
import { atRest, reasonOf } from "./support/link.ts"

const table = "create table t (n int unique, at timestamptz)"
const insert = (n: number) => `insert into t values (${n})`

withDatabase(
  "a transaction with retry runs again on serialization failures and deadlocks",
  [table, "insert into t values (1), (2)"],
  (given) =>
    Effect.gen(function* () {
      const { pgdb, witness } = given
      let attempts = 0
      const conflicting = Effect.gen(function* () {
        attempts++
        yield* pgdb.select("select n from t where n = 1")
        if (attempts <= 2) yield* witness.query("update t set at = now() where n = 1")
        yield* pgdb.execute("update t set at = now() where n = 1")
        return attempts
      })
      const options = { isolation: "repeatable read" } as const
      const error = yield* Effect.flip(pgdb.transaction(conflicting, { ...options, retry: { times: 0 } }))
      expect(reasonOf(error)).toBe("SerializationError")
      attempts = 0
      expect(yield* pgdb.transaction(conflicting, { ...options, retry: { times: 2 } })).toBe(3)
      attempts = 0
      expect(yield* pgdb.transaction(conflicting, { ...options, retry: Schedule.recurs(5) })).toBe(3)
      attempts = 0
      expect(
        reasonOf(yield* Effect.flip(pgdb.transaction(conflicting, { ...options, retry: { times: 1 } })))
      ).toBe("SerializationError")
      expect(attempts).toBe(2)
      yield* atRest(given)
    })
)

withDatabase(
  "a transaction with retry runs again when a deadlock chose it",
  [table, "insert into t values (1), (2)"],
  (given) =>
    Effect.gen(function* () {
      const { pgdb } = given
      let attempts = 0
      const one = (first: number, second: number) =>
        pgdb.transaction(
          Effect.gen(function* () {
            attempts++
            yield* pgdb.execute("set local deadlock_timeout = '10ms'")
            yield* pgdb.execute("update t set at = now() where n = $1", [first])
            yield* given.witness.query("select 1")
            yield* pgdb.execute("update t set at = now() where n = $1", [second])
          }),
          { retry: { times: 20 } }
        )
      yield* Effect.all(
        Array.from({ length: 10 }, (_, n) => (n % 2 === 0 ? one(1, 2) : one(2, 1))),
        { concurrency: "unbounded" }
      )
      expect(attempts).toBeGreaterThan(10)
      yield* atRest(given)
    })
)

withDatabase("a transaction with retry runs again on nothing else", [table, insert(1)], (given) =>
  Effect.gen(function* () {
    const { pgdb, witness } = given
    let attempts = 0
    const attempted = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.suspend(() => {
        attempts = 0
        return Effect.flip(
          pgdb.transaction(
            Effect.andThen(
              Effect.sync(() => attempts++),
              effect
            ),
            { retry: { times: 5 } }
          )
        )
      })
    expect(reasonOf(yield* attempted(pgdb.execute(insert(1))))).toBe("UniqueViolation")
    expect(attempts).toBe(1)
    expect(reasonOf(yield* attempted(pgdb.execute("select nonsense")))).toBe("SqlSyntaxError")
    expect(attempts).toBe(1)
    expect(yield* attempted(Effect.fail("mine"))).toBe("mine")
    expect(attempts).toBe(1)
    expect(reasonOf(yield* attempted(pgdb.execute("begin")))).toBe("StatementRefused")
    expect(attempts).toBe(1)
    const killed = attempted(
      Effect.flatMap(pgdb.selectValue("select pg_backend_pid()"), (pid) =>
        Effect.andThen(
          witness.query("select pg_terminate_backend($1)", [Option.getOrThrow(pid)]),
          pgdb.select("select 1")
        )
      )
    )
    expect(reasonOf(yield* killed)).toBe("ConnectionError")
    expect(attempts).toBe(1)
    yield* atRest(given)
  })
)

withDatabase(
  "each attempt of a transaction runs on the pool of the moment",
  ["create table t (n int)"],
  ({ pgdb, witness }) =>
    Effect.gen(function* () {
      let attempts = 0
      const work = Effect.gen(function* () {
        attempts++
        yield* pgdb.execute("insert into t values (1)")
        if (attempts > 1) return attempts
        yield* pgdb.execute("do $$ begin raise exception using errcode = '40001'; end $$")
        return 0
      })
      const ended = Effect.provideService(pgdb.terminate, PoolRegistry, yield* PoolRegistry)
      const pause = Schedule.recurs(1).pipe(Schedule.tap(() => ended))
      expect(yield* pgdb.transaction(work, { retry: pause })).toBe(2)
      expect(yield* witness.query("select n from t")).toEqual([{ n: 1 }])
    })
)
