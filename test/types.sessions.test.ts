/**
 * What a session sets for itself decides what strings look like there, and nothing else: no Date, number, bytes or json
 * depends on it, and no other session of the pool.
 */
import { expect } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { PG, type PoolRegistry } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"

const strings = {
  span: "tstzrange('2024-07-01 00:00:00Z', '2024-12-01 12:30:00.25Z')",
  spans: "tstzmultirange(tstzrange('2024-07-01 00:00:00Z', null))",
  day: "date '2024-07-02'",
  lapse: "interval '-1 year 2 mons -3 days 04:05:06.5'",
  point: "point(1.0::float8 / 3, 0.1)",
  price: "'-1234567.8'::money",
  noon: "timetz '12:00:00+05:30'"
}
const columnsOf = (expressions: Readonly<Record<string, string>>): string =>
  Object.entries(expressions)
    .map(([name, sql]) => `${sql} as ${name}`)
    .join(", ")
const readStrings = `select ${columnsOf(strings)}`
const texts = `select ${Object.keys(strings)
  .map((name) => `${name}::text`)
  .join(", ")} from (${readStrings}) as _`

const instants = [
  "2024-07-01T00:00:00.000Z",
  "2024-12-01T12:30:00.250Z",
  "1999-12-31T23:59:59.999Z",
  "1970-01-01T00:00:00.000Z",
  "1901-06-01T12:34:56.789Z",
  "1850-01-01T00:00:00.000Z",
  "-000043-03-15T12:00:00.000Z",
  "+012024-01-01T00:00:00.000Z"
]
/** As Postgres reads them. */
const literals = [
  ...instants.slice(0, 6).map((text) => text.replace("999Z", "999999Z")),
  "0044-03-15 12:00:00Z BC",
  "12024-01-01 00:00:00Z"
]
const dates = `select ${literals
  .map(
    (text, index) => `'${text}'::timestamptz as z${index}, '${text.replace("Z", "")}'::timestamp as t${index}`
  )
  .join(", ")}, array['infinity', '-infinity', '2024-07-01 00:00:00Z']::timestamptz[] as list`
const expectedDates = {
  ...Object.fromEntries(
    instants.flatMap((text, index) => [
      [`z${index}`, new Date(text)],
      [`t${index}`, new Date(text)]
    ])
  ),
  list: [Infinity, -Infinity, new Date("2024-07-01T00:00:00Z")]
}

const styles = ["ISO, MDY", "German, DMY", "SQL, DMY", "SQL, MDY", "Postgres, DMY", "Postgres, MDY"]
const zones = [
  "UTC",
  "Europe/Warsaw",
  "America/New_York",
  "Asia/Kathmandu",
  "Australia/Lord_Howe",
  "<+02>-02"
]

const settings = [
  "set local time zone 'Asia/Tokyo'",
  "set local datestyle = 'German'",
  "set local intervalstyle = 'iso_8601'",
  "set local bytea_output = 'escape'",
  "set local extra_float_digits = -5"
]

/** A statement three times with these settings: at its first run, bound by its name, and never prepared. */
const thrice = Effect.fnUntraced(function* (
  to: PG.Settings,
  set: ReadonlyArray<string>,
  text: string,
  options: Partial<PG.Settings> = {}
) {
  const run = (pgdb: PG.Database, times: number) =>
    pgdb.transaction(
      Effect.gen(function* () {
        for (const statement of set) yield* pgdb.execute(statement)
        const rows: Array<unknown> = []
        for (let time = 0; time < times; time++) rows.push(...(yield* pgdb.select(text)))
        return rows
      })
    )
  const kept = PG.make({ ...to, ...options, maxConnections: 1, key: "kept" })
  const unkept = PG.make({ ...to, ...options, maxConnections: 1, key: "unkept", prepare: false })
  const rows = [...(yield* run(kept, 2)), ...(yield* run(unkept, 1))]
  yield* kept.terminate
  yield* unkept.terminate
  return rows
})

