/**
 * Lengths of time, counted where they end, for the histograms of `Durations.ts` and `Metrics.ts`: a few additions for each, and
 * the metric's state is put together for a snapshot.
 */
import type * as Metric from "effect/Metric"

/** All times in seconds. */
export interface Histogram {
  readonly bounds: ReadonlyArray<number>
  /** How many there were, by the first of `bounds` that is not shorter; the last are longer than all. */
  readonly buckets: Array<number>
  count: number
  sum: number
  min: number
  max: number
}

export const make = (bounds: ReadonlyArray<number>): Histogram => ({
  bounds,
  buckets: new Array<number>(bounds.length + 1).fill(0),
  count: 0,
  sum: 0,
  min: Number.POSITIVE_INFINITY,
  max: 0
})

export const record = (histogram: Histogram, millis: number): void => {
  const seconds = millis / 1_000
  const { bounds, buckets } = histogram
  let index = 0
  while (index < bounds.length && seconds > (bounds[index] ?? 0)) index++
  buckets[index] = (buckets[index] ?? 0) + 1
  histogram.count++
  histogram.sum += seconds
  if (seconds < histogram.min) histogram.min = seconds
  if (seconds > histogram.max) histogram.max = seconds
}

/** What a snapshot has of it. */
export const stateOf = ({ bounds, buckets, count, max, min, sum }: Histogram): Metric.HistogramState => {
  let below = 0
  const cumulative = bounds.map((bound, index): [number, number] => {
    below += buckets[index] ?? 0
    return [bound, below]
  })
  return { buckets: cumulative, count, min: count === 0 ? 0 : min, max, sum }
}
