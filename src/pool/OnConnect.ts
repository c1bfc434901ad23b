/**
 * The setting `onConnect`: what a program runs on each new connection before it is lent, and again when a reset has taken
 * back what it had set.
 */
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import * as ConnectionErrors from "../errors/ConnectionErrors.ts"
import { type OperationError, refused } from "../errors/PoolError.ts"
import { serverError } from "../errors/ServerErrors.ts"
import { answerTo } from "../protocol/Ask.ts"
import * as Commands from "../protocol/Commands.ts"
import type { Exchange } from "../protocol/Exchange.ts"
import * as Statement from "../protocol/KnownStatement.ts"
import type { Session } from "../protocol/Session.ts"
import type { Connecting } from "../settings/Settings.ts"
import { describe, type ResolvedSettings } from "../settings/Settings.ts"
import { encodePlain } from "../types/Parameters.ts"

type Rows = ReadonlyArray<Readonly<Record<string, unknown>>>

const isRow = (row: unknown): row is Rows[number] => typeof row === "object" && row !== null

const rowsOf = (
  session: Session,
  text: string,
  server: string,
  { error, late, rows, state, unreadable }: Exchange
): Effect.Effect<Rows, OperationError> => {
  const about = { text, server }
  if (error !== undefined) return Effect.fail(serverError(error, about))
  const end = session.end()
  if (state !== "done")
    return Effect.fail(
      end === undefined ? ConnectionErrors.unsentError(about) : ConnectionErrors.lostError(end, false, about)
    )
  if (unreadable !== undefined)
    return Effect.fail(ConnectionErrors.unreadableError(unreadable, undefined, about))
  return late === undefined
    ? Effect.succeed(rows.filter(isRow))
    : Effect.fail(refused("A value of onConnect is of a type that is not known yet: select it as text."))
}

const connecting = (session: Session, server: string): Connecting => ({
  parameters: session.parameters,
  execute: (sql, params = []) => {
    const encoded = encodePlain(params)
    if (encoded === undefined) {
      return Effect.fail(refused("onConnect takes strings, numbers, booleans and null as parameters."))
    }
    const answer = answerTo((onSettled) =>
      Commands.run(session, Statement.make(sql, encoded.types), encoded.values, onSettled, { keep: false })
    )
    return Effect.flatMap(answer, (exchange) => rowsOf(session, sql, server, exchange))
  }
})

export const run = (session: Session, settings: ResolvedSettings): Effect.Effect<void, SqlError> => {
  const { onConnect } = settings
  if (onConnect === undefined) return Effect.void
  const server = describe(settings)
  const program = Effect.suspend(() =>
    typeof onConnect === "function" ? onConnect(connecting(session, server)) : onConnect
  )
  const atRest = Effect.suspend(() =>
    session.status() === "idle" && session.pending() === 0
      ? Effect.void
      : Effect.fail("it left a transaction open, or a statement under way")
  )
  return Effect.mapError(Effect.andThen(program, atRest), (error) =>
    ConnectionErrors.hookError(error, server)
  )
}
