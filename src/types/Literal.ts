/**
 * JavaScript values as the text that Postgres reads for a known type: arrays, composites, json, dates.
 *
 * A value that cannot be written is noted as a problem, in words that follow "Parameter $1"; the value itself is never shown.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { isJson } from "../statement/Json.ts"
import { isPlain } from "../statement/PlainObject.ts"
import { oids } from "./BuiltinTypes.ts"
import { hex } from "./Bytes.ts"
import type { PgType } from "./PgType.ts"
import type { OwnCodec, TypeLookup } from "./TypeLookup.ts"
import { builtinLookup } from "./TypeLookup.ts"

/** One parameter under way. */
export interface Writing {
  readonly types: TypeLookup
  /** Why it cannot be written, once that is known. */
  problem: string | undefined
}

export const fail = (writing: Writing, problem: string): null => {
  writing.problem ??= problem
  return null
}

/** Why a value is refused that throws when it is looked at. */
export const unreadable =
  "cannot be read: one of its properties throws, it refers to itself or nests too deeply, or its buffer is detached. Give a plain copy of it"

/** What a value is called in a message. */
export const nameOf = (value: unknown): string => {
  if (typeof value !== "object" || value === null) return `a ${typeof value}`
  const name: unknown = value.constructor?.name
  if (typeof name === "string" && name !== "" && name !== "Object") return `an instance of ${name}`
  return isPlain(value) ? "an object" : "an object with a prototype of its own"
}

/** The bytes of a `Uint8Array`, an `ArrayBuffer` or another view of one. Throws where a transfer has detached them. */
export const bytesOf = (value: unknown): Uint8Array | undefined => {
  if (value instanceof Uint8Array) return value.length === 0 ? new Uint8Array(value.buffer, 0, 0) : value
  if (value instanceof ArrayBuffer) return new Uint8Array(value)
  return ArrayBuffer.isView(value)
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    : undefined
}

/** A value as json. */
const jsonLiteral = (writing: Writing, value: unknown): string | null => {
  if (typeof value === "bigint") return String(value)
  if (typeof value === "number" && !Number.isFinite(value))
    return fail(writing, "is not finite, which json cannot hold")
  try {
    return JSON.stringify(value) ?? fail(writing, `is ${nameOf(value)}, which json cannot hold`)
  } catch (error) {
    const isBigInt = error instanceof TypeError && error.message.includes("BigInt")
    return fail(
      writing,
      isBigInt
        ? "holds a bigint, which json cannot hold: make it a string or a number"
        : "cannot be written as json: it refers to itself or nests too deeply, or one of its properties or its toJSON throws. Give a plain copy of it"
    )
  }
}

const pad = (value: number, size: number): string => String(value).padStart(size, "0")

/** The types that a `Date` can be. */
export const dateTypes: ReadonlySet<number> = new Set([
  oids.timestamptz,
  oids.timestamp,
  oids.date,
  oids.time,
  oids.timetz
])

/**
 * A `Date` as one text for every type of dates and times: its instant where the type has a zone, its UTC day and time where
 * it has none, whatever zone the session is in. So it stays right when a column changes from one of them to another.
 */
export const dateLiteral = (writing: Writing, date: Date): string | null => {
  if (Number.isNaN(date.getTime())) return fail(writing, "is an invalid Date")
  const year = date.getUTCFullYear()
  const shown = year > 0 ? year : 1 - year
  const day = `${pad(shown, 4)}-${pad(date.getUTCMonth() + 1, 2)}-${pad(date.getUTCDate(), 2)}`
  return `${day} ${date.toISOString().slice(-13, -1)}+00${year > 0 ? "" : " BC"}`
}

export const isJsonType = (type: PgType | undefined): boolean =>
  type?.oid === oids.json || type?.oid === oids.jsonb

/** A field of a composite, quoted so that it is read as it is. */
const field = (text: string | null): string =>
  text === null ? "" : `"${text.replaceAll("\\", "\\\\").replaceAll('"', '""')}"`

const compositeLiteral = (writing: Writing, value: object, type: PgType): string | null => {
  let values: ReadonlyArray<unknown>
  if (Array.isArray(value)) {
    if (value.length !== type.attributes.length) {
      return fail(writing, `has ${value.length} fields, and type ${type.name} has ${type.attributes.length}`)
    }
    values = value
  } else {
    const names = type.attributes.map((attribute) => attribute.name)
    const unknown = Object.keys(value).find((key) => !names.includes(key))
    if (unknown !== undefined) {
      return fail(
        writing,
        `has the attribute ${JSON.stringify(unknown)}, which type ${type.name} does not have`
      )
    }
    const entries = new Map(Object.entries(value))
    values = names.map((name) => entries.get(name))
  }
  return `(${type.attributes.map(({ oid }, index) => field(literal(writing, values[index], oid))).join(",")})`
}

