/** Callers whose short reads share a connection do not see one another: each has its own rows, its own error, its own end. */
import { assert } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import { PG } from "effect-global-pool"
import { eventually } from "./support/database.ts"
import { type Given, withDatabase } from "./support/handle.ts"
import { lettersOf } from "./support/letters.ts"
import { type Proxy, proxy } from "./support/proxy.ts"

const tables = [
  "create table numbers (n int primary key)",
  "insert into numbers select i from generate_series(0, 99) i",
  "create table calls (n int)",
  `create function noted(n int) returns int language plpgsql as $$ begin
    insert into calls values (n);
    return n;
  end $$`
]

const read = "select 100 / n as quotient from numbers where n = $1"
const ids = Array.from({ length: 20 }, (_, index) => index + 1)

/** The messages that an effect sends, and whether some of them travelled together. */
const sentBy = <A, E, R>(link: Proxy, effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const before = { sent: link.sent().length, roundTrips: link.roundTrips() }
    return Effect.map(effect, (value) => {
      const letters = lettersOf(link.sent().slice(before.sent))
      const count = (letter: string) => letters.split(letter).length - 1
      const sent = { parsed: count("P"), executed: count("E"), syncs: count("S") }
      return [value, sent, link.roundTrips() - before.roundTrips < sent.executed] as const
    })
  })

/** One connection through a proxy, on which these reads have been seen to be short. */
const onOne = Effect.fnUntraced(function* ({ settings }: Given, text = read) {
  const link = yield* proxy(settings)
  const pgdb = PG.make({ ...settings, ...link.address, maxConnections: 1 })
  const all = (params: ReadonlyArray<number>) =>
    Effect.forEach(params, (n) => Effect.result(pgdb.select(text, [n])), { concurrency: "unbounded" })
  yield* Effect.forEach([1, 2, 3], (n) => pgdb.select(text, [n]))
  yield* Effect.repeat(sentBy(link, all(ids)), { until: ([, , areTogether]) => areTogether, times: 20 })
  return { all, link, pgdb }
})

/** Runs reads that wait for a lock of the witness, until its `rollback`: their fibers, and the session that waits. */
const waiting = Effect.fnUntraced(function* <A, E, R>(
  given: Given,
  reads: ReadonlyArray<Effect.Effect<A, E, R>>
) {
  yield* given.witness.query("begin")
  yield* given.witness.query("lock table numbers")
  const fibers = yield* Effect.forEach(reads, (one) => Effect.forkChild(one))
  const [session] = yield* given.until("they wait", (all) =>
    all.some(({ waitEvent }) => waitEvent === "relation")
  )
  return { fibers, session }
})

withDatabase("reads that travel together have each a Sync and rows of their own", tables, (given) =>
  Effect.gen(function* () {
    const { all, link } = yield* onOne(given)
    const [found, sent, areTogether] = yield* sentBy(link, all(ids))
    assert.isTrue(areTogether)
    assert.deepStrictEqual(sent, { parsed: 0, executed: 20, syncs: 20 })
    assert.deepStrictEqual(
      found.map((one) => Result.getOrThrow(one)),
      ids.map((n) => [{ quotient: Math.trunc(100 / n) }])
    )
  })
)

withDatabase(
  "where one of the reads that travel together fails, the others are answered, and it alone has its error",
  tables,
  (given) =>
    Effect.gen(function* () {
      const { all, link } = yield* onOne(given)
      const params = [...ids.slice(0, 10), 0, ...ids.slice(10)]
      const [found, sent] = yield* sentBy(link, all(params))
      // None is sent twice.
      assert.strictEqual(sent.executed, params.length)
      for (const [index, n] of params.entries()) {
        const one = found[index]!
        if (n !== 0) assert.deepStrictEqual(Result.getOrThrow(one), [{ quotient: Math.trunc(100 / n) }])
        else if (Result.isFailure(one) && one.failure._tag === "SqlError") {
          assert.match(one.failure.message, /^division by zero/)
          assert.include(one.failure.message, read)
        } else assert.fail("a division by zero is an error of the server")
      }
      assert.deepStrictEqual(
        (yield* all(ids)).map((one) => Result.isSuccess(one)),
        ids.map(() => true)
      )
    })
)

withDatabase(
  "a function that may do anything has a connection of its own, and is cancelled",
  tables,
  (given) =>
    Effect.gen(function* () {
      const text = "select noted($1::int4) from numbers where n = 1"
      const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
      const call = (n: number) => pgdb.select(text, [n])
      yield* Effect.forEach(ids, call)
      yield* given.witness.query("begin")
      yield* given.witness.query("lock table calls")
      const fibers = yield* Effect.forEach([101, 102, 103], (n) => Effect.forkChild(call(n)))
      yield* given.until("one waits", (all) => all.some(({ waitEvent }) => waitEvent === "relation"))
      yield* Fiber.interrupt(fibers[0]!)
      yield* given.witness.query("rollback")
      yield* Effect.forEach(fibers.slice(1), Fiber.join)
      // Who was interrupted knows that nothing of it is still to come.
      assert.deepStrictEqual(yield* given.witness.query("select n from calls where n > 100 order by n"), [
        { n: 102 },
        { n: 103 }
      ])
    })
)

