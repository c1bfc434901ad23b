/**
 * Types that appear, change and vanish while connections are open, and values that JavaScript cannot hold.
 */
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { PG, PoolRegistry } from "effect-global-pool"
import type { PgType } from "../src/types/PgType.ts"
import * as TypeMap from "../src/types/TypeMap.ts"
import type { Witness } from "./support/database.ts"
import { database } from "./support/database.ts"
import { withDatabase } from "./support/handle.ts"
import { measured, typed } from "./support/typed.ts"

const open = Effect.fnUntraced(function* (options: Partial<PG.Settings> = {}) {
  const { settings, witness } = yield* database()
  return { ...(yield* measured(settings, options)), witness }
})

/** A type of which the server can print values and send them, and read them back only where `reads` says. */
const opaque = Effect.fnUntraced(function* ({ query }: Witness, name: string, reads: boolean) {
  const define = (suffix: string, from: string, to: string, as: string) =>
    query(
      `create function ${name}_${suffix}(${from}) returns ${to} as '${as}' language internal immutable strict`
    )
  yield* query(`create type ${name}`)
  yield* define("in", "cstring", name, "int4in")
  yield* define("out", name, "cstring", "int4out")
  if (reads) yield* define("recv", "internal", name, "int4recv")
  yield* define("send", name, "bytea", "int4send")
  yield* query(
    `create type ${name} (input = ${name}_in, output = ${name}_out, ${reads ? `receive = ${name}_recv, ` : ""}send = ${name}_send,
      internallength = 4, passedbyvalue, alignment = int4)`
  )
})

it.effect("types of another program are read from the first statement on", () =>
  Effect.gen(function* () {
    const { run, witness } = yield* open()
    yield* witness.query("create type mood as enum ('sad', 'ok')")
    yield* witness.query("create domain price as numeric(10, 2)")
    yield* witness.query("create type item as (name text, mood mood, price price, tags mood[])")
    yield* witness.query("create type span as range (subtype = float8)")
    const text = `select 'ok'::mood as mood, array['sad', 'ok']::mood[] as moods, 1.5::price as price,
        row('a', 'ok', 2, '{sad}')::item as item, array[row('b', null, null, '{}')::item] as items,
        span(0.5, 1e20) as span`
    const expected = {
      mood: "ok",
      moods: ["sad", "ok"],
      price: "1.50",
      item: { name: "a", mood: "ok", price: "2.00", tags: ["sad"] },
      items: [{ name: "b", mood: null, price: null, tags: [] }],
      span: "[0.5,1e+20)"
    }
    for (const _ of ["first", "second"]) expect(yield* run(text)).toEqual([expected])
    for (const _ of ["first", "second"]) {
      expect(yield* run(`${text}, row(1, 'ok'::mood) as record`)).toEqual([
        { ...expected, record: [1, "ok"] }
      ])
    }
  })
)

it.effect("a type is asked for when it is first met, with all that it is made of, and never again", () =>
  Effect.gen(function* () {
    const { cost, run, witness } = yield* open()
    yield* witness.query("create type mood as enum ('sad', 'ok')")
    yield* witness.query("create domain feeling as mood")
    yield* witness.query("create type span as range (subtype = float8)")
    expect(yield* cost(run("select array['ok'::feeling] as moods"))).toMatchObject({ trips: 2, questions: 1 })
    expect(yield* cost(run("select array['ok'::feeling] as moods"))).toMatchObject({
      trips: 1,
      questions: 0,
      letters: "B1 E1 S1"
    })
    // The enum came with its domain.
    expect(yield* cost(run("select 'ok'::mood as mood"))).toMatchObject({ trips: 1, questions: 0 })
    expect(yield* cost(run("select '[1,2)'::span as span"))).toMatchObject({ trips: 2, questions: 1 })
  })
)

it.effect("a composite read before costs a question more and no round trip", () =>
  Effect.gen(function* () {
    const { cost, run, witness } = yield* open()
    yield* witness.query("create type pair as (a int, b text)")
    yield* run("select row(1, 'x')::pair as pair")
    expect(yield* cost(run("select row(1, 'x')::pair as pair"))).toMatchObject({ trips: 1, questions: 1 })
  })
)

it.effect("a type that another program made after the first record is read in a record, too", () =>
  Effect.gen(function* () {
    const { run, witness } = yield* open()
    expect(yield* run("select row(1, 'x'::text) as r")).toEqual([{ r: [1, "x"] }])
    yield* witness.query("create type mood as enum ('sad', 'ok')")
    yield* witness.query("create type feeling as (id int, mood mood)")
    const text = "select row('ok'::mood, row(1, 'sad')::feeling, array['ok'::mood]) as r"
    for (const _ of ["first", "second"]) {
      expect(yield* run(text)).toEqual([{ r: ["ok", { id: 1, mood: "sad" }, ["ok"]] }])
    }
    yield* witness.query("alter type feeling rename attribute mood to state")
    expect(yield* run(text)).toEqual([{ r: ["ok", { id: 1, state: "sad" }, ["ok"]] }])
  })
)

