/**
 * The one limit over the connections of all pools of a registry, and the order in which pools get their turn.
 *
 * A place is taken before a connection is opened and given back when the server has ended it, so the server never sees
 * more than the limit. When no place is left, the connection that has been idle longest, in whichever pool, is closed
 * for the pool that asks. When none is idle, the pools that ask stand in a ring and get one place each in turn; a pool
 * whose connection has had its turn gives it up. Round robin between queues is described in J. Nagle, "On packet
 * switches with infinite storage", RFC 970.
 */

/** A pool that asks for a place. */
export interface Asker {
  /** A place is taken for this pool. Called once for each `ask` that answered `false`, unless it was withdrawn. */
  readonly onPlace: () => void
}

/** An idle connection. */
export interface Spare {
  /** Closes the connection, and gives its place back with `release(true)`. */
  readonly evict: () => void
}

export interface Limit {
  readonly max: number
  /** Places taken. */
  readonly used: () => number
  /** Takes a place, or stands in the ring for one. */
  readonly ask: (asker: Asker) => boolean
  readonly withdraw: (asker: Asker) => void
  /** Gives a place back; `evicted` when it was cleared for another pool. */
  readonly release: (evicted: boolean) => void
  readonly addSpare: (spare: Spare) => void
  readonly removeSpare: (spare: Spare) => void
  /** Whether another pool waits for a place that is not being cleared yet: who has had a turn gives one up. */
  readonly isContested: () => boolean
  /** Counts a place that is being cleared. */
  readonly clearing: () => void
}

export const make = (max: number): Limit => {
  const ring = new Set<Asker>()
  const spares = new Set<Spare>()
  let used = 0
  let leaving = 0

  const isContested = () => ring.size > leaving
  const relieve = () => {
    while (isContested()) {
      const oldest = spares.values().next()
      if (oldest.done === true) return
      spares.delete(oldest.value)
      leaving++
      oldest.value.evict()
    }
  }
  const grant = () => {
    while (used < max) {
      const next = ring.values().next()
      if (next.done === true) return
      ring.delete(next.value)
      used++
      next.value.onPlace()
    }
  }
  return {
    max,
    used: () => used,
    ask: (asker) => {
      if (used < max && ring.size === 0) {
        used++
        return true
      }
      ring.add(asker)
      grant()
      relieve()
      return false
    },
    withdraw: (asker) => {
      ring.delete(asker)
    },
    release: (evicted) => {
      used--
      if (evicted) leaving--
      grant()
    },
    addSpare: (spare) => {
      spares.add(spare)
      relieve()
    },
    removeSpare: (spare) => {
      spares.delete(spare)
    },
    isContested,
    clearing: () => {
      leaving++
    }
  }
}