withDatabase("the time of a transaction is its caller's own", tables, (given) =>
  Effect.gen(function* () {
    const { all, link } = yield* onOne(given, "select current_timestamp as at from numbers where n = $1")
    const [, sent] = yield* sentBy(link, all(ids))
    assert.deepStrictEqual(sent, { parsed: 0, executed: 20, syncs: 20 })
  })
)

withDatabase(
  "in a transaction the error is of the one that failed, and the others are undone",
  tables,
  (given) =>
    Effect.gen(function* () {
      const { pgdb, sessions, witness } = given
      const add = "insert into numbers values ($1)"
      const divide = "update numbers set n = n + 0 * (1 / $1) where n = 50"
      const trans = (added: ReadonlyArray<number>, by: number) =>
        pgdb.trans([
          [divide, [1]],
          ...added.map((n) => [add, [n]] as const),
          [divide, [by]],
          [add, [added[0]! + 1000]]
        ])
      yield* trans([200, 201], 1)
      const before = yield* sessions
      const error = yield* Effect.flip(trans([300, 301, 302], 0))
      assert.match(error.message, /^Statement 5 of 6 failed: division by zero|^division by zero/)
      assert.include(error.message, "5 of 6")
      assert.deepStrictEqual(yield* witness.query("select n from numbers where n >= 200 order by n"), [
        { n: 200 },
        { n: 201 },
        { n: 1200 }
      ])
      yield* trans([400, 401], 1)
      assert.deepStrictEqual(
        (yield* sessions).map(({ pid }) => pid),
        before.map(({ pid }) => pid)
      )
    })
)

withDatabase(
  "a read that is interrupted leaves the others on its connection their answers",
  tables,
  (given) =>
    Effect.gen(function* () {
      const { pgdb } = yield* onOne(given)
      const { fibers } = yield* waiting(
        given,
        ids.map((n) => pgdb.select(read, [n]))
      )
      yield* Effect.forEach([fibers[0]!, fibers[7]!, fibers[19]!], Fiber.interrupt)
      yield* given.witness.query("rollback")
      const exits = yield* Effect.forEach(fibers, Fiber.await)
      assert.deepStrictEqual(
        exits.flatMap((exit, index) => (Exit.isSuccess(exit) ? [] : [index])),
        [0, 7, 19]
      )
      assert.deepStrictEqual(yield* pgdb.select(read, [4]), [{ quotient: 25 }])
    })
)

withDatabase(
  "a read that another session cancels fails, and the others on its connection are answered",
  tables,
  (given) =>
    Effect.gen(function* () {
      const { pgdb } = yield* onOne(given)
      const { fibers, session } = yield* waiting(
        given,
        ids.map((n) => pgdb.select(read, [n]))
      )
      yield* given.witness.query(`select pg_cancel_backend(${session?.pid})`)
      const ended = yield* Fiber.await(fibers[0]!)
      assert.match(Exit.isFailure(ended) ? Cause.pretty(ended.cause) : "", /canceling statement/)
      yield* given.witness.query("rollback")
      const exits = yield* Effect.forEach(fibers, Fiber.await)
      assert.deepStrictEqual(
        exits.flatMap((exit, index) => (Exit.isSuccess(exit) ? [] : [index])),
        [0]
      )
    })
)

withDatabase(
  "a pool that is ended at once cancels all reads that travel together, and sends none again",
  tables,
  (given) =>
    Effect.gen(function* () {
      const { link, pgdb } = yield* onOne(given)
      const { fibers } = yield* waiting(
        given,
        ids.slice(0, 16).map((n) => Effect.flip(pgdb.select(read, [n])))
      )
      const [, sent] = yield* sentBy(link, pgdb.terminateWithin(0))
      assert.strictEqual(sent.executed, 0)
      for (const error of yield* Effect.forEach(fibers, Fiber.join))
        assert.strictEqual(error._tag, "SqlError")
      assert.deepStrictEqual(yield* given.sessions, [])
      yield* given.witness.query("rollback")
    })
)

withDatabase(
  "reads that lose their shared connection are each sent once more on another one",
  tables,
  (given) =>
    Effect.gen(function* () {
      const { link, pgdb } = yield* onOne(given)
      const { fibers } = yield* waiting(
        given,
        ids.map((n) => pgdb.select(read, [n]))
      )
      const before = link.opened()
      yield* link.cut
      yield* eventually("another is opened", Effect.sync(link.opened), (opened) => opened > before)
      yield* given.witness.query("rollback")
      assert.deepStrictEqual(
        yield* Effect.forEach(fibers, Fiber.join),
        ids.map((n) => [{ quotient: Math.trunc(100 / n) }])
      )
    })
)

withDatabase("reads on a session that the server ends go on, and each is answered", tables, (given) =>
  Effect.gen(function* () {
    const { pgdb } = yield* onOne(given)
    const { fibers, session } = yield* waiting(
      given,
      ids.map((n) => pgdb.select(read, [n]))
    )
    yield* given.witness.query(`select pg_terminate_backend(${session?.pid})`)
    yield* given.until("they wait in another session", (all) =>
      all.some(({ pid, waitEvent }) => waitEvent === "relation" && pid !== session?.pid)
    )
    yield* given.witness.query("rollback")
    assert.deepStrictEqual(
      yield* Effect.forEach(fibers, Fiber.join),
      ids.map((n) => [{ quotient: Math.trunc(100 / n) }])
    )
  })
)
