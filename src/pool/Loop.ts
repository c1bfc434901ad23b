/**
 * Whether this process itself is what its statements wait for.
 *
 * While its event loop has time to spare, a statement is best off on a connection of its own. Once the loop is busy nearly
 * all the time, what counts is how little each statement costs here, and one write for many costs least.
 */

const window = 20
const busyFrom = 0.8
const idleBelow = 0.5

let sampledAt = 0
let sample = { idle: 0, active: 0, utilization: 0 }
let busy = false

/** `now` is `performance.now()`; the loop is looked at once in a while. */
export const isBusy = (now: number): boolean => {
  if (now - sampledAt > window) {
    const current = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(current, sample)
    busy = busy ? utilization > idleBelow : utilization > busyFrom
    sample = current
    sampledAt = now
  }
  return busy
}
