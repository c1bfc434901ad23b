/**
 * Whether this process itself is what its statements wait for.
 *
 * While its event loop has time to spare, a statement is best off on a connection of its own. Once the loop is busy about
 * half of the time, what counts is how little each statement costs here, and one write for many costs least; once it is
 * busy nearly all the time, how long an answer took says little of the server.
 */

const window = 5

let sampledAt = 0
let sample = { idle: 0, active: 0, utilization: 0 }
let half = false
let full = false

/** Begins at one share of the time, and ends below another, so that it does not flicker. */
const next = (was: boolean, utilization: number, from: number, below: number): boolean =>
  utilization > (was ? below : from)

/** The loop is looked at once in a while. */
const look = (now: number): void => {
  if (now - sampledAt <= window) return
  const current = performance.eventLoopUtilization()
  const { utilization } = performance.eventLoopUtilization(current, sample)
  half = next(half, utilization, 0.5, 0.3)
  full = next(full, utilization, 0.8, 0.5)
  sample = current
  sampledAt = now
}

/** `now` is `performance.now()`. */
export const isHalfBusy = (now: number): boolean => {
  look(now)
  return half
}

/** `now` is `performance.now()`. */
export const isBusy = (now: number): boolean => {
  look(now)
  return full
}
