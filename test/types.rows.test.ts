/**
 * Rows are read by a loop, and after many rows of one result by a function that is generated for it. Both are compared on
 * random rows, whole and damaged, and with names that would break out of the code.
 */
import { Buffer } from "node:buffer"
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import { oids } from "../src/types/BuiltinTypes.ts"
import * as GeneratedReader from "../src/types/GeneratedReader.ts"
import type { ReadBinary } from "../src/types/PgType.ts"
import { UnreadableValue } from "../src/types/PgType.ts"
import * as RowReader from "../src/types/RowReader.ts"
import * as TypeMap from "../src/types/TypeMap.ts"
import { withDatabase } from "./support/handle.ts"

const types = TypeMap.make({ int8: "number", timestamp: "date" })
const locale = { dateStyle: "ISO, MDY", isIso: true, intervalStyle: "postgres", timeZone: "UTC" }
const known = [
  oids.bool,
  oids.int2,
  oids.int4,
  oids.int8,
  oids.float8,
  oids.text,
  oids.timestamptz,
  oids.json,
  oids.bytea
]
const sizes = new Map<number, number>([
  [oids.bool, 1],
  [oids.int2, 2],
  [oids.int4, 4],
  [oids.int8, 8],
  [oids.float8, 8],
  [oids.timestamptz, 8]
])

/** A row's message content; a value of `undefined` is NULL. */
const message = (values: ReadonlyArray<Uint8Array | undefined>): Buffer => {
  const count = Buffer.alloc(2)
  count.writeUInt16BE(values.length)
  const parts = values.flatMap((value) => {
    const size = Buffer.alloc(4)
    size.writeInt32BE(value?.length ?? -1)
    return [size, value ?? Buffer.alloc(0)]
  })
  return Buffer.concat([count, ...parts])
}

const columnsAndRow = fc
  .array(
    fc.record({
      name: fc.oneof(
        fc.constantFrom("id", "name", "_a1", "constructor", "toString", "é", "a b"),
        fc.string()
      ),
      type: fc.constantFrom(...known),
      bytes: fc.option(fc.uint8Array({ minLength: 8, maxLength: 30 }), { nil: undefined, freq: 5 })
    }),
    { minLength: 1, maxLength: 12 }
  )
  .map((columns) => ({
    columns,
    row: message(columns.map(({ bytes, type }) => bytes?.subarray(0, sizes.get(type) ?? bytes.length)))
  }))

/** What a reader gives, or how it refuses. */
const outcome = (read: RowReader.ReadRow, row: Buffer): unknown => {
  try {
    const value = read(row, 0, row.length, locale)
    return Array.isArray(value) ? value : Object.entries(Object(value))
  } catch (error) {
    if (error instanceof UnreadableValue || error instanceof RowReader.MalformedRow) {
      return `${error.name}: ${error.message}`
    }
    throw error
  }
}

const damaged = fc.record({
  given: columnsAndRow,
  at: fc.nat(),
  byte: fc.nat({ max: 255 }),
  cut: fc.nat({ max: 3 }),
  isWhole: fc.boolean()
})

it("a result's rows, whole or damaged, are read the same before and after a reader was generated for it", () => {
  fc.assert(
    fc.property(damaged, ({ at, byte, cut, given: { columns, row }, isWhole }) => {
      const bytes = Buffer.from(row)
      if (!isWhole) bytes[at % bytes.length] = byte
      const sent = isWhole ? bytes : bytes.subarray(0, Math.max(2, bytes.length - cut))
      const binary = columns.map(() => true)
      for (const shape of ["object", "camel", "array"] as const) {
        const read = RowReader.make(types, columns, binary, shape)
        const first = outcome(read, sent)
        for (let turn = 0; turn < 299; turn++) outcome(read, sent)
        expect(outcome(read, sent)).toEqual(first)
        const overwritten = Buffer.from(sent)
        const kept = outcome(read, overwritten)
        overwritten.fill(0xff)
        expect(kept).toEqual(first)
      }
    }),
    { numRuns: 150 }
  )
})

const readers: ReadonlyArray<ReadBinary> = [(bytes, offset) => bytes[offset]]
const refusals = { malformed: (text: string) => new Error(text), located: () => new Error("located") }

it("no reader is generated for names that are not made of ASCII letters, digits and underscores", () => {
  const names = [
    "__proto__",
    'a"',
    "a: 1}; process.exit(1); {",
    "a\\",
    "",
    "1a",
    "é",
    "a\u2028b",
    "a\nb",
    "a-b",
    "$" + "{a}"
  ]
  for (const name of names) expect(GeneratedReader.generate([name], readers, refusals), name).toBeUndefined()
  expect(GeneratedReader.generate(["A_1"], readers, refusals)).toBeTypeOf("function")
})

const attacks = [
  '"}; globalThis.stolen = 1; ({"',
  "__proto__",
  "`$" + "{globalThis.stolen = 1}`",
  "constructor",
  '\\"}'
]
const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`

withDatabase(
  "a thousand rows whose columns are named like code keep their names, and none of it runs",
  [],
  ({ pgdb }) =>
    Effect.gen(function* () {
      const list = attacks.map((name, index) => `i + ${index} as ${quoted(name)}`)
      const rows = yield* pgdb.select(`select ${list.join(", ")} from generate_series(1, 1000) i`)
      expect(Object.entries(rows[999] ?? {})).toEqual(attacks.map((name, index) => [name, 1000 + index]))
      expect(Object.hasOwn(globalThis, "stolen")).toBe(false)
      expect(Object.getPrototypeOf(rows[999])).toBe(Object.prototype)
    })
)

it("where a process allows no code to be generated, rows are read as before", async () => {
  const script = `
    import { Buffer } from "node:buffer"
    import * as RowReader from "./src/types/RowReader.ts"
    import * as TypeMap from "./src/types/TypeMap.ts"
    let allowed = true
    try { new Function("") } catch { allowed = false }
    const read = RowReader.make(TypeMap.make({ int8: "number", timestamp: "date" }), [{ name: "n", type: 16 }], [true], "object")
    const row = Buffer.from([0, 1, 0, 0, 0, 1, 1])
    let all = 0
    for (let turn = 0; turn < 1000; turn++) if (read(row, 0, row.length, {}).n === true) all++
    console.log(JSON.stringify({ allowed, all }))`
  const { stdout } = await promisify(execFile)(process.execPath, [
    "--disallow-code-generation-from-strings",
    "--import",
    "tsx",
    "--input-type=module",
    "--eval",
    script
  ])
  expect(JSON.parse(stdout)).toEqual({ allowed: false, all: 1000 })
})
