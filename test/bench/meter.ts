/**
 * A meter counts the operations of one round and how long each took.
 *
 * The load loops of a peer ask it whether to go on and which operation comes next, and tell it when one has ended.
 */
import type { Operation } from "./data.ts"
import { quantile } from "./numbers.ts"

/** What a load is made of. */
export interface Load {
  readonly operation: Operation
  /** Operations in flight at any moment. */
  readonly inFlight: number
  /** The share of `slow` statements among the others, 0 to 1. */
  readonly slowShare: number
  /** A round is this many operations instead of a length of time. */
  readonly times?: number
}

/** What was measured in one round. Latencies are in milliseconds and leave out the slow statements of a mix. */
export interface Measured {
  readonly operations: number
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
  /** CPU time of the client process per operation, microseconds. */
  readonly cpu?: number
  /** Highest resident memory of the client process so far, MB. */
  readonly memory?: number
}

export interface Meter {
  readonly inFlight: number
  readonly going: () => boolean
  readonly pick: () => Operation
  /** The number of this operation: which row it reads or writes. */
  readonly turn: () => number
  readonly done: (operation: Operation, startedAt: number) => void
  readonly read: () => Measured
}

/** Starts the clock. `from` is the number of the first operation, so that rounds do not repeat each other. */
export const startMeter = (load: Load, milliseconds: number, from: number): Meter => {
  const start = performance.now()
  const end = load.times === undefined ? start + milliseconds : Number.POSITIVE_INFINITY
  const times = load.times ?? Number.POSITIVE_INFINITY
  const cpuBefore = process.cpuUsage()
  let latencies = new Float64Array(65_536)
  let kept = 0
  let begun = 0
  let inTime = 0
  let finished = 0
  let random = 0x2545f491 ^ from

  return {
    inFlight: load.inFlight,
    going: () => begun < times && performance.now() < end,
    pick: () => {
      if (load.slowShare === 0) return load.operation
      random ^= random << 13
      random ^= random >>> 17
      random ^= random << 5
      return (random >>> 0) / 4_294_967_296 < load.slowShare ? "slow" : load.operation
    },
    turn: () => from + begun++,
    done: (operation, startedAt) => {
      const now = performance.now()
      finished++
      if (now > end) return
      inTime++
      if (operation === "slow") return
      if (kept === latencies.length) {
        const larger = new Float64Array(kept * 2)
        larger.set(latencies)
        latencies = larger
      }
      latencies[kept++] = now - startedAt
    },
    read: () => {
      const seconds = load.times === undefined ? milliseconds / 1000 : (performance.now() - start) / 1000
      const cpu = process.cpuUsage(cpuBefore)
      const sorted = latencies.subarray(0, kept).sort()
      return {
        operations: inTime,
        perSecond: inTime / seconds,
        p50: quantile(sorted, 0.5),
        p99: quantile(sorted, 0.99),
        cpu: (cpu.user + cpu.system) / Math.max(finished, 1),
        memory: process.resourceUsage().maxRSS / 1024
      }
    }
  }
}
