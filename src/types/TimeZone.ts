/**
 * The session's time zone: how far from UTC it is at an instant, which the text of a `timestamptz` shows.
 *
 * Zones with a name are looked up with `Intl`; an offset is remembered per day, since it rarely changes within one.
 */
import { attempt } from "../statement/PlainObject.ts"

/** Seconds east of UTC at an instant given in milliseconds since 1970. */
export type Zone = (milliseconds: number) => number

const utc: Zone = () => 0

const utcNames = new Set("UTC UCT GMT Etc/UTC Etc/UCT Etc/GMT Zulu Etc/Zulu Universal GMT0".split(" "))
const day = 86_400_000
/** The Gregorian calendar repeats every 400 years, and so do the rules of a zone beyond its last change. */
const cycle = 146_097 * day
const latest = 8e12
/** Before this every zone is at its local mean time. */
const earliest = -1e13

/** `<+02>-02`, as `SET TIME ZONE 2` reports it: the sign is that of POSIX, west being positive. */
const posix = /^<[^>]*>[+-]?\d{1,3}(?::\d\d){0,2}$/
const offset = /([+-]?)(\d{1,3})(?::?(\d\d))?(?::?(\d\d))?$/

/** Seconds east of UTC by the offset at the end of a text: `+02`, `-03:30`, `GMT-04:56:02`; none is UTC. */
export const eastOf = (text: string): number => {
  const [, sign, hours = 0, minutes = 0, seconds = 0] = offset.exec(text) ?? []
  const all = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)
  return sign === "-" ? -all : all
}

const offsetAt = (format: Intl.DateTimeFormat, milliseconds: number): number =>
  eastOf(format.formatToParts(milliseconds).find(({ type }) => type === "timeZoneName")?.value ?? "")

const make = (name: string): Zone | undefined => {
  if (utcNames.has(name)) return utc
  if (posix.test(name)) {
    const west = eastOf(name)
    return () => -west
  }
  const format = attempt(
    () => new Intl.DateTimeFormat("en-US", { timeZone: name, timeZoneName: "longOffset" }),
    undefined
  )
  if (format === undefined) return undefined
  const days = new Map<number, number>()
  const startOf = (index: number): number => {
    const known = days.get(index)
    if (known !== undefined) return known
    if (days.size > 20_000) days.clear()
    const offset = offsetAt(format, index * day)
    days.set(index, offset)
    return offset
  }
  return (milliseconds) => {
    let at = Math.max(milliseconds, earliest)
    if (at > latest) at = latest + ((at - latest) % cycle)
    const index = Math.floor(at / day)
    const offset = startOf(index)
    return offset === startOf(index + 1) ? offset : offsetAt(format, at)
  }
}

/** A formatter takes tens of microseconds to make, and a program has few zones. */
const zones = /* @__PURE__ */ new Map<string, Zone | undefined>()
const mostZones = 100

/** The zone of this name, or `undefined` where this process does not know it; the server then has to print the value. */
export const zoneOf = (name: string): Zone | undefined => {
  if (!zones.has(name)) {
    if (zones.size >= mostZones) zones.clear()
    zones.set(name, make(name))
  }
  return zones.get(name)
}
