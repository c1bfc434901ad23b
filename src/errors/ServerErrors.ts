/**
 * Errors of the database, with all that a person needs to act on them.
 *
 * The whole story is the message: the server's words, the SQLSTATE, detail, hint, what to do, and the statement with a caret
 * under the place. `reason` is one of `effect/sql`'s, and `reason.cause` has the server's fields, masked like the message
 * (in asyncpg: `PostgresError` and its attributes).
 *
 * **Details**
 *
 * A missing database is a `ConnectionError` that is not retryable. Too many or too few parameters are a `SqlSyntaxError`. Lost
 * and refused connections, too many of them, shutdown and crash are retryable `ConnectionError`s; a plan that a changed table
 * made stale is a retryable `SerializationError`; a statement cancelled by someone is an `UnknownError` and only one that ran
 * out of time a `StatementTimeoutError`.
 *
 * **Gotchas**
 *
 * `cause` of the error itself is empty, since loggers would print the story twice: read `reason`. The statement is shown as it
 * stands, literals included, save the strings behind `password`: pass secrets as parameters.
 *
 * **Example** (What a column that does not exist prints)
 *
 * ```text
 * SqlError: column "emial" does not exist (SQLSTATE 42703 undefined_column)
 * Hint: Perhaps you meant to reference the column "users.email".
 * Statement:
 *   select emial from users
 *          ^
 * ```
 */
import type { SqlError } from "effect/sql/SqlError"
import type { ServerFields } from "../protocol/MessageReader.ts"
import { lineOf } from "../statement/Split.ts"
import { type Marked, withoutPasswords } from "./BlankLiterals.ts"
import { fieldsOf, finish } from "./BuildError.ts"
import { conditionOf } from "./Conditions.ts"
import { excerpt, indexOf } from "./Excerpt.ts"
import * as Masking from "./Masking.ts"
import { nearest } from "./NearestNames.ts"
import { describeParameter, valuesOf } from "./ParameterValues.ts"
import { adviceOf, isPermanent, isRetryable, reasonOf, stalePlan, type Tag, tagOf } from "./Reasons.ts"

/** What the error is about; all of it is optional, and each thing given makes the message clearer. */
export interface About {
  /** The statement's text, as the user wrote it. */
  readonly text?: string | undefined
  /** Its parameters. They are never shown, only masked; without them more is blanked than has to be. */
  readonly params?: ReadonlyArray<unknown> | undefined
  /** What each parameter is, in words. */
  readonly parameterNames?: ReadonlyArray<string> | undefined
  /** It is a `COPY … FROM STDIN`: an error of its data says in which line. */
  readonly takesData?: boolean | undefined
  /** The row and the column of many, instead of the parameter or the line of a `COPY` that the server names. */
  readonly place?: string | undefined
  /** Which statement of a batch it was, from 1, */
  readonly number?: number | undefined
  /** and of how many. */
  readonly of?: number | undefined
  /** For a statement of a script: the line on which it begins, and the file. */
  readonly line?: number | undefined
  readonly file?: string | undefined
  /** The server and the database for people to read, and no password. */
  readonly server?: string | undefined
  /** The databases that exist, to name the nearest when the one asked for does not. */
  readonly databases?: ReadonlyArray<string> | undefined
  readonly operation?: string | undefined
  /** Its server only reads now, and did not when the connection was opened. */
  readonly isMisplaced?: boolean | undefined
  /** What else there is to say, in lines of its own. */
  readonly note?: string | undefined
  /** It was prepared before the catalogue changed, and would be prepared anew the next time. */
  readonly isStale?: boolean | undefined
  /** What it ran may have committed a part of its work before it failed: repeating it is not safe. */
  readonly mayHaveCommitted?: boolean | undefined
}

const misplaced =
  "Its server has become one that only reads. Nothing of the statement took effect; the pool looks for the server that takes writes: run it again."

const heading = ({ file, line, number, of }: About, { index, text }: Marked): string => {
  const which = number === undefined ? "" : of === undefined ? ` ${number}` : ` ${number} of ${of}`
  const where = line === undefined ? "" : `, line ${line - 1 + lineOf(text, index ?? 0)}`
  return `Statement${which}${where}${file === undefined ? "" : ` of ${file}`}:`
}

const statement = (at: About, marked: Marked): string | undefined =>
  marked.text.trim() === "" ? undefined : `${heading(at, marked)}\n${excerpt(marked)}`

const line = (label: string, text: string | undefined): string | undefined =>
  text === undefined || text === "" ? undefined : `${label}: ${text}`

/** Where the objects at fault are, for instance `table public.users, column email`. */
const objects = (name: (field: string) => string | undefined): string | undefined => {
  const within = (field: string) => {
    const schema = name("schema")
    const found = name(field)
    return found === undefined || schema === undefined ? found : `${schema}.${found}`
  }
  const parts = [
    ["table", within("table")],
    ["column", name("column")],
    ["type", name("dataType") === undefined ? undefined : within("dataType")],
    ["constraint", name("constraint")]
  ] as const
  const given = parts.filter((part) => part[1] !== undefined).map(([kind, value]) => `${kind} ${value}`)
  return given.length === 0 ? undefined : given.join(", ")
}

const numberOf = (text: string | undefined): number | undefined => {
  const value = Number(text)
  return Number.isInteger(value) ? value : undefined
}

const namesAtFault = ["schema", "table", "column", "dataType", "constraint"] as const

/** A list in words, each name quoted as the server quotes it. */
const listed = (names: ReadonlyArray<string>): string => names.map((name) => `"${name}"`).join(", ")

