/** A `BEGIN` that the server refuses when statements were sent behind it: none of them runs, and the error says so. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as SqlClient from "effect/sql/SqlClient"
import { isSqlError } from "effect/sql/SqlError"
import { PG } from "effect-global-pool"
import { eventually } from "./support/database.ts"
import { withDatabase } from "./support/handle.ts"
import { atRest, linked, reasonOf } from "./support/link.ts"
import { meddle } from "./support/meddle.ts"
import type { TestServer } from "./support/server.ts"

const table = "create table t (n int)"
const insert = (n: number) => `insert into t values (${n})`
const numbers = "select coalesce(array_agg(n order by n), '{}') as list from t"

/** A network that turns BEGIN into a word that the server does not know. */
const garbling = (server: TestServer) => meddle(server, (said) => said.replace("\0BEGIN\0", "\0BEGUN\0"))

withDatabase(
  "a transaction whose BEGIN fails sends nothing more, whatever is caught, and fails",
  [table],
  (given) =>
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
      expect(error.message).toContain("syntax error")
      expect(isSqlError(error) && error.isRetryable).toBe(false)
      expect(error.message).toContain("nothing of it took effect")
      expect(yield* pgdb.select(numbers)).toEqual([{ list: [] }])
      yield* atRest(given)
    })
)

withDatabase("without pipelining no statement of a transaction runs without BEGIN", [table], (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...(yield* garbling(given.settings)), pipelining: false })
    for (const effect of [
      Effect.asVoid(pgdb.trans([insert(1), insert(2)])),
      Effect.asVoid(pgdb.transaction(pgdb.execute(insert(3))))
    ]) {
      const error = yield* Effect.flip(effect)
      expect(error.message).toContain("nothing of it took effect")
      expect(reasonOf(error)).toBe("UnknownError")
    }
    expect(yield* given.witness.query(numbers)).toEqual([{ list: [] }])
  })
)

withDatabase("a trans whose BEGIN is refused has no effect", [table, "insert into t values (0)"], (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...(yield* garbling(given.settings)), key: "garbled" })
    const error = yield* Effect.flip(pgdb.trans([insert(1), "select 1 / 0", insert(2)]))
    expect(error.message).toContain("nothing of it took effect")
    expect(error.message).toContain('syntax error at or near "BEGUN"')
    expect(isSqlError(error) && error.isRetryable).toBe(false)
    expect(yield* given.pgdb.select(numbers)).toEqual([{ list: [0] }])
    yield* atRest(given)
  })
)

withDatabase("a cancel that hits BEGIN leaves nothing of the statement behind it", [table], (given) =>
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
    // The cancel goes over a connection of its own, while BEGIN and the statement are held back.
    yield* eventually("a cancel is sent", Effect.sync(proxy.opened), (opened) => opened > 1)
    yield* proxy.resume
    expect(yield* Fiber.join(failing)).toEqual(Exit.fail("no"))
    expect(yield* given.witness.query(numbers)).toEqual([{ list: [] }])
    yield* atRest(given)
  })
)

withDatabase(
  "a statement that returns a composite does not run without BEGIN, though its type is asked for in between",
  [table],
  ({ pgdb, witness }) =>
    Effect.gen(function* () {
      const returning = pgdb.select("insert into t values (1) returning t")
      yield* returning
      yield* pgdb.execute("delete from t")
      const refused = Effect.provideService(SqlClient.BeginTransaction, "BEGIN ISOLATION LEVEL NONSENSE")
      const error = yield* Effect.flip(refused(pgdb.transaction(returning)))
      expect(error.message).toContain("nothing of it took effect")
      expect(yield* witness.query(numbers)).toEqual([{ list: [] }])
    })
)
