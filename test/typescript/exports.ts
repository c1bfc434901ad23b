/** What an application exports: compiled with `declaration: true` against the package, so each type has to have a name in it. */
import { Effect, ManagedRuntime, Schema, Stream } from "effect"
import { PG, PoolRegistry } from "effect-global-pool"
import { EmbeddedPostgres } from "effect-global-pool/embedded"
import * as Pooled from "effect-global-pool/kysely"

export const pgdb = PG.make({ database: "app" })
export const users = pgdb.table("users")
export const typed = pgdb.table<{ id: number; name: string | null }>("users")
export const decoded = pgdb.table("users", Schema.Struct({ id: Schema.Int, age: Schema.NullOr(Schema.Int) }))
export const adults = users.find({ age: 3 })
export const adults2 = typed.find({ id: { $gt: 3 } }, { columns: ["name"] })
export const some = <A, K extends PG.ColumnOf<A>>(table: PG.Table<A>, columns: ReadonlyArray<K>) =>
  table.find({}, { columns })
export const adults3 = decoded.find({ age: 3 })
export const one = typed.findOne({ id: 1 })
export const { select, selectOne, selectValue, execute, trans, transaction, stream } = pgdb
export const {
  find,
  findOne,
  findStream,
  insert,
  insertMany,
  insertStream,
  upsert,
  update,
  delete: remove,
  count,
  exists,
  distinct
} = decoded
export const {
  run,
  terminate,
  terminateWithin,
  client,
  clientWith,
  layer,
  layerWith,
  afterCommit,
  listen,
  notify,
  withLock,
  tryLock,
  table
} = pgdb
export const rows = users.select`select ${1}`
export const piece = PG.sql`select ${1}`
export const id = PG.id("x")
export const json = PG.json([1])
export const both = pgdb.trans([piece])
export const inTransaction = pgdb.transaction(adults, { isolation: "serializable" })
export const streamed = users.stream("select 1")
export const notifications = pgdb.listen("jobs")
export const notified = Stream.runCollect(notifications)
export const stats = PoolRegistry.stats
export const registry = PoolRegistry.layer({ maxConnections: 3 })
export const service = Effect.service(PoolRegistry)
export const runtime = ManagedRuntime.make(PG.layer)
export const promises = PG.promise(runtime)
export const db = promises.make({})
export const { table: ptable, withLock: plock, describe: pdescribe } = db
export const { describe, script } = pgdb
export const pusers = db.table("users")
export const pdecoded = promises(decoded)
export const ptyped = promises(typed)
export const counted = pusers.count()
export const { find: pfind, upsert: pupsert } = ptyped
export const fromEnv = PG.fromEnv
export const locked = pgdb.withLock("x", adults)
export const caught = adults.pipe(Effect.catchTag("PoolError", (error) => Effect.succeed(error.reason)))
export const tags = adults.pipe(
  Effect.catchReason("PoolError", "InvalidSettings", (reason) => Effect.succeed(reason))
)
export const server = EmbeddedPostgres.make()
export const started = EmbeddedPostgres.start({ port: 3 })
export const kysely = Pooled.make<{ users: { id: number } }>(pgdb)
export const dialect = Pooled.dialect(pgdb)
export const ran = Pooled.run(() => kysely.selectFrom("users").selectAll().execute())
export const kstream = Pooled.stream(kysely.selectFrom("users").selectAll())
