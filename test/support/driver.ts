/**
 * Effect's own Postgres client beside this package's, on one database: what the one does the other has to do.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Reactivity from "effect/reactivity/Reactivity"
import type * as Scope from "effect/Scope"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { PG, PoolRegistry } from "effect-global-pool"
import { database } from "./database.ts"
import type { TestServer } from "./server.ts"

/** A client as a layer, by the driver's configuration or the options of `pgdb.layerWith`. */
export type Options = Pick<
  PgClient.PgPoolConfig,
  "transformQueryNames" | "transformResultNames" | "transformJson" | "spanAttributes" | "maxConnections"
>

const configOf = (settings: TestServer, options: Options): PgClient.PgPoolConfig => ({
  ...settings,
  password: Redacted.make(settings.password),
  ...options
})

/** The driver's own client. */
export const driver = (
  settings: TestServer,
  options: Options = {}
): Effect.Effect<PgClient.PgClient, SqlError, Scope.Scope> =>
  Effect.provide(PgClient.make(configOf(settings, options)), Reactivity.layer)

type Client = PgClient.PgClient | SqlClient

/** The two layers by name, each on a fresh database of its own. */
export const layers: ReadonlyArray<
  readonly [name: string, layer: (options?: Options) => Layer.Layer<Client, unknown>]
> = [
  [
    "PgClient.layer",
    (options = {}) =>
      Layer.unwrap(Effect.map(database(), ({ settings }) => PgClient.layer(configOf(settings, options))))
  ],
  [
    "pgdb.layer",
    ({ maxConnections, ...options } = {}) =>
      Layer.unwrap(
        Effect.map(database(), ({ settings }) =>
          Layer.provide(PG.make({ ...settings, maxConnections }).layerWith(options), PoolRegistry.layer())
        )
      )
  ]
]
