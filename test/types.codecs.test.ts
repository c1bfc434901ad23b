/** Codecs of a program's own serve wherever a value of their type stands, and nothing else changes. */
import { assert, expectTypeOf, it } from "@effect/vitest"
import * as BigDecimal from "effect/BigDecimal"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { PG } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"

/** A day, as a class that json, equality and the package know nothing of. */
class Day {
  readonly #text: string
  constructor(text: string) {
    this.#text = text
  }
  get text() {
    return this.#text
  }
}

const seen: Array<unknown> = []
const codecs: PG.TypeCodecs = {
  date: {
    decode: (text) => new Day(text),
    encode: (day) => {
      seen.push(day)
      if (day instanceof Day) return day.text
      if (typeof day === "string") return day
      throw new Error("secret")
    }
  },
  decimal: { decode: BigDecimal.fromStringUnsafe, encode: BigDecimal.format as (value: unknown) => string },
  mood: { decode: (text) => text.toUpperCase(), encode: (mood) => String(mood).toLowerCase() },
  money: {
    decode: (text) => Math.round(Number(text.replaceAll(/[$,]/g, "")) * 100),
    encode: (cents) => String(Number(cents) / 100)
  },
  int2: {
    decode: (text) => ({ small: Number(text) }),
    encode: (value) => String((value as { small: number }).small)
  }
}

const days = (value: unknown): unknown =>
  value instanceof Day ? value.text : Array.isArray(value) ? value.map(days) : value

const tables = [
  "create type mood as enum ('sad', 'ok')",
  "create domain birthday as date",
  "create type slot as (day date, moods mood[], cost numeric)",
  "create table t (id int primary key, day date, days date[], born birthday, mood mood, moods mood[], cost numeric, price money, slot slot, slots slot[], small int2)"
]

const given = (settings: PG.Settings) => PG.make({ ...settings, types: codecs })
const day = new Day("2026-03-01")
const big = BigDecimal.fromStringUnsafe("12345678901234567890.5")

withDatabase("a codec reads and writes columns, arrays and composites", tables, ({ settings, witness }) =>
  Effect.gen(function* () {
    const pgdb = given(settings)
    const t = pgdb.table("t")
    const row = {
      id: 1,
      day,
      days: [day, null, day],
      born: day,
      mood: "OK",
      moods: ["OK", "SAD"],
      cost: big,
      price: 150,
      slot: { day, moods: ["SAD"], cost: big },
      slots: [{ day: null, moods: null, cost: null }],
      small: { small: 7 }
    }
    const read = (found: PG.Row | undefined) => {
      assert.instanceOf(found?.day, Day)
      return { ...found, day: days(found?.day), days: days(found?.days), born: days(found?.born) }
    }
    const stored = yield* t.insert(row)
    const slot = stored.slot as {
      readonly day: unknown
      readonly moods: unknown
      readonly cost: BigDecimal.BigDecimal
    }
    assert.deepStrictEqual(
      [days(slot.day), slot.moods, BigDecimal.format(slot.cost)],
      ["2026-03-01", ["SAD"], BigDecimal.format(big)]
    )
    assert.deepStrictEqual(stored.slots, row.slots)
    assert.deepStrictEqual(stored.small, { small: 7 })
    assert.deepStrictEqual(
      { ...read(stored), slot: 0, slots: 0, cost: 0 },
      { ...read(row), slot: 0, slots: 0, cost: 0 }
    )
    assert.isTrue(BigDecimal.equals(stored.cost as BigDecimal.BigDecimal, big))
    assert.deepStrictEqual(
      yield* witness.query(
        "select day::text, mood::text, price::text, cost::text, small::text, slot::text from t"
      ),
      [
        {
          day: "2026-03-01",
          mood: "ok",
          price: "$1.50",
          cost: "12345678901234567890.5",
          small: "7",
          slot: "(2026-03-01,{sad},12345678901234567890.5)"
        }
      ]
    )
    // The same by many rows, streams, upserts and changes.
    assert.strictEqual(
      yield* t.insertMany([
        { ...row, id: 2 },
        { id: 3, day: new Day("2027-01-01"), moods: [] }
      ]),
      2
    )
    assert.strictEqual(yield* t.insertStream(Stream.make({ id: 4, day, mood: "SAD" })), 1)
    assert.strictEqual(yield* t.upsert([{ id: 3, cost: big, days: [[day], [day]] }], { on: "id" }), 1)
    assert.strictEqual(yield* t.upsert({ id: 3, price: 1 }, { on: "id", update: { price: 250, day } }), 1)
    assert.strictEqual(yield* t.upsert([{ id: 3 }], { on: "id", update: { mood: "SAD" } }), 1)
    const [third] = yield* t.find({ id: 3 })
    assert.deepStrictEqual(
      [days(third?.day), days(third?.days), third?.price, third?.mood],
      ["2026-03-01", [["2026-03-01"], ["2026-03-01"]], 250, "SAD"]
    )
    assert.strictEqual(
      yield* t
        .update({ day, price: { $gte: 250 } }, { small: { $eq: 1 } as never, mood: "OK" })
        .pipe(Effect.orElseSucceed(() => -1)),
      -1
    )
    assert.strictEqual(yield* t.update({ day, price: { $gte: 250 } }, { mood: "OK" }), 1)
    // And in filters.
    assert.strictEqual(yield* t.count({ day }), 4)
    assert.strictEqual(yield* t.count({ day: { $in: [day, new Day("2020-01-01")] } }), 4)
    assert.strictEqual(
      yield* t.count({ day: { $between: [new Day("2026-01-01"), day] }, mood: { $ne: "SAD" } }),
      3
    )
    assert.strictEqual(yield* t.count({ days: { $contains: [day] } }), 3)
    assert.strictEqual(yield* t.count({ mood: { $in: ["OK"] }, cost: big }), 3)
    assert.deepStrictEqual((yield* t.distinct("day")).map(days), ["2026-03-01"])
  })
)

