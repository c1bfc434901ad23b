/**
 * Names of tables, columns and schemas as Postgres quotes them.
 */
import { attempt, hasSymbol } from "./PlainObject.ts"

/** What a template quotes as an identifier instead of binding as a value: a table handle. */
export const IdentifierId: unique symbol = Symbol.for("effect-global-pool/Identifier")
export interface Identifier {
  readonly [IdentifierId]: string
}

export const isIdentifier = (value: unknown): value is Identifier => hasSymbol(value, IdentifierId)

/** A name as text, whatever it is: what names nothing is for the server to refuse. */
export const nameOf = (name: unknown): string =>
  typeof name === "string" ? name : attempt(() => String(name), "")

/** A name as Postgres quotes it: `we"ird` becomes `"we""ird"`. */
export const quote = (name: string): string => `"${nameOf(name).replaceAll('"', '""')}"`

const quoted = '"(?:[^"]|"")+"'
const plain = '[^".]+'
const withSchema = new RegExp(`^(${quoted}|${plain})[.](.+)$`, "s")
const alone = new RegExp(`^${quoted}$`, "s")

/** One part of a name: what stands in double quotes is the name inside them, anything else is the name itself. */
const part = (name: string): string => (alone.test(name) ? name : quote(name))

/**
 * A name as a user writes it, quoted: `users`, or `audit.events` for schema and table.
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
