/**
 * A worker of a test run, with the package as it is installed: waits for the file `go` if one is named, takes a database, tells
 * about it, and works until it is ended, or not at all.
 */
import { appendFileSync, existsSync } from "node:fs"
import * as Effect from "effect/Effect"
import { TestDatabase } from "effect-global-pool/testing"

const { counter, go, key, stays, ...options } = JSON.parse(process.argv[2])

/** Tells of each of its runs outside of the database. */
const run = (pgdb) =>
  Effect.andThen(
    Effect.sync(() => appendFileSync(counter, `${key}\n`)),
    pgdb.script("create table users (name text); select pg_sleep(0.2)")
  )

const program = Effect.gen(function* () {
  const pgdb = yield* TestDatabase.pgdb
  const rows =
    yield* pgdb.select(`select current_database() as name, current_setting('data_directory') as "dataDir",
      pg_read_file('postmaster.pid', 0, 10) as file, pg_postmaster_start_time()::text as started,
      (select json_agg(oid order by oid) from pg_database where datname like 'effect_test_template_%') as templates`)
  yield* TestDatabase.sandbox(pgdb.table("users").insert({ name: "Ada" }))
  process.stdout.write(`${JSON.stringify({ ...rows[0], users: yield* pgdb.table("users").count() })}\n`)
  if (stays) yield* Effect.never
})

process.stdout.write("ready\n")
while (go !== undefined && !existsSync(go)) await new Promise((resolve) => setImmediate(resolve))
await Effect.runPromise(Effect.provide(program, TestDatabase.layer({ ...options, setup: { key, run } })))