withDatabase(
  "a codec writes parameters of statements, whatever JavaScript type they have",
  tables,
  ({ settings }) =>
    Effect.gen(function* () {
      const pgdb = given(settings)
      const one = (effect: ReturnType<typeof pgdb.selectValue>) =>
        Effect.map(effect, (value) => days(Option.getOrThrow(value)))
      for (const _ of ["at first", "and from memory"]) {
        assert.strictEqual(yield* one(pgdb.selectValue`select ${day}::date`), "2026-03-01")
        assert.strictEqual(yield* one(pgdb.selectValue`select ${day}::date + ${1}`), "2026-03-02")
        assert.deepStrictEqual(yield* one(pgdb.selectValue`select ${[day, null]}::date[]`), [
          "2026-03-01",
          null
        ])
        assert.strictEqual(yield* one(pgdb.selectValue`select (${150}::money)::text`), "$1.50")
        assert.strictEqual(yield* one(pgdb.selectValue`select (${"OK"}::mood)::text`), "ok")
        assert.strictEqual(
          yield* one(pgdb.selectValue`select ((${{ day, moods: ["OK"] }}::slot).day)::text`),
          "2026-03-01"
        )
        assert.strictEqual(yield* one(pgdb.selectValue("select count(*)::int where $1 = $2", [1, 1])), 1)
        assert.strictEqual(yield* one(pgdb.selectValue`select ${1} + ${2}`), 3)
        assert.deepStrictEqual(
          yield* pgdb.select`select ${1} as n, ${"x"} as t, ${true} as b, ${null}::date as d, ${[1, 2]}::int[] as l`,
          [{ n: 1, t: "x", b: true, d: null, l: [1, 2] }]
        )
      }
      // A table's own columns, through each way to run a statement.
      yield* pgdb.execute`insert into t (id, day, price) values (${1}, ${day}, ${150})`
      yield* pgdb.trans([
        ["insert into t (id, day, price) values ($1, $2, $3)", [2, day, 250]],
        PG.sql`update t set mood = ${"SAD"}`
      ])
      yield* pgdb.transaction(pgdb.execute`update t set price = ${350} where price = ${250} and day = ${day}`)
      const streamed = yield* Stream.runCollect(
        pgdb.stream`select id, price from t where day = ${day} and mood = ${"SAD"} order by id`
      )
      assert.deepStrictEqual(streamed, [
        { id: 1, price: 150 },
        { id: 2, price: 350 }
      ])
      assert.deepStrictEqual(yield* pgdb.select`select id from t where ${PG.where({ day, price: 350 })}`, [
        { id: 2 }
      ])
      // Anonymous records, whose fields come in binary.
      const record = yield* one(
        pgdb.selectValue`select (${day}::date, 1.50::numeric, 7::int2, true, null::date, 'ok'::mood)`
      )
      const [first, second, ...rest] = record as ReadonlyArray<unknown>
      assert.strictEqual(first, "2026-03-01")
      assert.isTrue(BigDecimal.isBigDecimal(second))
      assert.deepStrictEqual(rest, [{ small: 7 }, true, null, "OK"])
    })
)

