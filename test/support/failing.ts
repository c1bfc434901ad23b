/**
 * A program that fails with an error of the database, in the way that its argument says.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import { SqlError, UniqueViolation } from "effect/sql/SqlError"
import { tell } from "../../src/ServerError.ts"

const error = tell(
  new SqlError({
    reason: new UniqueViolation({
      cause: Object.assign(new Error('duplicate key value violates unique constraint "users_email_key"'), {
        severity: "ERROR",
        code: "23505",
        detail: "Key (email)=(ann@example.org) already exists.",
        schema: "public",
        table: "users",
        constraint: "users_email_key",
        file: "nbtinsert.c",
        routine: "_bt_check_unique"
      }),
      message: "PgConnection: Query failed",
      operation: "query",
      constraint: "users_email_key"
    })
  }),
  { text: "insert into users (email) values ($1)", params: ["ann@example.org"] }
)

const saveUser = Effect.fn("saveUser")(function* () {
  return yield* error
})

switch (process.argv[2]) {
  case "log":
    console.log(error)
    console.log({ error })
    break
  case "uncaught":
    throw error
  case "unhandled":
    void Effect.runPromise(saveUser())
    break
  case "main":
    NodeRuntime.runMain(saveUser())
    break
}
