/**
 * Transactions inside transactions: savepoints, which cost no round trip of their own unless they are rolled back.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { SqlError } from "effect/sql/SqlError"
import type { PoolError } from "../PoolError.ts"
import * as Exchange from "../pool/Exchange.ts"
import * as Fate from "../pool/Fate.ts"
import * as Held from "../pool/Held.ts"
import * as Turn from "../pool/Turn.ts"

/** Keeps the place of Effect's own bookkeeping around a nested transaction. */
type Around = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | SqlError, R>

/** Waits for the fibers in line inside the level, and takes no more. */
const close = (held: Held.Held, level: Held.Level): Effect.Effect<void, PoolError> =>
  Turn.withTurn(
    level.turn,
    Held.patienceOf(held),
    Effect.sync(() => {
      level.open = false
    })
  )

const isUnsent = ({ pending }: Held.Held, level: Held.Level): boolean =>
  pending.some((one) => one.opens && one.level === level)

/** What ends in a failed state did not take effect, whatever became of the failure. */
const checked = (held: Held.Held, level: Held.Level): Effect.Effect<void, SqlError> =>
  Effect.suspend(() =>
    held.member.connection.isFailed() && !isUnsent(held, level)
      ? Effect.fail(Fate.rolledBackInside())
      : Effect.void
  )

/** At the transaction's end it is not needed, so it travels with the next statement, if there is one. */
const release = (held: Held.Held, outer: Held.Level, level: Held.Level): void => {
  if (isUnsent(held, level)) held.pending = held.pending.filter((one) => one.level !== level)
  else Held.afterwards(held, outer, `RELEASE SAVEPOINT ${level.savepoint}`)
}

/** Never fails: where it cannot be done, the transaction itself has failed. */
const undo = (held: Held.Held, outer: Held.Level, level: Held.Level): Effect.Effect<void> =>
  Effect.suspend(() => {
    const sent = !isUnsent(held, level)
    level.open = false
    level.undone = true
    held.pending = held.pending.filter((one) => Held.isAlive(one.level))
    if (!sent || Held.closed(held, outer) !== undefined || held.member.connection.isDead()) return Effect.void
    const text = `ROLLBACK TO SAVEPOINT ${level.savepoint}`
    return Exchange.rest(held).pipe(
      Effect.andThen(
        Exchange.promptly(held.member, Effect.ignore(held.member.connection.query(text, [], false)))
      ),
      Effect.andThen(
        Effect.sync(() => {
          if (held.member.changedTypes) held.owner.onCatalogueChange()
          Held.afterwards(held, outer, `RELEASE SAVEPOINT ${level.savepoint}`)
        })
      )
    )
  })

/** Runs an effect in a savepoint of the fiber's level, which nobody else uses until it ends. */
export const nested = <A, E, R>(
  held: Held.Held,
  around: Around,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | SqlError | PoolError, R> =>
  Effect.withFiber((fiber) => {
    const outer = Held.levelOf(held, fiber.context)
    return Turn.withTurn(
      outer.turn,
      Held.patienceOf(held),
      Effect.suspend((): Effect.Effect<A, E | SqlError | PoolError, R> => {
        const refusal = Held.closed(held, outer)
        if (refusal !== undefined) return Effect.fail(refusal)
        const level = Held.openLevel(held, outer)
        return Effect.onExit(
          around(
            Effect.withFiber((inner) => {
              Held.enterLevel(held, level, inner.context)
              return Effect.tap(effect, Effect.andThen(close(held, level), checked(held, level)))
            })
          ),
          (exit) =>
            Exit.isSuccess(exit) ? Effect.sync(() => release(held, outer, level)) : undo(held, outer, level)
        )
      }),
      true
    )
  })
