/**
 * What a user types first: handles, the registry of the process, and pieces of SQL.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { PG } from "effect-global-pool"
 *
 * const pgdb = PG.make({ host: "localhost", username: "app", database: "app" })
 * const users = pgdb.table("users")
 *
 * const program = users.select`select id, name from ${users} where age >= ${18}`
 *
 * Effect.runPromise(PG.run(program)).then((rows) => rows satisfies ReadonlyArray<unknown>)
 * ```
 */
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import * as Database from "./api/Database.ts"

// All types that signatures show, so that a program's own declarations can name what it exports.
export type { LockKey } from "./api/AdvisoryLock.ts"
export type { ClientOptions } from "./api/Client.ts"
export type { AnyDatabase, AnyTable, Database, KnownTable, SchemaTable } from "./api/Database.ts"
/**
 * A handle to a database. Nothing connects, and nothing is checked until an operation runs.
 *
 * The counterpart of asyncpg's `create_pool` and pymongo's `MongoClient`.
 */
export { make, typed } from "./api/Database.ts"
export type { Description, TypeName } from "./api/Describe.ts"
export type { ListenOptions } from "./api/Listen.ts"
export type * from "./api/Operations.ts"
export type * from "./api/PromiseHandles.ts"
export { type PromiseOptions, promise } from "./api/Promises.ts"
export type { ScriptOptions } from "./api/Script.ts"
export type { DecodedTable, Table } from "./api/Table.ts"
export type * from "./collection/CollectionOperations.ts"
export { set, values, where } from "./collection/Pieces.ts"
export type * from "./collection/Types.ts"
export type { OperationError } from "./errors/PoolError.ts"
export { sqlState } from "./errors/SqlState.ts"
export type { CopyProgress } from "./execute/CopyIn.ts"
export type { Form, Many, One, Outcome, Row } from "./execute/Outcome.ts"
export type { Progress, StreamOptions } from "./execute/Progress.ts"
export type { Notice } from "./protocol/Notice.ts"
export type { Notification } from "./protocol/Session.ts"
export { layer, run } from "./registry/SharedRegistry.ts"
export type { Connecting, OnConnect, Settings } from "./settings/Settings.ts"
export { and, join, or } from "./statement/Join.ts"
export type { Json } from "./statement/Json.ts"
export { json } from "./statement/Json.ts"
export type { Identifier } from "./statement/Names.ts"
export type { Sql } from "./statement/Sql.ts"
export { id, sql } from "./statement/Sql.ts"
export type { Statement } from "./statement/Statement.ts"
export type { Isolation, TransactionOptions } from "./transaction/TransactionOptions.ts"
export type { TypeCodec, TypeCodecs } from "./types/TypeCodec.ts"

/**
 * A handle from `DATABASE_URL`, and where that says nothing from libpq's variables: `PGHOST`, `PGPASSWORD`, `PGSSLMODE` and all
 * others.
 */
export const fromEnv: Effect.Effect<Database.Database, ConfigError> = /* @__PURE__ */ Effect.flatMap(
  // Loaded when it is used: a program that names its database does not load Effect's Config.
  /* @__PURE__ */ Effect.promise(() => import("./settings/Environment.ts")),
  ({ fromEnvironment }) =>
    Effect.map(fromEnvironment, ({ settings, words }) => Database.makeOver(words, settings))
)
