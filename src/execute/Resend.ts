/**
 * What may be sent again, and what may be repeated by others: the one rule.
 *
 * No statement that may have run is sent again by this package. Sent again is
 *
 * - what was never written to a socket, on another connection;
 * - what the server refused before it ran it, when it was bound by something remembered (`StatementCache.ts`) and that may be
 *   why: once, with what the server says now;
 * - a plain read outside a transaction whose connection was lost, and one whose rows came in a form that they cannot be read from:
 *   floats from a session that turns out to print too few of their digits, columns and composites that had another type when
 *   they were asked for (`Execute.ts`). It reads tables and calls no function, so that no caller can tell whether it ran once or
 *   twice. A function that its text does not call as such is not seen: in a view, behind an operator or a cast of a type of
 *   users, in a domain's check, and one that is written like a column, `t.f` for `f(t)`.
 *
 * Nothing else is: no write, no `CALL`, no function and no stream. Inside a transaction only a read of the last kind is, which has
 * run without an error.
 *
 * `isRetryable` follows the same rule: it is `true` for an error after which repeating cannot do the work twice. That is where
 * nothing was sent, where the server says that nothing took effect, and for plain reads. A write whose connection was lost
 * has an unknown outcome and is not retryable.
 */
import type { Exchange } from "../protocol/Exchange.ts"
import { wasRefused } from "../protocol/Exchange.ts"
import type { Description } from "../protocol/KnownStatement.ts"
import type { Analysis } from "../statement/Analyze.ts"
import type { Encoded } from "../types/Parameters.ts"

/** What becomes of a statement that did not come to its end. */
export type Verdict =
  /** Send it again on another connection. */
  | "elsewhere"
  /** Forget what is remembered and send it again on the same connection. */
  | "anew"
  /** It is the caller's error. */
  | "fail"

/** What is known when the verdict is due. */
export interface Situation {
  readonly analysis: Pick<Analysis, "isPlainRead">
  /** Whether the statement was bound by something remembered. */
  readonly usedMemory: boolean
  /** Whether it stands in a transaction. */
  readonly inTransaction: boolean
  /** How often it was sent again already. */
  readonly attempts: number
}

const committing: ReadonlySet<string> = new Set(["CALL", "DO", "EXECUTE"])

/** Whether a statement may have committed a part of its work when it fails: a procedure may, and so may `COMMIT` itself. */
export const mayCommit = ({
  command,
  isTransactionControl
}: Pick<Analysis, "command" | "isTransactionControl">): boolean =>
  isTransactionControl || committing.has(command)

/** Deadlocks, resources, locks, cancels and time limits, the system: nothing that was remembered is why. */
const unrelated: ReadonlySet<string> = new Set(["40", "53", "55", "57", "58"])

type Answer = Pick<Exchange, "state" | "isBound" | "error">

/** Whether the server refused a statement before it ran it, and something remembered may be why. */
export const wasStale = (exchange: Answer): boolean =>
  wasRefused(exchange) && !unrelated.has(exchange.error?.code?.slice(0, 2) ?? "")

/** What the server says of a prepared statement when a table, a type or a function of it has changed. */
const staleCodes: ReadonlySet<string | undefined> = new Set(
  "0A000 42601 42703 42704 42804 42809 42846 42883 42P01 42P18 XX000".split(" ")
)

/** Whether the server expects other types of what was left to it than those by which it was encoded. */
const isRetyped = (
  { parameterTypes }: Pick<Description, "parameterTypes">,
  { remembered = [], types }: Pick<Encoded, "remembered" | "types">
): boolean => remembered.some((type, index) => types[index] === 0 && type !== parameterTypes[index])

type Bound = Answer & Pick<Exchange, "formats" | "parses" | "prepared">

/** Whether formats were asked for of other columns than the statement has now. */
const isReshaped = ({ error, formats, prepared }: Bound): boolean => {
  const asked = formats?.binary.length ?? 0
  return error?.code === "08P01" && asked > 0 && asked !== prepared?.description?.columns.length
}

/**
 * Whether a statement that was bound by its prepared name, or encoded by what is remembered, was refused since the catalogue is
 * not what it was.
 */
export const wasStalePlan = (exchange: Bound, encoded?: Encoded): boolean => {
  const { parses, prepared } = exchange
  if (prepared === undefined || !wasRefused(exchange)) return false
  if (isReshaped(exchange)) return true
  if (staleCodes.has(exchange.error?.code) && (encoded?.remembered !== undefined || !parses)) return true
  return (
    encoded !== undefined && prepared.description !== undefined && isRetyped(prepared.description, encoded)
  )
}

/** A plain read on a network that breaks all the time fails in the end. */
export const maxAttempts = 3

export const verdictOf = (
  exchange: Answer,
  isSessionEnded: boolean,
  { analysis, attempts, inTransaction, usedMemory }: Situation
): Verdict => {
  if (inTransaction || attempts >= maxAttempts) return "fail"
  switch (exchange.state) {
    case "unsent":
      return "elsewhere"
    case "lost":
      return analysis.isPlainRead ? "elsewhere" : "fail"
    case "failed":
      // The server ended the session: what it had not bound, it had not begun.
      if (isSessionEnded) return wasRefused(exchange) || analysis.isPlainRead ? "elsewhere" : "fail"
      return usedMemory && wasStale(exchange) ? "anew" : "fail"
    default:
      return "fail"
  }
}
