/**
 * Existing Effect SQL code on the pool: a model's repository, a query by schema and migrations, none of which knows this
 * package. `pgdb.layer` stands where `PgClient.layer` stood.
 *
 *     npx tsx examples/sql-schema.ts
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { PgMigrator } from "@effect/sql-pg"
import { Console, Effect, Layer, Schema } from "effect"
import { Model } from "effect/schema"
import { SqlClient, SqlModel, SqlSchema } from "effect/sql"
import { PG, PoolRegistry } from "effect-global-pool"
import { database } from "./support/database.ts"

class Book extends Model.Class<Book>("Book")({
  id: Model.Field({ select: Schema.Int, update: Schema.Int, json: Schema.Int }),
  title: Schema.NonEmptyString,
  pages: Schema.Int,
  added_at: Model.DateTimeInsertFromDate
}) {}

const migrations = PgMigrator.layer({
  table: "book_migrations",
  loader: PgMigrator.fromRecord({
    "0001_create_books": Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`create table books (
        id int primary key generated always as identity,
        title text not null,
        pages int not null,
        added_at timestamptz not null
      )`
    }),
    "0002_index_pages": Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`create index books_by_pages on books (pages)`
    })
  })
})

const books = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const repository = yield* SqlModel.makeRepository(Book, {
    tableName: "books",
    idColumn: "id",
    spanPrefix: "books"
  })
  const longerThan = SqlSchema.findAll({
    Request: Schema.Int,
    Result: Book,
    execute: (pages) => sql`select * from books where pages > ${pages} order by pages`
  })

  const stored = yield* sql.withTransaction(
    Effect.all([
      repository.insert(Book.insert.make({ title: "Notes on the Analytical Engine", pages: 66 })),
      repository.insert(Book.insert.make({ title: "A Compiler for Scientific Problems", pages: 320 }))
    ])
  )
  yield* Console.log(
    "stored:",
    stored.map(({ title }) => title)
  )

  const long = yield* longerThan(100)
  yield* Console.log(
    "longer than 100 pages:",
    long.map(({ title, pages }) => `${title}, ${pages}`)
  )

  yield* Effect.forEach(stored, ({ id }) => repository.delete(id), { discard: true })
  const pools = yield* PoolRegistry.stats
  yield* Console.log("pools:", pools.length)
})

const program = Effect.gen(function* () {
  const pgdb = yield* database
  yield* books.pipe(
    Effect.provide(migrations.pipe(Layer.provideMerge(pgdb.layer), Layer.provideMerge(PG.layer)))
  )
})

NodeRuntime.runMain(Effect.scoped(program).pipe(Effect.provide(NodeServices.layer)))
