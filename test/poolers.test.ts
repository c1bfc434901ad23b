/** Behind PgBouncer in each of its modes: what works by `prepare: "auto"`, and what its restarts and limits do to callers. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { PG, PoolRegistry } from "effect-global-pool"
import { database } from "./support/database.ts"
import { together } from "./support/handle.ts"
import { hasPgbouncer, pgbouncer } from "./support/pgbouncer.ts"

const range = (count: number) => Array.from({ length: count }, (_, index) => index)

const failures = <A, E>(exits: ReadonlyArray<Exit.Exit<A, E>>) => exits.filter(Exit.isFailure)

const at = new Date("2026-03-01T15:30:00Z")

/** What every mode carries. */
const single = (pgdb: PG.Database) =>
  Effect.forEach(
    range(60),
    (n) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* pgdb.select`select ${n}::int as n, ${at}::timestamptz as at`, [
          { n, at }
        ])
        assert.deepStrictEqual(yield* pgdb.selectValue("select $1::int + n from t", [n]), Option.some(n + 1))
      }),
    { concurrency: 20, discard: true }
  )

describe.skipIf(!hasPgbouncer)("behind PgBouncer", () => {
  for (const mode of ["session", "transaction", "statement"] as const) {
    it.live(
      `in ${mode} mode: statements and transactions, by prepare: "auto"`,
      () =>
        Effect.gen(function* () {
          const given = yield* database()
          yield* given.witness.query("create table t as select 1 as n")
          const pooler = yield* pgbouncer(given.settings, mode, { default_pool_size: 4 })
          const pgdb = PG.make({
            ...pooler.settings,
            prepare: "auto",
            maxConnections: 4,
            connectTimeout: "10 seconds"
          })
          yield* single(pgdb)
          if (mode === "statement") {
            const error = yield* Effect.flip(pgdb.transaction(pgdb.select("select 1")))
            assert.isFalse(error.isRetryable, error.message)
            assert.include(error.message, "statement pooling mode")
          } else {
            yield* Effect.forEach(
              range(20),
              (n) =>
                pgdb.transaction(
                  Effect.andThen(pgdb.execute`insert into t values (${n})`, pgdb.select("select n from t"))
                ),
              { concurrency: 8, discard: true }
            )
            yield* pgdb.trans(["insert into t values (100)", ["insert into t values ($1)", [101]]])
          }
          yield* pooler.command("RECONNECT")
          yield* single(pgdb)
          yield* pgdb.terminate
        }).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer())),
      60_000
    )
  }

  it.live(
    'prepare: "auto" keeps statements prepared where no pooler stands between',
    () =>
      Effect.gen(function* () {
        const given = yield* database()
        const count = (pgdb: PG.Database) =>
          pgdb.transaction(
            Effect.andThen(
              pgdb.select("select 1"),
              pgdb.selectValue("select count(*)::int from pg_prepared_statements")
            )
          )
        const direct = PG.make({ ...given.settings, prepare: "auto" })
        yield* count(direct)
        assert.notDeepEqual(yield* count(direct), Option.some(0))
        const pooler = yield* pgbouncer(given.settings, "session")
        const pooled = PG.make({ ...pooler.settings, prepare: "auto", key: "pooled" })
        yield* count(pooled)
        assert.deepStrictEqual(yield* count(pooled), Option.some(0))
      }).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer())),
    60_000
  )

  it.live(
    "a pooler of fewer servers than maxConnections: callers wait for acquireTimeout, and the error says why",
    () =>
      Effect.gen(function* () {
        const given = yield* database()
        const pooler = yield* pgbouncer(given.settings, "session", { default_pool_size: 2 })
        const pgdb = PG.make({
          ...pooler.settings,
          prepare: "auto",
          maxConnections: 5,
          connectTimeout: "1 second",
          acquireTimeout: "3 seconds"
        })
        const exits = yield* Effect.forEach(
          range(20),
          () => Effect.exit(pgdb.transaction(pgdb.select("select pg_sleep(0.01)"))),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(failures(exits), [])
        const error = yield* Effect.timeout(Effect.flip(together(pgdb, 3)), "10 seconds")
        assert.strictEqual(error._tag, "PoolError")
        yield* pgdb.terminateWithin(0)
      }).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer())),
    60_000
  )

  it.live(
    "that is paused or starts anew: callers wait, and reads do not fail",
    () =>
      Effect.gen(function* () {
        const given = yield* database()
        yield* given.witness.query("create table t as select 1 as n")
        const pooler = yield* pgbouncer(given.settings, "transaction")
        const pgdb = PG.make({ ...pooler.settings, prepare: "auto" })
        yield* single(pgdb)
        const reads = Effect.forEach(range(50), () => Effect.exit(pgdb.select("select n from t")), {
          concurrency: 10
        })
        yield* pooler.command("PAUSE")
        // How long the pooler pauses is what is tested.
        const [paused] = yield* Effect.all(
          [reads, Effect.andThen(Effect.sleep("200 millis"), pooler.command("RESUME"))],
          {
            concurrency: 2
          }
        )
        assert.deepStrictEqual(failures(paused), [])
        const [restarted] = yield* Effect.all([reads, pooler.restart], { concurrency: 2 })
        assert.deepStrictEqual(failures(restarted), [])
        assert.deepStrictEqual(failures(yield* reads), [])
      }).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer())),
    60_000
  )
})
