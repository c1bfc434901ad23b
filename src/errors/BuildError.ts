/**
 * How an error is built, so that it prints as its message and nothing else: by Node, by Effect's loggers, by other ones.
 */
import type { StackFrame } from "effect/References"
import { SqlError, type SqlErrorReason } from "effect/sql/SqlError"

/**
 * `error.reason.cause`: the server's fields, without any parameter's value. `code` is the SQLSTATE, or Node's code when the
 * connection failed. `position` counts characters of the statement's text from 1.
 */
export interface ServerCause extends Error {
  readonly code?: string
  readonly condition?: string
  readonly severity?: string
  readonly detail?: string
  readonly hint?: string
  readonly position?: number
  readonly where?: string
  readonly schema?: string
  readonly table?: string
  readonly column?: string
  readonly dataType?: string
  readonly constraint?: string
}

const inspect = Symbol.for("nodejs.util.inspect.custom")

const hide = (target: object, properties: { readonly [key: PropertyKey]: unknown }): void => {
  for (const key of Reflect.ownKeys(properties)) {
    const value: unknown = Reflect.get(properties, key)
    Object.defineProperty(target, key, { value, enumerable: false, configurable: true, writable: true })
  }
}

/** Printed by Node, the error is its name and story: frames of the driver's socket and causes that repeat it are left out. */
const printPlainly = (error: Error, name: string): void => {
  const text = `${name}: ${error.message}`
  hide(error, { name, stack: text, [inspect]: () => text })
}

/** The server's fields as an error; those that are `undefined` are left out. */
export const fieldsOf = (message: string, fields: { readonly [key: string]: unknown }): ServerCause => {
  const cause: ServerCause = new Error(message)
  hide(cause, { stack: `Error: ${message}` })
  for (const [key, value] of Object.entries(fields))
    if (value !== undefined) Object.assign(cause, { [key]: value })
  return cause
}

/** The server's words alone, where there are some: the cause that printers show below the story. */
const briefOf = ({ cause }: SqlErrorReason, message: string): string =>
  cause instanceof Error ? cause.message : (message.split("\n", 1)[0] ?? "")

/** The error whose message is these parts, one below the other; `retryable: false` overrules its reason. */
export const finish = (
  reason: (message: string) => SqlErrorReason,
  parts: ReadonlyArray<string | undefined>,
  retryable = true
): SqlError => {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  const message = parts.filter((part) => part !== undefined && part !== "").join("\n")
  const why = reason(message)
  const brief = reason(briefOf(why, message))
  const error = new SqlError({ reason: why })
  Error.stackTraceLimit = limit
  for (const one of [why, brief]) {
    if (one.isRetryable && !retryable) hide(one, { isRetryable: false })
    printPlainly(one, one._tag)
  }
  printPlainly(error, "SqlError")
  // Printers follow causes, and would tell the story at each.
  hide(brief, { cause: undefined })
  hide(error, { cause: brief })
  for (const one of [error, brief]) {
    for (const key of Object.keys(one)) Object.defineProperty(one, key, { enumerable: false })
  }
  return error
}

/** Behind this line Effect's own printer leaves frames out, since it adds these itself. */
const boundary = "    at Generator.next (<anonymous>)"

/** Where a frame stands in the program: `list users (/app/users.ts:12:5)`. */
export const placeOf = ({ name, stack }: StackFrame): string => {
  const place = stack()?.match(/\((.*)\)|at (.*)/)
  return `${name}${place ? ` (${place[1] ?? place[2]})` : ""}`
}

/** Adds where in the program the operation stands, as far as Effect knows it: from `Effect.fn` and spans. */
export const locate = <E extends Error>(error: E, frame: StackFrame): E => {
  const lines = [`${error.name}: ${error.message}`, boundary]
  for (let one: StackFrame | undefined = frame; one !== undefined && lines.length < 12; one = one.parent) {
    lines.push(`    at ${placeOf(one)}`)
  }
  hide(error, { stack: lines.join("\n") })
  return error
}
