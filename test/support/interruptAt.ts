/** An interruption between two steps of a fiber that the test chooses. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"

/** Interrupts the fiber that runs an effect when it has made so many steps; `isHit` unless it had ended before. */
export const interruptAt = <A, E, R>(step: number, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const base = new Scheduler.MixedScheduler()
    let target: Fiber.Fiber<A, E> | undefined
    let steps = 0
    const scheduler: Scheduler.Scheduler = {
      executionMode: "async",
      shouldYield: (fiber) => {
        if (fiber !== target || ++steps !== step) return false
        queueMicrotask(() => fiber.interruptUnsafe())
        return true
      },
      makeDispatcher: () => base.makeDispatcher()
    }
    target = yield* Effect.forkDetach(
      Effect.provideService(Effect.andThen(Effect.yieldNow, effect), Scheduler.Scheduler, scheduler)
    )
    const exit = yield* Fiber.await(target)
    return { exit, isHit: steps >= step }
  })
