/** Printing without the server: doubles by the shortest digits, times and numbers at their limits. */
import { expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { putShortest } from "../src/codec/Shortest.ts"

const target = new Uint8Array(64)

/** The text, or nothing where it is left to `String`. */
const shortest = (value: number): string | undefined => {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleBE(value)
  const end = putShortest(target, 0, bytes, 0)
  return end === 0 ? undefined : Buffer.from(target).toString("latin1", 0, end)
}

it("doubles have the digits that String gives them", () => {
  const doubles = fc.oneof(
    fc.double({ min: 0.0001, max: 1e8, noNaN: true }),
    fc.double({ min: 0.0001, max: 100, noNaN: true }),
    fc
      .tuple(fc.integer({ min: 0, max: 1_000_000 }), fc.integer({ min: 1, max: 1_000_000 }))
      .map(([a, b]) => a / b)
  )
  fc.assert(
    fc.property(doubles, (value) => {
      const text = shortest(value)
      if (text !== undefined) expect(text).toBe(String(value))
    }),
    { numRuns: 20_000 }
  )
})

it("most doubles of full precision are taken, and what is outside or in doubt is not", () => {
  expect(shortest(1 / 7)).toBe("0.14285714285714285")
  expect(shortest(123456.78901234567)).toBe("123456.78901234567")
  expect(shortest(0.00012345678901234567)).toBe("0.00012345678901234567")
  expect(shortest(99_999_999.99999999)).toBe("99999999.99999999")
  for (const value of [0, 1e-5, 1e8, 0.00390625, Infinity, Number.NaN, 5e-324])
    expect(shortest(value)).toBeUndefined()
})
