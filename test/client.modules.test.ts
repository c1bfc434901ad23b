/**
 * Effect's modules that take a `SqlClient`: what each does on `PgClient.layer` it does on `pgdb.layer`.
 */
import { NodeCrypto, NodeServices } from "@effect/platform-node"
import * as PgMigrator from "@effect/sql-pg/PgMigrator"
import { assert, it } from "@effect/vitest"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import {
  ClusterSchema,
  ClusterWorkflowEngine,
  Entity,
  RunnerAddress,
  ShardId,
  SingleRunner,
  SqlRunnerStorage
} from "effect/cluster"
import * as ShardingConfig from "effect/cluster/ShardingConfig"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as EventJournal from "effect/eventlog/EventJournal"
import * as SqlEventJournal from "effect/eventlog/SqlEventJournal"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { KeyValueStore, Persistable, PersistedCache, PersistedQueue, Persistence } from "effect/persistence"
import * as Queue from "effect/Queue"
import * as Reactivity from "effect/reactivity/Reactivity"
import { Rpc } from "effect/rpc"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { Model } from "effect/schema"
import { Migrator, SqlClient, SqlError, SqlModel, SqlResolver, SqlSchema } from "effect/sql"
import { Activity, DurableClock, DurableDeferred, Workflow } from "effect/workflow"
import { layers } from "./support/driver.ts"

type Client = Layer.Success<ReturnType<(typeof layers)[number][1]>>

/** The same test on both layers, each on a database of its own. */
const both = <E, R extends Client>(name: string, body: () => Effect.Effect<void, E, R>): void => {
  for (const [which, layer] of layers) {
    it.live(
      `${name} (${which})`,
      () => Effect.provide(body(), layer({ maxConnections: 6 })) as Effect.Effect<void>
    )
  }
}

const people = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) =>
    sql`create table people (id int8 generated always as identity primary key, name text not null unique, born date)`
)

const Person = Schema.Struct({ id: Schema.BigInt, name: Schema.String })

both("SqlSchema decodes what the client reads", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* people
    const add = SqlSchema.findOne({
      Request: Schema.String,
      Result: Schema.Struct({ id: Schema.BigInt, born: Schema.NullOr(Schema.String) }),
      execute: (name) =>
        sql`insert into people ${sql.insert({ name, born: "1815-12-10" }).returning("id, born")}`
    })
    assert.deepStrictEqual(yield* add("Ada"), { id: 1n, born: "1815-12-10" })
    const count = SqlSchema.findOne({
      Request: Schema.Void,
      Result: Schema.Struct({ n: Schema.BigInt }),
      execute: () => sql`select count(*) as n from people`
    })
    assert.deepStrictEqual(yield* count(undefined), { n: 1n })
    const missing = SqlSchema.findOneOption({
      Request: Schema.BigInt,
      Result: Person,
      execute: (id) => sql`select * from people where id = ${id}`
    })
    assert.deepStrictEqual(yield* missing(9n), Option.none())
    const wrong = SqlSchema.findAll({
      Request: Schema.Void,
      Result: Schema.Struct({ id: Schema.String }),
      execute: () => sql`select id from people`
    })
    assert.isTrue(Schema.isSchemaError(yield* Effect.flip(wrong(undefined))))
  })
)

