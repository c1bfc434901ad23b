/**
 * `timestamp` and `timestamptz` as `Date`, from either format and whatever the session sets.
 *
 * The binary format is microseconds since 2000 and depends on nothing. The text format follows `DateStyle` and `TimeZone`. The
 * four styles are recognised by their form: one that was set unseen, by a function for instance, is not read as another. An order of
 * day and month, or a zone, is not seen where a statement of a batch sets it by a function and prints by it.
 */
import { bigInt64, int32 } from "./Bytes.ts"
import type { Locale, ReadBinary, ReadText } from "./PgType.ts"
import { UnreadableValue } from "./PgType.ts"
import { eastOf, zoneOf } from "./TimeZone.ts"

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

const clock = String.raw`(?<hour>\d\d):(?<minute>\d\d):(?<second>\d\d)(?:\.(?<fraction>\d{1,3})\d*)?`
/** An offset, an abbreviation such as `CET`, or nothing. */
const zone = String.raw`(?: ?(?<zone>[+-][\d:]+|(?!BC$)[A-Za-z_/]+))?(?<bc> BC)?`
/** With the first word of `DateStyle`. */
const styles = [
  ["ISO", String.raw`(?<year>\d{4,})-(?<month>\d\d)-(?<day>\d\d)[ T]${clock}`],
  ["German", String.raw`(?<day>\d\d)\.(?<month>\d\d)\.(?<year>\d{4,}) ${clock}`],
  ["SQL", String.raw`(?<first>\d\d)/(?<other>\d\d)/(?<year>\d{4,}) ${clock}`],
  ["Postgres", String.raw`[A-Z][a-z]{2} (?<name>[A-Z][a-z]{2}) (?<day>\d\d) ${clock} (?<year>\d{4,})`],
  ["Postgres", String.raw`[A-Z][a-z]{2} (?<day>\d\d) (?<name>[A-Z][a-z]{2}) ${clock} (?<year>\d{4,})`]
].map(([style = "", form = ""]) => ({ style, form: new RegExp(`^${form}${zone}$`) }))
const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

type Fields = Readonly<Record<string, string | undefined>>

const fieldsOf = (text: string, { dateStyle }: Locale): Fields | undefined => {
  for (const { form, style } of styles) {
    const found = form.exec(text)
    if (found !== null && (style === "ISO" || dateStyle.startsWith(style))) return found.groups
  }
  return undefined
}

/** The local time of these fields as if it were UTC. */
const localOf = (fields: Fields, { dateStyle }: Locale): number => {
  const { bc, first, fraction = "", hour, minute, name, other, second } = fields
  const [day, month] = dateStyle.endsWith("DMY") ? [first, other] : [other, first]
  const year = Number(fields.year)
  const date = new Date(0)
  date.setUTCFullYear(
    bc === undefined ? year : 1 - year,
    name === undefined ? Number(fields.month ?? month) - 1 : months.indexOf(name) / 3,
    Number(fields.day ?? day)
  )
  return date.setUTCHours(Number(hour), Number(minute), Number(second), Number(fraction.padEnd(3, "0")))
}

const numericZone = /^(?:$|[+-]\d\d)/

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
  const fields = fieldsOf(text, locale)
  if (fields === undefined) {
    throw new UnreadableValue("is a timestamp in another DateStyle than the session had. Run it again")
  }
  const local = localOf(fields, locale)
  const { zone = "" } = fields
  const instant = numericZone.test(zone) ? local - eastOf(zone) * 1000 : byAbbreviation(local, zone, locale)
  const date = new Date(instant)
  if (Number.isNaN(date.getTime())) throw pastDate()
  return date
}
