/**
 * What is counted of pools, as metrics of Effect, named by OpenTelemetry's conventions for database clients.
 *
 * **Details**
 *
 * Counting is integer work where it happens; metrics are put together for a snapshot. Every series is tagged
 * with the pool's key as `db.client.connection.pool.name`. The first hundred keys that a metric registry meets get series
 * of their own, which stay when their pools are forgotten; all later ones count together as `other`.
 */
import * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import type { ConnectionBudget } from "./Budget.ts"
import * as Durations from "./Durations.ts"
import type { Histogram } from "./Histogram.ts"
import * as Histograms from "./Histogram.ts"
import type { PoolStats } from "./Stats.ts"

/** Why a connection was closed. */
export type CloseReason =
  /** Unused for `idleTimeout`. */
  | "idle"
  /** Older than `connectionTTL`. */
  | "expired"
  /** Its place under the registry's limit went to another pool. */
  | "evicted"
  /** Ended by the server or the network. */
  | "broken"
  /** It could not be brought back to how it was lent. */
  | "unclean"
  /** Its pool ended. */
  | "ended"

/** What is counted under one tag. */
export interface Counts {
  /** Pools that are open under this tag. */
  readonly pools: Set<() => PoolStats>
  opened: number
  readonly closed: Record<CloseReason, number>
  timeouts: number
  /** How long callers waited for a connection. */
  readonly waits: Histogram
  /** How long openings took that came to a connection. */
  readonly creations: Histogram
  /** How long callers had a connection. */
  readonly uses: Histogram
  readonly durations: Durations.Durations
}

const reasons = ["idle", "expired", "evicted", "broken", "unclean", "ended"] as const
/** In seconds; a caller who did not wait is in the first. */
const bounds = [0, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30]
const mostTags = 100
const other = "other"

const makeCounts = (context: Context.Context<never>): Counts => ({
  pools: new Set(),
  opened: 0,
  closed: { idle: 0, expired: 0, evicted: 0, broken: 0, unclean: 0, ended: 0 },
  timeouts: 0,
  waits: Histograms.make(bounds),
  creations: Histograms.make(bounds),
  uses: Histograms.make(bounds),
  durations: Durations.make(context)
})

/** Notes a time of so many milliseconds. */
export const record = (histogram: Histogram, millis: number): void =>
  Histograms.record(histogram, millis / 1_000)

const nothing = () => undefined

/** Registers the series of one tag. */
const register = (context: Context.Context<never>, tag: string, counts: Counts): void => {
  const describe = (description: string, unit: string, more: Record<string, string> = {}) => ({
    description,
    attributes: { "db.client.connection.pool.name": tag, unit, ...more }
  })
  const hooks = <State>(get: () => State) => ({ get, update: nothing, modify: nothing })
  const upDownCounter = (
    name: string,
    read: (stats: PoolStats) => number,
    options: ReturnType<typeof describe>
  ) =>
    Metric.registerUnsafe(
      Metric.counter(`db.client.connection.${name}`, { ...options, incremental: false }),
      context,
      hooks(() => {
        let count = 0
        for (const stats of counts.pools) count += read(stats())
        return { count, incremental: false }
      })
    )
  const counter = (name: string, read: () => number, options: ReturnType<typeof describe>) =>
    Metric.registerUnsafe(
      Metric.counter(`db.client.connection.${name}`, { ...options, incremental: true }),
      context,
      hooks(() => ({ count: read(), incremental: true }))
    )
  const count = "Connections that are open now"
  upDownCounter(
    "count",
    ({ idle }) => idle,
    describe(count, "{connection}", { "db.client.connection.state": "idle" })
  )
  upDownCounter(
    "count",
    ({ idle, open }) => open - idle,
    describe(count, "{connection}", { "db.client.connection.state": "used" })
  )
  upDownCounter(
    "max",
    ({ max }) => max,
    describe("The most connections that a pool may have", "{connection}")
  )
  upDownCounter(
    "pending_requests",
    ({ waiting }) => waiting,
    describe("Calls that wait for a connection now", "{request}")
  )
  counter("opened", () => counts.opened, describe("Connections opened", "{connection}"))
  for (const reason of reasons) {
    counter("closed", () => counts.closed[reason], describe("Connections closed", "{connection}", { reason }))
  }
  counter(
    "timeouts",
    () => counts.timeouts,
    describe("Calls that got no connection within acquireTimeout", "{timeout}")
  )
  const histogram = (name: string, counted: Histogram, description: string) =>
    Metric.registerUnsafe(
      Metric.histogram(`db.client.connection.${name}`, {
        ...describe(description, "s"),
        boundaries: bounds
      }),
      context,
      hooks(() => Histograms.stateOf(counted))
    )
  histogram("wait_time", counts.waits, "How long calls waited for a connection")
  histogram("create_time", counts.creations, "How long it took to open a connection")
  histogram("use_time", counts.uses, "How long calls had a connection")
}

/** The limit of a registry, what is taken of it, and the pools that wait for a part of it. */
const registerBudgets = (context: Context.Context<never>, budgets: ReadonlySet<ConnectionBudget>): void => {
  const upDownCounter = (
    name: string,
    read: (budget: ConnectionBudget) => number,
    description: string,
    unit: string
  ) =>
    Metric.registerUnsafe(
      Metric.counter(`db.client.registry.connection.${name}`, {
        description,
        attributes: { unit },
        incremental: false
      }),
      context,
      {
        get: () => {
          let count = 0
          for (const budget of budgets) count += read(budget)
          return { count, incremental: false }
        },
        update: nothing,
        modify: nothing
      }
    )
  upDownCounter("max", ({ max }) => max, "The most connections of all pools together", "{connection}")
  upDownCounter("used", ({ used }) => used(), "Connections taken of that limit", "{connection}")
  upDownCounter("pending_pools", ({ waiting }) => waiting(), "Pools that wait for one", "{pool}")
}

/** What is counted in one metric registry. */
interface Meter {
  readonly countsByTag: Map<string, Counts>
  readonly budgets: Set<ConnectionBudget>
}

const meters = new WeakMap<Metric.MetricRegistry, Meter>()

const meterOf = (context: Context.Context<never>): Meter => {
  const registry = Context.get(context, Metric.MetricRegistry)
  const known = meters.get(registry)
  if (known !== undefined) return known
  const meter: Meter = { countsByTag: new Map(), budgets: new Set() }
  meters.set(registry, meter)
  return meter
}

/** Counts the limit of a registry, if it has one, until what this gives is called. */
export const addBudget = (context: Context.Context<never>, budget: ConnectionBudget): (() => void) => {
  if (budget.max === Number.POSITIVE_INFINITY) return nothing
  const { budgets } = meterOf(context)
  if (budgets.size === 0) registerBudgets(context, budgets)
  budgets.add(budget)
  return () => {
    budgets.delete(budget)
  }
}

/** Where pools of this key are counted, by the metric registry of the context. */
export const countsOf = (context: Context.Context<never>, key: string): Counts => {
  const { countsByTag } = meterOf(context)
  const tag = countsByTag.has(key) || countsByTag.size < mostTags ? key : other
  const known = countsByTag.get(tag)
  if (known !== undefined) return known
  const counts = makeCounts(context)
  countsByTag.set(tag, counts)
  register(context, tag, counts)
  return counts
}