it.effect("a pool's first statement reads a record that holds rows of tables and values of any type", () =>
  Effect.gen(function* () {
    const { settings, witness } = yield* database()
    yield* witness.query("create type mood as enum ('sad', 'ok')")
    yield* witness.query("create table t (id int, mood mood, moods mood[])")
    yield* witness.query("insert into t values (1, 'ok', '{sad}')")
    const row = { id: 1, mood: "ok", moods: ["sad"] }
    for (const [text, value] of [
      ["select row(t, 1) as v from t", [row, 1]],
      ["select v from (select array_agg(t) as ts from t) v", [[row]]],
      ["select row(mood, moods) as v from t", ["ok", ["sad"]]]
    ] as const) {
      const { run } = yield* typed(settings)
      for (const _ of ["first", "second"]) expect(yield* run(text), text).toEqual([{ v: value }])
    }
  })
)

it.effect("the row type of a view is read, also of one in the catalogue's own schema", () =>
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

it.effect("a change of an enum or a composite by another program is seen by the next statement", () =>
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
    yield* witness.query("alter type pair rename attribute b to z")
    expect(yield* run(select)).toEqual([{ p: { z: "x", c: null }, moods: ["sad", "ok"], last: "ok" }])
  })
)

it.effect("a composite that another program changed is written with the attributes that it has now", () =>
  Effect.gen(function* () {
    const { run, witness } = yield* open()
    yield* witness.query("create type pair as (a int, b text)")
    const text = "select ($1::pair)::text as v"
    expect(yield* run(text, [{ a: 1, b: "x" }])).toEqual([{ v: "(1,x)" }])
    yield* witness.query("alter type pair rename attribute b to z")
    expect(yield* run(text, [{ a: 1, z: "x" }])).toEqual([{ v: "(1,x)" }])
    yield* witness.query("alter type pair drop attribute a")
    expect(yield* run(text, [{ z: "x" }])).toEqual([{ v: "(x)" }])
    const error = yield* Effect.flip(run(text, [{ a: 1, z: "x" }]))
    expect(error.message).toContain('has the attribute "a", which type pair does not have')
  })
)

withDatabase(
  "many rows are written with the attributes that a composite has now, whichever way they go",
  ["create type pair as (a int, b int)", "create table pairs (id int primary key, p pair, ps pair[])"],
  ({ pgdb, witness }) =>
    Effect.gen(function* () {
      const table = pgdb.table("pairs")
      const p = { a: 1, b: 2 }
      const rows = [1, 2].map((id) => ({ id, p, ps: [p] }))
      const upsert = Effect.asVoid(table.upsert(rows, { on: "id" }))
      const returning = Effect.asVoid(table.insertMany(rows, { returning: true }))
      yield* upsert
      for (const way of [upsert, returning, Effect.asVoid(table.insertMany(rows))]) {
        yield* witness.query("truncate pairs")
        // The attributes exchange their names.
        yield* witness.query("alter type pair rename attribute a to x")
        yield* witness.query("alter type pair rename attribute b to a")
        yield* witness.query("alter type pair rename attribute x to b")
        yield* way
        const stored = yield* witness.query("select distinct (p).a, (p).b, ps = array[p] as same from pairs")
        expect(stored).toEqual([{ a: 1, b: 2, same: true }])
      }
    })
)

it.effect("a type that this program drops and makes again, and changes, is right at once", () =>
  Effect.gen(function* () {
    const { run } = yield* open()
    yield* run("create type pair as (a int, b text)")
    expect(yield* run("select row(1, 'x')::pair as pair")).toEqual([{ pair: { a: 1, b: "x" } }])
    yield* run("drop type pair")
    yield* run("create type pair as (b text, a int8, c bool)")
    const select = "select row('x', 1, true)::pair as pair, array[row('y', 2, false)::pair] as pairs"
    expect(yield* run(select)).toEqual([
      { pair: { b: "x", a: 1, c: true }, pairs: [{ b: "y", a: 2, c: false }] }
    ])
    yield* run("alter type pair rename attribute a to z")
    expect(yield* run(select)).toEqual([
      { pair: { b: "x", z: 1, c: true }, pairs: [{ b: "y", z: 2, c: false }] }
    ])
  })
)

