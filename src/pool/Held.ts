/**
 * The connection of a transaction: which fibers are in it, how deep they are nested, and what waits to be sent.
 *
 * A fiber's transaction is a service in its context, under a key of the database's own, in the form that Effect's SQL
 * clients use: so handles and `pgdb.client` join the same one. `BEGIN` and `SAVEPOINT` wait for the first statement and
 * travel with it; a transaction without a statement costs nothing.
 *
 * `Exchange.ts` is what goes over the connection.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as SqlClient from "effect/sql/SqlClient"
import type { Connection as SqlConnection } from "effect/sql/SqlConnection"
import type { SqlError } from "effect/sql/SqlError"
import type { PoolError } from "../PoolError.ts"
import { type Checked, describe } from "../settings/Settings.ts"
import * as Fate from "./Fate.ts"
import type * as Lines from "./Lines.ts"
import * as Turn from "./Turn.ts"

/** A transaction, or one nested in it. */
export interface Level {
  readonly outer: Level | undefined
  /** Had by one statement at a time, or by the transaction that is nested in this one. */
  readonly turn: Turn.Turn
  readonly savepoint: string
  open: boolean
  undone: boolean
}

/** A statement of ours that travels with the user's next one. */
export interface Pending {
  readonly text: string
  /** The level whose undoing makes it void. */
  readonly level: Level
  /** Whether it is the one that opens the level. */
  readonly opens: boolean
}

/** The pool that a connection is lent by. */
export interface Owner {
  readonly settings: Checked
  readonly transaction: Key
  readonly onCatalogueChange: () => void
  readonly cutOff: () => SqlError | undefined
}

/** A connection that one transaction holds. */
export interface Held {
  readonly owner: Owner
  readonly member: Lines.Member
  readonly root: Level
  pending: ReadonlyArray<Pending>
  /** How many savepoints it has had: each has a name of its own. */
  savepoints: number
  /** `BEGIN` was sent. */
  begun: boolean
  /** It was committed or rolled back, and the connection may be somebody else's by now. */
  ended: boolean
  /** Why nothing more is sent although it has not ended: `BEGIN` failed. */
  failed: SqlError | undefined
  /** Whether a statement is on the wire, and who waits until there is none. */
  running: boolean
  readonly onRest: Set<() => void>
  /** Waits for the answers to what was sent ahead of the statement on the wire. */
  ahead: Effect.Effect<unknown>
}

/** A transaction's connection in the form that Effect's SQL clients join. */
export interface Link extends SqlConnection {
  readonly held: Held
}

/** Under which key a fiber's context holds its transaction on one database, with the depth of savepoints. */
export type Key = Context.Service<SqlClient.TransactionConnection, readonly [link: Link, depth: number]>

/** The key as `SqlClient.make` takes it. */
export type ClientKey = Context.Service<
  SqlClient.TransactionConnection,
  SqlClient.TransactionConnection.Service
>

const registries = new WeakMap<object, number>()
let count = 0
/** Other copies of this module count too. */
const copy = /* @__PURE__ */ Math.random().toString(36).slice(2)

/**
 * The same key in the two types that its users know it by. It is that of the database under the pool's key in its
 * registry, so that a fiber stays in its transaction when the pool is ended and another one takes its place.
 */
export const makeKey = (
  registry: object,
  settings: Checked
): { readonly key: Key; readonly client: ClientKey } => {
  const number = registries.get(registry) ?? count++
  registries.set(registry, number)
  const name = `effect-global-pool/Transaction/${copy}/${number}/${settings.key}/${settings.username}@${describe(settings)}`
  return {
    key: Context.Service<SqlClient.TransactionConnection, readonly [link: Link, depth: number]>(name),
    client: Context.Service<SqlClient.TransactionConnection, SqlClient.TransactionConnection.Service>(name)
  }
}

const makeLevel = (outer: Level | undefined, savepoint: string): Level => ({
  outer,
  turn: Turn.make(),
  savepoint,
  open: true,
  undone: false
})

export const hold = (owner: Owner, member: Lines.Member): Held => ({
  owner,
  member,
  root: makeLevel(undefined, ""),
  pending: [],
  savepoints: 0,
  begun: false,
  ended: false,
  failed: undefined,
  running: false,
  onRest: new Set(),
  ahead: Effect.void
})

/** Opens a savepoint inside a level; it waits for its first statement. */
export const openLevel = (held: Held, outer: Level): Level => {
  const level = makeLevel(outer, `effect_sql_${++held.savepoints}`)
  held.pending = [...held.pending, { text: `SAVEPOINT ${level.savepoint}`, level, opens: true }]
  return level
}

/** Has the transaction begin with its first statement. */
export const beginWith = (held: Held, text: string): void => {
  held.pending = [{ text, level: held.root, opens: true }]
}

/** Whether it is a transaction, and not a connection that a caller has for itself. */
export const isTransaction = ({ begun, pending, root }: Held): boolean =>
  begun || pending.some(({ level, opens }) => opens && level === root)

/** The caller that had the connection to itself has given it back: nothing is sent through it any more. */
export const end = (held: Held): void => {
  held.ended = true
  held.pending = []
}

/** Sends a statement with the transaction's next one; not at all when that is never sent, or the level is rolled back. */
export const afterwards = (held: Held, level: Level, text: string): void => {
  if (!held.ended) held.pending = [...held.pending, { text, level, opens: false }]
}

/** What the same transaction is to a handle that reads and writes values by other settings: nothing to join. */
export const closedTo = (held: Held): Held => ({ ...held, ended: true })

/** Levels by the value under the fiber's key, which each level has one of its own of. */
const levels = new WeakMap<object, Level>()

export const levelOf = (held: Held, context: Context.Context<never>): Level => {
  const value = Context.getOrUndefined(context, held.owner.transaction)
  const level = value?.[0].held === held ? levels.get(value) : undefined
  return level ?? held.root
}

/** The fiber's context is one inside this level, and so are those of its children. */
export const enterLevel = (held: Held, level: Level, context: Context.Context<never>): void => {
  const value = Context.getOrUndefined(context, held.owner.transaction)
  if (value !== undefined) levels.set(value, level)
}

/** Whether neither the level nor one around it was rolled back. */
export const isAlive = (level: Level): boolean =>
  !level.undone && (level.outer === undefined || isAlive(level.outer))

const isOpen = (level: Level): boolean => level.open && (level.outer === undefined || isOpen(level.outer))

/** Why nothing is sent on this level any more. */
export const closed = (held: Held, level: Level): SqlError | PoolError | undefined =>
  held.ended || !isOpen(level) ? Fate.over() : (held.failed ?? held.owner.cutOff())

export const patienceOf = ({ owner: { settings } }: Held): Turn.Patience<PoolError> => ({
  millis: settings.acquireTimeout,
  error: () => Fate.waited(settings.acquireTimeout)
})
