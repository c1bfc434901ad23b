/** Offsets of time zones, which a timestamp in a style other than ISO needs. */
import { describe, expect, it } from "@effect/vitest"
import { zoneOf } from "../src/types/TimeZone.ts"

describe("time zones", () => {
  const at = (name: string, instant: string): number | undefined => zoneOf(name)?.(Date.parse(instant))

  it("change in the middle of a day", () => {
    expect(at("Europe/Warsaw", "2024-03-31T00:59:59.999Z")).toBe(3600)
    expect(at("Europe/Warsaw", "2024-03-31T01:00:00Z")).toBe(7200)
  })

  it("have seconds in the days of local mean time", () => {
    expect(at("America/New_York", "1800-01-01T00:00:00Z")).toBe(-17762)
  })

  it("go on by their last rule", () => {
    expect(at("America/New_York", "2999-07-01T00:00:00Z")).toBe(-4 * 3600)
    expect(at("America/New_York", "+200000-01-01T00:00:00Z")).toBe(-5 * 3600)
  })

  it("are offsets of POSIX form, west being positive", () => {
    expect(at("<+0530>-05:30", "2024-01-01T00:00:00Z")).toBe(19800)
    expect(at("<-03>+3", "2024-01-01T00:00:00Z")).toBe(-10800)
  })

  it("are left to the server where they are unknown here", () => {
    expect(zoneOf("Mars/Olympus_Mons")).toBeUndefined()
    expect(zoneOf("<CET>-1<CEST>,M3.5.0,M10.5.0/3")).toBeUndefined()
  })
})
