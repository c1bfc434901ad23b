/**
 * An opening that fails: every waiting caller gets the reason, nothing is remembered, and the same handle works as soon as the
 * server does.
 */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import type { SqlError } from "effect/sql/SqlError"
import { PG, PoolRegistry } from "effect-global-pool"
import { eventually } from "./support/database.ts"
import { withDatabase } from "./support/handle.ts"
import { proxy } from "./support/proxy.ts"

/** The errors of ten callers at once. */
const told = (pgdb: PG.Database): Effect.Effect<ReadonlyArray<SqlError>, unknown, PoolRegistry> =>
  Effect.forEach(
    Array.from({ length: 10 }, (_, index) => index),
    (index) =>
      pgdb.select("select $1::int", [index]).pipe(
        Effect.flip,
        Effect.filterOrFail((error) => error._tag === "SqlError")
      ),
    { concurrency: "unbounded" }
  )

const works = (pgdb: PG.Database) =>
  Effect.map(pgdb.select`select 1 as one`, (rows) => assert.deepStrictEqual(rows, [{ one: 1 }]))

const nothingOpen = Effect.map(PoolRegistry.stats, (pools) =>
  assert.deepStrictEqual(
    pools.map(({ open, inUse, waiting }) => ({ open, inUse, waiting })),
    [{ open: 0, inUse: 0, waiting: 0 }]
  )
)

describe("each waiting caller gets the reason, and the handle works later", () => {
  withDatabase("the server is down", [], ({ settings }) =>
    Effect.gen(function* () {
      const between = yield* proxy(settings)
      const pgdb = PG.make({ ...settings, ...between.address })
      yield* between.refuse
      const errors = yield* told(pgdb)
      assert.lengthOf(errors, 10)
      for (const error of errors) {
        assert.strictEqual(error.reason._tag, "ConnectionError")
        assert.isTrue(error.isRetryable)
        assert.strictEqual(
          error.message,
          `Could not connect to "${settings.database}" on 127.0.0.1:${between.address.port}: nothing listens there (ECONNREFUSED).\n` +
            "Check the settings host and port, and that the server runs."
        )
      }
      yield* nothingOpen
      yield* between.accept
      yield* works(pgdb)
    })
  )

  withDatabase("the password is wrong", [], ({ settings, witness }) =>
    Effect.gen(function* () {
      const role = `role_${settings.database}`
      yield* Effect.acquireRelease(witness.query(`create role ${role} login password 'right one'`), () =>
        Effect.orDie(witness.query(`drop role ${role}`))
      )
      const pgdb = PG.make({ ...settings, username: role, password: "wrong one" })
      for (const error of yield* told(pgdb)) {
        assert.strictEqual(error.reason._tag, "AuthenticationError")
        assert.include(error.message, `password authentication failed for user "${role}" (SQLSTATE 28P01`)
        assert.include(error.message, "Check the settings username and password.")
        assert.notInclude(error.message, "wrong one")
      }
      yield* nothingOpen
      yield* witness.query(`alter role ${role} password 'wrong one'`)
      yield* works(pgdb)
      yield* pgdb.terminate
    })
  )

  withDatabase("there is no password", [], ({ settings }) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...settings, password: undefined })
      for (const error of yield* told(pgdb)) {
        assert.strictEqual(error.reason._tag, "AuthenticationError")
        assert.include(error.message, "Set the setting password.")
      }
    })
  )

  withDatabase("the database is not there, and others of nearly its name are", [], ({ settings, witness }) =>
    Effect.gen(function* () {
      const between = yield* proxy(settings)
      const name = `${settings.database}_x`
      const pgdb = PG.make({ ...settings, ...between.address, database: name })
      const errors = yield* told(pgdb)
      for (const error of errors) {
        assert.strictEqual(error.reason._tag, "ConnectionError")
        assert.isFalse(error.isRetryable)
        assert.include(error.message, `database "${name}" does not exist (SQLSTATE 3D000`)
        assert.include(error.message, `Did you mean "${settings.database}"`)
      }
      yield* nothingOpen
      // One question after the other, and none of them stays.
      assert.strictEqual(between.opened(), 2)
      yield* eventually("both are closed", Effect.sync(between.open), (open) => open === 0)
      yield* Effect.acquireRelease(witness.query(`create database ${name}`), () =>
        Effect.ignore(witness.query(`drop database ${name} with (force)`))
      )
      yield* works(pgdb)
    })
  )

  withDatabase("the server does not answer in time", [], ({ settings }) =>
    Effect.gen(function* () {
      const between = yield* proxy(settings)
      const pgdb = PG.make({ ...settings, ...between.address, connectTimeout: "50 millis" })
      yield* between.pause
      for (const error of yield* told(pgdb)) {
        assert.strictEqual(error.reason._tag, "ConnectionError")
        assert.match(error.message, /^Could not connect to .* connectTimeout, 50 ms/)
      }
      yield* nothingOpen
      yield* between.resume
      yield* works(PG.make({ ...settings, ...between.address, key: "patient" }))
    })
  )

  withDatabase("the program's own effect takes too long or was interrupted", [], ({ settings }) =>
    Effect.gen(function* () {
      const words = new Map([
        [Effect.never, "took longer than connectTimeout, 200 ms (ETIMEDOUT).\nHave it take less time,"],
        [Effect.interrupt, "was interrupted."]
      ])
      for (const [effect, word] of words) {
        for (const name of ["password", "onConnect"]) {
          const pgdb = PG.make({ ...settings, connectTimeout: "200 millis", [name]: effect })
          const error = yield* Effect.flip(pgdb.select("select 1"))
          assert.include(error.message, `: the effect that is the setting ${name} ${word}`)
          yield* pgdb.terminate
        }
      }
    })
  )

  withDatabase("the program's own effect for the password dies", [], ({ settings }) =>
    Effect.gen(function* () {
      let broken = true
      const password = Effect.suspend(() =>
        broken
          ? Effect.die(new Error("the vault is sealed"))
          : Effect.succeed(Redacted.make(settings.password))
      )
      const pgdb = PG.make({ ...settings, password })
      const exits = yield* Effect.all(
        [Effect.exit(pgdb.select("select 1")), Effect.exit(pgdb.select("select 1"))],
        {
          concurrency: "unbounded"
        }
      )
      for (const exit of exits) {
        assert.isTrue(Exit.hasDies(exit))
        assert.include(String(exit), "the vault is sealed")
      }
      yield* nothingOpen
      broken = false
      yield* works(pgdb)
    })
  )
})

