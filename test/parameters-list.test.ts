/** A list of values is one parameter, an array: what works, and what is said to who writes `in (…)`. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { withDatabase } from "./support/handle.ts"

withDatabase(
  "a list is for any and all, and other places say so",
  [
    "create type mood as enum ('sad', 'happy')",
    "create table t (id int, name text, code varchar(5), mood mood)",
    "insert into t values (1, 'Ada', 'a', 'sad'), (2, 'Grace', 'g', 'happy'), (3, 'Alan', 'n', 'sad')"
  ],
  ({ pgdb }) =>
    Effect.gen(function* () {
      const t = pgdb.table("t")
      const ids = (rows: ReadonlyArray<{ readonly [column: string]: unknown }>) => rows.map(({ id }) => id)
      assert.deepStrictEqual(ids(yield* t.select`select id from ${t} where id = any(${[1, 2, 9]})`), [1, 2])
      assert.deepStrictEqual(ids(yield* t.select`select id from ${t} where id <> all(${[1, 2]})`), [3])
      assert.deepStrictEqual(ids(yield* t.select`select id from ${t} where name = any(${["Alan"]})`), [3])
      assert.deepStrictEqual(ids(yield* t.select`select id from ${t} where mood = any(${["sad"]})`), [1, 3])
      assert.deepStrictEqual(ids(yield* t.select`select id from ${t} where id = any(${[]})`), [])
      const wrong = [
        t.select`select id from ${t} where id in (${[1, 2]})`,
        t.select`select id from ${t} where id = ${[1, 2]}`,
        t.select`select id from ${t} where name in (${["Ada"]})`,
        t.select`select id from ${t} where name not in (${["Ada"]})`,
        t.select`select id from ${t} where code in (${["a"]})`,
        t.select`select id from ${t} where mood in (${["sad"]})`
      ]
      for (const [index, statement] of wrong.entries()) {
        const error = yield* Effect.flip(statement)
        assert.include(error.message, "write = any($1) in place of in ($1)", String(index))
      }
    })
)
