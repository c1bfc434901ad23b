/**
 * The rule of memory: what a pool remembers of statements, tables and types never shows. Two programs change tables and types
 * at random between random operations, and a pool that has just been made says what each of them has to give.
 */
import { isDeepStrictEqual } from "node:util"
import { expect } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { PG, type PoolRegistry } from "effect-global-pool"
import * as fc from "fast-check"
import { at, newYork } from "./support/cases.ts"
import { type Given, withDatabase } from "./support/handle.ts"
import { sample, seed } from "./support/random.ts"

const columnTypes = [
  "int",
  "int8",
  "numeric",
  "real",
  "float8",
  "text",
  "varchar(40)",
  "char(40)",
  "date",
  "timestamp",
  "timestamptz",
  "jsonb",
  "json",
  "bool",
  "int[]",
  "text[]",
  "timestamptz[]",
  "mood",
  "mood[]",
  "pair",
  "pair[]",
  "bytea"
]

/** Changes of the table `t`, of its column `x`, and of the types that it may have. */
const definitions: fc.Arbitrary<ReadonlyArray<string>> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .constantFrom(...columnTypes)
      .map((type) => [`alter table t alter x type ${type} using null`])
  },
  fc.constantFrom(
    ["alter table t add column more text default 'm'"],
    ["alter table t drop column if exists more"],
    ["alter table t drop column x", "alter table t add column x int"],
    ["drop table t", "create table t (id int primary key, x int)"],
    ["drop table t", "create table t (x jsonb, id int primary key, y int)"],
    [
      "drop type mood cascade",
      "create type mood as enum ('a', 'b')",
      "alter table t add column if not exists x mood"
    ],
    ["alter type mood add value if not exists 'c'"],
    [
      "drop type pair cascade",
      "create type pair as (a int, b text)",
      "alter table t add column if not exists x pair"
    ],
    [
      "drop type pair cascade",
      "create type pair as (b text, a int)",
      "alter table t add column if not exists x pair"
    ],
    ["alter type pair add attribute c int"],
    ["alter type pair drop attribute if exists c"],
    [
      "create or replace view v as select 1 as one",
      "drop view v",
      "create view v as select x from t",
      "drop view v"
    ]
  )
)

const values: ReadonlyArray<unknown> = [
  null,
  1,
  1.1,
  2 ** 40,
  7n,
  "007",
  "1.10",
  "12",
  "a",
  "a  ",
  "{}",
  "2026-03-01",
  true,
  at,
  [1, 2],
  [],
  ["007"],
  [at],
  ["a"],
  { a: 1 },
  { a: 1, b: "x" },
  [{ a: 1, b: "x" }],
  { q: [1] },
  Uint8Array.of(1, 2)
]

type Run = (
  pgdb: PG.Database,
  id: number,
  x: unknown
) => Effect.Effect<unknown, PG.OperationError, PoolRegistry>

/** In a transaction the caller repeats what fails for a change that came in between; so it is with `retry`. */
const repeated = { retry: { times: 2 } }

const runs: Readonly<Record<string, Run>> = {
  "select *": (pgdb) => pgdb.select("select * from t where id < 0 or id = 1"),
  "select x": (pgdb) => pgdb.select("select x from t where id = 1"),
  "select a row": (pgdb) => pgdb.select("select t from t where id = 1"),
  "select an anonymous record": (pgdb) => pgdb.select("select row(x, 1) as r from t where id = 1"),
  "select where x": (pgdb, _, x) => pgdb.select("select id from t where x = $1 and id = 1", [x]),
  stream: (pgdb) => Stream.runCollect(pgdb.stream("select * from t where id = 1")),
  "select the type's value": (pgdb, _, x) => pgdb.select("select $1::pair as p", [x]),
  "select the enum's value": (pgdb, _, x) => pgdb.select("select $1::mood as m", [x]),
  "select in a transaction": (pgdb) =>
    pgdb.transaction(pgdb.select("select * from t where id = 1"), repeated),
  trans: (pgdb) =>
    Effect.map(pgdb.trans(["select * from t where id = 1", "select x from t where id = 1"]), (all) =>
      all.map(({ rows }) => rows)
    ),
  find: (pgdb) => pgdb.table("t").find({ id: 1 }),
  "find by x": (pgdb, _, x) => pgdb.table("t").find({ id: 1, x: { $eq: x } }, { columns: ["id"] }),
  "count by $in": (pgdb, _, x) => pgdb.table("t").count({ id: 1, x: { $in: [x] } }),
  "execute insert": (pgdb, id, x) => pgdb.execute("insert into t (id, x) values ($1, $2)", [id, x]),
  "insert returning": (pgdb, id, x) =>
    Effect.map(pgdb.select("insert into t (id, x) values ($1, $2) returning x", [id, x]), String),
  "stream insert": (pgdb, id, x) =>
    Stream.runDrain(pgdb.stream("insert into t (id, x) values ($1, $2) returning *", [id, x])),
  "trans insert": (pgdb, id, x) =>
    Effect.asVoid(pgdb.trans([["insert into t (id, x) values ($1, $2)", [id, x]]])),
  "insert in a transaction": (pgdb, id, x) =>
    Effect.asVoid(pgdb.transaction(pgdb.execute("insert into t (id, x) values ($1, $2)", [id, x]), repeated)),
  insert: (pgdb, id, x) => Effect.asVoid(pgdb.table("t").insert({ id, x })),
  insertMany: (pgdb, id, x) => pgdb.table("t").insertMany([{ id, x }]),
  insertStream: (pgdb, id, x) => pgdb.table("t").insertStream(Stream.make({ id, x })),
  upsert: (pgdb, id, x) => pgdb.table("t").upsert({ id, x }, { on: "id" }),
  "upsert of several": (pgdb, id, x) => pgdb.table("t").upsert([{ id, x }], { on: "id" }),
  update: (pgdb, id, x) =>
    Effect.andThen(pgdb.table("t").insertMany([{ id }]), pgdb.table("t").update({ id }, { x })),
  "table's insert in a transaction": (pgdb, id, x) =>
    Effect.asVoid(pgdb.transaction(pgdb.table("t").insert({ id, x }), repeated)),
  client: (pgdb, id, x) =>
    Effect.flatMap(pgdb.client, (sql) => sql`insert into t (id, x) values (${id}, ${x})`)
}

