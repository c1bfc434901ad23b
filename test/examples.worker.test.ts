/** The worker example under a server that restarts and backends that are killed: every job is done, none twice. */
import { randomBytes } from "node:crypto"
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { start } from "../src/embedded/Server.ts"
import { connect, database, eventually } from "./support/database.ts"
import { folder, Temporary } from "./support/folder.ts"
import { program } from "./support/process.ts"

const counts = `select count(*)::int as added, count(done_at)::int as done, count(error)::int as failed,
  (select count(*)::int from receipts) as receipts, (select count(distinct job)::int from receipts) as jobs from jobs`

layer(Temporary.layer)("examples/worker.ts", (it) => {
  it.effect("does each job once while its server restarts and its backends are killed", () =>
    Effect.gen(function* () {
      const dataDir = yield* folder()
      const password = randomBytes(8).toString("hex")
      /** Starts the server, again at the same port; gives how to stop it. */
      const run = (port?: number) =>
        Effect.gen(function* () {
          const scope = yield* Scope.make()
          const options = { dataDir, password, ...(port === undefined ? {} : { port }) }
          const server = yield* Scope.provide(start(options), scope)
          return { server, stop: Scope.close(scope, Exit.void) }
        })
      const first = yield* run()
      let { stop } = first
      yield* Effect.addFinalizer(() => stop)
      const { database, host, port, username } = first.server
      const settings = { host, port, username, password, database }
      const url = `postgres://${username}:${password}@${host}:${port}/${database}`

      const programs = yield* Effect.forEach([1, 2, 3], () =>
        program("examples/worker.ts", { args: ["100"], env: { DATABASE_URL: url, NO_COLOR: "1" } })
      )
      const ask = (sql: string) =>
        Effect.scoped(Effect.flatMap(connect(settings), (witness) => witness.query(sql)))
      const done = (atLeast: number) =>
        eventually(
          `${atLeast} jobs are done`,
          Effect.orElseSucceed(ask(counts), () => []),
          ([row]) => Number(row?.done ?? 0) >= atLeast,
          "60 seconds"
        )
      const kill = ask(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'effect-global-pool'"
      )
      for (const reached of [20, 60, 120, 180]) {
        yield* done(reached)
        for (let times = 0; times < 5; times++) yield* kill
        yield* stop
        ;({ stop } = yield* run(port))
      }
      yield* done(240)
      // A worker that dies in the middle leaves its job to the others.
      yield* programs[0]!.prints("added 100 jobs")
      yield* programs[0]!.signal("SIGKILL")
      yield* Effect.forEach(programs.slice(1), ({ prints }) => prints("added 100 jobs"))
      yield* done(300)
      assert.deepStrictEqual(yield* ask(counts), [
        { added: 300, done: 300, failed: 30, receipts: 270, jobs: 270 }
      ])
      for (const running of programs.slice(1)) {
        yield* running.signal("SIGTERM")
        assert.strictEqual((yield* running.exitWithin("5 seconds")).code, 130, running.stderr())
        assert.include(running.stdout(), "stopped, with no job half done")
      }
      const left =
        "select count(*)::int as n from pg_stat_activity where application_name = 'effect-global-pool'"
      assert.deepStrictEqual(yield* ask(left), [{ n: 0 }])
    }).pipe(Effect.scoped)
  )

  it.effect("finishes the jobs under way when it is stopped", () =>
    Effect.gen(function* () {
      const given = yield* database()
      const { until, url, witness } = given
      const running = yield* program("examples/worker.ts", { args: ["0"], env: { DATABASE_URL: url } })
      yield* running.prints("added 0 jobs")
      const other = yield* given.connect(given.settings)
      yield* other.query("begin")
      yield* other.query("lock table receipts")
      yield* witness.query("insert into jobs values (gen_random_uuid(), 'tea'), (gen_random_uuid(), 'tea')")
      // One for each, as those that are added have.
      yield* witness.query("notify jobs")
      yield* witness.query("notify jobs")
      yield* until(
        "two workers wait for the lock",
        (all) => all.filter(({ waitEvent }) => waitEvent === "relation").length === 2
      )
      yield* running.signal("SIGTERM")
      yield* until("nobody listens any more", (all) => all.every(({ query }) => !query.includes("LISTEN")))
      yield* other.query("commit")
      assert.strictEqual((yield* running.exit).code, 130)
      assert.deepStrictEqual(yield* witness.query(counts), [
        { added: 2, done: 2, failed: 0, receipts: 2, jobs: 2 }
      ])
      yield* until("only the witness is left", (all) => all.every((one) => one.applicationName === "test"))
    })
  )
})