withDatabase(
  "while a transaction has other settings, its strings are what it prints, and others read as before",
  [],
  ({ settings: to, witness }) =>
    Effect.gen(function* () {
      const [usual] = yield* witness.query(texts)
      for (const statement of settings) yield* witness.query(statement.replace("local ", ""))
      const [unusual] = yield* witness.query(texts)
      expect(unusual).toMatchObject({ day: "02.07.2024", lapse: "P-10M-3DT4H5M6.5S" })
      const pgdb = PG.make({ ...to, maxConnections: 2 })
      expect(yield* pgdb.select(readStrings)).toEqual([usual])
      const isSet = yield* Deferred.make<void>()
      const isRead = yield* Deferred.make<void>()
      const setting = yield* Effect.forkChild(
        pgdb.transaction(
          Effect.gen(function* () {
            for (const statement of settings) yield* pgdb.execute(statement)
            yield* Deferred.succeed(isSet, undefined)
            yield* Deferred.await(isRead)
            return [yield* pgdb.select(readStrings), yield* pgdb.select(texts)]
          })
        )
      )
      yield* Deferred.await(isSet)
      expect(yield* pgdb.select(readStrings)).toEqual([usual])
      yield* Deferred.succeed(isRead, undefined)
      expect(yield* Fiber.join(setting)).toEqual([[unusual], [unusual]])
      expect(yield* pgdb.select(readStrings)).toEqual([usual])
    })
)

withDatabase(
  "the zone that the settings give a connection is the one that its strings show",
  [],
  ({ settings: to }) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...to, startupParameters: { TimeZone: "Asia/Kathmandu" } })
      expect(yield* pgdb.select(`select span, span::text as text from (${readStrings}) as _`)).toEqual([
        {
          span: '["2024-07-01 05:45:00+05:45","2024-12-01 18:15:00.25+05:45")',
          text: '["2024-07-01 05:45:00+05:45","2024-12-01 18:15:00.25+05:45")'
        }
      ])
    })
)

withDatabase(
  "a timestamp that the settings make a string is what the session prints",
  [],
  ({ settings: to }) =>
    Effect.gen(function* () {
      const text =
        "select '2024-07-01 00:00:00.123456Z'::timestamptz as z, array[timestamp '2024-07-01 00:00:00'] as t"
      const options = { timestamp: "string" } as const
      expect(yield* thrice(to, [], text, options)).toEqual(
        Array(3).fill({ z: "2024-07-01 00:00:00.123456+00", t: ["2024-07-01 00:00:00"] })
      )
      expect(yield* thrice(to, settings, text, options)).toEqual(
        Array(3).fill({ z: "01.07.2024 09:00:00.123456 JST", t: ["01.07.2024 00:00:00"] })
      )
    })
)

for (const style of styles) {
  withDatabase(`a Date is the same in every zone where DateStyle is ${style}`, [], ({ settings: to }) =>
    Effect.gen(function* () {
      for (const zone of zones) {
        const set = [`set local datestyle = '${style}'`, `set local time zone '${zone}'`]
        expect(yield* thrice(to, set, dates), zone).toEqual(Array(3).fill(expectedDates))
      }
    })
  )
}

withDatabase(
  "a Date in the hour that a change of the clocks repeats is the same in every DateStyle",
  [],
  ({ settings: to }) =>
    Effect.gen(function* () {
      for (const [zone, early, late] of [
        ["America/New_York", "2024-11-03T05:30:00Z", "2024-11-03T06:30:00Z"],
        ["Europe/Warsaw", "2024-10-27T00:30:00Z", "2024-10-27T01:30:00Z"]
      ] as const) {
        for (const style of styles) {
          const set = [`set local datestyle = '${style}'`, `set local time zone '${zone}'`]
          const text = `select '${early}'::timestamptz as early, '${late}'::timestamptz as late`
          expect(yield* thrice(to, set, text), `${zone}, ${style}`).toEqual(
            Array(3).fill({ early: new Date(early), late: new Date(late) })
          )
        }
      }
    })
)

