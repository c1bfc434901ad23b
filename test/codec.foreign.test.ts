/**
 * What the test server cannot show: money in other locales, and types of extensions that it does not have.
 */
import { describe, expect, it } from "@effect/vitest"
import { moneyFormat, moneyText } from "../src/codec/Numbers.ts"
import { baseReader } from "../src/codec/Scalars.ts"
import { makeSession } from "../src/codec/Session.ts"
import { zoneOf } from "../src/codec/TimeZone.ts"

const int64 = (value: bigint): Uint8Array => {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigInt64(0, value)
  return bytes
}

describe("money", () => {
  // The texts of 1234567 and −1234567 units, then values in the smallest unit and their texts.
  const locales: ReadonlyArray<readonly [string, string, string, Record<string, string>]> = [
    [
      "C",
      "$1,234,567.00",
      "-$1,234,567.00",
      { "0": "$0.00", "5": "$0.05", "-123456": "-$1,234.56", "99999": "$999.99" }
    ],
    ["de_DE", "1.234.567,00 €", "-1.234.567,00 €", { "123456789": "1.234.567,89 €", "-5": "-0,05 €" }],
    ["ja_JP", "￥1,234,567", "-￥1,234,567", { "0": "￥0", "-1000": "-￥1,000" }],
    ["pl_PL", "1 234 567,00 zł", "-1 234 567,00 zł", { "100000": "1 000,00 zł" }],
    ["no groups", "1234567.00", "(1234567.00)", { "-123456789": "(1234567.89)" }],
    ["ar_BH", "1,234,567.000 BD", "-1,234,567.000 BD", { "1234567": "1,234.567 BD" }],
    ["groups of four", "$123,4567.00", "-$123,4567.00", { "1234567890": "$1234,5678.90" }]
  ]
  for (const [locale, positive, negative, texts] of locales) {
    it(locale, () => {
      const format = moneyFormat(positive, negative)
      for (const [units, text] of Object.entries(texts))
        expect(moneyText(int64(BigInt(units)), 0, format)).toBe(text)
      const largest = moneyText(int64(-(2n ** 63n)), 0, format)
      expect(largest.replaceAll(/\D/g, "")).toBe("9223372036854775808")
    })
  }
})

describe("extensions", () => {
  const session = makeSession({ int8: "number", timestamp: "date" })
  const read = (send: string, bytes: ReadonlyArray<number>): unknown => {
    // Values lie in the middle of a message.
    const message = Uint8Array.from([9, 9, 9, ...bytes, 9, 9])
    return baseReader(session, 99999, send).value(message, 3, bytes.length)
  }

  it("vector is an array of numbers", () => {
    expect(read("vector_send", [0, 2, 0, 0, 0x3f, 0xc0, 0, 0, 0xbf, 0x80, 0, 0])).toEqual([1.5, -1])
  })

  it("geometry and geography are the hexadecimal form that psql shows", () => {
    expect(read("geometry_send", [1, 1, 0, 0, 0x20, 0xe6, 0x10, 0xab])).toBe("0101000020E610AB")
    expect(read("geography_send", [0xff])).toBe("FF")
  })
})

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
  })
})
