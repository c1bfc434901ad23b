/** `PG.promise`: handles for people outside Effect, whose methods return promises and async iterators. */
import { assert, expectTypeOf, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { SqlError } from "effect/sql/SqlError"
import { PG, PoolError, PoolRegistry } from "effect-global-pool"
import { database, type TestDatabase } from "./support/database.ts"

interface User {
  readonly id: number
  readonly name: string
}

interface Given extends TestDatabase {
  readonly runtime: ManagedRuntime.ManagedRuntime<PoolRegistry, PoolError>
  readonly pg: PG.Promises
  readonly db: PG.PromiseDatabase
  readonly users: PG.PromiseTable<User>
}

const test = <E>(name: string, body: (given: Given) => Effect.Effect<void, E, Scope.Scope>) =>
  it.live(name, () =>
    Effect.gen(function* () {
      const given = yield* database()
      yield* given.witness.query("create table users (id int primary key, name text not null)")
      const runtime = yield* Effect.acquireRelease(
        Effect.sync(() => ManagedRuntime.make(PoolRegistry.layer())),
        (runtime) => runtime.disposeEffect
      )
      const pg = PG.promise(runtime)
      const db = pg.make(given.settings)
      yield* body({ ...given, runtime, pg, db, users: db.table<User>("users") })
    })
  )

const names = ({ witness }: Given) =>
  Effect.map(witness.query("select name from users order by id"), (rows) => rows.map(({ name }) => name))

const [ada, grace, alan] = [
  { id: 1, name: "Ada" },
  { id: 2, name: "Grace" },
  { id: 3, name: "Alan" }
] as const

test("operations return promises of what their effects give", ({ db, users }) =>
  Effect.promise(async () => {
    assert.deepStrictEqual(await users.insert(ada), ada)
    assert.strictEqual(await users.insertMany([grace]), 1)
    assert.deepStrictEqual(
      await users.select<Pick<User, "name">>`select name from ${users} where id > ${1}`,
      [{ name: "Grace" }]
    )
    assert.deepStrictEqual(await db.selectOne("select $1::int as n", [1]), Option.some({ n: 1 }))
    assert.deepStrictEqual(await db.selectValue`select count(*) from ${users}`, Option.some(2))
    assert.deepStrictEqual(await users.find({ id: { $lt: 2 } }, { columns: ["name"] }), [{ name: "Ada" }])
    assert.deepStrictEqual(await users.findOne({ id: 9 }), Option.none())
    assert.strictEqual(await users.update({ id: 1 }, { name: "Ada L." }), 1)
    assert.strictEqual((await db.execute`delete from ${users}`).rowCount, 2)
    const outcomes = await db.trans([PG.sql`insert into ${users} values (1, 'x')`, "select 1"])
    assert.deepStrictEqual(
      outcomes.map(({ command }) => command),
      ["INSERT", "SELECT"]
    )
  }))

test("rows come as an async iterator, and ending a loop early ends the statement on the server", (given) =>
  Effect.gen(function* () {
    const { db, until, users } = given
    yield* Effect.promise(async () => {
      const rows = async function* () {
        yield ada
        yield grace
      }
      assert.strictEqual(await users.insertStream(rows()), 2)
      assert.strictEqual(await users.insertStream([alan]), 1)
      const found: Array<string> = []
      for await (const { name } of users.findStream({}, { orderBy: { id: "asc" } })) found.push(name)
      assert.deepStrictEqual(found, ["Ada", "Grace", "Alan"])
      let first = 0
      for await (const { n } of db.stream<{ n: number }>`select generate_series(1, 10000000) as n`) {
        first = n
        break
      }
      assert.strictEqual(first, 1)
    })
    yield* until("nothing runs", (all) => all.every(({ state }) => state === "idle"))
  }))

test("errors are those of the operations, as they are", ({ db, pg, settings, users }) =>
  Effect.promise(async () => {
    const failure = (promise: Promise<unknown>) =>
      promise.then(
        () => assert.fail("it did not fail"),
        (error: unknown) => error
      )
    await users.insert(ada)
    const taken = await failure(users.insert(ada))
    assert.strictEqual((taken as SqlError).reason._tag, "UniqueViolation")
    const invalid = await failure(pg.make({ ...settings, port: 70_000 }).select("select 1"))
    assert.instanceOf(invalid, PoolError)
    const own = new Error("mine")
    assert.strictEqual(await failure(db.transaction(() => Promise.reject(own))), own)
    const streamed = async () => {
      for await (const _ of db.stream("select 1 / 0")) assert.fail("a row")
    }
    assert.strictEqual(((await failure(streamed())) as SqlError)._tag, "SqlError")
  }))

test("what an async function begins joins its transaction over each await", (given) =>
  Effect.gen(function* () {
    const { db, users } = given
    const others = db.table<User>("users")
    yield* Effect.promise(async () => {
      const counted = await db.transaction(
        async (tx) => {
          await users.insert(ada)
          await new Promise((resolve) => setImmediate(resolve))
          await others.insert(grace)
          await tx
            .transaction(async () => {
              await users.insert(alan)
              throw new Error("only the savepoint")
            })
            .catch(() => undefined)
          const seen: Array<User> = []
          for await (const user of users.findStream()) seen.push(user)
          return seen.length
        },
        { isolation: "serializable" }
      )
      assert.strictEqual(counted, 2)
    })
    assert.deepStrictEqual(yield* names(given), ["Ada", "Grace"])
    yield* Effect.promise(() =>
      db
        .transaction(async () => {
          await users.insert(alan)
          throw new Error("all of it")
        })
        .catch(() => undefined)
    )
    assert.deepStrictEqual(yield* names(given), ["Ada", "Grace"])
  }))

test("transactions at once do not mix", (given) =>
  Effect.gen(function* () {
    const { db, users } = given
    yield* Effect.promise(async () => {
      const one = (user: User) =>
        db.transaction(async () => {
          await users.insert(user)
          if (user.id % 2 === 0) throw new Error("even")
        })
      const all = await Promise.allSettled(
        Array.from({ length: 20 }, (_, id) => one({ id, name: `user ${id}` }))
      )
      assert.strictEqual(all.filter(({ status }) => status === "fulfilled").length, 10)
    })
    assert.lengthOf(yield* names(given), 10)
  }))

test("locks, callbacks after the commit and listeners take async functions", ({ db, users }) =>
  Effect.promise(async () => {
    const told: Array<string> = []
    const heard = (async () => {
      const onListen = async () => {
        await db.transaction(async () => {
          await db.afterCommit(async () => {
            told.push(`${await users.count()} stored`)
          })
          await users.insert(ada)
          assert.deepStrictEqual(told, [])
        })
        await db.notify("jobs", "42")
      }
      for await (const { payload } of db.listen("jobs", { onListen })) return payload
      return undefined
    })()
    assert.strictEqual(await heard, "42")
    assert.deepStrictEqual(told, ["1 stored"])
    const both = await db.withLock("one", () => db.tryLock("one", () => "mine too"))
    assert.deepStrictEqual(both, Option.some("mine too"))
  }))

test("an aborted signal ends statements, transactions and loops, on the server too", (given) =>
  Effect.gen(function* () {
    const { runtime, settings, until, witness } = given
    const sleeping = (all: ReadonlyArray<{ readonly waitEvent: string | null }>) =>
      all.some(({ waitEvent }) => waitEvent === "PgSleep")
    for (const begin of [
      (db: PG.PromiseDatabase) => db.select("select pg_sleep(60)"),
      (db: PG.PromiseDatabase) =>
        db.transaction(async () => {
          await db.execute("insert into users values (7, 'lost')")
          await db.select("select pg_sleep(60)")
        }),
      async (db: PG.PromiseDatabase) => {
        for await (const _ of db.stream("select pg_sleep(60)")) assert.fail("a row")
      }
    ]) {
      const gone = new AbortController()
      const db = PG.promise(runtime, { signal: gone.signal }).make(settings)
      const ended = begin(db).then(
        () => "done",
        () => "ended"
      )
      yield* until("it sleeps", sleeping)
      gone.abort()
      assert.strictEqual(yield* Effect.promise(() => ended), "ended")
      yield* until("it sleeps no more", (all) => !sleeping(all))
    }
    assert.deepStrictEqual(yield* witness.query("select * from users"), [])
  }))

test("a handle of Effect's becomes one of promises on the same pool", ({ pg, runtime, settings }) =>
  Effect.promise(async () => {
    const pgdb = PG.make(settings)
    const users = pg(pgdb.table("users", Schema.Struct({ id: Schema.Int, name: Schema.String })))
    expectTypeOf(users).toEqualTypeOf<PG.PromiseDecodedTable<User>>()
    await users.insert(ada)
    assert.deepStrictEqual(await pg(pgdb).table("users").find(), [ada])
    assert.deepStrictEqual(await users.select`select * from ${users}`, [ada])
    assert.strictEqual((await runtime.runPromise(PoolRegistry.stats)).length, 1)
    await pg(pgdb).terminate()
    assert.strictEqual((await runtime.runPromise(PoolRegistry.stats)).length, 0)
    assert.strictEqual(String(pg(pgdb)), String(pgdb))
  }))

it("every operation of a handle has its counterpart, typed alike", () => {
  const pg = PG.promise(ManagedRuntime.make(PG.layer))
  const [pgdb, db] = [PG.make({ database: "app" }), pg.make({ database: "app" })]
  const [table, users] = [pgdb.table<User>("users"), db.table<User>("users")]
  const effectOnly = ["run", "client", "clientWith", "layer", "layerWith"]
  for (const [handle, own] of [
    [pgdb, db],
    [table, users]
  ] as const) {
    const expected: Array<string> = []
    for (const name in handle) if (!effectOnly.includes(name)) expected.push(name)
    assert.deepStrictEqual(Object.keys(own).toSorted(), expected.toSorted())
    for (const name of expected) assert.isDefined(Reflect.get(own, name), name)
  }
  expectTypeOf<PG.PromiseTable<User>["name"]>().toEqualTypeOf<string>()
  expectTypeOf<keyof PG.PromiseDatabase>().toEqualTypeOf<
    Exclude<keyof PG.Database, "run" | "client" | "clientWith" | "layer" | "layerWith">
  >()
  expectTypeOf<keyof PG.PromiseTable<User>>().toEqualTypeOf<Exclude<keyof PG.Table<User>, "run">>()
  expectTypeOf<ReturnType<typeof users.insert>>().toEqualTypeOf<Promise<User>>()
  const selected = () => db.select<User>("select * from users")
  expectTypeOf(selected).returns.toEqualTypeOf<Promise<ReadonlyArray<User>>>()
  expectTypeOf(db.terminate).toEqualTypeOf<() => Promise<void>>()
  expectTypeOf(users.count).toEqualTypeOf<(filter?: PG.Filter<User>) => Promise<number>>()
  // @ts-expect-error there is no such column
  void (() => users.find({ nmae: "Ada" }))
  const big = () => pg(pgdb.table("t", Schema.Struct({ n: Schema.BigInt }))).select`select 1 as n`
  expectTypeOf(big).returns.resolves.toEqualTypeOf<ReadonlyArray<{ readonly n: bigint }>>()
})
