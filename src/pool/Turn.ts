/**
 * A line in front of what one caller has at a time: first come, first served.
 */
import * as Effect from "effect/Effect"

/** A caller in the line. */
interface Place {
  /** It keeps its turn for as long as a program of the user's runs, and so may wait for one who stands behind it. */
  readonly isProgram: boolean
  resume: (() => void) | undefined
}

export interface Turn {
  holder: Place | undefined
  readonly waiting: Set<Place>
}

export const make = (): Turn => ({ holder: undefined, waiting: new Set() })

/** How long a program may keep a caller waiting, and with what that caller fails then. */
export interface Patience<E> {
  readonly millis: number
  readonly error: () => E
}

const leave = (turn: Turn, place: Place): void => {
  if (turn.holder !== place) {
    turn.waiting.delete(place)
    return
  }
  turn.holder = undefined
  const next = turn.waiting.values().next()
  if (next.done === true) return
  turn.waiting.delete(next.value)
  turn.holder = next.value
  // In a tick of its own: a long line would otherwise be served on one stack.
  queueMicrotask(() => next.value.resume?.())
}

const wait = <E>(turn: Turn, place: Place, patience: Patience<E>): Effect.Effect<void, E> =>
  Effect.suspend(() => {
    const { holder } = turn
    return Effect.callback<void>((resume) => {
      place.resume = () => resume(Effect.void)
      if (turn.holder === place) place.resume()
    }).pipe(
      Effect.timeoutOrElse({
        duration: patience.millis,
        orElse: () =>
          Effect.suspend(() => {
            // The same one has had the turn all the while.
            const isStuck = holder?.isProgram === true && holder !== place && turn.holder === holder
            return isStuck ? Effect.fail(patience.error()) : wait(turn, place, patience)
          })
      })
    )
  })

/** Runs an effect when it is its turn. Interruption, waiting or running, leaves the line. */
export const withTurn = <A, E, R, E2>(
  turn: Turn,
  patience: Patience<E2>,
  effect: Effect.Effect<A, E, R>,
  isProgram = false
): Effect.Effect<A, E | E2, R> =>
  Effect.suspend(() => {
    const place: Place = { isProgram, resume: undefined }
    // The line is entered inside of what leaves it again.
    const enter = Effect.suspend((): Effect.Effect<A, E | E2, R> => {
      if (turn.holder === undefined) {
        turn.holder = place
        return effect
      }
      turn.waiting.add(place)
      return Effect.andThen(wait(turn, place, patience), effect)
    })
    return Effect.onExitPrimitive(enter, () => {
      leave(turn, place)
      return undefined
    })
  })
