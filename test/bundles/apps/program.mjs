// What a bundled program does: it reads, streams, writes in a transaction, uses the standard client, and ends its pool.
import { Effect, Option, Stream } from "effect"
import { PG, PoolRegistry } from "effect-global-pool"

const pgdb = PG.make({ url: process.env.DATABASE_URL, key: "bundled" })
const people = pgdb.table("bundled_people")

const program = Effect.gen(function* () {
  yield* people.execute`create table if not exists ${people} (name text, tags text[])`
  yield* pgdb.transaction(
    people.insertMany([
      { name: "Ada", tags: ["a", "b"] },
      { name: "Grace", tags: null }
    ])
  )
  const rows = yield* people.find({}, { orderBy: { name: "asc" } })
  const streamed = yield* Stream.runCount(pgdb.stream("select n from generate_series(1, 1000) n"))
  const sql = yield* pgdb.client
  const [{ n }] = yield* sql`select count(*) as n from bundled_people`
  const pools = yield* PoolRegistry.stats
  yield* people.execute`drop table ${people}`
  return { rows, streamed, counted: String(n), pools: pools.length }
})

const found = await Effect.runPromise(PG.run(program))
const count = pgdb.selectValue`select count(*) from pg_stat_activity where application_name = 'effect-global-pool'`
const left = await Effect.runPromise(PG.run(Effect.map(count, Option.getOrUndefined)))
console.log(JSON.stringify({ ...found, left }))
