/**
 * Dates and times: as `Date`, and as the text that the server shows with its default settings (ISO, `postgres` intervals).
 */
import type { Read } from "./Bytes.ts"
import { bigInt64, exactInt64, int32, twoDigits } from "./Bytes.ts"
import type { Zone } from "./TimeZone.ts"

/** Milliseconds and days between 1970 and 2000, from which Postgres counts. */
const epochMilliseconds = 946_684_800_000
const epochDays = 10_957
const dayMicroseconds = 86_400_000_000
const dayMicrosecondsLarge = 86_400_000_000n

const isInfinite = (bytes: Uint8Array, offset: number): number => {
  const high = int32(bytes, offset)
  const low = int32(bytes, offset + 4)
  return high === 0x7fffffff && low === -1 ? 1 : high === -0x80000000 && low === 0 ? -1 : 0
}

/** The high half of microseconds that are below 2^53. */
const exactHigh = 0x20_0000

/** A timestamp as `Date`, `Infinity` or `-Infinity`; `undefined` past the year 275760, where `Date` ends. */
export const readDate: Read<Date | number | undefined> = (bytes, offset) => {
  const high = int32(bytes, offset)
  // Microseconds within 285 years of 2000 are exact as a double.
  if (high < exactHigh && high >= -exactHigh) {
    const micros = high * 4_294_967_296 + (int32(bytes, offset + 4) >>> 0)
    const rest = micros % 1000
    return new Date((micros - (rest < 0 ? rest + 1000 : rest)) / 1000 + epochMilliseconds)
  }
  const infinite = isInfinite(bytes, offset)
  if (infinite !== 0) return infinite * Number.POSITIVE_INFINITY
  const large = bigInt64(bytes, offset)
  const date = new Date(Number((large - (((large % 1000n) + 1000n) % 1000n)) / 1000n) + epochMilliseconds)
  return Number.isNaN(date.getTime()) ? undefined : date
}

interface DateText {
  readonly days: number
  readonly text: string
  readonly era: string
}

/** The day written last: rows often share their days. */
let latest: DateText = { days: 0, text: "2000-01-01", era: "" }

/** `2024-02-29`, without the era: a year before 1 counts backwards and ends in ` BC`. */
const dateText = (days: number): DateText => {
  if (latest.days === days) return latest
  const z = days + epochDays + 719_468
  const era = Math.floor(z / 146_097)
  const dayOfEra = z - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const shifted = Math.floor((5 * dayOfYear + 2) / 153)
  const day = dayOfYear - Math.floor((153 * shifted + 2) / 5) + 1
  const month = shifted < 10 ? shifted + 3 : shifted - 9
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  const shown = year > 0 ? year : 1 - year
  const yearText = shown < 10_000 ? twoDigits[(shown / 100) | 0]! + twoDigits[shown % 100] : String(shown)
  latest = { days, text: `${yearText}-${twoDigits[month]}-${twoDigits[day]}`, era: year > 0 ? "" : " BC" }
  return latest
}

/** A fraction of a second without its trailing zeros. */
const fractionText = (micros: number): string => {
  if (micros === 0) return ""
  const first = (micros / 10_000) | 0
  const second = ((micros / 100) | 0) - first * 100
  const third = micros - first * 10_000 - second * 100
  const text = `.${twoDigits[first]}${second === 0 && third === 0 ? "" : twoDigits[second]}${third === 0 ? "" : twoDigits[third]}`
  return text.charCodeAt(text.length - 1) === 48 ? text.slice(0, -1) : text
}

/** `01:02:03.5` of the microseconds since midnight. */
const timeText = (micros: number): string => {
  const seconds = (micros / 1_000_000) | 0
  const minutes = (seconds / 60) | 0
  const hours = (minutes / 60) | 0
  const whole = `${twoDigits[hours]}:${twoDigits[minutes - hours * 60]}:${twoDigits[seconds - minutes * 60]}`
  const fraction = (micros - seconds * 1_000_000) | 0
  return fraction === 0 ? whole : whole + fractionText(fraction)
}

/** `+02`, `+05:30`, `-07:52:58` of the seconds east of UTC. */
const offsetText = (east: number): string => {
  const size = Math.abs(east)
  const seconds = size % 60
  const minutes = ((size / 60) | 0) % 60
  return `${east < 0 ? "-" : "+"}${twoDigits[(size / 3600) | 0]}${
    minutes === 0 && seconds === 0 ? "" : `:${twoDigits[minutes]}`
  }${seconds === 0 ? "" : `:${twoDigits[seconds]}`}`
}

