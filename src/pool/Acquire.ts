/**
 * Lends the connections of one pool: who gets which, when one more is opened, and what happens to one that comes back.
 *
 * All of it is synchronous but resetting and closing, which run in fibers of their own.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { OperationError } from "../errors/PoolError.ts"
import * as Alive from "./Alive.ts"
import * as Connect from "./Connect.ts"
import * as DeadlineTimer from "./DeadlineTimer.ts"
import * as Evict from "./Evict.ts"
import * as Histogram from "./Histogram.ts"
import type * as OpenConnection from "./OpenConnection.ts"
import type { PooledConnection } from "./PooledConnection.ts"
import * as Connections from "./PooledConnection.ts"
import type { PoolParts } from "./PoolParts.ts"
import * as PoolState from "./PoolState.ts"
import { recover } from "./Recover.ts"
import * as Reset from "./Reset.ts"
import * as Sharing from "./Sharing.ts"
import * as Target from "./Target.ts"

export interface Acquire {
  readonly connect: Connect.Connect
  /** A connection for this caller, if there is one now. */
  readonly take: (waiter: PoolState.Waiter) => PooledConnection | undefined
  /** Puts the caller into its queue; `onConnection` or `onFailure` is called once. */
  readonly wait: (waiter: PoolState.Waiter) => void
  /** The caller gives its connection back, or leaves its queue. `abandoned`: its statement may still run. */
  readonly giveBack: (waiter: PoolState.Waiter, abandoned: boolean, now: number) => void
  readonly isClosing: () => boolean
  /** Whether the grace of the pool's end is over: nothing more is sent. */
  readonly isCutOff: () => boolean
  /** Whether no connection was ever open, and none is waited for or being opened. */
  readonly neverConnected: () => boolean
  /** Whether no connection is lent, waited for or being opened. */
  readonly isUnused: () => boolean
  /** When the last caller gave its connection back; now, while one has it. */
  readonly lastUsed: () => number
  readonly close: (grace: number) => Effect.Effect<void>
}

/** How long the end of a connection may take when the pool ends; when it is to end at once. */
const endMillis = 2_000
const endAtOnceMillis = 500

