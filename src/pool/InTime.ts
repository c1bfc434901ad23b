/**
 * Time limits that measure what this process could have seen: a process that stood still, blocked or stopped by a signal, has
 * not waited. Used for openings and for callers who wait.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** A timer that comes so much too late shows that the process stood still. */
export const stillMillis = 250

/** Waits so long, not counting time in which the process stood still. */
const elapsed = (millis: number): Effect.Effect<void> =>
  Effect.flatMap(Clock.currentTimeMillis, (begin) =>
    Effect.flatMap(Effect.andThen(Effect.sleep(millis), Clock.currentTimeMillis), (end) => {
      const late = end - begin - millis
      return late > stillMillis ? elapsed(Math.min(millis, late)) : Effect.void
    })
  )

/** Fails with `onLate` when the effect takes longer. */
export const inTime = <A, E, E2>(
  effect: Effect.Effect<A, E>,
  millis: number,
  onLate: () => E2
): Effect.Effect<A, E | E2> =>
  millis === Number.POSITIVE_INFINITY
    ? effect
    : Effect.raceFirst(
        effect,
        Effect.flatMap(elapsed(millis), () => Effect.suspend(() => Effect.fail(onLate())))
      )