export const readDateText: Read<string> = (bytes, offset) => {
  const days = int32(bytes, offset)
  if (days === 0x7fffffff) return "infinity"
  if (days === -0x80000000) return "-infinity"
  const { era, text } = dateText(days)
  return text + era
}

export const readTimeText: Read<string> = (bytes, offset) => timeText(exactInt64(bytes, offset))

export const readTimetzText: Read<string> = (bytes, offset) =>
  timeText(exactInt64(bytes, offset)) + offsetText(-int32(bytes, offset + 8))

/** A timestamp as text; with a zone, as the wall clock of that zone shows it. */
export const timestampText = (bytes: Uint8Array, offset: number, zone: Zone | undefined): string => {
  const exact = exactInt64(bytes, offset)
  let days: number
  let micros: number
  if (Number.isNaN(exact)) {
    const infinite = isInfinite(bytes, offset)
    if (infinite !== 0) return infinite > 0 ? "infinity" : "-infinity"
    const large = bigInt64(bytes, offset)
    const rest = ((large % dayMicrosecondsLarge) + dayMicrosecondsLarge) % dayMicrosecondsLarge
    days = Number((large - rest) / dayMicrosecondsLarge)
    micros = Number(rest)
  } else {
    days = Math.floor(exact / dayMicroseconds)
    micros = exact - days * dayMicroseconds
  }
  let suffix = ""
  if (zone !== undefined) {
    const east = zone(days * 86_400_000 + Math.floor(micros / 1000) + epochMilliseconds)
    suffix = offsetText(east)
    micros += east * 1_000_000
    if (micros < 0) {
      days--
      micros += dayMicroseconds
    } else if (micros >= dayMicroseconds) {
      days++
      micros -= dayMicroseconds
    }
  }
  const { era, text } = dateText(days)
  return `${text} ${timeText(micros)}${suffix}${era}`
}

const intervalTime = (
  bytes: Uint8Array,
  offset: number
): { readonly minus: boolean; readonly text: string } => {
  const exact = exactInt64(bytes, offset)
  if (!Number.isNaN(exact)) {
    const size = Math.abs(exact)
    const seconds = Math.floor(size / 1_000_000)
    const hours = (seconds / 3600) | 0
    const rest = (seconds - hours * 3600) | 0
    const minutes = (rest / 60) | 0
    const fraction = (size - seconds * 1_000_000) | 0
    return {
      minus: exact < 0,
      text: `${hours < 100 ? twoDigits[hours] : hours}:${twoDigits[minutes]}:${twoDigits[rest - minutes * 60]}${fractionText(fraction)}`
    }
  }
  const large = bigInt64(bytes, offset)
  const size = large < 0n ? -large : large
  const seconds = size / 1_000_000n
  const rest = Number(seconds % 3600n)
  return {
    minus: large < 0n,
    text: `${seconds / 3600n}:${twoDigits[Math.floor(rest / 60)]}:${twoDigits[rest % 60]}${fractionText(
      Number(size % 1_000_000n)
    )}`
  }
}

/** One field of an interval behind those before it; a sign is told where the field before was negative. */
const field = (before: string, afterMinus: boolean, value: number, unit: string): string =>
  value === 0
    ? before
    : `${before}${before === "" ? "" : " "}${afterMinus && value > 0 ? "+" : ""}${value} ${unit}${value === 1 ? "" : "s"}`

/**
 * An interval in the style `postgres`: `1 year 2 mons -3 days +04:05:06`. Since Postgres 17 the extreme values are
 * infinite; before it they were ordinary ones.
 */
export const intervalText = (bytes: Uint8Array, offset: number, hasInfinity: boolean): string => {
  const days = int32(bytes, offset + 8)
  const months = int32(bytes, offset + 12)
  if (hasInfinity) {
    const infinite = isInfinite(bytes, offset)
    if (infinite > 0 && days === 0x7fffffff && months === 0x7fffffff) return "infinity"
    if (infinite < 0 && days === -0x80000000 && months === -0x80000000) return "-infinity"
  }
  const years = (months / 12) | 0
  let text = field("", false, years, "year")
  let afterMinus = years < 0
  if (months !== years * 12) {
    text = field(text, afterMinus, months - years * 12, "mon")
    afterMinus = months < 0
  }
  if (days !== 0) {
    text = field(text, afterMinus, days, "day")
    afterMinus = days < 0
  }
  const isZero = int32(bytes, offset) === 0 && int32(bytes, offset + 4) === 0
  if (isZero && text !== "") return text
  const time = intervalTime(bytes, offset)
  return `${text === "" ? "" : `${text} `}${time.minus ? "-" : afterMinus ? "+" : ""}${time.text}`
}
