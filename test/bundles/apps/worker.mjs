// A worker of Cloudflare's: what a request opens is its own, and ends with it.
import { Effect } from "effect"
import { PG, PoolRegistry } from "effect-global-pool"

export default {
  fetch: (_request, { DATABASE_URL }) => {
    const pgdb = PG.make(DATABASE_URL)
    const program = Effect.gen(function* () {
      const [row] = yield* pgdb.select`select pg_backend_pid() as pid, ${[1, 2]}::int[] as list`
      yield* pgdb.execute`select pg_sleep(0.05)`
      const rows = yield* pgdb.transaction(pgdb.select`select 1 as n`)
      const pools = yield* PoolRegistry.stats
      return { ...row, rows, open: pools.map(({ open }) => open) }
    })
    return Effect.runPromise(PG.run(program)).then(
      Response.json,
      ({ message }) => new Response(message, { status: 500 })
    )
  }
}
