/**
 * Which reason of `SqlError` a SQLSTATE is, and what can be done about it.
 */
import * as SqlError from "effect/sql/SqlError"

export type Tag = SqlError.SqlErrorReason["_tag"]

/** What the server said that decides the reason. */
export interface State {
  readonly code: string
  readonly message: string
  readonly routine: string | undefined
  readonly constraint: string | undefined
}

const isTimeout = ({ message }: State): boolean => !/user request|recovery/.test(message)
const isStalePlan = ({ message, routine }: State): boolean =>
  routine === "RevalidateCachedQuery" || message.includes("cached plan must not change")

/** An array where one value stood, as in `name in ($1)`. */
const isListAsValue = ({ message }: State): boolean => /: .* (=|<>) .*\[\]$/.test(message)

const isOnConflict = ({ message }: State): boolean => message.includes("ON CONFLICT")

/** SQLSTATEs and, by their first two characters, whole classes of them. */
const codes: ReadonlyArray<readonly [tag: Tag, codes: string]> = [
  ["AuthenticationError", "28"],
  ["AuthorizationError", "42501"],
  ["ConnectionError", "08 25P03 3D000 40003 53300 57P01 57P02 57P03 57P04 57P05"],
  ["ConstraintError", "23 40002 44"],
  ["DeadlockError", "40P01"],
  ["LockTimeoutError", "55P03"],
  ["SerializationError", "40001"],
  ["SqlSyntaxError", "42"],
  ["StatementTimeoutError", "25P04"],
  ["UniqueViolation", "23505"]
]

const byCode: ReadonlyMap<string, Tag> = /* @__PURE__ */ new Map(
  /* @__PURE__ */ codes.flatMap(([tag, all]) => all.split(" ").map((code) => [code, tag] as const))
)

/** The type, or the one of an array's elements, has no binary form. */
const isUnsendable = ({ routine }: State): boolean =>
  routine === "getTypeBinaryOutputInfo" || routine === "array_send"

/** The number of parameters is wrong: Postgres calls it a violation of the protocol, but the connection is fine. */
const isMiscount = ({ code, routine }: State): boolean => code === "08P01" && routine === "exec_bind_message"

/** A pooler in statement mode has ended the connection for a `BEGIN`, in words of its own. */
export const isStatementMode = ({ message }: Pick<State, "message">): boolean =>
  message.includes("not allowed in statement pooling mode")

/** Whether a refusal stays one until the settings change: of a database that is not there, and of poolers. */
export const isPermanent = (state: State): boolean =>
  state.code === "3D000" ||
  isStatementMode(state) ||
  (state.code === "08P01" && state.message.includes("unsupported startup parameter"))

/** The reason's tag for what the server reported. */
export const tagOf = (state: State): Tag => {
  if (isMiscount(state)) return "SqlSyntaxError"
  if (state.code === "57014") return isTimeout(state) ? "StatementTimeoutError" : "UnknownError"
  if (state.code === "0A000") return isStalePlan(state) ? "SerializationError" : "UnknownError"
  return byCode.get(state.code) ?? byCode.get(state.code.slice(0, 2)) ?? "UnknownError"
}

const behindPooler =
  "Behind a pooler that changes servers between statements or transactions, set prepare: false."
const again = "Run the whole transaction again; transaction(effect, { retry }) does it."