both("SqlResolver batches what is asked for at one time, in a transaction too", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* people
    const batches: Array<ReadonlyArray<unknown>> = []
    const note = (batch: ReadonlyArray<unknown>) => {
      batches.push(batch)
      return batch
    }
    const Insert = SqlResolver.ordered({
      Request: Schema.String,
      Result: Person,
      execute: (names) => {
        note(names)
        return sql`insert into people ${sql.insert(Arr.map(names, (name) => ({ name })))} returning id, name`
      }
    })
    const ById = SqlResolver.findById({
      Id: Schema.BigInt,
      Result: Person,
      ResultId: ({ id }) => id,
      execute: (ids) => sql`select id, name from people where id in ${sql.in(note(ids))}`
    })
    const ByName = SqlResolver.grouped({
      Request: Schema.String,
      RequestGroupKey: (name) => name,
      Result: Person,
      ResultGroupKey: ({ name }) => name,
      execute: (names) => sql`select id, name from people where name in ${sql.in(note(names))}`
    })
    const all = { concurrency: "unbounded" } as const
    const made = yield* Effect.forEach(["Ada", "Grace"], SqlResolver.request(Insert), all)
    assert.deepStrictEqual(made, [
      { id: 1n, name: "Ada" },
      { id: 2n, name: "Grace" }
    ])
    const found = yield* Effect.forEach([2n, 1n, 2n], SqlResolver.request(ById), all)
    assert.deepStrictEqual(
      found.map(({ name }) => name),
      ["Grace", "Ada", "Grace"]
    )
    const none = yield* Effect.flip(SqlResolver.request(9n, ById))
    assert.isTrue(Cause.isNoSuchElementError(none))
    assert.deepStrictEqual(yield* SqlResolver.request("Ada", ByName), [{ id: 1n, name: "Ada" }])
    const inside = sql.withTransaction(
      Effect.gen(function* () {
        yield* Effect.forEach(["Alan", "Edsger"], SqlResolver.request(Insert), all)
        const names = yield* Effect.forEach(["Alan", "Edsger"], SqlResolver.request(ByName), all)
        return yield* Effect.fail(names.flat().map(({ name }) => name))
      })
    )
    assert.deepStrictEqual<unknown>(yield* Effect.flip(inside), ["Alan", "Edsger"])
    assert.deepStrictEqual(yield* sql`select count(*)::int as n from people`, [{ n: 2 }])
    assert.deepStrictEqual(batches, [
      ["Ada", "Grace"],
      [2n, 1n],
      [9n],
      ["Ada"],
      ["Alan", "Edsger"],
      ["Alan", "Edsger"]
    ])
    const short = SqlResolver.ordered({
      Request: Schema.String,
      Result: Person,
      execute: () => sql`select id, name from people where id = 1`
    })
    const mismatch = yield* Effect.flip(Effect.forEach(["a", "b"], SqlResolver.request(short), all))
    assert.instanceOf(mismatch, SqlError.ResultLengthMismatch)
  })
)

class Account extends Model.Class<Account>("Account")({
  id: Schema.BigInt.pipe(Model.FieldExcept(["insert"])),
  owner: Schema.String,
  balance: Schema.String,
  settings: Model.JsonFromString(Schema.Struct({ dark: Schema.Boolean })),
  createdAt: Model.DateTimeInsertFromDate,
  updatedAt: Model.DateTimeUpdateFromDate
}) {}

both("SqlModel inserts, finds, updates and deletes", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`create table accounts (id int8 generated always as identity primary key, owner text, balance numeric(12, 2),
      settings text, "createdAt" timestamptz, "updatedAt" timestamptz)`
    const options = { tableName: "accounts", idColumn: "id", spanPrefix: "accounts" } as const
    const repository = yield* SqlModel.makeRepository(Account, options)
    const given = { owner: "Ada", balance: "10.50", settings: { dark: true } }
    const made = yield* repository.insert(
      Account.insert.make({ ...given, createdAt: undefined, updatedAt: undefined })
    )
    assert.strictEqual(made.id, 1n)
    assert.strictEqual(made.balance, "10.50")
    assert.deepStrictEqual(made.settings, { dark: true })
    const changed = yield* repository.update(
      Account.update.make({ ...made, owner: "Grace", updatedAt: undefined })
    )
    assert.strictEqual(changed.owner, "Grace")
    assert.deepStrictEqual(changed.createdAt, made.createdAt)
    assert.deepStrictEqual(yield* repository.findById(1n), changed)
    const loaders = yield* SqlModel.makeResolvers(Account, options)
    const twice = yield* Effect.forEach([1n, 1n], (id) => SqlResolver.request(id, loaders.findById), {
      concurrency: "unbounded"
    })
    assert.deepStrictEqual(twice, [changed, changed])
    yield* repository.delete(1n)
    assert.isTrue(Cause.isNoSuchElementError(yield* Effect.flip(repository.findById(1n))))
  }).pipe(Effect.scoped)
)

