/**
 * Values inside an anonymous record, printed as the server prints them.
 *
 * All columns but a record are asked for in the format in which they are read best. A record's types are known only from its binary
 * format alone, so that its fields come in theirs: those of the usual types are printed here, in the ISO styles. For all
 * others the way out is a named composite type or a cast to text, as the error says.
 */
import { builtins, oids } from "./BuiltinTypes.ts"
import { bigInt64, float64, hex, int16, int32, uint16, uint32, utf8 } from "./Bytes.ts"
import { float4 } from "./Float4.ts"
import type { PgType, ReadBinary } from "./PgType.ts"
import { malformed, UnreadableValue } from "./PgType.ts"
import { type Zone, zoneOf } from "./TimeZone.ts"

const pad = (value: number | bigint, size: number): string => String(value).padStart(size, "0")

/** Digits of base 10 000, with a weight, a sign and how many places are shown. */
const numeric: ReadBinary<string> = (bytes, offset) => {
  const count = uint16(bytes, offset)
  const weight = int16(bytes, offset + 2)
  const sign = uint16(bytes, offset + 4)
  const scale = uint16(bytes, offset + 6)
  if (sign === 0xc000) return "NaN"
  if (sign === 0xd000) return "Infinity"
  if (sign === 0xf000) return "-Infinity"
  const digit = (index: number) =>
    index < 0 || index >= count ? "0000" : pad(uint16(bytes, offset + 8 + index * 2), 4)
  let whole = ""
  for (let index = 0; index <= weight; index++) whole += digit(index)
  let fraction = ""
  for (let index = weight + 1; fraction.length < scale; index++) fraction += digit(index)
  const shown = whole.replace(/^0+(?=\d)/, "") || "0"
  return `${sign === 0x4000 ? "-" : ""}${shown}${scale === 0 ? "" : `.${fraction.slice(0, scale)}`}`
}

const uuid: ReadBinary<string> = (bytes, offset) =>
  hex(bytes, offset, 16).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5")

const microsPerSecond = 1_000_000n

/** `04:05:06.789`, of microseconds that are not negative. */
const clockOf = (micros: bigint): string => {
  const seconds = micros / microsPerSecond
  const fraction = pad(micros % microsPerSecond, 6).replace(/0+$/, "")
  const clock = `${pad(seconds / 3600n, 2)}:${pad((seconds / 60n) % 60n, 2)}:${pad(seconds % 60n, 2)}`
  return fraction === "" ? clock : `${clock}.${fraction}`
}

/** `+02`, `-03:30`, of seconds east of UTC. */
const offsetOf = (seconds: number): string => {
  const east = Math.abs(seconds)
  const parts = [Math.floor(east / 3600), Math.floor(east / 60) % 60, east % 60]
  while (parts.length > 1 && parts.at(-1) === 0) parts.pop()
  return (seconds < 0 ? "-" : "+") + parts.map((part) => pad(part, 2)).join(":")
}

const epochMilliseconds = 946_684_800_000
const dayMilliseconds = 86_400_000
/** The days of 400 years, after which the Gregorian calendar repeats itself. */
const perCycle = 146_097

/** A day since 2000, also one that no `Date` can be: it is looked up in the years from 2000 to 2399. */
const dayOf = (days: number): { readonly text: string; readonly era: string } => {
  const cycle = Math.floor(days / perCycle)
  const date = new Date((days - cycle * perCycle) * dayMilliseconds + epochMilliseconds)
  const year = date.getUTCFullYear() + cycle * 400
  const text = `${pad(year > 0 ? year : 1 - year, 4)}-${date.toISOString().slice(5, 10)}`
  return { text, era: year > 0 ? "" : " BC" }
}

/** A date as the style `ISO` shows it. */
const date: ReadBinary<string> = (bytes, offset) => {
  const days = int32(bytes, offset)
  if (days === 0x7fffffff) return "infinity"
  if (days === -0x80000000) return "-infinity"
  const { era, text } = dayOf(days)
  return text + era
}

