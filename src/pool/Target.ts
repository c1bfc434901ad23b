/**
 * Whether a session is one that `targetSessionAttributes` asks for, by libpq's rules: from what the server reports since
 * Postgres 14, and from a question where it does not.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { ask } from "../protocol/Ask.ts"
import type { Session } from "../protocol/Session.ts"
import { problemOf, type StartupProblem } from "../protocol/Startup.ts"
import type { ResolvedSettings } from "../settings/Settings.ts"
import type { PooledConnection } from "./PooledConnection.ts"

export type Target = ResolvedSettings["targetSessionAttributes"]

/** What a session says of itself, as far as it is known. */
export interface Standing {
  readonly isStandby: boolean | undefined
  readonly isReadOnly: boolean | undefined
}

const isOn = (text: string | undefined): boolean | undefined =>
  text === undefined ? undefined : text === "on"

export const reported = ({ parameters }: Pick<Session, "parameters">): Standing => {
  const isStandby = isOn(parameters.get("in_hot_standby"))
  const isDefault = isOn(parameters.get("default_transaction_read_only"))
  const isReadOnly = isStandby === undefined || isDefault === undefined ? undefined : isStandby || isDefault
  return { isStandby, isReadOnly }
}

/** Why a session of this standing does not do; `undefined` where it does, or where that is not known. */
const misfit = (target: Target, { isReadOnly, isStandby }: Standing): string | undefined => {
  switch (target) {
    case "read-write":
      return isReadOnly === true ? "its sessions only read" : undefined
    case "read-only":
      return isReadOnly === false ? "its sessions may write" : undefined
    case "primary":
      return isStandby === true ? "it is a standby" : undefined
    case "standby":
      return isStandby === false ? "it is the primary" : undefined
    default:
      return undefined
  }
}

const texts = {
  isReadOnly: "select pg_catalog.current_setting('transaction_read_only') = 'on' as answer",
  isStandby: "select pg_catalog.pg_is_in_recovery() as answer"
}

const answer = (session: Session, name: keyof Standing): Effect.Effect<Partial<Standing>, StartupProblem> =>
  Effect.flatMap(ask(session, texts[name]), ({ error, rows: [row], state }) =>
    state === "done"
      ? Effect.succeed({ [name]: Predicate.hasProperty(row, "answer") && row.answer === true })
      : Effect.fail(problemOf(session, error))
  )

/** Why a session does not do, by asking the server where it has not reported it. */
export const mismatch = (
  session: Session,
  target: Target
): Effect.Effect<string | undefined, StartupProblem> =>
  Effect.suspend(() => {
    const known = reported(session)
    const name = target === "primary" || target === "standby" ? "isStandby" : "isReadOnly"
    const isKnown = target === "any" || target === "prefer-standby" || known[name] !== undefined
    if (isKnown) return Effect.succeed(misfit(target, known))
    return Effect.map(answer(session, name), (found) => misfit(target, { ...known, ...found }))
  })

type Placed = Pick<PooledConnection, "session" | "wasReadOnly">

/**
 * Whether a session is no longer what it was opened for: its server was promoted or demoted, or it only reads since. A server
 * that reports nothing shows it by refusing to write.
 */
export const isMisplaced = ({ session, wasReadOnly }: Placed, target: Target): boolean => {
  const standing = reported(session)
  if (standing.isReadOnly === undefined) return session.wasReadOnly()
  return misfit(target, standing) !== undefined || (standing.isReadOnly && wasReadOnly === false)
}

/** The same for a connection that comes back, at the cost of a look where the server has said nothing new. */
export const hasTurned = (connection: Placed & { reports: number }, target: Target): boolean => {
  const { session } = connection
  if (connection.reports === session.reports() && !session.wasReadOnly()) return false
  connection.reports = session.reports()
  return isMisplaced(connection, target)
}