both("PgMigrator runs each migration once, and none of a failing run", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const migration = (text: string) => Effect.asVoid(sql.unsafe(text))
    const first = { "0001_make": migration("create table made (n int8)") }
    const run = (migrations: Record<string, Effect.Effect<void, SqlError.SqlError>>) =>
      PgMigrator.run({ loader: Migrator.fromRecord(migrations) })
    const ran = yield* run(first)
    assert.deepStrictEqual(ran, [[1, "make"]])
    const second = { ...first, "0002_fill": migration("insert into made values (1)") }
    const all = yield* Effect.forEach([1, 2, 3], () => Effect.exit(run(second)), { concurrency: "unbounded" })
    assert.deepStrictEqual(all.filter((exit) => Exit.isSuccess(exit) && exit.value.length > 0).length, 1)
    const broken = yield* Effect.exit(
      run({
        ...second,
        "0003_more": migration("insert into made values (2)"),
        "0004_bad": migration("insert into nowhere values (1)")
      })
    )
    assert.isTrue(Exit.isFailure(broken))
    assert.deepStrictEqual(yield* sql`select n from made`, [{ n: 1n }])
    assert.deepStrictEqual(yield* sql`select migration_id, name from effect_sql_migrations order by 1`, [
      { migration_id: 1, name: "make" },
      { migration_id: 2, name: "fill" }
    ])
  }).pipe(Effect.provide(NodeServices.layer))
)

both("reactive queries run again when a transaction that changed their keys has committed", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* people
    const seen = yield* Queue.unbounded<ReadonlyArray<unknown>>()
    const names = sql.reactive(["people"], sql`select name from people order by id`)
    yield* Effect.forkScoped(Stream.runForEach(names, (rows) => Queue.offer(seen, rows)))
    assert.deepStrictEqual(yield* Queue.take(seen), [])
    const insert = (name: string) => sql`insert into people ${sql.insert({ name })}`
    const invalidate = Reactivity.invalidate(["people"])
    yield* Effect.ignore(
      sql.withTransaction(Effect.andThen(Effect.andThen(insert("Ada"), invalidate), Effect.fail("no")))
    )
    yield* sql.withTransaction(
      Effect.gen(function* () {
        yield* insert("Grace")
        yield* invalidate
        yield* sql.withTransaction(Effect.andThen(insert("Alan"), invalidate))
        assert.strictEqual(yield* Queue.size(seen), 0)
      })
    )
    let last: ReadonlyArray<unknown> = []
    while (last.length < 2) last = yield* Queue.take(seen)
    assert.deepStrictEqual(last, [{ name: "Grace" }, { name: "Alan" }])
    const after = yield* Deferred.make<void>()
    yield* sql.withTransaction(
      Effect.andThen(insert("Edsger"), sql.afterCommit(Effect.asVoid(Deferred.succeed(after, undefined))))
    )
    yield* Deferred.await(after)
  }).pipe(Effect.scoped, Effect.provide(Reactivity.layer))
)

both("KeyValueStore keeps texts and bytes", () =>
  Effect.gen(function* () {
    const store = yield* KeyValueStore.KeyValueStore
    yield* store.set("text", "grün \u{1f422}")
    yield* store.set("text", "blue")
    yield* store.set("bytes", new Uint8Array([0, 42, 255]))
    assert.strictEqual(yield* store.get("text"), "blue")
    assert.deepStrictEqual(yield* store.getUint8Array("bytes"), new Uint8Array([0, 42, 255]))
    assert.strictEqual(yield* store.size, 2)
    yield* store.modify("text", (text) => text.toUpperCase())
    assert.strictEqual(yield* store.get("text"), "BLUE")
    yield* store.remove("text")
    assert.isUndefined(yield* store.get("text"))
    yield* store.clear
    assert.isTrue(yield* store.isEmpty)
  }).pipe(Effect.provide(KeyValueStore.layerSql()))
)

class Lookup extends Persistable.Class<{ payload: { id: number } }>()("Lookup", {
  primaryKey: ({ id }) => `Lookup:${id}`,
  success: Schema.Struct({ id: Schema.Number, at: Schema.DateTimeUtcFromMillis }),
  error: Schema.String
}) {}

