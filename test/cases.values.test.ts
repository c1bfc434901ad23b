/** Values go in and come out as they are: by position, as json where json is meant, and equal to themselves. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { PG } from "effect-global-pool"
import { at, forEach, operations, withEachSetting } from "./support/cases.ts"
import { withDatabase } from "./support/handle.ts"

withEachSetting(
  "a column is what stands at its position, and of two of one name an object has the last",
  [],
  {},
  ({ pgdb }) =>
    Effect.gen(function* () {
      const sql = yield* pgdb.client
      const twice = "select u.id, p.id from (values (1)) u(id), (values (99)) p(id)"
      for (let run = 0; run < 2; run++) {
        expect(yield* pgdb.selectValue`select 1, 2`).toMatchObject({ value: 1 })
        expect(yield* pgdb.selectValue("select 1 as a, 2 as a")).toMatchObject({ value: 1 })
        expect(yield* pgdb.selectValue(twice)).toMatchObject({ value: 1 })
        expect(yield* pgdb.transaction(pgdb.selectValue(twice))).toMatchObject({ value: 1 })
        expect(yield* pgdb.table("t").selectValue(twice)).toMatchObject({ value: 1 })
        expect(yield* sql.unsafe(twice).values).toEqual([[1, 99]])
        expect(yield* sql.withTransaction(sql.unsafe(twice).values)).toEqual([[1, 99]])
        expect(yield* sql`select 1, 2, 3`.values).toEqual([[1, 2, 3]])
      }
      yield* forEach(operations, (run) =>
        Effect.map(run(pgdb, twice, []), (rows) => expect(rows).toEqual([{ id: 99 }]))
      )
    })
)

const empty = "is an array without elements, and the statement does not say of which type it is. Cast"

withEachSetting("json is json wherever it stands, without a cast", [], {}, ({ pgdb }) =>
  Effect.gen(function* () {
    const cases: ReadonlyArray<readonly [text: string, param: unknown, value: unknown]> = [
      ["select $1 as v", PG.json([1]), [1]],
      ["select $1 as v", PG.json(PG.json([1])), [1]],
      ["select $1 as v", PG.json("x"), "x"],
      ["select $1 as v", PG.json(null), null],
      ["select $1 as v", PG.json(5), 5],
      ["select $1 as v", { a: 1 }, { a: 1 }],
      ["select jsonb_build_object('a', $1) as v", PG.json({ b: 1 }), { a: { b: 1 } }],
      ["select json_build_object('a', $1) as v", PG.json({ b: 1 }), { a: { b: 1 } }],
      ["select jsonb_build_object('a', $1) as v", { b: 1 }, { a: { b: 1 } }],
      ["select jsonb_build_array(1, $1) as v", PG.json([1]), [1, [1]]],
      ["select to_jsonb($1) as v", PG.json([1]), [1]],
      ["select coalesce($1, 'null') as v", PG.json([1]), [1]],
      ["select $1::jsonb as v", [1, 2], [1, 2]],
      ["select '[0]'::jsonb || $1 as v", PG.json([1]), [0, 1]]
    ]
    for (const [text, param, value] of cases) {
      yield* forEach(operations, (run, operation) =>
        Effect.gen(function* () {
          for (let again = 0; again < 2; again++) {
            expect([text, operation, yield* run(pgdb, text, [param])]).toEqual([
              text,
              operation,
              [{ v: value }]
            ])
          }
        })
      )
    }
    expect(yield* pgdb.select`select ${PG.json([1])} as v`).toEqual([{ v: [1] }])
    const sql = yield* pgdb.client
    expect(yield* sql`select jsonb_build_object('a', ${sql.json({ b: 1 })}) as v`).toEqual([
      { v: { a: { b: 1 } } }
    ])
    for (const none of [[], [[]], [null]]) {
      yield* forEach(operations, (run) =>
        Effect.map(Effect.flip(run(pgdb, "select $1 as v", [none])), (error) =>
          expect(error.message).toContain(empty)
        )
      )
    }
  })
)

const types: ReadonlyArray<readonly [type: string, values: ReadonlyArray<unknown>]> = [
  ["real", [1.1, 0.1, 16_777_217, 1e39, -0, Number.NaN, Number.POSITIVE_INFINITY, 1e-46, 3.402_823_5e38]],
  ["float8", [1.1, 1e300, Number.NaN, Number.POSITIVE_INFINITY, -0, 0.1]],
  ["int2", [1, 40_000, 1.5, 2n ** 70n, Number.NaN, Number.POSITIVE_INFINITY, "3"]],
  ["int4", [1, 2 ** 31, 1.5, 2n ** 70n, 1e300, "3"]],
  ["int8", [1, 2 ** 53, 2n ** 63n, 2n ** 63n - 1n, 1.5, 1e30, "9"]],
  ["numeric", [1.1, "1.10", 2n ** 70n, Number.NaN, Number.POSITIVE_INFINITY, 1e-20, 10]],
  ["numeric(4,1)", [1.3, "1.30"]],
  ["text", ["a", "", "007", "{}", "null"]],
  ["varchar(3)", ["abc", "a"]],
  ["char(3)", ["a", "abc", "a  "]],
  ["bool", [true, false, "yes"]],
  ["date", [at, "2026-03-01", Number.POSITIVE_INFINITY]],
  ["timestamp", [at, "2026-03-01 15:30", Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]],
  ["timestamptz", [at, Number.POSITIVE_INFINITY]],
  ["jsonb", [{ a: 1 }, "x", 5, true, { $x: 1 }, []]],
  ["uuid", ["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"]],
  ["bytea", [Uint8Array.of(1, 2, 3), new Uint8Array(0)]],
  ["int[]", [[1, 2], []]],
  ["text[]", [["a", "b"], []]],
  ["real[]", [[1.1, 2.2]]],
  ["inet", ["10.0.0.1", "10.0.0.1/32"]],
  ["interval", ["1 mon", "30 days"]],
  ["mood", ["a"]],
  ["short", [1.1]],
  ["whole", [5, 1.5]],
  ["oid", [5, 4_294_967_295, 4_294_967_296]],
  ["money", ["12.34", 12.34]],
  ["bit(3)", ["101"]]
]

withDatabase(
  "what was inserted is found by its value, and $eq and $in, $ne and $nin agree for every type and any number",
  [
    "create type mood as enum ('a', 'b')",
    "create domain short as real",
    "create domain whole as int",
    "create table t (v text)"
  ],
  ({ pgdb, witness }) =>
    Effect.gen(function* () {
      const table = pgdb.table("t")
      /** How many rows, or that it fails. */
      const count = (filter: PG.Filter<PG.Row>) =>
        Effect.map(Effect.exit(table.count(filter)), (exit) =>
          exit._tag === "Success" ? exit.value : "fails"
        )
      for (const [type, values] of types) {
        yield* witness.query("drop table t")
        yield* witness.query(`create table t (v ${type})`)
        for (const value of values) {
          yield* witness.query("truncate t")
          const stored = yield* Effect.exit(table.insert({ v: value }))
          const isStored = stored._tag === "Success"
          if (!isStored) yield* table.insert({ v: null })
          const equal = yield* Effect.all([
            count({ v: { $eq: value } }),
            count({ v: { $in: [value] } }),
            count({ v: { $in: [value, value] } }),
            count({ $or: [{ v: { $eq: value } }] }),
            count({ $not: { v: { $ne: value } } })
          ])
          const unequal = yield* Effect.all([count({ v: { $ne: value } }), count({ v: { $nin: [value] } })])
          expect([type, value, new Set(equal).size, new Set(unequal).size]).toEqual([type, value, 1, 1])
          if (isStored) expect([type, value, equal[0]]).toEqual([type, value, 1])
        }
      }
    })
)

