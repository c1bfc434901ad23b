/**
 * The connections that all pools of a registry may have together, and the order in which pools get one.
 *
 * A slot is taken before a connection is opened and given back when the server has ended it, so the server never sees more
 * than the limit. When no slot is free, the connection that has been idle longest, in any pool, is closed for the pool
 * that asks. When none is idle, the pools that ask form a ring and get one slot each in turn; a pool whose connection has
 * had its turn gives it up. Round robin between queues is described in J. Nagle, "On packet switches with infinite storage",
 * RFC 970. A slot that no pool asks for goes to one that has fewer connections than its `minConnections`.
 *
 * Replacing one session by another costs a server as much as a hundred short statements. So only a quarter of the slots
 * change hands at a time; connections in the others go on serving, also over a moment without a call, since popular
 * databases are called again before their connections are idle longest. A change begins as soon as a connection pauses or
 * has had its turn, so the pool at place n of the ring waits for n changes at the most.
 */
import type * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import type { ConnectionBudget, IdleConnection, Requester } from "../pool/Budget.ts"
import * as DeadlineTimer from "../pool/DeadlineTimer.ts"

/** What part of the slots changes hands at a time. */
const changingShare = 1 / 4
/** When no change has ended for so many milliseconds, one more may begin beside them, */
const patienceMillis = 100
/** and counts for so long. */
const allowanceMillis = 1_000

export const make = (
  max: number,
  clock: Clock.Clock,
  run: (timer: Effect.Effect<void>) => void
): ConnectionBudget => {
  const ring = new Set<Requester>()
  const idle = new Set<IdleConnection>()
  /** Those who take a slot only if it is free. */
  const hopeful = new Set<() => void>()
  let used = 0
  let leaving = 0
  let arriving = 0
  const fewestChanges = Math.ceil(max * changingShare)
  let mostChanges = fewestChanges
  let changedAt = 0
  let raisedAt = 0

  const isWanted = () => ring.size > leaving
  const mayChange = () => leaving + arriving < mostChanges
  const isContested = () => isWanted() && mayChange()
  const isStuck = () => isWanted() && !mayChange()

  const watchStuck = DeadlineTimer.make(
    clock,
    run,
    () => (isStuck() ? changedAt + patienceMillis : undefined),
    () => {
      changed()
      mostChanges++
      raisedAt = changedAt
      evictIdle()
    }
  )

  /** A change has begun or ended. */
  const changed = () => {
    changedAt = clock.currentTimeMillisUnsafe()
    if (mostChanges > fewestChanges && changedAt - raisedAt >= allowanceMillis) {
      mostChanges--
      raisedAt = changedAt
    }
    if (isStuck()) watchStuck()
  }

  const evictIdle = () => {
    while (isContested()) {
      const oldest = idle.values().next()
      if (oldest.done === true) return
      idle.delete(oldest.value)
      oldest.value.evict()
    }
    if (isStuck()) watchStuck()
  }

  const take = () => {
    used++
    arriving++
  }

  /** While a pool is in the ring, every slot is taken. */
  const grant = () => {
    while (used < max) {
      const next = ring.values().next()
      if (next.done === true) return
      ring.delete(next.value)
      take()
      next.value.onSlot()
    }
  }

  /** In a microtask: the pool that gave a slot back may need it itself, and else two pools would pass one to and fro. */
  const offer = () => {
    for (const onFree of Array.from(hopeful)) {
      if (used >= max) return
      hopeful.delete(onFree)
      onFree()
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
    waiting: () => ring.size,
    available: (requester) => {
      const others = ring.has(requester) ? ring.size - 1 : ring.size
      return max - used + Math.max(0, idle.size + leaving - others)
    },
    request: (requester) => {
      if (takeFree()) return true
      ring.add(requester)
      evictIdle()
      return false
    },
    takeFree: (onFree) => {
      if (takeFree()) return true
      if (onFree !== undefined) hopeful.add(onFree)
      return false
    },
    forget: (onFree) => {
      hopeful.delete(onFree)
    },
    withdraw: (requester) => {
      ring.delete(requester)
    },
    leave: () => {
      leaving++
      changed()
    },
    linger: () => {
      leaving--
      changed()
      evictIdle()
    },
    settle: () => {
      arriving--
      changed()
      evictIdle()
    },
    release: (announced) => {
      used--
      if (announced) leaving--
      changed()
      grant()
      if (used < max && hopeful.size > 0) queueMicrotask(offer)
    },
    addIdle: (connection) => {
      idle.add(connection)
      evictIdle()
    },
    removeIdle: (connection) => {
      idle.delete(connection)
    },
    isContested,
    mustYield: (requester) => {
      let served = leaving
      for (const next of ring) {
        if (served-- > 0) continue
        if (next !== requester) return true
        ring.delete(requester)
        ring.add(requester)
        return false
      }
      return false
    }
  }
}
