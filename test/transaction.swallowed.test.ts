/** A failure that a program catches is still one for the server: what it undid is never reported as done. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { withDatabase } from "./support/handle.ts"
import { atRest } from "./support/link.ts"

const table = "create table t (n int unique)"
const insert = (n: number) => `insert into t values (${n})`
const numbers = "select coalesce(array_agg(n order by n), '{}') as list from t"

withDatabase(
  "a nested transaction that caught the failure of a statement fails, and is undone",
  [table],
  (given) =>
    Effect.gen(function* () {
      const { pgdb } = given
      const hooks: Array<string> = []
      const wrong = Effect.ignore(pgdb.select("select 1 / 0"))
      // Described already, so that it is sent at once and not only after a question.
      const sleep = (seconds: number) => pgdb.execute("select pg_sleep($1)", [seconds])
      yield* sleep(0)
      const late = Effect.timeoutOption(sleep(60), "20 millis")
      for (const swallowed of [wrong, late]) {
        const [lost, next, inner] = yield* pgdb.transaction(
          Effect.gen(function* () {
            yield* pgdb.execute(insert(1))
            const lost = yield* Effect.exit(
              pgdb.transaction(
                Effect.gen(function* () {
                  yield* pgdb.afterCommit(Effect.sync(() => hooks.push("lost")))
                  yield* pgdb.execute(insert(2))
                  yield* swallowed
                })
              )
            )
            const next = yield* Effect.exit(pgdb.transaction(pgdb.execute(insert(3))))
            const inner = yield* Effect.exit(
              pgdb.transaction(
                Effect.andThen(
                  Effect.ignore(pgdb.transaction(pgdb.execute(insert(1)))),
                  pgdb.execute(insert(4))
                )
              )
            )
            yield* pgdb.execute(insert(5))
            return [lost, next, inner] as const
          })
        )
        expect(Exit.isFailure(lost) && String(lost.cause)).toContain("The nested transaction was rolled back")
        expect(Exit.isSuccess(next) && Exit.isSuccess(inner)).toBe(true)
        expect(yield* pgdb.select(numbers)).toEqual([{ list: [1, 3, 4, 5] }])
        yield* pgdb.execute("truncate t")
      }
      expect(hooks).toEqual([])
      yield* atRest(given)
    })
)

withDatabase("a transaction that caught the failure of a statement fails at its end", [table], (given) =>
  Effect.gen(function* () {
    const { pgdb } = given
    const error = yield* Effect.flip(
      pgdb.transaction(Effect.andThen(pgdb.execute(insert(1)), Effect.ignore(pgdb.select("select 1 / 0"))))
    )
    expect(error.message).toContain("COMMIT rolled the transaction back")
    // Nothing nested in it brings it back to life.
    const revived = pgdb.transaction(
      Effect.gen(function* () {
        yield* pgdb.execute(insert(1))
        yield* Effect.ignore(pgdb.select("select 1 / 0"))
        yield* Effect.ignore(pgdb.transaction(pgdb.execute(insert(2))))
        yield* pgdb.transaction(Effect.void)
      })
    )
    expect((yield* Effect.flip(revived)).message).toContain("COMMIT rolled the transaction back")
    expect(yield* pgdb.select(numbers)).toEqual([{ list: [] }])
    yield* atRest(given)
  })
)
