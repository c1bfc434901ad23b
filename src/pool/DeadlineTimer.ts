/**
 * A timer for many deadlines: it sleeps until the next one, acts on it, and ends when there is none.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { stillMillis } from "./InTime.ts"

/**
 * Makes a function that starts the timer unless it runs. `next` gives the next deadline by the clock, in milliseconds; a
 * deadline set later must not be earlier. `act` acts on the one that has passed. `onStill` gets how long the process stood
 * still when the timer slept, and may put its deadlines off.
 */
export const make = (
  clock: Clock.Clock,
  run: (effect: Effect.Effect<void>) => void,
  next: () => number | undefined,
  act: () => void,
  onStill: (millis: number) => void = () => undefined
): (() => void) => {
  let isRunning = false
  const deadline = (): number | undefined => {
    const at = next()
    return at === Number.POSITIVE_INFINITY ? undefined : at
  }
  const sleepUntil = (at: number): Effect.Effect<void> =>
    Effect.suspend(() => {
      const left = at - clock.currentTimeMillisUnsafe()
      if (left <= 0) return loop
      const woken = Effect.sync(() => {
        const late = clock.currentTimeMillisUnsafe() - at
        if (late > stillMillis) onStill(late)
      })
      return Effect.andThen(Effect.andThen(Effect.sleep(left), woken), loop)
    })
  const loop: Effect.Effect<void> = Effect.suspend(() => {
    const at = deadline()
    if (at === undefined) {
      isRunning = false
      return Effect.void
    }
    if (at > clock.currentTimeMillisUnsafe()) return sleepUntil(at)
    act()
    return loop
  })
  return () => {
    if (isRunning) return
    // It sleeps first: started and ended at once, it would be started again for each statement.
    const at = deadline()
    if (at === undefined) return
    isRunning = true
    run(sleepUntil(at))
  }
}
