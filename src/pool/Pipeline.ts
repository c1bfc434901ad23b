/**
 * Several statements on one connection without waiting for each other's answers: one round trip for all.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"

/** How many are under way at a time, so that thousands of statements hold no more than this many in memory. */
const window = 100

/**
 * Starts the effects in order, each up to its write, and gives their exits in order. No more are started once one has
 * failed; those under way are awaited.
 */
export const run = <A, E>(
  effects: ReadonlyArray<Effect.Effect<A, E>>
): Effect.Effect<ReadonlyArray<Exit.Exit<A, E>>> =>
  Effect.gen(function* () {
    const fibers: Array<Fiber.Fiber<A, E>> = []
    const exits: Array<Exit.Exit<A, E>> = []
    const next = Effect.suspend(() => Fiber.await(fibers[exits.length]!))
    for (const effect of effects) {
      if (fibers.length - exits.length >= window) {
        const exit = yield* next
        exits.push(exit)
        if (Exit.isFailure(exit)) break
      }
      fibers.push(yield* Effect.forkChild(effect, { startImmediately: true }))
    }
    while (exits.length < fibers.length) exits.push(yield* next)
    return exits
  })

/** The first failure in order, or all values. */
export const collect = <A, E>(exits: ReadonlyArray<Exit.Exit<A, E>>): Exit.Exit<ReadonlyArray<A>, E> => {
  const values: Array<A> = []
  for (const exit of exits) {
    if (Exit.isFailure(exit)) return Exit.failCause(exit.cause)
    values.push(exit.value)
  }
  return Exit.succeed(values)
}