export const make = (parts: PoolParts, open: OpenConnection.Open): Acquire => {
  const { budget, clock, counts, ended, load, run, runTimer, settings, state } = parts
  let isClosing = false
  let isCutOff = false
  let lastUsed = clock.currentTimeMillisUnsafe()
  const onQuiet = new Set<() => void>()
  const now = () => clock.currentTimeMillisUnsafe()

  const isQuiet = () => PoolState.inUse(state) === 0 && PoolState.waiting(state) === 0
  const isUnused = () => isQuiet() && connect.isQuiet()
  const checkQuiet = () => {
    if (onQuiet.size > 0 && isQuiet()) for (const resume of onQuiet) resume()
  }

  const failWaiting = (failure: Effect.Effect<never, OperationError>, since?: number): void => {
    PoolState.failWaiting(state, failure, since)
    connect.settle()
    checkQuiet()
  }

  /** A pool that is being closed opens no more connections, so callers that wait for one would wait for ever. */
  const checkClosing = () => {
    if (isClosing && state.connections.size === 0 && connect.isQuiet()) failWaiting(Effect.failSync(ended))
  }

  const watchSilence = Alive.watch(parts)

  const evict = Evict.make(parts, () => {
    connect.demand()
    checkClosing()
  })

  const connect = Connect.make(parts, {
    evict,
    open,
    onOpen: (connection) => makeAvailable(connection),
    onFailure: failWaiting,
    onFailed: checkClosing
  })

  const watchIdle = DeadlineTimer.make(
    clock,
    runTimer,
    () => {
      const oldest = PoolState.staying(state) > settings.minConnections ? state.idle[0] : undefined
      return oldest === undefined ? undefined : oldest.idleSince + settings.idleTimeout
    },
    () => {
      const [oldest] = state.idle
      if (oldest !== undefined) run(evict.close(oldest, "idle"))
    }
  )

  const grant = (connection: PooledConnection, waiter: PoolState.Waiter): void => {
    PoolState.queueOf(state, waiter).delete(waiter)
    connect.settle()
    const at = now()
    PoolState.lend(connection, waiter, at)
    Histogram.record(counts.waits, at - waiter.waitingSince)
    watchSilence()
    if (waiter.expectedMillis !== undefined) waiter.onConnection(connection)
    else {
      // In a microtask: callers that send nothing would otherwise be served on one stack. It may have left by then.
      queueMicrotask(() => {
        if (waiter.connection === connection) waiter.onConnection(connection)
      })
    }
  }

  const serveShared = (connection: PooledConnection): void => {
    const at = now()
    for (const waiter of state.sharedQueue) {
      if (!Sharing.isShareable(connection, at)) return
      grant(connection, waiter)
    }
  }

  const hasHadItsTurn = (connection: PooledConnection): boolean => {
    if (!budget.isContested()) return false
    const at = now()
    if (at - connection.servingSince < PoolState.turnMillis) return false
    if (connect.mustYield()) return true
    connection.servingSince = at
    return false
  }

  /** A connection that is shared comes free for a caller that needs one alone, if one waits and none is about to come free. */
  const drainForWaiting = () => {
    if (state.exclusiveQueue.size > 0 && state.asked.size === 0) PoolState.drainOne(state)
  }

  /** A clean connection without users gives its slot to another pool, is replaced, serves a queue, or becomes idle. */
  const makeAvailable = (connection: PooledConnection): void => {
    connection.isDraining = false
    connection.isExclusive = false
    const isUnwanted = PoolState.waiting(state) === 0
    if (isClosing && isUnwanted) run(evict.close(connection, "ended"))
    else if (isMisplaced(connection)) run(evict.close(connection, "broken"))
    else if (evict.isExpired(connection)) run(evict.close(connection, "expired"))
    else if (isUnwanted ? budget.isContested() : hasHadItsTurn(connection)) {
      run(evict.close(connection, "evicted"))
    } else if (isUnwanted) {
      PoolState.addIdle(state, connection, now())
      budget.addIdle(connection)
      watchIdle()
    } else if (PoolState.servesExclusiveNext(state, connection)) {
      const [waiter] = state.exclusiveQueue
      if (waiter !== undefined) grant(connection, waiter)
    } else {
      serveShared(connection)
      drainForWaiting()
    }
    checkQuiet()
  }

  /** A connection that was asked is alive, and free for a caller; or it has ended. */
  const onAnswer = (connection: PooledConnection, isAlive: boolean): void => {
    state.asked.delete(connection)
    if (isAlive && !connection.isClosing) makeAvailable(connection)
    else if (!connection.isClosing) run(evict.close(connection, "broken"))
    // Callers waited for this one.
    if (!isAlive) connect.demand()
    checkQuiet()
  }

  /** Its server does not do what it did when it was opened, and that of others hardly does. */
  const isMisplaced = (connection: PooledConnection): boolean => {
    if (!Target.hasTurned(connection, settings.targetSessionAttributes)) return false
    for (const other of state.connections) {
      const isThere =
        other.address.address === connection.address.address && other.address.port === connection.address.port
      if (other === connection || !isThere) continue
      other.expiresAt = Number.NEGATIVE_INFINITY
      if (state.idle.includes(other)) run(evict.close(other, "broken"))
    }
    return true
  }

  /** The last user has left. */
  const onFree = (connection: PooledConnection): void => {
    if (connection.isClosing) checkQuiet()
    else if (Connections.isDead(connection)) {
      run(evict.close(connection, "broken"))
      checkQuiet()
    } else if (Reset.isClean(connection, settings)) makeAvailable(connection)
    else {
      connection.isExclusive = true
      run(
        Effect.flatMap(Reset.reset(connection, settings), (isClean) => {
          if (!isClean || Connections.isDead(connection)) {
            return evict.close(connection, isClean ? "broken" : "unclean")
          }
          return Effect.sync(() => {
            if (!connection.isClosing) makeAvailable(connection)
          })
        })
      )
    }
  }

  const untilQuiet = Effect.callback<void>((resume) => {
    const done = () => {
      onQuiet.delete(done)
      resume(Effect.void)
    }
    onQuiet.add(done)
    checkQuiet()
    return Effect.sync(() => onQuiet.delete(done))
  })

  /** Cancels what runs, and closes. When that takes too long, only its slot waits for the server. */
  const end = (connection: PooledConnection, patience: number): Effect.Effect<void> => {
    const { isGivenUp, session } = connection
    const abandon = () => {
      // One that was given up before, as silent, has had its time.
      if (Connections.isDead(connection) && !Deferred.isDoneUnsafe(isGivenUp)) session.destroy()
      session.terminate()
      session.abandon()
      Deferred.doneUnsafe(isGivenUp, Effect.void)
    }
    return Effect.andThen(
      connection.users > 0 ? recover(connection, patience, abandon) : Effect.void,
      Effect.andThen(evict.close(connection, "ended", patience), Effect.sync(abandon))
    )
  }

  return {
    connect,
    take: (waiter) => {
      const at = now()
      const connection = Sharing.choose(waiter, {
        connections: state.connections,
        idle: state.idle.at(-1),
        isLoopHalfBusy: load.isHalfBusy(at),
        now: at
      })
      if (connection === undefined) return undefined
      if (PoolState.removeIdle(state, connection)) {
        budget.removeIdle(connection)
        connection.servingSince = at
        if (waiter.caution === "asks all" || Alive.isStale(connection, at)) {
          const answered = Alive.ask(connection, settings, state)
          if (waiter.caution !== "tries") {
            state.asked.add(connection)
            // It belongs to nobody until it has answered: no read shares it meanwhile.
            connection.isExclusive = true
            run(Effect.flatMap(answered, (isAlive) => Effect.sync(() => onAnswer(connection, isAlive))))
            return undefined
          }
          run(Effect.asVoid(answered))
        }
      }
      Histogram.record(counts.waits, 0)
      PoolState.lend(connection, waiter, at)
      watchSilence()
      return connection
    },
    wait: (waiter) => {
      PoolState.queueOf(state, waiter).add(waiter)
      if (waiter.expectedMillis === undefined) drainForWaiting()
      connect.demand()
    },
    giveBack: (waiter, abandoned, at) => {
      const { connection } = waiter
      // Not where a connection comes free: one that was opened for `minConnections` is no call.
      lastUsed = at
      if (connection === undefined) {
        PoolState.queueOf(state, waiter).delete(waiter)
        connect.settle()
        return checkQuiet()
      }
      Histogram.record(counts.uses, at - waiter.lentAt)
      PoolState.takeBack(connection, waiter)
      if (abandoned) connection.isAbandoned = true
      if (connection.users === 0) return onFree(connection)
      if (!abandoned) connection.busySince = at
      if (hasHadItsTurn(connection)) connection.isDraining = true
      else if (state.sharedQueue.size > 0) serveShared(connection)
    },
    isClosing: () => isClosing,
    isCutOff: () => isCutOff,
    neverConnected: () => !connect.hasOpened() && isUnused(),
    isUnused,
    lastUsed: () => (isQuiet() ? lastUsed : now()),
    close: (grace) =>
      Effect.gen(function* () {
        isClosing = true
        connect.stop()
        for (const connection of Array.from(state.idle)) run(evict.close(connection, "ended"))
        checkClosing()
        yield* Effect.timeoutOption(Effect.interruptible(untilQuiet), grace)
        isCutOff = true
        failWaiting(Effect.failSync(ended))
        yield* connect.abandon
        const patience = grace > 0 ? endMillis : endAtOnceMillis
        yield* Effect.forEach(state.connections, (connection) => end(connection, patience), {
          concurrency: "unbounded",
          discard: true
        })
      }).pipe(Effect.uninterruptible)
  }
}
