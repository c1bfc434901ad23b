/** Kysely on a handle's pool: joins its transactions, streams, and is cancelled with the program that runs it. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as ManagedRuntime from "effect/ManagedRuntime"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { PG, PoolRegistry } from "effect-global-pool"
import * as Pooled from "effect-global-pool/kysely"
import { AbortedTransactionError, type Generated, Kysely, sql } from "kysely"
import { Migrator } from "kysely/migration"
import { eventually } from "./support/database.ts"
import { type Given, withDatabase } from "./support/handle.ts"

interface Tables {
  readonly users: {
    readonly id: Generated<number>
    readonly name: string
    readonly tags: ReadonlyArray<string>
  }
}

interface Kyselied extends Given {
  readonly db: Kysely<Tables>
  readonly add: (name: string) => Promise<unknown>
}

const test = <E>(
  name: string,
  body: (given: Kyselied) => Effect.Effect<void, E, PoolRegistry | Scope.Scope>,
  settings: Partial<PG.Settings> = {}
) =>
  withDatabase(
    name,
    [
      "create table users (id serial primary key, name text not null unique, tags text[] not null default '{}')"
    ],
    (given) => {
      const pgdb = PG.make({ ...given.settings, ...settings })
      const db = Pooled.make<Tables>(pgdb)
      const add = (name: string) => db.insertInto("users").values({ name, tags: [] }).execute()
      return body({ ...given, pgdb, db, add })
    }
  )

const names = ({ witness }: Given) =>
  Effect.map(witness.query("select name from users order by name"), (rows) => rows.map(({ name }) => name))

const sleeps = (all: ReadonlyArray<{ readonly waitEvent: string | null }>) =>
  all.some(({ waitEvent }) => waitEvent === "PgSleep")

test("queries give rows, counts and errors as Kysely's users know them", ({ db }) =>
  Pooled.run(async () => {
    const stored = await db
      .insertInto("users")
      .values([
        { name: "Ada", tags: ["maths"] },
        { name: "Grace", tags: [] }
      ])
      .returning(["id", "name", "tags"])
      .execute()
    assert.deepStrictEqual(stored, [
      { id: 1, name: "Ada", tags: ["maths"] },
      { id: 2, name: "Grace", tags: [] }
    ])
    const changed = await db
      .updateTable("users")
      .set({ name: "Ada L." })
      .where("id", "=", 1)
      .executeTakeFirst()
    assert.strictEqual(changed.numUpdatedRows, 1n)
    const { n } = await db
      .selectFrom("users")
      .select(({ fn }) => fn.countAll<number>().as("n"))
      .executeTakeFirstOrThrow()
    assert.strictEqual(n, 2)
    assert.deepStrictEqual((await sql<{ x: number }>`select ${7}::int as x`.execute(db)).rows, [{ x: 7 }])
    assert.isTrue((await db.introspection.getTables()).some(({ name }) => name === "users"))
    const error = await db
      .insertInto("users")
      .values({ name: "Grace", tags: [] })
      .execute()
      .catch((e) => e)
    assert.deepStrictEqual([error._tag, error.reason._tag], ["SqlError", "UniqueViolation"])
  }))

describe("in pgdb.transaction", () => {
  test("queries that fibers begin join, and roll back with it", (given) =>
    Effect.gen(function* () {
      const { add, db, pgdb } = given
      const both = Effect.gen(function* () {
        yield* Effect.promise(() => add("Ada"))
        yield* pgdb.table("users").insert({ name: "Grace" })
        const rows = yield* Effect.promise(() => db.selectFrom("users").select("name").execute())
        assert.lengthOf(rows, 2)
        assert.deepStrictEqual(yield* names(given), [])
      })
      yield* pgdb.transaction(both)
      assert.deepStrictEqual(yield* names(given), ["Ada", "Grace"])
      const undone = Effect.andThen(
        Effect.promise(() => add("Alan")),
        Effect.fail("no")
      )
      assert.strictEqual(yield* Effect.flip(pgdb.transaction(undone)), "no")
      assert.deepStrictEqual(yield* names(given), ["Ada", "Grace"])
    }))

  test("the first query of all joins, and those of many fibers each their own", (given) =>
    Effect.gen(function* () {
      const { pgdb } = given
      const db = Pooled.make<Tables>(pgdb)
      const one = (n: number) =>
        pgdb.transaction(
          Effect.andThen(
            Effect.promise(() =>
              db
                .insertInto("users")
                .values({ name: `user ${n}`, tags: [] })
                .execute()
            ),
            n % 2 === 0 ? Effect.void : Effect.fail("odd")
          )
        )
      yield* Effect.forEach([0, 1, 2, 3, 4, 5], (n) => Effect.exit(one(n)), { concurrency: "unbounded" })
      assert.deepStrictEqual(yield* names(given), ["user 0", "user 2", "user 4"])
    }))

  test("an async function joins over each await", (given) =>
    Effect.gen(function* () {
      const { add, db, pgdb } = given
      const work = Pooled.run(async () => {
        await add("Ada")
        await new Promise((resolve) => setImmediate(resolve))
        await db.transaction().execute(async (trx) => {
          await trx.insertInto("users").values({ name: "Grace", tags: [] }).execute()
        })
        await db
          .transaction()
          .execute(async (trx) => {
            await trx.insertInto("users").values({ name: "Alan", tags: [] }).execute()
            throw new Error("a savepoint's")
          })
          .catch(() => undefined)
        return (await db.selectFrom("users").select("name").execute()).length
      })
      assert.strictEqual(
        yield* pgdb.transaction(
          Effect.tap(work, () => Effect.map(names(given), (all) => assert.lengthOf(all, 0)))
        ),
        2
      )
      assert.deepStrictEqual(yield* names(given), ["Ada", "Grace"])
      const error = yield* Effect.flip(pgdb.transaction(Pooled.run(() => add("Ada"))))
      assert.strictEqual(error.reason._tag, "UniqueViolation")
    }))

  test("an await without run is refused, and runs nowhere", (given) =>
    Effect.gen(function* () {
      const { add, pgdb } = given
      const exit = yield* Effect.exit(
        pgdb.transaction(
          Effect.promise(async () => {
            await add("Ada")
            await add("Grace")
          })
        )
      )
      assert.include(String(Exit.isFailure(exit) ? exit.cause : ""), "after an await")
      assert.deepStrictEqual(yield* names(given), [])
    }))
})

describe("Kysely's own transactions", () => {
  for (const place of ["on a connection of the pool", "inside pgdb.transaction"]) {
    test(`commit, roll back, and have savepoints ${place}`, (given) =>
      Effect.gen(function* () {
        const { db, pgdb } = given
        const work = Pooled.run(async () => {
          const trx = await db.startTransaction().execute()
          const add = (name: string) => trx.insertInto("users").values({ name, tags: [] }).execute()
          await add("Ada")
          const first = await trx.savepoint("one").execute()
          await first.insertInto("users").values({ name: "x", tags: [] }).execute()
          const second = await first.savepoint("two").execute()
          await second.insertInto("users").values({ name: "y", tags: [] }).execute()
          const back = await second.rollbackToSavepoint("one").execute()
          await back.insertInto("users").values({ name: "Grace", tags: [] }).execute()
          await back.releaseSavepoint("one").execute()
          await trx.commit().execute()
          const other = await db
            .startTransaction()
            .setAccessMode("read write")
            .execute()
            .catch(() => undefined)
          await other?.insertInto("users").values({ name: "z", tags: [] }).execute()
          await other?.rollback().execute()
        })
        yield* place.startsWith("inside") ? pgdb.transaction(work) : work
        assert.deepStrictEqual(yield* names(given), ["Ada", "Grace"])
      }))
  }

  for (const place of ["on a connection of the pool", "inside pgdb.transaction"]) {
    test(`end with their open savepoints, all or nothing, ${place}`, (given) =>
      Effect.gen(function* () {
        const { db, pgdb } = given
        const ending = (name: string, end: "commit" | "rollback", fails = false) =>
          Pooled.run(async () => {
            const trx = await db.startTransaction().execute()
            await trx
              .insertInto("users")
              .values({ name: `${name} outside`, tags: [] })
              .execute()
            const one = await trx.savepoint("one").execute()
            await one
              .insertInto("users")
              .values({ name: `${name} inside`, tags: [] })
              .execute()
            const two = await one.savepoint("two").execute()
            if (fails) await sql`select 1 / 0`.execute(two).catch(() => undefined)
            const error: unknown = await trx[end]()
              .execute()
              .catch((error) => error)
            assert.strictEqual(error instanceof AbortedTransactionError, fails)
            assert.strictEqual(trx.isCommitted, end === "commit" && !fails)
          })
        const work = Effect.all([
          ending("kept", "commit"),
          ending("undone", "rollback"),
          ending("aborted", "commit", true)
        ])
        yield* place.startsWith("inside") ? pgdb.transaction(work) : work
        assert.deepStrictEqual(yield* names(given), ["kept inside", "kept outside"])
      }))
  }

  test("have isolation, and say when a commit rolled back", (given) =>
    Pooled.run(async () => {
      const { db } = given
      const level = await db
        .transaction()
        .setIsolationLevel("serializable")
        .execute((trx) => sql<{ transaction_isolation: string }>`show transaction_isolation`.execute(trx))
      assert.deepStrictEqual(level.rows, [{ transaction_isolation: "serializable" }])
      const error = await db
        .transaction()
        .execute((trx) => sql`select 1 / 0`.execute(trx).catch(() => undefined))
        .catch((error) => error)
      assert.strictEqual(error.name, "AbortedTransactionError")
    }))

  test(
    "a connection of its own keeps its session, and is reset for the next",
    (given) =>
      Pooled.run(async () => {
        const { db } = given
        const zone = (of: Kysely<Tables>) => sql<{ TimeZone: string }>`show timezone`.execute(of)
        const before = await zone(db)
        const own = await db.connection().execute(async (one) => {
          await sql`set timezone = 'Asia/Tokyo'`.execute(one)
          return zone(one)
        })
        assert.deepStrictEqual(own.rows, [{ TimeZone: "Asia/Tokyo" }])
        assert.deepStrictEqual(await zone(db), before)
      }),
    { maxConnections: 1 }
  )
})

describe("streams and cancels", () => {
  test("rows come as they are read, and ending early ends the statement", (given) =>
    Effect.gen(function* () {
      const { db, pgdb, until } = given
      const series = () =>
        db.selectFrom(sql<{ n: number }>`(select generate_series(1, 10000000) as n)`.as("s")).selectAll()
      yield* Pooled.run(async () => {
        for await (const { n } of series().stream()) {
          assert.strictEqual(n, 1)
          break
        }
      })
      yield* until("nothing runs", (all) => all.every(({ state }) => state === "idle"))
      const some = Stream.runCollect(Stream.take(Pooled.stream(series()), 2))
      assert.deepStrictEqual(yield* some, [{ n: 1 }, { n: 2 }])
      assert.deepStrictEqual(yield* pgdb.transaction(some), [{ n: 1 }, { n: 2 }])
      yield* until("nothing runs", (all) => all.every(({ state }) => state === "idle"))
      const failed = Stream.runDrain(Pooled.stream(db.selectFrom(sql`(select 1 / 0)`.as("s")).selectAll()))
      assert.include((yield* Effect.flip(failed)).message, "division by zero")
    }))

  test("a stream stays on the connection of its transaction, and ends early there", ({ db, pgdb }) =>
    Effect.gen(function* () {
      const work = Pooled.run(() =>
        db.transaction().execute(async (trx) => {
          const series = sql<{ n: number }>`generate_series(1, 3000)`
          await trx.insertInto("users").columns(["name"]).expression(sql`select ${series}::text`).execute()
          const rows = () => trx.selectFrom("users").select("name").orderBy("id").stream()
          for await (const { name } of rows()) {
            assert.strictEqual(name, "1")
            break
          }
          let count = 0
          for await (const _ of rows()) count++
          await trx.deleteFrom("users").execute()
          return count
        })
      )
      assert.strictEqual(yield* work, 3_000)
      assert.strictEqual(yield* pgdb.transaction(work), 3_000)
    }))

  test("a stream joins the fiber's transaction", (given) =>
    Effect.gen(function* () {
      const { add, db, pgdb } = given
      const query = db.selectFrom("users").select("name")
      const work = Effect.andThen(
        Effect.promise(() => add("Ada")),
        Stream.runCollect(Pooled.stream(query))
      )
      assert.deepStrictEqual(yield* pgdb.transaction(work), [{ name: "Ada" }])
    }))

  for (const [how, begin] of [
    ["run", ({ db }) => Pooled.run(() => sql`select pg_sleep(60)`.execute(db))],
    ["a promise of a fiber's", ({ db }) => Effect.promise(() => sql`select pg_sleep(60)`.execute(db))],
    [
      "a transaction",
      ({ db, pgdb }) => pgdb.transaction(Effect.promise(() => sql`select pg_sleep(60)`.execute(db)))
    ],
    [
      "Kysely's transaction",
      ({ db }) => Pooled.run(() => db.transaction().execute((trx) => sql`select pg_sleep(60)`.execute(trx)))
    ],
    [
      "a stream",
      ({ db }) => Stream.runDrain(Pooled.stream(db.selectFrom(sql`pg_sleep(60)`.as("s")).selectAll()))
    ]
  ] satisfies ReadonlyArray<
    readonly [string, (given: Kyselied) => Effect.Effect<unknown, unknown, PoolRegistry>]
  >) {
    test(`interrupting ${how} cancels the statement on the server`, (given) =>
      Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(begin(given))
        yield* given.until("it sleeps", sleeps)
        yield* Fiber.interrupt(fiber)
        yield* given.until("it sleeps no more", (all) => !sleeps(all))
        yield* eventually("its connection is back", PoolRegistry.stats, ([pool]) => pool?.inUse === 0)
        assert.deepStrictEqual(yield* given.pgdb.select("select 1 as n"), [{ n: 1 }])
      }))
  }

  test("Kysely's own signal cancels where it is asked to", (given) =>
    Effect.gen(function* () {
      const gone = new AbortController()
      const query = given.db.selectFrom(sql`pg_sleep(60)`.as("s")).selectAll()
      const fiber = yield* Effect.forkChild(
        Effect.exit(
          Pooled.run(() => query.execute({ signal: gone.signal, inflightQueryAbortStrategy: "cancel query" }))
        )
      )
      yield* given.until("it sleeps", sleeps)
      gone.abort()
      assert.isTrue(Exit.isFailure(yield* Fiber.join(fiber)))
      yield* given.until("it sleeps no more", (all) => !sleeps(all))
    }))
})

test("outside Effect it runs on a runtime, on the same pool", (given) =>
  Effect.promise(async () => {
    const runtime = ManagedRuntime.make(PoolRegistry.layer())
    const db = new Kysely<Tables>({ dialect: Pooled.dialect(given.pgdb, { runtime }) })
    const migrations = {
      "2026_create": {
        up: (db: Kysely<Tables>) => db.schema.createTable("made").addColumn("id", "integer").execute(),
        down: (db: Kysely<Tables>) => db.schema.dropTable("made").execute()
      }
    }
    const migrator = new Migrator({ db, provider: { getMigrations: () => Promise.resolve(migrations) } })
    const { error, results } = await migrator.migrateToLatest()
    assert.isUndefined(error)
    assert.deepStrictEqual(
      results?.map(({ status }) => status),
      ["Success"]
    )
    await db
      .transaction()
      .execute((trx) => trx.insertInto("users").values({ name: "Ada", tags: [] }).execute())
    const pg = PG.promise(runtime)(given.pgdb)
    await pg
      .transaction(async () => {
        await db.insertInto("users").values({ name: "Grace", tags: [] }).execute()
        throw new Error("both")
      })
      .catch(() => undefined)
    assert.deepStrictEqual(await db.selectFrom("users").select("name").execute(), [{ name: "Ada" }])
    assert.lengthOf(await runtime.runPromise(PoolRegistry.stats), 1)
    await db.destroy()
    await runtime.dispose()
  }))

describe("when the Effect that runs it is interrupted between two queries", () => {
  const open = Effect.sync(() => {
    let resolve: () => void = () => undefined
    const promise = new Promise<void>((done) => {
      resolve = done
    })
    return { promise, resolve }
  })

  test("its promises send nothing more", ({ add, db, witness }) =>
    Effect.gen(function* () {
      const gate = yield* open
      const goes = yield* open
      const ended = yield* open
      const outcomes: Array<string> = []
      const note = (query: Promise<unknown>) =>
        query.then(
          () => outcomes.push("sent"),
          () => outcomes.push("refused")
        )
      const fiber = yield* Effect.forkChild(
        Pooled.run(async () => {
          await add("first")
          goes.resolve()
          await gate.promise
          await note(add("second"))
          await note(
            db
              .transaction()
              .execute((trx) => trx.insertInto("users").values({ name: "third", tags: [] }).execute())
          )
          ended.resolve()
        })
      )
      yield* Effect.promise(() => goes.promise)
      yield* Fiber.interrupt(fiber)
      gate.resolve()
      yield* Effect.promise(() => ended.promise)
      assert.deepStrictEqual(outcomes, ["refused", "refused"])
      assert.deepStrictEqual(yield* witness.query("select name from users"), [{ name: "first" }])
    }))

  /** How a promise ends that goes on when its Effect has been interrupted: `"done"`, or by its error. */
  const ending = <E, R>(
    begin: (reached: () => void, gate: Promise<void>) => Promise<unknown>,
    meanwhile: Effect.Effect<unknown, E, R>
  ) =>
    Effect.gen(function* () {
      const gate = yield* open
      const goes = yield* open
      const ended = yield* open
      let outcome = ""
      const fiber = yield* Effect.forkChild(
        Pooled.run(async () => {
          await begin(goes.resolve, gate.promise).then(
            () => {
              outcome = "done"
            },
            (error: unknown) => {
              outcome = String(error)
            }
          )
          ended.resolve()
        })
      )
      yield* Effect.promise(() => goes.promise)
      yield* Fiber.interrupt(fiber)
      yield* meanwhile
      gate.resolve()
      yield* Effect.promise(() => ended.promise)
      return outcome
    })

  /** A transaction that stores a row, and goes on as `then` does. */
  const inserting = (db: Kysely<Tables>, then: () => Promise<unknown>) =>
    db.transaction().execute(async (trx) => {
      await trx.insertInto("users").values({ name: "inside", tags: [] }).execute()
      await then()
    })

  test("its transaction does not commit", ({ db, witness }) =>
    Effect.gen(function* () {
      const outcome = yield* ending(
        (reached, gate) =>
          inserting(db, () => {
            reached()
            return gate
          }),
        Effect.void
      )
      assert.include(outcome, "was interrupted")
      assert.deepStrictEqual(yield* witness.query("select name from users"), [])
    }))

  test("its transaction rejects with its function's own error", ({ db }) =>
    Effect.gen(function* () {
      const outcome = yield* ending(
        (reached, gate) =>
          inserting(db, async () => {
            reached()
            await gate
            throw new Error("mine")
          }),
        Effect.void
      )
      assert.strictEqual(outcome, "Error: mine")
    }))

  test("its stream ends by an error, and not as if it had no more rows", ({ db, until }) =>
    Effect.gen(function* () {
      const outcome = yield* ending(
        async (reached, gate) => {
          const rows = db.selectNoFrom(() => sql<number>`generate_series(1, 1000000000)`.as("n")).stream(10)
          for await (const _ of rows) {
            reached()
            await gate
          }
        },
        until("nothing runs", (all) => all.every(({ state }) => state === "idle"))
      )
      assert.include(outcome, "was interrupted")
    }))

  test("its transaction is rolled back, though its function never returns", ({ db, until, witness }) =>
    Effect.gen(function* () {
      const goes = yield* open
      const fiber = yield* Effect.forkChild(
        Pooled.run(() =>
          inserting(db, () => {
            goes.resolve()
            return new Promise(() => undefined)
          })
        )
      )
      yield* Effect.promise(() => goes.promise)
      yield* Fiber.interrupt(fiber)
      yield* until("no transaction is open", (all) => all.every(({ state }) => state === "idle"))
      assert.deepStrictEqual(yield* witness.query("select name from users"), [])
    }))
})
