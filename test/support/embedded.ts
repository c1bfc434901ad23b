/**
 * A user's program with an embedded server: it starts one, with the options that it is given as JSON, asks it something, tells about it, and stays with its pool
 * open until a signal ends it.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import { PG } from "effect-global-pool"
import { EmbeddedPostgres } from "effect-global-pool/embedded"

const program = Effect.gen(function* () {
  const pgdb = yield* EmbeddedPostgres.make(JSON.parse(process.argv[2] ?? "{}"))
  const stay = Effect.gen(function* () {
    const [row] = yield* pgdb.select`select current_setting('data_directory') as "dataDir",
      split_part(pg_read_file('postmaster.pid'), ${"\n"}, 1)::int as pid`
    process.stdout.write(`${JSON.stringify(row)}\n`)
    return yield* Effect.never
  })
  return yield* PG.run(stay)
})

NodeRuntime.runMain(Effect.scoped(program))
