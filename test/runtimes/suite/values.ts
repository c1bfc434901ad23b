/** Values out and in, one promise for each type. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { PG } from "effect-global-pool"
import { assert, promise } from "./promise.ts"

const at = new Date("2026-03-01T15:30:00.123Z")

/** An expression and what it is in JavaScript. */
const read: ReadonlyArray<readonly [sql: string, value: unknown]> = [
  ["true", true],
  ["1::int2", 1],
  ["(-2147483648)::int4", -2147483648],
  ["9007199254740991::int8", 9007199254740991],
  ["1.1::float4", 1.1],
  ["'NaN'::float8", Number.NaN],
  ["1.50::numeric", "1.50"],
  ["'żółw 🐢'::text", "żółw 🐢"],
  ["'a'::char(3)", "a  "],
  ["'0b0e3f2c-8b5e-4f5e-9d4e-3f2c8b5e4f5e'::uuid", "0b0e3f2c-8b5e-4f5e-9d4e-3f2c8b5e4f5e"],
  [`'{"a": [1, null]}'::json`, { a: [1, null] }],
  [`'{"a": [1, null]}'::jsonb`, { a: [1, null] }],
  ["'\\x00ff'::bytea", new Uint8Array([0, 255])],
  ["'2026-03-01 15:30:00.123+00'::timestamptz", at],
  ["'infinity'::timestamptz", Number.POSITIVE_INFINITY],
  ["'2026-03-01'::date", "2026-03-01"],
  ["'1 day 02:00'::interval", "1 day 02:00:00"],
  [
    "'{{1,2},{3,NULL}}'::int[]",
    [
      [1, 2],
      [3, null]
    ]
  ],
  ["array['a,b', null, 'c\"']", ["a,b", null, 'c"']],
  ["(1, 'a')::pair", { id: 1, label: "a" }],
  ["(1, 'a'::text)", [1, "a"]],
  ["point(1, 2)", "(1,2)"],
  ["'[1,5)'::int4range", "[1,5)"],
  ["inet '10.0.0.1'", "10.0.0.1/32"],
  ["'ok'::mood", "ok"],
  ["array['ok']::mood[]", ["ok"]],
  ["null::int", null]
]

/** A type, and a value that comes back as it went in. */
const written: ReadonlyArray<readonly [type: string, value: unknown]> = [
  ["bool", false],
  ["int4", 42],
  ["int8", 2 ** 40],
  ["float8", 0.1],
  ["text", 'it\'s \\ "quoted"'],
  ["jsonb", { deep: [{ x: null }] }],
  ["bytea", new Uint8Array([0, 1, 254, 255])],
  ["timestamptz", at],
  ["int[]", [1, null, 3]],
  ["text[]", ["a", 'b"', ""]],
  ["pair", { id: 2, label: "b" }],
  ["mood", "ok"],
  ["uuid", "0b0e3f2c-8b5e-4f5e-9d4e-3f2c8b5e4f5e"]
]

export const values = [
  ...read.map(([sql, value]) =>
    promise(`${sql} is read, at the first run and later`, ({ pgdb }) =>
      Effect.gen(function* () {
        for (const _ of [1, 2]) {
          assert.deepEqual(yield* pgdb.selectValue(`select ${sql}`), Option.some(value))
        }
      })
    )
  ),
  ...written.map(([type, value]) =>
    promise(`a value of type ${type} comes back as it went in`, ({ pgdb }) =>
      Effect.gen(function* () {
        for (const _ of [1, 2]) {
          assert.deepEqual(yield* pgdb.selectValue(`select $1::${type}`, [value]), Option.some(value))
        }
      })
    )
  ),
  promise("PG.json makes json of an array", ({ pgdb }) =>
    Effect.map(pgdb.selectValue`select ${PG.json([1, "a"])}::jsonb`, (found) =>
      assert.deepEqual(found, Option.some([1, "a"]))
    )
  ),
  promise("a text of a megabyte goes there and back", ({ pgdb }) =>
    Effect.gen(function* () {
      const text = "é".repeat(500_000)
      assert.deepEqual(yield* pgdb.selectValue("select $1::text", [text]), Option.some(text))
    })
  ),
  promise("bytes of four megabytes go there and back", ({ pgdb }) =>
    Effect.gen(function* () {
      const bytes = new Uint8Array(4 << 20).map((_, index) => index * 7)
      const found = yield* pgdb.selectValue<Uint8Array>("select $1::bytea", [bytes])
      assert.ok(Option.isSome(found) && Buffer.compare(found.value, bytes) === 0)
    })
  )
]
