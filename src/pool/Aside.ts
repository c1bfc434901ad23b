/**
 * A question on a connection beside those of a pool, for the page of pools: the pool's own may all be busy just
 * when its page is opened. It counts under the registry's limit, and nothing waits for it or makes room for it.
 */
import type * as Net from "node:net"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Link from "../protocol/Link.ts"
import type { Session } from "../protocol/Session.ts"
import type { ConnectionBudget } from "./Budget.ts"
import type { Open } from "./OpenConnection.ts"

/** How long the end of the session is waited for. */
const goodbyeMillis = 1_000

/** Asks on a connection of its own, which is closed then; `none` where there is none to be had. */
export const ask = <A>(
  open: Open,
  budget: ConnectionBudget,
  run: (effect: Effect.Effect<void>) => unknown,
  question: (session: Session) => Effect.Effect<A>
): Effect.Effect<Option.Option<A>> =>
  Effect.uninterruptibleMask((restore) => {
    if (!budget.takeFree()) return Effect.succeedNone
    const sockets: Array<Net.Socket> = []
    const release = Effect.sync(() => budget.release(false))
    return Effect.flatMap(Effect.exit(restore(open(() => undefined, sockets))), (opened) => {
      if (Exit.isFailure(opened)) {
        const gone = Option.match(Cause.findErrorOption(opened.cause), {
          onNone: () => Link.discardAll(sockets),
          onSome: ({ gone }) => gone
        })
        run(Effect.andThen(gone, Effect.andThen(Effect.sync(budget.settle), release)))
        return Effect.succeedNone
      }
      const { session } = opened.value
      budget.settle()
      const close = Effect.suspend(() => {
        session.terminate()
        run(Effect.andThen(Link.gone(session.socket), release))
        return Effect.timeoutOption(Link.closed(session.socket), goodbyeMillis)
      })
      return Effect.ensuring(Effect.asSome(restore(question(session))), close)
    })
  })