withDatabase("one interrupted waiter leaves the others undisturbed", [], ({ settings }) =>
  Effect.gen(function* () {
    const between = yield* proxy(settings)
    const pgdb = PG.make({ ...settings, ...between.address, maxConnections: 1 })
    yield* between.pause
    // The first is the one whose call opens the pool.
    const [first, ...others] = yield* Effect.forEach([1, 2, 3, 4], (index) =>
      Effect.forkChild(pgdb.selectValue("select $1::int", [index]))
    )
    yield* eventually("the connection is on its way", Effect.sync(between.open), (open) => open === 1)
    yield* Fiber.interrupt(first!)
    yield* between.resume
    const answers = yield* Effect.forEach(others, Fiber.join)
    assert.deepStrictEqual(
      answers.map((answer) => (answer._tag === "Some" ? answer.value : undefined)),
      [2, 3, 4]
    )
    assert.strictEqual(between.opened(), 1)
  })
)

withDatabase("a connection given up while it opens is gone from the server when its place is", [], (given) =>
  Effect.gen(function* () {
    const { settings } = given
    const between = yield* proxy(settings)
    yield* between.delay("20 millis")
    const pgdb = PG.make({ ...settings, ...between.address, maxConnections: 1 })
    const waiting = yield* Effect.forkChild(pgdb.select("select 1"))
    yield* given.until("the server has the session", (sessions) => sessions.length === 1)
    yield* pgdb.terminateWithin(0)
    assert.deepStrictEqual(yield* given.sessions, [])
    assert.isTrue(Exit.isFailure(yield* Fiber.await(waiting)))
  })
)

withDatabase(
  "the next call is served when all that waited for an opening were interrupted",
  [],
  ({ settings }) =>
    Effect.gen(function* () {
      const between = yield* proxy(settings)
      const pgdb = PG.make({ ...settings, ...between.address, maxConnections: 1 })
      yield* between.pause
      const waiting = yield* Effect.forkChild(pgdb.select("select 1"))
      yield* eventually("the connection is on its way", Effect.sync(between.open), (open) => open === 1)
      yield* Fiber.interrupt(waiting)
      yield* between.resume
      yield* works(pgdb)
      assert.strictEqual(between.peak(), 1)
    })
)
