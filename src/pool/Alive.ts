/**
 * Whether the server still answers on a connection: asked before one that was idle is lent, and watched while statements are
 * under way.
 *
 * **Guarantees**
 *
 * A connection that was idle for over a second is asked before a caller gets it. A plain read, which may be sent again, carries
 * the question; everything else waits for the answer, so that nothing but a plain read is written to a dead link. With
 * `statementTimeout` a server is given up that is silent for `answerTimeout` longer, and what it may still run is cancelled.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Cancel from "../protocol/Cancel.ts"
import * as Commands from "../protocol/Commands.ts"
import * as Link from "../protocol/Link.ts"
import type { ResolvedSettings } from "../settings/Settings.ts"
import * as DeadlineTimer from "./DeadlineTimer.ts"
import { inTime } from "./InTime.ts"
import type { PooledConnection } from "./PooledConnection.ts"
import type { PoolParts } from "./PoolParts.ts"
import type { PoolState } from "./PoolState.ts"

/** From so many milliseconds without use on a connection is asked before it is lent. */
const idleMillis = 1_000

export const isStale = ({ idleSince }: Pick<PooledConnection, "idleSince">, now: number): boolean =>
  now - idleSince > idleMillis

const silent = (millis: number) =>
  Object.assign(new Error(`the server did not answer within ${millis} ms`), { code: "ETIMEDOUT" })

/**
 * Asks a connection, in the same write as what the caller sends next; ends it when no answer comes within `answerTimeout`,
 * and then the other idle ones: what silenced one link silenced them all.
 */
export const ask = (
  { session }: PooledConnection,
  { answerTimeout }: ResolvedSettings,
  state: PoolState
): Effect.Effect<boolean> => {
  const answer = Deferred.makeUnsafe<boolean>()
  // Written here and now: what the caller sends stands behind it.
  Commands.ping(session, () => Deferred.doneUnsafe(answer, Effect.succeed(session.end() === undefined)))
  return Effect.catch(
    inTime(Deferred.await(answer), answerTimeout, () => silent(answerTimeout)),
    (error) =>
      Effect.sync(() => {
        session.destroy(error)
        for (const { session } of Array.from(state.idle)) session.destroy(error)
        return false
      })
  )
}

/** How long the socket of a session that was given up waits for the cancel of what it runs. */
const cancelMillis = 1_000

/**
 * Fails the callers of a session at once, and cancels what the server would run on for nobody with all its locks. Its socket is
 * closed behind that: a pooler passes no cancel on for a client that has left. A pool that ends meanwhile closes it earlier.
 */
const giveUp = ({ address, encryption, session }: PooledConnection, error: Error): Effect.Effect<void> =>
  Effect.suspend(() => {
    session.abandon(error)
    return Effect.raceFirst(Cancel.request(address, encryption, session.key), Link.closed(session.socket))
  }).pipe(Effect.timeoutOption(cancelMillis), Effect.ensuring(Effect.sync(() => session.destroy())))

/** How often in its time a silent connection is looked at. */
const looks = 4

interface Silence {
  heard: number
  since: number
}

/** Makes a function that has the connections in use watched, until none is. */
export const watch = ({ clock, run, runTimer, settings, state }: PoolParts): (() => void) => {
  const limit = settings.statementTimeout + settings.answerTimeout
  if (limit === Number.POSITIVE_INFINITY) return () => undefined
  const silences = new WeakMap<PooledConnection, Silence>()
  let nextLook = 0
  const isUsed = () => {
    for (const { users } of state.connections) if (users > 0) return true
    return false
  }
  const start = DeadlineTimer.make(
    clock,
    runTimer,
    () => (isUsed() ? nextLook : undefined),
    () => {
      const now = clock.currentTimeMillisUnsafe()
      const isLate = now - nextLook > limit / looks
      nextLook = now + limit / looks
      for (const connection of state.connections) {
        const { session } = connection
        const heard = session.heard()
        const silence = silences.get(connection)
        const isWaiting = connection.users > 0 && session.pending() > 0 && session.isReading()
        if (!isWaiting || isLate || silence?.heard !== heard) silences.set(connection, { heard, since: now })
        else if (now - silence.since >= limit) run(giveUp(connection, silent(limit)))
      }
    }
  )
  return () => {
    const now = clock.currentTimeMillisUnsafe()
    if (nextLook < now) nextLook = now + limit / looks
    start()
  }
}
