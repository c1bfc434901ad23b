/**
 * `timestamp` and `timestamptz` as `Date`, from either format and whatever the session sets.
 *
 * The binary format is microseconds since 2000 and depends on nothing. The text format follows `DateStyle` and `TimeZone`:
 * the four styles are recognised by their form, so a style that was set without this program's knowledge is not read as another.
 */
import { bigInt64, int32 } from "./Bytes.ts"
import type { Locale, ReadBinary, ReadText } from "./PgType.ts"
import { UnreadableValue } from "./PgType.ts"
import { zoneOf } from "./TimeZone.ts"

/** Between 1970 and 2000, from which Postgres counts. */
const epochMilliseconds = 946_684_800_000

const pastDate = () =>
  new UnreadableValue(
    'is a timestamp past the year 275760, where Date ends. Set timestamp: "string", or cast the value to text'
  )

/** The high half of microseconds below 2^43 thousands, whose thousandth a double can distinguish from the next whole number. */
const exactHigh = 2_000_000

/** Microseconds since 2000 as a `Date`; the smallest and the largest are `-Infinity` and `Infinity`. */
export const fromBinary: ReadBinary<Date | number> = (bytes, offset) => {
  const high = int32(bytes, offset)
  const low = int32(bytes, offset + 4)
  if (high < exactHigh && high >= -exactHigh) {
    return new Date(Math.floor((high * 4_294_967_296 + (low >>> 0)) / 1000) + epochMilliseconds)
  }
  if (high === 0x7fffffff && low === -1) return Number.POSITIVE_INFINITY
  if (high === -0x80000000 && low === 0) return Number.NEGATIVE_INFINITY
  const micros = bigInt64(bytes, offset)
  const date = new Date(Number((micros - (((micros % 1000n) + 1000n) % 1000n)) / 1000n) + epochMilliseconds)
  if (Number.isNaN(date.getTime())) throw pastDate()
  return date
}

interface Fields {
  readonly year: number
  readonly month: number
  readonly day: number
  readonly hour: number
  readonly minute: number
  readonly second: number
  readonly millisecond: number
  /** `+02`, `-03:30`, an abbreviation such as `CET`, or nothing. */
  readonly zone: string
}

const clock = String.raw`(\d\d):(\d\d):(\d\d)(?:\.(\d{1,3})\d*)?`
const zone = String.raw`(?: ?([+-][\d:]+|(?!BC$)[A-Za-z_/]+))?( BC)?`
const iso = new RegExp(`^(\\d{4,})-(\\d\\d)-(\\d\\d)[ T]${clock}${zone}$`)
const german = new RegExp(`^(\\d\\d)\\.(\\d\\d)\\.(\\d{4,}) ${clock}${zone}$`)
const sql = new RegExp(`^(\\d\\d)/(\\d\\d)/(\\d{4,}) ${clock}${zone}$`)
const postgres = new RegExp(
  `^[A-Z][a-z]{2} (?:([A-Z][a-z]{2}) (\\d\\d)|(\\d\\d) ([A-Z][a-z]{2})) ${clock} (\\d{4,})${zone}$`
)
const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

const fieldsOf = (
  [year, month, day]: readonly [year: number, month: number, day: number],
  [hour, minute, second, fraction, zone, bc]: ReadonlyArray<string | undefined>
): Fields => ({
  year: bc === undefined ? year : 1 - year,
  month,
  day,
  hour: Number(hour),
  minute: Number(minute),
  second: Number(second),
  millisecond: Number((fraction ?? "").padEnd(3, "0")),
  zone: zone ?? ""
})

const parse = (text: string, { dateStyle }: Locale): Fields | undefined => {
  let found = iso.exec(text)
  if (found !== null) {
    return fieldsOf([Number(found[1]), Number(found[2]), Number(found[3])], found.slice(4))
  }
  found = german.exec(text)
  if (found !== null) {
    return fieldsOf([Number(found[3]), Number(found[2]), Number(found[1])], found.slice(4))
  }
  found = sql.exec(text)
  if (found !== null) {
    const [first, second] = [Number(found[1]), Number(found[2])]
    const isDayFirst = dateStyle.endsWith("DMY")
    return fieldsOf(
      [Number(found[3]), isDayFirst ? second : first, isDayFirst ? first : second],
      found.slice(4)
    )
  }
  found = postgres.exec(text)
  if (found === null) return undefined
  const month = months.indexOf(found[1] ?? found[4] ?? "") / 3 + 1
  return fieldsOf(
    [Number(found[9]), month, Number(found[2] ?? found[3])],
    [...found.slice(5, 9), found[10], found[11]]
  )
}

const utcOf = ({ day, hour, millisecond, minute, month, second, year }: Fields): number => {
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  return date.setUTCHours(hour, minute, second, millisecond)
}

const numericZone = /^([+-])(\d\d)(?::?(\d\d))?(?::?(\d\d))?$/

const abbreviationAt = (timeZone: string, at: number): string | undefined =>
  new Intl.DateTimeFormat("en-US", { timeZone, timeZoneName: "short" })
    .formatToParts(at)
    .find(({ type }) => type === "timeZoneName")?.value

/** The instant of a local time whose zone is given by an abbreviation: the session's own zone says which offset that is. */
const byAbbreviation = (local: number, abbreviation: string, { timeZone }: Locale): number => {
  const zone = zoneOf(timeZone)
  const offsets = zone === undefined ? [] : [zone(local - 86_400_000), zone(local + 86_400_000)]
  const instants = [...new Set(offsets)]
    .map((offset) => ({ at: local - offset * 1000, offset }))
    .filter(({ at, offset }) => zone?.(at) === offset)
  const named = instants.filter(({ at }) => abbreviationAt(timeZone, at) === abbreviation)
  const [found, ...others] = instants.length === 1 ? instants : named
  if (found !== undefined && others.length === 0) return found.at
  throw new UnreadableValue(
    `is a timestamptz in a DateStyle whose zone ${abbreviation} does not tell the instant. Set DateStyle to ISO`
  )
}

/** The text of a `timestamp` or `timestamptz` as a `Date`, `Infinity` or `-Infinity`. */
export const fromText: ReadText<Date | number> = (text, locale) => {
  if (text === "infinity") return Number.POSITIVE_INFINITY
  if (text === "-infinity") return Number.NEGATIVE_INFINITY
  const fields = parse(text, locale)
  if (fields === undefined) throw new UnreadableValue("is a timestamp in a form that is not known")
  const local = utcOf(fields)
  const offset = numericZone.exec(fields.zone)
  const seconds =
    offset === null ? 0 : Number(offset[2]) * 3600 + Number(offset[3] ?? 0) * 60 + Number(offset[4] ?? 0)
  const instant =
    fields.zone === "" || offset !== null
      ? local - (offset?.[1] === "-" ? -seconds : seconds) * 1000
      : byAbbreviation(local, fields.zone, locale)
  const date = new Date(instant)
  if (Number.isNaN(date.getTime())) throw pastDate()
  return date
}
