import assert from "node:assert"
import { test } from "node:test"
import { Effect } from "effect"
import { TestDatabase } from "effect-global-pool/testing"
import * as Users from "../src/users.ts"
import { sandboxed } from "./database.ts"

test(
  "a user gets another name",
  sandboxed(
    Effect.gen(function* () {
      const service = Users.make(yield* TestDatabase.pgdb)
      yield* service.rename("Root", "Ada")
      assert.deepStrictEqual(yield* service.names, ["Ada"])
    })
  )
)