withDatabase("a Date is right in a zone of a form that no other program knows", [], ({ settings: to }) =>
  Effect.gen(function* () {
    const set = ["set local datestyle = 'SQL'", "set local time zone 'XYZ+3:30ABC,M3.2.0,M11.1.0'"]
    const text = "select '2024-07-01 00:00:00Z'::timestamptz as z"
    expect(yield* thrice(to, set, text)).toEqual(Array(3).fill({ z: new Date("2024-07-01T00:00:00Z") }))
  })
)

withDatabase("bytes and json are the same whatever bytea_output says", [], ({ settings: to }) =>
  Effect.gen(function* () {
    const bytes = Uint8Array.from({ length: 256 }, (_, index) => index)
    const hex = Buffer.from(bytes).toString("hex")
    const text = `select '\\x${hex}'::bytea as b, array['\\x${hex}'::bytea, ''] as bs, '{"a": [1.5]}'::jsonb as j`
    for (const output of ["hex", "escape"]) {
      expect(yield* thrice(to, [`set local bytea_output = '${output}'`], text), output).toEqual(
        Array(3).fill({ b: bytes, bs: [bytes, new Uint8Array()], j: { a: [1.5] } })
      )
    }
  })
)

withDatabase("numbers have all their digits whatever extra_float_digits says", [], ({ settings: to }) =>
  Effect.gen(function* () {
    const text =
      "select 1.0::float8 / 3 as f8, 0.1::float4 as f4, array[2.0::float8 / 3] as list, '123456789.123456789'::float8 as n"
    const expected = { f8: 1 / 3, f4: 0.1, list: [2 / 3], n: 123456789.12345679 }
    for (const digits of [3, 1, 0, -5, -15]) {
      expect(yield* thrice(to, [`set local extra_float_digits = ${digits}`], text), String(digits)).toEqual(
        Array(3).fill(expected)
      )
    }
  })
)

const thirds = ["create table thirds (f8 float8)", "insert into thirds values (1.0::float8 / 3)"]
/** Of a session that prints floats with ten digits. */
const short = { maxConnections: 1, startupParameters: { extra_float_digits: "-5" } }

withDatabase(
  "numbers that a session's first transaction reads have all their digits",
  thirds,
  ({ settings: to }) =>
    Effect.gen(function* () {
      const expected = [{ f8: 1 / 3 }]
      for (const key of ["selected", "streamed"]) {
        const pgdb = PG.make({ ...to, ...short, key: `thirds_${key}` })
        const read = key === "selected" ? pgdb.select : (text: string) => Stream.runCollect(pgdb.stream(text))
        expect(yield* pgdb.transaction(read("select f8 from thirds")), key).toEqual(expected)
      }
    })
)

withDatabase(
  "numbers that a function gives have all their digits, or the first read says that they have not",
  thirds,
  ({ settings: to }) =>
    Effect.gen(function* () {
      const text = "select abs(f8) from thirds"
      const expected = [{ abs: 1 / 3 }]
      for (const key of ["alone", "inside"]) {
        const pgdb = PG.make({ ...to, ...short, key: `thirds_${key}` })
        const read = key === "alone" ? pgdb.select(text) : pgdb.transaction(pgdb.select(text))
        const error = yield* Effect.flip(read)
        expect(error.message, key).toContain("too few digits")
        expect(yield* read, key).toEqual(expected)
      }
      const [read, written] = yield* PG.make({ ...to, ...short, key: "thirds_batch" }).trans([
        text,
        "insert into thirds select max(f8) from thirds returning f8 as abs"
      ])
      expect([read?.rows, written?.rows]).toEqual([expected, expected])
    })
)

