/**
 * Types that appear, change and vanish while a session is open, and values that JavaScript cannot hold.
 */
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { database } from "./support/database.ts"
import { typed } from "./support/typed.ts"

const open = Effect.fnUntraced(function* (options: Parameters<typeof typed>[1] = {}) {
  const db = yield* database()
  const session = yield* typed(db.settings, options)
  return { ...session, witness: db.witness }
})

it.effect("types of another program are read from the first statement on", () =>
  Effect.gen(function* () {
    const { run, witness } = yield* open()
    yield* witness.query("create type mood as enum ('sad', 'ok')")
    yield* witness.query("create domain price as numeric(10, 2)")
    yield* witness.query("create type item as (name text, mood mood, price price, tags mood[])")
    yield* witness.query("create type span as range (subtype = float8)")
    const rows = yield* run(
      `select 'ok'::mood as mood, array['sad', 'ok']::mood[] as moods, 1.5::price as price,
        row('a', 'ok', 2, '{sad}')::item as item, array[row('b', null, null, '{}')::item] as items,
        span(0.5, 1e20) as span, row(1, 'ok'::mood) as record`
    )
    expect(rows).toEqual([
      {
        mood: "ok",
        moods: ["sad", "ok"],
        price: "1.50",
        item: { name: "a", mood: "ok", price: "2.00", tags: ["sad"] },
        items: [{ name: "b", mood: null, price: null, tags: [] }],
        span: "[0.5,1e+20)",
        record: [1, "ok"]
      }
    ])
  })
)

it.effect("a value read before costs no statement more", () =>
  Effect.gen(function* () {
    const { run, sent, witness } = yield* open()
    yield* witness.query("create type pair as (a int, b text)")
    yield* run("select row(1, 'x')::pair as pair")
    const before = sent()
    yield* run("select row(1, 'x')::pair as pair")
    expect(sent() - before).toBe(1)
  })
)

it.effect("the row type of an empty schema's view and of the catalogue itself", () =>
  Effect.gen(function* () {
    const { run } = yield* open()
    const [row] = yield* run(
      "select c from information_schema.tables c where table_name = 'pg_class' and table_schema = 'pg_catalog'"
    )
    expect(row?.c).toMatchObject({
      table_schema: "pg_catalog",
      table_name: "pg_class",
      is_insertable_into: "YES"
    })
  })
)

it.effect("an enum that gains a label, a composite that gains, loses and changes attributes", () =>
  Effect.gen(function* () {
    const { run, witness } = yield* open()
    yield* witness.query("create type mood as enum ('sad')")
    yield* witness.query("create type pair as (a int, b text)")
    yield* witness.query("create table pairs (p pair)")
    yield* witness.query("insert into pairs values (row(1, 'x'))")
    const select =
      "select p, (enum_range(null::mood))::text[] as moods, enum_last(null::mood) as last from pairs"
    expect(yield* run(select)).toEqual([{ p: { a: 1, b: "x" }, moods: ["sad"], last: "sad" }])
    yield* witness.query("alter type mood add value 'ok'")
    yield* witness.query("alter type pair add attribute c jsonb")
    expect(yield* run(select)).toEqual([{ p: { a: 1, b: "x", c: null }, moods: ["sad", "ok"], last: "ok" }])
    yield* witness.query("alter type pair drop attribute a")
    expect(yield* run(select)).toEqual([{ p: { b: "x", c: null }, moods: ["sad", "ok"], last: "ok" }])
  })
)

it.effect("a type dropped and made again, and a renamed attribute once forgotten", () =>
  Effect.gen(function* () {
    const { codec, run } = yield* open()
    yield* run("create type pair as (a int, b text)")
    expect(yield* run("select row(1, 'x')::pair as pair")).toEqual([{ pair: { a: 1, b: "x" } }])
    yield* run("drop type pair")
    yield* run("create type pair as (b text, a int8, c bool)")
    expect(yield* run("select row('x', 1, true)::pair as pair")).toEqual([
      { pair: { b: "x", a: 1, c: true } }
    ])
    yield* run("alter type pair rename attribute a to z")
    codec.forget()
    expect(yield* run("select row('x', 1, true)::pair as pair")).toEqual([
      { pair: { b: "x", z: 1, c: true } }
    ])
  })
)

