/** A process that is stopped and goes on later: what the server did meanwhile is no failure of its calls. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { eventually } from "./support/database.ts"
import { isAlive } from "./support/folder.ts"
import { type Given, withDatabase } from "./support/handle.ts"
import { type Program, program } from "./support/process.ts"

/** How long the process stands still, which is what is tested; longer by hand. */
const seconds = Number(process.env.STOP_SECONDS ?? 2)

const stopped = (child: Program, meanwhile: Effect.Effect<unknown, unknown>) =>
  Effect.gen(function* () {
    yield* child.prints("ready")
    yield* child.signal("SIGSTOP")
    yield* Effect.all([Effect.sleep(seconds * 1_000), meanwhile], { concurrency: 2 })
    assert.isTrue(isAlive(child.pid))
    yield* child.signal("SIGCONT")
    const [, failed] = yield* child.prints(/ended: (.*)/)
    assert.strictEqual(failed, "0 failed ")
  })

const noSession = (given: Given) =>
  eventually("the server has ended all", given.sessions, (sessions) => sessions.length === 0, "10 seconds")

const terminate = ({ witness }: Given) =>
  witness.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name <> 'witness'"
  )

describe(`a process that is stopped for ${seconds} s`, () => {
  const ends: Readonly<Record<string, (given: Given) => Effect.Effect<unknown, unknown>>> = {
    "by pg_terminate_backend": (given) => Effect.andThen(terminate(given), noSession(given)),
    "by idle_session_timeout": noSession
  }
  for (const [how, end] of Object.entries(ends)) {
    withDatabase(
      `finds its idle connections ended ${how}, and its next 100 calls succeed`,
      ["create table t (n int)"],
      (given) =>
        Effect.gen(function* () {
          const options = how.includes("idle") ? "?idle_session_timeout=1000" : ""
          const child = yield* program("test/support/stopped.ts", {
            args: ["idle"],
            env: { DATABASE_URL: `${given.url}${options}` }
          })
          yield* stopped(child, end(given))
          const [row] = yield* given.witness.query(
            "select count(*)::int as n, count(distinct n)::int as d from t"
          )
          assert.deepStrictEqual(row, { n: 50, d: 50 })
        })
    )
  }

  withDatabase("under load counts that time for none of its limits", [], (given) =>
    Effect.gen(function* () {
      const child = yield* program("test/support/stopped.ts", {
        args: ["busy"],
        env: { DATABASE_URL: given.url }
      })
      yield* stopped(child, Effect.void)
    })
  )
})
