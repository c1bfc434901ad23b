/**
 * How connections leave a pool, and after which lifetime: out of use at once, and out of the count when the server has ended them.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Link from "../protocol/Link.ts"
import type { ResolvedSettings } from "../settings/Settings.ts"
import * as DeadlineTimer from "./DeadlineTimer.ts"
import type * as Metrics from "./Metrics.ts"
import type { PooledConnection } from "./PooledConnection.ts"
import type { PoolParts } from "./PoolParts.ts"
import * as PoolState from "./PoolState.ts"

export interface Evict {
  /** Takes a connection out of use at once, closes it, and takes it out of the count. Waits two seconds at the most. */
  readonly close: (
    connection: PooledConnection,
    reason: Metrics.CloseReason,
    patience?: number
  ) => Effect.Effect<void>
  readonly isExpired: (connection: PooledConnection) => boolean
  /** A connection is new: its lifetime is watched. */
  readonly watch: () => void
}

/** When a connection that opens now has lived long enough: after `connectionTTL`, shortened by up to `lifetimeJitter` of itself. */
export const expiryOf = (
  { connectionTTL, lifetimeJitter }: Pick<ResolvedSettings, "connectionTTL" | "lifetimeJitter">,
  now: number
): number => now + connectionTTL * (1 - Math.random() * lifetimeJitter)

/** How long the end of a session is waited for. */
const goodbyeMillis = 2_000

/** `onGone` is called when a connection is gone and its slot given back. */
export const make = (
  { budget, clock, counts, run, runTimer, state }: PoolParts,
  onGone: () => void
): Evict => {
  const close: Evict["close"] = (connection, reason, patience = goodbyeMillis) =>
    Effect.suspend(() => {
      const { isGivenUp, session } = connection
      session.setReading(true)
      session.terminate()
      // Its slot is released once, however often it is closed.
      if (!connection.isClosing) {
        connection.isClosing = true
        connection.isLeaving = true
        PoolState.removeIdle(state, connection)
        budget.removeIdle(connection)
        budget.leave()
        const onClosed = Effect.sync(() => {
          state.connections.delete(connection)
          counts.closed[reason]++
          budget.release(connection.isLeaving)
          onGone()
          Deferred.doneUnsafe(isGivenUp, Effect.void)
        })
        run(Effect.andThen(Link.gone(session.socket), onClosed))
      }
      return Effect.map(Effect.timeoutOption(Deferred.await(isGivenUp), patience), () => {
        // No fiber waits for it any longer, but its slot is not free before the server says so: others make room meanwhile.
        if (!connection.isLeaving || !state.connections.has(connection)) return
        connection.isLeaving = false
        budget.linger()
      })
    })

  const nextExpiry = () => {
    let next: number | undefined
    for (const { expiresAt, isClosing, isDraining } of state.connections) {
      if (!isDraining && !isClosing && (next === undefined || expiresAt < next)) next = expiresAt
    }
    return next
  }

  const isExpired = ({ expiresAt }: PooledConnection) =>
    expiresAt !== Number.POSITIVE_INFINITY && clock.currentTimeMillisUnsafe() >= expiresAt

  const watch = DeadlineTimer.make(clock, runTimer, nextExpiry, () => {
    for (const connection of state.connections) {
      if (connection.isClosing || !isExpired(connection)) continue
      // One in use gets no more users, and ends with the last that it has.
      connection.isDraining = true
      if (state.idle.includes(connection)) run(close(connection, "expired"))
    }
  })

  return { close, watch, isExpired }
}
