/**
 * A program that fails with an error of the database, in the way that its argument says.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import { serverError } from "../../src/errors/ServerErrors.ts"

const error = serverError(
  {
    message: 'duplicate key value violates unique constraint "users_email_key"',
    severity: "ERROR",
    code: "23505",
    detail: "Key (email)=(ann@example.org) already exists.",
    schema: "public",
    table: "users",
    constraint: "users_email_key",
    file: "nbtinsert.c",
    routine: "_bt_check_unique"
  },
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