/** As `literal`, for what no codec of the program's is for. */
export const plainLiteral = (writing: Writing, value: unknown, oid: number): string | null => {
  const part: Writing = { types: builtinLookup, problem: undefined }
  const text = literal(part, value, oid)
  return part.problem === undefined ? text : fail(writing, part.problem)
}

const hstoreLiteral = (writing: Writing, value: Readonly<Record<string, unknown>>): string =>
  Object.entries(value)
    .map(([key, inner]) => {
      const text = plainLiteral(writing, inner, oids.text)
      return `${quote(key)}=>${text === null ? "NULL" : quote(text)}`
    })
    .join(",")

const vectorTypes = new Set(["vector", "halfvec"])

const textTypes = new Set(["text", "varchar", "bpchar", "citext", "unknown"])

/** Whether a type takes any text: that of a Date, and of an object as json. */
export const isTextual = (type: PgType | undefined): boolean =>
  type?.kind === "base" && textTypes.has(type.name)

const isBaseNamed = (type: PgType, name: string): boolean => type.kind === "base" && type.name === name

/** Whether an array is one value of the type, and not an array of values. */
const takesArray = (type: PgType | undefined): boolean =>
  type !== undefined &&
  (isJsonType(type) || type.kind === "vector" || (type.kind === "base" && vectorTypes.has(type.name)))

/** Whether an array or an object has a form of its own in the type, which text would take without a word. */
export const hasOwnForm = (type: PgType | undefined): boolean =>
  takesArray(type) || type?.kind === "composite" || (type !== undefined && isBaseNamed(type, "hstore"))

/** The key of a fragment of `effect/sql`. Data can carry it too, so that it decides about nothing but a message. */
const fragmentKey = "~effect/sql/Statement/Fragment"
const fragment = "is a fragment of effect/sql, which a template does not take in: write it with PG.sql`…`"

const notPlain = (value: object): string => {
  if (fragmentKey in value) return fragment
  if (Effect.isEffect(value)) return "is an Effect, and not what comes of it: yield* it first"
  if (Option.isOption(value))
    return "is an Option, and not what is in it: Option.getOrNull gives that, or NULL"
  return `is ${nameOf(value)}, and only plain objects and arrays are taken: make one of it`
}

const fragmentHint =
  ". A fragment of effect/sql looks like data: put it into a statement of its client, sql`…`, which a template takes"

const objectLiteral = (writing: Writing, value: object, type: PgType | undefined): string | null => {
  if (isJsonType(type)) {
    return isPlain(value) || Array.isArray(value)
      ? jsonLiteral(writing, value)
      : fail(writing, notPlain(value))
  }
  if (type?.kind === "composite" && (Array.isArray(value) || isPlain(value)))
    return compositeLiteral(writing, value, type)
  if (Array.isArray(value)) {
    if (type !== undefined && takesArray(type)) {
      if (value.includes(null) || value.includes(undefined))
        return fail(writing, `holds NULL, which ${type.name} does not take`)
      return type.kind === "vector"
        ? value.map((element) => literal(writing, element, type.of)).join(" ")
        : `[${value.map((element) => plainLiteral(writing, element, oids.float8)).join(",")}]`
    }
    if (type === undefined) return arrayLiteral(writing, value, 0)
    return fail(
      writing,
      `is an array, and the server expects one ${type.name}. For a list of values write = any($1) in place of in ($1); PG.json(value) makes json of it`
    )
  }
  if (!isPlain(value)) return fail(writing, notPlain(value))
  if (type === undefined || isTextual(type)) return jsonLiteral(writing, value)
  if (isBaseNamed(type, "hstore")) return hstoreLiteral(writing, value)
  const hint = fragmentKey in value ? fragmentHint : ""
  return fail(writing, `is an object, and the server expects ${type.name}${hint}`)
}

const int8Limit = 2n ** 63n

export const isInt8 = (value: bigint): boolean => value < int8Limit && value >= -int8Limit

/** A number as a text that every type takes for the same number: all digits of a whole number that an `int8` can be. */
export const numberText = (value: number): string =>
  !Number.isSafeInteger(value) && Number.isInteger(value) && Math.abs(value) < 2 ** 63
    ? String(BigInt(value))
    : Object.is(value, -0)
      ? "-0"
      : String(value)

