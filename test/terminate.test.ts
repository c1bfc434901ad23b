/**
 * `terminate` ends the pool of a key, no matter which handle opened it: what is under way finishes, what takes too long is cancelled,
 * and the next call opens a new pool.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { PG, PoolRegistry } from "effect-global-pool"
import { database, eventually, type TestDatabase } from "./support/database.ts"
import { withDatabase } from "./support/handle.ts"

const slow = "select pg_sleep(60)"
const waiting = "select pg_advisory_xact_lock(7)"

/** A statement that runs for as long as the witness holds a lock. */
const statementUnderWay = Effect.fnUntraced(function* (given: TestDatabase, pgdb: PG.Database) {
  yield* given.witness.query("select pg_advisory_lock(7)")
  const fiber = yield* Effect.forkChild(pgdb.execute(waiting))
  yield* given.until("the statement waits for the lock", (sessions) =>
    sessions.some(({ query, waitEvent }) => query === waiting && waitEvent === "advisory")
  )
  return { fiber, finish: given.witness.query("select pg_advisory_unlock(7)") }
})

/** Begins to end a pool: it takes no more calls from then on. */
const begin = Effect.forkChild({ startImmediately: true })

withDatabase("a handle that opened nothing ends the pool of its key", [], (given) =>
  Effect.gen(function* () {
    const { pgdb, sessions, settings } = given
    const [before] = yield* pgdb.select("select pg_backend_pid() as pid")
    yield* PG.make(given.url).terminate
    assert.deepStrictEqual(yield* sessions, [])
    assert.deepStrictEqual(yield* PoolRegistry.stats, [])
    const [after] = yield* pgdb.select("select pg_backend_pid() as pid")
    assert.notDeepEqual(after, before)
    assert.lengthOf(yield* PoolRegistry.stats, 1)
    yield* PG.make({ ...settings, key: "another" }).terminate
    assert.lengthOf(yield* sessions, 1)
  })
)

withDatabase("terminate without an open pool does nothing", [], ({ pgdb }) =>
  Effect.gen(function* () {
    yield* pgdb.terminate
    yield* PG.make({ port: 0 }).terminate
    assert.deepStrictEqual(yield* PoolRegistry.stats, [])
  })
)

withDatabase("a statement under way finishes before its pool ends", [], (given) =>
  Effect.gen(function* () {
    const { finish, fiber } = yield* statementUnderWay(given, given.pgdb)
    const end = yield* begin(given.pgdb.terminate)
    assert.lengthOf(yield* given.sessions, 1)
    yield* finish
    yield* Fiber.join(end)
    assert.deepStrictEqual(yield* given.sessions, [])
    assert.strictEqual((yield* Fiber.join(fiber)).command, "SELECT")
  })
)

withDatabase(
  "callers that wait are served before a pool ends, and a new call gets a new pool meanwhile",
  [],
  (given) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
      const { finish } = yield* statementUnderWay(given, pgdb)
      const inLine = yield* Effect.forkChild(pgdb.selectValue("select pg_backend_pid()"))
      yield* eventually("it stands in line", PoolRegistry.stats, ([pool]) => pool?.waiting === 1)
      const [old] = yield* given.sessions
      const end = yield* begin(pgdb.terminate)
      const [fresh] = yield* pgdb.select<{ pid: number }>("select pg_backend_pid() as pid")
      assert.notStrictEqual(fresh?.pid, old?.pid)
      yield* finish
      assert.deepStrictEqual(yield* Effect.flatMap(Fiber.join(inLine), Effect.fromOption), old?.pid)
      yield* Fiber.join(end)
      assert.deepStrictEqual(
        (yield* given.sessions).map(({ pid }) => pid),
        [fresh?.pid]
      )
    })
)

withDatabase("a transaction under way commits before its pool ends", ["create table t (n int)"], (given) =>
  Effect.gen(function* () {
    const { finish, fiber } = yield* statementUnderWay(given, given.pgdb)
    const work = yield* Effect.forkChild(
      given.pgdb.transaction(
        Effect.andThen(given.pgdb.execute(waiting), given.pgdb.execute("insert into t values (1)"))
      )
    )
    yield* given.until(
      "both wait",
      (sessions) => sessions.filter(({ query }) => query === waiting).length === 2
    )
    const end = yield* begin(given.pgdb.terminate)
    yield* finish
    yield* Fiber.join(end)
    yield* Fiber.join(fiber)
    yield* Fiber.join(work)
    assert.deepStrictEqual(yield* given.witness.query("select n from t"), [{ n: 1 }])
    assert.deepStrictEqual(yield* given.sessions, [])
  })
)