type Step =
  | { readonly _tag: "Define"; readonly texts: ReadonlyArray<string>; readonly isOwn: boolean }
  | { readonly _tag: "Run"; readonly name: string; readonly x: unknown }

const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({ _tag: fc.constant("Define" as const), texts: definitions, isOwn: fc.boolean() })
  },
  {
    weight: 5,
    arbitrary: fc.record({
      _tag: fc.constant("Run" as const),
      name: fc.constantFrom(...Object.keys(runs)),
      x: fc.constantFrom(...values)
    })
  }
)

/** What came of an operation: its result, or how the server or the pool refused it. */
const outcomeOf = (exit: Exit.Exit<unknown, PG.OperationError>): unknown => {
  if (Exit.isSuccess(exit)) return exit.value
  const error = Cause.squash(exit.cause)
  if (!(error instanceof Error)) return error
  // Ids differ, and the number of a parameter may; the rest is the same refusal.
  return PG.sqlState(error) ?? error.message.replace(/\d+/g, "n")
}

/** A value that no column of the type takes: as which type it came there, and who refuses it, is no matter. */
const misfit = (outcome: unknown): unknown =>
  typeof outcome === "string" && /^(?:42804|22P02)$|The statement was not sent\.$/.test(outcome)
    ? "refused"
    : outcome

/** Operations with a statement of the caller's own text. */
const isOwnText = (name: string): boolean =>
  /^(?:select|execute|stream|trans|insert returning|insert in|client)/.test(name)

const takesText = new Set(["text", "character varying", "character", "json", "jsonb", "date", "bytea"])

/** Whether a change of the column's type is one of those that `Retyping.ts` says are not seen for such a value. */
const isUnseen = (name: string, x: unknown, type: string): boolean =>
  isOwnText(name) &&
  typeof x === "object" &&
  x !== null &&
  (type === "bytea" || (Array.isArray(x) && (takesText.has(type) || type.startsWith("timestamp"))))

const history = (all: ReadonlyArray<Step>): string =>
  all
    .map((step) =>
      step._tag === "Define"
        ? `${step.isOwn ? "own" : "other"}: ${step.texts.join("; ")}`
        : `${step.name}, ${JSON.stringify(step.x, (_, value) => (typeof value === "bigint" ? `${value}n` : value))}`
    )
    .join("\n")

const play = ({ pgdb, settings, witness }: Given, all: ReadonlyArray<Step>) =>
  Effect.gen(function* () {
    let id = 10
    const stored = (id: number) =>
      Effect.map(
        Effect.exit(witness.query("select to_jsonb(t) - 'id' as row from t where id = $1", [id])),
        (exit) => (Exit.isSuccess(exit) ? exit.value : "none")
      )
    const columnType = Effect.map(
      witness.query(
        "select data_type as type from information_schema.columns where table_name = 't' and column_name = 'x'"
      ),
      ([row]) => String(row?.type)
    )
    for (const [index, step] of all.entries()) {
      if (step._tag === "Define") {
        for (const text of step.texts)
          yield* Effect.ignore(step.isOwn ? pgdb.execute(text) : witness.query(text))
        yield* Effect.ignore(witness.query("insert into t (id) values (1) on conflict do nothing"))
        continue
      }
      const run = runs[step.name]!
      const mine = outcomeOf(yield* Effect.exit(run(pgdb, ++id, step.x)))
      const mineStored = yield* stored(id)
      const fresh = PG.make({ ...settings, ...newYork, maxConnections: 1, key: `judge ${id}` })
      const right = outcomeOf(yield* Effect.exit(run(fresh, ++id, step.x)))
      yield* fresh.terminate
      const rightStored = yield* stored(id)
      const isSame = isDeepStrictEqual([misfit(mine), mineStored], [misfit(right), rightStored])
      if (isSame || isUnseen(step.name, step.x, yield* columnType)) continue
      expect([mine, mineStored], `seed ${seed}, step ${index}:\n${history(all.slice(0, index + 1))}`).toEqual(
        [right, rightStored]
      )
    }
  })