const advice: { readonly [code: string]: string } = {
  "25006": "Writing needs a transaction that is not read-only, on a server that is no standby.",
  "25P02":
    "An earlier statement of this transaction failed, and its error is the one to look at. All of the transaction is undone. Put what may fail into a transaction of its own inside, transaction(effect): that is a savepoint, and is undone alone.",
  "26000": behindPooler,
  "28000": "Check the settings username, database and ssl, and the server's pg_hba.conf.",
  "28P01": "Check the settings username and password.",
  "40001": again,
  "40P01": `The other transaction went on. ${again}`,
  "42501": "Grant the right to the role that connects, or connect as a role that has it.",
  "42P05": behindPooler,
  "42P18": "Say in the statement which type the parameter has, for instance $1::text.",
  "53300": "Lower maxConnections of the pools that use this server, or raise max_connections of the server.",
  "55P03": "Another transaction holds the lock. Run the statement again, or raise lock_timeout.",
  "57P01":
    "The server is shutting down, or an administrator ended the connection. What was not committed is undone; run it again.",
  "57P02":
    "The server restarts after the crash of one of its processes. What was not committed is undone; run it again.",
  "57P03": "The server takes no connections yet or any more. Try again in a moment."
}

/** What to do about a statement that was prepared before its table changed. */
export const stalePlan =
  "A table changed after the statement was prepared. Run it again, in a transaction all of it."

/** What to do about it, in a sentence or two; `undefined` when the server's own words say all. */
export const adviceOf = (state: State & { readonly isPartial: boolean }): string | undefined => {
  if (isMiscount(state)) return "Give as many parameters as the statement has placeholders: $1 is the first."
  if (state.code === "42601" && state.routine === "exec_parse_message") {
    return "Send them one by one, all or none of them with trans([...]), or as a file with script(text)."
  }
  if (state.code === "0A000" && isStalePlan(state)) return stalePlan
  if (isStatementMode(state)) return "Transactions need a pooler in transaction or session mode."
  if (state.code === "57014") {
    if (isTimeout(state)) return "Raise statementTimeout, or give the statement less to do."
    const cancelled = "The statement was cancelled, by this program or by another connection."
    return state.isPartial ? cancelled : `${cancelled} Nothing of it took effect.`
  }
  if (state.code === "42P10" && isOnConflict(state)) {
    return "Create a unique index on exactly these columns, or name the columns of one that exists."
  }
  if (state.code === "21000" && isOnConflict(state)) {
    return "Two rows of the statement are the same row to the table's unique index: keep one of them."
  }
  if (state.code === "42501" && state.routine === "ExecWithCheckOptions") {
    return "A policy of the table decides which rows this role may store: give the row what it asks for, or change the policy."
  }
  if (state.code === "42883" && isUnsendable(state)) {
    return "Values of this type are only sent as text: select the column as column::text. Nothing of the statement took effect."
  }
  if (state.code === "42883" && isListAsValue(state)) {
    return "For a list of values write = any($1) in place of in ($1)."
  }
  if (state.code === "42601" && /"\$\d+"$/.test(state.message)) {
    return "A parameter stands for a value: for a name write PG.id(name), for a list = any($1), for a value of a type $1::interval."
  }
  return advice[state.code]
}

const classes = {
  AuthenticationError: SqlError.AuthenticationError,
  AuthorizationError: SqlError.AuthorizationError,
  ConnectionError: SqlError.ConnectionError,
  ConstraintError: SqlError.ConstraintError,
  DeadlockError: SqlError.DeadlockError,
  LockTimeoutError: SqlError.LockTimeoutError,
  SerializationError: SqlError.SerializationError,
  SqlSyntaxError: SqlError.SqlSyntaxError,
  StatementTimeoutError: SqlError.StatementTimeoutError,
  UnknownError: SqlError.UnknownError
}

/** A reason by its tag. */
export const reasonOf = (
  tag: Tag,
  fields: { readonly cause: unknown; readonly message: string; readonly operation: string | undefined },
  constraint: string | undefined
): SqlError.SqlErrorReason =>
  tag === "UniqueViolation"
    ? new SqlError.UniqueViolation({ ...fields, constraint: constraint ?? "unknown" })
    : new classes[tag](fields)

/** Whether a reason of this tag says that the work may be repeated. */
export const isRetryable = (tag: Tag): boolean =>
  reasonOf(tag, { cause: undefined, message: "", operation: undefined }, undefined).isRetryable
