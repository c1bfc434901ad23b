/**
 * A connection comes back as it was lent: no statement on the wire, no open transaction, no session state.
 */
import * as Effect from "effect/Effect"
import type { Checked } from "../settings/Settings.ts"
import type * as Lines from "./Lines.ts"

/** What asyncpg's `reset` runs, and what it leaves: temporary tables, sequences' last values and roles. */
const reset = [
  "SET SESSION AUTHORIZATION DEFAULT",
  "RESET ALL",
  "CLOSE ALL",
  "UNLISTEN *",
  "SELECT pg_catalog.pg_advisory_unlock_all()",
  "DISCARD TEMP",
  "DISCARD SEQUENCES"
]

/** Whether there is nothing to do, which costs no round trip. */
export const isClean = (member: Lines.Member, settings: Checked): boolean =>
  !member.dropped &&
  member.leaves === "nothing" &&
  settings.reset !== "always" &&
  !member.connection.isSuspect() &&
  !member.connection.inTransaction()

/** Cleans a connection; `false` when it is better closed. */
export const clean = (member: Lines.Member, settings: Checked): Effect.Effect<boolean> => {
  const { connection } = member
  return Effect.gen(function* () {
    if (member.dropped || connection.isSuspect()) yield* connection.recover
    if (connection.inTransaction()) yield* connection.query("ROLLBACK", [], false)
    // The driver keeps statements prepared under names of its own; a user's PREPARE or DISCARD may have touched those.
    if (member.leaves === "prepared" || connection.inTransaction()) return false
    if (member.leaves === "session" || settings.reset === "always") {
      yield* Effect.forEach(reset, (text) => connection.query(text, [], false), {
        concurrency: "unbounded",
        discard: true
      })
    }
    member.dropped = false
    member.leaves = "nothing"
    return true
  }).pipe(
    Effect.orElseSucceed(() => false),
    Effect.uninterruptible
  )
}
