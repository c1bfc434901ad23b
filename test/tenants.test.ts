/**
 * A database per tenant: unused pools are forgotten, handles and clients stay valid, and what happens to one
 * database, or to the whole server, leaves nothing behind.
 */
import { assert, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { isSqlError } from "effect/sql/SqlError"
import * as TestClock from "effect/testing/TestClock"
import { PG, PoolRegistry } from "effect-global-pool"
import { start } from "../src/embedded/Server.ts"
import { eventually } from "./support/database.ts"
import { folder } from "./support/folder.ts"
import { together } from "./support/handle.ts"
import { tenants } from "./support/tenants.ts"

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)
const inParallel = { concurrency: "unbounded" } as const

it.effect(
  "a pool unused for poolIdleTimeout is closed and forgotten, and its handles and clients open it again",
  () =>
    Effect.gen(function* () {
      const given = yield* tenants(3)
      const [first, second] = [given.pgdb(0), given.pgdb(1)]
      const client = yield* first.client
      yield* first.select`select 1`
      yield* second.select`select 1`
      assert.lengthOf(yield* PoolRegistry.stats, 2)
      yield* TestClock.adjust("40 seconds")
      yield* second.select`select 1`
      yield* TestClock.adjust("25 seconds")
      yield* eventually("one is gone", given.sessions, (all) => all.join() === given.names[1])
      yield* eventually("one is forgotten", PoolRegistry.stats, (all) => all.length === 1)
      yield* TestClock.adjust("40 seconds")
      yield* eventually("all are gone", given.sessions, (all) => all.length === 0)
      yield* eventually("all are forgotten", PoolRegistry.stats, (all) => all.length === 0)
      assert.deepStrictEqual(yield* first.select`select 1 as one`, [{ one: 1 }])
      assert.deepStrictEqual(yield* client`select 1 as one`, [{ one: 1 }])
      assert.deepStrictEqual(yield* client.withTransaction(client`select 2 as two`), [{ two: 2 }])
      yield* first.terminate
      assert.deepStrictEqual(yield* client`select 1 as one`, [{ one: 1 }])
      assert.lengthOf(yield* PoolRegistry.stats, 1)
    }).pipe(Effect.provide(PoolRegistry.layer({ poolIdleTimeout: "1 minute" })))
)

it.effect(
  "a connection that is opened again for minConnections is no call: the pool is forgotten in time",
  () =>
    Effect.gen(function* () {
      const given = yield* tenants(1)
      const pids = Effect.map(
        given.witness.query("select pid from pg_stat_activity where usename = $1", [given.role]),
        (rows) => rows.map(({ pid }) => Number(pid))
      )
      yield* given.pgdb(0, { minConnections: 1 }).select`select 1`
      yield* TestClock.adjust("40 seconds")
      const [before] = yield* pids
      yield* given.witness.query("select pg_terminate_backend($1)", [before])
      yield* eventually("another is open", pids, ([pid]) => pid !== undefined && pid !== before)
      yield* eventually("and idle", PoolRegistry.stats, ([pool]) => pool?.idle === 1)
      yield* TestClock.adjust("25 seconds")
      yield* eventually("the pool is forgotten", PoolRegistry.stats, (all) => all.length === 0, "2 seconds")
    }).pipe(Effect.provide(PoolRegistry.layer({ poolIdleTimeout: "1 minute" })))
)

it.effect("a pool with a transaction is in use however long it takes", () =>
  Effect.gen(function* () {
    const given = yield* tenants(1)
    const pgdb = given.pgdb(0)
    const inside = yield* Deferred.make<void>()
    const finish = yield* Deferred.make<void>()
    const working = yield* Effect.forkChild(
      pgdb.transaction(
        Effect.gen(function* () {
          const before = yield* pgdb.selectValue`select pg_backend_pid()`
          yield* Deferred.succeed(inside, undefined)
          yield* Deferred.await(finish)
          assert.deepStrictEqual(yield* pgdb.selectValue`select pg_backend_pid()`, before)
        })
      )
    )
    yield* Deferred.await(inside)
    yield* TestClock.adjust("1 hour")
    yield* Deferred.succeed(finish, undefined)
    yield* Fiber.join(working)
  }).pipe(Effect.provide(PoolRegistry.layer({ poolIdleTimeout: "1 minute" })))
)

