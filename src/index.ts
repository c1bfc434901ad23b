/**
 * Postgres from Effect without ceremony: name a database, take a table, run code.
 */

export type {
  AcquireTimeout,
  BufferOverflow,
  DatabaseConflict,
  InvalidSettings,
  ResultUnavailable,
  StatementRefused
} from "./errors/PoolError.ts"
export { PoolError } from "./errors/PoolError.ts"
export * as PG from "./PG.ts"
export type {
  Options as PoolRegistryOptions,
  PoolStats,
  Service as PoolRegistryService
} from "./registry/PoolRegistry.ts"
export { PoolRegistry } from "./registry/PoolRegistry.ts"
