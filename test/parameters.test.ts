/**
 * What may be given as a parameter, and what the server gets.
 */
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { PG } from "effect-global-pool"
import { json } from "../src/statement/Json.ts"
import { encodeColumn } from "../src/types/ArrayColumn.ts"
import { encodeValue } from "../src/types/Parameters.ts"
import { database } from "./support/database.ts"
import { withDatabase } from "./support/handle.ts"
import { openSession, runOn } from "./support/session.ts"
import { measured, typed } from "./support/typed.ts"

const open = Effect.fnUntraced(function* (options: Partial<PG.Settings> = {}) {
  const db = yield* database()
  return { ...(yield* typed(db.settings, options)), witness: db.witness }
})

const measuredOpen = Effect.fnUntraced(function* () {
  const { settings, witness } = yield* database()
  return { ...(yield* measured(settings)), witness }
})

it.effect("numbers are what they are in SQL itself", () =>
  Effect.gen(function* () {
    const { run } = yield* open()
    const values = [
      1,
      -0,
      1.5,
      19.99,
      1e-7,
      2 ** 31,
      2 ** 53,
      1e20,
      NaN,
      1.7976931348623157e308,
      10n,
      -(2n ** 63n)
    ]
    const rows = yield* run(
      `select ${values.map((_, index) => `pg_typeof($${index + 1})::text as t${index}`).join(", ")}`,
      values
    )
    expect(Object.values(rows[0] ?? {})).toEqual([
      "integer",
      "double precision",
      "numeric",
      "numeric",
      "numeric",
      "bigint",
      "bigint",
      "numeric",
      "double precision",
      "numeric",
      "bigint",
      "bigint"
    ])
    const back = yield* run(
      `select $1::float8 = '1.7976931348623157e308' as max, $2::float8 = '5e-324' as min, $3::float4 = '0.1' as single`,
      [1.7976931348623157e308, 5e-324, Math.fround(0.1)]
    )
    expect(back).toEqual([{ max: true, min: true, single: true }])
  })
)

it.effect("a fraction finds a numeric by its index", () =>
  Effect.gen(function* () {
    const { run } = yield* open()
    yield* run("create table prices (price numeric primary key)")
    yield* run("insert into prices select i + 0.99 from generate_series(1, 10000) i")
    expect(yield* run("select price from prices where price = $1", [19.99])).toEqual([{ price: "19.99" }])
    const plan = yield* run("explain select price from prices where price = $1", [19.99])
    expect(JSON.stringify(plan)).toContain("Index")
  })
)

for (const zone of ["UTC", "Asia/Kolkata", "America/St_Johns"]) {
  it.effect(`a Date keeps its instant, or its UTC fields, in a session in ${zone}`, () =>
    Effect.gen(function* () {
      const { run } = yield* open({ startupParameters: { TimeZone: zone } })
      yield* run("create table times (a timestamptz, b timestamp, c date, d time, e timetz)")
      const date = new Date("2024-03-01T23:30:15.678Z")
      const early = new Date(Date.UTC(2000, 0, 1))
      early.setUTCFullYear(-43, 2, 15)
      const late = new Date("+012024-01-01T00:00:00Z")
      for (const at of [date, early, late]) {
        const sql =
          "insert into times values ($1, $2, $3, $4, $5) returning a, b, c, d, (e at time zone 'UTC')::time as e"
        const [row] = yield* run(sql, [at, at, at, at, at])
        expect(row?.a).toEqual(at)
        expect(row?.b).toEqual(at)
        expect(row?.d).toEqual(row?.e)
      }
      expect(yield* run("select c::text, d::text from times order by a")).toEqual([
        { c: "0044-03-15 BC", d: "00:00:00" },
        { c: "2024-03-01", d: "23:30:15.678" },
        { c: "12024-01-01", d: "00:00:00" }
      ])
      expect(
        yield* run(
          "select $1 - interval '1 day' as a, a from times where a = $2 and a = any($3) and b between $4 and $5",
          [date, date, [date, early], early, late]
        )
      ).toEqual([{ a: date }])
      expect(yield* run("select $1 - interval '1 day' as before", [date])).toEqual([
        { before: new Date(date.getTime() - 86_400_000) }
      ])
      expect(yield* run("select $1 as bare", [date])).toEqual([{ bare: date }])
    })
  )
}