withDatabase(
  "numbers that a batch reads have all their digits, the first time and in a transaction",
  thirds,
  ({ settings: to }) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...to, ...short })
      const third = { f8: 1 / 3 }
      const reads = yield* PG.make({ ...to, ...short, key: "thirds_read" }).trans([
        "select f8 from thirds",
        "select 1 as n"
      ])
      expect(reads.map(({ rows }) => rows)).toEqual([[third], [{ n: 1 }]])
      const rowsOf = (text: string) =>
        Effect.map(pgdb.trans(["delete from thirds where false", text]), ([, read]) => read?.rows)
      expect(yield* rowsOf("select f8 from thirds")).toEqual([third])
      expect(yield* rowsOf("select f8 from thirds where true")).toEqual([third])
      expect(yield* pgdb.transaction(rowsOf("select f8 from thirds where not false"))).toEqual([third])
      const made = yield* pgdb.trans([
        "create table halves as select f8 / 2 as f8 from thirds",
        "select f8 from halves"
      ])
      expect(made[1]?.rows).toEqual([{ f8: 1 / 6 }])
    })
)

const setters: ReadonlyArray<string | readonly [string, ReadonlyArray<string>]> = [
  "set local datestyle = 'SQL, DMY'",
  "set local extra_float_digits = -5",
  "select set_config('datestyle', 'SQL, DMY', true)",
  ["select set_config($1, $2, true)", ["datestyle", "SQL, DMY"]],
  ["select set_config($1, $2, true)", ["extra_float_digits", "-5"]],
  "do $$ begin execute 'set local datest' || 'yle = ''SQL, DMY'''; end $$"
]

withDatabase(
  "a batch that sets how dates and numbers are printed reads them as they are, the first time too",
  ["create table t (at timestamptz, n float8)", "insert into t values ('2024-07-01Z', 1.0::float8 / 3)"],
  ({ settings: to }) =>
    Effect.gen(function* () {
      const text = "select at, n, array[at] as list from t"
      const at = new Date("2024-07-01T00:00:00Z")
      for (const [number, setter] of setters.entries()) {
        for (const prepare of [true, false]) {
          const key = `${number} ${prepare}`
          const pgdb = PG.make({ ...to, maxConnections: 1, key, prepare })
          for (const batch of [
            pgdb.trans([setter, text]),
            pgdb.trans([setter, text]),
            pgdb.transaction(pgdb.trans([setter, `${text} where true`]))
          ]) {
            expect((yield* batch)[1]?.rows, key).toEqual([{ at, n: 1 / 3, list: [at] }])
          }
          yield* pgdb.terminate
        }
      }
      const slashed = PG.make({ ...to, key: "slashed", startupParameters: { DateStyle: "SQL, DMY" } })
      expect((yield* slashed.trans(["set local datestyle = 'ISO'", "reset all", text]))[2]?.rows).toEqual([
        { at, n: 1 / 3, list: [at] }
      ])
    })
)

withDatabase(
  "a batch that sets its time zone or DateStyle reads a composite and a record by these",
  ["create type visit as (at timestamptz, address inet)"],
  ({ settings: to }) =>
    Effect.gen(function* () {
      const at = "2024-07-01T12:00:00.000Z"
      const visits = [{ v: { at: new Date(at), address: "10.0.0.1/32" } }]
      const startupParameters = { DateStyle: "SQL, DMY", TimeZone: "Europe/Warsaw" }
      const slashed = PG.make({ ...to, key: "slashed", startupParameters })
      const texts = PG.make({ ...to, key: "texts", timestamp: "string" })
      for (const setter of [
        "set local timezone to 'America/New_York'",
        "set local time zone 'America/New_York'",
        "set local datestyle = 'SQL, MDY'"
      ]) {
        const batch = slashed.trans([setter, `select row('${at}', '10.0.0.1')::visit as v`])
        for (const run of [batch, batch, slashed.transaction(batch)]) {
          expect((yield* run)[1]?.rows, setter).toEqual(visits)
        }
      }
      for (const setter of ["set local timezone to 'America/New_York'", "set time zone 'America/New_York'"]) {
        const record = texts.trans([setter, `select row('${at}'::timestamptz) as r`])
        for (const run of [record, record]) {
          expect((yield* run)[1]?.rows, setter).toEqual([{ r: ["2024-07-01 08:00:00-04"] }])
        }
      }
      const lapse = ["set local intervalstyle = 'iso_8601'", "select row(interval '1 day') as r"]
      const { message } = yield* Effect.flip(texts.trans(lapse))
      expect(message).toMatch(/IntervalStyle is iso_8601. Cast that field to text/)
    })
)

