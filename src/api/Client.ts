/**
 * The standard Effect SQL client on a pool: what `SqlSchema`, `SqlModel`, `SqlResolver` and `PgMigrator` run on.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as SqlClient from "effect/sql/SqlClient"
import * as Statement from "effect/sql/Statement"
import { isPoolError, type PoolError, toSqlError } from "../errors/PoolError.ts"
import type { Pool } from "../pool/Pool.ts"
import { PoolRegistry } from "../registry/PoolRegistry.ts"
import type { ResolvedSettings } from "../settings/Settings.ts"
import { json } from "../statement/Sql.ts"
import * as Spans from "../telemetry/Spans.ts"
import * as InTransaction from "../transaction/InTransaction.ts"
import { afterCommit, transaction } from "../transaction/Transaction.ts"
import * as State from "../transaction/TransactionState.ts"
import { onPool, type Source } from "./Handle.ts"
import { queueOf } from "./Listen.ts"
import { join, poolConnection } from "./SqlConnection.ts"

/** What the client says of itself; `PgMigrator` hands it to `pg_dump`. */
const passwordOf = ({ password }: ResolvedSettings): PgClient.PgClientConfig["password"] => {
  if (password === undefined) return undefined
  return password._tag === "Text" ? Redacted.make(password.read()) : Effect.map(password.ask, Redacted.make)
}

const configOf = (settings: ResolvedSettings): PgClient.PgClientConfig => ({
  host: settings.host,
  port: settings.port,
  path: settings.path,
  ssl: settings.ssl === "prefer" ? true : settings.ssl,
  database: settings.database,
  username: settings.username,
  password: passwordOf(settings),
  applicationName: settings.applicationName
})

/** A connection for as long as the scope is open. Later uses of it are refused. */
const reserve = (pool: Pool) =>
  Effect.gen(function* () {
    const connection = yield* Effect.mapError(pool.reserve, toSqlError)
    const transaction = State.make(pool, connection, undefined)
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        State.end(transaction)
        return InTransaction.rest(transaction)
      })
    )
    return join(transaction)
  })

/**
 * A client over a pool. Its statements are lent a connection each, join the fiber's transaction, and have the errors of a
 * handle's; a pool's own error is the cause of a `ConnectionError`. It outlives the pool that it was made on: `current`
 * gives the pool of the moment.
 */
const make = (
  pool: Pool,
  current: Effect.Effect<Pool, PoolError>
): Effect.Effect<PgClient.PgClient, never, Reactivity.Reactivity> => {
  const { settings } = pool
  const connection = poolConnection(current)
  const now = Effect.mapError(current, toSqlError)
  const client = SqlClient.make({
    acquirer: Effect.succeed(connection),
    borrower: (f) => f(connection),
    transactionAcquirer: Effect.flatMap(now, reserve),
    transactionService: pool.transactionKey,
    compiler: PgClient.makeCompiler(),
    driver: "pg",
    spanAttributes: Spans.serverOf(settings)
  })
  return Effect.map(client, (standard) => {
    const own: PgClient.PgClient = Object.assign(standard, {
      [PgClient.TypeId]: PgClient.TypeId,
      config: configOf(settings),
      withTransaction: <A, E, R>(effect: Effect.Effect<A, E, R>) =>
        Effect.flatMap(now, (pool) =>
          Effect.withFiber((fiber) =>
            Effect.mapError(transaction(pool, fiber, join, effect), (error) =>
              isPoolError(error) ? toSqlError(error) : error
            )
          )
        ),
      afterCommit: <R>(effect: Effect.Effect<void, never, R>) =>
        Effect.flatMap(Effect.orDie(current), (pool) => afterCommit(pool, effect)),
      json: (value: unknown) => Statement.fragment([Statement.parameter(json(value))]),
      listen: (channel: string) => Effect.flatMap(now, (pool) => queueOf(pool, channel)),
      notify: (channel: string, payload: string) =>
        Effect.asVoid(connection.executeRaw("SELECT pg_catalog.pg_notify($1, $2)", [channel, payload]))
    })
    return own
  })
}

/** The pool of the moment, for what outlives a pool. */
const currentOf = (source: Source): Effect.Effect<Effect.Effect<Pool, PoolError>, never, PoolRegistry> =>
  Effect.map(PoolRegistry, (registry) =>
    Effect.provideService(onPool(source, Effect.succeed), PoolRegistry, registry)
  )

/** The client of a source's pool. */
export const clientOf = (source: Source): Effect.Effect<PgClient.PgClient, PoolError, PoolRegistry> =>
  Effect.flatMap(currentOf(source), (current) =>
    Effect.flatMap(current, (pool) =>
      Effect.flatMap(Effect.serviceOption(Reactivity.Reactivity), (reactivity) =>
        Option.isNone(reactivity)
          ? Effect.provideServiceEffect(make(pool, current), Reactivity.Reactivity, Reactivity.make)
          : Effect.provideService(make(pool, current), Reactivity.Reactivity, reactivity.value)
      )
    )
  )

/** The client as a layer of both its services. */
export const layerOf = (
  source: Source
): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, PoolError, PoolRegistry> =>
  Layer.effectContext(
    Effect.map(clientOf(source), (client) =>
      Context.make(PgClient.PgClient, client).pipe(Context.add(SqlClient.SqlClient, client))
    )
  ).pipe(Layer.provide(Reactivity.layer))
