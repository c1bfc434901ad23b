/** Signals of `PG.promise`: what becomes of rows, transactions and errors when one aborts, and what is left of it. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import type * as Scope from "effect/Scope"
import { PG, type PoolError, PoolRegistry } from "effect-global-pool"
import { database, eventually, type TestDatabase } from "./support/database.ts"

interface Given extends TestDatabase {
  /** Handles of one connection, with a signal. */
  readonly abortable: (signal?: AbortSignal) => PG.PromiseDatabase
  readonly stats: Effect.Effect<ReadonlyArray<{ readonly inUse: number }>, PoolError>
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
      const settings = { ...given.settings, maxConnections: 1, acquireTimeout: "5 seconds" } as const
      yield* body({
        ...given,
        abortable: (signal) => PG.promise(runtime, { signal }).make(settings),
        stats: Effect.promise(() => runtime.runPromise(PoolRegistry.stats))
      })
    })
  )

const endless = "select generate_series(1, 1000000000) as n, repeat('x', 1000) as x"

const outcomeOf = (promise: PromiseLike<unknown>): PromiseLike<unknown> =>
  promise.then(
    () => "done",
    (error: unknown) => error
  )

/** Waits for one of a loop's rounds for ever, as for a client that has gone. */
const never = new Promise<never>(() => undefined)

test("a stream whose signal has aborted already does not run", ({ abortable, witness }) =>
  Effect.gen(function* () {
    const db = abortable(AbortSignal.abort("gone"))
    yield* Effect.promise(async () => {
      await abortable().select("select 1")
      for (let n = 0; n < 20; n++) {
        const loop = async () => {
          for await (const _ of db.stream("insert into users values ($1, 'late') returning id", [n])) n++
        }
        assert.strictEqual(await outcomeOf(loop()), "gone")
      }
    })
    assert.deepStrictEqual(yield* witness.query("select * from users"), [])
  }))

for (const [where, loops] of [
  ["alone", (_: PG.PromiseDatabase, loop: () => Promise<void>) => loop()],
  ["in a transaction", (db: PG.PromiseDatabase, loop: () => Promise<void>) => db.transaction(loop)]
] as const) {
  test(`an abort ends rows while nobody asks for the next, ${where}`, ({ abortable, stats, until }) =>
    Effect.gen(function* () {
      const gone = new AbortController()
      const db = abortable(gone.signal)
      let rounds = 0
      const loop = async () => {
        for await (const _ of db.stream(endless)) {
          rounds++
          await never
        }
      }
      outcomeOf(loops(db, loop))
      yield* until("rows have come", () => rounds === 1)
      gone.abort()
      yield* until("nothing runs", (all) => all.every(({ state }) => state === "idle"))
      yield* eventually("the connection is free", stats, ([pool]) => pool?.inUse === 0)
      yield* Effect.promise(() => abortable().select("select 1"))
    }))
}

test("an abort ends rows that are waited for, and every call rejects with the signal's reason", (given) =>
  Effect.gen(function* () {
    const { abortable, until } = given
    const sleep = "select pg_sleep(60)"
    const calls: Readonly<Record<string, (db: PG.PromiseDatabase) => Promise<unknown>>> = {
      select: (db) => db.select(sleep),
      transaction: (db) => db.transaction(() => db.select(sleep)),
      stream: async (db) => {
        for await (const _ of db.stream(sleep)) assert.fail("a row")
      },
      "stream in a transaction": (db) =>
        db.transaction(async () => {
          for await (const _ of db.stream(sleep)) assert.fail("a row")
        })
    }
    for (const [name, call] of Object.entries(calls)) {
      const gone = new AbortController()
      const outcome = outcomeOf(call(abortable(gone.signal)))
      yield* until("it sleeps", (all) => all.some(({ waitEvent }) => waitEvent === "PgSleep"))
      const reason = new Error("the client has gone")
      gone.abort(reason)
      assert.strictEqual(yield* Effect.promise(() => outcome), reason, name)
      yield* until("nothing runs", (all) => all.every(({ state }) => state === "idle"))
      const late = outcomeOf(call(abortable(gone.signal)))
      assert.strictEqual(yield* Effect.promise(() => late), reason, `${name}, late`)
    }
  }))

test("an error of the server is the error, though the signal aborts later", ({ abortable }) =>
  Effect.promise(async () => {
    const gone = new AbortController()
    const error = await outcomeOf(abortable(gone.signal).select("select 1 / 0"))
    gone.abort()
    assert.include(String(error), "division by zero")
  }))

test("in a transaction the error of a late piece is the error, behind the rows before it", ({ abortable }) =>
  Effect.promise(async () => {
    const db = abortable()
    const seen: Array<number> = []
    const error = await outcomeOf(
      db.transaction(async () => {
        const rows = db.stream<{ n: number }>(
          "select n, 1 / (n - 50) as q from generate_series(1, 100000) as n"
        )
        for await (const { n } of rows) {
          seen.push(n)
          await db.select("select 1")
        }
      })
    )
    assert.include(String(error), "division by zero")
    assert.deepStrictEqual(
      seen,
      Array.from({ length: seen.length }, (_, index) => index + 1)
    )
    assert.isAbove(seen.length, 1)
  }))

test("a signal has one listener, however many calls it is for, and none after them", ({ abortable }) =>
  Effect.promise(async () => {
    const { signal } = new AbortController()
    let [listeners, most] = [0, 0]
    const add = signal.addEventListener.bind(signal)
    const remove = signal.removeEventListener.bind(signal)
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      most = Math.max(most, ++listeners)
      add(...args)
    }
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners--
      remove(...args)
    }
    const db = abortable(signal)
    const warnings: Array<Error> = []
    const onWarning = (warning: Error) => warnings.push(warning)
    process.on("warning", onWarning)
    await Promise.all(Array.from({ length: 50 }, () => db.select("select 1")))
    await db.transaction(() => Promise.all(Array.from({ length: 50 }, () => db.select("select 1"))))
    for (let n = 0; n < 20; n++) for await (const _ of db.stream("select 1"));
    await new Promise((resolve) => setImmediate(resolve))
    process.off("warning", onWarning)
    assert.deepStrictEqual([listeners, most], [0, 1])
    assert.deepStrictEqual(warnings, [])
  }))
