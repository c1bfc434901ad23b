/**
 * Names are names: of databases, schemas, tables and columns, with capitals, spaces, quotes, dots and letters of any script;
 * and values are values, whatever SQL they look like.
 */
import { randomBytes } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { PG, PoolRegistry } from "effect-global-pool"
import * as fc from "fast-check"
import { quoteTable } from "../src/statement/Names.ts"
import { database } from "./support/database.ts"
import { withDatabase } from "./support/handle.ts"

const quote = (name: string) => `"${name.replaceAll('"', '""')}"`

const names = [
  "Capitals",
  "with spaces ",
  'we"ird.Name',
  "ta'ble",
  "semi;colon -- no comment",
  "naïve Größe",
  "таблица",
  "表 名",
  "🐘",
  "select",
  "a$1",
  "a\\b",
  "per%cent",
  "line\nbreak"
]

describe("tables and columns", () => {
  for (const name of names) {
    withDatabase(JSON.stringify(name), [], ({ pgdb, witness }) =>
      Effect.gen(function* () {
        yield* witness.query(`create table ${quote(name)} (${quote(name)} text, id int)`)
        const table = pgdb.table(name)
        yield* table.execute`insert into ${table} (${PG.id(name)}, id) values (${name}, ${1})`
        const row = { [name]: name, id: 1 }
        assert.deepStrictEqual(yield* table.select`select * from ${table} where ${PG.id(name)} = ${name}`, [
          row
        ])
        assert.deepStrictEqual(yield* table.find({ [name]: name }), [row])
        assert.deepStrictEqual(yield* table.insert(row), row)
        assert.strictEqual(table.name, name)
        assert.include(String(table), quote(name))
      })
    )
  }
})

describe("schemas", () => {
  withDatabase("a table in another schema", [], ({ pgdb, witness }) =>
    Effect.gen(function* () {
      yield* witness.query("create schema audit")
      yield* witness.query("create table audit.events (id int)")
      yield* witness.query("insert into audit.events values (1)")
      const events = pgdb.table("audit.events")
      assert.deepStrictEqual(yield* events.select`select * from ${events}`, [{ id: 1 }])
      assert.deepStrictEqual(yield* events.find({ id: 1 }), [{ id: 1 }])
    })
  )

  withDatabase("names with quotes and dots on both sides of the dot", [], ({ pgdb, witness }) =>
    Effect.gen(function* () {
      const places: ReadonlyArray<readonly [written: string, schema: string, table: string]> = [
        ["audit.events", "audit", "events"],
        ['"audit.events"', "public", "audit.events"],
        ['we"ird.Name', "public", 'we"ird.Name'],
        ['"we""ird".Name', 'we"ird', "Name"],
        ['"my.schema"."my.table"', "my.schema", "my.table"],
        ['Other."we""ird.Name"', "Other", 'we"ird.Name'],
        ["Other.two.dots", "Other", "two.dots"],
        ['Other.We "ird', "Other", 'We "ird'],
        ['"""quoted"""', "public", '"quoted"'],
        [".dot", "public", ".dot"],
        ["dot.", "public", "dot."]
      ]
      for (const [written, schema, name] of places) {
        yield* witness.query(`create schema if not exists ${quote(schema)}`)
        yield* witness.query(`create table ${quote(schema)}.${quote(name)} (written text)`)
        yield* witness.query(`insert into ${quote(schema)}.${quote(name)} values ($1)`, [written])
      }
      for (const [written] of places) {
        const table = pgdb.table(written)
        assert.deepStrictEqual(yield* table.select`select * from ${table}`, [{ written }])
        assert.deepStrictEqual(yield* table.find(), [{ written }])
      }
    })
  )

  it("any two names can be written so that they mean themselves", () => {
    const name = fc.string({ minLength: 1, unit: "binary" })
    fc.assert(
      fc.property(name, name, (schema, table) => {
        assert.strictEqual(quoteTable(quote(table)), quote(table))
        assert.strictEqual(quoteTable(`${quote(schema)}.${quote(table)}`), `${quote(schema)}.${quote(table)}`)
      })
    )
  })

  it("nothing that is written comes out of its quotes", () => {
    const piece = fc.constantFrom('"', ".", "a", " ", ";", "'", "--", '""', "\n", "é")
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 12 }), (pieces) => {
        assert.match(quoteTable(pieces.join("")), /^"(?:[^"]|"")*"(?:\."(?:[^"]|"")*")?$/)
      }),
      { numRuns: 5_000 }
    )
  })
})

