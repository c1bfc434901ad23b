/** Advisory locks: one holder at a time, freed however it ends, with `pg_locks` as the witness. */
import { expect } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { PG } from "effect-global-pool"
import type { TestDatabase } from "./support/database.ts"
import { withDatabase } from "./support/handle.ts"
import { atRest, blocked, linked, reasonOf } from "./support/link.ts"

const locks = ({ witness }: TestDatabase) =>
  Effect.map(
    witness.query(
      `select count(*)::int as n from pg_locks where locktype = 'advisory' and granted
       and database = (select oid from pg_database where datname = current_database())`
    ),
    ([row]) => row?.n
  )

withDatabase("withLock lets one in at a time", [], (given) =>
  Effect.gen(function* () {
    const { pgdb } = given
    let inside = 0
    const one = pgdb.withLock(
      "job",
      Effect.gen(function* () {
        expect(++inside).toBe(1)
        expect(yield* locks(given)).toBe(1)
        yield* pgdb.select("select 1")
        inside--
      })
    )
    yield* Effect.all(
      Array.from({ length: 20 }, () => one),
      { concurrency: "unbounded" }
    )
    expect(yield* locks(given)).toBe(0)
    yield* atRest(given)
  })
)

withDatabase("tryLock runs or does not, at once", [], (given) =>
  Effect.gen(function* () {
    const { pgdb } = given
    const other = PG.make({ ...given.settings, key: "other" })
    const go = yield* Deferred.make<void>()
    const held = yield* Effect.forkChild(pgdb.tryLock("job", Effect.as(Deferred.await(go), "did")))
    yield* Effect.flatMap(locks(given), (n) => (n === 1 ? Effect.void : Effect.fail("not yet"))).pipe(
      Effect.retry({ times: 1000 })
    )
    expect(yield* other.tryLock("job", Effect.die("must not run"))).toEqual(Option.none())
    expect(yield* other.tryLock("another job", Effect.succeed(1))).toEqual(Option.some(1))
    const waiting = yield* Effect.forkChild(other.withLock("job", Effect.succeed("then")))
    yield* blocked(given)
    yield* Deferred.succeed(go, undefined)
    expect(yield* Fiber.join(held)).toEqual(Option.some("did"))
    expect(yield* Fiber.join(waiting)).toBe("then")
    expect(yield* locks(given)).toBe(0)
    yield* atRest(given)
  })
)

withDatabase("failure, defect, interruption and a lost connection free the lock", [], (given) =>
  Effect.gen(function* () {
    const { pgdb, proxy } = yield* linked(given)
    for (const ending of [
      Effect.fail("no"),
      Effect.die("no"),
      Effect.interrupt,
      Effect.andThen(proxy.cut, Effect.void)
    ]) {
      expect(Exit.isFailure(yield* Effect.exit(pgdb.withLock("job", ending)))).toBe(true)
      yield* given.until("no transaction is left", (sessions) =>
        sessions.every(({ state }) => state === "idle")
      )
      expect(yield* locks(given)).toBe(0)
    }
    yield* given.witness.query("select pg_advisory_lock(hashtextextended('job', 0))")
    const waiting = yield* Effect.forkChild(pgdb.withLock("job", Effect.void))
    yield* blocked(given)
    yield* Fiber.interrupt(waiting)
    yield* blocked(given, 0)
    yield* atRest(given)
  })
)

withDatabase("the lock and what is done under it are one transaction", ["create table t (n int)"], (given) =>
  Effect.gen(function* () {
    const { pgdb } = given
    yield* Effect.flip(
      pgdb.withLock(7, Effect.andThen(pgdb.execute("insert into t values (1)"), Effect.fail("no")))
    )
    yield* pgdb.withLock(7, pgdb.trans(["insert into t values (2)"]))
    yield* pgdb.withLock(
      7,
      pgdb.withLock(
        8n,
        pgdb.tryLock(
          "nine",
          Effect.map(locks(given), (n) => expect(n).toBe(3))
        )
      )
    )
    expect(yield* pgdb.select("select n from t")).toEqual([{ n: 2 }])
    expect(yield* locks(given)).toBe(0)
  })
)

withDatabase(
  "a key is a text, a whole number or a bigint of 64 bits; others are refused, and nothing is sent",
  [],
  (given) =>
    Effect.gen(function* () {
      const { pgdb, proxy } = yield* linked(given)
      for (const key of [1.5, Number.NaN, 2 ** 53, 2n ** 63n, null, undefined, {}, ["a"]]) {
        for (const lock of [pgdb.withLock, pgdb.tryLock]) {
          const error = yield* Effect.flip(
            Reflect.apply(lock, pgdb, [key, Effect.void]) as Effect.Effect<unknown, unknown, never>
          )
          expect(reasonOf(error)).toBe("StatementRefused")
          expect(String(error)).toContain("A lock's key is")
        }
      }
      expect(proxy.opened()).toBe(0)
      for (const key of ["", "日本", 0, -1, 2n ** 63n - 1n, -(2n ** 63n)]) {
        expect(yield* pgdb.withLock(key, locks(given))).toBe(1)
      }
    })
)
