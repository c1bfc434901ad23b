/** Staying connected: idle connections that ended, links that go silent, servers that refuse, and a process that stood still. */
import { spawnSync } from "node:child_process"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as TestClock from "effect/testing/TestClock"
import { PG, PoolRegistry } from "effect-global-pool"
import { pauseOf } from "../src/pool/Connect.ts"
import { database, eventually, type Session } from "./support/database.ts"
import { type Given, together, withDatabase } from "./support/handle.ts"
import { liar, welcome } from "./support/liar.ts"
import { linked } from "./support/link.ts"
import { hasPgbouncer, pgbouncer } from "./support/pgbouncer.ts"
import { root } from "./support/process.ts"
import { proxy } from "./support/proxy.ts"

type Call = Effect.Effect<unknown, PG.OperationError, PoolRegistry>

const range = (count: number) => Array.from({ length: count }, (_, index) => index)

const failures = <A, E>(exits: ReadonlyArray<Exit.Exit<A, E>>) => exits.filter(Exit.isFailure)

const endAll = `select pg_terminate_backend(pid, 5000) from pg_stat_activity
  where datname = current_database() and application_name = 'effect-global-pool'`

/** Long enough without use that a connection is asked before it is lent: there is no event that tells. */
const idleLongEnough = Effect.sleep("1100 millis")

describe("connections that the server has ended", () => {
  withDatabase("at random under reads: none of a thousand fails", [], (given) =>
    Effect.gen(function* () {
      const { pgdb, witness } = given
      const done = yield* Deferred.make<void>()
      const killer = yield* Effect.forkChild(
        Effect.whileLoop({
          while: () => !Deferred.isDoneUnsafe(done),
          body: () =>
            Effect.andThen(
              witness.query(
                `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()
                 and application_name = 'effect-global-pool' and state = 'idle' order by random() limit 1`
              ),
              Effect.sleep("8 millis")
            ),
          step: () => undefined
        })
      )
      const exits = yield* Effect.forEach(
        range(1_000),
        (n) => Effect.exit(Effect.andThen(Effect.sleep(n % 5), pgdb.selectValue("select $1::int as n", [n]))),
        { concurrency: 8 }
      )
      yield* Deferred.succeed(done, undefined)
      yield* Fiber.join(killer)
      assert.deepStrictEqual(failures(exits), [])
      const values = exits.map((exit) =>
        Exit.isSuccess(exit) ? Option.getOrUndefined(exit.value) : undefined
      )
      assert.deepStrictEqual(values, range(1_000))
    })
  )

  withDatabase(
    "before this process has read of it: the next 100 calls succeed, each once",
    ["create table t (n int)"],
    (given) =>
      Effect.gen(function* () {
        const { pgdb, settings } = given
        yield* together(pgdb, 10)
        // The event loop stands still while another process ends them: as after SIGSTOP, nothing is known of it.
        const url = `postgres://${settings.username}:${settings.password}@${settings.host}:${settings.port}/${settings.database}`
        const program = `import pg from "pg"
        const client = new pg.Client({ connectionString: process.env.URL })
        await client.connect()
        await client.query(${JSON.stringify(endAll)})
        await client.end()`
        const ended = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
          cwd: root,
          env: { ...process.env, URL: url }
        })
        assert.strictEqual(ended.status, 0, String(ended.stderr))
        const exits = yield* Effect.forEach(
          range(100),
          (n) =>
            Effect.exit<unknown, PG.OperationError, PoolRegistry>(
              n % 2 === 0 ? pgdb.select("select 1") : pgdb.execute("insert into t values ($1)", [n])
            ),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(failures(exits), [])
        assert.deepStrictEqual(
          yield* given.witness.query("select count(*)::int as n, count(distinct n)::int as d from t"),
          [{ n: 50, d: 50 }]
        )
      })
  )
})

