/**
 * The standard Effect SQL client on a pool: what `SqlSchema`, `SqlModel`, `SqlResolver` and `PgMigrator` run on.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import type { Reactivity } from "effect/reactivity/Reactivity"
import * as SqlClient from "effect/sql/SqlClient"
import * as Statement from "effect/sql/Statement"
import { type PoolError, toSqlError } from "./PoolError.ts"
import * as Exchange from "./pool/Exchange.ts"
import * as Held from "./pool/Held.ts"
import type { Pool } from "./pool/Pool.ts"
import * as Spans from "./Spans.ts"
import { json } from "./Sql.ts"
import { type Checked, redactedOf } from "./settings/Settings.ts"
import { linkTo, poolLink } from "./transaction/Link.ts"
import { transactOf } from "./transaction/Transaction.ts"

/** What the client says of itself; `PgMigrator` hands it to `pg_dump`. */
const configOf = (settings: Checked): PgClient.PgClientConfig => ({
  host: settings.host,
  port: settings.port,
  path: settings.path,
  ssl: settings.ssl === "prefer" ? true : settings.ssl,
  database: settings.database,
  username: settings.username,
  password: redactedOf(settings),
  applicationName: settings.applicationName
})

/** A connection for as long as the scope is open, and of no use to whoever keeps it longer. */
const reserve = (pool: Pool) =>
  Effect.gen(function* () {
    const held = Held.hold(pool, yield* Effect.mapError(pool.reserve, toSqlError))
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        Held.end(held)
        return Exchange.rest(held)
      })
    )
    return linkTo(pool, held)
  })

/**
 * A client over a pool. Its statements are lent a connection each, join the fiber's transaction, and tell their errors as a
 * handle's do; a pool's own error is the cause of a `ConnectionError`. It outlives the pool that it was made on: `current` is
 * asked for the pool of the moment.
 */
export const make = (
  pool: Pool,
  current: Effect.Effect<Pool, PoolError>
): Effect.Effect<PgClient.PgClient, never, Reactivity> => {
  const { settings } = pool
  const link = poolLink(current)
  const now = Effect.mapError(current, toSqlError)
  const reserved = Effect.flatMap(now, (pool) => Effect.mapError(pool.reserve, toSqlError))
  const listening: PgClient.PgClient["listen"] = (channel) =>
    Effect.flatMap(reserved, (member) => {
      member.leaves = "session"
      return member.connection.listen(channel)
    })
  const client = SqlClient.make({
    acquirer: Effect.succeed(link),
    borrower: (f) => f(link),
    transactionAcquirer: Effect.flatMap(now, reserve),
    transactionService: pool.clientTransaction,
    compiler: PgClient.makeCompiler(),
    driver: "pg",
    spanAttributes: Spans.serverOf(settings)
  })
  return Effect.map(client, (standard) => {
    const own: PgClient.PgClient = Object.assign(standard, {
      [PgClient.TypeId]: PgClient.TypeId,
      config: configOf(settings),
      withTransaction: <A, E, R>(effect: Effect.Effect<A, E, R>) =>
        Effect.flatMap(now, (pool) => transactOf(pool)(effect)),
      json: (value: unknown) => Statement.fragment([Statement.parameter(json(value))]),
      listen: listening,
      notify: (channel: string, payload: string) =>
        Effect.asVoid(link.executeRaw("SELECT pg_catalog.pg_notify($1, $2)", [channel, payload]))
    })
    return own
  })
}
