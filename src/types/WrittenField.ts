/**
 * Reads back what `BinaryWriter.ts` wrote, so that an error can be told by its row and column after the row itself was let go.
 */
import type { Buffer } from "node:buffer"
import * as ArrayFormat from "./ArrayFormat.ts"
import { builtinReaders } from "./BuiltinReaders.ts"
import { oids } from "./BuiltinTypes.ts"
import { int16, int32, uint16, utf8 } from "./Bytes.ts"
import type { Locale, ReadBinary } from "./PgType.ts"
import type { TypeLookup } from "./TypeLookup.ts"

const dayMilliseconds = 86_400_000
const epochDays = 10_957

/** As the server prints it, in the style `ISO`. */
const date: ReadBinary<string> = (bytes, offset) => {
  const time = new Date((int32(bytes, offset) + epochDays) * dayMilliseconds)
  const year = time.getUTCFullYear()
  const day = time.toISOString().replace(/^.*?(-\d\d-\d\d)T.*$/, "$1")
  return `${String(year > 0 ? year : 1 - year).padStart(4, "0")}${day}${year > 0 ? "" : " BC"}`
}

const uuid: ReadBinary<string> = (bytes, offset, size) =>
  bytes.toString("hex", offset, offset + size).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5")

/** Digits of base 10 000: how many, the weight of the first, a sign, the decimal places, the digits. */
const numeric: ReadBinary<string> = (bytes, offset) => {
  const lead = (int16(bytes, offset + 2) + 1) * 4
  const scale = uint16(bytes, offset + 6)
  let digits = "0".repeat(Math.max(0, -lead))
  for (let index = 0; index < uint16(bytes, offset); index++) {
    digits += String(uint16(bytes, offset + 8 + index * 2)).padStart(4, "0")
  }
  const point = Math.max(0, lead)
  const whole = digits.slice(0, point).padEnd(point, "0").replace(/^0+/, "") || "0"
  const fraction = digits.slice(point, point + scale).padEnd(scale, "0")
  return `${uint16(bytes, offset + 4) === 0 ? "" : "-"}${whole}${scale === 0 ? "" : `.${fraction}`}`
}

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
