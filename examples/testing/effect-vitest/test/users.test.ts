import { assert, layer } from "@effect/vitest"
import { Effect, Option } from "effect"
import { PG } from "effect-global-pool"
import { TestDatabase } from "effect-global-pool/testing"
import * as Users from "../src/users.ts"
import { database } from "./database.ts"

layer(database, { timeout: "1 minute" })("users", (it) => {
  it.effect("a user is found by name", () =>
    TestDatabase.sandbox(
      Effect.gen(function* () {
        yield* Users.add("Ada")
        assert.isTrue(Option.isSome(yield* Users.named("Ada")))
        assert.isTrue(Option.isNone(yield* Users.named("Grace")))
      })
    )
  )

  it.effect("nothing is left of the test before", () =>
    TestDatabase.sandbox(
      Effect.gen(function* () {
        assert.isTrue(yield* Users.isFree("Ada"))
      })
    )
  )

  it.effect("a name is given once, and the test goes on after the failure", () =>
    TestDatabase.sandbox(
      Effect.gen(function* () {
        yield* Users.add("Ada")
        const error = yield* Effect.flip(Users.add("Ada"))
        assert.strictEqual(error.reason._tag, "UniqueViolation")
        assert.isFalse(yield* Users.isFree("Ada"))
      })
    )
  )

  it.effect("another program may take part: it connects to the sandbox's URL", () =>
    TestDatabase.sandbox(
      Effect.gen(function* () {
        yield* Users.add("Ada")
        const other = PG.make({ url: yield* TestDatabase.url, key: "another program" })
        assert.deepStrictEqual(yield* other.select`select name from users where id > 1`, [{ name: "Ada" }])
      })
    )
  )

  it.effect("tables too are made for one test", () =>
    TestDatabase.sandbox(
      Effect.gen(function* () {
        const pgdb = yield* TestDatabase.pgdb
        yield* pgdb.execute`create table notes (text text)`
        assert.strictEqual(yield* pgdb.table("notes").count(), 0)
      })
    )
  )
})
