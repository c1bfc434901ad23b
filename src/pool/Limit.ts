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
  /** Begins to close the connection: tells `leave` at once, and `release` when the server has ended it. */
  readonly evict: () => void
}

export interface Limit {
  readonly max: number
  /** Places taken. */
  readonly used: () => number
  /** Takes a place, or stands in the ring for one. */
  readonly ask: (asker: Asker) => boolean
  /** Takes a place only if it is free: nothing is closed for it. */
  readonly takeFree: () => boolean
  readonly withdraw: (asker: Asker) => void
  /** A connection is about to be closed: its place will be free. */
  readonly leave: () => void
  /** Gives a place back; `left` when `leave` announced it. */
  readonly release: (left: boolean) => void
  readonly addSpare: (spare: Spare) => void
  readonly removeSpare: (spare: Spare) => void
  /** Whether a pool waits for which no place is about to come free. */
  readonly isContested: () => boolean
  /**
   * Whether a connection of this pool, whose turn is over, goes to another. When the pool itself is next in the ring, it
   * has that turn with the connection that it has, and stands last again.
   */
  readonly isOver: (asker: Asker) => boolean
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
      oldest.value.evict()
    }
  }
  /** While anybody stands in the ring, every place is taken. */
  const grant = () => {
    while (used < max) {
      const next = ring.values().next()
      if (next.done === true) return
      ring.delete(next.value)
      used++
      next.value.onPlace()
    }
  }
  const takeFree = () => {
    if (used >= max) return false
    used++
    return true
  }
  return {
    max,
    used: () => used,
    ask: (asker) => {
      if (takeFree()) return true
      ring.add(asker)
      relieve()
      return false
    },
    takeFree,
    withdraw: (asker) => {
      ring.delete(asker)
    },
    leave: () => {
      leaving++
    },
    release: (left) => {
      used--
      if (left) leaving--
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
    isOver: (asker) => {
      let served = leaving
      for (const next of ring) {
        if (served-- > 0) continue
        if (next !== asker) return true
        ring.delete(asker)
        ring.add(asker)
        return false
      }
      return false
    }
  }
}