it.effect("infinite times go back in", () =>
  Effect.gen(function* () {
    const { run } = yield* open()
    yield* run("create table ends (a timestamptz, b timestamp, f float8)")
    expect(
      yield* run("insert into ends values ($1, $2, $3) returning *", [Infinity, -Infinity, Infinity])
    ).toEqual([{ a: Infinity, b: -Infinity, f: Infinity }])
  })
)

it.effect("arrays take the type that the statement expects", () =>
  Effect.gen(function* () {
    const { run } = yield* open()
    const all = {
      ints: [1, null, 3],
      big: [1n, 2, 9007199254740993n],
      mixed: [1, 2.5, "3"],
      nothing: [],
      nulls: [null, undefined],
      nested: [
        ["a", null],
        ['"q"', "\\ {,} NULL"]
      ],
      days: [new Date("2024-01-01T23:00:00Z"), null],
      bytes: [new Uint8Array([0, 255]), Buffer.from("x")],
      flags: [true, false],
      docs: [{ a: 1 }, [1, 2], "text", 5, null],
      boxes: ["(1,1),(0,0)", null],
      uuids: ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]
    }
    const types = {
      ints: "int[]",
      big: "numeric[]",
      mixed: "numeric[]",
      nothing: "text[]",
      nulls: "int[]",
      nested: "text[]",
      days: "date[]",
      bytes: "bytea[]",
      flags: "bool[]",
      docs: "jsonb[]",
      boxes: "box[]",
      uuids: "uuid[]"
    }
    const columns = Object.entries(types)
    yield* run(`create table arrays (${columns.map(([name, type]) => `${name} ${type}`).join(", ")})`)
    const rows = yield* run(
      `insert into arrays values (${columns.map((_, index) => `$${index + 1}`).join(", ")}) returning *`,
      Object.values(all)
    )
    expect(rows).toEqual([
      {
        ...all,
        big: ["1", "2", "9007199254740993"],
        mixed: ["1", "2.5", "3"],
        nulls: [null, null],
        days: ["2024-01-01", null],
        bytes: [new Uint8Array([0, 255]), new Uint8Array([120])]
      }
    ])
    expect(yield* run("select i from generate_series(1, 9) i where i = any($1)", [[2, 4]])).toEqual([
      { i: 2 },
      { i: 4 }
    ])
    expect(yield* run("select $1::int[] as a", [new Int32Array([1, 2])])).toEqual([{ a: [1, 2] }])
  })
)

it.effect("arrays from which the server cannot tell a type take that of their elements", () =>
  Effect.gen(function* () {
    const { run } = yield* open()
    expect(yield* run("select unnest($1) as v", [[1, 2]])).toEqual([{ v: 1 }, { v: 2 }])
    expect(yield* run("select pg_typeof($1)::text as v", [[[1.5, 2]]])).toEqual([{ v: "numeric[]" }])
    expect(yield* run("select pg_typeof($1)::text as v", [["a", null]])).toEqual([{ v: "text[]" }])
    expect(yield* run("select $1 as v", [[new Date(0), null]])).toEqual([{ v: [new Date(0), null] }])
    expect(yield* run("select $1 as v", [[{ a: 1 }]])).toEqual([{ v: [{ a: 1 }] }])
    expect(yield* run("select $1 as v", [[2 ** 40, 1n]])).toEqual([{ v: [2 ** 40, 1] }])
  })
)

it.effect("arrays and objects for functions that take any type have the type of what they hold", () =>
  Effect.gen(function* () {
    const { run } = yield* open()
    for (const [text, params, value] of [
      ["select array_length($1, 1) as v", [[1, 2, 3]], 3],
      ["select cardinality($1) as v", [["a", "b"]], 2],
      ["select array_to_string($1, ',') as v", [[1.5, 2]], "1.5,2"],
      [
        "select max(a) as v from unnest($1, $2) as t (a, b)",
        [
          [1, 5],
          ["x", "y"]
        ],
        5
      ],
      ["select to_jsonb($1) as v", [[1, null]], [1, null]],
      ["select to_jsonb($1) as v", [{ a: [1] }], { a: [1] }],
      ["select pg_typeof($1)::text as v", [[new Date(0)]], "timestamp with time zone[]"]
    ] as const) {
      expect(yield* Effect.result(run(text, params)), text).toMatchObject({ success: [{ v: value }] })
    }
  })
)

