/** A COPY that is given up while nothing of its data has come: the connection serves the next caller at once. */
import { assert } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { PG } from "effect-global-pool"
import { eventually } from "./support/database.ts"
import { withDatabase } from "./support/handle.ts"
import { atRest } from "./support/link.ts"
import { proxy } from "./support/proxy.ts"

const pid = "select pg_backend_pid()"

withDatabase(
  "a COPY that is interrupted before the server asks for its data keeps its connection",
  ["create table t (n int)"],
  (given) =>
    Effect.gen(function* () {
      const between = yield* proxy(given.settings)
      const pgdb = PG.make({ ...given.settings, ...between.address, key: "between", maxConnections: 1 })
      const before = yield* pgdb.selectValue(pid)
      yield* between.delay("40 millis")
      const copying = yield* Effect.forkChild(pgdb.copyFrom("copy t (n) from stdin", Stream.make("1\n")))
      yield* eventually(
        "it was sent",
        Effect.sync(() => between.sent().includes("copy t")),
        (isSent) => isSent
      )
      yield* Fiber.interrupt(copying)
      // A connection that was given up would have been opened anew.
      assert.deepStrictEqual(yield* pgdb.selectValue(pid), before)
      assert.deepStrictEqual(yield* given.witness.query("select * from t"), [])
      yield* pgdb.terminate
      yield* atRest(given)
    })
)

withDatabase(
  "a transaction that fails while a fiber of it reads a COPY ends at once, and so does the COPY",
  ["create table t (n int)"],
  (given) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
      const before = yield* pgdb.selectValue(pid)
      const begun = yield* Deferred.make<void>()
      const failed = yield* Effect.exit(
        pgdb.transaction(
          Effect.gen(function* () {
            yield* pgdb.execute("insert into t values (1)")
            const rows = pgdb.copyTo("copy (select generate_series(1, 30000000)) to stdout")
            // A reader that takes nothing more: the server waits for it.
            yield* Effect.forkDetach(
              Stream.runForEach(rows, () => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
            )
            yield* Deferred.await(begun)
            return yield* Effect.fail("the body failed")
          })
        )
      ).pipe(Effect.timeoutOption("3 seconds"))
      assert.deepStrictEqual(failed, Option.some(Exit.fail("the body failed")))
      assert.deepStrictEqual(yield* pgdb.selectValue(pid), before)
      assert.deepStrictEqual(yield* given.witness.query("select * from t"), [])
    })
)
