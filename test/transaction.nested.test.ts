/** Transactions inside transactions are savepoints, and fibers forked inside take turns on the one connection. */
import { expect } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { PG } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"
import { atRest, blocked, linked, reasonOf, sentBy } from "./support/link.ts"

const table = "create table t (n int unique)"
const insert = (n: number) => `insert into t values (${n})`
const numbers = "select coalesce(array_agg(n order by n), '{}') as list from t"
const concurrent = { concurrency: "unbounded" } as const

withDatabase("an inner transaction is undone alone, and committed with the outer", [table], (given) =>
  Effect.gen(function* () {
    const { pgdb } = given
    yield* pgdb.transaction(
      Effect.gen(function* () {
        yield* pgdb.execute(insert(1))
        yield* pgdb.transaction(pgdb.execute(insert(2)))
        yield* Effect.flip(pgdb.transaction(Effect.andThen(pgdb.execute(insert(3)), Effect.fail("no"))))
        yield* Effect.exit(pgdb.transaction(Effect.andThen(pgdb.execute(insert(4)), Effect.die("no"))))
        yield* Effect.flip(pgdb.transaction(pgdb.execute(insert(1))))
        yield* Effect.flip(pgdb.trans([insert(5), insert(1)]))
        yield* pgdb.trans([insert(6), insert(7)])
        yield* pgdb.transaction(
          Effect.gen(function* () {
            yield* pgdb.execute(insert(8))
            yield* Effect.flip(pgdb.transaction(Effect.andThen(pgdb.trans([insert(9)]), Effect.fail("no"))))
            yield* pgdb.transaction(pgdb.transaction(pgdb.execute(insert(10))))
          })
        )
      })
    )
    expect(yield* pgdb.select(numbers)).toEqual([{ list: [1, 2, 6, 7, 8, 10] }])
    const exit = yield* Effect.exit(
      pgdb.transaction(Effect.andThen(pgdb.transaction(pgdb.execute(insert(11))), Effect.fail("no")))
    )
    expect(exit).toEqual(Exit.fail("no"))
    expect(yield* pgdb.select(numbers)).toEqual([{ list: [1, 2, 6, 7, 8, 10] }])
    yield* atRest(given)
  })
)

withDatabase(
  "a savepoint that nothing is done in is never sent, and released ones are gone",
  [table],
  (given) =>
    Effect.gen(function* () {
      const link = yield* linked(given)
      const { pgdb } = link
      const sent = yield* sentBy(
        link,
        pgdb.transaction(
          Effect.gen(function* () {
            yield* pgdb.transaction(Effect.void)
            yield* Effect.ignore(pgdb.transaction(Effect.fail("no")))
            yield* pgdb.execute(insert(1))
            yield* pgdb.transaction(pgdb.transaction(Effect.void))
            yield* pgdb.execute(insert(2))
          })
        )
      )
      expect(sent).not.toContain("SAVEPOINT")
      const many = yield* sentBy(
        link,
        pgdb.transaction(Effect.forEach([3, 4, 5], (n) => pgdb.transaction(pgdb.execute(insert(n)))))
      )
      expect(many.match(/\0SAVEPOINT/g)).toHaveLength(3)
      expect(many.match(/RELEASE SAVEPOINT/g)).toHaveLength(2)
    })
)

withDatabase(
  "inner transactions in forked fibers come one after the other, each all or nothing",
  [table],
  (given) =>
    Effect.gen(function* () {
      const { pgdb } = given
      const one = (n: number) =>
        Effect.exit(
          pgdb.transaction(
            Effect.gen(function* () {
              yield* pgdb.execute(insert(2 * n))
              yield* Effect.yieldNow
              if (n % 3 === 0)
                yield* pgdb.transaction(Effect.ignore(pgdb.transaction(pgdb.execute(insert(2 * n)))))
              yield* pgdb.execute(insert(2 * n + 1))
              if (n % 2 === 0) yield* Effect.fail("even")
            })
          )
        )
      yield* pgdb.transaction(
        Effect.all(
          Array.from({ length: 20 }, (_, n) => one(n)),
          concurrent
        )
      )
      const kept = Array.from({ length: 40 }, (_, n) => n).filter((n) => Math.floor(n / 2) % 2 === 1)
      expect(yield* pgdb.select(numbers)).toEqual([{ list: kept }])
      yield* atRest(given)
    })
)

