/**
 * Whether a pooler stands between this client and the server, and what follows: `prepare: "auto"` keeps no statements behind
 * one, since it may give the next transaction another server.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { ask } from "../protocol/Ask.ts"
import type { Session } from "../protocol/Session.ts"
import { problemOf, type StartupProblem } from "../protocol/Startup.ts"

/**
 * Asks which process answers: a pooler's key for cancels is its own, and names another one. A pooler that has no server free
 * lets the question wait, so that the opening does and not a caller's statement.
 */
export const look = (session: Session, prepare: false | "auto"): Effect.Effect<void, StartupProblem> =>
  Effect.flatMap(ask(session, "select pg_catalog.pg_backend_pid() as pid"), ({ rows: [row], state }) => {
    // A pooler that takes the client before it has a server says here that there is none.
    if (state !== "done" && session.end() !== undefined) return Effect.fail(problemOf(session))
    const isServer = Predicate.hasProperty(row, "pid") && row.pid === session.key.pid
    session.keepsStatements = prepare === "auto" && isServer
    return Effect.void
  })