for (const [kind, persistence] of [
  ["one table", Persistence.layerSql],
  ["many tables", Persistence.layerSqlMultiTable]
] as const) {
  both(`PersistedCache keeps results until their time is over, in ${kind}`, () =>
    Effect.gen(function* () {
      let looked = 0
      const make = PersistedCache.make(
        ({ id }: Lookup) =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            looked++
            return { id, at: DateTime.makeUnsafe(now) }
          }),
        { storeId: "lookups", timeToLive: () => "1 hour" }
      )
      const first = yield* Effect.flatMap(make, (cache) => cache.get(new Lookup({ id: 1 })))
      const again = yield* Effect.flatMap(make, (cache) => cache.get(new Lookup({ id: 1 })))
      assert.deepStrictEqual(again, first)
      assert.strictEqual(looked, 1)
      const store = yield* Effect.flatMap(Persistence.Persistence, (all) =>
        all.make({
          storeId: "short",
          timeToLive: (exit) =>
            exit._tag === "Failure" && Cause.squash(exit.cause) === "gone soon"
              ? Duration.millis(50)
              : Duration.hours(1)
        })
      )
      yield* store.set(new Lookup({ id: 4 }), Exit.fail("there"))
      assert.deepStrictEqual(yield* store.get(new Lookup({ id: 4 })), Exit.fail("there"))
      yield* store.set(new Lookup({ id: 1 }), Exit.fail("gone soon"))
      yield* store.setMany([[new Lookup({ id: 2 }), Exit.succeed(first)]])
      yield* Effect.repeat(store.get(new Lookup({ id: 1 })), {
        until: (found) => found === undefined,
        schedule: Schedule.spaced("10 millis")
      })
      assert.deepStrictEqual(yield* store.getMany([new Lookup({ id: 1 }), new Lookup({ id: 3 })]), [
        undefined,
        undefined
      ])
      yield* store.clear
    }).pipe(Effect.scoped, Effect.provide(persistence))
  )
}

both("PersistedQueue gives each element to one taker, and again to another when that failed", () =>
  Effect.gen(function* () {
    const queue = yield* PersistedQueue.make({
      name: "jobs",
      schema: Schema.Struct({ n: Schema.BigInt }),
      maxAttempts: 3,
      retrySchedule: Schedule.spaced("10 millis")
    })
    const taken: Array<bigint> = []
    yield* Effect.forEach([1n, 2n, 3n, 4n], (n) => queue.offer({ n }, { id: `job-${n}` }))
    yield* queue.offer({ n: 1n }, { id: "job-1" })
    const take = queue.take(({ n }) => Effect.sync(() => taken.push(n)))
    yield* Effect.all([take, take, take, take], { concurrency: "unbounded" })
    assert.deepStrictEqual(taken.sort(), [1n, 2n, 3n, 4n])
    yield* queue.offer({ n: 5n })
    assert.strictEqual(yield* Effect.flip(queue.take(() => Effect.fail("not now"))), "not now")
    const attempts = yield* queue.take((_, { attempts }) => Effect.succeed(attempts))
    assert.strictEqual(attempts, 2)
    const waiting = yield* Effect.forkChild(take)
    // That something does not happen has no event: this is long enough for a queue that would give the job to two.
    yield* Effect.sleep("50 millis")
    assert.isUndefined(waiting.pollUnsafe())
    yield* Fiber.interrupt(waiting)
  }).pipe(
    Effect.scoped,
    Effect.provide(
      PersistedQueue.layer.pipe(Layer.provide(PersistedQueue.layerStoreSql({ pollInterval: "20 millis" })))
    )
  )
)

both("SqlEventJournal stores entries with what they caused, or neither", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* people
    const journal = yield* SqlEventJournal.make()
    const write = (key: string, outcome: Effect.Effect<void, string>) =>
      journal.write({
        event: "Added",
        primaryKey: key,
        payload: new Uint8Array([1, 0, 255]),
        effect: () => Effect.andThen(sql`insert into people ${sql.insert({ name: key })}`, outcome)
      })
    yield* write("Ada", Effect.void)
    assert.strictEqual(yield* Effect.flip(write("Grace", Effect.fail("no"))), "no")
    const [entry, ...others] = yield* journal.entries
    assert.deepStrictEqual(others, [])
    assert.strictEqual(entry?.primaryKey, "Ada")
    assert.deepStrictEqual(entry?.payload, new Uint8Array([1, 0, 255]))
    assert.deepStrictEqual(yield* sql`select name from people`, [{ name: "Ada" }])
    const remote = EventJournal.makeRemoteIdUnsafe()
    assert.strictEqual(yield* journal.nextRemoteSequence(remote), 0)
  }).pipe(Effect.scoped, Effect.provide(Reactivity.layer))
)

const shards = [1, 2, 3].map((id) => ShardId.make("default", id))

