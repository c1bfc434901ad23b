/**
 * Runs every promise on an embedded server with TLS, prints those that are broken, and how many are kept. Ends with status 1
 * unless all are.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { PG, PoolRegistry } from "effect-global-pool"
import { EmbeddedPostgres } from "effect-global-pool/embedded"
import { certificateFor } from "../../support/certificate.ts"
import { type Given, until } from "./promise.ts"
import { promises } from "./promises.ts"
import { servers } from "./servers.ts"
import { statements } from "./statements.ts"
import { interruptions, notifications, pools, transactions } from "./transactions.ts"
import { values } from "./values.ts"

/** The promises by feature; those of the features that are named, or of all. */
const features = { values, statements, transactions, interruptions, pools, notifications, servers, promises }
const asked = Object.entries(features).filter(
  ([name]) => process.argv.length < 3 || process.argv.includes(name)
)

const schema = [
  "create type pair as (id int, label text)",
  "create type mood as enum ('sad', 'ok')",
  "create table people (id int generated always as identity primary key, name text unique not null, age int, tags text[], born timestamptz)",
  "create table many (id int, label text, at timestamptz)"
]

/** The server's files are written by itself, whose user has to own the key. */
const encrypt = Effect.fnUntraced(function* (pgdb: PG.Database) {
  const { certificate, key } = certificateFor("127.0.0.1", "localhost")
  for (const [file, text] of [
    ["server.crt", certificate],
    ["server.key", key]
  ]) {
    yield* pgdb.execute(
      `copy (select unnest(string_to_array('${text?.trim()}', E'\\n'))) to program 'umask 077; cat > ${file}'`
    )
  }
  yield* pgdb.execute("alter system set ssl = on")
  yield* pgdb.execute("select pg_reload_conf()")
  yield* until(pgdb.select("show ssl"), ([row]) => row?.ssl === "on")
  return certificate
})

const sessionsOf =
  "select query, state from pg_stat_activity where datname = 'suite' and backend_type = 'client backend'"

const suite = Effect.gen(function* () {
  const server = yield* EmbeddedPostgres.start({ serverSettings: { max_connections: 200 } })
  const admin = PG.make(server)
  const ca = yield* encrypt(admin)
  yield* admin.execute("create database suite")
  const settings: PG.Settings = { ...server, database: "suite", key: "suite" }
  const pgdb = PG.make(settings)
  yield* pgdb.trans(schema)
  const registry = yield* PoolRegistry
  const given: Given = {
    pgdb,
    settings,
    ca,
    sessions: Effect.provideService(
      admin.select<{ query: string; state: string }>(sessionsOf),
      PoolRegistry,
      registry
    )
  }
  let [kept, count] = [0, 0]
  for (const [feature, all] of asked) {
    let good = 0
    for (const { name, run } of all) {
      const exit = yield* Effect.exit(Effect.timeout(Effect.scoped(run(given)), "20 seconds"))
      if (Exit.isSuccess(exit)) good++
      else console.log(`broken: ${name}\n${Cause.pretty(exit.cause)}\n`)
    }
    console.log(`${feature}: ${good} of ${all.length}`)
    kept += good
    count += all.length
  }
  console.log(`${kept} passed, ${count - kept} failed`)
  return kept === count
})

Effect.runPromise(Effect.scoped(Effect.provide(suite, PoolRegistry.layer()))).then((isWhole) => {
  process.exitCode = isWhole ? 0 : 1
})
