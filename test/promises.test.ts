/** `PG.promise`: handles for people outside Effect, whose methods return promises and async iterators. */
import { createReadStream, createWriteStream } from "node:fs"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { assert, expectTypeOf, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { SqlError } from "effect/sql/SqlError"
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

test("calls under way when the runtime is disposed, and those after it, say so in errors of their own", (given) =>
  Effect.promise(async () => {
    const { db, runtime } = given
    const signal = new AbortController().signal
    const outcomesOf = (make: () => PromiseLike<unknown>) =>
      Promise.resolve(make()).then(
        () => "done",
        (error: unknown) =>
          error instanceof PoolError || error instanceof SqlError
            ? [error._tag, error.reason._tag, error.isRetryable, error.message]
            : error
      )
    const read = async (rows: AsyncIterable<unknown>) => {
      for await (const _ of rows);
    }
    await db.select("select 1")
    const underWay = [db, PG.promise(runtime, { signal }).make(given.settings)].flatMap((handle) => [
      outcomesOf(() => handle.execute("select pg_sleep(60)")),
      outcomesOf(() => handle.transaction(() => handle.select("select pg_sleep(60)")))
    ])
    await Effect.runPromise(
      given.until(
        "all run",
        (sessions) => sessions.filter(({ query }) => query.includes("pg_sleep(60)")).length === 4
      )
    )
    await runtime.dispose()
    for (const outcome of await Promise.all(underWay)) {
      assert.deepStrictEqual(outcome, [
        "SqlError",
        "UnknownError",
        false,
        "The runtime of this handle was disposed while the operation waited or ran, which ended it. What it had done by then is not known."
      ])
    }
    for (const after of [
      () => db.select("select 1"),
      () => db.transaction(async () => 1),
      () => read(db.stream("select 1")),
      () => read(db.listen("jobs"))
    ]) {
      assert.deepStrictEqual(await outcomesOf(after), [
        "PoolError",
        "StatementRefused",
        false,
        "The runtime of this handle has been disposed, so nothing was sent. End what uses the handle first."
      ])
    }
  }))

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

test("copyFrom takes a file in whatever form it comes, and copyTo gives its bytes to a loop", (given) =>
  Effect.promise(async () => {
    const { db, users } = given
    const bytes = Buffer.from("1,Ada\n")
    const sources: ReadonlyArray<PG.CopyData> = [
      "1,Ada\n",
      bytes,
      ["1,", bytes.subarray(2)],
      new Set(["1,Ada"]),
      (function* () {
        yield "1,"
        yield "Ada"
      })(),
      (async function* () {
        yield bytes.subarray(0, 3)
        yield "da\n"
      })(),
      Readable.from([bytes]),
      new Blob([bytes]).stream(),
      Stream.make("1,A", "da")
    ]
    for (const data of sources) {
      assert.strictEqual(await users.copyFrom(data), 1)
      let text = ""
      for await (const piece of users.copyTo({ header: true })) text += Buffer.from(piece)
      assert.strictEqual(text, "id,name\n1,Ada\n")
      assert.strictEqual(await users.delete({ id: 1 }), 1)
    }
    assert.strictEqual(await users.copyFrom(["id\tname\n2\tGrace\n"], { format: "text", header: "match" }), 1)
    const copied = db.copyTo(PG.sql`copy (select id + 1, name from users where id = ${2}) to stdout`)
    await db.transaction(async () => {
      await users.insert(ada)
      assert.strictEqual(await db.copyFrom("copy users from stdin", "4\tAlan\n"), 1)
    })
    assert.strictEqual(await db.copyFrom("copy users from stdin", Readable.from(copied)), 1)
    assert.deepStrictEqual((await users.distinct("id")).toSorted(), [1, 2, 3, 4])
    expectTypeOf(users.copyFrom).parameter(0).toEqualTypeOf<PG.CopyData>()
    expectTypeOf(users.copyTo).returns.toEqualTypeOf<AsyncIterable<Uint8Array>>()
    expectTypeOf(db.copyFrom).returns.toEqualTypeOf<Promise<number>>()
    expectTypeOf(db.copyTo).returns.toEqualTypeOf<AsyncIterable<Uint8Array>>()
  }))

test("a copyFrom of a file that is missing rejects, also where its pool is yet to be opened", ({
  pg,
  settings
}) =>
  Effect.promise(async () => {
    const cold = pg.make({ ...settings, key: "cold" }).table<User>("users")
    const missing = createReadStream("/nowhere/users.csv")
    const gone = new Promise<void>((resolve) => missing.on("close", () => resolve()))
    const outcome = await cold.copyFrom(missing).then(String, (error: unknown) => error)
    assert.include(String(outcome), "ENOENT")
    await gone
  }))

test("a copyFrom that fails or is aborted ends its producer and stores nothing; a full disk ends a copyTo", (given) =>
  Effect.gen(function* () {
    const { db, runtime, settings, users } = given
    const failure = (promise: Promise<unknown>) => promise.then(String, (error: unknown) => error)
    let ended = 0
    let more = 0
    const lines = async function* (last: () => string) {
      try {
        for (let id = 1; id <= 3000; id++) yield `${id},name\n`
        yield last()
        for (let id = 3001; ; id++) {
          more++
          yield `${id},name\n`
        }
      } finally {
        ended++
      }
    }
    yield* Effect.promise(async () => {
      const disk = new Error("the disk is gone")
      const broken = lines(() => {
        throw disk
      })
      assert.strictEqual(await failure(users.copyFrom(broken)), disk)
      const bad = await failure(users.copyFrom(lines(() => "secret,name\n")))
      assert.include(String(bad), "line 3001, column id")
      assert.notInclude(String(bad), "secret")
      assert.strictEqual(ended, 2)
      const plain = function* (bad: string) {
        try {
          for (let id = 1; ; id++) yield id === 5 ? bad : `${id},name\n`
        } finally {
          ended++
        }
      }
      assert.include(String(await failure(users.copyFrom(plain("secret,name\n")))), "line 5, column id")
      const thrown = function* (): Generator<string> {
        yield "1,name\n"
        throw disk
      }
      assert.strictEqual(await failure(users.copyFrom(thrown())), disk)
      assert.strictEqual(ended, 3)
      // What a caller without types may pass.
      const wrong: unknown = 5
      const isData = (_: unknown): _ is PG.CopyData => true
      if (isData(wrong)) assert.include(String(await failure(users.copyFrom(wrong))), "neither an iterable")
      const controller = new AbortController()
      const abortable = PG.promise(runtime, { signal: controller.signal }).make(settings).table<User>("users")
      const endless = lines(() => "3000000,name\n")
      const copying = failure(
        abortable.copyFrom(endless, {
          onProgress: ({ bytes }) => {
            if (bytes > 100_000) controller.abort()
          }
        })
      )
      assert.instanceOf(await copying, Error)
      assert.isAbove(more, 0)
      assert.strictEqual(ended, 4)
      for await (const bytes of db.copyTo("copy (select generate_series(1, 10000000)) to stdout")) {
        assert.isAbove(bytes.length, 0)
        break
      }
    })
    yield* Effect.promise(async () => {
      const rows = db.copyTo("copy (select repeat('x', 100) from generate_series(1, 10000000)) to stdout")
      const full = await failure(pipeline(rows, createWriteStream("/dev/full")))
      assert.include(String(full), "ENOSPC")
    })
    assert.deepStrictEqual(yield* names(given), [])
    yield* given.until("nothing runs", (all) => all.every(({ state }) => state === "idle"))
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

test("a signal that has aborted already has nothing sent", ({ settings, pg, runtime, witness }) =>
  Effect.gen(function* () {
    yield* Effect.promise(() => pg.make(settings).select("select 1"))
    const late = PG.promise(runtime, { signal: AbortSignal.abort() }).make(settings)
    let begun = 0
    const refused: ReadonlyArray<() => Promise<unknown>> = [
      () => late.execute("insert into users values (1, 'a')"),
      () => late.trans(["insert into users values (2, 'b')"]),
      () => late.table("users").insertMany([{ id: 3, name: "c" }]),
      () =>
        late.transaction(async () => {
          begun++
        })
    ]
    for (const begin of refused) {
      const outcome = yield* Effect.promise(() =>
        begin().then(
          () => "sent",
          () => "refused"
        )
      )
      assert.strictEqual(outcome, "refused")
    }
    assert.strictEqual(begun, 0)
    assert.deepStrictEqual(yield* witness.query("select * from users"), [])
  }))

test("a stream that is asked for its next row twice at once runs its statement once", ({ db, witness }) =>
  Effect.gen(function* () {
    const rows = db.stream("insert into users select n, 'x' from generate_series(1, 2) n returning id")
    const iterator = rows[Symbol.asyncIterator]()
    const all = yield* Effect.promise(() => Promise.all([iterator.next(), iterator.next(), iterator.next()]))
    assert.deepStrictEqual(
      all.map(({ done, value }) => (done === true ? "end" : value)),
      [{ id: 1 }, { id: 2 }, "end"]
    )
    assert.deepStrictEqual(yield* witness.query("select count(*)::int as n from users"), [{ n: 2 }])
  }))
