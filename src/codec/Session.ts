/**
 * What reading a value needs to know beside its bytes, and where it says what it was missing.
 *
 * Reading never throws for what it cannot know: it notes the trouble, goes on, and returns nothing of use; whoever
 * started the reading looks at the count of troubles and keeps the bytes for later.
 */
import type { Read } from "./Bytes.ts"
import { hex } from "./Bytes.ts"
import type { MoneyFormat } from "./Numbers.ts"
import { defaultMoney } from "./Numbers.ts"
import type { Write } from "./Output.ts"
import type { Zone } from "./TimeZone.ts"
import { utc, zoneOf } from "./TimeZone.ts"

export interface CodecOptions {
  readonly int8: "number" | "bigint" | "string"
  readonly timestamp: "date" | "string"
}

/** How the values of one type are read. */
export interface Reader {
  /** The value that a program gets. */
  readonly value: Read
  /** Prints what the type's output function does, for use inside a range; `undefined` where only the server can. */
  readonly write: Write | undefined
}

export type Kind =
  | "base"
  | "array"
  | "vector"
  | "composite"
  | "domain"
  | "enum"
  | "range"
  | "multirange"
  | "record"

/** An attribute of a composite type. */
export interface Attribute {
  readonly name: string
  readonly oid: number
}

/** What the catalogue says about a type. */
export interface Type {
  readonly oid: number
  readonly name: string
  readonly kind: Kind
  /** The element of an array or range, the range of a multirange, the base of a domain; else 0. */
  readonly of: number
  /** The type of arrays of it, or 0. */
  readonly array: number
  /** What stands between the elements in the text of an array. */
  readonly delimiter: string
  readonly attributes: ReadonlyArray<Attribute>
}

/** What a value that could not be read was missing. */
export interface Needs {
  /** Types that the catalogue has to be asked for. */
  readonly types: Set<number>
  /** Values that only the server can print, by type and bytes. */
  readonly prints: Map<number, Map<string, Uint8Array>>
  /** Why the value cannot be read at all, and what to do instead. */
  refusal: string | undefined
}

export interface Session {
  readonly options: CodecOptions
  money: MoneyFormat
  /**
   * The time zone of a session with default settings, by name, and the zone once a text needed it: looking one up is slow.
   * What a session sets for itself plays no part, as with every other setting that changes how values are printed.
   */
  timeZone: string
  zone: { readonly name: string; readonly at: Zone | undefined }
  version: number
  /** How many values could not be read so far. */
  troubles: number
  /** Where needs are collected while values are settled. */
  needs: Needs | undefined
  /** The server's answers while values are settled. */
  answers: ReadonlyMap<string, string> | undefined
  /** The readers known, by type; those of types that no value has come of yet are for `knownReader` to find. */
  readonly readers: Map<number, Reader>
  readonly types: Map<number, Type>
  /** Adds the type to those known, where the catalogue told of it when the pool opened. */
  discover: (oid: number) => void
}

/** Before the catalogue is learnt, and after it has changed. */
export const undiscovered = (_oid: number): void => {}

export const makeSession = (options: CodecOptions): Session => ({
  options,
  money: defaultMoney,
  timeZone: "UTC",
  zone: { name: "UTC", at: utc },
  version: 180000,
  troubles: 0,
  needs: undefined,
  answers: undefined,
  readers: new Map(),
  types: new Map(),
  discover: undiscovered
})

/** The session's time zone, or `undefined` where this process does not know it: the server then prints what depends on it. */
export const zoneFor = (session: Session): Zone | undefined => {
  if (session.zone.name !== session.timeZone) {
    session.zone = { name: session.timeZone, at: zoneOf(session.timeZone) }
  }
  return session.zone.at
}

/** This type has to be looked up. */
export const missType = (session: Session, oid: number): undefined => {
  session.troubles++
  session.needs?.types.add(oid)
  return undefined
}

/** This value cannot be had. */
export const refuse = (session: Session, why: string): undefined => {
  session.troubles++
  if (session.needs !== undefined) session.needs.refusal ??= why
  return undefined
}

export const answerKey = (oid: number, digits: string): string => `${oid}:${digits}`

/** The text of a value that only the server can print. */
export const askServer = (
  session: Session,
  oid: number,
  bytes: Uint8Array,
  offset: number,
  size: number
): string => {
  if (session.needs === undefined && session.answers === undefined) {
    session.troubles++
    return ""
  }
  const digits = hex(bytes, offset, size)
  const answer = session.answers?.get(answerKey(oid, digits))
  if (answer !== undefined) return answer
  session.troubles++
  if (session.needs !== undefined) {
    const values = session.needs.prints.get(oid) ?? new Map<string, Uint8Array>()
    values.set(digits, bytes.slice(offset, offset + size))
    session.needs.prints.set(oid, values)
  }
  return ""
}

export const knownType = (session: Session, oid: number): Type | undefined => {
  if (!session.types.has(oid)) session.discover(oid)
  return session.types.get(oid)
}

export const knownReader = (session: Session, oid: number): Reader | undefined => {
  const known = session.readers.get(oid)
  if (known !== undefined) return known
  session.discover(oid)
  return session.readers.get(oid)
}

/** A reader of this type: what is known, or one that notes that it is not. */
export const readerOf = (session: Session, oid: number): Reader =>
  knownReader(session, oid) ?? { value: () => missType(session, oid), write: undefined }
