/** What a bulk writer wrote is read back as the value that an error tells of. */
import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { writerOf } from "../src/types/BinaryWriter.ts"
import { oids } from "../src/types/BuiltinTypes.ts"
import * as Sink from "../src/types/Sink.ts"
import { make } from "../src/types/TypeLookup.ts"
import { readerOf } from "../src/types/WrittenField.ts"
import { sample, seed } from "./support/random.ts"

const types = make(new Map())

const back = (oid: number, value: unknown): unknown => {
  const write = writerOf(types, oid)
  const sink = Sink.make(16)
  assert.isTrue(write?.(sink, value), `${oid}: ${inspect(value)}`)
  return readerOf(types, oid)(sink.bytes, 4, sink.at - 4)
}

const day = fc.date({ min: new Date("0001-01-01"), max: new Date("9999-12-31"), noInvalidDate: true })
/** Later ones have no whole number of microseconds, and go as text. */
const time = fc.date({ min: new Date("1800-01-01"), max: new Date("2200-01-01"), noInvalidDate: true })
const decimal = fc
  .tuple(fc.boolean(), fc.bigInt({ min: 0n, max: 10n ** 30n }), fc.integer({ min: 0, max: 20 }))
  .map(([isNegative, digits, scale]) => {
    const text = digits.toString().padStart(scale + 1, "0")
    const point = text.length - scale
    const sign = isNegative && digits > 0n ? "-" : ""
    return `${sign}${text.slice(0, point)}${scale > 0 ? `.${text.slice(point)}` : ""}`
  })
const json = fc.jsonValue({ maxDepth: 2 }).filter((value) => value !== null)
const same = (value: unknown): unknown => value

const kinds: ReadonlyArray<
  readonly [oid: number, values: fc.Arbitrary<unknown>, expected?: (value: unknown) => unknown]
> = [
  [oids.bool, fc.boolean()],
  [oids.int2, fc.integer({ min: -32_768, max: 32_767 })],
  [oids.int4, fc.integer()],
  [oids.int8, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })],
  [oids.float8, fc.double()],
  [oids.float4, fc.integer({ min: -1000, max: 1000 }).map((value) => value / 8)],
  [oids.text, fc.string({ unit: "grapheme" })],
  [oids.varchar, fc.string()],
  [oids.bytea, fc.uint8Array()],
  [oids.date, day.map((date) => date.toISOString().slice(0, 10))],
  [oids.timestamp, time],
  [oids.timestamptz, fc.oneof(time, fc.constantFrom(Infinity, -Infinity))],
  [oids.uuid, fc.uuid()],
  [oids.numeric, decimal],
  [oids.json, json, (value) => JSON.parse(JSON.stringify(value))],
  [oids.jsonb, json, (value) => JSON.parse(JSON.stringify(value))],
  [1007, fc.array(fc.option(fc.integer()))],
  [1009, fc.array(fc.option(fc.string()))],
  [1231, fc.array(fc.option(decimal))]
]

describe("a written field", () => {
  it(`is read back as it was (SEED=${seed})`, () => {
    for (const [oid, values, expected = same] of kinds) {
      for (const value of sample(values, 300)) assert.deepStrictEqual(back(oid, value), expected(value))
    }
  })

  it("of an enum is its label", () => {
    const mood = {
      oid: 20_000,
      name: "mood",
      kind: "enum",
      of: 0,
      array: 0,
      delimiter: ",",
      attributes: [],
      labels: ["it's ok"],
      output: ""
    } as const
    const own = make(new Map([[mood.oid, mood]]))
    const sink = Sink.make(16)
    assert.isTrue(writerOf(own, mood.oid)?.(sink, "it's ok"))
    assert.strictEqual(readerOf(own, mood.oid)(sink.bytes, 4, sink.at - 4), "it's ok")
  })
})
