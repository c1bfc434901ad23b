/**
 * How long a pool's statements take, learnt by their text.
 *
 * Only a read that has shown itself short shares a connection. The moving average gives the newest run a fifth of the
 * weight, so one long run, capped, ends the sharing of its text for the next few.
 */

export interface Cost {
  /** Moving average in milliseconds. */
  average: number
  runs: number
}

const mostTexts = 1_000
const weight = 0.2
const shortAverage = 4
const cap = 100
const fewestRuns = 2

export const isShort = (cost: Cost): boolean => cost.runs >= fewestRuns && cost.average < shortAverage

export const record = (cost: Cost, millis: number): void => {
  cost.runs++
  cost.average += weight * (Math.min(millis, cap) - cost.average)
}

/** Costs by text; the texts used longest ago are forgotten. */
export const make = (): ((text: string) => Cost) => {
  let recent = new Map<string, Cost>()
  let older = new Map<string, Cost>()
  return (text) => {
    const known = recent.get(text)
    if (known !== undefined) return known
    const cost = older.get(text) ?? { average: 0, runs: 0 }
    if (recent.size >= mostTexts) {
      older = recent
      recent = new Map()
    }
    recent.set(text, cost)
    return cost
  }
}