withDatabase(
  "a statement beside an inner transaction is neither undone with it nor hit by its failure",
  [table],
  (given) =>
    Effect.gen(function* () {
      const { pgdb } = given
      const failing = Effect.exit(
        pgdb.transaction(Effect.andThen(pgdb.execute(insert(1)), pgdb.execute(insert(1))))
      )
      yield* pgdb.transaction(
        Effect.all(
          [
            pgdb.execute(insert(2)),
            failing,
            pgdb.execute(insert(3)),
            failing,
            pgdb.trans([insert(4)]),
            pgdb.execute(insert(5))
          ],
          concurrent
        )
      )
      expect(yield* pgdb.select(numbers)).toEqual([{ list: [2, 3, 4, 5] }])
      yield* atRest(given)
    })
)

withDatabase("forked fibers' statements take turns, in order", [table], ({ pgdb }) =>
  Effect.gen(function* () {
    const pids = yield* pgdb.transaction(
      Effect.all(
        Array.from({ length: 30 }, (_, n) =>
          Effect.andThen(pgdb.execute(insert(n)), pgdb.selectValue("select pg_backend_pid()"))
        ),
        concurrent
      )
    )
    expect(new Set(pids.map(String)).size).toBe(1)
    expect(yield* pgdb.select("select count(*)::int as n from t")).toEqual([{ n: 30 }])
  })
)

withDatabase("a failing fiber among others is the error of all", [table, insert(1)], (given) =>
  Effect.gen(function* () {
    const { pgdb } = given
    const error = yield* Effect.flip(
      pgdb.transaction(
        Effect.all(
          [insert(2), insert(1), insert(3), insert(4)].map((sql) => pgdb.execute(sql)),
          concurrent
        )
      )
    )
    expect(reasonOf(error)).toBe("UniqueViolation")
    expect(yield* pgdb.select(numbers)).toEqual([{ list: [1] }])
    yield* atRest(given)
  })
)

withDatabase(
  "a fiber that outlives its transaction does not touch the connection of the next",
  [table],
  (given) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
      const go = yield* Deferred.make<void>()
      const late = Effect.exit(Effect.andThen(Deferred.await(go), pgdb.execute(insert(1))))
      const nested = Effect.exit(
        pgdb.transaction(Effect.andThen(Deferred.await(go), pgdb.execute(insert(2))))
      )
      const [first, second, third] = yield* pgdb.transaction(
        Effect.gen(function* () {
          const first = yield* Effect.forkDetach(late)
          const second = yield* pgdb.transaction(
            Effect.andThen(pgdb.select("select 1"), Effect.forkDetach(late))
          )
          const third = yield* Effect.forkDetach(Effect.andThen(Deferred.await(go), nested))
          yield* pgdb.select("select 1")
          return [first, second, third] as const
        })
      )
      const between = pgdb.transaction(
        Effect.gen(function* () {
          yield* pgdb.execute(insert(3))
          yield* Deferred.succeed(go, undefined)
          return yield* Effect.all([Fiber.join(first), Fiber.join(second), Fiber.join(third)])
        })
      )
      for (const exit of yield* between) {
        expect(Exit.isFailure(exit)).toBe(true)
        expect(String(exit)).toContain("has ended")
      }
      expect(yield* pgdb.select(numbers)).toEqual([{ list: [3] }])
      yield* atRest(given)
    })
)

withDatabase(
  "a failing transaction does not wait for the statement of a fiber that it forked",
  [table],
  (given) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
      const session = "select pg_backend_pid() as pid"
      const before = yield* pgdb.select(session)
      yield* given.witness.query("select pg_advisory_lock(1)")
      const left = yield* Deferred.make<Fiber.Fiber<unknown, unknown>>()
      const go = yield* Deferred.make<void>()
      const late = Effect.andThen(Deferred.await(go), pgdb.select("select 1"))
      const failing = pgdb.transaction(
        Effect.gen(function* () {
          yield* pgdb.execute(insert(1))
          const outlives = yield* pgdb.transaction(Effect.forkDetach(late))
          yield* Deferred.succeed(
            left,
            yield* Effect.forkDetach(pgdb.select("select pg_advisory_xact_lock(1)"))
          )
          yield* blocked(given)
          // One that comes too late, and is refused, leaves alone the one that runs.
          yield* Deferred.succeed(go, undefined)
          expect(Exit.isFailure(yield* Fiber.await(outlives))).toBe(true)
          return yield* Effect.fail("no")
        })
      )
      expect(yield* Effect.exit(failing)).toEqual(Exit.fail("no"))
      expect(Exit.isFailure(yield* Fiber.await(yield* Deferred.await(left)))).toBe(true)
      expect(yield* pgdb.select(numbers)).toEqual([{ list: [] }])
      expect(yield* pgdb.select(session)).toEqual(before)
      yield* atRest(given)
    })
)

