/**
 * How long operations took, by what they did: the metric `db.client.operation.duration`. Counted where an operation ends, put
 * together for a snapshot. A pool's name has a bounded number of series; what comes later is counted without
 * its summary.
 */
import type * as Context from "effect/Context"
import * as Metric from "effect/Metric"

/** Attributes of a series, as texts. */
export type Attributes = Readonly<Record<string, string>>

/** The runs of one kind, in seconds. */
export interface Series {
  readonly buckets: Array<number>
  count: number
  sum: number
  min: number
  max: number
}

export interface Durations {
  /** The series of these attributes; `rest` are those of all that no series of its own is left for. */
  readonly of: (attributes: Attributes, rest: Attributes) => Series
}

/** In seconds, as the conventions have them. */
const bounds = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]
const mostSeries = 200

/** Notes one run. */
export const record = (series: Series, seconds: number): void => {
  let index = 0
  while (index < bounds.length && seconds > (bounds[index] ?? 0)) index++
  series.buckets[index] = (series.buckets[index] ?? 0) + 1
  series.count++
  series.sum += seconds
  if (seconds < series.min) series.min = seconds
  if (seconds > series.max) series.max = seconds
}

const stateOf = ({ buckets, count, max, min, sum }: Series): Metric.HistogramState => {
  let below = 0
  const cumulative = bounds.map((bound, index): [number, number] => {
    below += buckets[index] ?? 0
    return [bound, below]
  })
  return { buckets: cumulative, count, min: count === 0 ? 0 : min, max, sum }
}

const nothing = () => undefined

/** Durations of the pools of one name, in the metric registry of the context. */
export const make = (context: Context.Context<never>): Durations => {
  const all = new Map<string, Series>()
  const find = (attributes: Attributes): Series => {
    const key = JSON.stringify(attributes)
    const known = all.get(key)
    if (known !== undefined) return known
    const series: Series = { buckets: [], count: 0, sum: 0, min: Number.POSITIVE_INFINITY, max: 0 }
    all.set(key, series)
    const metric = Metric.histogram("db.client.operation.duration", {
      description: "Duration of database client operations",
      attributes: { ...attributes, unit: "s" },
      boundaries: bounds
    })
    Metric.registerUnsafe(metric, context, {
      get: () => stateOf(series),
      update: nothing,
      modify: nothing
    })
    return series
  }
  return {
    of: (attributes, rest) =>
      all.size < mostSeries || all.has(JSON.stringify(attributes)) ? find(attributes) : find(rest)
  }
}
