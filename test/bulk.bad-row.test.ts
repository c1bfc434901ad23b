/** The error of a bad row among many names its number and column, whichever way the rows went, and shows no value. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { PG, PoolRegistry } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"

const definition = `id int primary key, n int not null, v varchar(5), pos int check (pos > 0), small small, mood mood,
  other int references others, d date, u int unique, p point`

const types = [
  "create type mood as enum ('sad', 'ok')",
  "create domain small as int check (value < 100)",
  "create table others (id int primary key)"
]

/** What is wrong with one row, the server's code for it, and the column if it can be known. */
const faults: ReadonlyArray<
  readonly [fault: Readonly<Record<string, unknown>>, code: string, column?: string]
> = [
  [{ n: "secret7" }, "22P02", "n"],
  [{ n: 2 ** 40 }, "22003", "n"],
  [{ n: null }, "23502", "n"],
  [{ v: "secret7" }, "22001", "v"],
  [{ pos: -77_001 }, "23514"],
  [{ small: 77_002 }, "23514"],
  [{ mood: "secret7" }, "22P02", "mood"],
  [{ d: "2021-02-29" }, "22008", "d"],
  [{ u: 3 }, "23505", "u"],
  [{ id: 5 }, "23505", "id"],
  [{ other: 77_003 }, "23503", "other"],
  [{ p: "secret7" }, "22P02", "p"]
]

const rowsWith = (fault: Readonly<Record<string, unknown>>): ReadonlyArray<Record<string, unknown>> =>
  Array.from({ length: 60 }, (_, id) => ({
    id,
    n: id,
    // Blanks past the end of a varchar(5) are cut off.
    v: id === 7 ? "abc    " : "abc",
    pos: id + 1,
    small: id,
    mood: "ok",
    d: "2020-02-29",
    u: 1000 + id,
    p: "(1,2)",
    ...(id === 3 ? { u: 3 } : undefined),
    ...(id === 41 ? fault : undefined)
  }))

const without = (
  rows: ReadonlyArray<Record<string, unknown>>,
  column: string
): ReadonlyArray<Record<string, unknown>> =>
  rows.map((row) => Object.fromEntries(Object.entries(row).filter(([name]) => name !== column)))

interface Way {
  readonly statements: ReadonlyArray<string>
  readonly store: (
    t: PG.Table,
    rows: ReadonlyArray<Record<string, unknown>>
  ) => Effect.Effect<number, PG.OperationError, PoolRegistry>
  readonly hasPoint: boolean
  /** Good rows in front. */
  readonly ahead?: number
}

/** Rows behind the first piece of a stream. */
const later: Way["store"] = (t, rows) => {
  const good = rows[0] ?? {}
  const ahead = Stream.map(Stream.range(1, 6000), (n) => ({ ...good, id: n + 1000, u: n + 5000 }))
  return t.insertStream(Stream.concat(ahead, Stream.fromIterable(rows)))
}

const table = [...types, `create table t (${definition})`]
const ways: Readonly<Record<string, Way>> = {
  "a binary COPY": { statements: table, hasPoint: false, store: (t, rows) => t.insertMany(rows) },
  "a COPY of texts": { statements: table, hasPoint: true, store: (t, rows) => t.insertMany(rows) },
  "a stream": {
    statements: table,
    hasPoint: true,
    store: (t, rows) => t.insertStream(Stream.rechunk(Stream.fromIterable(rows), 7))
  },
  "a later piece of a stream": { statements: table, hasPoint: false, store: later, ahead: 6000 },
  "a later piece of a stream of texts": { statements: table, hasPoint: true, store: later, ahead: 6000 },
  "an INSERT": {
    statements: [...types, `create table base (${definition})`, "create view t as select * from base"],
    hasPoint: true,
    store: (t, rows) => t.insertMany(rows)
  }
}

describe("a bad row", () => {
  for (const [way, { ahead = 0, hasPoint, statements, store }] of Object.entries(ways)) {
    withDatabase(`by ${way}`, statements, ({ pgdb, witness }) =>
      Effect.gen(function* () {
        for (const [fault, code, column] of faults) {
          if (!hasPoint && "p" in fault) continue
          const rows = hasPoint ? rowsWith(fault) : without(rowsWith(fault), "p")
          const { message } = yield* Effect.flip(store(pgdb.table("t"), rows))
          const story = `${JSON.stringify(fault)}: ${message}`
          assert.include(message, code, story)
          // Of a domain's check the server says neither value nor row; then none is named, rather than a wrong one.
          const isKnown = way !== "an INSERT" || !("small" in fault)
          const place = new RegExp(`In: t\\.insert(Many|Stream), rows? (\\d+ and )?${ahead + 42}\\b`)
          if (isKnown) assert.match(message, place, story)
          else assert.notInclude(message, "In:", story)
          if (column !== undefined) assert.include(message, `column "${column}"`, story)
          assert.notMatch(message, /secret7|7700[123]/, story)
          assert.deepStrictEqual(yield* witness.query("select * from t"), [])
        }
        const missing = rowsWith({}).map((row, index) => (index === 41 ? { ...row, nowhere: 1 } : row))
        assert.include((yield* Effect.flip(store(pgdb.table("t"), missing))).message, "nowhere")
      })
    )
  }

  withDatabase(
    "is named where a trigger refuses its value with a code of its own",
    [
      "create table t (id int, v text)",
      "create function refuse() returns trigger language plpgsql as $$ begin return new; end $$",
      "create trigger refuse before insert on t for each row execute function refuse()"
    ],
    ({ pgdb, witness }) =>
      Effect.gen(function* () {
        for (const code of ["P0001", "APP01", "55000", "42501"]) {
          yield* witness.query(`create or replace function refuse() returns trigger language plpgsql as $$ begin
            if new.v = 'b' then raise 'code "%" is not allowed', new.v using errcode = '${code}'; end if; return new; end $$`)
          const rows = ["a", "b"].map((v, id) => ({ id, v }))
          const { message } = yield* Effect.flip(pgdb.table("t").insertMany(rows, { returning: true }))
          assert.include(message, 'In: t.insertMany, row 2, column "v"', code)
        }
      })
  )

  withDatabase(
    "is not said to be one that has the name in an error which is about no value",
    [
      "create table t (id int, v text, made int generated always as (1) stored)",
      "create view positive as select * from t where id > 0 with check option"
    ],
    ({ pgdb }) =>
      Effect.gen(function* () {
        const [t, positive] = [pgdb.table("t"), pgdb.table("positive")]
        const wrong: ReadonlyArray<
          readonly [Effect.Effect<unknown, PG.OperationError, PoolRegistry>, string]
        > = [
          [t.insertMany([{ id: 1, v: "nowhere", nowhere: 1 }]), "42703"],
          [t.insertMany([{ id: 1, v: "nowhere" }], { returning: ["nowhere"] }), "42703"],
          [t.insertMany([{ id: 1, v: "made", made: 1 }]), "428C9"],
          [pgdb.table("missing").insertMany([{ v: "missing" }]), "42P01"],
          [positive.insertMany([{ id: -1 }, { id: 1, v: "positive" }]), "44000"],
          [positive.insertStream(Stream.make({ id: -1, v: "x" }, { id: 1, v: "positive" })), "44000"]
        ]
        for (const [way, code] of wrong) {
          const { message } = yield* Effect.flip(way)
          assert.include(message, code)
          assert.notInclude(message, "In:")
        }
      })
  )
})