withDatabase(
  "a transaction that ends well waits for the statements that its fibers have sent",
  [table],
  (given) =>
    Effect.gen(function* () {
      const { pgdb } = given
      yield* pgdb.transaction(
        Effect.gen(function* () {
          yield* pgdb.execute(insert(1))
          yield* Effect.forkDetach(pgdb.execute(insert(2)), { startImmediately: true })
          yield* Effect.forkDetach(
            pgdb.transaction(Effect.andThen(pgdb.execute(insert(3)), pgdb.execute(insert(4)))),
            {
              startImmediately: true
            }
          )
        })
      )
      expect(yield* pgdb.select(numbers)).toEqual([{ list: [1, 2, 3, 4] }])
      yield* atRest(given)
    })
)

withDatabase(
  "an inner transaction that waits for a fiber of the outer fails and says so, after acquireTimeout",
  [table],
  (given) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...given.settings, acquireTimeout: "1 second" })
      const go = yield* Deferred.make<void>()
      const error = yield* Effect.flip(
        pgdb.transaction(
          Effect.gen(function* () {
            const outer = yield* Effect.forkChild(Effect.andThen(Deferred.await(go), pgdb.execute(insert(1))))
            yield* pgdb.transaction(
              Effect.gen(function* () {
                yield* pgdb.execute(insert(2))
                yield* Deferred.succeed(go, undefined)
                yield* Fiber.join(outer)
              })
            )
          })
        )
      )
      expect(reasonOf(error)).toBe("StatementRefused")
      expect(error.message).toContain("must not wait for a fiber of the outer one")
      expect(yield* pgdb.select(numbers)).toEqual([{ list: [] }])
      yield* atRest(given)
    })
)

withDatabase("a statement that is interrupted inside spoils the inner one only", [table], (given) =>
  Effect.gen(function* () {
    const { pgdb } = given
    yield* given.witness.query("select pg_advisory_lock(1)")
    yield* pgdb.transaction(
      Effect.gen(function* () {
        yield* pgdb.execute(insert(1))
        const inner = yield* Effect.forkChild(
          pgdb.transaction(
            Effect.andThen(pgdb.execute(insert(2)), pgdb.select("select pg_advisory_xact_lock(1)"))
          )
        )
        yield* blocked(given)
        yield* Fiber.interrupt(inner)
        yield* pgdb.execute(insert(3))
      })
    )
    expect(yield* pgdb.select(numbers)).toEqual([{ list: [1, 3] }])
    yield* atRest(given)
  })
)

withDatabase(
  "callbacks after the commit run in order, after it, and for nothing that was undone",
  [table],
  (given) =>
    Effect.gen(function* () {
      const { pgdb, witness } = given
      const ran: Array<string> = []
      const note = (name: string) =>
        pgdb.afterCommit(
          Effect.gen(function* () {
            const [row] = yield* Effect.orDie(witness.query("select count(*)::int as n from t"))
            ran.push(`${name} ${row?.n}`)
          })
        )
      yield* note("outside")
      yield* pgdb.transaction(
        Effect.gen(function* () {
          yield* note("first")
          yield* pgdb.execute(insert(1))
          yield* pgdb.transaction(Effect.andThen(pgdb.execute(insert(2)), note("inner")))
          yield* Effect.ignore(pgdb.transaction(Effect.andThen(note("undone"), Effect.fail("no"))))
          yield* pgdb.afterCommit(Effect.die("a callback that dies is logged, and the others run"))
          yield* pgdb.afterCommit(Effect.orDie(Effect.asVoid(pgdb.execute(insert(3)))))
          yield* note("last")
          expect(ran).toEqual(["outside 0"])
        })
      )
      expect(ran).toEqual(["outside 0", "first 2", "inner 2", "last 3"])
      yield* Effect.ignore(pgdb.transaction(Effect.andThen(note("never"), pgdb.execute(insert(1)))))
      yield* Effect.ignore(
        pgdb.transaction(Effect.andThen(note("never"), Effect.ignore(pgdb.execute(insert(1)))))
      )
      expect(ran).toHaveLength(4)
      yield* atRest(given)
    })
)