const neighbours = (code: string, said: string, databases: About["databases"]): string | undefined => {
  if (code !== "3D000" || databases === undefined || databases.length === 0) return undefined
  const wanted = /"(.*)"/s.exec(said)?.[1] ?? ""
  const near = nearest(wanted, databases)
  return near.length > 0
    ? `Did you mean ${listed(near)}?`
    : `The server has ${listed(databases.slice(0, 10))}${databases.length > 10 ? " and others" : ""}.`
}

const partly = "What it may have committed before is not undone: look before you repeat it."

/** Whether the words are those of a user's function, here or on another server, and not Postgres's own; in any language. */
export const isRaised = ({ code = "XX000", routine = "", where = "" }: ServerFields): boolean =>
  code.startsWith("P0") ||
  conditionOf(code) === undefined ||
  routine.startsWith("exec_stmt_raise") ||
  /^[^\n"]*PL\/(?!pgSQL)|^(?=[^\n]*PL\/pgSQL)[^\n]*\bRAISE\b/.test(where)

/** The error that the server reported, with the whole story as its message; never with a parameter's value. */
export const serverError = (fields: ServerFields, about: About = {}): SqlError => {
  // No statement was sent on a connection that could not be opened, so there is no parameter to name.
  const at = about.operation === "connect" ? { ...about, text: undefined, params: undefined } : about
  const code = fields.code ?? "XX000"
  const field = (key: string) => (fields[key] === "" ? undefined : fields[key])
  const text = at.text ?? ""
  const said = field("message") ?? "The server gave no message"
  const sent = numberOf(field("position"))
  const where = field("where")
  // In a type's name that was a value, the position is one of that value.
  const position = where?.startsWith("invalid type name") ? undefined : sent
  const index = position === undefined ? undefined : indexOf(text, position)
  const marked = withoutPasswords({ text, index })
  const condition = conditionOf(code)
  const routine = field("routine")
  const params = at.params ?? (at.text === undefined ? [] : undefined)
  const circumstances: Masking.Circumstances = {
    code,
    text: marked.text,
    values: params === undefined ? undefined : valuesOf(params),
    names: namesAtFault.flatMap((key) => field(key) ?? []),
    early: where === undefined && (index !== undefined || (at.takesData === true && code.startsWith("42"))),
    raised: isRaised(fields)
  }
  const masked = (key: string, mask: typeof Masking.name) => {
    const value = field(key)
    return value === undefined ? undefined : mask(value, circumstances)
  }
  const name = (key: string) => masked(key, Masking.name)

  const state = { code, message: said, routine, constraint: name("constraint") }
  // The driver's own name for the statement says nothing to anyone.
  const whole = Masking.message(said.replace(/prepared statement "#\d+"/, "the statement"), circumstances)
  const message = Masking.shortened(whole)
  const detail = masked("detail", Masking.detail)
  const hint = masked("hint", Masking.hint)
  const context = where === undefined ? [] : Masking.context(where, circumstances)
  const query = field("internalQuery")
  const inner =
    query === undefined
      ? undefined
      : Masking.innerQuery(
          { text: query, index: indexOf(query, numberOf(field("internalPosition")) ?? 0) },
          circumstances
        )
  const parameter = (number: number) => {
    const about = at.parameterNames?.[number - 1]
    return `parameter ${about === undefined ? describeParameter(at.params, number) : `$${number}, ${about}`}`
  }
  const retold = context
    .filter((entry) => at.place === undefined || !/^(?:parameter|COPY) /.test(entry))
    .map((entry) => entry.replace(/^parameter \$(\d+)$/, (_, number) => parameter(Number(number))))
  if (at.place !== undefined) retold.unshift(at.place)
  const isMisplaced = at.isMisplaced === true && code === "25006"
  const tag: Tag = at.isStale === true ? "SerializationError" : isMisplaced ? "ConnectionError" : tagOf(state)
  const isPartial = at.mayHaveCommitted === true && (isRetryable(tag) || code === "57014")
  const onServer = tag === "ConnectionError" || tag === "AuthenticationError" ? at.server : undefined
  const cause = fieldsOf(whole, {
    code,
    condition,
    severity: field("severityUnlocalized") ?? field("severity"),
    detail,
    hint,
    position: index === undefined ? undefined : position,
    where: context.length === 0 ? undefined : context.join("\n"),
    schema: name("schema"),
    table: name("table"),
    column: name("column"),
    dataType: name("dataType"),
    constraint: name("constraint")
  })
  return finish(
    (message) => reasonOf(tag, { cause, message, operation: at.operation ?? "query" }, state.constraint),
    [
      `${message} (SQLSTATE ${code}${condition === undefined ? "" : ` ${condition}`})`,
      line("Detail", Masking.shortened(detail ?? "")),
      line("Hint", Masking.shortened(hint ?? "")),
      neighbours(code, said, at.databases),
      at.isStale === true ? stalePlan : isMisplaced ? misplaced : adviceOf({ ...state, isPartial }),
      isPartial ? partly : undefined,
      line("Server", onServer),
      at.note,
      line("At", objects(name)),
      line("In", retold.length === 0 ? undefined : retold.join("\n    ")),
      inner === undefined ? undefined : `Query in the function:\n${excerpt(inner)}`,
      statement(at, marked)
    ],
    !isPermanent(state) && !isPartial
  )
}

/** The statement that an error is about, as the last part of its message. */
export const statementPart = (at: About): string | undefined =>
  statement(at, withoutPasswords({ text: at.text ?? "", index: undefined }))

const earlier = "What the statements before it committed is not undone: look before you repeat them."

/** The error of one statement of several behind others that were committed: they cannot be repeated with it. */
export const behindCommitted = (error: SqlError): SqlError => {
  if (!error.isRetryable) return error
  const { _tag, cause, operation } = error.reason
  const parts = [error.message, earlier]
  return finish((message) => reasonOf(_tag, { cause, message, operation }, undefined), parts, false)
}
