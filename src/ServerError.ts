/**
 * Errors of the database, told so that a person can act on them.
 *
 * The driver's `SqlError` says "Query failed"; what happened lies two causes below, and can hold a parameter. `tell` makes
 * the whole story its message: the server's words, the SQLSTATE, detail, hint, what to do, and the statement with a caret
 * under the place. `reason` is one of `effect/sql`'s, chosen with more care than the driver's, and `reason.cause` has the
 * server's fields, cleaned like the message (in asyncpg: `PostgresError` and its attributes).
 */
import type { SqlError } from "effect/sql/SqlError"
import { conditionOf } from "./error/Conditions.ts"
import { describe, isOwn, storyOf, stringOf } from "./error/Driver.ts"
import { excerpt, indexOf } from "./error/Excerpt.ts"
import { type Marked, withoutPasswords } from "./error/Literals.ts"
import { nearest } from "./error/Nearest.ts"
import { fieldsOf, finish, isTold } from "./error/Print.ts"
import { adviceOf, reasonOf, type Tag, tagOf } from "./error/Reason.ts"
import * as Redact from "./error/Redact.ts"
import { valuesOf } from "./error/Values.ts"
import { isPoolError } from "./PoolError.ts"

/** What the error is about; all of it is optional, and each thing given makes the message clearer. */
export interface At {
  /** The statement's text, as the user wrote it. */
  readonly text?: string | undefined
  /** Its parameters. They are never shown, only kept out; without them more is blanked than has to be. */
  readonly params?: ReadonlyArray<unknown> | undefined
  /** What each parameter is, in words. */
  readonly about?: ReadonlyArray<string> | undefined
  /** Which statement of a batch it was, from 1, */
  readonly number?: number | undefined
  /** and of how many. */
  readonly of?: number | undefined
  /** Characters (code points) that were sent before `text`: the server counts them in its position. */
  readonly prefixLength?: number | undefined
  /** Host, port and database for people to read, `localhost:5432/app`, and no password. */
  readonly server?: string | undefined
  /** The fields of the last error that the server sent on a connection which is closed now: the driver drops them. */
  readonly farewell?:
    | { readonly [Field in "severity" | "code" | "message" | "detail" | "hint"]?: string | undefined }
    | undefined
  /** The databases that exist, to name the nearest when the one asked for does not. */
  readonly databases?: ReadonlyArray<string> | undefined
}

const heading = ({ number, of }: At): string =>
  number === undefined
    ? "Statement:"
    : of === undefined
      ? `Statement ${number}:`
      : `Statement ${number} of ${of}:`

const statement = (at: At, marked: Marked | undefined): string | undefined =>
  marked === undefined || marked.text.trim() === "" ? undefined : `${heading(at)}\n${excerpt(marked)}`

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
  return text === undefined || !Number.isInteger(value) ? undefined : value
}

const namesAtFault = ["schema", "table", "column", "dataType", "constraint"]

/** A list in words, each name quoted as the server quotes it. */
const listed = (names: ReadonlyArray<string>): string => names.map((name) => `"${name}"`).join(", ")

const neighbours = (code: string, said: string, databases: At["databases"]): string | undefined => {
  if (code !== "3D000" || databases === undefined || databases.length === 0) return undefined
  const wanted = /"(.*)"/s.exec(said)?.[1] ?? ""
  const near = nearest(wanted, databases)
  return near.length > 0
    ? `Did you mean ${listed(near)}?`
    : `The server has ${listed(databases.slice(0, 10))}${databases.length > 10 ? " and others" : ""}.`
}