it.effect("a type whose name or OID another program gave to another type is read as what it is now", () =>
  Effect.gen(function* () {
    const { run, witness } = yield* open()
    yield* witness.query("create domain code as int4")
    yield* witness.query("create table codes (c code[])")
    yield* witness.query("insert into codes values ('{1,2}')")
    expect(yield* run("select c from codes")).toEqual([{ c: [1, 2] }])
    yield* witness.query("alter table codes alter c type text[] using c::text[]")
    yield* witness.query("drop domain code")
    yield* witness.query("create domain code as text")
    yield* witness.query("alter table codes alter c type code[]")
    expect(yield* run("select c from codes")).toEqual([{ c: ["1", "2"] }])
  })
)

withDatabase("a type is read and written inside the transaction that made it", [], ({ pgdb }) =>
  Effect.gen(function* () {
    const pair = pgdb.select("select row(1, 'x')::pair as pair")
    const rolledBack = yield* Effect.flip(
      pgdb.transaction(
        Effect.gen(function* () {
          yield* pgdb.execute("create type pair as (a int, b text)")
          expect(yield* pair).toEqual([{ pair: { a: 1, b: "x" } }])
          expect(
            yield* pgdb.select("select $1::pair as pair, $2::pair[] as pairs", [{ b: "y" }, [{ a: 1 }, null]])
          ).toEqual([{ pair: { a: null, b: "y" }, pairs: [{ a: 1, b: null }, null] }])
          return yield* Effect.fail("rolled back")
        })
      )
    )
    expect(rolledBack).toBe("rolled back")
    expect((yield* Effect.flip(pair)).message).toContain('type "pair" does not exist')
  })
)

it.effect("a type of an extension whose bytes only the server knows is its text, for one question", () =>
  Effect.gen(function* () {
    const { cost, run, witness } = yield* open()
    yield* opaque(witness, "opaque", true)
    const text =
      "select n::opaque as o, array[n::opaque, null] as os from (select generate_series(1, 500)::text as n) as numbers"
    const first = cost(
      Effect.map(run(text), (rows) => expect(rows[41]).toEqual({ o: "42", os: ["42", null] }))
    )
    expect(yield* first).toMatchObject({ trips: 2, questions: 1 })
    expect(yield* first).toMatchObject({ trips: 1, questions: 0 })
    expect(yield* run("select $1::opaque as o, $2::opaque[] as os", ["7", ["8", null]])).toEqual([
      { o: "7", os: ["8", null] }
    ])
  })
)

it.effect("a range of composites is the server's text", () =>
  Effect.gen(function* () {
    const { run } = yield* open()
    yield* run("create type pair as (a int, b text[])")
    yield* run("create type pairs as range (subtype = pair)")
    expect(
      yield* run("select pairs(row(1, '{\"x y\"}')::pair, null) as p, array[pairs(null, null)] as ps")
    ).toEqual([{ p: '["(1,""{""""x y""""}"")",)', ps: ["(,)"] }])
  })
)

it.effect("a domain over an array is an array, in every company", () =>
  Effect.gen(function* () {
    const { run, witness } = yield* open()
    yield* witness.query("create domain tags as text[]")
    yield* witness.query("create type tagged as (id int, tags tags)")
    yield* witness.query("create table notes (t tags, p tagged, ts tags[])")
    const values = [["a"], { id: 1, tags: ["b", null] }, [["c"], ["d", "e"]]]
    const insert = "insert into notes values ($1, $2, $3) returning t, p, ts"
    const expected = { t: values[0], p: values[1], ts: values[2] }
    for (const _ of ["first", "second"]) expect(yield* run(insert, values)).toEqual([expected])
    expect(yield* run("select t, p, ts, row(t, ts) as r from notes limit 1")).toEqual([
      { ...expected, r: [expected.t, expected.ts] }
    ])
    expect(yield* run("insert into notes (t) values ($1) returning t, t::text", [[["a"], ["b"]]])).toEqual([
      { t: "{{a},{b}}" }
    ])
  })
)

it.effect("a type without a binary form is read by itself, in arrays and in named composites", () =>
  Effect.gen(function* () {
    const { run, witness } = yield* open()
    yield* opaque(witness, "mute", false)
    yield* witness.query("create type grant_of as (id int, acl aclitem, mute mute)")
    const acl = "'=r/postgres'::aclitem"
    const text = `select ${acl} as acl, array[${acl}, null] as acls, '42'::mute as mute, row(1, ${acl}, '7')::grant_of as grant_of`
    for (const _ of ["first", "second"]) {
      expect(yield* run(text)).toEqual([
        {
          acl: "=r/postgres",
          acls: ["=r/postgres", null],
          mute: "42",
          grant_of: { id: 1, acl: "=r/postgres", mute: "7" }
        }
      ])
    }
  })
)

