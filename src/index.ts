/**
 * Postgres from Effect without ceremony: name a database, take a table, run code.
 */

export { PoolError } from "./errors/PoolError.ts"
export * as PG from "./PG.ts"
export { PoolRegistry } from "./registry/PoolRegistry.ts"
