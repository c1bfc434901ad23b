/**
 * What can stand in a gap of a piece of SQL beside a parameter of the caller's own: a column's name, which is only quoted when
 * the statement is built, and a value that is put into a column or compared with one.
 */
import { hasSymbol } from "./PlainObject.ts"

/**
 * What a value is: put into a column, compared with one, an array each element of which is compared with one, a pattern, which no
 * codec of the program's writes, or a parameter of a statement of the caller's own.
 */
export type Role = "stored" | "compared" | "any" | "pattern" | "given"

const SlotId: unique symbol = Symbol.for("effect-global-pool/Slot")

export interface ColumnName {
  readonly [SlotId]: "name"
  readonly column: string
}

export interface ColumnValue {
  readonly [SlotId]: "value"
  readonly column: string
  readonly role: Role
  readonly value: unknown
}

export type Slot = ColumnName | ColumnValue

/** A column's name. */
export const nameOf = (column: string): ColumnName => ({ [SlotId]: "name", column })

/** A value of a column; `column` is for messages, and empty where there is none. */
export const valueOf = (column: string, role: Role, value: unknown): ColumnValue => ({
  [SlotId]: "value",
  column,
  role,
  value
})

const isSlot = (value: unknown): value is Slot => hasSymbol(value, SlotId)

export const isName = (value: unknown): value is ColumnName => isSlot(value) && value[SlotId] === "name"
export const isValue = (value: unknown): value is ColumnValue => isSlot(value) && value[SlotId] === "value"
