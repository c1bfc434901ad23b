/**
 * A FIFO mutex.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Restore } from "../pool/Pool.ts"

/** A holder of the mutex, or one that waits for it. */
export interface Turn {
  /** It runs a program of the user's, which may wait for a fiber that waits for this mutex. */
  readonly isProgram: boolean
  onTurn: (() => void) | undefined
}

export interface Mutex {
  holder: Turn | undefined
  readonly waiting: Set<Turn>
}

export const make = (): Mutex => ({ holder: undefined, waiting: new Set() })

/** How long a program may keep a caller waiting, and the error of that caller then. */
export interface Patience<E> {
  readonly millis: number
  readonly error: () => E
}

/** Takes the mutex if it is free. */
export const tryAcquire = (mutex: Mutex): Turn | undefined => {
  if (mutex.holder !== undefined) return undefined
  const turn: Turn = { isProgram: false, onTurn: undefined }
  mutex.holder = turn
  return turn
}

/** Gives the mutex to the next in line, or leaves the line. */
export const release = (mutex: Mutex, turn: Turn): void => {
  if (mutex.holder !== turn) {
    mutex.waiting.delete(turn)
    return
  }
  mutex.holder = undefined
  const next = mutex.waiting.values().next()
  if (next.done === true) return
  mutex.waiting.delete(next.value)
  mutex.holder = next.value
  // In a microtask: a long line would otherwise be served on one stack.
  queueMicrotask(() => next.value.onTurn?.())
}

const wait = <E>(mutex: Mutex, turn: Turn, patience: Patience<E>): Effect.Effect<void, E> =>
  Effect.suspend(() => {
    const { holder } = mutex
    return Effect.callback<void>((resume) => {
      turn.onTurn = () => resume(Effect.void)
      if (mutex.holder === turn) turn.onTurn()
    }).pipe(
      Effect.timeoutOrElse({
        duration: patience.millis,
        orElse: () =>
          Effect.suspend(() => {
            // The same program has had the mutex all the while.
            const isStuck = holder?.isProgram === true && holder !== turn && mutex.holder === holder
            return isStuck ? Effect.fail(patience.error()) : wait(mutex, turn, patience)
          })
      })
    )
  })

/**
 * Runs an effect with the mutex held, which `release` gives back; interruption while waiting leaves the line. The effect is
 * interruptible in what it restores alone: a fiber may be interrupted between any two steps, also between getting its turn and
 * being sure to give it back.
 */
export const withTurn = <A, E, R, E2>(
  mutex: Mutex,
  patience: Patience<E2>,
  effect: (release: () => void, restore: Restore) => Effect.Effect<A, E, R>,
  isProgram = false
): Effect.Effect<A, E | E2, R> =>
  Effect.uninterruptibleMask((restore) => {
    const turn: Turn = { isProgram, onTurn: undefined }
    const done = () => release(mutex, turn)
    if (mutex.holder === undefined) {
      mutex.holder = turn
      return effect(done, restore)
    }
    mutex.waiting.add(turn)
    const waited = Effect.onExitPrimitive(restore(wait(mutex, turn, patience)), (exit) => {
      if (Exit.isFailure(exit)) done()
      return undefined
    })
    return Effect.flatMap(waited, () => effect(done, restore))
  })
