/**
 * What is known of a Postgres type, and how a value of it is read in either of the protocol's formats.
 *
 * The types that every server has are in `BuiltinTypes.ts`; those of users and extensions come from `Catalogue.ts`.
 */
import type { Buffer } from "node:buffer"

export type Kind =
  | "base"
  | "array"
  /** `int2vector` and `oidvector`: written `1 2 3`. */
  | "vector"
  | "composite"
  | "domain"
  | "enum"
  | "range"
  | "multirange"
  /** An anonymous record. */
  | "record"

/** An attribute of a composite type. */
export interface Attribute {
  readonly name: string
  readonly oid: number
}

export interface PgType {
  readonly oid: number
  readonly name: string
  readonly kind: Kind
  /** The element of an array, vector or range, the range of a multirange, the base of a domain; else 0. */
  readonly of: number
  /** The type of arrays of it, or 0. */
  readonly array: number
  /** What stands between the elements in the text of an array of it. */
  readonly delimiter: string
  readonly attributes: ReadonlyArray<Attribute>
  /** Those of an enum. */
  readonly labels: ReadonlyArray<string>
  /** For base types of extensions, the name of the output function; `hstore` and `vector` are recognised by it, whatever their names. */
  readonly output: string
}

/** How a session prints dates, as it reported it last. */
export interface Locale {
  readonly dateStyle: string
  /** Whether `dateStyle` is `ISO`, in either order of day and month. */
  readonly isIso: boolean
  readonly intervalStyle: string
  readonly timeZone: string
}

/** Reads the `size` bytes at `offset`, which are in binary format. */
export type ReadBinary<A = unknown> = (bytes: Buffer, offset: number, size: number, locale: Locale) => A

/** Reads a value in text format. */
export type ReadText<A = unknown> = (text: string, locale: Locale) => A

/** A value that arrived and cannot be given: what it is, and what to do instead. Follows "the value of column x". */
export class UnreadableValue extends Error {
  override readonly name = "UnreadableValue"
  /** The type that is not known, or not as it is now: once it has been learnt the value can be read. */
  readonly type: number | undefined

  constructor(message: string, type?: number) {
    super(message)
    this.type = type
  }
}

/** A value that is not what its type has on the wire. */
export const malformed = (): UnreadableValue =>
  new UnreadableValue("is not of the form that its type has on the wire")

/** A parameter as it goes over the wire: a string in text format, bytes in binary format, or NULL. */
export type WireValue = string | Uint8Array | null