it.effect("objects are json, composites and hstore", () =>
  Effect.gen(function* () {
    const { run, witness } = yield* open()
    yield* witness.query("create extension hstore")
    yield* witness.query('create type inner_pair as (a int, "b c" text)')
    yield* witness.query(
      "create type outer_pair as (id int8, pair inner_pair, notes jsonb, at timestamptz, list inner_pair[])"
    )
    yield* run("create table things (j json, b jsonb, h hstore, c outer_pair, v int[])")
    const composite = {
      id: 5,
      pair: { a: 1, "b c": 'x "y" (z), \\' },
      notes: { list: [1, "two"] },
      at: new Date(1e12),
      list: [{ a: 1, "b c": "," }, null]
    }
    const sql = "insert into things (j, b, h, c) values ($1, $2, $3, $4) returning j, b, h, c"
    expect(
      yield* run(sql, [{ a: 1 }, [1, { b: null }], { k: "v", "": null, 'q"': "a=>b" }, composite])
    ).toEqual([{ j: { a: 1 }, b: [1, { b: null }], h: { k: "v", "": null, 'q"': "a=>b" }, c: composite }])
    expect(yield* run(sql, [json("text"), json(5), null, { pair: null }])).toEqual([
      { j: "text", b: 5, h: null, c: { id: null, pair: null, notes: null, at: null, list: null } }
    ])
    expect(
      yield* run(sql, ['{"raw": true}', json(true), {}, [1, [2, "positional"], null, null, []]])
    ).toEqual([
      {
        j: { raw: true },
        b: true,
        h: {},
        c: { id: 1, pair: { a: 2, "b c": "positional" }, notes: null, at: null, list: [] }
      }
    ])
    // Where the server knows nothing of the parameter it is json, and where it is text it stays text.
    expect(yield* run("select $1 as v", [{ a: 1 }])).toEqual([{ v: { a: 1 } }])
    expect(yield* run("select $1::text as v", [{ a: 1 }])).toEqual([{ v: '{"a":1}' }])
    yield* run("create table notes (note text)")
    expect(yield* run("insert into notes values ($1) returning note", [{ a: 1 }])).toEqual([
      { note: '{"a":1}' }
    ])
    expect(yield* run("select b->>'b' as v from things where b @> $1", [[1]])).toEqual([{ v: null }])
  })
)

it.effect("numbers and booleans are themselves in any company, and json by PG.json", () =>
  Effect.gen(function* () {
    const { run } = yield* open()
    yield* run("create table things (a jsonb, b json)")
    const insert = "insert into things values ($1, $2) returning *"
    for (const value of [5, 1.5, true, 10n]) {
      for (const other of ["null", { c: 1 }]) {
        const error = yield* Effect.flip(run(insert, [value, other]))
        expect(error.message).toContain('column "a" is of type jsonb but expression is of type')
        expect(yield* run(insert, [json(value), other])).toEqual([
          { a: Number(value) === 1 ? true : Number(value), b: other === "null" ? null : other }
        ])
      }
    }
  })
)

const refusals: ReadonlyArray<readonly [what: string, sql: string, value: unknown]> = [
  ["a function", "select $1::text", () => "secret"],
  ["a symbol", "select $1::text", Symbol("secret")],
  ["a Map", "select $1::jsonb", new Map([["secret", 1]])],
  ["an Effect", "select $1::jsonb", Effect.succeed("secret")],
  ["an Option", "select $1::text", Option.some("secret")],
  ["an invalid Date", "select $1::timestamptz", new Date(Number.NaN)],
  ["a bigint beyond int8", "select $1::int8", 2n ** 63n],
  [
    "a cyclic object",
    "select $1::jsonb",
    (() => {
      const cyclic: Record<string, unknown> = {}
      cyclic.secret = cyclic
      return cyclic
    })()
  ],
  ["a bigint in json", "select $1::jsonb", { secret: 1n }],
  ["a ragged array", "select $1::int[]", [[1, 2], [3]]],
  ["NULL in an int2vector", "select $1::int2vector", [1, null, 2]],
  ["a function in an array", "select $1::text[]", ["a", () => "secret"]],
  ["an object for a number", "select $1::int", { secret: 1 }],
  ["an array for a number", "select $1::int", [1]],
  ["an object for an array", "select $1::int[]", { secret: 1 }],
  ["an attribute that the type does not have", "select $1::pair", { a: 1, x: "secret" }],
  ["fields too many", "select $1::pair", [1, 2, "secret"]],
  ["values of different kinds", "select unnest($1)", [1, new Date(0)]]
]