withDatabase(
  "the error of a codec that throws names its type and place, and shows no value",
  tables,
  ({ settings, witness }) =>
    Effect.gen(function* () {
      const pgdb = PG.make({
        ...settings,
        types: {
          ...codecs,
          money: { decode: () => assert.fail("secret"), encode: () => JSON.parse("5") },
          numeric: { decode: String, encode: String }
        }
      })
      const t = pgdb.table("t")
      const failures = [
        yield* Effect.flip(t.insert({ id: 1, day: new Map() })),
        yield* Effect.flip(
          t.insertMany([
            { id: 1, day },
            { id: 2, day: 5 }
          ])
        ),
        yield* Effect.flip(pgdb.select`select ${{}}::date`),
        yield* Effect.flip(t.find({ price: 5 })),
        yield* Effect.flip(pgdb.select("select 1::money as m"))
      ].map(({ message }) => message)
      assert.match(
        failures[0] ?? "",
        /t\.insert: the value of column "day" could not be written: encode of the codec for date threw/
      )
      assert.match(failures[1] ?? "", /row 2, column "day"/)
      assert.match(failures[2] ?? "", /Parameter \$1 could not be written/)
      assert.match(failures[3] ?? "", /encode of the codec for money gave no string/)
      assert.match(failures[4] ?? "", /column "m" could not be read: decode of the codec for money threw/)
      const server = yield* Effect.flip(pgdb.select`select ${"s3cr3t-value"}::numeric`)
      assert.notInclude([...failures, server.message].join(), "secret")
      assert.notInclude(server.message, "s3cr3t")
      assert.deepStrictEqual(yield* witness.query("select count(*)::int as n from t"), [{ n: 0 }])
    })
)

/** What is read is an object of this codec's own, and nothing else is written. */
const boxed: PG.TypeCodec = {
  decode: (text) => ({ boxed: text }),
  encode: (value) => Schema.decodeUnknownSync(Schema.Struct({ boxed: Schema.String }))(value).boxed
}

withDatabase(
  "what the package asks for itself goes through no codec, whatever types there are codecs for",
  ["create type pair as (a int, b text)", "create table u (id int primary key, ok bool, pair pair)"],
  ({ settings, witness }) =>
    Effect.gen(function* () {
      const names = ["text", "name", "bool", "int4", "int8", "oid", "json", "jsonb"]
      const pgdb = PG.make({ ...settings, types: Object.fromEntries(names.map((name) => [name, boxed])) })
      const u = pgdb.table("u")
      const one = { id: { boxed: "1" }, ok: { boxed: "t" }, pair: { a: { boxed: "7" }, b: { boxed: "x" } } }
      const others = ["2", "3", "4", "5"].map((boxed) => ({ ...one, id: { boxed } }))
      const [two, three, four, five] = others
      yield* u.insert(one)
      yield* u.insertMany([two!])
      yield* u.insertStream(Stream.make(three!))
      yield* pgdb.transaction(u.insertMany([four!]))
      yield* u.upsert([four!, five!], { on: "id" })
      assert.deepStrictEqual(
        yield* u.find({}, { orderBy: { id: "asc" }, limit: 2, offset: 1 }),
        others.slice(0, 2)
      )
      assert.deepStrictEqual(yield* pgdb.select("select row(pair) as r from u limit 1"), [{ r: [one.pair] }])
      assert.strictEqual(yield* u.count(), 5)
      assert.isTrue(yield* u.exists({ id: { $eq: one.id } }))
      assert.isFalse(yield* u.exists({ id: { $eq: { boxed: "6" } } }))
      const copied = u.copyTo({ columns: ["id"], filter: { id: { $gt: { boxed: "4" } } } })
      assert.strictEqual(yield* Stream.mkString(Stream.decodeText(copied)), "5\n")
      for (const key of ["a key", 5, 5n]) {
        assert.deepStrictEqual(yield* pgdb.tryLock(key, Effect.succeed(1)), Option.some(1))
      }
      yield* pgdb.notify("channel", "payload")
      const modes = { isolation: "serializable", readOnly: true } as const
      const inner = pgdb.transaction(u.count(), modes)
      const set = pgdb.execute("set transaction isolation level serializable, read only")
      assert.strictEqual(yield* pgdb.transaction(Effect.andThen(set, inner)), 5)
      assert.deepStrictEqual(yield* witness.query("select count(*)::int as n from u where ok"), [{ n: 5 }])
    })
)

