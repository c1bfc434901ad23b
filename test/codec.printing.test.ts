/** Printing without the server: doubles by the shortest digits. */
import { expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { putFloat8 } from "../src/codec/Numbers.ts"
import { putShortest } from "../src/codec/Shortest.ts"

const target = new Uint8Array(64)
const textUpTo = (end: number): string => Buffer.from(target).toString("latin1", 0, end)

const printed = (value: number): string => {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleBE(value)
  return textUpTo(putFloat8(target, 0, bytes, 0))
}

/** What the lowest bit of a double stands for. */
const unitOf = (value: number): number => {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleBE(value)
  return 2 ** (((bytes.readUInt16BE(0) >> 4) & 0x7ff) - 1075)
}

/** The text, or nothing where it is left to `String`. */
const shortest = (value: number): string | undefined => {
  const end = putShortest(target, 0, value, unitOf(value))
  return end === 0 ? undefined : textUpTo(end)
}

it("doubles have the digits that String gives them", () => {
  const doubles = fc.oneof(
    fc.double({ min: 0.0001, max: 1e8, noNaN: true }),
    fc
      .double({ min: -100, max: 100, noNaN: true })
      .filter((value) => value === 0 || Math.abs(value) >= 0.0001),
    fc
      .tuple(fc.integer({ min: 100, max: 1_000_000 }), fc.integer({ min: 1, max: 1_000_000 }))
      .map(([a, b]) => a / b),
    fc
      .tuple(fc.integer({ min: 0, max: 1_000_000_000 }), fc.integer({ min: 0, max: 8 }))
      .map(([digits, places]) => Number(`${digits}e-${places}`))
      .filter((value) => value === 0 || value >= 0.0001)
  )
  fc.assert(
    fc.property(doubles, (value) => {
      expect(printed(value)).toBe(Object.is(value, -0) ? "-0" : String(value))
      const text = Number.isInteger(value * 2 ** 20) || value < 0 ? undefined : shortest(value)
      if (text !== undefined) expect(text).toBe(String(value))
    }),
    { numRuns: 20_000 }
  )
})

it("most doubles of full precision are taken, and what is outside or in doubt has the server's text", () => {
  for (const value of [
    1 / 7,
    123456.78901234567,
    0.00012345678901234567,
    99_999_999.99999999,
    0.30000000000000004,
    9.999999999999998
  ]) {
    expect(shortest(value)).toBe(String(value))
    expect(printed(value)).toBe(String(value))
    expect(printed(-value)).toBe(`-${value}`)
  }
  expect(
    [0, -0, 1e-5, 1e8, 1e15, 0.00390625, 2 ** -12, Infinity, Number.NaN, 5e-324, 1e23, 99_999_999].map(
      printed
    )
  ).toEqual([
    "0",
    "-0",
    "1e-05",
    "100000000",
    "1e+15",
    "0.00390625",
    "0.000244140625",
    "Infinity",
    "NaN",
    "5e-324",
    "9.999999999999999e+22",
    "99999999"
  ])
})
