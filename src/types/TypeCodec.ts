/**
 * Codecs of a program's own, by the setting `types`: what a type's text is in JavaScript, and how it is written. They serve
 * wherever a value of the type stands: in columns, arrays, composites and records, parameters and rows that are stored.
 */
import * as Predicate from "effect/Predicate"
import type { PgType } from "./PgType.ts"
import { UnreadableValue } from "./PgType.ts"

/**
 * How values of a type are read from its text and written as it; `NULL` is `null` and never comes here. Both may throw on what they
 * cannot read or write: the error says which column or parameter it was, and nothing of the value.
 *
 * The counterpart of asyncpg's `set_type_codec`.
 *
 * **Gotchas**
 *
 * `encode` is given whatever stands for such a value, a string too. A codec for a domain is that of the type beneath it.
 *
 * **Example** (Numeric as a decimal number)
 *
 * ```ts
 * import { BigDecimal } from "effect"
 * import { PG } from "effect-global-pool"
 *
 * const numeric: PG.TypeCodec<BigDecimal.BigDecimal> = {
 *   decode: BigDecimal.fromStringUnsafe,
 *   encode: BigDecimal.format
 * }
 * const pgdb = PG.make({ url: "postgres://localhost/app", key: "decimals", types: { numeric } })
 * const sum = pgdb.selectValue<BigDecimal.BigDecimal>`select ${BigDecimal.fromNumberUnsafe(1.5)}::numeric + 1`
 * ```
 */
export interface TypeCodec<A = unknown> {
  decode(text: string): A
  encode(value: A): string
}

/** Codecs by the type's name. */
export type TypeCodecs = Readonly<Record<string, TypeCodec>>

const isCodec = (codec: unknown): codec is TypeCodec =>
  Predicate.hasProperty(codec, "decode") &&
  typeof codec.decode === "function" &&
  Predicate.hasProperty(codec, "encode") &&
  typeof codec.encode === "function"

/** Whether a value can be the setting `types`. */
export const isCodecs = (value: unknown): value is TypeCodecs =>
  Predicate.isObject(value) && Object.values(value).every(isCodec)

/** SQL's own words for types that the catalogue calls otherwise. */
const words: Readonly<Record<string, string>> = {
  smallint: "int2",
  int: "int4",
  integer: "int4",
  bigint: "int8",
  decimal: "numeric",
  real: "float4",
  "double precision": "float8",
  boolean: "bool",
  character: "bpchar",
  "character varying": "varchar",
  "bit varying": "varbit",
  "time without time zone": "time",
  "time with time zone": "timetz",
  "timestamp without time zone": "timestamp",
  "timestamp with time zone": "timestamptz"
}

const kinds: ReadonlySet<PgType["kind"]> = new Set(["base", "composite", "enum", "range", "multirange"])

/** The codec of a type, by its own name; `undefined` where there are none at all. */
export const codecsOf = (
  given: TypeCodecs | undefined
): ((type: PgType) => TypeCodec | undefined) | undefined => {
  const byName = new Map(Object.entries(given ?? {}).map(([name, codec]) => [words[name] ?? name, codec]))
  if (byName.size === 0) return undefined
  return ({ kind, name }) => (kinds.has(kind) ? byName.get(name) : undefined)
}

/** Reads a value by a codec. */
export const read = (codec: TypeCodec, { name }: PgType, text: string): unknown => {
  try {
    return codec.decode(text)
  } catch {
    throw new UnreadableValue(`could not be read: decode of the codec for ${name} threw`)
  }
}
