/** Promises of `PG.promise`, for people outside Effect. */
import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict"
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { PG, PoolRegistry } from "effect-global-pool"
import { promise, until } from "./promise.ts"

/** Handles of promises on a registry of their own, which ends with the scope. */
const open = (options?: PG.PromiseOptions) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => ManagedRuntime.make(PoolRegistry.layer())),
      (runtime) => runtime.disposeEffect
    ),
    (runtime) => PG.promise(runtime, options)
  )

export const promises = [
  promise("promises give rows, and reject with the operation's error", ({ pgdb }) =>
    Effect.flatMap(open(), (pg) =>
      Effect.promise(async () => {
        deepStrictEqual(await pg(pgdb).select("select $1::int as n", [1]), [{ n: 1 }])
        await rejects(pg(pgdb).select("select 1 / 0"), { _tag: "SqlError" })
      })
    )
  ),
  promise("a loop over rows ends early, and its statement with it", ({ pgdb, sessions }) =>
    Effect.gen(function* () {
      const pg = yield* open()
      yield* Effect.promise(async () => {
        for await (const { n } of pg(pgdb).stream("select generate_series(1, 10000000) as n")) {
          strictEqual(n, 1)
          break
        }
      })
      yield* until(sessions, (all) =>
        all.every(({ query, state }) => state === "idle" || !/10000000/.test(query))
      )
    })
  ),
  promise("an async function's operations join its transaction over each await", ({ pgdb }) =>
    Effect.flatMap(open(), (pg) =>
      Effect.promise(async () => {
        const db = pg(pgdb)
        const ids = await db.transaction(async () => {
          const first = await db.selectValue("select pg_current_xact_id()")
          await new Promise((resolve) => setTimeout(resolve, 1))
          return [first, await db.selectValue("select pg_current_xact_id()")]
        })
        deepStrictEqual(ids[0], ids[1])
      })
    )
  ),
  promise("an aborted signal cancels the statement on the server", ({ pgdb, sessions }) =>
    Effect.gen(function* () {
      const gone = new AbortController()
      const pg = yield* open({ signal: gone.signal })
      const sleeps = (all: ReadonlyArray<{ readonly query: string; readonly state: string }>) =>
        all.some(({ query, state }) => state === "active" && /pg_sleep\(61\)/.test(query))
      const ended = pg(pgdb)
        .select("select pg_sleep(61)")
        .then(
          () => "done",
          () => "ended"
        )
      yield* until(sessions, sleeps)
      gone.abort()
      strictEqual(yield* Effect.promise(() => ended), "ended")
      yield* until(sessions, (all) => !sleeps(all))
    })
  )
]
