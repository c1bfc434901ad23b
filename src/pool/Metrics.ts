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

/**
 * Why a connection was closed: unused for `idleTimeout`, older than `connectionTTL`, its place under the registry's limit went to
 * another pool, ended by the server or the network, it could not be brought back to how it was lent, or its pool ended.
 */
const reasons = ["idle", "expired", "evicted", "broken", "unclean", "ended"] as const

export type CloseReason = (typeof reasons)[number]

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

/** In seconds; a caller who did not wait is in the first. */
const bounds = [0, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30]
const mostTags = 100
const other = "other"

/** Registers counts of what there is now, which go up and down: their sum over all that are counted together. */
const sums =
  <A>(context: Context.Context<never>, prefix: string, all: Iterable<A>, common: Durations.Attributes) =>
  (
    name: string,
    read: (one: A) => number,
    description: string,
    unit: string,
    more?: Durations.Attributes
  ): void => {
    const attributes = { ...common, unit, ...more }
    const metric = Metric.counter(prefix + name, { description, attributes, incremental: false })
    Durations.register(context, metric, () => ({
      count: Array.from(all, read).reduce((sum, one) => sum + one, 0),
      incremental: false
    }))
  }

const registerCounts = (context: Context.Context<never>, tag: string, counts: Counts): void => {
  const prefix = "db.client.connection."
  const common = { "db.client.connection.pool.name": tag }
  const sum = sums(context, prefix, counts.pools, common)
  const state = (state: string) => ({ "db.client.connection.state": state })
  const counter = (
    name: string,
    read: () => number,
    description: string,
    unit: string,
    more?: Durations.Attributes
  ) => {
    const attributes = { ...common, unit, ...more }
    const metric = Metric.counter(prefix + name, { description, attributes, incremental: true })
    Durations.register(context, metric, () => ({ count: read(), incremental: true }))
  }
  const histogram = (name: string, counted: Histogram, description: string) => {
    const options = { description, attributes: { ...common, unit: "s" }, boundaries: bounds }
    Durations.register(context, Metric.histogram(prefix + name, options), () => Histograms.stateOf(counted))
  }
  const open = "Connections that are open now"
  sum("count", (stats) => stats().idle, open, "{connection}", state("idle"))
  sum("count", (stats) => stats().open - stats().idle, open, "{connection}", state("used"))
  sum("max", (stats) => stats().max, "The most connections that a pool may have", "{connection}")
  sum("pending_requests", (stats) => stats().waiting, "Calls that wait for a connection now", "{request}")
  counter("opened", () => counts.opened, "Connections opened", "{connection}")
  for (const reason of reasons) {
    counter("closed", () => counts.closed[reason], "Connections closed", "{connection}", { reason })
  }
  const late = "Calls that got no connection within acquireTimeout"
  counter("timeouts", () => counts.timeouts, late, "{timeout}")
  histogram("wait_time", counts.waits, "How long calls waited for a connection")
  histogram("create_time", counts.creations, "How long it took to open a connection")
  histogram("use_time", counts.uses, "How long calls had a connection")
}

/** The limit of a registry, what is taken of it, and the pools that wait for a part of it. */
const registerBudgets = (context: Context.Context<never>, budgets: ReadonlySet<ConnectionBudget>): void => {
  const sum = sums(context, "db.client.registry.connection.", budgets, {})
  sum("max", ({ max }) => max, "The most connections of all pools together", "{connection}")
  sum("used", ({ used }) => used(), "Connections taken of that limit", "{connection}")
  sum("pending_pools", ({ waiting }) => waiting(), "Pools that wait for one", "{pool}")
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
  if (budget.max === Number.POSITIVE_INFINITY) return () => undefined
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
  const counts: Counts = {
    pools: new Set(),
    opened: 0,
    closed: { idle: 0, expired: 0, evicted: 0, broken: 0, unclean: 0, ended: 0 },
    timeouts: 0,
    waits: Histograms.make(bounds),
    creations: Histograms.make(bounds),
    uses: Histograms.make(bounds),
    durations: Durations.make(context)
  }
  countsByTag.set(tag, counts)
  registerCounts(context, tag, counts)
  return counts
}