for (const [name, options] of Object.entries({
  "by default": {},
  "without prepare": { prepare: false },
  "with one connection": { maxConnections: 1 }
})) {
  withDatabase(
    `whatever two programs change, every operation gives what a new pool gives, ${name}`,
    [
      "create type mood as enum ('a', 'b')",
      "create type pair as (a int, b text)",
      "create table t (id int primary key, x int)",
      "insert into t values (1)"
    ],
    (given) =>
      play(
        { ...given, pgdb: PG.make({ ...given.settings, ...newYork, ...options }) },
        sample(steps, Number(process.env.STEPS ?? 150))
      )
  )
}

/** Changes of a column's type by another program under which a value would be stored as something else, or found by it. */
const changes: ReadonlyArray<readonly [name: string, from: string, to: string, x: unknown]> = [
  ["update", "bytea", "jsonb", "1.10"],
  ["update", "float8", "json", "1.5"],
  ["upsert", "int[]", "text", [1, 2]],
  ["upsert", "text[]", "varchar(40)", ["a"]],
  ["upsert", "int[]", "text", Int32Array.of(1, 2)],
  ["table's insert in a transaction", "int[]", "text", [1, 2]],
  ["table's insert in a transaction", "bytea", "jsonb", "12"],
  ["find by x", "int[]", "text", ["007"]],
  ["find by x", "timestamptz[]", "text", []],
  ["insert in a transaction", "text", "int", [1, 2]],
  ["insert in a transaction", "json", "text[]", null]
]

withDatabase(
  "in a transaction a text that the column's type of before does not take is stored in what it has become",
  [
    "create type mood as enum ('a', 'b')",
    "create table t (id int primary key, x mood)",
    "insert into t values (1)"
  ],
  (given) => {
    const pgdb = PG.make({ ...given.settings, ...newYork, maxConnections: 1 })
    const run = (name: string, x: unknown): Step => ({ _tag: "Run", name, x })
    const becomes = (type: string): Step => ({
      _tag: "Define",
      texts: [`alter table t alter x type ${type} using null`],
      isOwn: false
    })
    return play({ ...given, pgdb }, [
      run("select *", null),
      run("execute insert", "b"),
      becomes("char(40)"),
      run("insert in a transaction", "12"),
      becomes("json"),
      run("execute insert", 1),
      run("execute insert", "12"),
      run("execute insert", "12"),
      becomes("timestamp"),
      run("insert in a transaction", "2026-03-01")
    ])
  }
)

for (const [mode, options] of Object.entries({ "by default": {}, "without prepare": { prepare: false } })) {
  withDatabase(
    `a value is what it is for the type that the column has now, ${mode}`,
    ["create table t (id int primary key, x int)", "insert into t values (1)"],
    (given) =>
      Effect.gen(function* () {
        const pgdb = PG.make({ ...given.settings, ...newYork, ...options })
        for (const [name, from, to, x] of changes) {
          const define = (type: string): Step => ({
            _tag: "Define",
            texts: [`alter table t alter x type ${type} using null`],
            isOwn: false
          })
          const run: Step = { _tag: "Run", name, x }
          yield* given.witness.query("delete from t where id > 1")
          yield* play({ ...given, pgdb }, [define(from), run, run, define(to), run])
        }
      })
  )
}

withDatabase(
  "a connection keeps no statement that it prepared before a definition, and no types that were known then",
  ["create type spot as (x int)"],
  ({ settings }) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...settings, maxConnections: 1 })
      const left = "select count(*)::int from pg_prepared_statements where statement like 'select row%'"
      for (const number of [1, 2, 3]) yield* pgdb.select(`select row(${number})::spot as spot`)
      expect(yield* pgdb.selectValue(left)).toEqual(Option.some(3))
      yield* pgdb.execute("create table other ()")
      expect(yield* pgdb.select("select row(4)::spot as spot")).toEqual([{ spot: { x: 4 } }])
      expect(yield* pgdb.selectValue(left)).toEqual(Option.some(1))
    })
)
