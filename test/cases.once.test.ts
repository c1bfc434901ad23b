/** A statement that may have run is not sent again: every effect is there once. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { PG } from "effect-global-pool"
import { forEach, operations, plainOperations, withEachSetting } from "./support/cases.ts"
import { withDatabase } from "./support/handle.ts"

const addOrder = `create function add_order(item text) returns orders language sql as
  $$ insert into orders (item) values (item) returning * $$`

withEachSetting(
  "a function that writes and returns a row of a table runs once, in every operation, at each run",
  ["create table orders (id serial, item text)", addOrder],
  {},
  ({ pgdb, witness }) =>
    Effect.gen(function* () {
      let runs = 0
      for (const statement of [
        "select add_order($1) as o",
        "select * from add_order($1)",
        "select array[add_order($1)] as o",
        "insert into orders (item) values ($1) returning *",
        "with o as (insert into orders (item) values ($1) returning *) select o.* from o"
      ]) {
        yield* forEach(operations, (run) =>
          Effect.gen(function* () {
            for (let again = 0; again < 2; again++) {
              const rows = yield* run(pgdb, statement, ["book"])
              runs++
              expect(JSON.stringify(rows)).toContain(`"id":${runs},"item":"book"`)
            }
          })
        )
      }
      expect(yield* witness.query("select count(*)::int as n from orders")).toEqual([{ n: runs }])
    })
)

withEachSetting(
  "the hundredth run of a function that writes is one run",
  ["create table orders (id serial, item text)", addOrder],
  {},
  ({ pgdb, witness }) =>
    Effect.gen(function* () {
      yield* Effect.forEach(
        Array.from({ length: 100 }, (_, n) => String(n)),
        (item) => pgdb.select("select add_order($1) as o", [item]),
        { concurrency: 20, discard: true }
      )
      expect(
        yield* witness.query("select count(*)::int as n, count(distinct item)::int as items from orders")
      ).toEqual([{ n: 100, items: 100 }])
    })
)

withEachSetting(
  "a procedure that commits and then fails with feature_not_supported runs once a call, and is not retryable",
  [
    "create table log (n serial, given text)",
    `create procedure batch(boolean) language plpgsql as
     $$ begin insert into log default values; commit; raise exception 'no' using errcode = '0A000'; end $$`,
    `create procedure serial_failure(at timestamptz) language plpgsql as
     $$ begin insert into log (given) values (at); commit; raise exception 'no' using errcode = '40001'; end $$`,
    `create procedure stale(mark text) language plpgsql as
     $$ begin insert into log (given) values (mark); commit; raise exception 'cached plan must not change result type' using errcode = '0A000'; end $$`
  ],
  {},
  ({ pgdb, witness }) =>
    Effect.gen(function* () {
      let calls = 0
      const call = (operation: (typeof operations)[string], text: string, param: unknown) =>
        Effect.gen(function* () {
          for (let again = 0; again < 3; again++) {
            const error = yield* Effect.flip(operation(pgdb, text, [param]))
            calls++
            expect(PG.sqlState(error)).toMatch(/^(0A000|40001)$/)
            expect(error).toMatchObject({ isRetryable: false })
          }
        })
      yield* forEach(plainOperations, (operation) =>
        Effect.gen(function* () {
          yield* call(operation, "call batch($1)", true)
          yield* call(operation, "call serial_failure($1)", new Date())
          yield* call(operation, "call stale($1)", "x")
        })
      )
      expect(yield* witness.query("select count(*)::int as n from log")).toEqual([{ n: calls }])
    })
)

withEachSetting(
  "a function of a user that has the name of Postgres's own runs once for each caller, also where one fails",
  [
    "create sequence calls",
    "create type vec as (x float8)",
    `create function abs(vec) returns int language plpgsql as
     $$ begin perform nextval('calls'); if ($1).x = 7 then raise 'no'; end if; return 1; end $$`,
    `create function count(vec) returns int language sql as $$ select nextval('calls')::int $$`
  ],
  { maxConnections: 2 },
  ({ pgdb, witness }) =>
    Effect.gen(function* () {
      let calls = 0
      const calling = (statement: string) =>
        Effect.gen(function* () {
          for (let warm = 0; warm < 5; warm++) yield* pgdb.select(statement, ["(1)"])
          yield* Effect.forEach(
            Array.from({ length: 40 }, (_, n) => `(${n})`),
            (vec) => Effect.ignore(pgdb.select(statement, [vec])),
            { concurrency: "unbounded", discard: true }
          )
          calls += 45
          expect(yield* witness.query("select last_value::int as n from calls")).toEqual([{ n: calls }])
        })
      yield* calling("select abs($1::vec)")
      yield* calling("select count($1::vec)")
    })
)

withEachSetting(
  "a stream whose column's type was just changed by another program writes once",
  ["create table t (n serial, x int)", "create type pair as (a int)"],
  {},
  ({ pgdb, witness }) =>
    Effect.gen(function* () {
      const write = Stream.runCollect(
        pgdb.stream("insert into t (x) values ($1) returning n, row(1)::pair as p", [1])
      )
      yield* write
      yield* write
      yield* witness.query("alter type pair rename attribute a to b")
      yield* witness.query("alter table t alter column x type text")
      expect(yield* write).toEqual([{ n: 3, p: { b: 1 } }])
      expect(yield* witness.query("select count(*)::int as n from t")).toEqual([{ n: 3 }])
    })
)

withDatabase(
  "the error of a procedure that is cancelled behind a commit of its own does not say that nothing took effect",
  ["create table log (n int)"],
  ({ pgdb, witness }) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        pgdb.execute(`do $$ begin
          insert into log values (1);
          commit;
          perform pg_cancel_backend(pg_backend_pid()), pg_sleep(9);
        end $$`)
      )
      expect(error.message).not.toContain("Nothing of it took effect")
      expect(error.message).toContain("What it may have committed before is not undone")
      expect(error.isRetryable).toBe(false)
      expect(yield* witness.query("select count(*)::int as n from log")).toEqual([{ n: 1 }])
    })
)
