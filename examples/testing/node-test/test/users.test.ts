import assert from "node:assert"
import { test } from "node:test"
import { Effect } from "effect"
import { TestDatabase } from "effect-global-pool/testing"
import * as Users from "../src/users.ts"
import { sandboxed } from "./database.ts"

test(
  "users have names of their own",
  sandboxed(
    Effect.gen(function* () {
      const service = Users.make(yield* TestDatabase.pgdb)
      yield* service.add("Ada")
      const error = yield* Effect.flip(service.add("Ada"))
      assert.strictEqual(error.reason._tag, "UniqueViolation")
      assert.deepStrictEqual(yield* service.names, ["Root", "Ada"])
    })
  )
)

test(
  "nothing is left of the test before",
  sandboxed(
    Effect.gen(function* () {
      const service = Users.make(yield* TestDatabase.pgdb)
      assert.deepStrictEqual(yield* service.names, ["Root"])
    })
  )
)
