/** What types cost: nothing at the opening, and one round trip of the statement that first meets them. */

import * as PgConnection from "@effect/sql-pg/PgConnection"
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { withDatabase } from "./support/handle.ts"
import { linked, roundTrips } from "./support/link.ts"

const types = `do $$ begin
  for i in 1..50 loop
    execute format('create type mood_%s as enum (''sad'', ''ok'')', i);
    execute format('create type pair_%s as (id int4, mood mood_%s)', i, i);
    execute format('create domain positive_%s as int4', i);
    execute format('create type span_%s as range (subtype = float8)', i);
  end loop;
end $$`

withDatabase(
  "a pool's first statement takes as many round trips as the driver's, and no type is asked for twice by its connections",
  [types],
  (given) =>
    Effect.gen(function* () {
      const link = yield* linked(given, { maxConnections: 2 })
      const driver = yield* roundTrips(
        link,
        Effect.scoped(
          Effect.flatMap(
            PgConnection.make({
              ...given.settings,
              ...link.proxy.address,
              password: Redacted.make(given.settings.password)
            }),
            (connection) => connection.query("select 1", [])
          )
        )
      )
      const first = yield* roundTrips(link, link.pgdb.select("select 1"))
      expect(first - driver).toBe(0)
      const read =
        "select 'ok'::mood_7 as mood, array['sad'::mood_8] as moods, span_9(1, 2) as span, 5::positive_3 as positive"
      expect(link.proxy.sent()).not.toContain("pg_type")
      expect(yield* link.pgdb.select(read)).toEqual([
        { mood: "ok", moods: ["sad"], span: "[1,2)", positive: 5 }
      ])
      expect(link.proxy.sent()).toContain("pg_type")
      const before = link.proxy.sent().match(/pg_catalog\.pg_type/g)?.length ?? 0
      yield* Effect.all([link.pgdb.select(read), link.pgdb.transaction(link.pgdb.select(read))], {
        concurrency: "unbounded"
      })
      expect(link.proxy.sent().match(/pg_catalog\.pg_type/g)?.length ?? 0).toBe(before)
    })
)