it.effect("what Postgres has no value for is refused by number and rule, and is never sent", () =>
  Effect.gen(function* () {
    const { cost, run, witness } = yield* measuredOpen()
    yield* witness.query("create type pair as (a int, b text)")
    const told: Array<string> = []
    for (const [what, sql, value] of refusals) {
      const refused = Effect.map(Effect.flip(run(sql, [value])), (error) => {
        expect(error._tag).toBe("PoolError")
        told.push(`${what}: ${error.message}`)
      })
      const { bytes, letters, questions } = yield* cost(refused)
      expect(bytes).not.toContain("secret")
      // The statement was described at the most: what ran are questions about types.
      expect(/E\d+/.exec(letters)?.[0] ?? "E0", what).toBe(`E${questions}`)
    }
    expect(told.join("\n")).not.toContain("secret")
    expect(told).toMatchInlineSnapshot(`
      [
        "a function: Parameter $1 is a function, which Postgres has no value for. The statement was not sent.",
        "a symbol: Parameter $1 is a symbol, which Postgres has no value for. The statement was not sent.",
        "a Map: Parameter $1 is an instance of Map, and only plain objects and arrays are taken: make one of it. The statement was not sent.",
        "an Effect: Parameter $1 is an Effect, and not what comes of it: yield* it first. The statement was not sent.",
        "an Option: Parameter $1 is an Option, and not what is in it: Option.getOrNull gives that, or NULL. The statement was not sent.",
        "an invalid Date: Parameter $1 is an invalid Date. The statement was not sent.",
        "a bigint beyond int8: Parameter $1 is a bigint past ±2^63, where int8 ends. Cast the placeholder to numeric, or pass a string. The statement was not sent.",
        "a cyclic object: Parameter $1 cannot be written as json: it refers to itself or nests too deeply, or one of its properties or its toJSON throws. Give a plain copy of it. The statement was not sent.",
        "a bigint in json: Parameter $1 holds a bigint, which json cannot hold: make it a string or a number. The statement was not sent.",
        "a ragged array: Parameter $1 is an array whose inner arrays differ in length, which Postgres has no value for. The statement was not sent.",
        "NULL in an int2vector: Parameter $1 holds NULL, which int2vector does not take. The statement was not sent.",
        "a function in an array: Parameter $1 is a function, which Postgres has no value for. The statement was not sent.",
        "an object for a number: Parameter $1 is an object, and the server expects int4. The statement was not sent.",
        "an array for a number: Parameter $1 is an array, and the server expects one int4. For a list of values write = any($1) in place of in ($1); PG.json(value) makes json of it. The statement was not sent.",
        "an object for an array: Parameter $1 is an object, and the server expects an array of int4. The statement was not sent.",
        "an attribute that the type does not have: Parameter $1 has the attribute "x", which type pair does not have. The statement was not sent.",
        "fields too many: Parameter $1 has 3 fields, and type pair has 2. The statement was not sent.",
        "values of different kinds: Parameter $1 is an array of values of different kinds. The statement was not sent.",
      ]
    `)
    expect((yield* cost(run("select 1 as one"))).letters).toBe("P1 D1 B1 E1 S1")
  })
)

it.effect("the types of parameters are asked for in one round trip, and forgotten when they may change", () =>
  Effect.gen(function* () {
    const { cost, run } = yield* measuredOpen()
    const costOf = (text: string, value: unknown, expected: unknown) =>
      cost(Effect.map(run(text, [value]), (rows) => expect(rows).toEqual([{ v: expected }])))
    const ints = costOf("select $1::int[] as v", [1, 2], [1, 2])
    expect(yield* ints).toMatchObject({ trips: 2, letters: "P1 D1 B1 E1 S2" })
    expect(yield* ints).toMatchObject({ trips: 1, letters: "B1 E1 S1" })
    // A Date would lose its time if another program made a timestamp of a date meanwhile: the server looks at the statement anew.
    const date = costOf("select $1::timestamptz as v", new Date(0), new Date(0))
    expect(yield* date).toMatchObject({ trips: 2, letters: "P2 D2 B1 E1 S2" })
    expect(yield* date).toMatchObject({ trips: 1, letters: "P1 D1 B1 E1 S1" })
    yield* run("create table anything (n int)")
    expect(yield* ints).toMatchObject({ trips: 2, letters: expect.stringMatching(/^P1 D1 B1 E1 /) })
    expect(yield* ints).toMatchObject({ trips: 1, letters: "B1 E1 S1" })
  })
)

