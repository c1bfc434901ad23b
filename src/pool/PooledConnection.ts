/**
 * A connection of a pool: its session, and what the pool keeps about it.
 */
import * as Deferred from "effect/Deferred"
import type * as Fiber from "effect/Fiber"
import type { Encryption } from "../protocol/Encryption.ts"
import type { Address } from "../protocol/Link.ts"
import type { Session } from "../protocol/Session.ts"
import type { ResolvedSettings } from "../settings/Settings.ts"
import type { Analysis, SessionEffects } from "../statement/Analyze.ts"
import type { IdleConnection } from "./Budget.ts"

export interface PooledConnection extends IdleConnection {
  readonly session: Session
  readonly settings: ResolvedSettings
  /** Where the session is connected: a cancel goes there too. */
  readonly address: Address
  readonly encryption: Encryption
  /** When it is old enough to be replaced. */
  expiresAt: number
  /** Whether its session only read when it was opened, as far as the server reports it, */
  readonly wasReadOnly: boolean | undefined
  /** and how much the server had reported when that was looked at last. */
  reports: number
  /** Callers that have it now. */
  users: number
  /** Milliseconds that the statements of its users take on average, in all. */
  load: number
  /** Lent to one caller whole, being reset, or asked whether it is alive: it is not shared. */
  isExclusive: boolean
  /** Takes no more users: a caller waits for it whole, its turn has ended, or it is too old. */
  isDraining: boolean
  /** A caller left while its statement was under way. */
  isAbandoned: boolean
  /** A cancel was sent that may arrive late. */
  isCancelled: boolean
  /** The server has heard of the last cancel. */
  isCancelPassedOn: boolean
  /** What goes on behind the back of a caller who left: the connection is not lent again before its end. */
  readonly cleanups: Set<Fiber.Fiber<unknown>>
  sessionEffects: SessionEffects
  /** The catalogue was changed in a transaction that has not ended. */
  hasCatalogueChanges: boolean
  /** What its transaction has set `search_path` to, in the words of the statement that did; empty where it did not. */
  searchPath: string
  /** When the statement that runs now began. */
  busySince: number
  /** When it began to serve without a pause. */
  servingSince: number
  idleSince: number
  /** Whether its last user had it whole: the two queues take turns. */
  servedExclusively: boolean
  isClosing: boolean
  /** It is closing, and its slot of the registry's limit is about to come free. */
  isLeaving: boolean
  /** It is gone, or nobody waits for its end any longer. */
  readonly isGivenUp: Deferred.Deferred<void>
}

export const make = (
  session: Session,
  settings: ResolvedSettings,
  where: Pick<PooledConnection, "address" | "encryption" | "wasReadOnly">,
  now: number,
  expiresAt: number,
  evict: () => void
): PooledConnection => ({
  session,
  settings,
  ...where,
  expiresAt,
  reports: session.reports(),
  users: 0,
  load: 0,
  isExclusive: false,
  isDraining: false,
  isAbandoned: false,
  isCancelled: false,
  isCancelPassedOn: false,
  cleanups: new Set(),
  sessionEffects: "none",
  hasCatalogueChanges: false,
  searchPath: "",
  busySince: now,
  servingSince: now,
  idleSince: now,
  servedExclusively: false,
  isClosing: false,
  isLeaving: false,
  isGivenUp: Deferred.makeUnsafe(),
  evict
})

export const isDead = ({ session }: PooledConnection): boolean => session.end() !== undefined

/** Whether a transaction is open or has failed, as the server said last. */
export const isInTransaction = ({ session }: PooledConnection): boolean => session.status() !== "idle"

const severity = { none: 0, settings: 1, "prepared statements": 2 } as const

/** Notes what a statement leaves behind, before it is sent: whatever becomes of it, the session is reset. */
export const markDirty = (
  connection: PooledConnection,
  { sessionEffects, setsFloatDigits }: Pick<Analysis, "sessionEffects" | "setsFloatDigits">
): void => {
  if (severity[sessionEffects] > severity[connection.sessionEffects]) {
    connection.sessionEffects = sessionEffects
  }
  if (setsFloatDigits) connection.session.floats = "short"
}