for (const shardLockDisableAdvisory of [false, true]) {
  both(
    `SqlRunnerStorage gives a shard to one runner, ${shardLockDisableAdvisory ? "without" : "with"} advisory locks`,
    () =>
      Effect.gen(function* () {
        const one = RunnerAddress.make("localhost", 1)
        const two = RunnerAddress.make("localhost", 2)
        const acquired = yield* Effect.scoped(
          Effect.gen(function* () {
            const mine = yield* SqlRunnerStorage.make({})
            const others = yield* SqlRunnerStorage.make({})
            const first = yield* mine.acquire(one, shards.slice(0, 2))
            const second = yield* others.acquire(two, shards)
            assert.deepStrictEqual(first, shards.slice(0, 2))
            assert.deepStrictEqual(second, shards.slice(2))
            assert.deepStrictEqual(yield* mine.refresh(one, first), first)
            yield* mine.release(one, shards[0]!)
            return yield* others.acquire(two, shards.slice(0, 1))
          })
        )
        assert.deepStrictEqual(acquired, shards.slice(0, 1))
      }).pipe(Effect.provide(ShardingConfig.layer({ shardLockDisableAdvisory })))
  )
}

const runner = SingleRunner.layer({
  shardingConfig: {
    entityMessagePollInterval: "50 millis",
    sendRetryInterval: "20 millis",
    entityTerminationTimeout: 0,
    refreshAssignmentsInterval: "50 millis"
  }
}).pipe(Layer.provide(NodeCrypto.layer))

const Counter = Entity.make("Counter", [
  Rpc.make("Add", { payload: { by: Schema.Number }, success: Schema.Number })
]).annotateRpcs(ClusterSchema.Persisted, true)

both("an entity's persisted messages go through SqlMessageStorage", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const counter = (yield* Counter.client)("one")
    assert.strictEqual(yield* counter.Add({ by: 2 }), 2)
    assert.strictEqual(yield* counter.Add({ by: 3 }), 5)
    const [stored] = yield* sql<{ messages: number; replies: number }>`select
      (select count(*)::int from cluster_messages) as messages, (select count(*)::int from cluster_replies) as replies`
    assert.deepStrictEqual(stored, { messages: 2, replies: 2 })
  }).pipe(
    Effect.scoped,
    Effect.provide(
      Counter.toLayer(
        Effect.sync(() => {
          let sum = 0
          return { Add: ({ payload: { by } }) => Effect.sync(() => (sum += by)) }
        })
      ).pipe(Layer.provideMerge(runner))
    )
  )
)

const Approval = DurableDeferred.make("Approval", { success: Schema.String })
const Order = Workflow.make("Order", {
  payload: { id: Schema.String, fails: Schema.Boolean },
  success: Schema.String,
  error: Schema.String,
  idempotencyKey: ({ id }) => id
})

both("a workflow suspends, resumes and compensates on SqlMessageStorage", () =>
  Effect.gen(function* () {
    const log: Array<string> = []
    const note = (what: string) => Effect.sync(() => void log.push(what))
    const workflow = Order.toLayer(
      Effect.fnUntraced(function* ({ fails, id }) {
        yield* Activity.make({ name: "Reserve", execute: note(`reserve ${id}`) }).pipe(
          Order.withCompensation(() => note(`release ${id}`))
        )
        yield* DurableClock.sleep({ name: "Pause", duration: "100 millis", inMemoryThreshold: Duration.zero })
        if (fails) return yield* Effect.fail("sold out")
        return yield* DurableDeferred.await(Approval)
      })
    ).pipe(Layer.provideMerge(ClusterWorkflowEngine.layer), Layer.provideMerge(runner))
    yield* Effect.gen(function* () {
      const executionId = yield* Order.executionId({ id: "a", fails: false })
      const running = yield* Effect.forkChild(Order.execute({ id: "a", fails: false }))
      const token = DurableDeferred.tokenFromExecutionId(Approval, { workflow: Order, executionId })
      yield* DurableDeferred.succeed(Approval, { token, value: "approved" })
      assert.strictEqual(yield* Fiber.join(running), "approved")
      // Done already: nothing runs again.
      assert.strictEqual(yield* Order.execute({ id: "a", fails: false }), "approved")
      assert.strictEqual(yield* Effect.flip(Order.execute({ id: "b", fails: true })), "sold out")
      assert.deepStrictEqual(log, ["reserve a", "reserve b", "release b"])
    }).pipe(Effect.scoped, Effect.provide(workflow))
  })
)