describe("a link that goes silent", () => {
  const silent = (given: Given, options: Partial<PG.Settings> = {}) =>
    Effect.map(proxy(given.settings), (between) => ({
      between,
      pgdb: PG.make({ ...given.settings, ...between.address, answerTimeout: "300 millis", ...options })
    }))

  withDatabase(
    "while its connection is idle: writes and reads go to another, each once",
    ["create table t (n int)"],
    (given) =>
      Effect.gen(function* () {
        const { between, pgdb } = yield* silent(given)
        const uses: ReadonlyArray<Call> = [
          pgdb.execute("insert into t values (1)"),
          pgdb.select("select n from t"),
          pgdb.transaction(pgdb.execute("insert into t values (1)")),
          pgdb.trans(["insert into t values (1)"])
        ]
        for (const use of uses) {
          yield* together(pgdb, 3)
          yield* idleLongEnough
          yield* between.freeze
          const opened = between.opened()
          yield* Effect.timeout(use, "5 seconds")
          assert.isAbove(between.opened(), opened)
        }
        assert.deepStrictEqual(yield* given.witness.query("select count(*)::int as n from t"), [{ n: 3 }])
      })
  )

  withDatabase(
    "and came back is asked in the same write as a read, and before a write",
    ["create table t (n int)"],
    (given) =>
      Effect.gen(function* () {
        const between = yield* proxy(given.settings)
        const pgdb = PG.make({ ...given.settings, ...between.address })
        const costs = (use: Effect.Effect<unknown, unknown, PoolRegistry>) =>
          Effect.gen(function* () {
            yield* use
            yield* idleLongEnough
            const before = between.roundTrips()
            yield* use
            return between.roundTrips() - before
          })
        assert.strictEqual(yield* costs(pgdb.select("select n from t")), 1)
        assert.strictEqual(yield* costs(pgdb.execute("insert into t values (1)")), 2)
        assert.strictEqual(between.opened(), 1)
      })
  )

  withDatabase(
    "under a statement is given up by statementTimeout and answerTimeout",
    ["create table t (n int)"],
    (given) =>
      Effect.gen(function* () {
        const { between, pgdb } = yield* silent(given, { statementTimeout: "300 millis", maxConnections: 1 })
        yield* pgdb.select("select n from t")
        const writes: ReadonlyArray<Call> = [
          pgdb.execute("insert into t select 1 from pg_sleep(0.1)"),
          pgdb.trans(["select 1", "insert into t select 1 from pg_sleep(0.1)"]),
          pgdb.transaction(pgdb.execute("insert into t select 1 from pg_sleep(0.1)"))
        ]
        for (const write of writes) {
          const fiber = yield* Effect.forkChild(Effect.flip(write))
          yield* given.until("it is at work", (sessions) => sessions.some(({ state }) => state === "active"))
          yield* between.freeze
          const begin = performance.now()
          const error = yield* Effect.timeout(Fiber.join(fiber), "5 seconds")
          assert.isBelow(performance.now() - begin, 3_000)
          // Before COMMIT was sent nothing can have taken effect.
          const isUndone = error.message.includes("nothing of it took effect")
          assert.strictEqual(error.isRetryable, isUndone, error.message)
          assert.strictEqual(isUndone, write === writes[2])
          assert.match(error.message, /ETIMEDOUT|did not answer/)
          // The pool is whole again.
          yield* pgdb.select("select n from t")
        }
      })
  )
})

withDatabase("a server that goes silent under a reset is given up, and its place is free", [], (given) =>
  Effect.gen(function* () {
    const { pgdb, proxy } = yield* linked(given, { maxConnections: 1, answerTimeout: "300 millis" })
    const client = yield* pgdb.client
    const set = Effect.flatMap(client.reserve, (connection) =>
      connection.executeRaw("set work_mem = '5MB'", [])
    )
    yield* Effect.scoped(Effect.andThen(set, proxy.freeze))
    const show = Effect.timeout(pgdb.selectValue("show work_mem"), "5 seconds")
    assert.notStrictEqual(Option.getOrThrow(yield* show), "5MB")
  })
)

