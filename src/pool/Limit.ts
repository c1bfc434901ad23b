/**
 * The one limit over the connections of all pools of a registry, and the order in which pools get their turn.
 *
 * A place is taken before a connection is opened and given back when the server has ended it, so the server never sees
 * more than the limit. When no place is left, the connection that has been idle longest, in whichever pool, is closed
 * for the pool that asks. When none is idle, the pools that ask stand in a ring and get one place each in turn; a pool
 * whose connection has had its turn gives it up. Round robin between queues is described in J. Nagle, "On packet
 * switches with infinite storage", RFC 970.
 *
 * To end one session and begin another costs a server as much as a hundred short statements. So only a quarter of the places
 * change hands at a time; the connections in the others go on serving, also over a moment without a call, which the popular
 * databases are back from before they are idle longest. One change after another still begins as soon as a connection
 * pauses or has had its turn, so who stands at number n in the ring waits for n changes and no more.
 */
import type * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import * as Watch from "./Watch.ts"

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
  /** Places that are free, or are made free for this pool without a wait for a busy connection. */
  readonly room: (asker: Asker) => number
  /** Takes a place, or stands in the ring for one. */
  readonly ask: (asker: Asker) => boolean
  /** Takes a place only if it is free: nothing is closed for it. */
  readonly takeFree: () => boolean
  readonly withdraw: (asker: Asker) => void
  /** A connection is about to be closed: its place will be free. */
  readonly leave: () => void
  /** The opening for which a place was taken is over, well or not. */
  readonly arrived: () => void
  /** Gives a place back; `left` when `leave` announced it. */
  readonly release: (left: boolean) => void
  readonly addSpare: (spare: Spare) => void
  readonly removeSpare: (spare: Spare) => void
  /** Whether a pool waits for which no place is about to come free, and one more may change hands. */
  readonly isContested: () => boolean
  /**
   * Whether a connection of this pool, whose turn is over, goes to another. When the pool itself is next in the ring, it
   * has that turn with the connection that it has, and stands last again.
   */
  readonly isOver: (asker: Asker) => boolean
}

/** What part of the places changes hands at a time. */
const share = 1 / 4
/** Changes of which none is done for so many milliseconds hang: one more may begin beside them, */
const patience = 100
/** and for so long. */
const allowance = 1_000

export const make = (max: number, clock: Clock.Clock, run: (timer: Effect.Effect<void>) => void): Limit => {
  const ring = new Set<Asker>()
  const spares = new Set<Spare>()
  let used = 0
  let leaving = 0
  let arriving = 0
  const fewest = Math.ceil(max * share)
  let most = fewest
  let movedAt = 0
  let raisedAt = 0

  const isWanted = () => ring.size > leaving
  const mayChange = () => leaving + arriving < most
  const isContested = () => isWanted() && mayChange()

  const isHeldUp = () => isWanted() && !mayChange()

  const watchHanging = Watch.make(
    clock,
    run,
    () => (isHeldUp() ? movedAt + patience : undefined),
    () => {
      moved()
      most++
      raisedAt = movedAt
      relieve()
    }
  )
  /** A change has begun or is done. */
  const moved = () => {
    movedAt = clock.currentTimeMillisUnsafe()
    if (most > fewest && movedAt - raisedAt >= allowance) {
      most--
      raisedAt = movedAt
    }
    if (isHeldUp()) watchHanging()
  }

  const relieve = () => {
    while (isContested()) {
      const oldest = spares.values().next()
      if (oldest.done === true) return
      spares.delete(oldest.value)
      oldest.value.evict()
    }
    if (isHeldUp()) watchHanging()
  }
  const take = () => {
    used++
    arriving++
  }
  /** While anybody stands in the ring, every place is taken. */
  const grant = () => {
    while (used < max) {
      const next = ring.values().next()
      if (next.done === true) return
      ring.delete(next.value)
      take()
      next.value.onPlace()
    }
  }
  const takeFree = () => {
    if (used >= max) return false
    take()
    return true
  }
  return {
    max,
    used: () => used,
    room: (asker) => {
      const others = ring.has(asker) ? ring.size - 1 : ring.size
      return max - used + Math.max(0, spares.size + leaving - others)
    },
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
      moved()
    },
    arrived: () => {
      arriving--
      moved()
      relieve()
    },
    release: (left) => {
      used--
      if (left) leaving--
      moved()
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
