/**
 * What compiles over generated types and what does not. The compilers that users have check this file, with their options:
 * `test/typescript.test.ts`. It is never run.
 */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { PG, type PoolRegistry } from "effect-global-pool"
import type { Authors, Posts, PublishedPosts, Tables } from "./db.ts"

/** Holds where two types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <A, B>(_: Same<A, B>): void => undefined
type Program<A> = Effect.Effect<A, PG.OperationError, PoolRegistry>

// What a module exports has types that it can name.
export const pgdb = PG.make<Tables>("postgres://localhost/app")
export const authors = pgdb.table("authors")
export const posts = pgdb.table("posts")
export const published = pgdb.table("published_posts")
export const found = posts.find({ tags: { $contains: ["a"] } }, { columns: ["id", "views"] })
export const changed = posts.update({ id: "x" }, { views: { $inc: 1 } }, { returning: ["views"] })
export const Author = Schema.Struct({ id: Schema.Number, name: Schema.String })
export const decoded = pgdb.table("authors", Author)
export const fromEnvironment = Effect.map(PG.fromEnv, PG.typed<Tables>)
export const anything = PG.make("postgres://localhost/app").table("anything")

// Rows that come out.
same<typeof pgdb, PG.Database<Tables>>(true)
same<ReturnType<typeof authors.find>, Program<ReadonlyArray<Pick<Authors, keyof Authors>>>>(true)
same<typeof found, Program<ReadonlyArray<Pick<Posts, "id" | "views">>>>(true)
const firstView = published.findOne()
same<typeof firstView, Program<Option.Option<Pick<PublishedPosts, keyof PublishedPosts>>>>(true)
const stored = authors.insert({ email: "ada@example.org", name: "Ada" })
same<typeof stored, Program<Authors>>(true)
const number = authors.insertMany([{ email: "a", name: "b" }])
same<typeof number, Program<number>>(true)
const rows = authors.insertMany([{ email: "a", name: "b" }], { returning: true })
same<typeof rows, Program<ReadonlyArray<Authors>>>(true)
const emails = authors.delete({ id: 1 }, { returning: ["email"] })
same<typeof emails, Program<ReadonlyArray<Pick<Authors, "email">>>>(true)
same<typeof changed, Program<ReadonlyArray<Pick<Posts, "views">>>>(true)
const upserted = authors.upsert({ email: "a", name: "b" }, { on: "email", returning: ["id"] })
same<typeof upserted, Program<ReadonlyArray<Pick<Authors, "id">>>>(true)
const roles = authors.distinct("role")
same<typeof roles, Program<ReadonlyArray<"reader" | "author">>>(true)
const selected = authors.select`select * from authors`
same<typeof selected, Program<ReadonlyArray<Authors>>>(true)
const pairs = pgdb.select<readonly [number, string]>("select 1, 'a'", { rowsAs: "array" })
same<typeof pairs, Program<ReadonlyArray<readonly [number, string]>>>(true)

// What goes in.
authors.insert({ email: "a", name: "b", role: "author", joined: "2026-03-01 12:00Z" })
authors.insert({ email: "a", name: "b", role: undefined, joined: new Date() })
posts.insert({ author: 1, title: "t", body: "b", tags: ["x"], views: 1n, published: null })
posts.insertMany([{ author: 1, title: "t", body: "b" }])
posts.insertStream(Stream.make({ author: 1, title: "t", body: "b" }))
posts.upsert({ id: "x", author: 1, title: "t", body: "b" }, { on: "id", update: { views: { $inc: 1 } } })
posts.update({ published: null }, { published: PG.sql`now()`, views: { $inc: 2 }, title: "t" })
posts.find({ $or: [{ title: { $startsWith: "A" } }, { views: { $between: [1, 5] } }] })
posts.find(PG.sql`title = body`, { orderBy: { views: "desc" }, limit: 3 })
pgdb.run((self) => self.table("posts").count())

// @ts-expect-error There is no such table.
pgdb.table("author")
// @ts-expect-error Nor for a schema.
pgdb.table("author", Author)
// @ts-expect-error A required column is missing.
authors.insert({})
// @ts-expect-error Each of them.
authors.insert({ email: "a" })
// @ts-expect-error NULL in a column that takes none.
authors.insert({ email: "a", name: null })
// @ts-expect-error There is no such column.
authors.insert({ email: "a", name: "b", age: 1 })
// @ts-expect-error A value of another type.
authors.insert({ email: "a", name: 1 })
// @ts-expect-error No value of the enum.
authors.insert({ email: "a", name: "b", role: "editor" })
// @ts-expect-error The server gives the identity.
authors.insert({ id: 1, email: "a", name: "b" })
// @ts-expect-error A generated column.
posts.insert({ author: 1, title: "t", body: "b", words: 1 })
// @ts-expect-error A required column is missing in one of the rows.
posts.insertMany([{ author: 1, title: "t" }])
// @ts-expect-error In a row of a stream.
posts.insertStream(Stream.make({ author: 1, title: "t" }))
// @ts-expect-error A view takes no rows.
published.insert({ title: "t" })
// @ts-expect-error A view that cannot be changed.
published.update({}, { title: "t" })
// @ts-expect-error The row lacks the column of on.
posts.upsert({ author: 1, title: "t", body: "b" }, { on: "id" })
// @ts-expect-error There is no such column to be on.
posts.upsert({ author: 1, title: "t", body: "b" }, { on: "slug" })
// @ts-expect-error There is no such column to change.
posts.upsert({ id: "x", author: 1, title: "t", body: "b" }, { on: "id", update: ["slug"] })
// @ts-expect-error A change of a column that is not there.
posts.update({}, { slug: "x" })
// @ts-expect-error A change to a value of another type.
posts.update({}, { title: 1 })
// @ts-expect-error A change of a generated column.
posts.update({}, { words: 3 })
// @ts-expect-error A change of an identity.
authors.update({}, { id: 3 })
// @ts-expect-error Nothing is added to a date.
posts.update({}, { published: { $inc: "1" } })
// @ts-expect-error NULL in a column that takes none.
posts.update({}, { title: null })
// @ts-expect-error A filter on a column that is not there.
posts.find({ slug: "x" })
// @ts-expect-error A filter by a value of another type.
posts.find({ views: "many" })
// @ts-expect-error A filter by no value of the enum.
authors.find({ role: "editor" })
// @ts-expect-error An operator for texts on a number.
posts.find({ views: { $startsWith: "1" } })
// @ts-expect-error A range has two ends.
posts.find({ views: { $between: [1] } })
// @ts-expect-error The ends are of the column's type.
posts.find({ views: { $between: ["a", "b"] } })
// @ts-expect-error There is no such operator.
posts.find({ views: { $near: 1 } })
// @ts-expect-error Elements of another type.
posts.find({ tags: { $contains: [1] } })
// @ts-expect-error A column that is not there, inside of $or.
posts.count({ $or: [{ slug: "x" }] })
// @ts-expect-error There is no such column to read.
posts.find({}, { columns: ["slug"] })
// @ts-expect-error There is no such column to order by.
posts.find({}, { orderBy: { slug: "asc" } })
// @ts-expect-error Up and down only.
posts.find({}, { orderBy: { title: "up" } })
// @ts-expect-error There is no such column to return.
posts.delete({}, { returning: ["slug"] })
// @ts-expect-error Columns that were not asked for are not there.
Effect.map(found, ([post]) => post?.title)
// @ts-expect-error Nor in rows that were changed.
Effect.map(changed, ([post]) => post?.id)
// @ts-expect-error A number of rows is no row.
Effect.map(number, ([author]) => author)
// @ts-expect-error There is no such column.
posts.distinct("slug")
// @ts-expect-error Rows by position are asked for by one word.
pgdb.select("select 1", [], { rowsAs: "object" })
// @ts-expect-error Codecs have both directions.
PG.make({ types: { date: { decode: (text: string) => text } } })
// @ts-expect-error Two kinds of names.
PG.make({ names: "snake" })
