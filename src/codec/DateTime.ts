/**
 * Dates and times: as `Date`, and as the text that the server shows with its default settings (ISO, `postgres` intervals).
 */
import type { Read } from "./Bytes.ts"
import { bigInt64, exactInt64, int32 } from "./Bytes.ts"
import type { Output, Write } from "./Output.ts"
import { byte, digits, putDigits, putFour, putPair, text, withoutZeros } from "./Output.ts"
import type { Zone } from "./TimeZone.ts"
import { utc } from "./TimeZone.ts"

/** Milliseconds and days between 1970 and 2000, from which Postgres counts. */
const epochMilliseconds = 946_684_800_000
const epochDays = 10_957
const dayMicroseconds = 86_400_000_000
const dayMicrosecondsLarge = 86_400_000_000n

const space = 32
const plus = 43
const minus = 45
const dot = 46
const colon = 58
const pluralS = 115

const isInfinite = (bytes: Uint8Array, offset: number): number => {
  const high = int32(bytes, offset)
  const low = int32(bytes, offset + 4)
  return high === 0x7fffffff && low === -1 ? 1 : high === -0x80000000 && low === 0 ? -1 : 0
}

/** The high half of microseconds below 2^43 thousands, whose thousandth a double tells from the next whole number. */
const exactHigh = 2_000_000

/** A timestamp as `Date`, `Infinity` or `-Infinity`; `undefined` past the year 275760, where `Date` ends. */
export const readDate: Read<Date | number | undefined> = (bytes, offset) => {
  const high = int32(bytes, offset)
  if (high < exactHigh && high >= -exactHigh) {
    const micros = high * 4_294_967_296 + (int32(bytes, offset + 4) >>> 0)
    return new Date(Math.floor(micros / 1000) + epochMilliseconds)
  }
  const infinite = isInfinite(bytes, offset)
  if (infinite !== 0) return infinite * Number.POSITIVE_INFINITY
  const large = bigInt64(bytes, offset)
  const date = new Date(Number((large - (((large % 1000n) + 1000n) % 1000n)) / 1000n) + epochMilliseconds)
  return Number.isNaN(date.getTime()) ? undefined : date
}

interface Day {
  days: number
  year: number
  month: number
  day: number
}

/** The day printed last: rows often share their days. */
const latest: Day = { days: 0, year: 2000, month: 1, day: 1 }

/** The civil date of a day counted from 2000, by Howard Hinnant's `civil_from_days`. */
const dayOf = (days: number): Day => {
  if (latest.days === days) return latest
  const z = days + epochDays + 719_468
  const era = Math.floor(z / 146_097)
  const dayOfEra = z - era * 146_097
  const yearOfEra =
    ((dayOfEra - ((dayOfEra / 1460) | 0) + ((dayOfEra / 36_524) | 0) - ((dayOfEra / 146_096) | 0)) / 365) | 0
  const dayOfYear = dayOfEra - (365 * yearOfEra + ((yearOfEra / 4) | 0) - ((yearOfEra / 100) | 0))
  const shifted = ((5 * dayOfYear + 2) / 153) | 0
  latest.days = days
  latest.day = dayOfYear - (((153 * shifted + 2) / 5) | 0) + 1
  latest.month = shifted < 10 ? shifted + 3 : shifted - 9
  latest.year = yearOfEra + era * 400 + (latest.month <= 2 ? 1 : 0)
  return latest
}

/** `2024-02-29`, without the era: a year before 1 counts backwards and ends in ` BC`. */
const putDay = (target: Uint8Array, start: number, { day, month, year }: Day): number => {
  const shown = year > 0 ? year : 1 - year
  let at = shown < 10_000 ? putFour(target, start, shown) : putDigits(target, start, shown)
  target[at++] = minus
  at = putPair(target, at, month)
  target[at++] = minus
  return putPair(target, at, day)
}

/** The fraction of a second without its trailing zeros. */
const putFraction = (target: Uint8Array, at: number, micros: number): number => {
  if (micros === 0) return at
  target[at] = dot
  const first = (micros / 100) | 0
  const end = putPair(target, putFour(target, at + 1, first), micros - first * 100)
  return withoutZeros(target, end)
}

/** `01:02:03.5` of the microseconds since midnight. */
const putClock = (target: Uint8Array, start: number, micros: number): number => {
  const seconds = (micros / 1_000_000) | 0
  const minutes = (seconds / 60) | 0
  const hours = (minutes / 60) | 0
  let at = putPair(target, start, hours)
  target[at++] = colon
  at = putPair(target, at, minutes - hours * 60)
  target[at++] = colon
  at = putPair(target, at, seconds - minutes * 60)
  return putFraction(target, at, (micros - seconds * 1_000_000) | 0)
}

/** `+02`, `+05:30`, `-07:52:58` of the seconds east of UTC. */
const putOffset = (target: Uint8Array, start: number, east: number): number => {
  const size = Math.abs(east)
  target[start] = east < 0 ? minus : plus
  let at = putPair(target, start + 1, (size / 3600) | 0)
  const rest = size % 3600
  if (rest === 0) return at
  const seconds = rest % 60
  target[at++] = colon
  at = putPair(target, at, (rest / 60) | 0)
  if (seconds === 0) return at
  target[at++] = colon
  return putPair(target, at, seconds)
}

