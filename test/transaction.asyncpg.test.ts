/** What asyncpg promises of transactions (its `test_transaction.py` and `test_cursor.py`), promised here. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { PG } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"
import { atRest, openTransactions, reasonOf } from "./support/link.ts"

const table = "create table mytab (a int)"
const status = "select current_setting('transaction_isolation') as isolation"

withDatabase(
  "test_transaction_regular: an error undoes everything, and the connection works on",
  [],
  (given) =>
    Effect.gen(function* () {
      const { pgdb } = given
      const error = yield* Effect.flip(
        pgdb.transaction(
          Effect.gen(function* () {
            yield* pgdb.execute("create table mytab (a int)")
            yield* pgdb.execute("insert into mytab (a) values (1), (2)")
            yield* pgdb.execute("select 1 / 0")
          })
        )
      )
      expect(error.message).toContain("division by zero")
      expect(yield* pgdb.selectValue("select to_regclass('mytab')::text")).toEqual(Option.some(null))
      expect(yield* openTransactions(given)).toBe(0)
    })
)

withDatabase("test_transaction_nested: savepoints, each undone alone", [table], ({ pgdb }) =>
  Effect.gen(function* () {
    yield* pgdb.transaction(
      Effect.gen(function* () {
        const error = yield* Effect.flip(
          pgdb.transaction(
            Effect.gen(function* () {
              yield* pgdb.execute("insert into mytab (a) values (1), (2)")
              yield* pgdb.transaction(
                Effect.gen(function* () {
                  yield* pgdb.execute("insert into mytab (a) values (3), (4)")
                  yield* pgdb.execute("select 1 / 0")
                })
              )
            })
          )
        )
        expect(error.message).toContain("division by zero")
        yield* pgdb.transaction(pgdb.execute("insert into mytab (a) values (5), (6)"))
        expect(yield* pgdb.select("select a from mytab order by a")).toEqual([{ a: 5 }, { a: 6 }])
      })
    )
    expect(yield* pgdb.selectValue("select count(*)::int from mytab")).toEqual(Option.some(2))
  })
)

withDatabase("test_isolation_level: by level, and within the default of the session", [], (given) =>
  Effect.gen(function* () {
    const levels = ["read committed", "read uncommitted", "repeatable read", "serializable"] as const
    for (const standard of levels) {
      const pgdb = PG.make({
        ...given.settings,
        key: standard,
        startupParameters: { default_transaction_isolation: standard }
      })
      expect(yield* pgdb.transaction(pgdb.select(status))).toEqual([{ isolation: standard }])
      for (const isolation of levels) {
        expect(yield* pgdb.transaction(pgdb.select(status), { isolation })).toEqual([{ isolation }])
      }
    }
  })
)

withDatabase("test_isolation_level: an inner one of another level is refused", [], ({ pgdb }) =>
  Effect.gen(function* () {
    const error = yield* Effect.flip(
      pgdb.transaction(pgdb.transaction(pgdb.select(status), { isolation: "serializable" }), {
        isolation: "read committed"
      })
    )
    expect(reasonOf(error)).toBe("StatementRefused")
    expect(error.message).toContain("isolation")
  })
)

withDatabase("test_transaction_within_manual_transaction: there is no manual one to be within", [], (given) =>
  Effect.gen(function* () {
    expect(reasonOf(yield* Effect.flip(given.pgdb.execute("BEGIN")))).toBe("StatementRefused")
    expect(reasonOf(yield* Effect.flip(given.pgdb.transaction(given.pgdb.execute("BEGIN"))))).toBe(
      "StatementRefused"
    )
    yield* atRest(given)
  })
)

withDatabase(
  "test_transaction_interface_errors: one value, used twice, is two transactions",
  [table],
  ({ pgdb }) =>
    Effect.gen(function* () {
      const value = pgdb.transaction(pgdb.execute("insert into mytab values (1)"))
      yield* value
      yield* pgdb.transaction(Effect.andThen(value, value))
      expect(yield* pgdb.selectValue("select count(*)::int from mytab")).toEqual(Option.some(3))
    })
)

withDatabase("test_cursor: rows in order and in pieces, other statements between them", [table], ({ pgdb }) =>
  Effect.gen(function* () {
    const rows = yield* pgdb.transaction(
      pgdb.stream<{ i: number }>("select i from generate_series(0, $1::int) as i", [2500]).pipe(
        Stream.mapEffect(({ i }) =>
          i % 500 === 0 ? Effect.as(pgdb.execute("insert into mytab values ($1)", [i]), i) : Effect.succeed(i)
        ),
        Stream.runCollect
      )
    )
    expect(rows).toEqual(Array.from({ length: 2501 }, (_, n) => n))
    expect(yield* pgdb.selectValue("select count(*)::int from mytab")).toEqual(Option.some(6))
  })
)

withDatabase(
  "cursors outlive nothing: neither the stream, nor the inner transaction, nor the outer",
  [],
  (given) =>
    Effect.gen(function* () {
      const { pgdb } = given
      const cursors = pgdb.selectValue("select count(*)::int from pg_cursors where name <> ''")
      const numbers = pgdb.stream<{ i: number }>("select i from generate_series(1, 5000) as i")
      yield* pgdb.transaction(
        Effect.gen(function* () {
          yield* Stream.runDrain(Stream.take(numbers, 3))
          expect(yield* cursors).toEqual(Option.some(0))
          yield* Stream.runDrain(numbers)
          expect(yield* cursors).toEqual(Option.some(0))
          yield* Effect.ignore(Stream.runForEach(numbers, () => Effect.fail("no")))
          expect(yield* cursors).toEqual(Option.some(0))
        })
      )
      // Opened in an inner transaction that is rolled back, read outside of it.
      yield* pgdb.transaction(
        Effect.gen(function* () {
          const scope = yield* Scope.make()
          let pull: Effect.Effect<unknown, unknown> = Effect.void
          yield* Effect.ignore(
            pgdb.transaction(
              Effect.gen(function* () {
                pull = yield* Scope.provide(Stream.toPull(numbers), scope)
                yield* pull
                return yield* Effect.fail("no")
              })
            )
          )
          expect(String(yield* Effect.exit(pull))).toContain("rolled back, and its cursor with it")
          yield* Scope.close(scope, Exit.void)
          expect(yield* cursors).toEqual(Option.some(0))
        })
      )
      // Opened in the transaction, read after its end.
      const scope = yield* Scope.make()
      const pull = yield* pgdb.transaction(
        Effect.gen(function* () {
          const pull = yield* Scope.provide(Stream.toPull(numbers), scope)
          yield* pull
          return pull
        })
      )
      expect(String(yield* Effect.exit(pull))).toContain("has ended")
      yield* Scope.close(scope, Exit.void)
      expect(yield* pgdb.select("select 1 as one")).toEqual([{ one: 1 }])
      yield* atRest(given)
    })
)
