/** Bad links: what callers see, how soon, and that nothing is lost, doubled or left behind. */
import { once } from "node:events"
import * as Net from "node:net"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import type { PG, PoolRegistry } from "effect-global-pool"
import * as Link from "../src/protocol/Link.ts"
import { type Given, together, withDatabase } from "./support/handle.ts"
import { atRest, blocked, linked, reasonOf, slowCommit } from "./support/link.ts"

type Write = (pgdb: PG.Database, n: number) => Effect.Effect<unknown, PG.OperationError, PoolRegistry>

const range = (count: number) => Array.from({ length: count }, (_, index) => index)

const table = [
  "create table t as select n, repeat('x', n) as x from generate_series(1, 3) n",
  "create table audit (n int)"
]

const rows = [
  { n: 1, x: "x" },
  { n: 2, x: "xx" },
  { n: 3, x: "xxx" }
]

const read = (pgdb: PG.Database) => pgdb.select("select n, x from t order by n")
const insert: Write = (pgdb, n) => pgdb.execute("insert into audit values ($1)", [n])
const transaction: Write = (pgdb, n) =>
  pgdb.transaction(
    Effect.andThen(insert(pgdb, n), pgdb.select("select count(*) from audit where n = $1", [n]))
  )

const trans: Write = (pgdb, n) => pgdb.trans([["insert into audit values ($1)", [n]], "select 1"])

const writes = { insert, transaction, trans }

/** How an effect ended, and how many milliseconds it took. */
const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const begin = performance.now()
    return Effect.map(Effect.result(Effect.timeout(effect, "10 seconds")), (result) => ({
      result,
      took: performance.now() - begin
    }))
  })

/** How often the server has each of them. */
const stored = ({ witness }: Given) =>
  Effect.map(
    witness.query("select n, count(*)::int as count from audit group by 1"),
    (rows) => new Map(rows.map(({ count, n }) => [Number(n), Number(count)]))
  )

/** Whether the server has what the outcome of a write says. */
const agrees = (result: Effect.Success<ReturnType<typeof timed>>["result"], count: number): boolean => {
  if (result._tag === "Success") return count === 1
  const error = result.failure as PG.OperationError
  if (error.isRetryable) return count === 0
  return count <= 1 && /is not known|is unknown/.test(error.message)
}

describe("a link that is cut at every byte of an answer", () => {
  withDatabase("gives right rows to a read", table, (given) =>
    Effect.gen(function* () {
      const link = yield* linked(given, { maxConnections: 1 })
      const { pgdb, proxy } = link
      yield* read(pgdb)
      const before = proxy.bytes().toClient
      yield* read(pgdb)
      const length = proxy.bytes().toClient - before
      assert.isAbove(length, 50)
      for (const at of range(length + 1)) {
        yield* read(pgdb)
        const opened = proxy.opened()
        yield* proxy.cutAfter(at)
        assert.deepStrictEqual(yield* read(pgdb), rows)
        assert.strictEqual(proxy.opened(), at < length ? opened + 1 : opened)
      }
      yield* atRest(given)
    })
  )

  withDatabase("gives all rows of a stream, or an error", table, (given) =>
    Effect.gen(function* () {
      const { pgdb, proxy } = yield* linked(given, { maxConnections: 1 })
      const stream = Stream.runCollect(pgdb.stream("select n, x from t order by n"))
      let failures = 0
      let at = 0
      for (; failures === at; at++) {
        yield* stream
        yield* proxy.cutAfter(at)
        const { result } = yield* timed(stream)
        if (result._tag === "Success") assert.deepStrictEqual(result.success, rows)
        else {
          failures++
          assert.strictEqual(reasonOf(result.failure), "ConnectionError")
        }
      }
      assert.isAbove(failures, 50)
      yield* atRest(given)
    })
  )

  for (const [name, write] of Object.entries(writes)) {
    withDatabase(`has each ${name} once or not at all, as its outcome says`, table, (given) =>
      Effect.gen(function* () {
        const { pgdb, proxy } = yield* linked(given, { maxConnections: 1 })
        yield* write(pgdb, -1)
        const before = proxy.bytes().toClient
        yield* write(pgdb, -2)
        const length = proxy.bytes().toClient - before
        const outcomes = new Map<number, string>()
        const results = yield* Effect.forEach(range(length + 1), (at) =>
          Effect.gen(function* () {
            yield* write(pgdb, -3 - at)
            yield* proxy.cutAfter(at)
            const { result } = yield* timed(write(pgdb, at))
            return result
          })
        )
        const counts = yield* stored(given)
        results.forEach((result, at) => {
          const told = result._tag === "Success" ? "done" : result.failure.message
          assert.isTrue(agrees(result, counts.get(at) ?? 0), `at ${at}, ${counts.get(at)} times: ${told}`)
          outcomes.set(at, told)
        })
        assert.strictEqual(outcomes.get(length), "done")
        assert.notStrictEqual(outcomes.get(0), "done")
        yield* atRest(given)
      })
    )
  }
})

