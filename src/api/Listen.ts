/**
 * Notifications of the server: as a stream that survives the loss of its connection, and as the queue of Effect's own client.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { SqlError } from "effect/sql/SqlError"
import { BufferOverflow, type OperationError, PoolError, refused, toSqlError } from "../errors/PoolError.ts"
import type { Listener } from "../pool/ListenConnection.ts"
import type { Pool } from "../pool/Pool.ts"
import type { Notification } from "../protocol/Session.ts"

/** Options of `listen`. */
export interface ListenOptions<E = never, R = never> {
  /**
   * Runs when the server listens to all channels, for the first time and after each loss of the connection, before the
   * notifications that come after it: the place to fetch what was missed.
   */
  readonly onListen?: Effect.Effect<unknown, E, R> | undefined
  /**
   * Bounds how often in a row the connection is opened again; the stream fails with the last error when the schedule has
   * come to its end. Its delays do not count. Without it, there is no bound.
   */
  readonly retry?: Schedule.Schedule<unknown, OperationError> | undefined
  /** How many notifications may wait for the reader; one more fails the stream. `1024`. */
  readonly bufferSize?: number | undefined
}

const defaultBufferSize = 1_024
/** Postgres cuts longer names off when it listens, and refuses them when it notifies. */
const longestName = 63

const problemOf = (channels: ReadonlyArray<unknown>, bufferSize: unknown): string | undefined => {
  if (channels.length === 0) return "listen takes the name of a channel, or several in an array."
  for (const name of channels) {
    // Half a character of two is sent as another one: such a channel would never be heard.
    if (typeof name !== "string" || name === "" || /\0|\p{Surrogate}/u.test(name)) {
      return "A channel's name is a text that is not empty and holds no NUL character, nor half of one."
    }
    if (Buffer.byteLength(name) > longestName) {
      return `A channel's name has ${longestName} bytes at the most, and ${JSON.stringify(name.slice(0, 40))}… has ${Buffer.byteLength(name)}.`
    }
  }
  return Number.isInteger(bufferSize) && Number(bufferSize) > 0
    ? undefined
    : "The bufferSize of listen is a whole number from 1."
}

type Event =
  | { readonly _tag: "Heard"; readonly notification: Notification }
  | { readonly _tag: "Listening" }
  | { readonly _tag: "Lost"; readonly error: OperationError }

const listening: Event = { _tag: "Listening" }

const overflow = (channels: ReadonlySet<string>, size: number): PoolError =>
  new PoolError({
    reason: new BufferOverflow({
      size,
      message: `The listener to ${[...channels].map((name) => JSON.stringify(name)).join(", ")} was too slow: ${size} notifications waited, and one more came. Do the work in other fibers, or raise bufferSize.`
    })
  })

/** Steps through the schedule that bounds reconnecting, from its start each time that the server listens. */
const makeBound = (retry: ListenOptions["retry"]) => {
  const steps = retry === undefined ? undefined : Schedule.toStep(retry)
  let current: Effect.Success<NonNullable<typeof steps>> | undefined
  return {
    reset: () => {
      current = undefined
    },
    /** Fails with the loss when the schedule has come to its end. */
    onLost: Effect.fnUntraced(function* (error: OperationError) {
      if (steps === undefined) return
      current ??= yield* steps
      const now = yield* Clock.currentTimeMillis
      yield* Pull.catchDone(Effect.asVoid(current(now, error)), () => Effect.fail(error))
    })
  }
}

/** Has a listener hear for as long as the scope is open. */
const hearing = (pool: Pool, listener: Listener): Effect.Effect<void, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => pool.listening.add(listener)),
    () => Effect.sync(() => pool.listening.remove(listener))
  )

/** Notifications of these channels on the pool's connection for them. */
export const listen = <E, R>(
  pool: Pool,
  given: string | ReadonlyArray<string>,
  { bufferSize = defaultBufferSize, onListen, retry }: ListenOptions<E, R> = {}
): Stream.Stream<Notification, E | OperationError, R> => {
  const asked = Array.isArray(given) ? given : [given]
  const problem = problemOf(asked, bufferSize)
  if (problem !== undefined) return Stream.fail(refused(`${problem} Nothing was sent.`))
  const channels = new Set<string>(asked)
  return Stream.unwrap(
    Effect.gen(function* () {
      const events = yield* Queue.unbounded<Event, OperationError>()
      const bound = makeBound(retry)
      let waiting = 0
      const listener: Listener = {
        channels,
        onNotification: (notification) => {
          if (++waiting > bufferSize) {
            pool.listening.remove(listener)
            Queue.failCauseUnsafe(events, Cause.fail(overflow(channels, bufferSize)))
          } else Queue.offerUnsafe(events, { _tag: "Heard", notification })
        },
        onListening: () => Queue.offerUnsafe(events, listening),
        onLost: (error) => Queue.offerUnsafe(events, { _tag: "Lost", error }),
        onFailure: (cause) => Queue.failCauseUnsafe(events, cause)
      }
      yield* hearing(pool, listener)
      const handle = (event: Event): Effect.Effect<ReadonlyArray<Notification>, E | OperationError, R> => {
        switch (event._tag) {
          case "Heard":
            waiting--
            return Effect.succeed([event.notification])
          case "Listening":
            bound.reset()
            return onListen === undefined ? Effect.succeed([]) : Effect.as(onListen, [])
          case "Lost":
            return Effect.as(bound.onLost(event.error), [])
        }
      }
      return Stream.flattenIterable(Stream.mapEffect(Stream.fromQueue(events), handle))
    })
  )
}

/**
 * Notifications of one channel in the form of Effect's own client: once the server listens, and until the connection is lost.
 */
export const queueOf = (
  pool: Pool,
  channel: string
): Effect.Effect<Queue.Dequeue<Notification, SqlError>, SqlError, Scope.Scope> =>
  Effect.gen(function* () {
    const problem = problemOf([channel], defaultBufferSize)
    if (problem !== undefined) return yield* toSqlError(refused(`${problem} Nothing was sent.`))
    const heard = yield* Queue.unbounded<Notification, SqlError>()
    const ready = yield* Deferred.make<void, SqlError>()
    const fail = (cause: Cause.Cause<OperationError>) => {
      pool.listening.remove(listener)
      const failure = Cause.map(cause, toSqlError)
      Deferred.doneUnsafe(ready, Effect.failCause(failure))
      Queue.failCauseUnsafe(heard, failure)
    }
    const listener: Listener = {
      channels: new Set([channel]),
      onNotification: (notification) => {
        if (Queue.sizeUnsafe(heard) < defaultBufferSize) Queue.offerUnsafe(heard, notification)
        else fail(Cause.fail(overflow(listener.channels, defaultBufferSize)))
      },
      onListening: () => Deferred.doneUnsafe(ready, Effect.void),
      onLost: (error) => fail(Cause.fail(error)),
      onFailure: fail
    }
    // The queue is shut down behind the listener.
    yield* Effect.addFinalizer(() => Queue.shutdown(heard))
    yield* hearing(pool, listener)
    yield* Deferred.await(ready)
    return heard
  })
