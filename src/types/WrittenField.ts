/**
 * Reads back what `BinaryWriter.ts` wrote, so that an error can be told by its row and column after the row itself was let go.
 */
import type { Buffer } from "node:buffer"
import * as ArrayFormat from "./ArrayFormat.ts"
import { builtinReaders, jsonb } from "./BuiltinReaders.ts"
import { oids } from "./BuiltinTypes.ts"
import { utf8 } from "./Bytes.ts"
import type { Locale, ReadBinary } from "./PgType.ts"
import { printer } from "./RecordFields.ts"
import type { TypeLookup } from "./TypeLookup.ts"

const readers = /* @__PURE__ */ builtinReaders({ int8: "bigint", timestamp: "date" })

const binaryOf = (types: TypeLookup, oid: number): ReadBinary => {
  const type = types.baseOf(oid)
  if (type?.kind === "array") return ArrayFormat.fromBinary(binaryOf(types, type.of))
  const base = type?.oid ?? 0
  if (base === oids.jsonb) return jsonb
  return readers.get(base)?.binary ?? printer(base, types.typeOf) ?? utf8
}

/** No binary form of these types depends on it. */
const locale: Locale = { dateStyle: "ISO, MDY", isIso: true, intervalStyle: "postgres", timeZone: "UTC" }

/** How a value of a type that has a writer is read back. */
export const readerOf = (
  types: TypeLookup,
  oid: number
): ((bytes: Buffer, offset: number, size: number) => unknown) => {
  const read = binaryOf(types, oid)
  return (bytes, offset, size) => read(bytes, offset, size, locale)
}
