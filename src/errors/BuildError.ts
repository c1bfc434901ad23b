/**
 * How a told error is built, so that it prints as its story and nothing else: by Node, by Effect's loggers, by other ones.
 */
import { SqlError, type SqlErrorReason } from "effect/sql/SqlError"

/**
 * `error.reason.cause`: the server's fields, without any parameter's value. `code` is the SQLSTATE, or Node's code when the
 * connection failed. `position` counts characters of the statement's text from 1.
 */
export interface ServerFields extends Error {
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
    Object.defineProperty(target, key, {
      value: Reflect.get(properties, key),
      enumerable: false,
      configurable: true,
      writable: true
    })
  }
}

/** Printed by Node, the error is its name and story: frames of the driver's socket and causes that repeat it help nobody. */
const printPlainly = (error: Error, name: string): void => {
  const text = `${name}: ${error.message}`
  hide(error, { name, stack: text, [inspect]: () => text })
}

/** The server's fields as an error; those that are `undefined` are left out. */
export const fieldsOf = (message: string, fields: { readonly [key: string]: unknown }): ServerFields => {
  const cause: ServerFields = new Error(message)
  hide(cause, { stack: `Error: ${message}` })
  for (const [key, value] of Object.entries(fields))
    if (value !== undefined) Object.assign(cause, { [key]: value })
  return cause
}

/** The error whose message is these parts, one below the other; `retryable: false` overrules its reason. */
export const finish = (
  reason: (message: string) => SqlErrorReason,
  parts: ReadonlyArray<string | undefined>,
  retryable = true
): SqlError => {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  const why = reason(parts.filter((part) => part !== undefined && part !== "").join("\n"))
  const error = new SqlError({ reason: why })
  Error.stackTraceLimit = limit
  if (why.isRetryable && !retryable) hide(why, { isRetryable: false })
  printPlainly(why, why._tag)
  printPlainly(error, "SqlError")
  // Printers of every kind follow `cause` and what can be enumerated, and would tell the story again and again.
  Reflect.deleteProperty(error, "cause")
  for (const key of Object.keys(error)) Object.defineProperty(error, key, { enumerable: false })
  return error
}
