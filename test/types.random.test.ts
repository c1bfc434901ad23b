/**
 * Random values of every usual type: read, written back, compared.
 */
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import { database } from "./support/database.ts"
import { typed } from "./support/typed.ts"

const text = fc
  .string({ unit: "grapheme", maxLength: 30 })
  .filter((value) => !value.includes("\0") && !/\p{Surrogate}/u.test(value))
const jsonValue = fc
  .jsonValue({ noUnicodeString: false, maxDepth: 3 })
  .filter((value) => value !== null && typeof value !== "string")
  .map((value) => JSON.parse(JSON.stringify(value).replaceAll("\\u0000", "").replaceAll("-0,", "0,")))
const date = fc.date({
  min: new Date("0001-01-01T00:00:00Z"),
  max: new Date("9999-12-31T00:00:00Z"),
  noInvalidDate: true
})
const hex = (length: number) =>
  fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: length, maxLength: length })

interface Column {
  readonly type: string
  readonly values: fc.Arbitrary<unknown>
}

/** Columns of 30 types; the values are what a select gives. */
const columns: ReadonlyArray<Column> = [
  { type: "bool", values: fc.boolean() },
  { type: "int2", values: fc.integer({ min: -32768, max: 32767 }) },
  { type: "int4", values: fc.integer() },
  { type: "int8", values: fc.maxSafeInteger() },
  { type: "float4", values: fc.float({ noDefaultInfinity: false }) },
  { type: "float8", values: fc.double() },
  {
    type: "numeric",
    values: fc
      .tuple(fc.bigInt(-(10n ** 40n), 10n ** 40n), fc.stringMatching(/^[0-9]{0,20}$/))
      .map(([whole, part]) => (part === "" ? String(whole) : `${whole}.${part}`))
  },
  { type: "text", values: text },
  { type: "varchar", values: text },
  { type: "bytea", values: fc.uint8Array({ maxLength: 40 }) },
  { type: "uuid", values: fc.uuid() },
  { type: "jsonb", values: jsonValue },
  { type: "json", values: jsonValue },
  { type: "timestamptz", values: date },
  { type: "timestamp", values: date },
  { type: "date", values: date.map((value) => value.toISOString().slice(0, 10)) },
  { type: "time", values: date.map((value) => value.toISOString().slice(11, 19)) },
  { type: "int4[]", values: fc.array(fc.option(fc.integer()), { maxLength: 5 }) },
  { type: "text[]", values: fc.array(fc.option(text), { maxLength: 5 }) },
  { type: "float8[]", values: fc.array(fc.double(), { maxLength: 5 }) },
  { type: "timestamptz[]", values: fc.array(fc.option(date), { maxLength: 4 }) },
  { type: "jsonb[]", values: fc.array(jsonValue, { maxLength: 3 }) },
  {
    type: "text[]",
    values: fc.tuple(text, text, text, text).map(([a, b, c, d]) => [
      [a, b],
      [c, d]
    ])
  },
  {
    type: "int4range",
    values: fc
      .tuple(fc.integer({ min: -1000, max: 0 }), fc.integer({ min: 1, max: 1000 }))
      .map(([from, to]) => `[${from},${to})`)
  },
  { type: "inet", values: fc.ipV4().map((value) => `${value}/32`) },
  {
    type: "macaddr",
    values: fc.array(hex(2), { minLength: 6, maxLength: 6 }).map((parts) => parts.join(":"))
  },
  { type: "varbit", values: fc.string({ unit: fc.constantFrom("0", "1"), maxLength: 40 }) },
  { type: "mood", values: fc.constantFrom("sad", "ok", 'it\'s "fine"') },
  {
    type: "pair",
    values: fc.record({ a: fc.option(fc.integer()), "b c": fc.option(text), at: fc.option(date) })
  },
  { type: "hstore", values: fc.dictionary(text, fc.option(text), { maxKeys: 4, noNullPrototype: true }) }
]

const open = Effect.fnUntraced(function* () {
  const db = yield* database()
  yield* db.witness.query("create extension hstore")
  yield* db.witness.query("create type mood as enum ('sad', 'ok', 'it''s \"fine\"')")
  yield* db.witness.query('create type pair as (a int, "b c" text, at timestamptz)')
  const session = yield* typed(db.settings)
  yield* session.run(
    `create table wide (n int, ${columns.map(({ type }, index) => `c${index} ${type}`).join(", ")})`
  )
  return session
})

const insert = `insert into wide values (${Array.from({ length: columns.length + 1 }, (_, index) => `$${index + 1}`).join(", ")}) returning *`

it.effect("any row of 30 types comes back as it was given", () =>
  Effect.gen(function* () {
    const session = yield* open()
    const rows = fc.sample(fc.tuple(...columns.map(({ values }) => fc.option(values))), 500)
    for (const row of rows) {
      const [back] = yield* session.run(insert, [1, ...row])
      expect(back).toEqual({ n: 1, ...Object.fromEntries(row.map((value, index) => [`c${index}`, value])) })
    }
  })
)

it.effect(
  "10 000 rows of 30 types, read, written back as they were read, and compared by the server",
  () =>
    Effect.gen(function* () {
      const session = yield* open()
      const rows = fc.sample(fc.tuple(...columns.map(({ values }) => fc.option(values))), 10_000)
      yield* session.run("create table again (like wide)")
      yield* session.expected(insert)
      const copy = insert.replace("into wide", "into again")
      yield* session.expected(copy)
      for (let start = 0; start < rows.length; start += 100) {
        const chunk = rows.slice(start, start + 100)
        yield* Effect.forEach(chunk, (row, index) => session.run(insert, [start + index, ...row]), {
          concurrency: "unbounded",
          discard: true
        })
      }
      const read = yield* session.run("select * from wide order by n")
      expect(read).toHaveLength(10_000)
      for (let start = 0; start < read.length; start += 100) {
        yield* Effect.forEach(
          read.slice(start, start + 100),
          (row) => session.run(copy, Object.values(row)),
          { concurrency: "unbounded", discard: true }
        )
      }
      expect(
        yield* session.run(
          "select count(*)::int as same from wide w join again a using (n) where w::text = a::text"
        )
      ).toEqual([{ same: 10_000 }])
    }),
  180_000
)
