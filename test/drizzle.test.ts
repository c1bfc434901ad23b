/** Drizzle's Effect driver: each of its steps does on `pgdb.layer` what it does on `PgClient.layer`. */
import { mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { assert, it } from "@effect/vitest"
import { defineRelations, eq, sql } from "drizzle-orm"
import * as PgDrizzle from "drizzle-orm/effect-postgres"
import { migrate } from "drizzle-orm/effect-postgres/migrator"
import * as pg from "drizzle-orm/pg-core"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { PG, PoolRegistry } from "effect-global-pool"
import { database } from "./support/database.ts"
import { layers } from "./support/driver.ts"
import { folder } from "./support/folder.ts"

const mood = pg.pgEnum("mood", ["sad", "glad"])

const users = pg.pgTable("users", {
  id: pg.integer().primaryKey().generatedAlwaysAsIdentity(),
  name: pg.text().notNull().unique(),
  age: pg.integer()
})

const posts = pg.pgTable("posts", {
  id: pg.integer().primaryKey().generatedAlwaysAsIdentity(),
  author: pg
    .integer()
    .notNull()
    .references(() => users.id),
  title: pg.text().notNull()
})

const adults = pg
  .pgMaterializedView("adults")
  .as((db) => db.select().from(users).where(sql`${users.age} > 17`))

const tables = [
  sql`create type mood as enum ('sad', 'glad')`,
  sql`create table users (id int primary key generated always as identity, name text not null unique, age int)`,
  sql`create table posts (id int primary key generated always as identity, author int not null references users, title text not null)`,
  sql`create materialized view adults as select * from users where age > 17`
]

const relations = defineRelations({ users, posts }, ({ many, one, posts, users }) => ({
  users: { posts: many.posts({ from: users.id, to: posts.author }) },
  posts: { writer: one.users({ from: posts.author, to: users.id }) }
}))

const drizzle = Effect.gen(function* () {
  const db = yield* PgDrizzle.makeWithDefaults({ relations })
  for (const table of tables) yield* db.execute(table)
  return db
})

type Db = Effect.Success<typeof drizzle>

/** What a step gave, or the words of its failure. */
const outcome = <A, E, R>(step: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.result(step), (result) =>
    Result.isSuccess(result) ? result.success : { failed: rootOf(result.failure) }
  )

const rootOf = (error: unknown): string => {
  if (typeof error !== "object" || error === null) return String(error)
  if ("cause" in error && Cause.isCause(error.cause)) return rootOf(Cause.squash(error.cause))
  if (
    "reason" in error &&
    typeof error.reason === "object" &&
    error.reason !== null &&
    "_tag" in error.reason
  )
    return String(error.reason._tag)
  return "_tag" in error ? String(error._tag) : String(error)
}

/** Every step by its name. */
const steps: ReadonlyArray<readonly [string, (db: Db) => Effect.Effect<unknown, unknown>]> = [
  [
    "insert",
    (db) =>
      db.insert(users).values([
        { name: "Ada", age: 36 },
        { name: "Grace", age: 45 }
      ])
  ],
  ["insert returning", (db) => db.insert(users).values({ name: "Alan" }).returning()],
  [
    "insert for posts",
    (db) => db.insert(posts).values({ author: 1, title: "Notes" }).returning({ id: posts.id })
  ],
  [
    "upsert",
    (db) =>
      db
        .insert(users)
        .values({ name: "Ada", age: 37 })
        .onConflictDoUpdate({ target: users.name, set: { age: sql`excluded.age` } })
        .returning()
  ],
  ["keep", (db) => db.insert(users).values({ name: "Ada" }).onConflictDoNothing()],
  ["taken", (db) => db.insert(users).values({ name: "Ada" })],
  ["select", (db) => db.select().from(users).orderBy(users.id)],
  [
    "select columns",
    (db) => db.select({ n: users.name, up: sql<string>`upper(name)` }).from(users).orderBy(users.id)
  ],
  ["distinct", (db) => db.selectDistinctOn([users.age]).from(users).orderBy(users.age)],
  ["join", (db) => db.select().from(users).leftJoin(posts, eq(posts.author, users.id)).orderBy(users.id)],
  [
    "with",
    (db) => {
      const old = db.$with("old").as(db.select().from(users).where(sql`age > 40`))
      return db.with(old).select().from(old)
    }
  ],
  ["count", (db) => db.$count(users)],
  [
    "count where",
    (db) =>
      db
        .select({ n: db.$count(posts, eq(posts.author, users.id)) })
        .from(users)
        .orderBy(users.id)
  ],
  [
    "prepared",
    (db) => {
      const byName = db
        .select()
        .from(users)
        .where(eq(users.name, sql.placeholder("name")))
        .prepare("by_name")
      return Effect.all([byName.execute({ name: "Ada" }), byName.execute({ name: "nobody" })])
    }
  ],
  ["relations", (db) => db.query.users.findMany({ with: { posts: true }, orderBy: { id: "asc" } })],
  ["relation", (db) => db.query.posts.findFirst({ with: { writer: { columns: { name: true } } } })],
  ["no relation", (db) => db.query.users.findFirst({ where: { name: "nobody" } })],
  ["update", (db) => db.update(users).set({ age: sql`age + 1` }).where(eq(users.name, "Ada")).returning()],
  ["delete", (db) => db.delete(users).where(eq(users.name, "Alan")).returning({ name: users.name })],
  [
    "view",
    (db) => Effect.andThen(db.refreshMaterializedView(adults), db.select().from(adults).orderBy(adults.id))
  ],
  ["objects", (db) => db.execute(sql`select 1::int8 as n, array[1, 2] as l`, "objects")],
  ["arrays", (db) => db.execute(sql`select 1 as a, 2 as a`, "arrays")],
  [
    "raw",
    (db) =>
      Effect.map(db.execute(sql`select ${7}::int as n`), ({ command, rowCount, rows }) => ({
        command,
        rowCount,
        rows
      }))
  ],
  ["error", (db) => db.execute(sql`select 1 / 0`)],
  [
    "transaction",
    (db) =>
      db.transaction(
        (tx) =>
          Effect.gen(function* () {
            yield* tx.insert(users).values({ name: "Edsger" })
            yield* Effect.ignore(
              tx.transaction((inner) =>
                Effect.andThen(inner.insert(users).values({ name: "x" }), inner.rollback())
              )
            )
            return yield* tx.execute(sql`show transaction_isolation`, "objects")
          }),
        { isolationLevel: "serializable", accessMode: "read write" }
      )
  ],
  [
    "rollback",
    (db) => db.transaction((tx) => Effect.andThen(tx.insert(users).values({ name: "y" }), tx.rollback()))
  ],
  ["what is left", (db) => db.select({ name: users.name }).from(users).orderBy(users.id)]
]

const migrations = Effect.gen(function* () {
  const place = yield* folder()
  yield* Effect.promise(async () => {
    for (const [name, text] of [
      [
        "20260101000000_one",
        "create table made (n int);\n--> statement-breakpoint\ninsert into made values (1)"
      ],
      ["20260201000000_two", "insert into made values (2)"]
    ] as const) {
      await mkdir(join(place, name))
      await writeFile(join(place, name, "migration.sql"), text)
      await writeFile(join(place, name, "snapshot.json"), "{}")
    }
  })
  return place
})

it.live(
  "every step of a Drizzle program gives the same on pgdb.layer and on its own driver, migrations too",
  () =>
    Effect.gen(function* () {
      const migrationsFolder = yield* migrations
      const given = yield* Effect.forEach(layers, ([, layer]) =>
        Effect.gen(function* () {
          const db = yield* drizzle
          const results: Record<string, unknown> = {}
          for (const [name, step] of steps) results[name] = yield* outcome(step(db))
          yield* migrate(db, { migrationsFolder })
          yield* migrate(db, { migrationsFolder })
          results.migrated = yield* db.execute(sql`select * from made order by n`, "objects")
          return results
        }).pipe(Effect.provide(layer()))
      )
      const [driver, own] = given
      assert.deepStrictEqual(own, driver)
      assert.deepStrictEqual(own?.taken, { failed: "UniqueViolation" })
      assert.deepStrictEqual(own?.relation, { id: 1, author: 1, title: "Notes", writer: { name: "Ada" } })
      assert.deepStrictEqual(own?.["what is left"], [{ name: "Ada" }, { name: "Grace" }, { name: "Edsger" }])
      assert.deepStrictEqual(own?.migrated, [{ n: 1 }, { n: 2 }])
    })
)

const at = new Date("2026-03-01T15:30:00.123Z")

/** Every column type of Drizzle's, with a value. */
const columns = {
  bigintNumber: [pg.bigint({ mode: "number" }), 2 ** 53 - 1],
  bigintBig: [pg.bigint({ mode: "bigint" }), 2n ** 62n],
  bit: [pg.bit({ dimensions: 3 }), "101"],
  bool: [pg.boolean(), true],
  bytea: [pg.bytea(), Buffer.from("ab")],
  char: [pg.char({ length: 2 }), "ab"],
  cidr: [pg.cidr(), "10.0.0.0/8"],
  dateDate: [pg.date({ mode: "date" }), new Date("2026-03-01")],
  dateString: [pg.date({ mode: "string" }), "2026-03-01"],
  double: [pg.doublePrecision(), 1.5],
  enumeration: [mood(), "glad"],
  inet: [pg.inet(), "10.0.0.1"],
  int: [pg.integer(), 1],
  ints: [pg.integer().array(), [1, 2]],
  interval: [pg.interval(), "1 day 02:00:00"],
  json: [pg.json(), { a: [1] }],
  jsonb: [pg.jsonb(), { a: [1] }],
  line: [pg.line({ mode: "abc" }), { a: 1, b: 2, c: 3 }],
  macaddr: [pg.macaddr(), "08:00:2b:01:02:03"],
  numeric: [pg.numeric(), "12.30"],
  numericNumber: [pg.numeric({ mode: "number" }), 12.5],
  numericBig: [pg.numeric({ mode: "bigint" }), 12n],
  point: [pg.point({ mode: "xy" }), { x: 1, y: 2 }],
  pointTuple: [pg.point({ mode: "tuple" }), [1, 2]],
  real: [pg.real(), 1.1],
  small: [pg.smallint(), 1],
  text: [pg.text(), "ä"],
  texts: [pg.text().array(), ["a", 'b"c', "d,e"]],
  time: [pg.time(), "15:30:00"],
  timestampDate: [pg.timestamp({ mode: "date" }), at],
  timestampString: [pg.timestamp({ mode: "string" }), "2026-03-01 15:30:00.123"],
  timestamptzDate: [pg.timestamp({ mode: "date", withTimezone: true }), at],
  timestamptzs: [pg.timestamp({ mode: "date", withTimezone: true }).array(), [at]],
  uuid: [pg.uuid(), "5ff1a1ce-3f2a-4b13-9b65-6f3a3d1c9a55"],
  varchar: [pg.varchar({ length: 5 }), "abc"]
} as const

it.live("Drizzle's values of every column type come back alike on both", () =>
  Effect.gen(function* () {
    const given = yield* Effect.forEach(layers, ([, layer]) =>
      Effect.gen(function* () {
        const db = yield* PgDrizzle.makeWithDefaults()
        yield* db.execute(sql`create type mood as enum ('sad', 'glad')`)
        const results: Record<string, unknown> = {}
        for (const [name, [column, value]] of Object.entries(columns)) {
          const table = pg.pgTable(`t_${name}`, { v: column })
          const type =
            table.v.getSQLType() + "[]".repeat(Array.isArray(value) && !name.startsWith("point") ? 1 : 0)
          yield* db.execute(sql.raw(`create table "t_${name}" (v ${type.replace(/(\[\])+$/, "[]")})`))
          results[name] = yield* outcome(
            Effect.gen(function* () {
              // Each value is of its own column's type, which the compiler does not follow through the list.
              yield* db.insert(table).values({ v: value } as never)
              const [row] = yield* db.select().from(table)
              return row?.v
            })
          )
        }
        return results
      }).pipe(Effect.provide(layer()))
    )
    const [driver, own] = given
    const wrong = Object.entries(columns).filter(([name, [, value]]) => {
      const it = own?.[name]
      return (
        JSON.stringify(it, print) !== JSON.stringify(driver?.[name], print) &&
        JSON.stringify(it, print) !== JSON.stringify(value, print)
      )
    })
    assert.deepStrictEqual(
      wrong.map(([name]) => [name, driver?.[name], own?.[name]]),
      []
    )
    const lost = Object.keys(columns).filter((name) => JSON.stringify(own?.[name], print)?.includes("failed"))
    assert.deepStrictEqual(lost, [])
  })
)

const print = (_: string, value: unknown) => (typeof value === "bigint" ? `${value}n` : value)

it.live("Drizzle's statements join pgdb.transaction, and a handle's join its transactions", () =>
  Effect.gen(function* () {
    const { settings, witness } = yield* database()
    const pgdb = PG.make(settings)
    yield* Effect.gen(function* () {
      const db = yield* drizzle
      const handle = pgdb.table("users")
      const both = Effect.gen(function* () {
        yield* db.insert(users).values({ name: "Ada" })
        yield* handle.insert({ name: "Grace" })
        assert.strictEqual(yield* db.$count(users), 2)
        assert.deepStrictEqual(yield* witness.query("select * from users"), [])
        return yield* Effect.fail("no" as const)
      })
      assert.strictEqual(yield* Effect.flip(pgdb.transaction(both)), "no")
      assert.strictEqual(yield* Effect.flip(db.transaction(() => both)), "no")
      assert.strictEqual(yield* handle.count(), 0)
    }).pipe(Effect.provide(Layer.provideMerge(pgdb.layer, PoolRegistry.layer())))
  })
)