it.effect("idleTimeout ends idle connections but those of minConnections; connectionTTL ends them all", () =>
  Effect.gen(function* () {
    const given = yield* tenants(1)
    const pgdb = given.pgdb(0, { idleTimeout: "10 seconds", connectionTTL: "1 minute", minConnections: 1 })
    const count = (what: number) =>
      eventually(`${what} are open`, given.sessions, (all) => all.length === what)
    const pid = pgdb.selectValue`select pg_backend_pid()`
    yield* together(pgdb, 3)
    yield* count(3)
    const before = yield* pid
    yield* TestClock.adjust("9 seconds")
    yield* count(3)
    yield* TestClock.adjust("2 seconds")
    yield* count(1)
    // The one used last stays: it is not closed with the others and opened again.
    assert.deepStrictEqual(yield* pid, before)
    yield* TestClock.adjust("48 seconds")
    yield* count(1)
    yield* TestClock.adjust("2 seconds")
    yield* eventually("it is another one", PoolRegistry.stats, ([pool]) => pool?.idle === 1)
    yield* count(1)
    assert.notDeepEqual(yield* pid, before)
  }).pipe(Effect.provide(PoolRegistry.layer()))
)

it.effect("a connection in use when its time to live ends serves its caller first", () =>
  Effect.gen(function* () {
    const given = yield* tenants(1)
    const pgdb = given.pgdb(0, { connectionTTL: "1 minute" })
    const pid = pgdb.selectValue`select pg_backend_pid()`
    const before = yield* pgdb.transaction(
      Effect.gen(function* () {
        const first = yield* pid
        yield* TestClock.adjust("2 minutes")
        assert.deepStrictEqual(yield* pid, first)
        return first
      })
    )
    assert.notDeepEqual(yield* pid, before)
  }).pipe(Effect.provide(PoolRegistry.layer()))
)

it.effect("terminate gives what is under way its grace, and cancels it then", () =>
  Effect.gen(function* () {
    const given = yield* tenants(1)
    const pgdb = given.pgdb(0)
    const working = yield* Effect.forkChild(Effect.exit(pgdb.select`select pg_sleep(600)`))
    yield* eventually("it runs", PoolRegistry.stats, ([pool]) => pool?.inUse === 1)
    const ending = yield* Effect.forkChild(pgdb.terminate)
    yield* TestClock.adjust("4 seconds")
    assert.lengthOf(yield* given.sessions, 1)
    yield* TestClock.adjust("2 seconds")
    assert.isTrue(Exit.isFailure(yield* Fiber.join(working)))
    yield* Fiber.join(ending)
    assert.deepStrictEqual(yield* given.sessions, [])
  }).pipe(Effect.provide(PoolRegistry.layer()))
)

it.live("a pool that is being ended is in the statistics for as long as it has a place under the limit", () =>
  Effect.gen(function* () {
    const given = yield* tenants(2)
    const [first, second] = [given.pgdb(0), given.pgdb(1)]
    const open = Effect.map(PoolRegistry.stats, (all) => all.map(({ key, open }) => [key, open] as const))
    const inside = yield* Deferred.make<void>()
    const finish = yield* Deferred.make<void>()
    const working = yield* Effect.forkChild(
      first.transaction(
        Effect.gen(function* () {
          yield* first.select`select 1`
          yield* Deferred.succeed(inside, undefined)
          yield* Deferred.await(finish)
        })
      )
    )
    yield* Deferred.await(inside)
    const ending = yield* Effect.forkChild(first.terminateWithin("1 hour"), { startImmediately: true })
    const [key, other] = [String(given.names[0]), String(given.names[1])]
    const none = { open: 0, inUse: 0, idle: 0, waiting: 0, max: 10 }
    assert.deepStrictEqual(yield* PoolRegistry.stats, [{ ...none, key, open: 1, inUse: 1 }])
    yield* first.select`select 1`
    assert.deepStrictEqual(yield* PoolRegistry.stats, [{ ...none, key, open: 2, inUse: 1, idle: 1 }])
    yield* second.select`select 1`
    assert.sameDeepMembers(yield* open, [
      [key, 1],
      [other, 1]
    ])
    yield* Deferred.succeed(finish, undefined)
    yield* Fiber.join(working)
    yield* Fiber.join(ending)
    assert.sameDeepMembers(yield* open, [
      [key, 0],
      [other, 1]
    ])
    yield* first.terminate
    assert.deepStrictEqual(yield* open, [[other, 1]])
  }).pipe(Effect.provide(PoolRegistry.layer({ maxConnections: 2 })))
)

