/**
 * Random values of every usual type: read, written back, compared.
 */
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import { json } from "../src/statement/Json.ts"
import { database } from "./support/database.ts"
import { seed } from "./support/random.ts"
import { type Row, typed } from "./support/typed.ts"

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
  /** Scalars and arrays are json by `PG.json`. */
  readonly isJson?: boolean
  /** The shortest number that is this single comes back. */
  readonly isSingle?: boolean
}

/** Columns of 30 types; the values are what a select gives. */
const columns: ReadonlyArray<Column> = [
  { type: "bool", values: fc.boolean() },
  { type: "int2", values: fc.integer({ min: -32768, max: 32767 }) },
  { type: "int4", values: fc.integer() },
  { type: "int8", values: fc.maxSafeInteger() },
  { type: "float4", values: fc.float({ noDefaultInfinity: false }), isSingle: true },
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
  { type: "jsonb", values: jsonValue, isJson: true },
  { type: "json", values: jsonValue, isJson: true },
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
  { type: "inet", values: fc.ipV4().map((value) => `${value}/24`) },
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

/** A row as parameters. */
const sent = (row: ReadonlyArray<unknown>): ReadonlyArray<unknown> =>
  row.map((value, index) => (columns[index]?.isJson === true && value !== null ? json(value) : value))

/** A row as it comes back, with its singles as they were given. */
const given = (row: Row | undefined): Row =>
  Object.fromEntries(
    Object.entries(row ?? {}).map(([name, value]) => {
      const isSingle = columns[Number(name.slice(1))]?.isSingle === true && typeof value === "number"
      return [name, isSingle ? Math.fround(value) : value]
    })
  )

it.effect("any row of 30 types comes back as it was given", () =>
  Effect.gen(function* () {
    const session = yield* open()
    const rows = fc.sample(fc.tuple(...columns.map(({ values }) => fc.option(values))), 500)
    for (const row of rows) {
      const [back] = yield* session.run(insert, [1, ...sent(row)])
      expect(given(back)).toEqual({
        n: 1,
        ...Object.fromEntries(row.map((value, index) => [`c${index}`, value]))
      })
    }
  })
)

/** How many rows are made up. */
const count = Number(process.env.RANDOM_ROWS ?? 3_000)

it.effect(
  `${count} rows of 30 types, read, written back as they were read, and compared by the server`,
  () =>
    Effect.gen(function* () {
      const session = yield* open()
      const rows = fc.sample(fc.tuple(...columns.map(({ values }) => fc.option(values))), count)
      yield* session.run("create table again (like wide)")
      const copy = insert.replace("into wide", "into again")
      for (let start = 0; start < rows.length; start += 100) {
        const chunk = rows.slice(start, start + 100)
        yield* Effect.forEach(chunk, (row, index) => session.run(insert, [start + index, ...sent(row)]), {
          concurrency: "unbounded",
          discard: true
        })
      }
      // As text at the first run, in binary where that is the better format at the second.
      const read = yield* session.run("select * from wide order by n")
      expect(read).toHaveLength(count)
      const again = yield* session.run("select * from wide order by n")
      expect(again.map(given)).toEqual(read.map(given))
      for (let start = 0; start < read.length; start += 100) {
        yield* Effect.forEach(
          read.slice(start, start + 100),
          ({ n, ...row }) => session.run(copy, [n, ...sent(Object.values(row))]),
          { concurrency: "unbounded", discard: true }
        )
      }
      expect(
        yield* session.run(
          "select count(*)::int as same from wide w join again a using (n) where w::text = a::text"
        )
      ).toEqual([{ same: count }])
    }),
  180_000
)

const singles = [
  0, 1.1, 0.1, 16_777_216, 33_554_448, 1e-45, 1.1754943508222875e-38, 3.4028234663852886e38, 123456.7
]

it.effect("a float4 is the number that the server prints, at the first run and the second", () =>
  Effect.gen(function* () {
    const session = yield* typed((yield* database()).settings)
    const values = [
      ...singles.map(Math.fround),
      ...fc.sample(fc.float({ noNaN: true, noDefaultInfinity: true }), 20_000)
    ]
    const list = values.map((value) => (Object.is(value, -0) ? "-0" : String(value))).join(",")
    const text = `select v, v::text as text from unnest('{${list}}'::float4[]) as numbers (v)`
    for (const run of ["first", "second"]) {
      const rows = yield* session.run(text)
      expect(rows).toHaveLength(values.length)
      const wrong = rows.filter(({ v, text }) => !Object.is(v, Number(text)))
      expect(wrong.slice(0, 20), `at the ${run} run`).toEqual([])
    }
  })
)

/** Fields with values from `random()`, each of a type that the server prints for others and that is printed here in a record. */
const printed = [
  "round((random() * 2 - 1)::numeric * 10::numeric ^ (random() * 30)::int, (random() * 20)::int)",
  "date '2000-01-01' + ((random() - 0.3) * 2000000)::int",
  "time '00:00' + make_interval(secs => round((random() * 86399)::numeric, (random() * 6)::int)::float8)",
  "timetz '12:00+00' at time zone make_interval(mins => (random() * 1400 - 700)::int)",
  "make_interval(months => (random() * 400 - 200)::int, days => (random() * 60 - 30)::int, secs => round((random() * 200000 - 100000)::numeric, (random() * 6)::int)::float8)",
  "make_interval(months => (random() * 4 - 2)::int, days => (random() * 4 - 2)::int, secs => (random() * 4 - 2)::int)",
  "md5(random()::text)::uuid",
  "int8range((random() * -1e15)::int8, (random() * 1e15)::int8, '(]')",
  "numrange(-random()::numeric, null, '[)')",
  "daterange(date '2000-01-01' - (random() * 1000000)::int, date '2000-01-02')",
  "tsrange(timestamp '2000-01-01' - make_interval(secs => random() * 1e11), timestamp '2000-01-01 00:00:00.5')",
  "int4multirange(int4range((random() * -1000)::int, 0), int4range(1, 2 + (random() * 1000)::int))"
]

it.effect("the fields of a record are printed as the server prints them", () =>
  Effect.gen(function* () {
    const session = yield* typed((yield* database()).settings)
    yield* session.run("select setseed($1::float8)", [(seed % 1000) / 1000])
    const names = printed.map((_, index) => `f${index}`)
    const rows = yield* session.run(
      `select row(${names.join(", ")}) as fields, array[${names.map((name) => `${name}::text`).join(", ")}] as texts
       from (select ${printed.map((field, index) => `${field} as f${index}`).join(", ")} from generate_series(1, 3000)) as v`
    )
    expect(rows).toHaveLength(3000)
    for (const { fields, texts } of rows) expect(fields, `seed ${seed}`).toEqual(texts)
  })
)
