/**
 * Questions to a session as Effects: what the pool itself runs on a connection, outside of any caller's statement.
 */
import * as Effect from "effect/Effect"
import type { WireValue } from "../types/PgType.ts"
import * as Commands from "./Commands.ts"
import type { Exchange } from "./Exchange.ts"
import * as Statement from "./KnownStatement.ts"
import type { Session } from "./Session.ts"

/** Runs a statement that is parsed anew. Interruption drops the answer. */
export const ask = (
  session: Session,
  text: string,
  values: ReadonlyArray<WireValue> = []
): Effect.Effect<Exchange> =>
  Effect.callback((resume) => {
    Commands.run(session, Statement.make(text), values, (exchange) => resume(Effect.succeed(exchange)), {
      keep: false
    })
  })

/** Runs statements one behind another in one round trip, each by itself. */
export const askAll = (
  session: Session,
  texts: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<Exchange>> =>
  Effect.all(
    texts.map((text) => ask(session, text)),
    { concurrency: "unbounded" }
  )

/** Waits until everything asked before is answered; `false` when the session has ended. */
export const drained = (session: Session): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    Commands.ping(session, () => resume(Effect.succeed(session.end() === undefined)))
  })