withDatabase("$inc adds a value that a codec writes", tables, ({ settings, witness }) =>
  Effect.gen(function* () {
    const t = given(settings).table("t")
    yield* witness.query("insert into t (id, cost, price) values (1, 0.5, 1)")
    const change = { cost: { $inc: big }, price: { $inc: 50 } }
    assert.strictEqual(yield* t.update({ id: 1 }, change), 1)
    assert.strictEqual(yield* t.upsert({ id: 1 }, { on: "id", update: change }), 1)
    assert.strictEqual(yield* t.upsert([{ id: 1 }], { on: "id", update: change }), 1)
    assert.deepStrictEqual(yield* witness.query("select cost::text, price::text from t"), [
      { cost: "37037036703703703672.0", price: "$2.50" }
    ])
    const plain = PG.make({ ...settings, key: "plain" }).table("t")
    const error = yield* Effect.flip(plain.update({}, { cost: { $inc: big } }))
    assert.include(error.message, 't.update: the value of column "cost" is ')
  })
)

withDatabase(
  "patterns and json paths go through no codec",
  ["create table u (word text, data jsonb)", "insert into u values ('abc', '{\"age\": 5}'), ('x', '{}')"],
  ({ settings }) =>
    Effect.gen(function* () {
      const u = PG.make({ ...settings, types: { text: boxed, jsonb: boxed, jsonpath: boxed } }).table("u")
      const found = [{ word: { boxed: "abc" }, data: { boxed: '{"age": 5}' } }]
      for (const word of [{ $like: "a%" }, { $ilike: "A%" }, { $regex: "^.b" }, { $startsWith: "a" }]) {
        assert.deepStrictEqual(yield* u.find({ word }), found)
      }
      for (const path of [
        "$.age",
        ["$.age > $least", { least: 4 }],
        ["$.age ? (@ > $least)", { least: 4 }]
      ]) {
        assert.deepStrictEqual(yield* u.find({ data: { $jsonPath: path } }), found)
      }
    })
)

withDatabase("an upsert tells keys apart by what their codec writes", tables, ({ settings, witness }) =>
  Effect.gen(function* () {
    yield* witness.query("create unique index on t (mood, day)")
    const t = given(settings).table("t")
    const on = ["mood", "day"] as const
    const rows = ["2026-03-01", "2026-03-02"].map((text, id) => ({ id, mood: "OK", day: new Day(text) }))
    assert.strictEqual(yield* t.upsert(rows, { on }), 2)
    assert.strictEqual(yield* t.upsert(rows, { on, update: { price: 1 } }), 2)
    const again = [...rows, { id: 2, mood: "ok", day: new Day("2026-03-01") }]
    const error = yield* Effect.flip(t.upsert(again, { on }))
    assert.include(error.message, 't.upsert: row 3 has the same "mood", "day" as row 1')
  })
)

withDatabase(
  "a codec for texts writes texts alone: no json, no array of another type, no part of an hstore",
  [
    "create extension hstore",
    "create table u (id int primary key, word text, vector oidvector, pairs hstore)"
  ],
  ({ settings, witness }) =>
    Effect.gen(function* () {
      const tagged: PG.TypeCodec<{ text: string }> = {
        decode: (text) => ({ text: text.slice(1) }),
        encode: ({ text }) => `!${text}`
      }
      const pgdb = PG.make({ ...settings, types: { text: tagged } })
      const value = { text: "x" }
      for (const text of ["select $1::text as b", "select ''::text || $1 as b"]) {
        assert.deepStrictEqual(yield* pgdb.select(text, [value]), [{ b: value }])
        assert.deepStrictEqual(yield* pgdb.select(text, [value]), [{ b: value }])
      }
      const u = pgdb.table("u")
      const rows = [1, 2].map((id) => ({ id, word: value, vector: [1, id], pairs: { a: "b", c: null } }))
      assert.strictEqual(yield* u.insertMany(rows), 2)
      assert.deepStrictEqual(yield* u.upsert(rows, { on: "id", returning: true }), rows)
      assert.deepStrictEqual(
        yield* witness.query("select word, vector::text, pairs::text from u where id = 2"),
        [{ word: "!x", vector: "1 2", pairs: '"a"=>"b", "c"=>NULL' }]
      )
    })
)

withDatabase(
  "a number that its column cannot hold is compared in a wider type, whatever codec that has",
  ["create table u (small int2, real real)", "insert into u values (1, 1.1)"],
  ({ settings }) =>
    Effect.gen(function* () {
      const types = { int8: boxed, numeric: boxed, float8: boxed }
      const u = PG.make({ ...settings, types }).table("u")
      assert.strictEqual(yield* u.count({ small: { $lt: 1.5 } }), 1)
      assert.strictEqual(yield* u.count({ small: { $in: [1, 40_000] }, real: 1.1 }), 1)
      assert.strictEqual(yield* u.count({ small: { $nin: [0.5, 2 ** 70] }, real: { $in: [1.1, null] } }), 1)
    })
)