const ownLiteral = (writing: Writing, { codec, type }: OwnCodec, value: unknown): string | null => {
  const failed = `could not be written: encode of the codec for ${type.name}`
  try {
    const text: unknown = codec.encode(value)
    return typeof text === "string" ? text : fail(writing, `${failed} gave no string`)
  } catch {
    return fail(writing, `${failed} threw`)
  }
}

/** The text of a value for a type; `null` is SQL NULL. A string is a json string where the type is json. */
export const literal = (writing: Writing, value: unknown, oid: number): string | null => {
  if (value === null || value === undefined) return null
  const own = writing.types.codecOf(oid)
  if (own !== undefined && !isJson(value)) return ownLiteral(writing, own, value)
  const type = writing.types.baseOf(oid)
  switch (typeof value) {
    case "string":
      return isJsonType(type) ? jsonLiteral(writing, value) : value
    case "number":
      return isJsonType(type) ? jsonLiteral(writing, value) : numberText(value)
    case "boolean":
      return String(value)
    case "bigint":
      return type?.oid === oids.int8 && !isInt8(value)
        ? fail(writing, "is a bigint past ±2^63, where int8 ends")
        : String(value)
    case "function":
    case "symbol":
      return fail(writing, `is ${nameOf(value)}, which Postgres has no value for`)
  }
  if (isJson(value)) return jsonLiteral(writing, value.value)
  if (value instanceof Date) {
    if (!isJsonType(type)) return dateLiteral(writing, value)
    return Number.isNaN(value.getTime()) ? fail(writing, "is an invalid Date") : jsonLiteral(writing, value)
  }
  if (type?.kind === "array") return arrayLiteral(writing, value, type.of)
  const bytes = bytesOf(value)
  if (bytes !== undefined) {
    return isJsonType(type)
      ? fail(writing, "is bytes, which json cannot hold")
      : `\\x${hex(bytes, 0, bytes.length)}`
  }
  return objectLiteral(writing, value, type)
}

const needsQuotes = /[\\"]/

const quote = (text: string): string =>
  needsQuotes.test(text) ? `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"` : `"${text}"`

const isTypedArray = (value: unknown): value is ArrayLike<unknown> =>
  ArrayBuffer.isView(value) && !(value instanceof DataView)

const listOf = (value: unknown): ReadonlyArray<unknown> | undefined => {
  if (Array.isArray(value)) return value
  // By its length, which is 0 where its buffer is detached.
  return isTypedArray(value) ? Array.from({ length: value.length }, (_, index) => value[index]) : undefined
}

/**
 * An array for elements of this type. Arrays inside it are further dimensions, which have to be of one length, unless one
 * array is a value of the element's type, as for json.
 */
export const arrayLiteral = (writing: Writing, value: unknown, element: number): string | null => {
  const values = listOf(value)
  const type = writing.types.baseOf(element)
  if (values === undefined) {
    return fail(writing, `is ${nameOf(value)}, and the server expects an array of ${type?.name ?? "values"}`)
  }
  // An array as an element: json, a vector, a domain over an array.
  const isFlat = takesArray(type) || type?.kind === "array"
  const delimiter = type?.delimiter ?? ","
  const isOwn = writing.types.codecOf(element) !== undefined
  const shape: Array<number> = []
  let leafDepth = -1
  let isRagged = false
  const level = (items: ReadonlyArray<unknown>, depth: number): string => {
    if (shape[depth] === undefined) shape[depth] = items.length
    else if (shape[depth] !== items.length) isRagged = true
    let text = ""
    for (let index = 0; index < items.length; index++) {
      const item = items[index]
      if (index > 0) text += delimiter
      if (!isFlat && Array.isArray(item)) {
        text += level(item, depth + 1)
        continue
      }
      if (leafDepth < 0) leafDepth = depth
      else if (leafDepth !== depth) isRagged = true
      const inner = literal(writing, item, element)
      text +=
        inner === null
          ? "NULL"
          : !isOwn && (typeof item === "number" || typeof item === "boolean")
            ? inner
            : quote(inner)
    }
    return `{${text}}`
  }
  const text = level(values, 0)
  if (isRagged || (leafDepth >= 0 && leafDepth !== shape.length - 1)) {
    return fail(writing, "is an array whose inner arrays differ in length, which Postgres has no value for")
  }
  return leafDepth < 0 ? "{}" : text
}