withDatabase(
  "a Date is not read by a DateStyle that a function has changed",
  [
    `create function restyle() returns int language plpgsql as $$ begin
       perform set_config('datestyle', 'SQL, DMY', true); return 1; end $$`
  ],
  ({ settings: to }) =>
    Effect.gen(function* () {
      const text = "select '2024-07-01 00:00:00Z'::timestamptz as at"
      const pgdb = PG.make({ ...to, maxConnections: 1 })
      const { message } = yield* Effect.flip(pgdb.trans(["select restyle()", text]))
      expect(message).toContain("another DateStyle than the session had")
      expect((yield* pgdb.trans(["select restyle()", text]))[1]?.rows).toEqual([
        { at: new Date("2024-07-01T00:00:00Z") }
      ])
    })
)

withDatabase(
  "a Date in a composite that is read as text is the same in every zone and DateStyle",
  ["create type visit as (at timestamptz, address inet)"],
  ({ settings: to }) =>
    Effect.gen(function* () {
      for (const at of ["2024-07-01T12:00:00.125Z", "2024-11-03T05:30:00Z"]) {
        for (const style of styles) {
          for (const zone of ["UTC", "Europe/Warsaw", "America/New_York"]) {
            const set = [`set local datestyle = '${style}'`, `set local time zone '${zone}'`]
            const text = `select row('${at}', '10.0.0.1')::visit as v`
            expect(yield* thrice(to, set, text), `${style}, ${zone}`).toEqual(
              Array(3).fill({ v: { at: new Date(at), address: "10.0.0.1/32" } })
            )
          }
        }
      }
    })
)

withDatabase(
  "a batch that sets DateStyle or the zone reads the Date of a composite that is read as text by them",
  [
    "create type visit as (at timestamptz, address inet)",
    `create function hidden(zone text, style text) returns int language plpgsql as $$ begin
       perform set_config('timezone', zone, true); perform set_config('datestyle', style, true); return 1; end $$`
  ],
  ({ settings: to }) =>
    Effect.gen(function* () {
      const text = "select row('2026-03-01 15:30:00Z', '10.0.0.1')::visit as v"
      const rows = [{ v: { at: new Date("2026-03-01T15:30:00Z"), address: "10.0.0.1/32" } }]
      for (const [own, setters] of [
        [
          "ISO, MDY",
          ["SQL, DMY", "German", "Postgres, MDY"].map((style) => `set local datestyle = '${style}'`)
        ],
        [
          "SQL, MDY",
          [
            "set local timezone = 'America/New_York'",
            "set local time zone 'America/New_York'",
            "/* home */ set local time -- zone\n zone 'America/New_York'",
            "select set_config('TimeZone', 'America/New_York', true)",
            "do $$ begin set local time zone 'America/New_York'; end $$",
            "select hidden('America/New_York', 'SQL, MDY')",
            "select hidden('UTC', 'SQL, DMY')",
            "do $$ begin perform hidden('UTC', 'SQL, DMY'); end $$"
          ]
        ]
      ] as const) {
        const pgdb = PG.make({ ...to, key: own, startupParameters: { DateStyle: own, TimeZone: "UTC" } })
        for (const setter of setters) {
          for (const batch of [
            pgdb.trans([setter, text]),
            pgdb.trans([setter, text, [`${text} where $1::date is not null`, [new Date(0)]]]),
            pgdb.script(`${setter}; ${text}`)
          ]) {
            expect((yield* batch)[1]?.rows, `${own}, ${setter}`).toEqual(rows)
          }
        }
      }
      const slashed = PG.make({ ...to, key: "slashed", startupParameters: { DateStyle: "SQL, MDY" } })
      const itself = text.replace("select", "select set_config('datestyle', 'SQL, DMY', false) as style,")
      for (const _ of ["first", "second"]) {
        expect(yield* slashed.select(itself)).toEqual([{ style: "SQL, DMY", ...rows[0] }])
      }
    })
)

