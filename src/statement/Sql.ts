/**
 * The three forms of a statement - text, text with parameters, and the template - become one: text and parameters.
 */
import * as Result from "effect/Result"
import type { PoolError } from "../errors/PoolError.ts"
import { refused } from "../errors/PoolError.ts"

/*
 * Pieces of SQL, names and json are recognised by registered symbols. Data from outside (parsed JSON, a form, a row) can
 * carry any string key but no symbol, so it never becomes SQL; two copies of this package recognise each other's pieces.
 */

/** The key of `PG.sql` and `PG.id`. */
export const SqlTypeId: unique symbol = Symbol.for("effect-global-pool/Sql")

/**
 * A piece of SQL with its parameters: a whole statement, or a fragment to splice into one.
 * Made by `PG.sql` and `PG.id`. Placeholders are numbered when the statement is built.
 */
export interface Sql {
  readonly [SqlTypeId]: true
  readonly parts: ReadonlyArray<string>
  readonly values: ReadonlyArray<unknown>
}

/** A statement as the server gets it: `$1` … stand for `params`. */
export interface Bound {
  readonly text: string
  readonly params: ReadonlyArray<unknown>
  /** What each parameter is, in words for a message. */
  readonly about?: ReadonlyArray<string>
  /** For a statement that a table's handle writes: its parameters are values of columns. */
  readonly columns?: ColumnValues
}

/** What a value does to its column. */
export type Role = "stored" | "compared"

/** A parameter of a statement that a handle writes. */
export interface ColumnValue {
  /** The column, for messages; empty for `limit` and `offset`. */
  readonly column: string
  readonly role: Role
}

/** Parameters that are values of columns. */
export interface ColumnValues {
  /** The call as a message names it, for instance `users.update`. */
  readonly place: string
  readonly values: ReadonlyArray<ColumnValue>
  /** The statement returns every column, so that the server refuses it when one of them has another type. */
  readonly isGuarded: boolean
}

/** The forms in which `trans` takes a statement. */
export type Statement = string | readonly [sql: string, params: ReadonlyArray<unknown>] | Sql

/** What a template quotes as an identifier instead of binding as a value: a table handle. */
export const IdentifierId: unique symbol = Symbol.for("effect-global-pool/Identifier")
export interface Identifier {
  readonly [IdentifierId]: string
}

const make = (parts: ReadonlyArray<string>, values: ReadonlyArray<unknown>): Sql => ({
  [SqlTypeId]: true,
  parts,
  values
})

/** Whether a value was made by `PG.sql` or `PG.id`. */
export const isSql = (value: unknown): value is Sql =>
  typeof value === "object" && value !== null && SqlTypeId in value

const isIdentifier = (value: unknown): value is Identifier =>
  typeof value === "object" && value !== null && IdentifierId in value

/** Whether the first argument of a call is a template's strings. */
const isTemplate = (value: unknown): value is TemplateStringsArray => Array.isArray(value) && "raw" in value

/**
 * A statement or fragment in which every value is a bound parameter, a table handle, `PG.id` and another `PG.sql`
 * excepted: those are spliced in.
 *
 * **Example** (Composing a statement)
 *
 * ```ts
 * import { PG } from "effect-global-pool"
 *
 * const adults = PG.sql`age >= ${18}`
 * const statement = PG.sql`select * from ${PG.id("users")} where ${adults} limit ${10}`
 * ```
 */
export const sql = (strings: TemplateStringsArray, ...values: ReadonlyArray<unknown>): Sql => {
  const parts: Array<string> = [strings[0]!]
  const bound: Array<unknown> = []
  for (let index = 0; index < values.length; index++) {
    const value = values[index]
    const next = strings[index + 1]!
    if (isSql(value)) {
      parts[parts.length - 1] += value.parts[0]!
      for (let inner = 0; inner < value.values.length; inner++) {
        bound.push(value.values[inner])
        parts.push(value.parts[inner + 1]!)
      }
      parts[parts.length - 1] += next
    } else if (isIdentifier(value)) {
      parts[parts.length - 1] += value[IdentifierId] + next
    } else {
      bound.push(value)
      parts.push(next)
    }
  }
  return make(parts, bound)
}

/** A name as Postgres quotes it: `we"ird` becomes `"we""ird"`. */
export const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`

const quoted = '"(?:[^"]|"")+"'
const plain = '[^".]+'
const withSchema = new RegExp(`^(${quoted}|${plain})[.](.+)$`, "s")
const alone = new RegExp(`^${quoted}$`, "s")

/** One part of a table's name: what stands in double quotes is the name inside them, anything else is the name itself. */
const part = (name: string): string => (alone.test(name) ? name : quote(name))

/**
 * A table's name as a user writes it, quoted: `users`, or `audit.events` for schema and table.
 *
 * **Details**
 *
 * The first dot separates. A part in double quotes is taken as Postgres takes it, so `"audit.events"` with its quotes is one
 * table, and `"my.schema"."my.table"` is one in a schema. A dot behind a stray double quote separates nothing: `we"ird.Name` is one
 * table too.
 */
export const quoteTable = (name: string): string => {
  const found = withSchema.exec(name)
  return found === null ? part(name) : `${part(found[1]!)}.${part(found[2]!)}`
}

/**
 * Names as a quoted identifier for a template: `PG.id("name")`, `PG.id("schema", "table")`.
 */
export const id = (...names: readonly [string, ...ReadonlyArray<string>]): Sql =>
  make([names.map(quote).join(".")], [])

/** The key of `PG.json`. */
export const JsonId: unique symbol = Symbol.for("effect-global-pool/Json")

/** A value that is bound as json whatever its JavaScript type: made by `PG.json`. */
export interface Json {
  readonly [JsonId]: true
  readonly value: unknown
}

/**
 * Forces json for an array, string, number, boolean or `null`; plain objects are json without it.
 */
export const json = (value: unknown): Json => ({ [JsonId]: true, value })

export const isJson = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && JsonId in value

/** Text and parameters of a `Sql`, its placeholders numbered from `$1`. */
export const bind = (statement: Sql): Bound => {
  let text = statement.parts[0]!
  for (let index = 1; index < statement.parts.length; index++) text += `$${index}${statement.parts[index]}`
  return { text, params: statement.values }
}

const noParams: ReadonlyArray<unknown> = []

const noStatement = (): PoolError =>
  refused("Expected SQL text, [text, parameters] or PG.sql`…`. Nothing was sent.")

/** One statement of `trans`, in any of its forms. */
export const fromStatement = (statement: Statement): Result.Result<Bound, PoolError> => {
  if (typeof statement === "string") return Result.succeed({ text: statement, params: noParams })
  if (isSql(statement)) return Result.succeed(bind(statement))
  if (
    Array.isArray(statement) &&
    typeof statement[0] === "string" &&
    (statement[1] === undefined || Array.isArray(statement[1]))
  ) {
    return Result.succeed({ text: statement[0], params: statement[1] ?? noParams })
  }
  return Result.fail(noStatement())
}

/** The arguments of an operation: a template and its values, or a statement and its parameters. */
export const fromArguments = (
  first: unknown,
  rest: ReadonlyArray<unknown>
): Result.Result<Bound, PoolError> => {
  if (typeof first === "string") {
    const params = rest[0] ?? noParams
    return Array.isArray(params)
      ? Result.succeed({ text: first, params })
      : Result.fail(refused("The parameters of a statement are an array: [first, second]. Nothing was sent."))
  }
  if (isTemplate(first)) return Result.succeed(bind(sql(first, ...rest)))
  return isSql(first) ? Result.succeed(bind(first)) : Result.fail(noStatement())
}
