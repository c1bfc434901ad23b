import { PoolRegistry } from "effect-global-pool"
import { pgdb, runtime } from "../../../db.js"

export const dynamic = "force-dynamic"

export const GET = async () => {
  const [row] = await runtime.runPromise(pgdb.transaction(pgdb.select`select pg_backend_pid() as pid`))
  const [{ max }, ...others] = await runtime.runPromise(PoolRegistry.stats)
  return new Response(`pid=${row.pid} max=${max} others=${others.length}`)
}