const time: ReadBinary<string> = (bytes, offset) => clockOf(bigInt64(bytes, offset))

const timetz: ReadBinary<string> = (bytes, offset) =>
  clockOf(bigInt64(bytes, offset)) + offsetOf(-int32(bytes, offset + 8))

const perDay = 86_400n * microsPerSecond

/** `2026-03-01 15:30:00+00 BC`; `zone` gives the seconds east of UTC at an instant, in milliseconds since 1970. */
const instant = (micros: bigint, zone: Zone | undefined): string => {
  if (micros === 2n ** 63n - 1n) return "infinity"
  if (micros === -(2n ** 63n)) return "-infinity"
  const east = zone?.(Number(micros / 1000n) + epochMilliseconds)
  const local = micros + BigInt(east ?? 0) * microsPerSecond
  const inDay = ((local % perDay) + perDay) % perDay
  const { era, text } = dayOf(Number((local - inDay) / perDay))
  return `${text} ${clockOf(inDay)}${east === undefined ? "" : offsetOf(east)}${era}`
}

const timestamp: ReadBinary<string> = (bytes, offset) => instant(bigInt64(bytes, offset), undefined)

const timestamptz: ReadBinary<string> = (bytes, offset, _size, { timeZone }) => {
  const zone = zoneOf(timeZone)
  if (zone !== undefined) return instant(bigInt64(bytes, offset), zone)
  throw new UnreadableValue(
    `is a record with a timestamptz, and the session's TimeZone ${timeZone} is not known here. Cast that field to text`
  )
}

/** `1 year 2 mons -3 days +04:05:06`, as `IntervalStyle` `postgres` has it. */
const interval: ReadBinary<string> = (bytes, offset) => {
  const micros = bigInt64(bytes, offset)
  const days = int32(bytes, offset + 8)
  const months = int32(bytes, offset + 12)
  if (days === 0x7fffffff && months === 0x7fffffff) return "infinity"
  if (days === -0x80000000 && months === -0x80000000) return "-infinity"
  let text = ""
  let isBefore = false
  const part = (value: number, unit: string): void => {
    if (value === 0) return
    text += `${text === "" ? "" : " "}${isBefore && value > 0 ? "+" : ""}${value} ${unit}${value === 1 ? "" : "s"}`
    isBefore = value < 0
  }
  part(Math.trunc(months / 12), "year")
  part(months % 12, "mon")
  part(days, "day")
  if (micros === 0n && text !== "") return text
  const sign = micros < 0n ? "-" : isBefore ? "+" : ""
  return `${text}${text === "" ? "" : " "}${sign}${clockOf(micros < 0n ? -micros : micros)}`
}

/** `"char"`, one byte: nothing for 0, `\\377` where it is no ASCII. */
const char: ReadBinary<string> = (bytes, offset) => {
  const byte = bytes[offset] ?? 0
  if (byte > 127) return `\\${byte.toString(8)}`
  return byte === 0 ? "" : String.fromCharCode(byte)
}

/** Prints in one style alone: for others only the server can. */
const inStyle =
  (setting: "DateStyle" | "IntervalStyle", style: string, read: ReadBinary<string>): ReadBinary<string> =>
  (bytes, offset, size, locale) => {
    const given = setting === "DateStyle" ? locale.dateStyle : locale.intervalStyle
    if (given.split(",")[0] === style) return read(bytes, offset, size, locale)
    const what = setting === "DateStyle" ? "a date or a timestamp" : "an interval"
    throw new UnreadableValue(
      `is a record with ${what}, and the session's ${setting} is ${given}. Cast that field to text`
    )
  }

const inIso = (read: ReadBinary<string>) => inStyle("DateStyle", "ISO", read)

const number =
  (read: ReadBinary<number | bigint>): ReadBinary<string> =>
  (bytes, offset, size, locale) =>
    String(read(bytes, offset, size, locale))

