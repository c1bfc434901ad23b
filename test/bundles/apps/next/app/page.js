import { PoolRegistry } from "effect-global-pool"
import { pgdb, runtime } from "../db.js"

export const dynamic = "force-dynamic"

export default async function Page() {
  const [row] = await runtime.runPromise(pgdb.select`select pg_backend_pid() as pid`)
  const [{ max }, ...others] = await runtime.runPromise(PoolRegistry.stats)
  return <p>{`pid=${row.pid} max=${max} others=${others.length}`}</p>
}
