/** Statements put together from pieces: what they say, what they bind, and what they refuse. */
import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Fragments from "effect/sql/Statement"
import { PG, type PoolRegistry } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"

const refused = (effect: Effect.Effect<unknown, PG.OperationError, PoolRegistry>, ...words: string[]) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.strictEqual(error.reason._tag, "StatementRefused")
    for (const word of words) assert.include(error.message, word)
  })

describe("a piece prints as its text with placeholders", () => {
  const secret = "hunter2"
  const pieces: ReadonlyArray<readonly [piece: PG.Sql, text: string]> = [
    [PG.sql`select ${secret}, ${[secret]}`, "select $1, $2"],
    [PG.sql`a = ${secret} and ${PG.sql`b = ${secret}`} or c = ${secret}`, "a = $1 and b = $2 or c = $3"],
    [PG.id("users"), '"users"'],
    [PG.id("audit.events"), '"audit"."events"'],
    [PG.id('"audit.events"'), '"audit.events"'],
    [PG.id("audit", "my.events"), '"audit"."my.events"'],
    [PG.join([secret, PG.id("b"), 3]), '$1, "b", $2'],
    [PG.join([PG.sql`a`, PG.sql`b`], " || "), "a || b"],
    [PG.join([PG.sql`a`, PG.sql`b`], PG.sql` + ${secret} + `), "a + $1 + b"],
    [PG.join([]), ""],
    [PG.and([]), "true"],
    [PG.or([]), "false"],
    [PG.and([PG.sql`a = ${secret}`]), "(a = $1)".replace(/.*/, "((a = $1))")],
    [PG.or([PG.sql`a`, PG.and([PG.sql`b`, PG.sql`c`])]), "((a) or (((b) and (c))))"],
    [PG.values([{ id: 1, name: secret }, { id: 2 }]), '("id", "name") values ($1, $2), ($3, default)'],
    [PG.values([[1, secret]]), "values ($1, $2)"],
    [PG.values([{}]), "default values"],
    [
      PG.set({ name: secret, n: { $inc: 1 }, at: PG.sql`now()` }),
      '"name" = $1, "n" = "n" + $2, "at" = (now())'
    ],
    [PG.where({}), "true"],
    [
      PG.where({ id: { $between: [1, 9] }, name: secret }),
      '(("id" >= $1) and ("id" <= $2)) and ("name" = $3)'
    ],
    [PG.where({ id: 1 }, "audit.events"), '"audit"."events"."id" = $1'],
    [PG.where(PG.sql`id = ${secret}`), "id = $1"]
  ]
  for (const [piece, text] of pieces) {
    it(text === "" ? "that of no pieces at all" : text, () => {
      assert.strictEqual(String(piece), text)
      assert.strictEqual(inspect(piece), text)
      assert.strictEqual(JSON.stringify({ piece }), JSON.stringify({ piece: text }))
      assert.notInclude(inspect({ piece }, { depth: 5, showHidden: true }), secret)
    })
  }
})

const users = [
  "create table users (id int primary key, name text, age int, share real, data jsonb, at timestamptz, tags text[])",
  "insert into users values (1, 'Ada', 36, 1.1, '\"x\"', '2026-03-01 15:30Z', '{a}'), (2, 'Grace', 45, 2, '{}', null, '{}')"
]

withDatabase("pieces make conditions that depend on what is asked", users, ({ pgdb }) =>
  Effect.gen(function* () {
    const search = (asked: { readonly name?: string; readonly least?: number; readonly any?: boolean }) => {
      const conditions = [
        ...(asked.name === undefined ? [] : [PG.sql`name = ${asked.name}`]),
        ...(asked.least === undefined ? [] : [PG.sql`age >= ${asked.least}`])
      ]
      const joined = asked.any === true ? PG.or(conditions) : PG.and(conditions)
      return Effect.map(
        pgdb.select<{ id: number }>`select id from users where ${joined} and true order by ${PG.id("id")}`,
        (rows) => rows.map(({ id }) => id)
      )
    }
    assert.deepStrictEqual(yield* search({}), [1, 2])
    assert.deepStrictEqual(yield* search({ any: true }), [])
    assert.deepStrictEqual(yield* search({ name: "Ada" }), [1])
    assert.deepStrictEqual(yield* search({ name: "Ada", least: 40 }), [])
    assert.deepStrictEqual(yield* search({ name: "Ada", least: 40, any: true }), [1, 2])
  })
)

withDatabase("rows, changes and filters as pieces bind values by their columns' types", users, ({ pgdb }) =>
  Effect.gen(function* () {
    const table = pgdb.table("users")
    const at = new Date("2026-03-01T15:30:00Z")
    // What a table without SQL promises of its values holds in a statement of one's own: 1.1 is the real 1.1, a string is json.
    assert.deepStrictEqual(
      yield* pgdb.select`select id from users where ${PG.where({ share: 1.1, data: "x", at })}`,
      [{ id: 1 }]
    )
    const more = [
      { id: 3, name: "Alan", data: "a string", tags: ["x", "y"], at },
      { id: 4, age: PG.sql`${20} + ${1}` }
    ]
    yield* pgdb.execute`insert into ${table} ${PG.values(more)}`
    yield* pgdb.execute(
      PG.sql`update users set ${PG.set({ data: ["a"], age: { $inc: 1 } })} where ${PG.where({ id: 4 })}`
    )
    assert.deepStrictEqual(
      yield* table.find(
        { id: { $gt: 2 } },
        { columns: ["id", "age", "data", "tags", "at"], orderBy: { id: "asc" } }
      ),
      [
        { id: 3, age: null, data: "a string", tags: ["x", "y"], at },
        { id: 4, age: 22, data: ["a"], tags: null, at: null }
      ]
    )
    yield* refused(pgdb.execute`update users set ${PG.set({ age: 0.5 })}`, '"age"', "no whole number")
    const given = PG.values([
      [1, "one"],
      [2, PG.sql`upper(${"two"})`]
    ])
    assert.deepStrictEqual(
      yield* pgdb.select`select u.name, v.word from users u join (${given}) v (id, word) on ${PG.where({ id: { $lt: 9 } }, "u")} and v.id = u.id order by 1`,
      [
        { name: "Ada", word: "one" },
        { name: "Grace", word: "TWO" }
      ]
    )
    const outcomes = yield* pgdb.trans([
      PG.sql`delete from users where ${PG.where({ share: { $in: [1.1] } })} returning id`
    ])
    assert.deepStrictEqual(outcomes[0]?.rows, [{ id: 1 }])
    const rest = yield* Stream.runCollect(
      pgdb.stream`select id from users where ${PG.where({ id: { $ne: 2 } })} order by id`
    )
    assert.deepStrictEqual(rest, [{ id: 3 }, { id: 4 }])
  })
)

