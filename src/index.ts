/**
 * Postgres from Effect without ceremony: name a database, take a table, run code.
 */
export * as PG from "./PG.ts"
export { PoolError } from "./PoolError.ts"
export { PoolRegistry } from "./PoolRegistry.ts"
