/**
 * How long operations took, by what they did: the metric `db.client.operation.duration`. Counted where an operation ends, put
 * together for a snapshot. A pool's name has a bounded number of series; what comes later is counted without
 * its summary.
 */
import type * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import type { Histogram } from "./Histogram.ts"
import * as Histograms from "./Histogram.ts"

/** Attributes of a series, as texts. */
export type Attributes = Readonly<Record<string, string>>

export interface Durations {
  /** The series of these attributes; `rest` are those of all that no series of its own is left for. */
  readonly of: (attributes: Attributes, rest: Attributes) => Histogram
}

/** In seconds, as the conventions have them. */
const bounds = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]
const mostSeries = 200

const nothing = () => undefined

/** Registers a metric whose state is put together when it is asked for. */
export const register = <Input, State>(
  context: Context.Context<never>,
  metric: Metric.Metric<Input, State>,
  get: () => State
): void => {
  Metric.registerUnsafe(metric, context, { get, update: nothing, modify: nothing })
}

/** Durations of the pools of one name, in the metric registry of the context. */
export const make = (context: Context.Context<never>): Durations => {
  const all = new Map<string, Histogram>()
  const find = (attributes: Attributes): Histogram => {
    const key = JSON.stringify(attributes)
    const known = all.get(key)
    if (known !== undefined) return known
    const series = Histograms.make(bounds)
    all.set(key, series)
    const metric = Metric.histogram("db.client.operation.duration", {
      description: "Duration of database client operations",
      attributes: { ...attributes, unit: "s" },
      boundaries: bounds
    })
    register(context, metric, () => Histograms.stateOf(series))
    return series
  }
  return {
    of: (attributes, rest) =>
      all.size < mostSeries || all.has(JSON.stringify(attributes)) ? find(attributes) : find(rest)
  }
}