const tellServer = (error: SqlError, raw: unknown, code: string, at: At): SqlError => {
  const field = (key: string) => stringOf(raw, key)
  const text = at.text ?? ""
  const said = field("message") ?? error.reason._tag
  const sent = numberOf(field("position"))
  const where = field("where")
  // In a type's name that was a value, the position is one of that value.
  const position =
    sent === undefined || where?.startsWith("invalid type name") ? undefined : sent - (at.prefixLength ?? 0)
  const index = position === undefined ? undefined : indexOf(text, position)
  const marked = at.text === undefined ? undefined : withoutPasswords({ text, index })
  const condition = conditionOf(code)
  const routine = field("routine")
  const params = at.params ?? (at.text === undefined ? [] : undefined)
  const circumstances: Redact.Circumstances = {
    code,
    text: marked?.text ?? "",
    values: params === undefined ? undefined : valuesOf(params),
    names: namesAtFault.flatMap((key) => field(key) ?? []),
    early: index !== undefined && where === undefined,
    raised:
      code.startsWith("P0") ||
      condition === undefined ||
      (routine?.startsWith("exec_stmt_raise") ?? false) ||
      /^PL\/(?!pgSQL)/.test(where ?? "")
  }
  const name = (key: string) => {
    const value = field(key)
    return value === undefined ? undefined : Redact.name(value, circumstances)
  }

  const state = { code, message: said, routine, constraint: name("constraint") }
  // The driver's own name for the statement says nothing to anyone.
  const message = Redact.message(
    said.replace(/prepared statement "effect_\w+"/, "the statement"),
    circumstances
  )
  const rawDetail = field("detail")
  const detail = rawDetail === undefined ? undefined : Redact.detail(rawDetail, circumstances)
  const rawHint = field("hint")
  const hint = rawHint === undefined ? undefined : Redact.hint(rawHint, circumstances)
  const context = where === undefined ? [] : Redact.context(where, circumstances)
  const query = field("internalQuery")
  const inner =
    query === undefined
      ? undefined
      : Redact.innerQuery(
          { text: query, index: indexOf(query, numberOf(field("internalPosition")) ?? 0) },
          circumstances
        )
  const retold = context.map((entry) =>
    entry.replace(/^parameter \$(\d+)$/, (_, number) => {
      const about = at.about?.[Number(number) - 1]
      return `parameter ${about === undefined ? describe(at.params, Number(number)) : `$${number}, ${about}`}`
    })
  )
  const tag: Tag = tagOf(state)
  const onServer = tag === "ConnectionError" || tag === "AuthenticationError" ? at.server : undefined
  const cause = fieldsOf(message, {
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
    (message) => reasonOf(tag, { cause, message, operation: error.reason.operation }, state.constraint),
    [
      `${message} (SQLSTATE ${code}${condition === undefined ? "" : ` ${condition}`})`,
      line("Detail", detail),
      line("Hint", hint),
      neighbours(code, said, at.databases),
      adviceOf(state),
      line("Server", onServer),
      line("At", objects(name)),
      line("In", retold.length === 0 ? undefined : retold.join("\n    ")),
      inner === undefined ? undefined : `Query in the function:\n${excerpt(inner)}`,
      statement(at, marked)
    ],
    code !== "3D000"
  )
}

const tellOther = (error: SqlError, at: At): SqlError => {
  const story = storyOf(error, at.server ?? "the server", at.params)
  return finish(
    (message) =>
      reasonOf(
        story.tag,
        { cause: fieldsOf(story.message, { code: story.code }), message, operation: error.reason.operation },
        undefined
      ),
    [
      story.message.replace(/^the /, "The "),
      story.advice,
      statement(at, at.text === undefined ? undefined : withoutPasswords({ text: at.text, index: undefined }))
    ]
  )
}

/** What the package found out itself is told already; `text` is added where it is about one. */
const tellOwn = (error: SqlError, at: At): SqlError => {
  const { _tag, cause, message = "", operation } = error.reason
  const code = stringOf(cause, "code")
  const said = message.replaceAll(/\bPg(?:Connection|Client): /g, "")
  const about = operation === undefined || operation === "query" ? at.text : undefined
  return finish(
    (message) => reasonOf(_tag, { cause: fieldsOf(said, { code }), message, operation }, undefined),
    [
      said,
      statement(at, about === undefined ? undefined : withoutPasswords({ text: about, index: undefined }))
    ],
    error.isRetryable
  )
}

/**
 * The error with the whole story as its message and the reason that fits best; never with a parameter's value. An error that
 * was told before comes back as it is.
 *
 * **Details**
 *
 * A missing database is a `ConnectionError` that is not retryable. Too many or too few parameters are a `SqlSyntaxError`. Lost and refused
 * connections, too many of them, shutdown and crash are retryable `ConnectionError`s; a plan that a changed table made stale is a
 * retryable `SerializationError`; a statement cancelled by someone is an `UnknownError` and only one that ran out of time a
 * `StatementTimeoutError`.
 *
 * **Gotchas**
 *
 * `cause` of the told error is empty, since loggers would print the story twice: read `reason`. The statement is shown as it
 * stands, literals included, save the strings behind `password`: bind what nobody should see.
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
export const tell = (error: SqlError, about: At = {}): SqlError => {
  if (isTold(error)) return error
  // A connection that cannot be had is nobody's statement, and was told no parameter.
  const at = error.reason.operation === "connect" ? { ...about, text: undefined, params: undefined } : about
  const { cause } = error.reason
  if (isOwn(error) && error.reason.operation !== "connect") {
    return isPoolError(cause) ? error : tellOwn(error, at)
  }
  // Sockets' errors have a code too, but only a server says how severe it is.
  const code = stringOf(cause, "severity") === undefined ? undefined : stringOf(cause, "code")
  if (code !== undefined) return tellServer(error, cause, code, at)
  const farewell = error.reason._tag === "ConnectionError" ? at.farewell?.code : undefined
  return farewell === undefined ? tellOther(error, at) : tellServer(error, at.farewell, farewell, at)
}