withDatabase("in a transaction too, the types are asked for, and no question spoils it", [], ({ pgdb }) =>
  Effect.asVoid(
    pgdb.transaction(
      Effect.gen(function* () {
        const days = pgdb.select("select $1::date[] as days", [[new Date(0)]])
        expect(yield* days).toEqual([{ days: ["1970-01-01"] }])
        // A statement that cannot be described without types does not spoil the transaction.
        expect(yield* pgdb.select("select unnest($1) as v", [[7]])).toEqual([{ v: 7 }])
        const refused = yield* Effect.flip(pgdb.select("select $1::int", [{ a: 1 }]))
        expect(refused._tag).toBe("PoolError")
        expect(yield* pgdb.select("select 1 as one")).toEqual([{ one: 1 }])
        expect(yield* days).toEqual([{ days: ["1970-01-01"] }])
      })
    )
  )
)

it.effect("bytes are taken in every form that JavaScript has for them", () =>
  Effect.gen(function* () {
    const { run } = yield* open()
    const bytes = new Uint8Array([1, 2, 3, 4])
    for (const value of [
      bytes,
      Buffer.from(bytes),
      bytes.buffer,
      new DataView(bytes.buffer),
      new Int8Array(bytes.buffer),
      new Uint16Array(bytes.buffer)
    ]) {
      expect(yield* run("select $1::bytea as b", [value])).toEqual([{ b: bytes }])
    }
  })
)

it.effect("values of a column of a known type arrive one by one and as one array", () =>
  Effect.gen(function* () {
    const { settings } = yield* database()
    const session = yield* openSession(settings)
    const types: ReadonlyArray<
      readonly [name: string, oid: number, values: ReadonlyArray<unknown>, read?: ReadonlyArray<unknown>]
    > = [
      ["int2", 21, [1, -32768, null]],
      ["int4", 23, [1, null, -5]],
      ["int8", 20, [1, 9007199254740991, -9007199254740991, null]],
      ["int8", 20, ["1", 2n], [1, 2]],
      ["float8", 701, [1.5, Infinity, null]],
      ["float4", 700, [1.5, null]],
      ["bool", 16, [true, null, false]],
      ["text", 25, ["a", "żółw 🐢", "", null, 'q"\\']],
      ["text", 25, [1, "a"], ["1", "a"]],
      ["timestamptz", 1184, [new Date(1e12), null, new Date(-1e12)]],
      ["timestamptz", 1184, [new Date(1e12), Infinity]],
      ["date", 1082, [new Date(0), "2024-01-01"], ["1970-01-01", "2024-01-01"]],
      ["uuid", 2950, ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", null]],
      ["jsonb", 3802, [{ a: [1] }, "text", 5, true, [1, "x"], null]],
      ["numeric", 1700, ["1.50", 2.5, 10n ** 30n], ["1.50", "2.5", String(10n ** 30n)]],
      ["bytea", 17, [new Uint8Array([1, 2]), null]],
      ["varchar", 1043, []]
    ]
    for (const [name, oid, values, read] of types) {
      const column = yield* Effect.fromResult(encodeColumn(session.types, values, oid, 1))
      const many = yield* runOn(session, `select v from unnest($1::${name}[]) v`, [column])
      expect(many.error).toBeUndefined()
      expect(many.rows).toEqual((read ?? values).map((v) => ({ v })))
      for (const [index, value] of values.entries()) {
        const bound = yield* Effect.fromResult(encodeValue(session.types, value, oid, 1))
        const one = yield* runOn(session, `select $1::${name} as v`, [bound])
        expect(one.rows).toEqual([{ v: (read ?? values)[index] }])
      }
    }
    const binary = yield* Effect.fromResult(encodeColumn(session.types, [1], 23, 1))
    expect(binary).toBeInstanceOf(Uint8Array)
    expect(session.end()).toBeUndefined()
  })
)

it.effect("a value that a column cannot take is refused by its number and never shown", () =>
  Effect.gen(function* () {
    const { settings } = yield* database()
    const { types } = yield* openSession(settings)
    const hostile = {
      get secret(): unknown {
        throw new Error("secret")
      }
    }
    for (const [value, oid] of [
      [new Map([["secret", 1]]), 3802],
      [() => "secret", 25],
      [hostile, 114],
      [new Date(Number.NaN), 1184],
      [2n ** 63n, 20]
    ] as const) {
      const one = yield* Effect.flip(Effect.fromResult(encodeValue(types, value, oid, 7)))
      const column = yield* Effect.flip(Effect.fromResult(encodeColumn(types, [null, value], oid, 7)))
      for (const { message } of [one, column]) {
        expect(message).toMatch(/^Parameter \$7 .*\. The statement was not sent\.$/)
        expect(message).not.toContain("secret")
      }
    }
  })
)
