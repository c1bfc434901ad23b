/**
 * What a page or a route handler of an application is made of, once it is bundled: its own copies of this package and of
 * Effect.
 */
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { PG, PoolRegistry } from "effect-global-pool"

export { PG }

export const make = (settings: PG.Settings | string) => {
  const runtime = ManagedRuntime.make(PG.layer)
  const pgdb = PG.make(settings)
  const reason = (error: { readonly _tag: string; readonly reason: { readonly _tag: string } }) =>
    Effect.succeed(`${error._tag}: ${error.reason._tag}`)
  return {
    pid: () =>
      runtime.runPromise(Effect.map(pgdb.selectValue("select pg_backend_pid()"), Option.getOrUndefined)),
    pools: () => runtime.runPromise(PoolRegistry.stats),
    rows: () =>
      runtime.runPromise(
        Stream.runCollect(
          pgdb.stream("select n, now() as at, '{1}'::int[] as l from generate_series(1, 100) n")
        )
      ),
    client: () => runtime.runPromise(Effect.flatMap(pgdb.client, (sql) => sql`select 1::int8 as n`)),
    transaction: () =>
      runtime.runPromise(
        pgdb.transaction(
          pgdb.transaction(pgdb.select`select ${new Date(0)}::timestamptz as at, ${[1]}::int[] as l`)
        )
      ),
    failure: () => runtime.runPromise(Effect.catch(pgdb.select("select 1/0"), reason)),
    refusal: () => runtime.runPromise(Effect.catchTag(pgdb.select("begin"), "PoolError", reason)),
    timeout: () =>
      runtime.runPromise(
        Effect.scoped(
          Effect.gen(function* () {
            const sql = yield* pgdb.client
            yield* Effect.forEach(Array.from({ length: 10 }), () => sql.reserve, { discard: true })
            const error = yield* Effect.flip(pgdb.select("select 1"))
            return error.reason._tag
          })
        )
      ),
    dispose: () => runtime.dispose()
  }
}