withDatabase("count and exists take values in SQL through the codecs, as find does", tables, ({ settings }) =>
  Effect.gen(function* () {
    const cents: PG.TypeCodec = {
      decode: (text) => Number(text) / 100,
      encode: (value) => String(Number(value) * 100)
    }
    const pgdb = PG.make({ ...settings, types: { int4: cents } })
    yield* pgdb.execute("create table prices (price int)")
    const prices = pgdb.table("prices")
    yield* prices.insert({ price: 5 })
    const filter = PG.sql`price = ${5}`
    assert.deepStrictEqual(yield* prices.find(filter), [{ price: 5 }])
    assert.strictEqual(yield* prices.count(filter), 1)
    assert.isTrue(yield* prices.exists(filter))
  })
)

withDatabase("codecs belong to the pool, and a pool without them is as it was", tables, ({ settings }) =>
  Effect.gen(function* () {
    const plain = PG.make(settings)
    assert.deepStrictEqual(yield* plain.selectValue("select '2026-03-01'::date"), Option.some("2026-03-01"))
    const conflict = yield* plain.transaction(Effect.flip(given(settings).select("select 1")))
    assert.include(conflict.message, "types")
    const own = PG.make({ ...settings, key: "own", types: codecs })
    const [row] = yield* own.select<{ day: Day }>("select '2026-03-01'::date as day")
    expectTypeOf(row?.day).toEqualTypeOf<Day | undefined>()
    assert.strictEqual(row?.day.text, "2026-03-01")
    // A schema sees what the codec gives.
    const Slot = Schema.Struct({ id: Schema.Number, day: Schema.instanceOf(Day) })
    const slots = own.table("t", Slot)
    assert.strictEqual((yield* slots.insert({ id: 1, day })).day.text, "2026-03-01")
  })
)

const printed: { readonly [type: string]: ReadonlyArray<string> } = {
  bool: ["t", "f"],
  int8: ["-9223372036854775808"],
  float4: ["NaN", "-Infinity", "-0", "1.1", "1e-45", "16777217", "1e6", "123456", "0.0001"],
  float8: ["NaN", "-Infinity", "-0", "5e-324", "1e15", "123456789012345", "0.0001", "1e-5"],
  numeric: ["NaN", "Infinity", "-Infinity", "0.0000", "-0.001", "-99990000.5", "1e20"],
  jsonb: ['{"a": [1, null]}'],
  bytea: ["", "\\xdeadbeef"],
  char: ["a", "", "\\377"],
  date: ["infinity", "-infinity", "4713-01-01 BC", "5874897-12-31"],
  timetz: ["24:00-15:59:59", "12:00:00.5+05:30"],
  timestamp: ["infinity", "-infinity", "0044-03-15 12:00:00.000001 BC", "294276-12-31 23:59:59.999999"],
  timestamptz: ["infinity", "-infinity", "1800-01-01", "2024-07-01", "4713-01-02 BC"],
  interval: ["infinity", "-infinity", "0", "-1 year 1 mon -1 day 1 us", "-13 mons 1 day -0.5 secs"],
  tsrange: ["empty", "[2020-01-01,infinity]", "[-infinity,)"]
}

withDatabase("a codec is given what a record holds as the server prints it", [], ({ settings }) =>
  Effect.gen(function* () {
    const itself = { decode: (text: string) => text, encode: String }
    const types = Object.fromEntries(Object.keys(printed).map((name) => [name, itself]))
    const startupParameters = { TimeZone: "Europe/Amsterdam" }
    const pgdb = PG.make({ ...settings, types, startupParameters })
    for (const [name, values] of Object.entries(printed)) {
      for (const value of values) {
        const text = `select row(x, array[x]) as r, array[x] as list from (select '${value}'::pg_catalog."${name}" as x) as s`
        const [row] = yield* pgdb.select<{ readonly r: unknown; readonly list: ReadonlyArray<unknown> }>(text)
        assert.deepStrictEqual(row?.r, [row?.list[0], row?.list], `${name} ${value}`)
        assert.isString(row?.list[0], `${name} ${value}`)
      }
    }
  })
)

it("anything but a codec is refused by the setting's name", () => {
  for (const types of ['{"date":{}}', '{"date":{"decode":1,"encode":2}}', "5"]) {
    const error = Effect.runSync(
      Effect.flip(PG.run(PG.make({ database: "app", types: JSON.parse(types) }).select("select 1")))
    )
    assert.include(error.message, "The setting types")
  }
})