it.effect(
  "a type that the server cannot send in a record is the server's error, and the connection stays",
  () =>
    Effect.gen(function* () {
      const { run } = yield* open()
      const error = yield* Effect.flip(run("select row('=r/postgres'::aclitem) as record"))
      expect(error.message).toContain("no binary output function available for type aclitem")
      expect(yield* run("select 1 as one")).toEqual([{ one: 1 }])
    })
)

it.effect(
  "a field of a record that only the server can print fails with its column, its type and what to do",
  () =>
    Effect.gen(function* () {
      const { run, witness } = yield* open()
      yield* opaque(witness, "mute", false)
      const error = yield* Effect.flip(run("select 1 as one, row(1, '42'::mute) as m"))
      expect(error.reason._tag).toBe("UnknownError")
      expect(error.message).toMatchInlineSnapshot(`
        "The value of column "m" is a record with a field of type mute, whose binary format only the server can print. Cast that field to text, or the record to a named composite type.
        Statement:
          select 1 as one, row(1, '42'::mute) as m"
      `)
      for (const field of [
        "'1 2'::tsvector",
        "point(1, 2)",
        "'1'::money",
        "'10.0.0.1'::inet",
        "'{1,2}'::mute[]"
      ]) {
        const { message } = yield* Effect.flip(run(`select row(${field}) as "the record"`))
        expect(message).toContain('The value of column "the record" is a record with a field of type')
        expect(message).toContain("Cast that field to text")
      }
      // NULL needs no printing.
      expect(yield* run("select row(1, null::mute) as m")).toEqual([{ m: [1, null] }])
      expect(yield* run("select row(1, '42'::mute::text) as m")).toEqual([{ m: [1, "42"] }])
      yield* witness.query("create type named as (id int, mute mute)")
      expect(yield* run("select row(1, '42')::named as m")).toEqual([{ m: { id: 1, mute: "42" } }])
    })
)

it.effect("the fields of a record are what the same values are by themselves", () =>
  Effect.gen(function* () {
    const { run, witness } = yield* open()
    yield* witness.query("create type mood as enum ('sad', 'ok')")
    yield* witness.query("create domain price as numeric(10, 2)")
    yield* witness.query("create type pair as (a int, b text)")
    yield* witness.query("create type words as range (subtype = text)")
    yield* witness.query("create type singles as range (subtype = float4)")
    const values = [
      "true, 1::int2, 2, 3::int8, 1.1::float4, 0.1::float8, 4::oid",
      "'x'::text, 'y'::varchar, 'z'::char(3), 'n'::name, '<a/>'::xml, 'c'::\"char\"",
      `'{"a": [1]}'::json, '{"a": [1]}'::jsonb, '5'::jsonb`,
      "'\\x00ff'::bytea, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, 'ok'::mood, 1.5::price",
      "1.50::numeric, 0::numeric, -123456789.000100::numeric, 1e-20::numeric, 1e20::numeric, 'NaN'::numeric",
      "'infinity'::numeric, 12345.6789::numeric, 10000::numeric, 0.0001::numeric",
      "date '2024-02-29', date '0044-03-15 BC', 'infinity'::date, time '04:05:06.7', timetz '04:05:06-03:30'",
      "timestamp '2024-01-01 00:00:00.5', timestamptz '2024-01-01 00:00:00Z', 'infinity'::timestamptz",
      "interval '0', interval '1 year 2 mons -3 days 04:05:06.5', interval '-1 mon +1 day -00:00:01', interval '1 day'",
      "int4range(1, 5), int8range(null, 5), numrange(1.5, 2, '[]'), daterange('2024-01-01', null), 'empty'::int4range",
      "words('a b', 'c\"'), singles(-1e-5, 1.1), singles(999999, 1e6)",
      "tsrange('2024-01-01', '2024-01-02 00:00:00.5'), int4multirange(int4range(1, 2), int4range(5, 7))",
      "array[1, null], array['a', null], array[[1.5], [2.5]]::numeric[], '{}'::int[], array['ok']::mood[]",
      "row(1, 'a')::pair, array[row(1, null)::pair, null], row(1, row('x'::text, null::int))"
    ]
    for (const list of values) {
      const [alone] = yield* run(`select json_build_array(${list}) is null as n, ${named(list)}`)
      const { n: _, ...columns } = alone ?? {}
      for (const _ of ["first", "second"]) {
        expect(yield* run(`select row(${list}) as r`), list).toEqual([{ r: Object.values(columns) }])
      }
    }
  })
)

