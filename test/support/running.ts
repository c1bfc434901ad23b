/**
 * A script that runs something on the database of `DATABASE_URL` and says how that ended; nothing ends the process but the
 * end of its work.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { PG } from "effect-global-pool"

const pgdb = PG.make({ url: process.env.DATABASE_URL, minConnections: 1 })
const slow = "select pg_sleep(60)"

/** Waits until this program's statement is at work on the server, seen from a pool of its own. */
const watcher = PG.make({ url: process.env.DATABASE_URL, key: "watcher", applicationName: "watcher" })
const atWork = watcher
  .selectValue("select count(*) from pg_stat_activity where application_name <> 'watcher' and query = $1", [
    slow
  ])
  .pipe(Effect.repeat({ until: (count) => count._tag === "Some" && count.value !== 0 }))

const interrupted = (work: Effect.Effect<unknown, unknown>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(work)
    yield* PG.run(atWork)
    yield* Fiber.interrupt(fiber)
  })

const ways: Readonly<Record<string, Effect.Effect<unknown, unknown>>> = {
  returns: pgdb.run((self) => self.select("select 1")),
  fails: pgdb.run((self) => self.select("select nothing")),
  dies: pgdb.run((self) => Effect.andThen(self.select("select 1"), Effect.die(new Error("dead")))),
  interrupted: interrupted(pgdb.run((self) => self.select(slow))),
  "interrupted in a transaction": interrupted(pgdb.run((self) => self.transaction(self.select(slow)))),
  "interrupted in a stream": interrupted(pgdb.run((self) => Stream.runDrain(self.stream(slow))))
}

const way = ways[process.argv[2] ?? ""] ?? Effect.die("no such way")
Effect.runPromiseExit(way).then((exit) => {
  process.stdout.write(`ended: ${exit._tag}${Exit.hasDies(exit) ? ", a defect" : ""}\n`)
})
