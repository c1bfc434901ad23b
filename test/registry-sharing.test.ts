/**
 * `PG.layer` is one registry for the whole process: for every scope that builds it at one time, and for every copy of the
 * package, as a development server's reload makes them.
 */
import { assert, it, vi } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { PG, PoolError, PoolRegistry } from "effect-global-pool"
import { database } from "./support/database.ts"

const pid = "select pg_backend_pid()"

const registryIn = (scope: Scope.Scope, layer = PG.layer) =>
  Effect.map(Layer.buildWithScope(layer, scope), (context) => Context.get(context, PoolRegistry))

it.live("scopes at one time share a registry, which ends with the last of them", () =>
  Effect.gen(function* () {
    const { sessions, settings } = yield* database()
    const pgdb = PG.make(settings)
    const [first, second, third] = [yield* Scope.make(), yield* Scope.make(), yield* Scope.make()]
    const one = yield* registryIn(first)
    const select = (registry: typeof one) =>
      Effect.provideService(pgdb.selectValue(pid), PoolRegistry, registry)
    const before = yield* select(one)
    const two = yield* registryIn(second)
    assert.strictEqual(two, one)
    assert.deepStrictEqual(yield* select(two), before)
    yield* Scope.close(first, Exit.void)
    assert.lengthOf(yield* sessions, 1)
    assert.deepStrictEqual(yield* select(two), before)
    yield* Scope.close(second, Exit.void)
    assert.deepStrictEqual(yield* sessions, [])
    const three = yield* registryIn(third)
    assert.notStrictEqual(three, one)
    assert.notDeepEqual(yield* select(three), before)
    yield* Scope.close(third, Exit.void)
    assert.deepStrictEqual(yield* sessions, [])
  })
)

it.live("a server's runtime and a script's run share the pool", () =>
  Effect.gen(function* () {
    const { sessions, settings } = yield* database()
    const runtime = ManagedRuntime.make(PG.layer)
    const served = yield* Effect.promise(() => runtime.runPromise(PG.make(settings).selectValue(pid)))
    assert.deepStrictEqual(yield* PG.make(settings).run((self) => self.selectValue(pid)), served)
    assert.lengthOf(yield* sessions, 1)
    yield* Effect.promise(() => runtime.dispose())
    assert.deepStrictEqual(yield* sessions, [])
  })
)

it.live("a registry of its own has pools of its own", () =>
  Effect.gen(function* () {
    const { sessions, settings } = yield* database()
    const pgdb = PG.make(settings)
    yield* PG.run(
      Effect.gen(function* () {
        const shared = yield* pgdb.selectValue(pid)
        const own = yield* Effect.provide(pgdb.selectValue(pid), PoolRegistry.layer())
        assert.notDeepEqual(own, shared)
        assert.lengthOf(yield* sessions, 1)
        assert.deepStrictEqual(yield* pgdb.selectValue(pid), shared)
      })
    )
    assert.deepStrictEqual(yield* sessions, [])
  })
)

/** Another copy of the package, all of its modules made anew. */
const reload = Effect.promise(async () => {
  vi.resetModules()
  return await import("effect-global-pool")
})

it.live("a reload finds the registry, and opens no second pool", () =>
  Effect.gen(function* () {
    const { sessions, settings } = yield* database()
    const scope = yield* Scope.make()
    const old = yield* registryIn(scope)
    const before = yield* Effect.provideService(PG.make(settings).selectValue(pid), PoolRegistry, old)

    const copy = yield* reload
    assert.notStrictEqual(copy.PG, PG)
    const reloaded = copy.PG.make(settings)
    const { pools, value } = yield* copy.PG.run(
      Effect.all({ value: reloaded.selectValue(pid), pools: copy.PoolRegistry.stats })
    )
    assert.deepStrictEqual(value, before)
    assert.lengthOf(pools, 1)
    // What the copies make works with each other: handles, transactions, clients, errors.
    yield* Effect.gen(function* () {
      yield* PG.make(settings).transaction(
        Effect.gen(function* () {
          const inside = yield* PG.make(settings).selectValue("select txid_current()")
          assert.deepStrictEqual(yield* reloaded.selectValue("select txid_current()"), inside)
          const sql = yield* reloaded.client
          const [row] = yield* sql`select txid_current() as id`
          assert.deepStrictEqual(Option.some(Number(row?.id)), inside)
          const other = copy.PG.make({ ...settings, maxConnections: 2 })
          const conflict = yield* Effect.flip(other.select("select 1"))
          assert.strictEqual(conflict._tag, "PoolError")
        })
      )
      const [rows] = yield* reloaded.trans(["select 1 as one"])
      assert.deepStrictEqual(rows?.rows, [{ one: 1 }])
    }).pipe(Effect.provideService(PoolRegistry, old))
    assert.lengthOf(yield* sessions, 1)
    yield* Scope.close(scope, Exit.void)
    assert.deepStrictEqual(yield* sessions, [])
  })
)

it.live("two copies with a registry each: one's transaction is never another's", () =>
  Effect.gen(function* () {
    const [left, right] = [yield* database(), yield* database()]
    const copy = yield* reload
    const mine = PG.make({ ...left.settings, key: "same" })
    const theirs = copy.PG.make({ ...right.settings, key: "same" }).selectValue("select current_database()")
    const answers = yield* Effect.provide(
      mine.transaction(
        Effect.gen(function* () {
          yield* mine.select("select 1")
          // One after the other, so that the copy has given names to as many registries as this one.
          return yield* Effect.forEach(Array.from({ length: 20 }), () =>
            Effect.provide(theirs, copy.PoolRegistry.layer(), { local: true })
          )
        })
      ),
      PoolRegistry.layer(),
      { local: true }
    )
    for (const answer of answers) assert.deepStrictEqual(answer, Option.some(right.settings.database))
  })
)

it.live("an error of the pool keeps its tag in the standard client of another copy", () =>
  Effect.gen(function* () {
    const { settings, until } = yield* database()
    const copy = yield* reload
    const scope = yield* Scope.make()
    const old = yield* registryIn(scope)
    const asked = { ...settings, maxConnections: 1, maxWaiting: 0 }
    yield* Effect.gen(function* () {
      const sql = yield* copy.PG.make(asked).client
      yield* Effect.forkChild(PG.make(asked).select("select pg_sleep(60)"))
      yield* until("it is at work", (sessions) => sessions.some(({ query }) => query.includes("pg_sleep")))
      const error = yield* Effect.flip(sql`select 1`)
      assert.strictEqual(error._tag, "SqlError")
      assert.strictEqual(error.reason._tag, "ConnectionError")
      assert.instanceOf(error.reason.cause, PoolError)
    }).pipe(Effect.provideService(PoolRegistry, old))
    yield* Scope.close(scope, Exit.void)
  })
)