describe("a link that", () => {
  const times = { statementTimeout: "300 millis", answerTimeout: "200 millis" } as const
  const uses: Readonly<Record<string, Write>> = {
    read,
    stream: (pgdb) => Stream.runCollect(pgdb.stream("select n, x from t order by n")),
    ...writes
  }

  for (const [what, limit] of [
    ["swallows", 1_500],
    ["resets", 500]
  ] as const) {
    withDatabase(
      `${what} what is under way is noticed in time: reads succeed elsewhere, the rest fails as it should`,
      table,
      (given) =>
        Effect.gen(function* () {
          const { pgdb, proxy } = yield* linked(given, { ...times, maxConnections: 2 })
          const results = yield* Effect.forEach(Object.entries(uses), ([name, use], n) =>
            Effect.gen(function* () {
              yield* pgdb.select("select 1")
              yield* given.witness.query("begin")
              yield* given.witness.query("lock table t, audit")
              const fiber = yield* Effect.forkChild(timed(use(pgdb, n)))
              yield* blocked(given)
              yield* what === "swallows" ? proxy.freeze : proxy.reset
              yield* given.witness.query("commit")
              const { result, took } = yield* Fiber.join(fiber)
              assert.isBelow(took, limit, name)
              return { name, result }
            })
          )
          yield* atRest(given)
          const counts = yield* stored(given)
          results.forEach(({ name, result }, n) => {
            if (name === "read") assert.deepStrictEqual(result._tag === "Success" && result.success, rows)
            else if (result._tag === "Success") assert.fail(`${name} succeeded`)
            else {
              assert.strictEqual(reasonOf(result.failure), "ConnectionError")
              if (name !== "stream") assert.isTrue(agrees(result, counts.get(n) ?? 0), name)
            }
          })
        })
    )
  }

  withDatabase(
    "goes silent in a transaction, during COMMIT or in a stream is given up, and the error says what is known",
    [...table, ...slowCommit.slice(1).map((text) => text.replace("insert on t", "insert on audit"))],
    (given) =>
      Effect.gen(function* () {
        const { pgdb, proxy } = yield* linked(given, times)
        const inTime = <A, R>(call: Effect.Effect<A, PG.OperationError, R>) =>
          Effect.gen(function* () {
            const { result, took } = yield* timed(Effect.flip(call))
            assert.isBelow(took, 2_000)
            const error = result._tag === "Success" ? result.success : assert.fail(String(result.failure))
            assert.strictEqual(reasonOf(error), "ConnectionError")
            return error
          })
        const between = pgdb.transaction(
          Effect.andThen(Effect.andThen(read(pgdb), proxy.freeze), insert(pgdb, 1))
        )
        const undone = yield* inTime(between)
        assert.isTrue(undone.isRetryable)
        assert.include(undone.message, "nothing of it took effect")

        yield* given.witness.query("select pg_advisory_lock(1)")
        const committing = yield* Effect.forkChild(inTime(pgdb.transaction(insert(pgdb, 2))))
        yield* blocked(given)
        yield* proxy.freeze
        yield* given.witness.query("select pg_advisory_unlock(1)")
        const unknown = yield* Fiber.join(committing)
        assert.isFalse(unknown.isRetryable)
        assert.include(unknown.message, "during COMMIT, so it is unknown whether the transaction took effect")
        // And it did.
        assert.deepStrictEqual([...(yield* stored(given))], [[2, 1]])

        let seen = 0
        const many = pgdb.stream("select repeat('x', 1000) as x from generate_series(1, 100000)")
        const lost = yield* inTime(Stream.runForEach(many, () => (seen++ === 0 ? proxy.freeze : Effect.void)))
        assert.isBelow(seen, 100_000)
        assert.include(lost.message, "lost while the statement was under way")
        // What lies between tells the server nothing either, until it goes.
        yield* proxy.cut
        yield* atRest(given)
      })
  )

  withDatabase("delays by 200 ms and varies by 100: all is right, and limits hold", table, (given) =>
    Effect.gen(function* () {
      const { pgdb, proxy } = yield* linked(given, { maxConnections: 4, answerTimeout: "2 seconds" })
      yield* together(pgdb, 4)
      yield* proxy.delay("200 millis", "100 millis")
      const { took } = yield* timed(Effect.timeoutOption(pgdb.select("select pg_sleep(1)"), "50 millis"))
      // The answer takes over a second.
      assert.isBelow(took, 900)
      const values = Effect.forEach(
        range(40),
        (n) =>
          Effect.timeoutOption(pgdb.select("select $1::int as n", [n]), n % 4 === 0 ? 250 : "10 seconds"),
        { concurrency: "unbounded" }
      )
      const reads = Effect.all(
        [read(pgdb), Stream.runCollect(pgdb.stream("select n, x from t order by n"))],
        {
          concurrency: 2
        }
      )
      const made = Effect.forEach(Object.values(writes), (write, n) => write(pgdb, n), { concurrency: 3 })
      const [found, seen] = yield* Effect.all([values, reads, made], { concurrency: 3 })
      found.forEach((value, n) => {
        if (value._tag === "Some") assert.deepStrictEqual(value.value, [{ n }])
        else assert.strictEqual(n % 4, 0)
      })
      assert.deepStrictEqual(seen, [rows, rows])
      assert.deepStrictEqual([...(yield* stored(given)).values()], [1, 1, 1])
      yield* proxy.delay(0)
      yield* atRest(given)
    })
  )

  withDatabase("is slower than the server is not taken for one that is silent", table, (given) =>
    Effect.gen(function* () {
      const { pgdb, proxy } = yield* linked(given, {
        statementTimeout: "100 millis",
        answerTimeout: "100 millis"
      })
      yield* pgdb.select("select 1")
      yield* proxy.throttle(40_000)
      const text = "select n, repeat('y', 1000) as y from generate_series(1, 20) n"
      const whole = range(20).map((n) => ({ n: n + 1, y: "y".repeat(1_000) }))
      for (const use of [
        pgdb.select(text),
        Stream.runCollect(pgdb.stream(text)),
        pgdb.transaction(pgdb.select(text))
      ]) {
        const { result, took } = yield* timed(use)
        assert.deepStrictEqual(result._tag === "Success" && result.success, whole)
        assert.isAbove(took, 400)
      }
      assert.strictEqual(proxy.opened(), 1)
      yield* atRest(given)
    })
  )
})

it.live("the link of a session that was ended is cut off in the end, though its server goes on sending", () =>
  Effect.promise(async () => {
    let sent = 0
    const server = Net.createServer({ allowHalfOpen: true }, (socket) => {
      const timer = setInterval(() => socket.write(String(sent++)), 10)
      socket.on("error", () => undefined).on("close", () => clearInterval(timer))
    }).listen(0, "127.0.0.1")
    await once(server, "listening")
    const address = server.address()
    const socket = Net.connect({ port: typeof address === "object" ? (address?.port ?? 0) : 0 })
    socket.resume().end()
    await once(socket, "connect")
    await Effect.runPromise(Link.gone(socket, 300))
    assert.isTrue(socket.destroyed)
    assert.isAbove(sent, 5)
    server.close()
  })
)