it.effect("inside a transaction that made the type", () =>
  Effect.gen(function* () {
    const { run } = yield* open()
    yield* run("begin")
    yield* run("create type pair as (a int, b text)")
    expect(yield* run("select row(1, 'x')::pair as pair")).toEqual([{ pair: { a: 1, b: "x" } }])
    expect(
      yield* run("select $1::pair as pair, $2::pair[] as pairs", [{ b: "y" }, [{ a: 1 }, null]])
    ).toEqual([{ pair: { a: null, b: "y" }, pairs: [{ a: 1, b: null }, null] }])
    yield* run("rollback")
  })
)

it.effect("a type of an extension whose bytes only the server knows", () =>
  Effect.gen(function* () {
    const { run, sent, witness } = yield* open()
    yield* witness.query("create type opaque")
    yield* witness.query(
      "create function opaque_in(cstring) returns opaque as 'int4in' language internal immutable strict"
    )
    yield* witness.query(
      "create function opaque_out(opaque) returns cstring as 'int4out' language internal immutable strict"
    )
    yield* witness.query(
      "create function opaque_recv(internal) returns opaque as 'int4recv' language internal immutable strict"
    )
    yield* witness.query(
      "create function opaque_send(opaque) returns bytea as 'int4send' language internal immutable strict"
    )
    yield* witness.query(
      "create type opaque (input = opaque_in, output = opaque_out, receive = opaque_recv, send = opaque_send, internallength = 4, passedbyvalue, alignment = int4)"
    )
    const before = sent()
    const rows = yield* run(
      "select i::text::opaque as o, array[i::text::opaque, null] as os from generate_series(1, 500) i"
    )
    expect(rows[41]).toEqual({ o: "42", os: ["42", null] })
    // The rows, the catalogue, and all texts at once.
    expect(sent() - before).toBe(3)
  })
)

it.effect("a range of composites, of whose array type no statement has heard", () =>
  Effect.gen(function* () {
    const { run } = yield* open()
    yield* run("create type pair as (a int, b text[])")
    yield* run("create type pairs as range (subtype = pair)")
    expect(
      yield* run("select pairs(row(1, '{\"x y\"}')::pair, null) as p, array[pairs(null, null)] as ps")
    ).toEqual([{ p: '["(1,""{""""x y""""}"")",)', ps: ["(,)"] }])
  })
)

it.effect("a type of an extension that cannot be sent is the server's error, and the connection stays", () =>
  Effect.gen(function* () {
    const { run } = yield* open()
    const error = yield* Effect.flip(run("select '=r/postgres'::aclitem as acl"))
    expect("cause" in error.reason && String(error.reason.cause)).toContain(
      "no binary output function available for type aclitem"
    )
    expect(yield* run("select 1 as one")).toEqual([{ one: 1 }])
  })
)

it.effect(
  "a type of an extension whose bytes not even the server reads back fails with the column's name",
  () =>
    Effect.gen(function* () {
      const { run, witness } = yield* open()
      yield* witness.query("create type mute")
      yield* witness.query(
        "create function mute_in(cstring) returns mute as 'int4in' language internal immutable strict"
      )
      yield* witness.query(
        "create function mute_out(mute) returns cstring as 'int4out' language internal immutable strict"
      )
      yield* witness.query(
        "create function mute_send(mute) returns bytea as 'int4send' language internal immutable strict"
      )
      yield* witness.query(
        "create type mute (input = mute_in, output = mute_out, send = mute_send, internallength = 4, passedbyvalue, alignment = int4)"
      )
      const error = yield* Effect.flip(run("select 1 as one, '42'::mute as m"))
      expect(error.message).toMatchInlineSnapshot(
        `"The column "m" of type mute is in a binary form that this version does not know. Cast the value to text. The statement itself ran on the server."`
      )
      expect(yield* run("select '42'::mute::text as m")).toEqual([{ m: "42" }])
    })
)

it.effect("an int8 that a number cannot hold fails with the column's name", () =>
  Effect.gen(function* () {
    const { run } = yield* open()
    const error = yield* Effect.flip(
      run('select 9007199254740991 as fits, array[9007199254740992] as "too big"')
    )
    expect(error.message).toMatchInlineSnapshot(
      `"The column "too big" of type int8[] holds an int8 past ±(2^53−1), which a number cannot hold exactly. Set int8: "bigint" or "string", or cast the value to text. The statement itself ran on the server."`
    )
    expect(yield* run("select 9007199254740991 as fits, -9007199254740991 as low")).toEqual([
      { fits: 9007199254740991, low: -9007199254740991 }
    ])
  })
)

