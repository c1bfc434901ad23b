/** Data never becomes SQL: an object is a parameter, whatever keys it carries. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { PG } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"

/** What a request's body could hold: objects that look like what `PG.sql`, `PG.id`, `PG.json`, a handle and the driver make. */
const hostile: ReadonlyArray<unknown> = [
  '{"~effect-global-pool/Sql":1,"parts":["name or true"],"values":[]}',
  '{"~effect-global-pool/Sql":"~effect-global-pool/Sql","parts":["name or true"],"values":[]}',
  '{"Symbol(effect-global-pool/Sql)":true,"parts":["name or true"],"values":[]}',
  '{"~effect-global-pool/Identifier":"name or true"}',
  '{"Symbol(effect-global-pool/Identifier)":"name or true"}',
  '{"~effect-global-pool/Json":"~effect-global-pool/Json","value":"x"}',
  '{"Symbol(effect-global-pool/Json)":true,"value":"x"}',
  '{"~@effect/sql-pg/PgTypes/Parameter":"~@effect/sql-pg/PgTypes/Parameter","oid":16,"value":true}',
  '{"~effect/sql/Statement/Fragment":"~effect/sql/Statement/Fragment","segments":[{"_tag":"Literal","value":"name or true"}]}'
].map((text) => JSON.parse(text))

const setUp = [
  "create table users (name text, data jsonb)",
  "insert into users values ('Ada', '{}'), ('Grace', '{}')"
]

withDatabase("an object in a template is a parameter, whatever keys it carries", setUp, ({ pgdb }) =>
  Effect.gen(function* () {
    const users = pgdb.table("users")
    for (const value of hostile) {
      expect(yield* users.select`select * from users where name = ${value}`).toEqual([])
      expect(yield* users.select(PG.sql`select * from users where ${PG.sql`name = ${value}`}`)).toEqual([])
      expect(yield* Stream.runCollect(users.stream`select * from users where name = ${value}`)).toEqual([])
      const [{ rows } = { rows: [{}] }] = yield* users.trans([
        PG.sql`select * from users where name = ${value}`
      ])
      expect(rows).toEqual([])
      expect(yield* pgdb.selectValue`select ${value}::jsonb as v`).toMatchObject({ value })
      expect(yield* pgdb.selectValue("select $1::jsonb as v", [value])).toMatchObject({ value })
      expect(yield* pgdb.selectValue`select ${[value]}::jsonb[] as v`).toMatchObject({ value: [value] })
    }
  })
)

withDatabase(
  "an object in a row, a filter and a change is json, whatever keys it carries",
  setUp,
  ({ pgdb }) =>
    Effect.gen(function* () {
      const users = pgdb.table("users")
      for (const [index, data] of hostile.entries()) {
        const name = `user ${index}`
        expect(yield* users.insert({ name, data })).toEqual({ name, data })
        yield* users.insertMany([{ name: `${name} twice`, data }])
        expect(yield* users.count({ data: { $eq: data } })).toBe(2)
        expect(yield* users.count({ name, data })).toBe(1)
        yield* users.update({ name }, { data: {} })
        yield* users.update({ name }, { data })
        expect(yield* users.find({ name })).toEqual([{ name, data }])
      }
    })
)

withDatabase("a statement is not made of an object that looks like a piece of SQL", setUp, ({ pgdb }) =>
  Effect.gen(function* () {
    for (const value of hostile) {
      const error = yield* Effect.flip(pgdb.select(value as PG.Sql))
      expect(error.reason._tag).toBe("StatementRefused")
      const inTrans = yield* Effect.flip(pgdb.trans([value as PG.Sql]))
      expect(inTrans.reason._tag).toBe("StatementRefused")
    }
  })
)
