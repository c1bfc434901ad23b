/**
 * How a transaction ends on its connection: `COMMIT` and `ROLLBACK`, and what becomes of either when the fiber is interrupted
 * or the connection dies.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { SqlError } from "effect/sql/SqlError"
import type { PoolError } from "../PoolError.ts"
import type { Result } from "../pool/Connection.ts"
import * as Exchange from "../pool/Exchange.ts"
import * as Fate from "../pool/Fate.ts"
import * as Held from "../pool/Held.ts"
import type * as Lines from "../pool/Lines.ts"
import * as Turn from "../pool/Turn.ts"
import * as ServerError from "../ServerError.ts"

/** Sends `COMMIT`; one that the server turned into a rollback fails, and so does one without an answer. */
export const commitOn = (member: Lines.Member): Effect.Effect<Result, SqlError> =>
  Effect.suspend(() => {
    const wasDead = member.connection.isDead()
    return Effect.matchEffect(member.connection.query("COMMIT", [], false), {
      onFailure: (error) => {
        const story = ServerError.tell(error, { text: "COMMIT" })
        return Effect.fail(Fate.isAnswer(story) ? story : wasDead ? Fate.undone(story) : Fate.unknown(story))
      },
      onSuccess: (result) =>
        result.command === "ROLLBACK" ? Effect.fail(Fate.rolledBack()) : Effect.succeed(result)
    })
  })

/** Rolls back whatever is under way, a nested transaction and its statement included. Never fails. */
export const rollback = (held: Held.Held): Effect.Effect<void> =>
  Effect.suspend(() => {
    Held.end(held)
    return held.begun ? Effect.andThen(Exchange.rest(held), Exchange.rollback(held.member)) : Effect.void
  })

/** Interrupted, `COMMIT` is cancelled on the server, and is either done or undone. */
const commitAnswered = (member: Lines.Member): Effect.Effect<Result, SqlError> =>
  Effect.flatMap(Effect.forkDetach(commitOn(member), { startImmediately: true }), (answer) =>
    Effect.flatMap(Effect.exit(Effect.interruptible(Fiber.await(answer))), (waited) =>
      Exit.isSuccess(waited) ? waited.value : Effect.andThen(member.connection.recover, Fiber.join(answer))
    )
  )

/** Commits when the fibers in line have had their turn. Runs in an uninterruptible region, which it opens to wait. */
export const commit = (held: Held.Held): Effect.Effect<void, SqlError | PoolError> => {
  const close = Effect.sync(() => {
    held.ended = true
  })
  return Effect.matchCauseEffect(
    Effect.interruptible(Turn.withTurn(held.root.turn, Held.patienceOf(held), close)),
    {
      onFailure: (cause) => Effect.andThen(rollback(held), Effect.failCause(cause)),
      onSuccess: (): Effect.Effect<unknown, SqlError> => {
        if (held.failed !== undefined) return Effect.andThen(rollback(held), Effect.fail(held.failed))
        return held.begun ? commitAnswered(held.member) : Effect.void
      }
    }
  )
}