it.effect("int8 as bigint and as string, also inside other values", () =>
  Effect.gen(function* () {
    const sql =
      "select 9223372036854775807 as a, array[1::int8, null] as b, row(-1::int8) as c, int8range(1, 5) as d"
    const bigints = yield* open({ int8: "bigint" })
    expect(yield* bigints.run(sql)).toEqual([
      { a: 9223372036854775807n, b: [1n, null], c: [-1n], d: "[1,5)" }
    ])
    const strings = yield* open({ int8: "string" })
    expect(yield* strings.run(sql)).toEqual([
      { a: "9223372036854775807", b: ["1", null], c: ["-1"], d: "[1,5)" }
    ])
  })
)

it.effect("a timestamp past Date fails clearly, and is text by the setting", () =>
  Effect.gen(function* () {
    const sql = "select '294276-12-31 23:59:59.999999'::timestamp as late"
    const dates = yield* open()
    expect((yield* Effect.flip(dates.run(sql))).message).toMatchInlineSnapshot(
      `"The column "late" of type timestamp holds a timestamp past the year 275760, where Date ends. Set timestamp: "string", or cast the value to text. The statement itself ran on the server."`
    )
    const strings = yield* open({ timestamp: "string" })
    expect(yield* strings.run(sql)).toEqual([{ late: "294276-12-31 23:59:59.999999" }])
    expect(yield* strings.run("select $1::timestamptz as at", ["2024-05-06 07:08:09.123456+00"])).toEqual([
      { at: "2024-05-06 07:08:09.123456+00" }
    ])
  })
)

it.effect("infinite times", () =>
  Effect.gen(function* () {
    const { run } = yield* open()
    const rows = yield* run(
      "select 'infinity'::timestamptz as a, '-infinity'::timestamp as b, array['infinity'::timestamptz, null] as c, 'infinity'::date as d"
    )
    expect(rows).toEqual([{ a: Infinity, b: -Infinity, c: [Infinity, null], d: "infinity" }])
  })
)

it.effect("text in a zone that this process does not know is left to the server", () =>
  Effect.gen(function* () {
    const { settings } = yield* database()
    for (const [zone, at] of [
      ["XYZ+3:30ABC,M3.2.0,M11.1.0", "2024-06-30 21:30:00-02:30"],
      ["<-0430>04:30", "2024-06-30 19:30:00-04:30"]
    ] as const) {
      const { run } = yield* typed(
        settings,
        { timestamp: "string" },
        { startupParameters: { TimeZone: zone } }
      )
      expect(
        yield* run(
          "select '2024-07-01 00:00:00Z'::timestamptz as at, tstzrange('2024-07-01 00:00:00Z', null) as span"
        )
      ).toEqual([{ at, span: `["${at}",)` }])
    }
  })
)

it.effect(
  "text that is no UTF-8, in a database without an encoding, is the server's error, and the connection stays",
  () =>
    Effect.gen(function* () {
      const db = yield* database()
      const name = `${db.settings.database}_ascii`
      yield* Effect.acquireRelease(
        db.witness.query(`create database ${name} encoding 'SQL_ASCII' locale 'C' template template0`),
        () => Effect.ignore(db.witness.query(`drop database ${name} with (force)`))
      )
      const { run } = yield* typed({ ...db.settings, database: name })
      expect(yield* run("select 'żółw' as t, array['ż']::varchar[] as v")).toEqual([{ t: "żółw", v: ["ż"] }])
      const error = yield* Effect.flip(run("select 1 as one, convert_from('\\xff', 'SQL_ASCII') as t"))
      expect("cause" in error.reason && String(error.reason.cause)).toContain(
        "invalid byte sequence for encoding"
      )
      expect(yield* run("select convert_to(convert_from('\\xff', 'SQL_ASCII'), 'SQL_ASCII') as b")).toEqual([
        { b: new Uint8Array([255]) }
      ])
    })
)

it.effect("money in the format of the server's locale", () =>
  Effect.gen(function* () {
    const { run, witness } = yield* open()
    const [row] = yield* witness.query("select '-1234567.8'::money::text as text")
    expect(yield* run("select '-1234567.8'::money as money")).toEqual([{ money: row?.text }])
  })
)

it.effect("names behind OIDs are the server's, one question for all rows", () =>
  Effect.gen(function* () {
    const { run, sent } = yield* open()
    const before = sent()
    const rows = yield* run(
      "select oid::regclass as name, oid::regclass::text as text from pg_class where relkind = 'r'"
    )
    expect(rows.length).toBeGreaterThan(50)
    expect(rows.every((row) => row.name === row.text)).toBe(true)
    expect(sent() - before).toBe(2)
  })
)