/** Expressions with a name each; their commas are those outside of parentheses, brackets and quotes. */
const named = (list: string): string => {
  const parts: Array<string> = [""]
  let depth = 0
  let quoted = false
  for (const character of list) {
    if (character === "'") quoted = !quoted
    else if (!quoted && /[([]/.test(character)) depth++
    else if (!quoted && /[)\]]/.test(character)) depth--
    if (character === "," && depth === 0 && !quoted) parts.push("")
    else parts[parts.length - 1] += character
  }
  return parts.map((part, index) => `${part} as c${index}`).join(", ")
}

const records: ReadonlyArray<readonly [sql: string, value: unknown]> = [
  ["select row(1, 'x'::text) as v", [1, "x"]],
  ["select (1, 'x'::text) as v", [1, "x"]],
  ["values (row(1, 2))", [1, 2]],
  ["select array[row(1, 2), null] as v", [[1, 2], null]],
  ["select array(select row(1, 2)) as v", [[1, 2]]],
  ["select v from (select 1, 2) v", [1, 2]],
  ["select v from (values (1, 'x'::text)) as v", [1, "x"]],
  ["select array_agg(v) as v from (select 1, 2) v", [[1, 2]]],
  ["select coalesce(v, null) as v from (select 1, 2) v", [1, 2]],
  ["select lag(v, 0) over () as v from (select 1, 2) v", [1, 2]],
  ["with v as (select 1, 2) select v from v", [1, 2]],
  ["with v (a, b) as (select 1, 2) select w as v from v w", [1, 2]],
  ["with a as (select 1), v as materialized (select 1, 2) select v from v", [1, 2]],
  ["with v as (delete from t where a = 0 returning *), w as (select 1, 2) select w as v from w", [1, 2]],
  ["select v from (t join u using (a)) v", [1, 2, 3]],
  ["select v from t join u using (a) as v", [1]],
  ["select row(t, 1) as v from t", [{ a: 1, b: 2 }, 1]],
  ["select v from (select t, array[u] as us from t, u) v", [{ a: 1, b: 2 }, [{ a: 1, c: 3 }]]],
  ["select json_each('{\"a\": 1}') as v", ["a", 1]],
  ["select jsonb_each('{\"a\": 1}') as v", ["a", 1]],
  ["select json_each_text('{\"a\": 1}') as v", ["a", "1"]],
  ["select jsonb_each_text('{\"a\": 1}') as v", ["a", "1"]],
  ["select pair() as v", [1, "x"]],
  ["select pairs() as v", [1, "x"]],
  ["update t set b = b returning row(a, b) as v", [1, 2]],
  ["update t set b = b from (select 1, 2) v returning v", [1, 2]],
  ["insert into t values (5, 6) returning (a, b) as v", [5, 6]],
  ["delete from t where a = 5 returning row(a, b) as v", [5, 6]],
  ["select (select v from (select 1, 2) v) as v", [1, 2]],
  ["select case when true then (1, 2) end as v", [1, 2]],
  ["select max(v) as v from (select array[(1, 2)] as v) w", [[1, 2]]]
]

withDatabase(
  "anonymous records are read at the first run and the second, wherever they come from",
  [
    "create table t (a int, b int)",
    "create table u (a int, c int)",
    "insert into t values (1, 2)",
    "insert into u values (1, 3)",
    "create function pair() returns record language sql as $$ select 1, 'x'::text $$",
    "create function pairs(out a int, out b text) returns setof record language sql as $$ select 1, 'x'::text $$"
  ],
  ({ settings }) =>
    Effect.gen(function* () {
      for (const prepare of [true, false]) {
        const pgdb = PG.make({ ...settings, maxConnections: 1, prepare, key: `prepare ${prepare}` })
        const failures: Array<string> = []
        for (const [text, value] of records) {
          // In a transaction that is undone, so that each finds the same rows; `stop` gives what it has read.
          const twice = Effect.flatMap(Effect.all([pgdb.select(text), pgdb.select(text)]), (rows) =>
            Effect.fail(rows.map(([row]) => Object.values(row ?? {})[0]))
          )
          const read = yield* Effect.flip(pgdb.transaction(twice))
          const wanted = text.startsWith("delete") ? [undefined, undefined] : [value, value]
          if (JSON.stringify(read) !== JSON.stringify(wanted)) failures.push(`${text}: ${String(read)}`)
        }
        expect(failures, `prepare: ${prepare}`).toEqual([])
      }
    })
)