export const writeDate: Write = (out, bytes, offset) => {
  const days = int32(bytes, offset)
  if (days === 0x7fffffff) {
    text(out, "infinity")
    return
  }
  if (days === -0x80000000) {
    text(out, "-infinity")
    return
  }
  const day = dayOf(days)
  out.at = putDay(out.bytes, out.at, day)
  if (day.year <= 0) text(out, " BC")
}

export const writeTime: Write = (out, bytes, offset) => {
  out.at = putClock(out.bytes, out.at, exactInt64(bytes, offset))
}

export const writeTimetz: Write = (out, bytes, offset) => {
  const at = putClock(out.bytes, out.at, exactInt64(bytes, offset))
  out.at = putOffset(out.bytes, at, -int32(bytes, offset + 8))
}

/** A timestamp as text; with a zone, as the wall clock of that zone shows it. */
export const writeTimestamp = (
  out: Output,
  bytes: Uint8Array,
  offset: number,
  zone: Zone | undefined
): void => {
  const exact = exactInt64(bytes, offset)
  let days: number
  let micros: number
  if (Number.isNaN(exact)) {
    const infinite = isInfinite(bytes, offset)
    if (infinite !== 0) {
      text(out, infinite > 0 ? "infinity" : "-infinity")
      return
    }
    const large = bigInt64(bytes, offset)
    const rest = ((large % dayMicrosecondsLarge) + dayMicrosecondsLarge) % dayMicrosecondsLarge
    days = Number((large - rest) / dayMicrosecondsLarge)
    micros = Number(rest)
  } else {
    days = Math.floor(exact / dayMicroseconds)
    micros = exact - days * dayMicroseconds
  }
  let east = 0
  if (zone !== undefined && zone !== utc) {
    east = zone(days * 86_400_000 + Math.floor(micros / 1000) + epochMilliseconds)
    micros += east * 1_000_000
    if (micros < 0) {
      days--
      micros += dayMicroseconds
    } else if (micros >= dayMicroseconds) {
      days++
      micros -= dayMicroseconds
    }
  }
  const day = dayOf(days)
  const target = out.bytes
  let at = putDay(target, out.at, day)
  target[at++] = space
  at = putClock(target, at, micros)
  out.at = zone === undefined ? at : putOffset(target, at, east)
  if (day.year <= 0) text(out, " BC")
}

/** One field of an interval behind those before it; a sign is told where the field before was negative. */
const writeField = (out: Output, start: number, afterMinus: boolean, value: number, unit: string): void => {
  if (out.at > start) byte(out, space)
  if (value < 0) byte(out, minus)
  else if (afterMinus) byte(out, plus)
  digits(out, Math.abs(value))
  text(out, unit)
  if (value !== 1) byte(out, pluralS)
}

/** `04:05:06.5` of seconds below 2^53 and microseconds. */
const writeDuration = (out: Output, seconds: number, fraction: number): void => {
  const hours = Math.floor(seconds / 3600)
  const rest = seconds - hours * 3600
  const minutes = (rest / 60) | 0
  const target = out.bytes
  let at = hours < 100 ? putPair(target, out.at, hours) : putDigits(target, out.at, hours)
  target[at++] = colon
  at = putPair(target, at, minutes)
  target[at++] = colon
  at = putPair(target, at, rest - minutes * 60)
  out.at = putFraction(target, at, fraction)
}

/**
 * An interval in the style `postgres`: `1 year 2 mons -3 days +04:05:06`. Since Postgres 17 the extreme values are
 * infinite; before it they were ordinary ones.
 */
export const writeInterval = (out: Output, bytes: Uint8Array, offset: number, hasInfinity: boolean): void => {
  const days = int32(bytes, offset + 8)
  const months = int32(bytes, offset + 12)
  if (hasInfinity) {
    const infinite = isInfinite(bytes, offset)
    if (infinite > 0 && days === 0x7fffffff && months === 0x7fffffff) {
      text(out, "infinity")
      return
    }
    if (infinite < 0 && days === -0x80000000 && months === -0x80000000) {
      text(out, "-infinity")
      return
    }
  }
  const start = out.at
  const years = (months / 12) | 0
  if (years !== 0) writeField(out, start, false, years, " year")
  let afterMinus = years < 0
  if (months !== years * 12) {
    writeField(out, start, afterMinus, months - years * 12, " mon")
    afterMinus = months < 0
  }
  if (days !== 0) {
    writeField(out, start, afterMinus, days, " day")
    afterMinus = days < 0
  }
  const high = int32(bytes, offset)
  const isZero = high === 0 && int32(bytes, offset + 4) === 0
  if (isZero && out.at > start) return
  if (out.at > start) byte(out, space)
  if (high < 0) byte(out, minus)
  else if (afterMinus) byte(out, plus)
  const exact = Math.abs(exactInt64(bytes, offset))
  if (!Number.isNaN(exact)) {
    const seconds = Math.floor(exact / 1_000_000)
    writeDuration(out, seconds, exact - seconds * 1_000_000)
    return
  }
  const large = bigInt64(bytes, offset)
  const size = large < 0n ? -large : large
  writeDuration(out, Number(size / 1_000_000n), Number(size % 1_000_000n))
}
