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
  const loop: Effect.Effect<void> = Effect.suspend(() => {
    const at = due()
    if (at === undefined || at === Number.POSITIVE_INFINITY) {
      running = false
      return Effect.void
    }
    const left = at - clock.currentTimeMillisUnsafe()
    if (left > 0) return Effect.andThen(Effect.sleep(left), loop)
    act()
    return loop
  })
  return () => {
    if (running) return
    running = true
    run(loop)
  }
}