it.effect(
  "a statement that may return a record, or writes and returns rows, is described before its first run only",
  () =>
    Effect.gen(function* () {
      const { cost, run, witness } = yield* open()
      yield* witness.query("create table t (a int)")
      // What a record can hold is asked for once.
      yield* run("select row(1)")
      for (const [text, first] of [
        ["select a from t", "P1 D1 B1 E1 S1"],
        ["select row(a) from t", "P1 D1 B1 E1 S2"],
        ["insert into t values (1)", "P1 D1 B1 E1 S1"],
        ["insert into t values (1) returning a", "P1 D1 B1 E1 S2"],
        ["explain select row(a) from t", "P1 D1 B1 E1 S1"]
      ] as const) {
        expect((yield* cost(run(text))).letters, text).toBe(first)
        expect((yield* cost(run(text))).letters, text).toBe("B1 E1 S1")
      }
    })
)

it.effect("int2vector and oidvector are arrays of numbers", () =>
  Effect.gen(function* () {
    const { run } = yield* open()
    const text = "select '1 2 3'::int2vector as a, ''::oidvector as b, array['4 5'::oidvector, null] as c"
    for (const _ of ["first", "second"]) {
      expect(yield* run(text)).toEqual([{ a: [1, 2, 3], b: [], c: [[4, 5], null] }])
    }
    expect(yield* run("select $1::oidvector as v", [[6, 7]])).toEqual([{ v: [6, 7] }])
  })
)

const ofExtension = (name: string, output: string): PgType => ({
  oid: 99_999,
  name,
  kind: "base",
  of: 0,
  array: 0,
  delimiter: ",",
  attributes: [],
  labels: [],
  output
})

it("vector is an array of numbers, and what PostGIS prints stays its hexadecimal text", () => {
  const read = (name: string, text: string) => {
    const types = TypeMap.make({ int8: "number", timestamp: "date" })
    types.learn([ofExtension(name, `${name}_out`)])
    return types
      .reader(99_999)
      .text(text, { dateStyle: "ISO, MDY", isIso: true, intervalStyle: "postgres", timeZone: "UTC" })
  }
  expect(read("vector", "[1.5,-1]")).toEqual([1.5, -1])
  expect(read("geometry", "0101000020E610AB")).toBe("0101000020E610AB")
  expect(read("geography", "FF")).toBe("FF")
})

it.effect(
  "an int8 that a number cannot hold fails with the column's name, at the first run and the second",
  () =>
    Effect.gen(function* () {
      const { run } = yield* open()
      for (const _ of ["first", "second"]) {
        const error = yield* Effect.flip(
          run('select 9007199254740991 as fits, array[9007199254740992] as "too big"')
        )
        expect(error.message).toMatchInlineSnapshot(`
          "The value of column "too big" holds an int8 past ±(2^53−1), which a number cannot hold exactly. Set int8: "bigint" or "string", or cast the value to text.
          Statement:
            select 9007199254740991 as fits, array[9007199254740992] as "too big""
        `)
        expect(yield* run("select 9007199254740991 as fits, -9007199254740991 as low")).toEqual([
          { fits: 9007199254740991, low: -9007199254740991 }
        ])
        const low = yield* Effect.flip(run("select -9007199254740992 as low"))
        expect(low.message).toContain('column "low" holds an int8 past')
      }
    })
)

it.effect("int8 is a bigint or a string by the setting, also inside other values", () =>
  Effect.gen(function* () {
    const sql =
      "select 9223372036854775807 as a, array[1::int8, null] as b, int8range(1, 5) as c, row(-1::int8, 2)::counter as d"
    for (const [int8, value] of [
      ["bigint", BigInt],
      ["string", String]
    ] as const) {
      const { run, witness } = yield* open({ int8 })
      yield* witness.query("create type counter as (n int8, m int)")
      const expected = {
        a: value("9223372036854775807"),
        b: [value(1), null],
        c: "[1,5)",
        d: { n: value(-1), m: 2 }
      }
      for (const _ of ["first", "second"]) expect(yield* run(sql)).toEqual([expected])
    }
  })
)

it.effect("the settings int8 and timestamp hold for the fields of a record, too", () =>
  Effect.gen(function* () {
    const sql = `select row(-1::int8, array[2::int8, null], 9223372036854775807::int8,
      timestamp '2024-05-06 07:08:09.123456', '2024-05-06 07:08:09.123456Z'::timestamptz) as r`
    const late = ["2024-05-06 07:08:09.123456", "2024-05-06 07:08:09.123456+00"]
    const strings = yield* open({ int8: "string", timestamp: "string" })
    const bigints = yield* open({ int8: "bigint" })
    for (const _ of ["first", "second"]) {
      expect(yield* bigints.run(sql)).toEqual([
        {
          r: [-1n, [2n, null], 9223372036854775807n, ...late.map(() => new Date("2024-05-06T07:08:09.123Z"))]
        }
      ])
      expect(yield* strings.run(sql)).toEqual([{ r: ["-1", ["2", null], "9223372036854775807", ...late] }])
    }
  })
)

