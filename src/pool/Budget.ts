/**
 * What a pool asks of the limit that all pools of a registry share. The registry keeps it, in `ConnectionBudget.ts`.
 */

/** A pool that asks for a slot. */
export interface Requester {
  /** A slot is taken for this pool. Called once for each `request` that gave `false`, unless it was withdrawn. */
  readonly onSlot: () => void
}

/** An idle connection that may be closed for another pool. */
export interface IdleConnection {
  /** Begins to close the connection: calls `leave` at once, and `release` when the server has ended it. */
  readonly evict: () => void
}

export interface ConnectionBudget {
  readonly max: number
  /** Slots taken. */
  readonly used: () => number
  /** Pools that wait for a slot. */
  readonly waiting: () => number
  /** Slots that are free, or become free for this pool without a wait for a busy connection. */
  readonly available: (requester: Requester) => number
  /** Takes a slot, or joins the ring for one. */
  readonly request: (requester: Requester) => boolean
  /**
   * Takes a slot only if it is free: nothing is closed for it. Where none is, `onFree` is called once when one is that no pool
   * waits for, and that the pool that gave it back does not take again.
   */
  readonly takeFree: (onFree?: () => void) => boolean
  /** Calls this `onFree` no more. */
  readonly forget: (onFree: () => void) => void
  readonly withdraw: (requester: Requester) => void
  /** A connection is about to be closed: its slot will be free. */
  readonly leave: () => void
  /** One that was about to be closed takes longer than that. */
  readonly linger: () => void
  /** The opening for which a slot was taken has ended, well or not. */
  readonly settle: () => void
  /** Gives a slot back; `announced` when `leave` was called for it and `linger` was not. */
  readonly release: (announced: boolean) => void
  readonly addIdle: (connection: IdleConnection) => void
  readonly removeIdle: (connection: IdleConnection) => void
  /** Whether a pool waits for which no slot is about to come free, and one more may change hands. */
  readonly isContested: () => boolean
  /**
   * Whether a connection of this pool, whose turn has ended, goes to another. A pool that is next in the ring itself keeps
   * its connection for that turn, and joins the ring again at its end.
   */
  readonly mustYield: (requester: Requester) => boolean
}
