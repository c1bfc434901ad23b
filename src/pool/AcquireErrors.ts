/**
 * The errors of callers that got no connection in time.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { ConnectionError, SqlError } from "effect/sql/SqlError"
import { AcquireTimeout, PoolError } from "../errors/PoolError.ts"
import type { ResolvedSettings } from "../settings/Settings.ts"
import type { ConnectionBudget } from "./Budget.ts"
import type { PoolStats } from "./Stats.ts"

/** Keys of the pools whose connection the current fiber holds, for a transaction or a stream. */
export const Held = Context.Reference<ReadonlyArray<string>>("effect-global-pool/Held", {
  defaultValue: () => []
})

/** An effect that runs when the transaction of this pool around it has given its connection back. */
export const freeOf = <A, E, R>(effect: Effect.Effect<A, E, R>, key: string): Effect.Effect<A, E, R> =>
  Effect.updateService(effect, Held, (keys) => keys.filter((held) => held !== key))

/** Keys of the pools whose connection a fiber has reserved; a stream passes them to the fiber that reads it. */
const reserved = new WeakMap<Fiber.Fiber<unknown, unknown>, Array<string>>()

/** Notes that the fiber has a connection reserved, until the function that this gives is called. */
export const holds = (fiber: Fiber.Fiber<unknown, unknown>, key: string): (() => void) => {
  const keys = reserved.get(fiber) ?? []
  keys.push(key)
  reserved.set(fiber, keys)
  return () => {
    keys.splice(keys.lastIndexOf(key), 1)
  }
}

/** Keys of the pools whose connection the fiber that is about to wait holds, as far as that is known. */
export const heldBy = (fiber: Fiber.Fiber<unknown, unknown>): ReadonlyArray<string> => [
  ...new Set([...fiber.getRef(Held), ...(reserved.get(fiber) ?? [])])
]

const fail = ({ inUse, key, max, waiting }: PoolStats, message: string, cause?: SqlError): PoolError =>
  new PoolError({ reason: new AcquireTimeout({ key, inUse, max, waiting, message, cause }) })

const situation = (stats: PoolStats, budget: ConnectionBudget): string =>
  `${stats.inUse} of its ${stats.max} connections are in use, ${stats.waiting} ${stats.waiting === 1 ? "operation waits" : "operations wait"}` +
  (budget.max === Number.POSITIVE_INFINITY
    ? ""
    : `, and all pools together have ${budget.used()} of ${budget.max}`)

const limitOf = (stats: PoolStats, budget: ConnectionBudget): string =>
  stats.open < stats.max && budget.used() >= budget.max
    ? "the registry's maxConnections, of which each database that listens takes one"
    : "maxConnections"

/** A caller waited for the whole of `acquireTimeout` while the first connection was being opened. */
export const unanswered = (stats: PoolStats, server: string, millis: number): PoolError =>
  fail(
    stats,
    `No connection of the pool "${stats.key}" was open within acquireTimeout, ${millis} ms: ${server} has not answered so far. Check the settings host and port and what filters traffic on the way, or raise acquireTimeout.`
  )

/** A caller waited for the whole of `acquireTimeout`. */
export const timedOut = (
  stats: PoolStats,
  budget: ConnectionBudget,
  millis: number,
  held: ReadonlyArray<string>,
  lastFailure: SqlError | undefined
): PoolError => {
  if (stats.open === 0 && lastFailure !== undefined) {
    const message = `No connection of the pool "${stats.key}" could be opened within acquireTimeout, ${millis} ms. ${lastFailure.message}`
    return fail(stats, message, lastFailure)
  }
  const advice =
    held.length > 0
      ? `The fiber that waited already holds a connection of ${held.map((key) => `"${key}"`).join(" and ")} in a transaction or a stream, and needed one more: it may wait for itself. Do the inner work through the same transaction, or raise maxConnections.`
      : lastFailure === undefined
        ? `Raise ${limitOf(stats, budget)}, shorten the transactions and streams that hold them, or raise acquireTimeout.`
        : undefined
  const failed = lastFailure === undefined ? undefined : `Opening one more failed: ${lastFailure.message}`
  const what = `No connection of the pool "${stats.key}" came free within acquireTimeout, ${millis} ms: ${situation(stats, budget)}.`
  return fail(stats, [what, advice, failed].filter((part) => part !== undefined).join(" "), lastFailure)
}

/** As many callers wait as `maxWaiting` allows. */
export const tooMany = (stats: PoolStats, budget: ConnectionBudget): PoolError =>
  fail(
    stats,
    `The pool "${stats.key}" takes no more waiting operations, by the setting maxWaiting: ${situation(stats, budget)}. Try again later, or raise maxConnections or maxWaiting.`
  )

/** The limit of the registry left no place for the connection on which the pool listens. */
export const noPlaceToListen = (stats: PoolStats, budget: ConnectionBudget, millis: number): PoolError =>
  fail(
    stats,
    `The pool "${stats.key}" got no place for the connection on which it listens within acquireTimeout, ${millis} ms: all pools together have ${budget.used()} of ${budget.max}. Raise the registry's maxConnections: each database that listens takes one of them for as long as it does.`
  )

/** The pool takes nobody any more. */
export const ended = ({ key }: ResolvedSettings): SqlError =>
  new SqlError({
    reason: new ConnectionError({
      cause: new Error("The pool was ended while this operation waited or ran"),
      message: `The pool "${key}" was ended while this operation waited or ran. The next operation opens a new one.`,
      operation: "acquire"
    })
  })
