/**
 * What each type of Postgres is in JavaScript: the readers of its values, in the format in which they are read best. `TypeMap.ts`
 * takes them, and builds those of arrays, composites and domains from them. How values are written is in `Literal.ts` and, for
 * bulk data, in `BinaryWriter.ts`.
 */
import { Buffer } from "node:buffer"
import { oids, textTypes } from "./BuiltinTypes.ts"
import { bigInt64, copy, exactInt64, float64, int16, int32, uint32, utf8 } from "./Bytes.ts"
import { float4 } from "./Float4.ts"
import type { ReadBinary, ReadText } from "./PgType.ts"
import { UnreadableValue } from "./PgType.ts"
import { put } from "./RecordFormat.ts"
import * as Timestamps from "./Timestamps.ts"
import type { TypeCodecs } from "./TypeCodec.ts"

/** The settings of a handle that decide what a value is in JavaScript. */
export interface ValueOptions {
  readonly int8: "number" | "bigint" | "string"
  readonly timestamp: "date" | "string"
  /** Codecs of the program's own. */
  readonly codecs?: TypeCodecs | undefined
}

/** How values of one type are read. */
export interface TypeReader {
  /** `undefined` where the text format is the one to ask for. */
  readonly binary: ReadBinary | undefined
  readonly text: ReadText
}

/** The text is the value. */
export const itself: ReadText = (text) => text
/** A type that is a string, as the server prints it. */
export const asText: TypeReader = { binary: undefined, text: itself }
/** Types whose binary format is their text. */
const plain: TypeReader = { binary: utf8, text: itself }

const pastNumber = () =>
  new UnreadableValue(
    'holds an int8 past ±(2^53−1), which a number cannot hold exactly. Set int8: "bigint" or "string", or cast the value to text'
  )

const int8Reader = (int8: ValueOptions["int8"]): TypeReader => {
  if (int8 === "string") return asText
  if (int8 === "bigint") return { binary: bigInt64, text: BigInt }
  return {
    binary: (bytes, offset) => {
      const value = exactInt64(bytes, offset)
      if (Number.isNaN(value)) throw pastNumber()
      return value
    },
    text: (text) => {
      const value = Number(text)
      if (!Number.isSafeInteger(value)) throw pastNumber()
      return value
    }
  }
}

const withLength: ReadText<string> = (text) =>
  text.includes("/") ? text : text + (text.includes(":") ? "/128" : "/32")

/** `bytea` in either of its forms, `\x00ff` or with octal escapes, whatever `bytea_output` says. */
const bytesFromText: ReadText<Uint8Array> = (text) => {
  if (text.startsWith("\\x")) return new Uint8Array(Buffer.from(text.slice(2), "hex"))
  const bytes: Array<number> = []
  for (let at = 0; at < text.length; at++) {
    if (text.charAt(at) !== "\\") bytes.push(text.charCodeAt(at))
    else if (text.charAt(at + 1) === "\\") bytes.push(text.charCodeAt(++at))
    else {
      bytes.push(Number.parseInt(text.slice(at + 1, at + 4), 8))
      at += 3
    }
  }
  return Uint8Array.from(bytes)
}

const pair = /"((?:[^"\\]|\\.)*)"=>(?:NULL|"((?:[^"\\]|\\.)*)")/gs
const unescape = (text: string): string => text.replace(/\\(.)/gs, "$1")

/** `hstore`: `"a"=>"1", "b"=>NULL` as an object. */
const hstoreFromText: ReadText<Readonly<Record<string, string | null>>> = (text) => {
  const object: Record<string, string | null> = {}
  for (const [, key = "", value] of text.matchAll(pair)) {
    put(object, unescape(key), value === undefined ? null : unescape(value))
  }
  return object
}

const parseJson: ReadText = (text) => JSON.parse(text)

const json: ReadBinary = (bytes, offset, size) => JSON.parse(utf8(bytes, offset, size))

/** Behind the version of its format. */
export const jsonb: ReadBinary = (bytes, offset, size) => JSON.parse(utf8(bytes, offset + 1, size - 1))

/** The reader of each built-in type that is not a string as the server prints it, by OID. */
export const builtinReaders = ({ int8, timestamp }: ValueOptions): ReadonlyMap<number, TypeReader> => {
  const times = timestamp === "string" ? asText : { binary: Timestamps.fromBinary, text: Timestamps.fromText }
  return new Map<number, TypeReader>([
    [oids.bool, { binary: (bytes, offset) => bytes[offset] !== 0, text: (text) => text === "t" }],
    [oids.bytea, { binary: copy, text: bytesFromText }],
    [oids.int2, { binary: int16, text: Number }],
    [oids.int4, { binary: int32, text: Number }],
    [oids.int8, int8Reader(int8)],
    [oids.oid, { binary: uint32, text: Number }],
    [oids.float4, { binary: float4, text: Number }],
    [oids.float8, { binary: float64, text: Number }],
    [oids.timestamp, times],
    [oids.timestamptz, times],
    ...textTypes.map((oid) => [oid, plain] as const),
    [oids.json, { binary: json, text: parseJson }],
    [oids.jsonb, { binary: undefined, text: parseJson }],
    // Its output function leaves the length of a single address out, and its cast to text does not.
    [oids.inet, { binary: undefined, text: withLength }]
  ])
}

/** Readers of extensions' types by their output functions; all other types of extensions are strings. */
export const extensions: Readonly<Record<string, TypeReader>> = {
  hstore_out: { binary: undefined, text: hstoreFromText },
  vector_out: { binary: undefined, text: parseJson }
}
