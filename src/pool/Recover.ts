/**
 * Brings a connection whose statement was abandoned back to rest: cancels what runs, and makes sure that no late
 * cancel hits the next statement.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { drained } from "../protocol/Ask.ts"
import * as Cancel from "../protocol/Cancel.ts"
import type { PooledConnection } from "./PooledConnection.ts"
import { isDead } from "./PooledConnection.ts"

/** A cancel that hit nothing is repeated after so many milliseconds, doubled each time up to the second number. */
const firstPause = 20
const longestPause = 320

/** Resolves to `true` when the server is ready for the next statement. */
const progress = ({ session }: PooledConnection): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    session.watch(() => resume(Effect.succeed(true)))
    return Effect.sync(() => session.watch(undefined))
  })

/**
 * Sends cancels until nothing is under way but the wait for it: one that overtakes its statement finds nothing to cancel, and
 * one that hits makes room for the next statement of a shared connection.
 */
const cancelUntil = (
  connection: PooledConnection,
  draining: Fiber.Fiber<boolean>,
  pause: number
): Effect.Effect<boolean> =>
  Effect.suspend(() => {
    const { address, encryption, session } = connection
    const isDone = () => session.pending() <= 1 || isDead(connection)
    if (isDone()) return Effect.succeed(true)
    const pending = session.pending()
    return Effect.flatMap(Cancel.request(address, encryption, session.key), (isPassedOn) => {
      connection.isCancelPassedOn = isPassedOn
      if (!isPassedOn || isDone()) return Effect.succeed(isPassedOn)
      if (session.pending() < pending) return cancelUntil(connection, draining, firstPause)
      // Behind a proxy that gives links to several servers in turn, cancels in step would each find the same wrong one again.
      const waited = Effect.as(Effect.sleep(pause * (0.5 + Math.random())), false)
      return Effect.flatMap(
        Effect.raceAllFirst([waited, progress(connection), Effect.as(Fiber.await(draining), true)]),
        (isProgress) =>
          cancelUntil(connection, draining, isProgress ? firstPause : Math.min(pause * 2, longestPause))
      )
    })
  })

/** Recoveries that are under way: a cancel of theirs may still be on its way. */
const recoveries = new WeakMap<PooledConnection, Deferred.Deferred<void>>()

/**
 * Cancels what runs and waits until nothing is under way, for `patience` milliseconds at the most: a server that stays silent
 * for longer is given up, its socket closed unless `onSilence` does something else. Never fails; the connection may be dead
 * afterwards. One that is asked for during another begins after it, since only then no cancel is left.
 */
export const recover = (
  connection: PooledConnection,
  patience: number,
  onSilence = () => connection.session.destroy()
): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { session } = connection
    if (isDead(connection)) return Effect.void
    session.setReading(true)
    session.giveUp?.()
    const giveUp = { duration: patience, orElse: () => Effect.sync(onSilence) }
    const earlier = recoveries.get(connection)
    if (earlier !== undefined) {
      return Effect.andThen(
        Effect.timeoutOrElse(Deferred.await(earlier), giveUp),
        recover(connection, patience, onSilence)
      )
    }
    if (session.pending() === 0 && !connection.isCancelled) return Effect.void
    const over = Deferred.makeUnsafe<void>()
    recoveries.set(connection, over)
    connection.isCancelled = true
    connection.isCancelPassedOn = false
    return Effect.gen(function* () {
      const draining = yield* Effect.forkDetach(drained(session), { startImmediately: true })
      const cancelling = yield* Effect.forkDetach(cancelUntil(connection, draining, firstPause), {
        startImmediately: true
      })
      const isAlive = yield* Fiber.join(draining)
      if (!isAlive) return
      const isPassedOn = yield* Fiber.join(cancelling)
      // A signal is delivered before a process reads its next message, so a round trip after the request takes the hit or
      // shows that none is left. A timed-out cancel may still arrive, so the connection is discarded.
      if (!isPassedOn) return session.destroy()
      yield* drained(session)
      connection.isCancelled = false
    }).pipe(
      Effect.timeoutOrElse(giveUp),
      Effect.ensuring(
        Effect.sync(() => {
          recoveries.delete(connection)
          Deferred.doneUnsafe(over, Effect.void)
        })
      )
    )
  }).pipe(Effect.uninterruptible)

/** An interruption waits so long for a sign that the server heard of it, */
const signMillis = 100
/** and so long for the end of the statement then. */
const endMillis = 400

/**
 * Runs what follows an interruption to its end, and waits until its statement is over if the server is there to end it. Over a
 * link that went silent it does not wait: the connection is brought to rest or given up behind the caller's back.
 */
export const awaitBriefly = (
  connection: PooledConnection,
  effect: Effect.Effect<unknown>
): Effect.Effect<void> =>
  Effect.flatMap(Effect.forkDetach(effect, { startImmediately: true }), (recovery) => {
    connection.cleanups.add(recovery)
    recovery.addObserver(() => connection.cleanups.delete(recovery))
    return Effect.flatMap(Effect.timeoutOption(Fiber.await(recovery), signMillis), (ended) =>
      Option.isSome(ended) || !connection.isCancelPassedOn
        ? Effect.void
        : Effect.asVoid(Effect.timeoutOption(Fiber.await(recovery), endMillis))
    )
  })

/**
 * Does `after` behind the caller's back, once what goes on there is over. Each part of that ends by itself; if one does not within
 * `patience` milliseconds, the session is given up.
 */
export const whenClean = (
  connection: PooledConnection,
  patience: number,
  after: Effect.Effect<void>
): Effect.Effect<void> => {
  const giveUp = Effect.sync(() => {
    connection.session.destroy()
    connection.cleanups.clear()
  })
  const clean = Effect.timeoutOrElse(Effect.asVoid(Fiber.awaitAll(connection.cleanups)), {
    duration: patience,
    orElse: () => giveUp
  })
  return Effect.asVoid(Effect.forkDetach(Effect.andThen(clean, after), { startImmediately: true }))
}
