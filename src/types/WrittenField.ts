/**
 * Reads back what `BinaryWriter.ts` wrote, so that an error can be told by its row and column after the row itself was let go.
 */
import type { Buffer } from "node:buffer"
import * as ArrayFormat from "./ArrayFormat.ts"
import { builtinReaders } from "./BuiltinReaders.ts"
import { oids } from "./BuiltinTypes.ts"
import { utf8 } from "./Bytes.ts"
import type { Locale, ReadBinary } from "./PgType.ts"
import { date, numeric, uuid } from "./RecordFields.ts"
import type { TypeLookup } from "./TypeLookup.ts"

const jsonb: ReadBinary = (bytes, offset, size) => JSON.parse(utf8(bytes, offset + 1, size - 1))

const own: ReadonlyMap<number, ReadBinary> = new Map<number, ReadBinary>([
  [oids.date, date],
  [oids.uuid, uuid],
  [oids.numeric, numeric],
  [oids.jsonb, jsonb]
])

const readers = /* @__PURE__ */ builtinReaders({ int8: "bigint", timestamp: "date" })

const binaryOf = (types: TypeLookup, oid: number): ReadBinary => {
  const type = types.baseOf(oid)
  if (type?.kind === "array") return ArrayFormat.fromBinary(binaryOf(types, type.of))
  return own.get(type?.oid ?? 0) ?? readers.get(type?.oid ?? 0)?.binary ?? utf8
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