describe("a session that is given up under a statement", () => {
  const limits = { statementTimeout: "200 millis", answerTimeout: "300 millis" } as const

  /** A transaction whose statement holds a lock and runs longer than the pool's setting allows, by a setting of its own. */
  const holds = (pgdb: PG.Database) =>
    pgdb.transaction(
      Effect.gen(function* () {
        yield* pgdb.execute("set local statement_timeout = '1h'")
        yield* pgdb.execute("lock table t")
        return yield* pgdb.execute("select pg_sleep(60)")
      })
    )

  /** The caller hears of it in time; soon after that nothing of its work is left on the server, and the pool is whole. */
  const isOver = (given: Given, pgdb: PG.Database, meanwhile: Effect.Effect<unknown> = Effect.void) =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.flip(holds(pgdb)))
      const isAtWork = ({ query, state }: Session) => state === "active" && query.includes("pg_sleep")
      yield* given.until("it is at work", (sessions) => sessions.some(isAtWork))
      yield* meanwhile
      const error = yield* Effect.timeout(Fiber.join(fiber), "3 seconds")
      assert.match(error.message, /ETIMEDOUT|did not answer/)
      yield* given.until("it is over", (sessions) => !sessions.some(isAtWork))
      yield* given.witness.query("insert into t values (1)")
      assert.deepStrictEqual(yield* pgdb.select("select n from t"), [{ n: 1 }])
    })

  withDatabase("which set a longer limit for itself: it is cancelled", ["create table t (n int)"], (given) =>
    isOver(given, PG.make({ ...given.settings, ...limits, maxConnections: 1 }))
  )

  withDatabase("over a link that went silent: it is cancelled", ["create table t (n int)"], (given) =>
    Effect.gen(function* () {
      const { pgdb, proxy } = yield* linked(given, { ...limits, maxConnections: 1 })
      yield* isOver(given, pgdb, proxy.freeze)
    })
  )

  if (hasPgbouncer) {
    withDatabase("behind PgBouncer: it is cancelled", ["create table t (n int)"], (given) =>
      Effect.gen(function* () {
        const { settings } = yield* pgbouncer(given.settings, "transaction", {
          ignore_startup_parameters: "statement_timeout"
        })
        yield* isOver(given, PG.make({ ...settings, ...limits, prepare: false, maxConnections: 1 }))
      })
    )
  }

  withDatabase("by a server that takes no cancel: neither caller nor pool waits for that", [], () =>
    Effect.gen(function* () {
      const silent = yield* liar((turn, heard) =>
        turn === 0 && heard.length > 16 ? welcome : Buffer.alloc(0)
      )
      const pgdb = PG.make({ ...silent.address, username: "u", database: "d", ...limits })
      const [time, error] = yield* Effect.timed(
        Effect.flip(pgdb.execute("insert into t values (1)")).pipe(Effect.provide(PoolRegistry.layer()))
      )
      assert.match(error.message, /ETIMEDOUT|did not answer/)
      // The limit, a look at it, and half a second for the end of a pool without grace.
      assert.isBelow(Duration.toMillis(time), 500 * 1.25 + 500 + 250)
      assert.strictEqual(silent.heard().split("\u0004\u00d2\u0016\u002e").length, 2, "one cancel request")
      yield* eventually("no socket is left", Effect.sync(silent.open), (open) => open === 0, "250 millis")
    })
  )
})