withDatabase(
  "a record with a date, in a session whose style is not ISO, fails and says to cast it",
  ["create type event as (id int, day date, lapse interval)"],
  ({ settings: to }) =>
    Effect.gen(function* () {
      const german = ["set local datestyle = 'German'"]
      const iso8601 = ["set local intervalstyle = 'iso_8601'"]
      const day = "date '2024-07-02'"
      const lapse = "interval '1 day'"
      const styled = yield* Effect.flip(thrice(to, german, `select row(1, ${day}) as r`))
      expect(styled.message).toMatch(
        /The value of column "r" is a record .* DateStyle .*Cast that field to text/
      )
      const lapsed = yield* Effect.flip(thrice(to, iso8601, `select row(1, ${lapse}) as r`))
      expect(lapsed.message).toMatch(
        /The value of column "r" is a record .* IntervalStyle .*Cast that field to text/
      )
      // What the style does not touch is read.
      expect(yield* thrice(to, iso8601, `select row(1, ${day}) as r`)).toEqual(
        Array(3).fill({ r: [1, "2024-07-02"] })
      )
      expect(yield* thrice(to, german, `select row(1, ${day}::text) as r`)).toEqual(
        Array(3).fill({ r: [1, "02.07.2024"] })
      )
      expect(
        yield* thrice(to, [...german, ...iso8601], `select row(1, ${day}, ${lapse})::event as r`)
      ).toEqual(Array(3).fill({ r: { id: 1, day: "02.07.2024", lapse: "P1D" } }))
      // A Date is one in a record, too.
      expect(yield* thrice(to, german, "select row('2024-07-01 00:00:00Z'::timestamptz) as r")).toEqual(
        Array(3).fill({ r: [new Date("2024-07-01T00:00:00Z")] })
      )
    })
)

withDatabase(
  "floats inside of types that the pool has not met have all digits, whatever extra_float_digits says",
  [
    "create domain ratio as float8",
    "create type spot as (at timestamptz, ratio ratio)",
    "create function one() returns int language sql as 'select 1'",
    "create table t ()"
  ],
  ({ settings: to }) =>
    Effect.gen(function* () {
      const set = "set local extra_float_digits = 0"
      const write = "insert into t default values"
      const value = "0.30000000000000004"
      const text = `select array[${value}]::ratio[] as list, row('epoch', ${value})::spot as spot`
      type Read = (pgdb: PG.Database, text: string) => Effect.Effect<unknown, PG.OperationError, PoolRegistry>
      const reads: ReadonlyArray<readonly [isShort: boolean, read: Read]> = [
        [true, (pgdb, text) => pgdb.select(text)],
        [true, (pgdb, text) => Stream.runCollect(pgdb.stream(text))],
        [true, (pgdb, text) => pgdb.trans([text])],
        [true, (pgdb, text) => pgdb.trans([write, text])],
        [true, (pgdb, text) => pgdb.transaction(pgdb.select(text))],
        [true, (pgdb, text) => pgdb.transaction(Effect.andThen(pgdb.execute(write), pgdb.select(text)))],
        [false, (pgdb, text) => pgdb.trans([set, text])],
        [false, (pgdb, text) => pgdb.transaction(Effect.andThen(pgdb.execute(set), pgdb.select(text)))]
      ]
      for (const [isShort, read] of reads) {
        for (const statement of [text, `${text}, one()`]) {
          const startupParameters = isShort ? { extra_float_digits: "0" } : {}
          const pgdb = PG.make({ ...to, key: `${read}${statement}${isShort}`, startupParameters })
          expect(JSON.stringify(yield* read(pgdb, statement)), `${read} ${statement}`).toContain(
            `"list":[${value}],"spot":{"at":"1970-01-01T00:00:00.000Z","ratio":${value}}`
          )
          yield* pgdb.terminate
        }
      }
    })
)
