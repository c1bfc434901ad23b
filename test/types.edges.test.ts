/** Values at the edges of their types: one number is one number by every way, and records show what the server shows. */
import { assert, expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { PG } from "effect-global-pool"
import * as fc from "fast-check"
import { withDatabase } from "./support/handle.ts"
import { sample } from "./support/random.ts"

withDatabase("a record shows days that no Date can be as the server does", [], (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...given.settings, timestamp: "string" })
    const days = sample(fc.integer({ min: -2_451_545, max: 2_145_031_948 }), 300)
    const edges = [
      "4713-01-01 BC",
      "0001-01-01 BC",
      "0001-01-01",
      "2000-02-29",
      "1900-03-01",
      "5874897-12-31"
    ]
    const rows = yield* pgdb.select(
      "select row(d) as r, d::text as s from (select date '2000-01-01' + n from unnest($1::int[]) n union all select unnest($2::date[])) as t (d)",
      [days, edges]
    )
    assert.strictEqual(rows.length, days.length + edges.length)
    for (const { r, s } of rows) expect(r).toEqual([s])
    const instants = ["'290000-01-01 00:00:00'::timestamp", "'294276-12-31 23:59:59+00'::timestamptz"]
    for (const instant of instants) {
      const [row] = yield* pgdb.select(`select row(${instant}) as r, (${instant})::text as s`)
      expect(row?.r).toEqual([row?.s])
    }
  })
)

withDatabase('a record shows "char" as the server does', [], ({ pgdb }) =>
  Effect.gen(function* () {
    for (const text of ["", "a", "\\377", "\\200"]) {
      expect(yield* pgdb.select(`select row('${text}'::"char") as r, '${text}'::"char" as c`)).toEqual([
        { r: [text], c: text }
      ])
    }
  })
)

const stored = "create table t (id int, big int8, r real, list int8[])"

withDatabase(
  "a number is stored as one value by every way, and found by itself",
  [stored],
  ({ settings, witness }) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...settings, int8: "string" })
      const t = pgdb.table("t")
      for (const big of [2 ** 60, -(2 ** 62), 2 ** 53 + 2]) {
        yield* t.insert({ id: 1, big, list: [big] })
        yield* t.insertMany([{ id: 2, big, list: [big] }])
        yield* pgdb.execute("insert into t (id, big, list) values (3, $1, $2)", [big, [big]])
        expect(yield* witness.query("select distinct big::text, list[1]::text as first from t")).toEqual([
          { big: String(BigInt(big)), first: String(BigInt(big)) }
        ])
        assert.strictEqual(yield* t.count({ big }), 3)
        yield* t.delete({ big })
      }
      // In the middle of two reals, and what is nearest to it by its decimal.
      for (const r of [1 + 2 ** -24, 1 + 3 * 2 ** -24, 0.5 + 2 ** -25, 16_777_217, -(1 + 2 ** -24), 0.1]) {
        yield* t.insert({ id: 1, r })
        yield* t.insertMany([{ id: 2, r }])
        expect(yield* witness.query("select count(distinct r)::int as n from t")).toEqual([{ n: 1 }])
        assert.strictEqual(yield* t.count({ r }), 2)
        yield* t.delete({ id: { $in: [1, 2] } })
      }
    })
)

withDatabase(
  "json takes no number that is not finite",
  ["create table j (id int, doc jsonb)"],
  ({ pgdb, witness }) =>
    Effect.gen(function* () {
      for (const doc of [Number.NaN, Number.POSITIVE_INFINITY]) {
        for (const write of [
          Effect.asVoid(pgdb.table("j").insert({ id: 1, doc })),
          Effect.asVoid(pgdb.table("j").insertMany([{ id: 1, doc }]))
        ]) {
          const exit = yield* Effect.exit(write)
          assert.isTrue(Exit.isFailure(exit) && String(exit.cause).includes("not finite"))
        }
      }
      expect(yield* witness.query("select * from j")).toEqual([])
    })
)

withDatabase("no way of writing a password down is shown in an error", [], ({ pgdb }) =>
  Effect.gen(function* () {
    const secret = "hunTer2x"
    for (const text of [
      `alter role nobody_1 password 'abc'\n'${secret}'`,
      `alter role nobody_1 password '${secret}`,
      `alter role nobody_1 password E'${secret}'`,
      `alter role nobody_1 password U&'${secret}'`,
      `alter role nobody_1 password /* why */ '${secret}'`,
      `alter role nobody_1 password '${secret}\\'${secret}'`,
      `create user mapping for nobody_1 server s options ("password" '${secret}')`,
      `create user mapping for nobody_1 server s options (sslpassword '${secret}')`,
      `create subscription s1 connection 'host=127.0.0.1 port=1 password=${secret}' publication p`,
      `update nobody_1 set password = '${secret}'`
    ]) {
      const error = yield* Effect.flip(pgdb.execute(text))
      expect(`${error.message}\n${JSON.stringify(error)}`, text).not.toContain(secret)
    }
  })
)

withDatabase("floats keep their digits however a session is told to shorten them", [], ({ pgdb }) =>
  Effect.gen(function* () {
    const float = "select 1.23456789012345::float8 as f"
    for (const [shortens, params] of [
      ["select set_config($1, $2, true)", ["extra_float_digits", "-10"]],
      ["select set_config('extra_float' || '_digits', '-10', true)", []],
      ["do $$ begin execute 'set local extra_float' || '_digits = -10'; end $$", []]
    ] as const) {
      const rows = yield* pgdb.transaction(Effect.andThen(pgdb.execute(shortens, params), pgdb.select(float)))
      expect(rows, shortens).toEqual([{ f: 1.23456789012345 }])
    }
  })
)