/** A float as the server prints it: in the exponential form from so many digits on. */
const float =
  (read: ReadBinary<number>, digits: number): ReadBinary<string> =>
  (bytes, offset, size, locale) => {
    const value = read(bytes, offset, size, locale)
    if (Object.is(value, -0)) return "-0"
    const [mantissa, given = "0"] = value.toExponential().split("e")
    const exponent = Number(given)
    if (!Number.isFinite(value) || (exponent >= -4 && exponent < digits)) return String(value)
    return `${mantissa}e${exponent < 0 ? "-" : "+"}${pad(Math.abs(exponent), 2)}`
  }

const printers = /* @__PURE__ */ new Map<number, ReadBinary<string>>([
  ...[oids.text, oids.varchar, oids.bpchar, oids.name, oids.xml, oids.json].map(
    (oid) => [oid, utf8] as const
  ),
  [oids.bool, (bytes, offset) => (bytes[offset] === 0 ? "f" : "t")],
  [oids.int2, number(int16)],
  [oids.int4, number(int32)],
  [oids.int8, number(bigInt64)],
  [oids.oid, number(uint32)],
  [oids.float4, float(float4, 6)],
  [oids.float8, float(float64, 15)],
  [oids.numeric, numeric],
  [oids.uuid, uuid],
  [oids.date, inIso(date)],
  [oids.timestamp, inIso(timestamp)],
  [oids.timestamptz, inIso(timestamptz)],
  [oids.time, time],
  [oids.timetz, timetz],
  [oids.interval, inStyle("IntervalStyle", "postgres", interval)],
  [oids.char, char],
  [oids.jsonb, (bytes, offset, size) => utf8(bytes, offset + 1, size - 1)],
  [oids.bytea, (bytes, offset, size) => `\\x${hex(bytes, offset, size)}`]
])

const quoted = (bound: string): string =>
  bound === "" || /["\\()[\],\s]/.test(bound)
    ? `"${bound.replaceAll("\\", "\\\\").replaceAll('"', '""')}"`
    : bound

/** `[1,5)`, `empty`, `(,)`. */
const range =
  (bound: ReadBinary<string>): ReadBinary<string> =>
  (bytes, offset, _size, locale) => {
    const flags = bytes[offset]!
    if ((flags & 1) !== 0) return "empty"
    let at = offset + 1
    const next = (isInfinite: boolean): string => {
      if (isInfinite) return ""
      const size = int32(bytes, at)
      at += 4 + size
      return quoted(bound(bytes, at - size, size, locale))
    }
    const lower = next((flags & 8) !== 0)
    const upper = next((flags & 16) !== 0)
    return `${(flags & 2) !== 0 ? "[" : "("}${lower},${upper}${(flags & 4) !== 0 ? "]" : ")"}`
  }

const multirange =
  (one: ReadBinary<string>): ReadBinary<string> =>
  (bytes, offset, size, locale) => {
    const ranges: Array<string> = []
    let at = offset + 4
    if (int32(bytes, offset) * 4 > size) throw malformed()
    for (let left = int32(bytes, offset); left > 0; left--) {
      const length = int32(bytes, at)
      ranges.push(one(bytes, at + 4, length, locale))
      at += 4 + length
    }
    return `{${ranges.join(",")}}`
  }

/** Prints a field of this type; `undefined` where only the server can. `typeOf` gives the types of users. */
export const printer = (
  oid: number,
  typeOf: (oid: number) => PgType | undefined
): ReadBinary<string> | undefined => {
  const known = printers.get(oid)
  if (known !== undefined) return known
  const type = builtins.get(oid) ?? typeOf(oid)
  if (type?.kind === "enum") return utf8
  if (type?.kind !== "range" && type?.kind !== "multirange") return undefined
  const inner = printer(type.of, typeOf)
  if (inner === undefined) return undefined
  return type.kind === "range" ? range(inner) : multirange(inner)
}

/** Why a record cannot be given, and what to do. */
export const unprintable = (type: string): ReadBinary<never> => {
  const message = `is a record with a field of type ${type}, whose binary format only the server can print. Cast that field to text, or the record to a named composite type`
  return () => {
    throw new UnreadableValue(message)
  }
}
