/**
 * A connection comes back as it was lent: no statement under way, no open transaction, no session state.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { ask, askAll } from "../protocol/Ask.ts"
import { floatsOf } from "../protocol/FloatDigits.ts"
import * as PreparedStatements from "../protocol/PreparedStatements.ts"
import type { ResolvedSettings } from "../settings/Settings.ts"
import * as OnConnect from "./OnConnect.ts"
import * as OwnSpans from "./OwnSpans.ts"
import type { PooledConnection } from "./PooledConnection.ts"
import { isDead, isInTransaction } from "./PooledConnection.ts"
import { recover } from "./Recover.ts"

/** What asyncpg's `reset` runs, and what it leaves: temporary tables, sequences' last values, roles, prepared statements. */
const resetAll = [
  "SET SESSION AUTHORIZATION DEFAULT",
  "RESET ALL",
  // Not among them, and the line before it took away the role that the session began with.
  "RESET ROLE",
  "CLOSE ALL",
  "UNLISTEN *",
  "SELECT pg_catalog.pg_advisory_unlock_all()",
  "DISCARD TEMP",
  "DISCARD SEQUENCES"
]

/** Gives a row if a function has prepared statements by SQL, or dropped some of the so many that this package has prepared. */
const otherPrepared = (own: number): string =>
  `SELECT FROM pg_catalog.pg_prepared_statements HAVING pg_catalog.bool_or(from_sql) OR pg_catalog.count(*) < ${own}`

/** Whether there is nothing to do, which costs no round trip. */
export const isClean = (connection: PooledConnection, settings: ResolvedSettings): boolean =>
  !connection.isAbandoned &&
  connection.sessionEffects === "none" &&
  settings.reset !== "always" &&
  !connection.isCancelled &&
  !isInTransaction(connection)

/** Resets a connection; `false` when it is better closed. */
export const reset = (connection: PooledConnection, settings: ResolvedSettings): Effect.Effect<boolean> => {
  const { session } = connection
  const program = Effect.gen(function* () {
    if (connection.isAbandoned || connection.isCancelled) yield* recover(connection, settings.answerTimeout)
    if (isDead(connection)) return false
    if (isInTransaction(connection)) yield* ask(session, "ROLLBACK")
    if (isDead(connection) || isInTransaction(connection)) return false
    if (connection.sessionEffects !== "none" || settings.reset === "always") {
      const deallocates = connection.sessionEffects === "prepared statements"
      if (deallocates) PreparedStatements.clear(session.statements)
      const looks = settings.reset === "always" && !deallocates
      const last = looks ? otherPrepared(session.statements.byStatement.size) : "DEALLOCATE ALL"
      const exchanges = yield* askAll(session, looks || deallocates ? [...resetAll, last] : resetAll)
      if (exchanges.some(({ state }) => state !== "done")) return false
      if (looks && exchanges.at(-1)?.rows.length !== 0) {
        PreparedStatements.clear(session.statements)
        if ((yield* ask(session, "DEALLOCATE ALL")).state !== "done") return false
      }
      if (Exit.isFailure(yield* Effect.exit(OnConnect.run(session, settings)))) return false
    }
    connection.isAbandoned = false
    connection.sessionEffects = "none"
    if (session.floats === "short") session.floats = floatsOf(session.parameters)
    return true
  }).pipe(
    Effect.timeoutOrElse({
      duration: settings.answerTimeout,
      orElse: () => Effect.as(Effect.sync(session.destroy), false)
    }),
    Effect.uninterruptible
  )
  return OwnSpans.within(settings, "reset", program)
}