withDatabase(
  "a large number is found by itself alone, whatever numbers stand beside it",
  [],
  ({ settings }) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...settings, int8: "bigint" })
      const v = 2n ** 60n
      yield* pgdb.execute`create table t as select unnest(${[v, v + 1n]}::int8[]) as v`
      const table = pgdb.table("t")
      for (const beside of [1.5, 2 ** 70, Number.NaN, Number.NEGATIVE_INFINITY]) {
        expect(yield* table.find({ v: { $in: [beside, v] } })).toEqual([{ v }])
        expect(yield* table.find({ v: { $nin: [v + 1n, beside] } })).toEqual([{ v }])
        expect(yield* table.count({ v: { $in: [beside] } })).toBe(0)
      }
    })
)

withDatabase("a password is prepared as libpq prepares it", [], ({ settings, witness }) =>
  Effect.gen(function* () {
    const role = `role_${settings.database}`
    yield* Effect.acquireRelease(witness.query(`create role ${role} login`), () =>
      Effect.ignore(witness.query(`drop role ${role}`))
    )
    const isAskedFor = yield* Effect.exit(
      PG.make({ ...settings, username: role, password: "wrong", key: "wrong" }).select("select 1")
    )
    /** As it was set, and in other spellings that are the same to SASLprep. */
    const spellings: ReadonlyArray<readonly [set: string, ...given: ReadonlyArray<string>]> = [
      ["\ufb01sh", "fish", "\ufb01sh"],
      ["a\u2000b", "a b", "a\u2000b", "a\u00a0b"],
      ["a\u0308", "\u00e4", "a\u0308"],
      ["\u00ad\u00e4", "a\u0308"],
      // What Unicode 3.2 did not have is not prepared.
      ["pass\u2b50\ufe0fword", "pass\u2b50\ufe0fword"],
      ["\u20b9100 \u00bd", "\u20b9100 \u00bd"],
      ["plain", "plain"]
    ]
    for (const [set, ...given] of spellings) {
      yield* witness.query(`alter role ${role} password '${set}'`)
      for (const password of given) {
        const pgdb = PG.make({ ...settings, username: role, password, key: `${set} ${password}` })
        expect(yield* pgdb.selectValue("select current_user")).toMatchObject({ value: role })
        yield* pgdb.terminate
      }
    }
    // A server that asks for no password would take any.
    expect(process.env.DATABASE_URL === undefined ? isAskedFor._tag : "Failure").toBe("Failure")
  })
)

withDatabase("a stream of rows has the same columns by position", [], ({ pgdb }) =>
  Effect.gen(function* () {
    const sql = yield* pgdb.client
    const rows = yield* Stream.runCollect(sql`select 1 as a, 2 as a`.stream)
    expect(rows).toEqual([{ a: 2 }])
  })
)
