/**
 * 200 tests in 20 files on two processes, on 30 tables, in three ways: the test kit's database for each file and sandbox for each
 * test, a new database with its migrations for each file, and one database that is truncated after each test. Run it by
 * `npx tsx test/bench/testing.ts`.
 */
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { Effect, Layer, Redacted, Scope } from "effect"
import { PG } from "effect-global-pool"
import { TestDatabase } from "effect-global-pool/testing"
import { start } from "../../src/testing/SharedServer.ts"

type Way = "kit" | "migrations" | "truncate"
interface Told {
  readonly databases: ReadonlyArray<number>
  readonly sandboxes: ReadonlyArray<number>
}

const files = 20
const testsOfFile = 10
const tables = Array.from({ length: 30 }, (_, index) => `table_${index}`)
const migrations = tables.flatMap((table, index) => [
  `create table ${table} (id int primary key generated always as identity, name text not null unique, at timestamptz default now()${
    index === 0 ? "" : ", parent int references table_0"
  })`,
  `create index on ${table} (at)`
])
const [, , way, url = "", first = "0", step = "1"] = process.argv

/** What a test does: about what one of a service does. */
const body = (pgdb: PG.Database) =>
  Effect.gen(function* () {
    const parent = yield* pgdb.table("table_0").insert({ name: "Ada" })
    yield* pgdb.transaction(
      Effect.forEach([1, 2, 3], (n) => pgdb.table(`table_${n}`).insert({ name: "Ada", parent: parent.id }))
    )
    yield* Effect.flip(pgdb.table("table_0").insert({ name: "Ada" }))
    return yield* pgdb.table("table_1").find({ parent: parent.id })
  })

const timed = <A, E, R>(list: Array<number>, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const start = performance.now()
    return Effect.tap(effect, () => Effect.sync(() => list.push(performance.now() - start)))
  })

const databases: Array<number> = []
const sandboxes: Array<number> = []
const repeated = <A, E, R>(test: Effect.Effect<A, E, R>) => Effect.replicateEffect(test, testsOfFile)

const kitFile = Effect.gen(function* () {
  const scope = yield* Scope.make()
  const context = yield* timed(
    databases,
    Layer.buildWithScope(TestDatabase.layer({ setup: migrations }), scope)
  )
  const test = Effect.gen(function* () {
    let inside = 0
    const start = performance.now()
    yield* TestDatabase.sandbox(
      Effect.gen(function* () {
        const begin = performance.now()
        yield* body(yield* TestDatabase.pgdb)
        inside = performance.now() - begin
      })
    )
    sandboxes.push(performance.now() - start - inside)
  })
  yield* Effect.provideContext(repeated(test), context)
  yield* Scope.close(scope, yield* Effect.exit(Effect.void))
})

const migrationsFile = Effect.gen(function* () {
  const admin = PG.make(url)
  const name = `file_${process.pid}_${databases.length}`
  yield* timed(
    databases,
    Effect.andThen(
      admin.execute(`create database ${name}`),
      PG.make({ url, database: name }).trans(migrations)
    )
  )
  const pgdb = PG.make({ url, database: name })
  // Nothing is rolled back, so the tests of a file need a truncation between them.
  yield* repeated(Effect.andThen(body(pgdb), pgdb.execute(`truncate ${tables.join()} restart identity`)))
  yield* pgdb.terminate
  yield* admin.execute(`drop database ${name} with (force)`)
}).pipe(PG.run)

const truncateFile = Effect.gen(function* () {
  const pgdb = PG.make({ url, database: "shared" })
  yield* repeated(
    Effect.andThen(body(pgdb), timed(sandboxes, pgdb.execute(`truncate ${tables.join()} restart identity`)))
  )
}).pipe(PG.run)

const work = async (): Promise<void> => {
  const file = way === "kit" ? kitFile : way === "migrations" ? migrationsFile : truncateFile
  for (let index = Number(first); index < files; index += Number(step))
    await Effect.runPromise(Effect.scoped(file))
  process.stdout.write(`${JSON.stringify({ databases, sandboxes })}\n`)
}

const child = (kind: Way, at: number, of: number, where: string): Promise<Told> =>
  new Promise((resolve, reject) => {
    const own = fileURLToPath(import.meta.url)
    const running = spawn(process.execPath, [...process.execArgv, own, kind, where, String(at), String(of)], {
      stdio: ["ignore", "pipe", "inherit"]
    })
    createInterface({ input: running.stdout }).once("line", (line) => resolve(JSON.parse(line)))
    running.once("exit", (code) => code !== 0 && reject(new Error(`ended with ${code}`)))
  })

const median = (all: ReadonlyArray<number>): string =>
  all.length === 0 ? "–" : (all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)] ?? 0).toFixed(1)

const main = Effect.gen(function* () {
  // The same server for all.
  const server = yield* start({})
  const { host, port, username } = server
  const where = `postgres://${username}:${encodeURIComponent(Redacted.value(server.password))}@${host}:${port}/postgres`
  const shared = PG.make({ url: where, database: "shared" })
  yield* PG.run(Effect.andThen(PG.make(where).execute("create database shared"), shared.trans(migrations)))
  const lines = ["| way | whole, ms | a database, ms | a test's own share, ms |", "| --- | --- | --- | --- |"]
  for (const [kind, workers] of [
    ["kit", 2],
    ["kit", 2],
    ["migrations", 2],
    ["truncate", 1]
  ] as const) {
    const start = performance.now()
    const told = yield* Effect.promise(() =>
      Promise.all(Array.from({ length: workers }, (_, at) => child(kind, at, workers, where)))
    )
    const whole = (performance.now() - start).toFixed(0)
    const of = (name: keyof Told) => median(told.flatMap((one) => one[name]))
    lines.push(`| ${kind}, ${workers} processes | ${whole} | ${of("databases")} | ${of("sandboxes")} |`)
  }
  process.stdout.write(`${lines.join("\n")}\n`)
})

if (way === undefined) await Effect.runPromise(Effect.scoped(main))
else await work()
