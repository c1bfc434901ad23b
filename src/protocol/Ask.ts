/**
 * Questions to a session as Effects: what the pool itself runs on a connection, outside of any caller's statement.
 */
import * as Effect from "effect/Effect"
import type { WireValue } from "../types/PgType.ts"
import * as TypeMap from "../types/TypeMap.ts"
import * as Commands from "./Commands.ts"
import type { Exchange } from "./Exchange.ts"
import * as Statement from "./KnownStatement.ts"
import type { Session } from "./Session.ts"

/** What the server answers to what `write` writes. Interruption drops the answer. */
export const answerTo = (write: (onSettled: (exchange: Exchange) => void) => void): Effect.Effect<Exchange> =>
  Effect.callback((resume) => {
    write((exchange) => resume(Effect.succeed(exchange)))
  })

/** Runs a statement that is parsed anew. */
export const ask = (
  session: Session,
  text: string,
  values: ReadonlyArray<WireValue> = []
): Effect.Effect<Exchange> =>
  answerTo((onSettled) =>
    Commands.run(session, Statement.make(text), values, onSettled, { keep: false, types: TypeMap.plain })
  )

/** Runs statements one behind another in one round trip, each by itself. */
export const askAll = (
  session: Session,
  texts: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<Exchange>> =>
  Effect.forEach(texts, (text) => ask(session, text), { concurrency: "unbounded" })

/** Waits until everything asked before is answered; `false` when the session has ended. */
export const drained = (session: Session): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    Commands.ping(session, () => resume(Effect.succeed(session.end() === undefined)))
  })
