/**
 * The state of a transaction: its connection, which fibers are in it, how deep they are nested, and what waits to be sent.
 *
 * A fiber's transaction is a service in its context, under a key of the database's own, in the form that Effect's SQL
 * clients use: so handles and `pgdb.client` join the same one. `BEGIN` and `SAVEPOINT` wait for the first statement and
 * travel with it; a transaction without a statement costs nothing.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as SqlClient from "effect/sql/SqlClient"
import type { Connection as SqlConnection } from "effect/sql/SqlConnection"
import type { OperationError, PoolError } from "../errors/PoolError.ts"
import type { Pool } from "../pool/Pool.ts"
import type { PooledConnection } from "../pool/PooledConnection.ts"
import { differences } from "../settings/Settings.ts"
import * as Mutex from "./Mutex.ts"
import * as TransactionErrors from "./TransactionErrors.ts"
import type { TransactionOptions } from "./TransactionOptions.ts"

/** A transaction, or one nested in it. */
export interface Level {
  readonly outer: Level | undefined
  /** Held by one statement at a time, or by the transaction nested in this one. */
  readonly mutex: Mutex.Mutex
  readonly savepoint: string
  isOpen: boolean
  isUndone: boolean
  /** What runs once the outermost transaction has committed. */
  readonly afterCommit: Array<Effect.Effect<void>>
}

/** A statement of the transaction's own that travels with the user's next one. */
export interface Pending {
  readonly text: string
  /** The level whose rollback makes it pointless. */
  readonly level: Level
  /** Whether it is the one that opens the level. */
  readonly opens: boolean
}

/** A transaction on its connection. */
export interface Transaction {
  readonly pool: Pool
  readonly connection: PooledConnection
  readonly root: Level
  readonly options: TransactionOptions
  pending: ReadonlyArray<Pending>
  /** How many savepoints it has had: each has a name of its own. */
  savepoints: number
  /** How many portals it has had. */
  portals: number
  /** `BEGIN` was sent. */
  hasBegun: boolean
  /** It was committed or rolled back, and its connection may have been lent again. */
  hasEnded: boolean
  /** Why nothing more is sent although it has not ended: `BEGIN` failed. */
  failure: OperationError | undefined
  /** Whether a statement is under way, and the fibers that wait until there is none. */
  isRunning: boolean
  readonly onRest: Set<() => void>
}

/** A transaction's connection in the form that Effect's SQL clients join. */
export interface Joined extends SqlConnection {
  readonly transaction: Transaction
  /** The level that those who have it are in. */
  readonly level: Level
}

/** A fiber's transaction on one database: the value under its key, with the depth of savepoints. */
export type Membership = readonly [connection: Joined, depth: number]

const makeLevel = (outer: Level | undefined, savepoint: string): Level => ({
  outer,
  mutex: Mutex.make(),
  savepoint,
  isOpen: true,
  isUndone: false,
  afterCommit: []
})

/** A transaction that begins with this statement; without one it is a connection that a caller has for itself. */
export const make = (
  pool: Pool,
  connection: PooledConnection,
  begin: string | undefined,
  options: TransactionOptions = {}
): Transaction => {
  const root = makeLevel(undefined, "")
  return {
    pool,
    connection,
    root,
    options,
    pending: begin === undefined ? [] : [{ text: begin, level: root, opens: true }],
    savepoints: 0,
    portals: 0,
    hasBegun: false,
    hasEnded: false,
    failure: undefined,
    isRunning: false,
    onRest: new Set()
  }
}

/** Opens a savepoint of this name inside a level; it waits for its first statement. */
export const openLevel = (transaction: Transaction, outer: Level, savepoint: string): Level => {
  const level = makeLevel(outer, savepoint)
  transaction.pending = [...transaction.pending, { text: `SAVEPOINT ${savepoint}`, level, opens: true }]
  return level
}

/** Whether it is a transaction, and not a connection that a caller has for itself. */
export const isTransaction = ({ hasBegun, pending, root }: Transaction): boolean =>
  hasBegun || pending.some(({ level, opens }) => opens && level === root)

/** Nothing is sent any more. */
export const end = (transaction: Transaction): void => {
  transaction.hasEnded = true
  transaction.pending = []
}

/** Sends a statement with the next one; not at all when there is none, or the level is rolled back. */
export const sendLater = (transaction: Transaction, level: Level, text: string): void => {
  if (!transaction.hasEnded) transaction.pending = [...transaction.pending, { text, level, opens: false }]
}

/** Takes what waits to be sent. */
export const takePending = (transaction: Transaction): ReadonlyArray<Pending> => {
  const { pending } = transaction
  transaction.hasBegun = isTransaction(transaction)
  transaction.pending = []
  return pending.filter(({ level }) => isAlive(level))
}

/** Whether neither the level nor one around it was rolled back. */
export const isAlive = (level: Level): boolean =>
  !level.isUndone && (level.outer === undefined || isAlive(level.outer))

const isOpen = (level: Level): boolean => level.isOpen && (level.outer === undefined || isOpen(level.outer))

/** Why nothing is sent on this level any more. */
export const closedError = (transaction: Transaction, level: Level): OperationError | undefined =>
  transaction.hasEnded || !isOpen(level)
    ? TransactionErrors.over()
    : (transaction.failure ?? transaction.pool.cutOff())

/** How long a statement waits for another fiber of its transaction. */
export const patienceOf = ({ pool: { settings } }: Transaction): Mutex.Patience<PoolError> => ({
  millis: settings.acquireTimeout,
  error: () => TransactionErrors.waited(settings.acquireTimeout)
})

const isMembership = (value: SqlClient.TransactionConnection.Service): value is Membership =>
  "transaction" in value[0]

/** What stands in a fiber's context under the pool's key. */
const membershipOn = (pool: Pool, context: Context.Context<never>): Membership | undefined => {
  const found = Context.getOrUndefined(context, pool.transactionKey)
  return found !== undefined && isMembership(found) ? found : undefined
}

/** A membership whose statements all fail with this error. */
export const refusing = ([joined, depth]: Membership, failure: PoolError): Membership => {
  const root = makeLevel(undefined, "")
  return [{ ...joined, transaction: { ...joined.transaction, failure, root }, level: root }, depth]
}

/**
 * The transaction of this pool that a fiber is in. One on another pool of the same key is joined if its settings are the
 * same; to a handle that reads values by other settings it has ended.
 */
export const currentOf = (pool: Pool, context: Context.Context<never>): Membership | undefined => {
  const membership = membershipOn(pool, context)
  if (membership === undefined) return undefined
  const [joined, depth] = membership
  const { pool: other } = joined.transaction
  if (other === pool || other.settings === pool.settings) return membership
  if (differences(other.settings, pool.settings).length === 0) return membership
  return [{ ...joined, transaction: { ...joined.transaction, hasEnded: true } }, depth]
}

/** The membership of a fiber in the transaction of this connection; one that is not inside of it is on its outermost level. */
export const membershipIn = (joined: Joined, context: Context.Context<never>): Membership => {
  const membership = membershipOn(joined.transaction.pool, context)
  return membership?.[0].transaction === joined.transaction ? membership : [joined, 0]
}
