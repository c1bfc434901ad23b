/**
 * Under which key a fiber has its transaction on a database, in the form that Effect's SQL clients use: so handles and
 * `pgdb.client` join the same one.
 */
import * as Context from "effect/Context"
import type * as SqlClient from "effect/sql/SqlClient"
import { describe, type ResolvedSettings } from "../settings/Settings.ts"

export type TransactionKey = Context.Service<
  SqlClient.TransactionConnection,
  SqlClient.TransactionConnection.Service
>

/** A registry's part of the names of keys; other copies of this module have others. */
export const makeNamespace = (): string => Math.random().toString(36).slice(2)

/**
 * The key of a database's transactions. It is that of the database under the pool's key in its registry, so that a fiber
 * stays in its transaction when the pool is ended and another takes its place.
 */
export const make = (namespace: string, settings: ResolvedSettings): TransactionKey =>
  Context.Service(
    `effect-global-pool/Transaction/${namespace}/${settings.key}/${settings.username}@${describe(settings)}`
  )
