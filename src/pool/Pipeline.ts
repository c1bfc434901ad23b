/**
 * Several statements on one connection without waiting for each other's answers: one round trip for all.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"

/** How many statements are under way at a time. The driver writes no more than 128 before it has read an answer. */
const mostStatements = 120
/** How many bytes they may send in all, so that a long batch waits in the program and not in the socket's buffer. */
const mostBytes = 4 * 1024 * 1024

/** What bounds a pipeline; by default a round trip has as much as the driver takes. */
export interface Options {
  /** `false`: one after the other, for a connection that cannot pipeline. */
  readonly pipelining?: boolean
  /** About how many bytes each of the effects sends. */
  readonly sizes?: ReadonlyArray<number>
}

const inOrder = <A, E>(
  effects: ReadonlyArray<Effect.Effect<A, E>>,
  fibers: Array<Fiber.Fiber<A, E>>,
  { pipelining, sizes }: Required<Options>
): Effect.Effect<ReadonlyArray<Exit.Exit<A, E>>> =>
  Effect.gen(function* () {
    const most = pipelining ? mostStatements : 1
    const exits: Array<Exit.Exit<A, E>> = []
    let bytes = 0
    let failed = false
    const next = Effect.suspend(() => Fiber.await(fibers[exits.length]!))
    for (const [index, effect] of effects.entries()) {
      const size = sizes[index] ?? 0
      while (exits.length < index && (index - exits.length >= most || bytes + size > mostBytes) && !failed) {
        const exit = yield* next
        bytes -= sizes[exits.length] ?? 0
        exits.push(exit)
        failed = Exit.isFailure(exit)
      }
      if (failed) break
      const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
      fibers.push(fiber)
      bytes += size
      // It can fail before anything of it is sent; what follows must not be sent then, COMMIT least of all.
      const done = fiber.pollUnsafe()
      if (done !== undefined && Exit.isFailure(done)) break
    }
    while (exits.length < fibers.length) exits.push(yield* next)
    return exits
  })

/**
 * Starts the effects in order, each up to its write, and gives their exits in order. No more are started once one has
 * failed; those under way are awaited.
 */
export const run = <A, E>(
  effects: ReadonlyArray<Effect.Effect<A, E>>,
  { pipelining = true, sizes = [] }: Options = {}
): Effect.Effect<ReadonlyArray<Exit.Exit<A, E>>> =>
  Effect.suspend(() => {
    const fibers: Array<Fiber.Fiber<A, E>> = []
    // Children end with their fiber, and this is only a part of it: what was started must not go on behind its back.
    return Effect.onInterrupt(inOrder(effects, fibers, { pipelining, sizes }), () =>
      Fiber.interruptAll(fibers)
    )
  })
