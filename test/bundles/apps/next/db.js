import { ManagedRuntime } from "effect"
import { PG } from "effect-global-pool"

export const pgdb = PG.make({ url: process.env.DATABASE_URL, maxConnections: 5 })
export const runtime = ManagedRuntime.make(PG.layer)
