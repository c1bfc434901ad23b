/**
 * How busy this process's event loop is, which decides whether statements are better off sharing a connection.
 *
 * While the loop has time to spare, a statement is fastest on a connection of its own. Once it is busy half of the time, what
 * counts is how little each statement costs here, and one write for several costs least. Once it is busy nearly all of the
 * time, how long an answer took says little about the server.
 */
import type { EventLoopUtilization } from "node:perf_hooks"

export interface EventLoopLoad {
  /** Busy more than half of the time; `now` is in milliseconds. */
  readonly isHalfBusy: (now: number) => boolean
  /** Busy more than four fifths of the time. */
  readonly isBusy: (now: number) => boolean
}

/** The loop is sampled this often, in milliseconds. */
const windowMillis = 5

/** Starts at one utilization and ends below another, so that it does not flicker. */
const latch = (was: boolean, utilization: number, from: number, below: number): boolean =>
  utilization > (was ? below : from)

const calm: EventLoopLoad = { isHalfBusy: () => false, isBusy: () => false }

export const make = (): EventLoopLoad => {
  // Bun has no such figure.
  if (typeof performance.eventLoopUtilization !== "function") return calm
  let sampledAt = 0
  let sample: EventLoopUtilization = { idle: 0, active: 0, utilization: 0 }
  let half = false
  let full = false
  const look = (now: number): void => {
    if (now - sampledAt < windowMillis) return
    const current = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(current, sample)
    half = latch(half, utilization, 0.5, 0.3)
    full = latch(full, utilization, 0.8, 0.5)
    sample = current
    sampledAt = now
  }
  return {
    isHalfBusy: (now) => {
      look(now)
      return half
    },
    isBusy: (now) => {
      look(now)
      return full
    }
  }
}
