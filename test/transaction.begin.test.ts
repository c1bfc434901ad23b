/** A BEGIN that the server refuses, when statements were sent behind it: nothing more is sent, and the error says what ran by itself. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as SqlClient from "effect/sql/SqlClient"
import { isSqlError } from "effect/sql/SqlError"
import { PG } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"
import { atRest, linked, reasonOf } from "./support/link.ts"
import { meddle } from "./support/meddle.ts"
import type { TestServer } from "./support/server.ts"

const table = "create table t (n int)"
const insert = (n: number) => `insert into t values (${n})`
const numbers = "select coalesce(array_agg(n order by n), '{}') as list from t"

/** A network that turns BEGIN into a word that the server does not know. */
const garbling = (server: TestServer) => meddle(server, (said) => said.replace("\0BEGIN\0", "\0BEGUN\0"))

withDatabase("in a transaction nothing more is sent, whatever is caught, and it fails", [table], (given) =>
  Effect.gen(function* () {
    const { pgdb } = given
    const refused = Effect.provideService(SqlClient.BeginTransaction, "BEGIN ISOLATION LEVEL NONSENSE")
    const error = yield* Effect.flip(
      refused(
        pgdb.transaction(
          Effect.gen(function* () {
            yield* Effect.ignore(pgdb.execute(insert(1)))
            yield* Effect.ignore(pgdb.execute(insert(2)))
            yield* Effect.ignore(pgdb.transaction(pgdb.trans([insert(3)])))
          })
        )
      )
    )
    expect(error.message).toContain("The server refused to begin the transaction")
    expect(error.message).toContain("Its first statement took effect by itself.")
    expect(error.message).toContain("syntax error")
    expect(isSqlError(error) && error.isRetryable).toBe(false)
    expect(yield* pgdb.select(numbers)).toEqual([{ list: [1] }])
    yield* atRest(given)
  })
)

withDatabase("where connections do not pipeline nothing runs without BEGIN", [table], (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...(yield* garbling(given.settings)), pipelining: false })
    for (const effect of [
      Effect.asVoid(pgdb.trans([insert(1), insert(2)])),
      Effect.asVoid(pgdb.transaction(pgdb.execute(insert(3))))
    ]) {
      const error = yield* Effect.flip(effect)
      expect(error.message).toContain("Nothing of it was sent.")
      expect(reasonOf(error)).toBe("UnknownError")
    }
    expect(yield* given.witness.query(numbers)).toEqual([{ list: [] }])
  })
)

withDatabase("in trans the error counts what ran by itself", [table, "insert into t values (0)"], (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...(yield* garbling(given.settings)), key: "garbled" })
    const error = yield* Effect.flip(pgdb.trans([insert(1), "select 1 / 0", insert(2)]))
    expect(error.message).toContain("Each statement ran by itself: 2 of 3 that were sent took effect.")
    expect(error.message).toContain('syntax error at or near "BEGUN"')
    expect(isSqlError(error) && error.isRetryable).toBe(false)
    expect(yield* given.pgdb.select(numbers)).toEqual([{ list: [0, 1, 2] }])
    yield* atRest(given)
  })
)

withDatabase(
  "a fiber's statement is not cancelled before the BEGIN ahead of it is answered",
  [table],
  (given) =>
    Effect.gen(function* () {
      const { pgdb, proxy } = yield* linked(given, { maxConnections: 1 })
      yield* pgdb.select("select 1")
      yield* proxy.pause
      const failing = yield* Effect.forkChild(
        Effect.exit(
          pgdb.transaction(
            Effect.gen(function* () {
              yield* Effect.forkDetach(pgdb.execute(insert(1)), { startImmediately: true })
              return yield* Effect.fail("no")
            })
          )
        ),
        { startImmediately: true }
      )
      // A cancel goes over a connection of its own, and would have been asked for by now.
      for (let look = 0; look < 10; look++) yield* given.witness.query("select 1")
      expect(proxy.opened()).toBe(1)
      yield* proxy.resume
      expect(yield* Fiber.join(failing)).toEqual(Exit.fail("no"))
      expect(yield* given.witness.query(numbers)).toEqual([{ list: [] }])
      yield* atRest(given)
    })
)
