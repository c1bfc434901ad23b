/**
 * Loads the standard client when it is first used: a program without it does not load the driver's own.
 */
import type { PgClient } from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { SqlClient } from "effect/sql/SqlClient"
import type { PoolError } from "../errors/PoolError.ts"
import type { PoolRegistry } from "../registry/PoolRegistry.ts"
import type { ClientOptions } from "./Client.ts"
import type { Source } from "./Handle.ts"

const load = /* @__PURE__ */ Effect.promise(() => import("./Client.ts"))

/** The standard Effect SQL client on the source's pool. */
export const clientOf = (
  source: Source,
  options: ClientOptions = {}
): Effect.Effect<PgClient, PoolError, PoolRegistry> =>
  Effect.flatMap(load, (client) => client.clientOf(source, options))

/** The client as a layer of both its services. */
export const layerOf = (
  source: Source,
  options: ClientOptions = {}
): Layer.Layer<PgClient | SqlClient, PoolError, PoolRegistry> =>
  Layer.unwrap(Effect.map(load, (client) => client.layerOf(source, options)))