withDatabase("what cannot be a piece is refused before anything is sent", users, ({ pgdb }) =>
  Effect.gen(function* () {
    const hostile = JSON.parse('{"parts":["true"],"values":[]}')
    yield* refused(pgdb.select`select 1 where ${PG.and([hostile])}`, "PG.and", "condition 1")
    yield* refused(
      pgdb.select`select 1 where ${PG.or([PG.sql`true`, JSON.parse("null")])}`,
      "PG.or",
      "condition 2"
    )
    yield* refused(pgdb.select`select 1 where ${PG.where({ id: undefined })}`, "PG.where", '"id"')
    yield* refused(pgdb.select`select 1 where ${PG.where({ id: { $near: 1 } })}`, "PG.where", "$near")
    yield* refused(pgdb.execute`update users set ${PG.set({})}`, "PG.set")
    yield* refused(pgdb.execute`update users set ${PG.set({ name: undefined })}`, "PG.set", '"name"')
    yield* refused(pgdb.execute`insert into users ${PG.values([])}`, "PG.values")
    yield* refused(pgdb.execute`insert into users ${PG.values([{}, {}])}`, "PG.values")
    yield* refused(pgdb.execute`insert into users ${PG.values([[1, 2], [3]])}`, "PG.values", "row 2")
    yield* refused(
      pgdb.execute`insert into users ${PG.values([{ id: new Map() }])}`,
      '"id"',
      "an instance of Map"
    )
    yield* refused(pgdb.select`select 1 where ${PG.where(PG.sql`id\0 = 1`)}`, "NUL")
    yield* refused(
      pgdb.trans([PG.sql`select 1 where ${PG.where({ id: undefined })}`]),
      "PG.where",
      "Statement 1 of 1"
    )
    assert.deepStrictEqual(yield* pgdb.table("users").count(), 2)
  })
)

withDatabase("names in pieces are quoted, and values in them stay values", users, ({ pgdb }) =>
  Effect.gen(function* () {
    const evil = 'x" = 1; drop table users; --'
    const error = yield* Effect.flip(pgdb.select`select 1 from users where ${PG.where({ [evil]: 1 })}`)
    assert.include(error.message, "does not exist")
    const word = "'; drop table users; --"
    assert.deepStrictEqual(yield* pgdb.select`select 1 from users where ${PG.where({ name: word })}`, [])
    yield* pgdb.execute`update users set ${PG.set({ name: word })} where id = ${1}`
    assert.deepStrictEqual(
      yield* pgdb
        .table("users")
        .findOne({ id: 1 }, { columns: ["name"] })
        .pipe(Effect.flatMap(Effect.fromOption)),
      { name: word }
    )
  })
)

withDatabase("statements of an effect/sql client are taken in a template", users, ({ pgdb }) =>
  Effect.gen(function* () {
    const sql = yield* pgdb.client
    const adults = sql`age >= ${40}`
    assert.deepStrictEqual(yield* pgdb.select`select id from users where name like ${"%a%"} and ${adults}`, [
      { id: 2 }
    ])
    const both = sql`${sql.and([sql`age > ${1}`, sql.in("id", [1, 2]), sql`${sql("name")} <> ${"Bob"}`])}`
    assert.strictEqual(
      String(PG.sql`where ${both} limit ${1}`),
      'where (age > $1 AND "id" IN ($2,$3) AND "name" <> $4) limit $5'
    )
    assert.deepStrictEqual(yield* pgdb.select`select id from users where ${both} order by id limit ${1}`, [
      { id: 1 }
    ])
    yield* pgdb.execute`insert into users ${sql`${sql.insert([{ id: 7, name: "$1 '$2'" }])}`}`
    yield* pgdb.execute`update users set ${sql`${sql.update({ age: 7 })}`} where id = ${7}`
    assert.deepStrictEqual(yield* pgdb.select`select name, age from users where id = ${7}`, [
      { name: "$1 '$2'", age: 7 }
    ])
    assert.deepStrictEqual(yield* pgdb.select`select ${sql`'$1' || $$ $2 $$ || ${"x"}::text`} as t`, [
      { t: "$1 $2 x" }
    ])
    assert.strictEqual(String(PG.and([PG.sql`${adults}`, PG.sql`true`])), "((age >= $1) and (true))")
    // A bare fragment looks like data, and is data.
    const bare = Fragments.fragment([Fragments.literal("true")])
    const error = yield* Effect.flip(pgdb.select`select id from users where ${bare}`)
    assert.include(error.message, "a statement of its client")
  })
)