describe("a server that refuses", () => {
  withDatabase(
    "one more than its limit: those that are open serve all, and a caller that waits too long gets the reason",
    [],
    (given) =>
      Effect.gen(function* () {
        const { settings, witness } = given
        const name = settings.database
        yield* Effect.acquireRelease(
          witness.query(`create role "${name}" login password 'few' connection limit 2`),
          () => Effect.ignore(witness.query(`drop role "${name}"`))
        )
        const few = { ...settings, username: name, password: "few" }
        const pgdb = PG.make({ ...few, acquireTimeout: "10 seconds" })
        const exits = yield* Effect.forEach(
          range(40),
          () => Effect.exit(pgdb.transaction(pgdb.select("select pg_sleep(0.01)"))),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(failures(exits), [])
        const [pool] = yield* PoolRegistry.stats
        assert.strictEqual(pool?.open, 2)
        yield* pgdb.terminate

        const between = yield* proxy(settings)
        const short = PG.make({ ...few, ...between.address, acquireTimeout: "500 millis", key: "short" })
        const error = yield* Effect.flip(together(short, 3))
        assert.strictEqual(error.reason._tag, "AcquireTimeout")
        assert.include(error.message, "Opening one more failed: too many connections for role")
        assert.include(error.message, "raise max_connections of the server")
        // Two that are open, and failed attempts with pauses between them.
        assert.isAtLeast(between.opened(), 4)
        assert.isAtMost(between.opened(), 10)
        yield* short.terminate
      }).pipe(Effect.scoped)
  )

  withDatabase(
    "one more for good: those that are open go on, and a caller that waits for connectTimeout gets the reason",
    [],
    ({ settings, witness }) =>
      Effect.gen(function* () {
        const name = settings.database
        yield* Effect.acquireRelease(witness.query(`create role "${name}" login password 'right'`), () =>
          Effect.ignore(witness.query(`drop role "${name}"`))
        )
        const ways: ReadonlyArray<readonly [refuse: string, accept: string, says: string]> = [
          [
            `role "${name}" password 'other'`,
            `role "${name}" password 'right'`,
            "password authentication failed"
          ],
          [`role "${name}" nologin`, `role "${name}" login`, "is not permitted to log in"],
          [
            `role "${name}" rename to "${name}_x"`,
            `role "${name}_x" rename to "${name}"`,
            "authentication failed"
          ]
        ]
        const pgdb = PG.make({ ...settings, username: name, password: "right", connectTimeout: "300 millis" })
        for (const [refuse, accept, says] of ways) {
          const held = yield* Deferred.make<void>()
          const over = yield* Deferred.make<void>()
          const hold = Effect.andThen(Deferred.succeed(held, undefined), Deferred.await(over))
          const holder = yield* Effect.forkChild(
            pgdb.transaction(Effect.andThen(pgdb.select("select 1"), hold))
          )
          yield* Deferred.await(held)
          yield* witness.query(`alter ${refuse}`)
          const begin = performance.now()
          const error = yield* Effect.flip(Effect.timeout(pgdb.select("select 2"), "5 seconds"))
          assert.strictEqual(error._tag, "SqlError")
          assert.include(error.message, says)
          assert.isAtLeast(performance.now() - begin, 290)
          assert.isBelow(performance.now() - begin, 2_000)
          yield* Deferred.succeed(over, undefined)
          yield* Fiber.join(holder)
          // Later callers are served by the connection that is there, and then by others.
          assert.deepStrictEqual(yield* pgdb.select("select 3 as n"), [{ n: 3 }])
          yield* witness.query(`alter ${accept}`)
          yield* together(pgdb, 3)
          yield* pgdb.terminate
        }
      }).pipe(Effect.scoped)
  )

  withDatabase(
    "since the database was dropped tells it at once, and works again when it is back",
    [],
    (given) =>
      Effect.gen(function* () {
        const name = `${given.settings.database}_gone`
        const create = given.witness.query(`create database "${name}"`)
        const drop = given.witness.query(`drop database if exists "${name}" with (force)`)
        yield* Effect.acquireRelease(create, () => Effect.ignore(drop))
        const pgdb = PG.make({ ...given.settings, database: name, key: "gone" })
        yield* together(pgdb, 3)
        yield* drop
        const errors = yield* Effect.timeout(
          Effect.all(
            range(5).map(() => Effect.flip(pgdb.transaction(pgdb.select("select 1")))),
            { concurrency: "unbounded" }
          ),
          "3 seconds"
        )
        for (const { message } of errors) assert.include(message, `database "${name}" does not exist`)
        yield* create
        yield* together(pgdb, 3)
        yield* pgdb.terminate
      }).pipe(Effect.scoped)
  )

  withDatabase("all of them is not asked more than a few times a second, however many call", [], (given) =>
    Effect.gen(function* () {
      const refusing = yield* liar(() => undefined)
      const pgdb = PG.make({ ...given.settings, ...refusing.address })
      const insistent = Effect.forever(Effect.ignore(pgdb.select("select 1")))
      yield* Effect.timeoutOption(
        Effect.all(
          range(50).map(() => insistent),
          { concurrency: "unbounded" }
        ),
        "2 seconds"
      )
      assert.isBelow(refusing.opened(), 20)
      assert.isAbove(refusing.opened(), 2)
    })
  )

  withDatabase(
    "every session soon after its start is not asked more than a few times a second for minConnections, until it keeps them",
    [],
    () =>
      Effect.gen(function* () {
        let keeps = false
        const fickle = yield* liar((_, __, socket) => {
          // The session is open for a moment: an end in the same chunk would be a failed opening.
          if (!keeps) setTimeout(() => socket.end(), 3)
          return welcome
        })
        const pgdb = PG.make({ ...fickle.address, username: "u", database: "d", minConnections: 3 })
        // The client only finds the pool, and nobody calls.
        yield* pgdb.client
        yield* Effect.sleep("2 seconds")
        assert.isBelow(fickle.opened(), 20)
        assert.isAbove(fickle.opened(), 3)
        keeps = true
        yield* eventually("three are open", PoolRegistry.stats, ([pool]) => pool?.idle === 3)
        const opened = fickle.opened()
        yield* Effect.sleep("600 millis")
        assert.strictEqual(fickle.opened(), opened, "and stay open")
      }).pipe(Effect.provide(PoolRegistry.layer()))
  )

  withDatabase("for a moment: a pool that had connections waits for it, and nobody fails", [], (given) =>
    Effect.gen(function* () {
      const between = yield* proxy(given.settings)
      const pgdb = PG.make({ ...given.settings, ...between.address })
      yield* pgdb.select("select 1")
      yield* between.refuse
      yield* between.cut
      const fibers = yield* Effect.forEach(range(20), () => Effect.forkChild(pgdb.select("select 1 as one")))
      // How long the server refuses is what is tested.
      yield* Effect.sleep("700 millis")
      yield* between.accept
      for (const fiber of fibers) assert.deepStrictEqual(yield* Fiber.join(fiber), [{ one: 1 }])
    })
  )

  withDatabase(
    "one more for long, and then all for a moment: it is an outage from then on, for which the pool waits",
    [],
    (given) =>
      Effect.gen(function* () {
        const between = yield* proxy(given.settings)
        const pgdb = PG.make({ ...given.settings, ...between.address, connectTimeout: "1 second" })
        const held = yield* Deferred.make<void>()
        const hold = Effect.andThen(Deferred.succeed(held, undefined), Effect.never)
        const holding = yield* Effect.forkChild(
          Effect.exit(pgdb.transaction(Effect.andThen(pgdb.select("select 1"), hold)))
        )
        yield* Deferred.await(held)
        yield* between.refuse
        // For longer than connectTimeout: the first connection serves others meanwhile.
        assert.isTrue(Option.isNone(yield* Effect.timeoutOption(pgdb.select("select 1"), "1500 millis")))
        yield* Fiber.interrupt(holding)
        yield* between.cut
        const waiting = yield* Effect.forkChild(Effect.exit(pgdb.select("select 1")))
        // Longer than the longest pause.
        yield* Effect.sleep("700 millis")
        yield* between.accept
        assert.isTrue(Exit.isSuccess(yield* Fiber.join(waiting)))
      })
  )

  withDatabase("pauses grow from nothing to half a second, with chance in them", [], () =>
    Effect.sync(() => {
      assert.deepStrictEqual(
        [1, 2, 3, 4, 5, 6, 7, 60].map((failures) => pauseOf(failures, 1)),
        [0, 50, 100, 200, 400, 500, 500, 500]
      )
      assert.deepStrictEqual(
        [1, 2, 7].map((failures) => pauseOf(failures, 0)),
        [0, 25, 250]
      )
    })
  )
})

describe("onConnect", () => {
  withDatabase(
    "runs once on each new connection before anybody has it, and after a reset that took it back",
    [],
    (given) =>
      Effect.gen(function* () {
        let runs = 0
        const pgdb = PG.make({
          ...given.settings,
          maxConnections: 3,
          onConnect: (connection) =>
            Effect.gen(function* () {
              runs++
              assert.isTrue(connection.parameters.has("server_version"))
              yield* connection.execute("set my.own = 'set'")
              const rows = yield* connection.execute("select $1::int + 1 as n", [1])
              assert.deepStrictEqual(rows, [{ n: 2 }])
            })
        })
        yield* together(pgdb, 3)
        assert.strictEqual(runs, 3)
        const own = "select current_setting('my.own', true)"
        assert.deepStrictEqual(yield* pgdb.selectValue(own), Option.some("set"))
        yield* pgdb.transaction(
          Effect.gen(function* () {
            yield* pgdb.execute("set my.own = 'changed'")
            assert.deepStrictEqual(yield* pgdb.selectValue(own), Option.some("changed"))
          })
        )
        for (const value of yield* Effect.forEach(range(3), () => pgdb.transaction(pgdb.selectValue(own)), {
          concurrency: "unbounded"
        })) {
          assert.deepStrictEqual(value, Option.some("set"))
        }
        yield* eventually(
          "the reset is over",
          Effect.sync(() => runs),
          (runs) => runs === 4
        )
        yield* eventually("all are idle", PoolRegistry.stats, ([pool]) => pool?.idle === pool?.open)
        yield* together(pgdb, 3)
        assert.strictEqual(runs, 4)
      })
  )

  withDatabase("that fails is the opening's failure, with its own story", [], (given) =>
    Effect.gen(function* () {
      const pgdb = PG.make({
        ...given.settings,
        onConnect: (connection) => connection.execute("set role nobody_at_all")
      })
      const error = yield* Effect.flip(pgdb.select("select 1"))
      assert.include(error.message, "The setting onConnect failed on a new connection to")
      assert.include(error.message, 'role "nobody_at_all" does not exist')
      assert.isFalse(error.isRetryable)
      yield* given.until("nothing is left", (sessions) => sessions.length === 0)
      const plain = PG.make({ ...given.settings, onConnect: Effect.fail("no licence"), key: "plain" })
      assert.include((yield* Effect.flip(plain.select("select 1"))).message, "no licence")
      const unread = PG.make({
        ...given.settings,
        key: "unread",
        onConnect: (connection) => connection.execute("select row(1, 2)")
      })
      assert.include((yield* Effect.flip(unread.select("select 1"))).message, "an anonymous record")
    })
  )

  withDatabase("that takes too long is cut by connectTimeout", [], (given) =>
    Effect.gen(function* () {
      const pgdb = PG.make({
        ...given.settings,
        connectTimeout: "300 millis",
        onConnect: (connection) => connection.execute("select pg_sleep(60)")
      })
      const error = yield* Effect.timeout(Effect.flip(pgdb.select("select 1")), "5 seconds")
      assert.include(error.message, "connectTimeout")
    })
  )
})

it.effect(
  "an outage long after another failure is a new one: its callers wait for the server to come back",
  () =>
    Effect.gen(function* () {
      const given = yield* database()
      const failed = yield* Deferred.make<void>()
      let onConnect: Effect.Effect<unknown, string> = Effect.void
      const { pgdb, proxy } = yield* linked(given, {
        idleTimeout: "1 hour",
        onConnect: Effect.suspend(() => onConnect)
      })
      const held = yield* Deferred.make<void>()
      const over = yield* Deferred.make<void>()
      const hold = Effect.andThen(Deferred.succeed(held, undefined), Deferred.await(over))
      const holder = yield* Effect.forkChild(pgdb.transaction(Effect.andThen(pgdb.select("select 1"), hold)))
      yield* Deferred.await(held)
      onConnect = Effect.andThen(Deferred.succeed(failed, undefined), Effect.fail("not now"))
      const second = yield* Effect.forkChild(pgdb.transaction(pgdb.select("select 2")))
      yield* Deferred.await(failed)
      yield* Deferred.succeed(over, undefined)
      yield* Fiber.join(holder)
      yield* Fiber.join(second)
      onConnect = Effect.void
      yield* proxy.refuse
      yield* TestClock.adjust("1 minute")
      yield* proxy.cut
      yield* eventually("the connection is gone", PoolRegistry.stats, ([pool]) => pool?.open === 0)
      const late = yield* Effect.forkChild(pgdb.select("select 3 as n"))
      yield* TestClock.adjust("4 seconds")
      assert.isUndefined(late.pollUnsafe())
      yield* proxy.accept
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(late), [{ n: 3 }])
    }).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer()))
)