describe("types", () => {
  withDatabase(
    "a type with the name of a built-in one is written as what it is",
    [
      "create schema app",
      "create type app.json as (a int, b text)",
      "create type app.jsonb as enum ('x', 'y')",
      "create type app.int8 as enum ('99999999999999999999')",
      "create table t (id int primary key, pair app.json, pairs app.json[], word app.jsonb, words app.jsonb[], big app.int8)"
    ],
    ({ pgdb, witness }) =>
      Effect.gen(function* () {
        const t = pgdb.table("t")
        const pair = { a: 1, b: "x" }
        const big = "99999999999999999999"
        const others = { pair, pairs: [pair, null], word: "x", words: ["y", "x"], big }
        const rows = [1, 2, 3, 4].map((id) => ({ id, ...others }))
        const [first, second, third, fourth] = rows
        assert.deepStrictEqual(yield* t.insert(first!), first)
        yield* t.insertMany([second!])
        yield* t.insertStream(Stream.make(third!))
        yield* t.execute("insert into t values ($1, $2, $3, $4, $5, $6)", Object.values(fourth!))
        yield* t.upsert({ ...first!, pair: { a: 2, b: "y" } }, { on: "id" })
        yield* t.update({ id: 1 }, { pair, big: BigInt(big) })
        assert.deepStrictEqual(yield* t.find({ word: "x" }, { orderBy: { id: "asc" } }), rows)
        const told = yield* witness.query("select distinct pair::text, pairs::text, words::text from t")
        assert.deepStrictEqual(told, [{ pair: "(1,x)", pairs: '{"(1,x)",NULL}', words: "{y,x}" }])
      })
  )
})

describe("databases", () => {
  for (const name of [
    "Capitals and spaces",
    'we"ird.Name',
    "it's",
    "база данных",
    "数据库",
    "50% / ? # @ : &"
  ]) {
    it.live(name, () =>
      Effect.gen(function* () {
        const own = `${name} ${randomBytes(4).toString("hex")}`
        const { settings, url } = yield* database(own)
        const current = "select current_database()"
        assert.deepStrictEqual(yield* PG.make(settings).selectValue(current), Option.some(own))
        assert.deepStrictEqual(yield* PG.make(url).selectValue(current), Option.some(own))
        const [pool] = yield* PoolRegistry.stats
        assert.strictEqual(pool?.key, own)
      }).pipe(Effect.provide(PoolRegistry.layer()))
    )
  }
})

withDatabase("a user whose name and password have every kind of letter", [], ({ settings, witness }) =>
  Effect.gen(function* () {
    const username = `Ünï "ö" @:/?#% ${settings.database}`
    const password = `pässwörd '"\\ @:/?#[]% 密码`
    yield* Effect.acquireRelease(
      witness.query(`create role ${quote(username)} login password '${password.replaceAll("'", "''")}'`),
      () => Effect.orDie(witness.query(`drop role ${quote(username)}`))
    )
    const { database, host, port } = settings
    const url = `postgres://${encodeURIComponent(username)}:${encodeURIComponent(password)}@${host}:${port}/${database}`
    for (const given of [{ ...settings, username, password }, url]) {
      const pgdb = PG.make(given)
      assert.deepStrictEqual(yield* pgdb.selectValue("select current_user::text"), Option.some(username))
      yield* pgdb.terminate
    }
  })
)

withDatabase(
  "a value that is SQL is data",
  ["create table users (id serial, name text)", "insert into users (name) values ('Ann')"],
  ({ pgdb }) =>
    Effect.gen(function* () {
      const users = pgdb.table("users")
      const attacks = [
        "'; drop table users; --",
        "' or '1'='1",
        "\\'; drop table users; --",
        "$1",
        "*/ drop table users /*",
        "Ann'||pg_sleep(1)||'"
      ]
      for (const attack of attacks) {
        assert.deepStrictEqual(yield* users.select`select name from ${users} where name = ${attack}`, [])
        assert.deepStrictEqual(yield* users.select("select name from users where name = $1", [attack]), [])
        assert.deepStrictEqual(yield* users.find({ name: attack }), [])
        assert.deepStrictEqual(
          yield* users.selectValue`insert into ${users} (name) values (${attack}) returning name`,
          Option.some(attack)
        )
        const [, outcome] = yield* users.trans([
          PG.sql`update users set name = ${attack} where name = ${attack}`,
          ["select name from users where name = $1", [attack]]
        ])
        assert.deepStrictEqual(outcome?.rows, [{ name: attack }])
      }
      assert.deepStrictEqual(
        yield* users.selectValue`select count(*) from ${users}`,
        Option.some(attacks.length + 1)
      )
    })
)
