/** Models as a table's schema: what goes in is of their insert and update variants. */
import { assert, expectTypeOf } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Model from "effect/schema/Model"
import type { PG, PoolRegistry } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"

class User extends Model.Class<User>("User")({
  id: Model.GeneratedByDb(Schema.Int),
  email: Schema.NonEmptyString,
  note: Model.FieldOption(Schema.String),
  created: Model.DateTimeInsertFromDate,
  updated: Model.DateTimeUpdateFromDate
}) {}

const tables = [
  `create table users (
    id int primary key generated always as identity, email text not null unique, note text,
    created timestamptz not null, updated timestamptz not null
  )`
]

const old = DateTime.makeUnsafe("2020-01-01T00:00:00Z")

withDatabase(
  "a model's insert variant is what goes in, its defaults filled in",
  tables,
  ({ pgdb, witness }) =>
    Effect.gen(function* () {
      const users = pgdb.table("users", User)
      const before = Date.now()
      const ada = yield* users.insert({ email: "ada@example.org", note: Option.none() })
      expectTypeOf(ada).toEqualTypeOf<User>()
      assert.instanceOf(ada, User)
      assert.strictEqual(ada.id, 1)
      assert.isAtLeast(ada.created.epochMilliseconds, before)
      const more = [
        { email: "grace@example.org", note: Option.some("navy") },
        { email: "alan@example.org", note: Option.none() }
      ]
      assert.strictEqual(yield* users.insertMany(more), 2)
      assert.strictEqual(
        yield* users.insertStream(Stream.make({ email: "kay@example.org", note: Option.none() })),
        1
      )
      const notes = yield* witness.query("select note from users where created >= $1 order by id", [
        new Date(before)
      ])
      assert.deepStrictEqual(notes, [{ note: null }, { note: "navy" }, { note: null }, { note: null }])
      const again = { email: "ada@example.org", note: Option.some("again") }
      const [upserted] = yield* users.upsert(again, { on: "email", returning: ["id", "note"] })
      assert.deepStrictEqual({ ...upserted }, { id: 1, note: Option.some("again") })

      const misfit = yield* Effect.flip(users.insertMany([...more, { email: "", note: Option.none() }]))
      assert.match(misfit.message, /users\.insertMany, row 3, column "email"/)
      const strange: typeof again = { ...again, ...JSON.parse('{"id":7}') }
      assert.match((yield* Effect.flip(users.insert(strange))).message, /column "id"/)
      assert.strictEqual(yield* users.count(), 4)

      // @ts-expect-error The database gives the id.
      users.insert({ id: 1, email: "a", note: Option.none() })
      // @ts-expect-error A required column is missing.
      users.insert({ note: Option.none() })
      // @ts-expect-error The insert variant has an Option here.
      users.insert({ email: "a", note: "text" })
      expectTypeOf(users.find()).toEqualTypeOf<
        Effect.Effect<ReadonlyArray<User>, PG.OperationError | Schema.SchemaError, PoolRegistry>
      >()
    })
)

withDatabase("a model's update variant is what changes, its defaults filled in", tables, ({ pgdb }) =>
  Effect.gen(function* () {
    const users = pgdb.table("users", User)
    const { id } = yield* users.insert({ email: "ada@example.org", note: Option.none() })
    yield* pgdb.execute`update users set created = ${new Date(0)}, updated = ${new Date(0)}`
    const before = Date.now()
    const [changed] = yield* users.update({ id }, { note: Option.some("new") }, { returning: true })
    assert.deepStrictEqual(changed?.note, Option.some("new"))
    assert.isAtLeast(changed?.updated.epochMilliseconds ?? 0, before)
    assert.strictEqual(changed?.created.epochMilliseconds, 0)

    const given = Model.Override(old)
    assert.strictEqual(yield* users.update({ id }, { updated: given }), 1)
    assert.strictEqual((yield* users.find())[0]?.updated.epochMilliseconds, old.epochMilliseconds)
    const conflicting = { email: "ada@example.org", note: Option.none() }
    yield* users.upsert(conflicting, { on: "email", update: { note: Option.some("kept") } })
    const [kept] = yield* users.find({ note: Option.some("kept") })
    assert.isAtLeast(kept?.updated.epochMilliseconds ?? 0, before)

    // @ts-expect-error The database gives the id.
    users.update({}, { id: 2 })
    // @ts-expect-error Nothing changes when a row was made.
    users.update({}, { created: given })
  })
)

