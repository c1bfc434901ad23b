/**
 * Pieces of SQL: whole statements, or fragments to splice into one. Made by `PG.sql`, `PG.id`, `PG.join` and their kin.
 *
 * Pieces are recognised by a registered symbol. Data from outside (parsed JSON, a form, a row) can carry any string key but no
 * symbol, so it never becomes SQL; two copies of this package recognise each other's pieces. A piece prints as its text with
 * placeholders, and never its values.
 */
import { inspect } from "node:util"
import type { Statement } from "effect/sql/Statement"
import type { PoolError } from "../errors/PoolError.ts"
import { columnOf, type Naming } from "./CamelCase.ts"
import { IdentifierId, isIdentifier, quote, quoteTable } from "./Names.ts"
import { attempt, hasSymbol, isPlain } from "./PlainObject.ts"
import { tokenAt } from "./Scan.ts"
import { isName } from "./Slot.ts"

/** The key of a piece. */
export const SqlTypeId: unique symbol = Symbol.for("effect-global-pool/Sql")

/** A piece of SQL with its parameters. Placeholders are numbered when the statement is built. */
export interface Sql {
  readonly [SqlTypeId]: true
  /** The texts around the values, one more than there are of those. */
  readonly parts: ReadonlyArray<string>
  readonly values: ReadonlyArray<unknown>
  /** Why a statement with this piece is not sent. */
  readonly problem: PoolError | undefined
}

/** A piece while it is put together. */
export interface Draft {
  readonly parts: Array<string>
  readonly values: Array<unknown>
  problem: PoolError | undefined
}

/** The text of a piece, its placeholders numbered from `$1`; `onValue` is given the values that they stand for. */
export const textOf = (
  { parts, values }: Pick<Sql, "parts" | "values">,
  naming: Naming,
  onValue?: (value: unknown) => void
): string => {
  let text = parts[0]!
  let number = 0
  for (let index = 0; index < values.length; index++) {
    const value = values[index]
    if (isName(value)) text += quote(columnOf(value.column, naming))
    else {
      text += `$${++number}`
      onValue?.(value)
    }
    text += parts[index + 1]
  }
  return text
}

const printed = {
  value(this: Sql) {
    return textOf(this, "as-is")
  }
}

const prototype: object = Object.defineProperties(
  { [SqlTypeId]: true },
  { toString: printed, toJSON: printed, [inspect.custom]: printed }
)

/** A piece of these parts and values. */
export const make = ({ parts, problem, values }: Draft): Sql =>
  Object.freeze(Object.assign(Object.create(prototype), { parts, values, problem }))

/** Whether a value is a piece of SQL. */
export const isSql = (value: unknown): value is Sql => hasSymbol(value, SqlTypeId)

export const draft = (text = ""): Draft => ({ parts: [text], values: [], problem: undefined })

export const addText = ({ parts }: Draft, text: string): void => {
  parts[parts.length - 1] += text
}

const addValue = ({ parts, values }: Draft, value: unknown): void => {
  values.push(value)
  parts.push("")
}

const addPiece = (into: Draft, piece: Draft | Sql): void => {
  addText(into, piece.parts[0]!)
  for (const [index, value] of piece.values.entries()) {
    addValue(into, value)
    addText(into, piece.parts[index + 1]!)
  }
  into.problem ??= piece.problem
}

/**
 * Whether a value is a statement of a client of `effect/sql`. Data has prototypes of its own and functions as little as it has
 * symbols; a fragment that is no statement looks like data, and goes into a statement first.
 */
const isStatement = (value: unknown): value is Statement<unknown> =>
  typeof value === "object" &&
  value !== null &&
  attempt(
    () =>
      !isPlain(value) &&
      "~effect/sql/Statement/Fragment" in value &&
      "compile" in value &&
      typeof value.compile === "function",
    false
  )

/** What a client of `effect/sql` makes of its statement, taken apart at its placeholders. */
const fromStatement = (statement: Statement<unknown>): Draft => {
  const [text, params] = statement.compile()
  const into = draft()
  let from = 0
  for (let token = tokenAt(text, 0); token.kind !== "end"; token = tokenAt(text, token.end)) {
    if (token.kind !== "parameter") continue
    addText(into, text.slice(from, token.start))
    addValue(into, params[Number(text.slice(token.start + 1, token.end)) - 1])
    from = token.end
  }
  addText(into, text.slice(from))
  return into
}

/** Whether a value is spliced in, and not bound. */
export const isPiece = (value: unknown): boolean => isSql(value) || isIdentifier(value) || isStatement(value)

/** Adds what stands in a template's gap. */
export const add = (into: Draft, value: unknown): void => {
  if (isSql(value)) addPiece(into, value)
  else if (isIdentifier(value)) addText(into, value[IdentifierId])
  else if (isStatement(value)) addPiece(into, fromStatement(value))
  else addValue(into, value)
}

/** What a template says. */
export const fromTemplate = (strings: ReadonlyArray<string>, values: ReadonlyArray<unknown>): Draft => {
  const into = draft(strings[0])
  for (let index = 0; index < values.length; index++) {
    add(into, values[index])
    addText(into, strings[index + 1]!)
  }
  return into
}

/**
 * A statement or fragment whose values are bound parameters, except for pieces of SQL: a table handle, `PG.id`,
 * another `PG.sql`, a statement of an `effect/sql` client. Those are spliced in.
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
export const sql = (strings: TemplateStringsArray, ...values: ReadonlyArray<unknown>): Sql =>
  make(fromTemplate(strings, values))

/**
 * A name as a quoted identifier for a template. One name is read as `pgdb.table` reads it: `PG.id("name")`, or
 * `PG.id("audit.events")` for schema and table. Several are its parts, each as it stands: `PG.id("audit", "my.table")`.
 */
export const id = (...names: readonly [string, ...ReadonlyArray<string>]): Sql =>
  make(draft(names.length === 1 ? quoteTable(names[0]) : names.map(quote).join(".")))