it.live("a database dropped, and one renamed, under its pool: clear errors, and nothing left behind", () =>
  Effect.gen(function* () {
    const given = yield* tenants(3)
    yield* Effect.forEach(numbers(3), (tenant) => given.pgdb(tenant).select`select 1`)
    yield* given.witness.query(`drop database ${given.names[0]} with (force)`)
    const dropped = yield* eventually(
      "the drop is noticed",
      Effect.flip(given.pgdb(0).select`select 1`),
      (error) => error.message.includes("does not exist")
    )
    assert.include(dropped.message, String(given.names[0]))
    yield* given.witness.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${given.names[1]}'`
    )
    yield* given.witness.query(`alter database ${given.names[1]} rename to ${given.names[1]}_renamed`)
    const renamed = yield* eventually(
      "the new name is noticed",
      Effect.flip(given.pgdb(1).select`select 1`),
      (error) => error.message.includes("does not exist")
    )
    assert.include(renamed.message, `${given.names[1]}_renamed`)
    const stats = yield* PoolRegistry.stats
    const open = (name: string | undefined) => stats.find(({ key }) => key === name)?.open
    assert.deepStrictEqual([open(given.names[0]), open(given.names[1])], [0, 0])
    assert.deepStrictEqual(yield* given.sessions, given.names.slice(2))
    yield* PG.make({ ...given.settings(1), database: `${String(given.names[1])}_renamed` }).select`select 1`
    yield* given.pgdb(1).terminate
    yield* PG.make({ ...given.settings(1), database: `${String(given.names[1])}_renamed` }).terminate
    yield* given.witness.query(`alter database ${given.names[1]}_renamed rename to ${given.names[1]}`)
    yield* given.pgdb(1).select`select 1`
  }).pipe(Effect.provide(PoolRegistry.layer({ maxConnections: 4 })))
)

it.live(
  "a server that restarts under load: every pool recovers, the limit holds, and all places are there again",
  () =>
    Effect.gen(function* () {
      const [limit, count] = [8, 100]
      const dataDir = yield* folder()
      // A hundred new databases take a busy disk long.
      const serverSettings = { fsync: false }
      const first = yield* Scope.make()
      const { host, port, username, password } = yield* Scope.provide(
        start({ dataDir, serverSettings }),
        first
      )
      const admin = PG.make({ host, port, username, password, database: "postgres" })
      const names = numbers(count).map((index) => `tenant_${index}`)
      yield* admin.execute(`create role tenant login password 'tenant' connection limit ${limit}`)
      yield* Effect.forEach(names, (name) => admin.execute(`create database ${name} strategy wal_log`), {
        concurrency: 3
      })
      yield* admin.terminate
      const pgdb = (tenant: number) =>
        PG.make({ host, port, username: "tenant", password: "tenant", database: names[tenant] ?? "" })

      /** As many callers as there are places hold one each: what the pools then have open. */
      const census = Effect.gen(function* () {
        const all = yield* Deferred.make<void>()
        let held = 0
        const open = yield* Effect.forEach(
          numbers(limit),
          (tenant) =>
            pgdb(tenant).transaction(
              Effect.gen(function* () {
                yield* pgdb(tenant).select`select 1`
                held++
                if (held === limit) yield* Deferred.succeed(all, undefined)
                yield* Deferred.await(all)
                return (yield* PoolRegistry.stats).reduce((sum, pool) => sum + pool.open, 0)
              })
            ),
          inParallel
        )
        return open[0]
      })

      const failures: Array<unknown> = []
      const answered = names.map(() => 0)
      const back = yield* Deferred.make<void>()
      let stopped = false
      const load = (tenant: number) =>
        Effect.gen(function* () {
          while (!stopped) {
            const exit = yield* Effect.exit(pgdb(tenant).select`select 1`)
            if (Exit.isSuccess(exit)) answered[tenant] = (answered[tenant] ?? 0) + 1
            else {
              const error = Option.getOrUndefined(Exit.findErrorOption(exit))
              const isLost = isSqlError(error) && error.reason._tag === "ConnectionError"
              // One connection more than the limit is what the server refuses with 53300.
              if (!isLost || error.message.includes("53300")) failures.push(exit.cause)
              // Some ask a server that is away again and again, the others when it is back.
              if (tenant > 3) yield* Deferred.await(back)
            }
          }
        }).pipe(Effect.provideService(PoolRegistry, registry))
      const registry = yield* Effect.service(PoolRegistry)
      const everybody = (what: string) =>
        Effect.gen(function* () {
          const before = [...answered]
          yield* eventually(
            `every tenant is answered ${what}`,
            Effect.sync(() => answered.every((count, tenant) => count > (before[tenant] ?? 0))),
            (all) => all,
            "30 seconds"
          )
        })
      assert.strictEqual(yield* census, limit)
      const loading = yield* Effect.forkChild(
        Effect.forEach([...numbers(count), ...numbers(count), ...numbers(count)], load, inParallel)
      )
      yield* everybody("before")
      yield* Scope.close(first, Exit.void)
      const second = yield* start({ dataDir, port, password, serverSettings })
      assert.strictEqual(second.port, port)
      yield* Deferred.succeed(back, undefined)
      yield* everybody("after")
      stopped = true
      yield* Fiber.join(loading)
      assert.deepStrictEqual(failures.slice(0, 3), [])
      assert.strictEqual(yield* census, limit)
    }).pipe(Effect.provide(PoolRegistry.layer({ maxConnections: 8 }))),
  180_000
)
