/** What joins a transaction, what becomes of it, and what it costs. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { PG } from "effect-global-pool"
import { database } from "./support/database.ts"
import { withDatabase } from "./support/handle.ts"
import { atRest, blocked, linked, openTransactions, reasonOf, roundTrips, sentBy } from "./support/link.ts"

const table = "create table t (n int unique, at timestamptz)"
const insert = (n: number) => `insert into t values (${n})`
const count = "select count(*)::int as n from t"

withDatabase(
  "operations join by fiber, through any handle and the standard client, both ways",
  [table],
  (given) =>
    Effect.gen(function* () {
      const { pgdb, settings } = given
      const client = yield* pgdb.client
      const ids = Effect.all([
        pgdb.selectValue("select pg_current_xact_id()::text"),
        pgdb.table("t").selectValue("select pg_current_xact_id()::text"),
        PG.make(settings).selectValue("select pg_current_xact_id()::text"),
        Effect.map(client<{ id: string }>`select pg_current_xact_id()::text as id`, ([row]) =>
          Option.some(row?.id)
        )
      ])
      const before = yield* pgdb.transaction(ids)
      expect(new Set(before.map(Option.getOrNull)).size).toBe(1)
      const inside = yield* client.withTransaction(ids)
      expect(new Set(inside.map(Option.getOrNull)).size).toBe(1)
      const nested = yield* pgdb.transaction(
        Effect.gen(function* () {
          yield* client.withTransaction(pgdb.execute(insert(1)))
          yield* Effect.ignore(
            client.withTransaction(Effect.andThen(pgdb.execute(insert(2)), Effect.fail("no")))
          )
          return yield* ids
        })
      )
      expect(new Set(nested.map(Option.getOrNull)).size).toBe(1)
      const outer = client.withTransaction(
        Effect.andThen(
          client`insert into t values (3)`,
          Effect.exit(pgdb.transaction(Effect.andThen(pgdb.execute(insert(4)), Effect.die("no"))))
        )
      )
      expect(Exit.isFailure(yield* outer)).toBe(true)
      expect(yield* pgdb.select("select n from t order by n")).toEqual([{ n: 1 }, { n: 3 }])
      yield* atRest(given)
    })
)

withDatabase(
  "what is done inside is seen inside at once, outside after the end, or never",
  [table],
  (given) =>
    Effect.gen(function* () {
      const { pgdb, witness } = given
      yield* pgdb.transaction(
        Effect.gen(function* () {
          yield* pgdb.execute(insert(1))
          expect(yield* pgdb.select(count)).toEqual([{ n: 1 }])
          expect(yield* witness.query(count)).toEqual([{ n: 0 }])
        })
      )
      expect(yield* witness.query(count)).toEqual([{ n: 1 }])
      for (const ending of [Effect.fail("failure"), Effect.die("defect"), Effect.interrupt]) {
        const exit = yield* Effect.exit(pgdb.transaction(Effect.andThen(pgdb.execute(insert(2)), ending)))
        expect(Exit.isFailure(exit)).toBe(true)
        expect(yield* openTransactions(given)).toBe(0)
      }
      expect(yield* witness.query(count)).toEqual([{ n: 1 }])
      yield* atRest(given)
    })
)

withDatabase("the first statement may have parameters whose types are asked for", [table], (given) =>
  Effect.gen(function* () {
    const { pgdb } = given
    const exit = yield* Effect.exit(
      pgdb.transaction(
        Effect.andThen(pgdb.execute("insert into t values (1, $1)", [new Date()]), Effect.fail("no"))
      )
    )
    expect(Exit.isFailure(exit)).toBe(true)
    expect(yield* given.witness.query(count)).toEqual([{ n: 0 }])
    yield* pgdb.transaction(
      pgdb.transaction(
        pgdb.trans([
          ["insert into t values (2, $1)", [new Date(0)]],
          ["select $1::int[]", [[1]]]
        ])
      )
    )
    expect(yield* given.witness.query(count)).toEqual([{ n: 1 }])
  })
)

withDatabase(
  "BEGIN travels with the first statement, and a transaction without one costs nothing",
  [table],
  (given) =>
    Effect.gen(function* () {
      const link = yield* linked(given, {}, 5)
      const { pgdb } = link
      const three = pgdb.transaction(
        Effect.all([pgdb.select("select 1"), pgdb.select("select $1::int", [2]), pgdb.select(count)])
      )
      yield* three
      expect(yield* roundTrips(link, three)).toBe(4)
      expect(yield* sentBy(link, pgdb.transaction(Effect.succeed(1)))).toBe("")
      expect(yield* sentBy(link, Effect.flip(pgdb.transaction(Effect.fail(1))))).toBe("")
      expect(yield* sentBy(link, pgdb.transaction(pgdb.transaction(Effect.void)))).toBe("")
      const nested = pgdb.transaction(
        Effect.all([
          pgdb.transaction(pgdb.select("select 1")),
          pgdb.trans(["select 1", "select 2"]),
          pgdb.select(count)
        ])
      )
      yield* nested
      expect(yield* roundTrips(link, nested)).toBe(4)
    })
)

withDatabase(
  "a caught failure of a statement is the error at the end, and a savepoint keeps it in",
  [table, insert(1)],
  (given) =>
    Effect.gen(function* () {
      const { pgdb } = given
      const error = yield* Effect.flip(pgdb.transaction(Effect.ignore(pgdb.execute(insert(1)))))
      expect(error.message).toContain("COMMIT rolled the transaction back")
      const kept = pgdb.transaction(
        Effect.gen(function* () {
          yield* Effect.ignore(pgdb.transaction(pgdb.execute(insert(1))))
          yield* pgdb.execute(insert(2))
        })
      )
      yield* kept
      expect(yield* pgdb.select("select n from t order by n")).toEqual([{ n: 1 }, { n: 2 }])
      yield* atRest(given)
    })
)

withDatabase(
  "a COMMIT that fails is the error, and everything is undone",
  [
    "create table parent (id int primary key)",
    "create table child (id int references parent deferrable initially deferred)"
  ],
  (given) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        given.pgdb.transaction(given.pgdb.execute("insert into child values (1)"))
      )
      expect(reasonOf(error)).toBe("ConstraintError")
      expect(error.message).toContain("COMMIT")
      expect(yield* given.pgdb.select("select * from child")).toEqual([])
      yield* atRest(given)
    })
)

withDatabase("two databases have a transaction each, with options of its own", [table], (given) =>
  Effect.gen(function* () {
    const other = yield* database()
    yield* other.witness.query(table)
    const second = PG.make(other.settings)
    const isolation = "select current_setting('transaction_isolation')"
    const exit = yield* Effect.exit(
      given.pgdb.transaction(
        Effect.gen(function* () {
          yield* given.pgdb.execute(insert(1))
          yield* second.transaction(second.execute(insert(1)))
          expect(yield* second.transaction(second.selectValue(isolation))).toEqual(
            Option.some("read committed")
          )
          expect(yield* given.pgdb.selectValue(isolation)).toEqual(Option.some("serializable"))
          const client = yield* second.client
          expect(yield* client.withTransaction(second.selectValue(isolation))).toEqual(
            Option.some("read committed")
          )
          yield* Effect.exit(second.transaction(Effect.andThen(second.execute(insert(2)), Effect.fail("no"))))
          return yield* Effect.fail("outer")
        }),
        { isolation: "serializable" }
      )
    )
    expect(Exit.isFailure(exit)).toBe(true)
    expect(yield* given.witness.query(count)).toEqual([{ n: 0 }])
    expect(yield* other.witness.query("select n from t")).toEqual([{ n: 1 }])
  })
)

withDatabase("a fiber stays in its transaction when the pool is ended meanwhile", [table], (given) =>
  Effect.gen(function* () {
    const { pgdb, witness } = given
    const exit = yield* Effect.exit(
      pgdb.transaction(
        Effect.gen(function* () {
          yield* pgdb.execute(insert(1))
          yield* Effect.forkDetach(pgdb.terminateWithin("20 seconds"), { startImmediately: true })
          yield* pgdb.execute(insert(2))
          yield* pgdb.transaction(pgdb.execute(insert(3)))
          return yield* Effect.fail("no")
        })
      )
    )
    expect(exit).toEqual(Exit.fail("no"))
    expect(yield* witness.query(count)).toEqual([{ n: 0 }])
    // Ended for good, what comes after does not run by itself on a new pool.
    const error = yield* Effect.flip(
      pgdb.transaction(
        Effect.gen(function* () {
          yield* pgdb.execute(insert(1))
          yield* pgdb.terminateWithin(0)
          yield* pgdb.execute(insert(2))
        })
      )
    )
    expect(reasonOf(error)).toBe("ConnectionError")
    expect(yield* witness.query(count)).toEqual([{ n: 0 }])
  })
)

withDatabase(
  "what takes over the key of a transaction's pool is no part of the transaction",
  [table],
  (given) =>
    Effect.gen(function* () {
      const { pgdb, settings } = given
      const other = yield* database()
      yield* other.witness.query(table)
      const next = PG.make({ ...other.settings, key: settings.database })
      const exit = yield* Effect.exit(
        pgdb.transaction(
          Effect.gen(function* () {
            yield* pgdb.execute(insert(1))
            yield* Effect.forkDetach(pgdb.terminateWithin("20 seconds"), { startImmediately: true })
            yield* next.execute(insert(2))
            const sql = yield* next.client
            yield* sql`insert into t values (3)`
            yield* sql.withTransaction(sql`insert into t values (4)`)
            // The handle itself cannot go on: its key names another database now.
            expect(reasonOf(yield* Effect.flip(pgdb.execute(insert(5))))).toBe("DatabaseConflict")
            return yield* Effect.fail("no")
          })
        )
      )
      expect(exit).toEqual(Exit.fail("no"))
      expect(yield* given.witness.query(count)).toEqual([{ n: 0 }])
      expect(yield* other.witness.query("select n from t order by n")).toEqual([{ n: 2 }, { n: 3 }, { n: 4 }])
    })
)

withDatabase("the connection of a transaction is one of the pool, waited for like any", [table], (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...given.settings, maxConnections: 1, acquireTimeout: "1 second" })
    const other = PG.make({ ...given.settings, maxConnections: 1, acquireTimeout: "1 second" })
    yield* given.witness.query("select pg_advisory_lock(1)")
    const busy = yield* Effect.forkChild(pgdb.transaction(pgdb.select("select pg_advisory_xact_lock(1)")))
    yield* blocked(given)
    expect(reasonOf(yield* Effect.flip(other.transaction(other.select("select 1"))))).toBe("AcquireTimeout")
    yield* given.witness.query("select pg_advisory_unlock(1)")
    yield* Fiber.join(busy)
    yield* atRest(given)
  })
)