class Named extends Schema.Class<Named>("Named")({ id: Schema.Int, email: Schema.String }) {
  get shout() {
    return this.email.toUpperCase()
  }
}

withDatabase("a class is a schema too, whose rows are its instances", tables, ({ pgdb }) =>
  Effect.gen(function* () {
    yield* pgdb.execute`insert into users (email, created, updated) values ('a@b', now(), now())`
    const [first] = yield* pgdb.table("users", Named).find()
    assert.strictEqual(first?.shout, "A@B")
  })
)

class Note extends Model.Class<Note>("Note")({
  id: Model.UuidV4Insert(Schema.String.pipe(Schema.brand("NoteId"))),
  slug: Schema.String,
  text: Schema.String,
  state: Schema.String.pipe(Schema.withConstructorDefault(Effect.succeed("new"))),
  created: Model.DateTimeInsertFromDate,
  updated: Model.DateTimeUpdateFromDate
}) {}

const noteTables = [
  `create table notes (
    id uuid primary key, slug text not null unique, text text not null, state text not null,
    created timestamptz not null, updated timestamptz not null
  )`
]

withDatabase("an upsert keeps what a model makes for new rows alone", noteTables, ({ pgdb }) =>
  Effect.gen(function* () {
    const notes = pgdb.table("notes", Note)
    const first = yield* notes.insert({ slug: "a", text: "one", state: "read" })
    yield* pgdb.execute`update notes set created = ${new Date(0)}, updated = ${new Date(0)}`
    const kept = { id: first.id, state: "read", created: DateTime.makeUnsafe(0) }
    const columns = ["id", "text", "state", "created"] as const
    const options = { on: "slug", returning: [...columns, "updated"] } as const

    const [one] = yield* notes.upsert({ slug: "a", text: "two" }, options)
    assert.isAbove(one?.updated.epochMilliseconds ?? 0, 0)
    assert.deepStrictEqual({ ...one, updated: undefined }, { ...kept, text: "two", updated: undefined })

    const many = [
      { slug: "a", text: "three" },
      { slug: "b", text: "four" }
    ]
    assert.strictEqual(yield* notes.upsert(many, { on: "slug" }), 2)
    assert.deepStrictEqual(yield* notes.find({ slug: "a" }, { columns }), [{ ...kept, text: "three" }])
    assert.deepStrictEqual(yield* notes.distinct("state", { slug: "b" }), ["new"])

    const [given] = yield* notes.upsert({ slug: "a", text: "three", state: "done" }, options)
    assert.deepStrictEqual([given?.id, given?.state], [first.id, "done"])
    const named = { on: "slug", update: ["state"], returning: ["state"] } as const
    assert.deepStrictEqual(yield* notes.upsert({ slug: "a", text: "" }, named), [{ state: "new" }])

    const mixed = [
      { slug: "a", text: "five" },
      { slug: "b", text: "six", state: "done" }
    ]
    const error = yield* Effect.flip(notes.upsert(mixed, { on: "slug" }))
    assert.match(error.message, /row 2 and row 1 leave other columns to the schema's defaults.*Name those/)
    assert.strictEqual(yield* notes.count({ text: "three" }), 1)
  })
)

withDatabase("an update leaves alone what has a default for new rows", noteTables, ({ pgdb }) =>
  Effect.gen(function* () {
    const notes = pgdb.table("notes", Note)
    const { id } = yield* notes.insert({ slug: "a", text: "one", state: "read" })
    const [changed] = yield* notes.update({ id }, { text: "two" }, { returning: ["state", "text"] })
    assert.deepStrictEqual(changed, { state: "read", text: "two" })
  })
)