it.effect("a timestamp past Date fails clearly, and is text by the setting", () =>
  Effect.gen(function* () {
    const sql = "select '294276-12-31 23:59:59.999999'::timestamp as late"
    const dates = yield* open()
    for (const _ of ["first", "second"]) {
      expect((yield* Effect.flip(dates.run(sql))).message).toMatchInlineSnapshot(`
        "The value of column "late" is a timestamp past the year 275760, where Date ends. Set timestamp: "string", or cast the value to text.
        Statement:
          select '294276-12-31 23:59:59.999999'::timestamp as late"
      `)
    }
    const strings = yield* open({ timestamp: "string" })
    for (const _ of ["first", "second"]) {
      expect(yield* strings.run(sql)).toEqual([{ late: "294276-12-31 23:59:59.999999" }])
    }
    expect(
      yield* strings.run("select $1::timestamptz as at, array[$1::timestamptz] as list", [
        "2024-05-06 07:08:09.123456+00"
      ])
    ).toEqual([{ at: "2024-05-06 07:08:09.123456+00", list: ["2024-05-06 07:08:09.123456+00"] }])
  })
)

it.effect("infinite times are Infinity, and the infinite date is its text", () =>
  Effect.gen(function* () {
    const { run } = yield* open()
    const sql =
      "select 'infinity'::timestamptz as a, '-infinity'::timestamp as b, array['infinity'::timestamptz, null] as c, 'infinity'::date as d"
    for (const _ of ["first", "second"]) {
      expect(yield* run(sql)).toEqual([{ a: Infinity, b: -Infinity, c: [Infinity, null], d: "infinity" }])
    }
  })
)

it.effect("times in a zone that this process does not know are right", () =>
  Effect.gen(function* () {
    const { settings } = yield* database()
    for (const [zone, at] of [
      ["XYZ+3:30ABC,M3.2.0,M11.1.0", "2024-06-30 21:30:00-02:30"],
      ["<-0430>04:30", "2024-06-30 19:30:00-04:30"]
    ] as const) {
      const sql =
        "select '2024-07-01 00:00:00Z'::timestamptz as at, tstzrange('2024-07-01 00:00:00Z', null) as span"
      const startupParameters = { TimeZone: zone }
      const strings = yield* typed(settings, { timestamp: "string", startupParameters })
      const dates = yield* typed(settings, { startupParameters })
      for (const _ of ["first", "second"]) {
        expect(yield* strings.run(sql)).toEqual([{ at, span: `["${at}",)` }])
        expect(yield* dates.run(sql)).toEqual([{ at: new Date("2024-07-01T00:00:00Z"), span: `["${at}",)` }])
      }
    }
  })
)

it.effect(
  "text that is no UTF-8, in a database without an encoding, is an error, and the connection stays",
  () =>
    Effect.gen(function* () {
      const db = yield* database()
      const name = `${db.settings.database}_ascii`
      yield* Effect.acquireRelease(
        db.witness.query(`create database ${name} encoding 'SQL_ASCII' locale 'C' template template0`),
        () => Effect.ignore(db.witness.query(`drop database ${name} with (force)`))
      )
      const { run } = yield* typed({ ...db.settings, database: name })
      const [session] = yield* run("select pg_backend_pid() as pid")
      for (const _ of ["first", "second"]) {
        expect(yield* run("select 'żółw' as t, array['ż']::varchar[] as v")).toEqual([
          { t: "żółw", v: ["ż"] }
        ])
        const error = yield* Effect.flip(run("select 1 as one, convert_from('\\xff', 'SQL_ASCII') as t"))
        expect(error.message).toContain("invalid byte sequence for encoding")
        expect(yield* run("select convert_to(convert_from('\\xff', 'SQL_ASCII'), 'SQL_ASCII') as b")).toEqual(
          [{ b: new Uint8Array([255]) }]
        )
      }
      expect(yield* run("select pg_backend_pid() as pid")).toEqual([session])
    })
)

it.effect("money is in the format of the session's locale", () =>
  Effect.gen(function* () {
    const { run, witness } = yield* open()
    const [row] = yield* witness.query("select '-1234567.8'::money::text as text")
    expect(yield* run("select '-1234567.8'::money as money")).toEqual([{ money: row?.text }])
  })
)

