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
import { serverOf } from "../pool/OwnSpans.ts"
import type { Pool } from "../pool/Pool.ts"
import { awaitBriefly } from "../pool/Recover.ts"
import { PoolRegistry } from "../registry/PoolRegistry.ts"
import type { ResolvedSettings } from "../settings/Settings.ts"
import { json } from "../statement/Json.ts"
import * as InTransaction from "../transaction/InTransaction.ts"
import { connection as connectionOn, join, type Values } from "../transaction/SqlConnection.ts"
import { afterCommit, transaction } from "../transaction/Transaction.ts"
import * as State from "../transaction/TransactionState.ts"
import { driverParameters, driverReaders, typedParameters } from "../types/DriverValues.ts"
import { spanned } from "./ClientSpans.ts"
import { onPool, type Source } from "./Handle.ts"
import { queueOf } from "./Listen.ts"

/** Options of `pgdb.clientWith` and `pgdb.layerWith`, named as those of `PgClient.layer`. */
export interface ClientOptions {
  /** `"handle"`: values come out and go in as with handles. `"driver"`, as with `PgClient.layer`. */
  readonly values?: "driver" | "handle" | undefined
  /** What becomes of names that a statement's helpers write. */
  readonly transformQueryNames?: ((name: string) => string) | undefined
  /** What becomes of the names of columns. */
  readonly transformResultNames?: ((name: string) => string) | undefined
  /** Whether both apply to the keys of json too. `true`. */
  readonly transformJson?: boolean | undefined
  /** Added to each span. */
  readonly spanAttributes?: Record<string, unknown> | undefined
}

const valuesOf = ({ values }: ClientOptions): Values =>
  values === "handle"
    ? { readers: undefined, parameters: typedParameters }
    : { readers: driverReaders, parameters: driverParameters }

/** What the client says of itself; `PgMigrator` hands it to `pg_dump`. */
const passwordOf = (password: ResolvedSettings["password"]): PgClient.PgClientConfig["password"] => {
  if (password === undefined) return undefined
  return password._tag === "Text" ? Redacted.make(password.read()) : Effect.map(password.ask, Redacted.make)
}

/** Where a server is, as libpq's programs take it: a socket is its folder and the port in its name. */
const placeOf = ({ host, path, port }: ResolvedSettings["servers"][0]) => {
  const [, folder = host, number = port] = /^(.*)\/\.s\.PGSQL\.(\d+)$/.exec(path ?? "") ?? []
  return { host: folder, port: Number(number), path }
}

const configOf = (
  { encryption, servers: [server], ...settings }: ResolvedSettings,
  { values: _, ...options }: ClientOptions
): PgClient.PgClientConfig => ({
  ...options,
  ...placeOf(server),
  ssl: /^(?:disable|allow|prefer)$/.test(encryption.mode) ? false : { ...encryption.options.read() },
  database: settings.database,
  username: settings.username,
  password: passwordOf(settings.password),
  applicationName: settings.applicationName
})

/** A connection for as long as the scope is open. Later uses of it are refused. */
const reserve = (pool: Pool, values: Values) =>
  Effect.gen(function* () {
    const connection = yield* Effect.mapError(pool.reserve, toSqlError)
    const transaction = State.make(pool, connection, undefined)
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        State.end(transaction)
        return awaitBriefly(transaction.connection, InTransaction.rest(transaction))
      })
    )
    return join(transaction, values, true)
  })

/** The driver's own piece for json, which its compiler knows. */
const custom = Statement.custom<Statement.Custom<"PgJson", unknown>>("PgJson")

/**
 * A client over a pool. Its statements are lent a connection each, join the fiber's transaction, and have the errors of a
 * handle's; a pool's own error is the cause of its reason. It outlives the pool that it was made on: `current`
 * gives the pool of the moment.
 */
const make = (
  pool: Pool,
  current: Effect.Effect<Pool, PoolError>,
  options: ClientOptions
): Effect.Effect<PgClient.PgClient, never, Reactivity.Reactivity> => {
  const { settings } = pool
  const { spanAttributes = {}, transformJson, transformQueryNames, transformResultNames } = options
  const values = valuesOf(options)
  const connection = connectionOn(current, values)
  const now = Effect.mapError(current, toSqlError)
  const client = SqlClient.make({
    acquirer: Effect.succeed(connection),
    borrower: (f) => f(connection),
    transactionAcquirer: Effect.flatMap(now, (pool) => reserve(pool, values)),
    compiler: PgClient.makeCompiler(transformQueryNames, transformJson),
    driver: "pg",
    spanAttributes: [...Object.entries(spanAttributes), ...serverOf(settings)],
    ...(transformResultNames === undefined
      ? {}
      : { transformRows: Statement.defaultTransforms(transformResultNames, transformJson).array })
  })
  return Effect.map(client, (standard) => {
    const own: PgClient.PgClient = Object.assign(standard, {
      [PgClient.TypeId]: PgClient.TypeId,
      config: configOf(settings, options),
      // A fiber's transaction is looked up by `connection`, since it may have been begun for other options.
      transactionService: pool.transactionKey,
      withTransaction: <A, E, R>(effect: Effect.Effect<A, E, R>) =>
        Effect.flatMap(now, (pool) =>
          Effect.withFiber((fiber) =>
            Effect.mapError(transaction(pool, fiber, effect, {}, spanAttributes), (error) =>
              isPoolError(error) ? toSqlError(error) : error
            )
          )
        ),
      afterCommit: <R>(effect: Effect.Effect<void, never, R>) =>
        Effect.flatMap(Effect.orDie(current), (pool) => afterCommit(pool, effect)),
      // A handle's template takes it too, where the fragment alone would be an object to store.
      json: (value: unknown) => ({
        ...Statement.fragment([custom(value, undefined, undefined)]),
        ...json(value)
      }),
      listen: (channel: string) => Effect.flatMap(now, (pool) => queueOf(pool, channel)),
      notify: (channel: string, payload: string) =>
        Effect.asVoid(connection.executeRaw("SELECT pg_catalog.pg_notify($1, $2)", [channel, payload]))
    })
    return spanned(own)
  })
}

/** The pool of the moment, for what outlives a pool. */
const currentOf = (source: Source): Effect.Effect<Effect.Effect<Pool, PoolError>, never, PoolRegistry> =>
  Effect.map(PoolRegistry, (registry) =>
    Effect.provideService(onPool(source, Effect.succeed), PoolRegistry, registry)
  )

export const clientOf = Effect.fnUntraced(function* (
  source: Source,
  options: ClientOptions = {}
): Effect.fn.Return<PgClient.PgClient, PoolError, PoolRegistry> {
  const current = yield* currentOf(source)
  const pool = yield* current
  const found = yield* Effect.serviceOption(Reactivity.Reactivity)
  const reactivity = Option.isSome(found) ? found.value : yield* Reactivity.make
  return yield* Effect.provideService(make(pool, current, options), Reactivity.Reactivity, reactivity)
})

/** The client as a layer of both its services. */
export const layerOf = (
  source: Source,
  options?: ClientOptions
): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, PoolError, PoolRegistry> =>
  Layer.effectContext(
    Effect.map(clientOf(source, options), (client) =>
      Context.make(PgClient.PgClient, client).pipe(Context.add(SqlClient.SqlClient, client))
    )
  ).pipe(Layer.provide(Reactivity.layer))
