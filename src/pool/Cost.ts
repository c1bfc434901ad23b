/**
 * How long a pool's statements take, learnt by their text.
 *
 * Two moving averages over the last runs, the newest with a thirty-second of the weight: of the time, and of how many were
 * long. Only a text that has shown itself short shares a connection; five long runs in a row, or a few more with short ones
 * between, end that until enough short ones have followed. What is measured holds the time that an answer waits for this
 * process, so while the process is busy only a much longer run counts as long.
 */

export interface Cost {
  /** Moving average in milliseconds. */
  average: number
  /** Moving share of runs that were long. */
  long: number
  runs: number
}

const mostTexts = 1_000
const weight = 1 / 32
const fewestRuns = 2
/** A run from which on a statement counts as long, in milliseconds. */
const longRun = 10
const longRunBusy = 30
const mostLong = 0.15
/** What a single run adds to the average at the most. */
const cap = 20
const capBusy = 2

export const isShort = (cost: Cost): boolean =>
  cost.runs >= fewestRuns && cost.long < mostLong && cost.average < longRun

/** Notes a run; `busy` when this process is. */
export const record = (cost: Cost, millis: number, busy: boolean): void => {
  cost.runs++
  const share = Math.max(weight, 1 / cost.runs)
  cost.average += share * (Math.min(millis, busy ? capBusy : cap) - cost.average)
  cost.long += weight * ((millis >= (busy ? longRunBusy : longRun) ? 1 : 0) - cost.long)
}

/** Costs by text; the texts used longest ago are forgotten. */
export const make = (): ((text: string) => Cost) => {
  let recent = new Map<string, Cost>()
  let older = new Map<string, Cost>()
  return (text) => {
    const known = recent.get(text)
    if (known !== undefined) return known
    const cost = older.get(text) ?? { average: 0, long: 0, runs: 0 }
    if (recent.size >= mostTexts) {
      older = recent
      recent = new Map()
    }
    recent.set(text, cost)
    return cost
  }
}