it.effect("names behind OIDs are the server's, in the round trip of their rows", () =>
  Effect.gen(function* () {
    const { cost, run } = yield* open()
    const text = "select oid::regclass as name, oid::regclass::text as text from pg_class where relkind = 'r'"
    const read = Effect.map(run(text), (rows) => {
      expect(rows.length).toBeGreaterThan(50)
      expect(rows.filter((row) => row.name !== row.text)).toEqual([])
    })
    expect(yield* cost(read)).toMatchObject({ trips: 1, questions: 0 })
    expect(yield* cost(read)).toMatchObject({ trips: 1, questions: 0 })
  })
)

withDatabase(
  "a value that cannot be read ends no connection and fails no other statement",
  [],
  ({ settings }) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...settings, maxConnections: 1 })
      const pid = Effect.map(pgdb.selectValue("select pg_backend_pid()"), String)
      const before = yield* pid
      const results = yield* Effect.all(
        [
          Effect.result(pgdb.select("select n from generate_series(9007199254740991, 9007199254740993) n")),
          Effect.result(pgdb.select("select 1 as one")),
          Effect.result(pgdb.trans(["select 1 as one", "select 9007199254740993 as n", "select 2 as two"]))
        ],
        { concurrency: "unbounded" }
      )
      expect(results.map(({ _tag }) => _tag)).toEqual(["Failure", "Success", "Failure"])
      expect(yield* pid).toBe(before)
      const stats = yield* PoolRegistry.stats
      expect(stats).toMatchObject([{ open: 1, idle: 1, inUse: 0 }])
    })
)

const retypings: ReadonlyArray<readonly [before: string, after: string, value: unknown]> = [
  ["int4", "text", "007"],
  ["int4", "text", 7],
  ["numeric", "text", "1.50"],
  ["numeric", "text", 1.5],
  ["float8", "text", "1e3"],
  ["bool", "text", "yes"],
  ["bool", "text", true],
  ["date", "timestamptz", new Date("2024-07-01T12:34:56.789Z")],
  ["date", "text", new Date("2024-07-01T12:34:56.789Z")],
  ["timestamp", "timestamptz", new Date("2024-07-01T12:34:56.789Z")],
  ["timestamptz", "date", "2024-07-01 23:30:00-05"],
  ["uuid", "text", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"],
  ["inet", "text", "10.0.0.1"],
  ["interval", "text", "1 day"],
  ["jsonb", "text", '{"a":  1}'],
  ["jsonb", "text", { a: 1 }],
  ["text", "jsonb", { a: [1, "x"] }],
  ["text", "jsonb", '{"a": 1}'],
  ["text[]", "jsonb", ["1", "2"]],
  ["int4[]", "text[]", ["01", "2"]],
  ["int4[]", "text[]", [1, null]],
  ["text[]", "date[]", [new Date("2024-07-01T12:34:56.789Z")]],
  ["bytea", "text", new Uint8Array([97, 98])],
  ["varchar(2)", "text", "abc"],
  ["mood", "text", "ok"],
  ["text", "mood", "ok"],
  ["price", "text", "1.5"]
]

it.effect(
  "what a statement stores is right at once when another program has changed the type of the column",
  () =>
    Effect.gen(function* () {
      const { settings, witness } = yield* database()
      yield* witness.query("create type mood as enum ('sad', 'ok')")
      yield* witness.query("create domain price as numeric(10, 2)")
      const used = yield* typed(settings)
      const stored = (run: typeof used.run, table: string, value: unknown) =>
        Effect.gen(function* () {
          const result = yield* Effect.result(run(`insert into ${table} values ($1)`, [value]))
          const rows = yield* witness.query(`select v::text as v from ${table}`)
          yield* witness.query(`truncate ${table}`)
          return result._tag === "Success" ? rows : result.failure.reason._tag
        })
      const wrong: Array<string> = []
      for (const [index, [before, after, value]] of retypings.entries()) {
        const [table, twin] = [`t${index}`, `twin${index}`]
        yield* witness.query(`create table ${table} (v ${before})`)
        yield* witness.query(`create table ${twin} (v ${after})`)
        for (const _ of ["first", "second"]) yield* stored(used.run, table, value)
        yield* witness.query(`alter table ${table} alter v type ${after} using null`)
        const fresh = yield* typed(settings)
        const wanted = yield* stored(fresh.run, twin, value)
        for (const time of ["first", "second"]) {
          const got = yield* stored(used.run, table, value)
          if (JSON.stringify(got) !== JSON.stringify(wanted)) {
            wrong.push(
              `${before} to ${after}, ${time}: ${JSON.stringify(got)} instead of ${JSON.stringify(wanted)}`
            )
          }
        }
      }
      expect(wrong).toEqual([])
    })
)
