/**
 * Which connections a pool has, who has them and who waits: the bookkeeping of one pool, without effects.
 *
 * A connection is lent whole to one caller, or shared by callers with short reads. There is a queue for each kind, and the
 * two take turns, so that neither starves.
 */
import type * as Effect from "effect/Effect"
import type { OperationError } from "../errors/PoolError.ts"
import type { PooledConnection } from "./PooledConnection.ts"

/**
 * How a caller takes a connection that may be dead: one that was idle for long is asked first (`"asks"`), or by the caller's
 * own statement, which may be sent again (`"tries"`); after one that was dead every idle one is asked (`"asks all"`).
 */
export type Caution = "asks" | "tries" | "asks all"

/** A caller that has a connection or waits for one. */
export interface Waiter {
  /** The average time of its statement where it may share, else `undefined`. */
  readonly expectedMillis: number | undefined
  /** How it takes a connection that may be dead. */
  readonly caution: Caution
  connection: PooledConnection | undefined
  /** Called once, with a connection or a failure, when the caller had to wait. */
  onConnection: (connection: PooledConnection) => void
  onFailure: (failure: Effect.Effect<never, OperationError>) => void
  waitingSince: number
  lentAt: number
  /** It was interrupted while it had its connection: the result of its statement is dropped. */
  isAbandoned: boolean
  /** Keys of the pools whose connection the caller already holds. */
  holds: ReadonlyArray<string>
}

const nothing = () => undefined
const none: ReadonlyArray<string> = []

export const makeWaiter = (expectedMillis: number | undefined, caution: Caution = "asks"): Waiter => ({
  expectedMillis,
  caution,
  connection: undefined,
  onConnection: nothing,
  onFailure: nothing,
  waitingSince: 0,
  lentAt: 0,
  isAbandoned: false,
  holds: none
})

/** How long a connection serves one pool while others wait for a slot of the budget, in milliseconds. */
export const turnMillis = 10

export interface PoolState {
  readonly connections: Set<PooledConnection>
  /** The longest idle first. */
  readonly idle: Array<PooledConnection>
  /** Callers that want a connection whole, the first come first; and those that may share one. */
  readonly exclusiveQueue: Set<Waiter>
  readonly sharedQueue: Set<Waiter>
  /** Idle connections that are asked whether their server still answers. */
  readonly asked: Set<PooledConnection>
}

export const make = (): PoolState => ({
  connections: new Set(),
  idle: [],
  exclusiveQueue: new Set(),
  sharedQueue: new Set(),
  asked: new Set()
})

export const queueOf = (state: PoolState, { expectedMillis }: Waiter): Set<Waiter> =>
  expectedMillis === undefined ? state.exclusiveQueue : state.sharedQueue

export const waiting = ({ exclusiveQueue, sharedQueue }: PoolState): number =>
  exclusiveQueue.size + sharedQueue.size

const first = <A>(set: Set<A>): A | undefined => set.values().next().value

export const longestWaiting = ({ exclusiveQueue, sharedQueue }: PoolState): Waiter | undefined => {
  const exclusive = first(exclusiveQueue)
  const shared = first(sharedQueue)
  if (exclusive === undefined || shared === undefined) return exclusive ?? shared
  return exclusive.waitingSince <= shared.waitingSince ? exclusive : shared
}

/** Time in which this process stood still does not count as time that a caller waited. */
export const putOff = ({ exclusiveQueue, sharedQueue }: PoolState, millis: number): void => {
  for (const waiter of [...exclusiveQueue, ...sharedQueue]) waiter.waitingSince += millis
}

/** Fails the callers that wait; given a time, those that wait since then or longer. */
export const failWaiting = (
  { exclusiveQueue, sharedQueue }: PoolState,
  failure: Effect.Effect<never, OperationError>,
  since = Number.POSITIVE_INFINITY
): void => {
  // A caller may ask again at once, and is not one of these then.
  const failed = [...exclusiveQueue, ...sharedQueue].filter(({ waitingSince }) => waitingSince <= since)
  for (const waiter of failed) {
    exclusiveQueue.delete(waiter)
    sharedQueue.delete(waiter)
  }
  for (const waiter of failed) waiter.onFailure(failure)
}

/** Connections that callers have now. */
export const inUse = ({ connections }: PoolState): number => {
  let count = 0
  for (const { users } of connections) if (users > 0) count++
  return count
}

/** Connections that are not being closed. */
export const staying = ({ connections }: PoolState): number => {
  let count = 0
  for (const { isClosing } of connections) if (!isClosing) count++
  return count
}

export const addIdle = ({ idle }: PoolState, connection: PooledConnection, now: number): void => {
  connection.idleSince = now
  idle.push(connection)
}

/** Takes a connection out of the idle ones, and says whether it was one. */
export const removeIdle = ({ idle }: PoolState, connection: PooledConnection): boolean => {
  const at = idle.lastIndexOf(connection)
  if (at >= 0) idle.splice(at, 1)
  return at >= 0
}

export const lend = (connection: PooledConnection, waiter: Waiter, now: number): void => {
  waiter.connection = connection
  waiter.lentAt = now
  if (connection.users === 0) connection.busySince = now
  connection.users++
  connection.load += waiter.expectedMillis ?? 0
  connection.isExclusive = waiter.expectedMillis === undefined
  connection.servedExclusively = connection.isExclusive
}

export const takeBack = (connection: PooledConnection, waiter: Waiter): void => {
  waiter.connection = undefined
  connection.users--
  connection.load = connection.users === 0 ? 0 : connection.load - (waiter.expectedMillis ?? 0)
}

/** Keeps one shared connection from more users, so that it comes free for a caller that needs it alone. */
export const drainOne = ({ connections, exclusiveQueue }: PoolState): void => {
  let best: PooledConnection | undefined
  let draining = 0
  for (const connection of connections) {
    if (connection.isExclusive || connection.isClosing) continue
    if (connection.isDraining) draining++
    else if (best === undefined || connection.users < best.users) best = connection
  }
  if (best !== undefined && draining < exclusiveQueue.size) best.isDraining = true
}

export const servesExclusiveNext = (
  { exclusiveQueue, sharedQueue }: PoolState,
  { servedExclusively }: PooledConnection
): boolean => exclusiveQueue.size > 0 && (sharedQueue.size === 0 || !servedExclusively)
