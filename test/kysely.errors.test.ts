/** Errors of Kysely's queries on a handle's pool. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Stream from "effect/Stream"
import { PG, PoolError, PoolRegistry } from "effect-global-pool"
import * as Pooled from "effect-global-pool/kysely"
import { AbortedTransactionError, sql } from "kysely"
import { withDatabase } from "./support/handle.ts"

interface Tables {
  readonly users: { readonly name: string }
}

const table = ["create table users (name text)"]

withDatabase("a pool's own error fails a query's program as SqlError, and is no defect", table, (given) =>
  Effect.gen(function* () {
    const { pgdb, settings } = given
    const unreachable = Pooled.make<Tables>(PG.make({ ...settings, port: 70_000 }))
    const query = unreachable.selectFrom("users").selectAll()
    const other = Pooled.make(pgdb).transaction().setIsolationLevel("serializable")
    for (const program of [
      Pooled.run(() => query.execute()),
      Stream.runDrain(Pooled.stream(query)),
      pgdb.transaction(Pooled.run(() => other.execute(() => Promise.resolve())))
    ]) {
      const error = yield* Effect.flip(program)
      assert.strictEqual(error._tag, "SqlError")
      assert.instanceOf(error.reason.cause, PoolError)
    }
  })
)

withDatabase("a commit that rolled back fails a query's program as SqlError", table, ({ pgdb }) =>
  Effect.gen(function* () {
    const db = Pooled.make(pgdb)
    const swallowing = Pooled.run(() =>
      db.transaction().execute((trx) => sql`select 1 / 0`.execute(trx).catch(() => undefined))
    )
    for (const program of [swallowing, pgdb.transaction(swallowing)]) {
      const error = yield* Effect.flip(program)
      assert.strictEqual(error._tag, "SqlError")
      assert.instanceOf(error.reason.cause, AbortedTransactionError)
    }
  })
)

withDatabase(
  "a savepoint that is not there is an error, no defect, and undoes nothing else",
  table,
  (given) =>
    Effect.gen(function* () {
      const { pgdb, witness } = given
      const db = Pooled.make<Tables>(pgdb)
      const add = Pooled.run(async () => {
        const trx = await db.startTransaction().execute()
        await trx.insertInto("users").values({ name: "Ada" }).execute()
        const one = await trx.savepoint("one").execute()
        await one.releaseSavepoint("one").execute()
        const outcome = await one
          .rollbackToSavepoint("one")
          .execute()
          .catch((error: unknown) => String(error))
        assert.include(outcome, 'savepoint "one"')
        await trx.commit().execute()
      })
      yield* pgdb.transaction(add)
      assert.deepStrictEqual(yield* witness.query("select name from users"), [{ name: "Ada" }])
      const release = Pooled.run(async () => {
        const trx = await db.startTransaction().execute()
        const one = await trx.savepoint("one").execute()
        await one.releaseSavepoint("one").execute()
        await one
          .releaseSavepoint("one")
          .execute()
          .finally(() => trx.rollback().execute())
      })
      for (const program of [release, pgdb.transaction(release)]) {
        const error = yield* Effect.flip(program)
        assert.strictEqual(error._tag, "SqlError")
        assert.include(error.message, 'savepoint "one"')
      }
    })
)

withDatabase("a query behind the end of its runtime is refused as PoolError", table, ({ pgdb }) =>
  Effect.promise(async () => {
    const runtime = ManagedRuntime.make(PoolRegistry.layer())
    const db = Pooled.make<Tables>(pgdb, { runtime })
    const query = db.selectFrom("users").selectAll()
    assert.deepStrictEqual(await query.execute(), [])
    await runtime.dispose()
    const begun = db.transaction().execute((trx) => trx.deleteFrom("users").execute())
    for (const refused of [query.execute(), query.stream().next(), begun]) {
      const error: unknown = await refused.catch((error) => error)
      assert.instanceOf(error, PoolError)
      assert.include(String(error), "has been disposed")
    }
  })
)
