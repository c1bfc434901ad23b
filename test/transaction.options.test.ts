/** Options of a transaction: what the server makes of them, and what is refused. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as SqlClient from "effect/sql/SqlClient"
import { withDatabase } from "./support/handle.ts"
import { linked, reasonOf, sentBy } from "./support/link.ts"

const table = "create table t (n int unique, at timestamptz)"
const insert = (n: number) => `insert into t values (${n})`

import type { TransactionOptions } from "../src/transaction/TransactionOptions.ts"

withDatabase("options of a transaction are what the server sees", [table], ({ pgdb }) =>
  Effect.gen(function* () {
    const seen = Effect.map(
      pgdb.selectOne<{ isolation: string; readonly: string; deferrable: string }>(
        `select current_setting('transaction_isolation') as isolation, current_setting('transaction_read_only') as readonly,
         current_setting('transaction_deferrable') as deferrable`
      ),
      Option.getOrThrow
    )
    const none = { isolation: "read committed", readonly: "off", deferrable: "off" }
    expect(yield* pgdb.transaction(seen)).toEqual(none)
    for (const isolation of [
      "read uncommitted",
      "read committed",
      "repeatable read",
      "serializable"
    ] as const) {
      expect(yield* pgdb.transaction(seen, { isolation })).toEqual({ ...none, isolation })
      expect(yield* pgdb.transaction(pgdb.transaction(seen), { isolation })).toEqual({ ...none, isolation })
    }
    expect(yield* pgdb.transaction(seen, { readOnly: true })).toEqual({ ...none, readonly: "on" })
    expect(
      yield* pgdb.transaction(seen, { isolation: "serializable", readOnly: true, deferrable: true })
    ).toEqual({ isolation: "serializable", readonly: "on", deferrable: "on" })
    expect(yield* pgdb.transaction(seen, { readOnly: false, deferrable: false })).toEqual(none)
    const error = yield* Effect.flip(pgdb.transaction(pgdb.execute(insert(1)), { readOnly: true }))
    expect(error.message).toContain("read-only transaction")
    expect(yield* pgdb.transaction(seen)).toEqual(none)
  })
)

withDatabase(
  "an option that Postgres does not have is refused by its name, and nothing is sent",
  [],
  (given) =>
    Effect.gen(function* () {
      const { pgdb, proxy } = yield* linked(given)
      const refusal = (options: unknown) =>
        Effect.map(
          Effect.flip(pgdb.transaction(pgdb.select("select 1"), options as TransactionOptions)),
          (error) => {
            expect(reasonOf(error)).toBe("StatementRefused")
            return String(error)
          }
        )
      expect(yield* refusal({ isolation: "chaos" })).toContain('isolation is one of "read uncommitted"')
      expect(yield* refusal({ isolation: "serializable; drop table t" })).toContain("isolation is one of")
      expect(yield* refusal({ readonly: true })).toContain("no option readonly")
      expect(yield* refusal({ readOnly: "yes" })).toContain("readOnly is true or false")
      expect(yield* refusal({ deferrable: 1 })).toContain("deferrable is true or false")
      for (const retry of [null, 3, {}, { times: -1 }, { times: 1.5 }, { times: "2" }]) {
        expect(yield* refusal({ retry })).toContain("retry is a Schedule, or { times }")
      }
      expect(yield* refusal(null)).toContain("options are an object")
      expect(proxy.opened()).toBe(0)
      for (const options of [
        { isolation: "serializable" },
        { readOnly: true },
        { retry: { times: 1 } }
      ] as const) {
        const nested = Effect.flip(pgdb.transaction(pgdb.transaction(pgdb.select("select 1"), options)))
        const sent = yield* sentBy({ pgdb, proxy }, nested)
        expect(sent).not.toContain("SAVEPOINT")
        expect(sent).not.toContain("select 1")
        const error = yield* nested
        expect(error.message).toContain(
          `${"retry" in options ? "cannot be retried" : `cannot have another ${Object.keys(options)[0]}`}`
        )
      }
    })
)

withDatabase(
  "the standard client's way to begin works for handles too, where they ask for nothing",
  [],
  ({ pgdb }) =>
    Effect.gen(function* () {
      const isolation = pgdb.selectValue("select current_setting('transaction_isolation')")
      const given = Effect.provideService(SqlClient.BeginTransaction, "BEGIN ISOLATION LEVEL SERIALIZABLE")
      const client = yield* pgdb.client
      expect(yield* given(client.withTransaction(isolation))).toEqual(Option.some("serializable"))
      expect(yield* given(pgdb.transaction(isolation))).toEqual(Option.some("serializable"))
      expect(yield* given(pgdb.transaction(isolation, { isolation: "repeatable read" }))).toEqual(
        Option.some("repeatable read")
      )
    })
)
