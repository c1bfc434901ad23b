/**
 * A timer that sleeps until the next thing is due, does it, and is gone when nothing is.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/**
 * Makes a function that starts the timer unless it runs. `due` is when the next thing is to be done, by the clock; a thing
 * that comes later must not be due earlier. `act` does it.
 */
export const make = (
  clock: Clock.Clock,
  run: (effect: Effect.Effect<void>) => void,
  due: () => number | undefined,
  act: () => void
): (() => void) => {
  let running = false
  const next = (): number | undefined => {
    const at = due()
    return at === Number.POSITIVE_INFINITY ? undefined : at
  }
  const until = (at: number): Effect.Effect<void> =>
    Effect.suspend(() => {
      const left = at - clock.currentTimeMillisUnsafe()
      return left > 0 ? Effect.andThen(Effect.sleep(left), loop) : loop
    })
  const loop: Effect.Effect<void> = Effect.suspend(() => {
    const at = next()
    if (at === undefined) {
      running = false
      return Effect.void
    }
    if (at > clock.currentTimeMillisUnsafe()) return until(at)
    act()
    return loop
  })
  return () => {
    if (running) return
    // It sleeps at first, also when there is nothing to wait for a moment later: it would be started all the time.
    const at = next()
    if (at === undefined) return
    running = true
    run(until(at))
  }
}