describe("with a clock that stands still", () => {
  for (const [name, grace, end] of [
    ["five seconds", 5_000, (pgdb: PG.Database) => pgdb.terminate],
    ["the time that was asked for", 60_000, (pgdb: PG.Database) => pgdb.terminateWithin("1 minute")]
  ] as const) {
    it.effect(`a statement that outlives ${name} is cancelled`, () =>
      Effect.gen(function* () {
        const given = yield* database()
        const pgdb = PG.make(given.settings)
        const fiber = yield* Effect.forkChild(Effect.exit(pgdb.execute(slow)))
        const atWork = given.until("it is at work", (sessions) =>
          sessions.some(({ query }) => query === slow)
        )
        yield* atWork
        const ending = yield* begin(end(pgdb))
        yield* TestClock.adjust(grace - 1)
        assert.lengthOf(yield* given.sessions, 1)
        yield* TestClock.adjust(1)
        yield* Fiber.join(ending)
        assert.deepStrictEqual(yield* given.sessions, [])
        const exit = yield* Fiber.join(fiber)
        assert.isTrue(Exit.isFailure(exit))
        assert.include(String(exit), "SqlError")
      }).pipe(Effect.provide(PoolRegistry.layer()))
    )
  }
})

withDatabase("terminateWithin(0) ends a stream whose reader sleeps, at once", [], (given) =>
  Effect.gen(function* () {
    const rows = given.pgdb.stream("select repeat('x', 100000) from generate_series(1, 100000)")
    const reading = yield* Effect.forkChild(Stream.runForEach(rows, () => Effect.never))
    yield* given.until("the server waits for the reader", (sessions) =>
      sessions.some(({ waitEvent }) => waitEvent === "ClientWrite")
    )
    const before = performance.now()
    yield* given.pgdb.terminateWithin(0)
    assert.isBelow(performance.now() - before, 1_500)
    assert.deepStrictEqual(yield* given.sessions, [])
    yield* Fiber.interrupt(reading)
  })
)

withDatabase("the error of a stream whose reader was slow says that it was cancelled", [], (given) =>
  Effect.gen(function* () {
    const { pgdb, until } = given
    const query = "select repeat('x', 100000) from generate_series(1, 1000)"
    const slowly = () => Effect.sleep(50)
    const readers = [
      Stream.runForEach(pgdb.stream(query), slowly),
      Stream.runForEach(pgdb.copyTo(`copy (${query}) to stdout`), slowly)
    ]
    for (const reader of readers) {
      const reading = yield* Effect.forkChild(Effect.flip(reader))
      yield* until("the server waits for the reader", (sessions) =>
        sessions.some(({ waitEvent }) => waitEvent === "ClientWrite")
      )
      yield* pgdb.terminateWithin(0)
      assert.include((yield* Fiber.join(reading)).message, "canceling statement")
    }
  })
)

withDatabase("terminateWithin(0) cancels at once, and the error of waiting callers says why", [], (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
    const running = yield* Effect.forkChild(Effect.flip(pgdb.execute(slow)))
    yield* given.until("it is at work", (sessions) => sessions.some(({ query }) => query === slow))
    const inLine = yield* Effect.forkChild(Effect.flip(pgdb.select("select 1")))
    yield* eventually("it stands in line", PoolRegistry.stats, ([pool]) => pool?.waiting === 1)
    yield* pgdb.terminateWithin(0)
    assert.deepStrictEqual(yield* given.sessions, [])
    assert.include((yield* Fiber.join(running)).message, "canceling statement")
    const error = yield* Fiber.join(inLine)
    assert.include(error.message, `The pool "${given.settings.database}"`)
    assert.include(error.message, "was ended while this operation waited")
    assert.deepStrictEqual(yield* pgdb.select("select 1 as one"), [{ one: 1 }])
  })
)

withDatabase(
  "two calls of terminate at once both come back when the server has no connection left",
  [],
  (given) =>
    Effect.gen(function* () {
      const { finish } = yield* statementUnderWay(given, given.pgdb)
      const ends = yield* Effect.forEach([1, 2], () =>
        begin(Effect.andThen(given.pgdb.terminate, given.sessions))
      )
      yield* finish
      assert.deepStrictEqual(yield* Effect.forEach(ends, Fiber.join), [[], []])
    })
)

withDatabase("a second terminate with less grace cuts the first one short", [], (given) =>
  Effect.gen(function* () {
    const { fiber } = yield* statementUnderWay(given, given.pgdb)
    const patient = yield* begin(given.pgdb.terminateWithin("1 hour"))
    yield* given.pgdb.terminateWithin(0)
    assert.deepStrictEqual(yield* given.sessions, [])
    yield* Fiber.join(patient)
    assert.isTrue(Exit.isFailure(yield* Fiber.await(fiber)))
  })
)

withDatabase("twenty calls of terminate at once are no leak of listeners to Node", [], (given) =>
  Effect.gen(function* () {
    yield* given.pgdb.select("select 1")
    const warnings: Array<string> = []
    const note = ({ message }: Error) => warnings.push(message)
    yield* Effect.acquireRelease(
      Effect.sync(() => process.on("warning", note)),
      () => Effect.sync(() => process.off("warning", note))
    )
    yield* Effect.replicateEffect(given.pgdb.terminate, 20, { concurrency: "unbounded", discard: true })
    assert.deepStrictEqual([warnings, yield* given.sessions], [[], []])
  })
)
