/** A worker of a test run: takes a database of the shared server, tells which, and works until it is ended. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { TestDatabase } from "effect-global-pool/testing"

const setup = ["create table users (name text)", "select pg_sleep(0.2)"]

const program = Effect.gen(function* () {
  const pgdb = yield* TestDatabase.pgdb
  const [row] =
    yield* pgdb.select(`select current_database() as name, current_setting('data_directory') as "dataDir",
    pg_read_file('postmaster.pid', 0, 10) as file, pg_postmaster_start_time()::text as started`)
  yield* TestDatabase.sandbox(pgdb.table("users").insert({ name: "Ada" }))
  yield* Console.log(JSON.stringify({ ...row, users: yield* pgdb.table("users").count() }))
  yield* Effect.never
})

NodeRuntime.runMain(Effect.provide(program, TestDatabase.layer({ setup })))
