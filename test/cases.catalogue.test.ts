/**
 * Tables and types that change between two runs of a statement, by this program and by another: the value is what a pool gives
 * that never knew them otherwise.
 */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { PG } from "effect-global-pool"
import {
  at,
  forEach,
  newYork,
  operations,
  plainOperations,
  withEachSetting,
  writes
} from "./support/cases.ts"

/** From a column's type to another, and a value that shows the difference. */
const retypings: ReadonlyArray<readonly [from: string, to: string, value: unknown, stored: string]> = [
  ["date", "timestamp", at, "2026-03-01 15:30:00"],
  ["date", "timestamptz", at, "2026-03-01 10:30:00-05"],
  ["timestamp", "timestamptz", at, "2026-03-01 10:30:00-05"],
  ["timestamptz", "timestamp", at, "2026-03-01 15:30:00"],
  ["timestamptz", "date", at, "2026-03-01"],
  ["timestamptz(0)", "timestamptz", new Date("2026-03-01T15:30:00.400Z"), "2026-03-01 10:30:00.4-05"],
  ["date", "text", at, "2026-03-01 15:30:00.000+00"],
  ["date[]", "timestamptz[]", [at], '{"2026-03-01 10:30:00-05"}'],
  ["real", "float8", 1.1, "1.1"],
  ["real", "numeric", 1.1, "1.1"],
  ["int", "text", "007", "007"],
  ["int", "numeric", "1.10", "1.10"],
  ["int", "int8", "1099511627776", "1099511627776"],
  ["int[]", "text[]", ["007"], "{007}"],
  ["int[]", "jsonb", [1, 2], "[1, 2]"],
  ["int[]", "jsonb", { a: 1 }, '{"a": 1}'],
  ["jsonb", "text", { a: 1 }, '{"a":1}'],
  ["text", "jsonb", { a: 1 }, '{"a": 1}'],
  ["bool", "text", "yes", "yes"],
  ["uuid", "text", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"],
  ["bytea", "text", "\\x41", "\\x41"],
  ["char(3)", "text", "a", "a"],
  ["varchar(3)", "text", "abcdef", "abcdef"],
  ["numeric(5,2)", "numeric", "1.239", "1.239"],
  ["inet", "text", "10.0.0.1/32", "10.0.0.1/32"],
  ["interval", "text", "1 mon", "1 mon"],
  ["time", "text", "15:30", "15:30"],
  ["money", "numeric", "12.345", "12.345"]
]

const bySQL = Object.fromEntries(
  Object.entries(operations).map(([name, run]) => [
    name,
    (pgdb: PG.Database, id: number, x: unknown) => run(pgdb, "insert into m values ($1, $2)", [id, x])
  ])
)

const byTable = Object.fromEntries(
  Object.entries(writes).map(([name, write]) => [
    name,
    (pgdb: PG.Database, id: number, x: unknown) => write(pgdb.table("m"), { id, x })
  ])
)

for (const [what, ways] of Object.entries({ "a statement": bySQL, "a table's operation": byTable })) {
  withEachSetting(
    `${what} stores what it is given when the column's type has been changed since, here or by another session`,
    ["create table m (id int primary key, x date)"],
    newYork,
    ({ pgdb, witness }) =>
      Effect.gen(function* () {
        let id = 0
        for (const [index, [from, to, value, stored]] of retypings.entries()) {
          const ddl = index % 2 === 0 ? witness.query : pgdb.execute
          yield* witness.query("truncate m")
          yield* witness.query(`alter table m alter x type ${from} using null`)
          // Some values do not fit the first type.
          yield* forEach(ways, (store) =>
            Effect.gen(function* () {
              yield* Effect.ignore(store(pgdb, ++id, value))
              yield* Effect.ignore(store(pgdb, ++id, value))
            })
          )
          yield* ddl(`alter table m alter x type ${to} using null`)
          yield* forEach(ways, (store, way) =>
            Effect.gen(function* () {
              yield* store(pgdb, ++id, value)
              const [row] = yield* witness.query(
                "select set_config('TimeZone', 'America/New_York', false), x::text from m where id = $1",
                [id]
              )
              expect([from, to, way, row?.x]).toEqual([from, to, way, stored])
            })
          )
        }
      })
  )
}

/** Inside a transaction nothing can be sent again: the error says that its caller may repeat all of it. */
const onceMoreIn = <A, R>(way: string, effect: Effect.Effect<A, PG.OperationError, R>) =>
  /transaction|savepoint/.test(way)
    ? Effect.retry(effect, {
        times: 1,
        while: (error) => error._tag === "SqlError" && error.reason._tag === "SerializationError"
      })
    : effect

withEachSetting(
  "each way of storing finds out by itself that the column's type has changed",
  ["create table m (id int primary key, x date)"],
  newYork,
  ({ pgdb, witness }) =>
    Effect.gen(function* () {
      let id = 0
      const stored = Effect.map(witness.query("select x::timestamp::text as x from m"), ([row]) => row?.x)
      yield* forEach({ ...bySQL, ...byTable }, (store, way) =>
        Effect.gen(function* () {
          yield* witness.query("truncate m")
          yield* witness.query("alter table m alter x type date using null")
          yield* store(pgdb, ++id, at)
          yield* store(pgdb, ++id, at)
          yield* witness.query("truncate m")
          yield* witness.query("alter table m alter x type timestamp")
          yield* store(pgdb, ++id, at)
          expect([way, yield* stored]).toEqual([way, "2026-03-01 15:30:00"])
        })
      )
    })
)

withEachSetting(
  "a text is stored as the same json that a new pool stores when the column has become jsonb",
  ["create table m (id int primary key, x text)"],
  {},
  ({ pgdb, settings, witness }) =>
    Effect.gen(function* () {
      const look = (id: number) =>
        Effect.map(witness.query("select x::text as x from m where id = $1", [id]), ([row]) => row?.x)
      let id = 0
      yield* forEach({ ...bySQL, ...byTable }, (store, way) =>
        Effect.gen(function* () {
          yield* witness.query("alter table m alter x type text")
          yield* store(pgdb, ++id, "12")
          yield* store(pgdb, ++id, "12")
          yield* witness.query("alter table m alter x type jsonb using null")
          yield* onceMoreIn(way, store(pgdb, ++id, "12"))
          const fresh = PG.make({ ...settings, key: `fresh ${id}`, maxConnections: 1 })
          yield* store(fresh, ++id, "12")
          yield* fresh.terminate
          expect([way, yield* look(id - 1)]).toEqual([way, yield* look(id)])
        })
      )
    })
)

withEachSetting(
  "a table's name means the table that search_path finds now",
  [
    "create schema ta",
    "create schema tb",
    "create table ta.m (id int primary key, x date)",
    "create table tb.m (id int primary key, x timestamp)"
  ],
  newYork,
  ({ pgdb, witness }) =>
    Effect.gen(function* () {
      let id = 0
      yield* forEach({ ...bySQL, ...byTable }, (store, way) =>
        Effect.gen(function* () {
          for (const schema of ["ta", "tb", "ta", "tb"]) {
            id++
            yield* pgdb.transaction(
              Effect.andThen(
                pgdb.execute(`set local search_path = ${schema}`),
                Effect.suspend(() => store(pgdb, id, at))
              )
            )
            const [row] = yield* witness.query(`select x::text as x from ${schema}.m where id = $1`, [id])
            expect([way, schema, row?.x]).toEqual([
              way,
              schema,
              schema === "ta" ? "2026-03-01" : "2026-03-01 15:30:00"
            ])
          }
        })
      )
    })
)

const remade = "drop type mood; create type mood as enum ('a')"

withEachSetting(
  "a type that another program dropped and made again is right in every operation",
  ["create type mood as enum ('a', 'b')"],
  {},
  ({ pgdb, witness }) =>
    Effect.gen(function* () {
      for (const [statement, param] of [
        ["select $1::mood as m", "a"],
        ["select $1::mood[] as m", ["a"]],
        ["select row($1::mood) as m", "a"]
      ] as const) {
        yield* forEach(operations, (run, name) =>
          Effect.gen(function* () {
            yield* run(pgdb, statement, [param])
            const before = yield* run(pgdb, statement, [param])
            for (const part of remade.split(";")) yield* witness.query(part)
            expect(yield* onceMoreIn(name, run(pgdb, statement, [param]))).toEqual(before)
          })
        )
      }
    })
)

withEachSetting(
  "a composite type that another program changed or made anew is written and read with its attributes of now",
  ["create type cc as (a int)"],
  {},
  ({ pgdb, witness }) =>
    Effect.gen(function* () {
      const changes: ReadonlyArray<readonly [ddl: ReadonlyArray<string>, value: PG.Row]> = [
        [["alter type cc add attribute n text"], { a: 1, n: "x" }],
        [["alter type cc rename attribute n to m"], { a: 1, m: "x" }],
        [["alter type cc drop attribute m"], { a: 1 }],
        [["drop type cc", "create type cc as (z text, a int)"], { z: "q", a: 1 }],
        [["drop type cc", "create type cc as (a int)"], { a: 1 }]
      ]
      yield* forEach(operations, (run, name) =>
        Effect.gen(function* () {
          yield* run(pgdb, "select $1::cc as c", [{ a: 1 }])
          yield* run(pgdb, "select ($1::cc).a", [{ a: 1 }])
          for (const [ddl, value] of changes) {
            for (const text of ddl) yield* witness.query(text)
            const one = yield* onceMoreIn(name, run(pgdb, "select ($1::cc).a", [value]))
            expect([name, ddl, one]).toEqual([name, ddl, [{ a: 1 }]])
            const whole = yield* onceMoreIn(name, run(pgdb, "select $1::cc as c", [value]))
            expect(whole).toEqual([{ c: value }])
          }
        })
      )
    })
)

withEachSetting(
  "a table that a transaction makes takes the values of the statements behind it as any other table does",
  [],
  newYork,
  ({ pgdb, witness }) =>
    Effect.gen(function* () {
      const insert = "insert into x values ($1, $2, $3)"
      const stored = witness.query("select at::text, d::text, j::text from x")
      const values = [at, at, [1]]
      yield* pgdb.trans(["create table x (at timestamp, d date, j jsonb)", [insert, values]])
      expect(yield* stored).toEqual([{ at: "2026-03-01 15:30:00", d: "2026-03-01", j: "[1]" }])
      yield* pgdb.trans([
        "drop table x",
        "create table x (at date, d timestamp, j int[])",
        [insert, values],
        "alter table x alter j type jsonb using null",
        [insert, values]
      ])
      expect(yield* stored).toEqual([
        { at: "2026-03-01", d: "2026-03-01 15:30:00", j: null },
        { at: "2026-03-01", d: "2026-03-01 15:30:00", j: "[1]" }
      ])
      yield* pgdb.transaction(
        Effect.gen(function* () {
          yield* pgdb.execute("drop table x")
          yield* pgdb.execute("create table x (at text, d timestamp, j text)")
          yield* pgdb.execute(insert, [at, at, { a: 1 }])
          yield* pgdb.table("x").insertMany([{ at, d: at, j: { a: 1 } }])
          yield* Stream.runDrain(pgdb.stream(insert, [at, at, { a: 1 }]))
        })
      )
      const row = { at: "2026-03-01 15:30:00.000+00", d: "2026-03-01 15:30:00", j: '{"a":1}' }
      expect(yield* stored).toEqual([row, row, row])
    })
)

withEachSetting(
  "rows have the columns that their table has now, in every operation outside a transaction",
  ["create table t (a int)", "insert into t values (1)"],
  {},
  ({ pgdb, witness }) =>
    Effect.gen(function* () {
      const changes: ReadonlyArray<readonly [ddl: string, row: PG.Row]> = [
        ["alter table t add b text default 'x'", { a: 1, b: "x" }],
        ["alter table t alter a type text", { a: "1", b: "x" }],
        ["alter table t rename b to c", { a: "1", c: "x" }],
        ["alter table t drop c", { a: "1" }],
        ["alter table t alter a type int using a::int", { a: 1 }]
      ]
      yield* forEach(plainOperations, (run) =>
        Effect.gen(function* () {
          yield* run(pgdb, "select * from t", [])
          yield* run(pgdb, "select * from t", [])
          for (const [ddl, row] of changes) {
            yield* witness.query(ddl)
            expect(yield* run(pgdb, "select * from t", [])).toEqual([row])
            expect(yield* pgdb.table("t").find()).toEqual([row])
          }
        })
      )
    })
)
