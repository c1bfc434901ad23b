/** What a session sets for itself changes neither what it reads as text nor what other sessions of the pool read. */
import { expect } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { PG } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"

const columns = {
  span: "tstzrange('2024-07-01 00:00:00Z', '2024-12-01 12:30:00.25Z')",
  spans: "tstzmultirange(tstzrange('2024-07-01 00:00:00Z', null))",
  stamp: "array['2024-07-01 00:00:00Z'::timestamptz]",
  day: "date '2024-07-02'",
  lapse: "interval '-1 year 2 mons -3 days 04:05:06.5'",
  bytes: "array['\\xdeadbeef'::bytea]",
  point: "point(1.0::float8 / 3, 0.1)",
  price: "'-1234567.8'::money"
}
const read = `select ${Object.entries(columns)
  .map(([name, sql]) => `${sql} as ${name}`)
  .join(", ")}`
const told = `select ${["span", "spans", "day", "lapse", "point", "price"].map((name) => `${name}::text`).join(", ")} from (${read}) as _`

const settings = [
  "set local time zone 'Asia/Tokyo'",
  "set local datestyle = 'German'",
  "set local intervalstyle = 'iso_8601'",
  "set local bytea_output = 'escape'",
  "set local extra_float_digits = -5"
]

withDatabase(
  "while a transaction has other settings, others read as before",
  [],
  ({ settings: to, witness }) =>
    Effect.gen(function* () {
      const [texts] = yield* witness.query(told)
      for (const timestamp of ["date", "string"] as const) {
        const pgdb = PG.make({ ...to, timestamp, key: timestamp, maxConnections: 2 })
        const [before] = yield* pgdb.select(read)
        expect(before).toMatchObject(texts ?? {})
        const isSet = yield* Deferred.make<void>()
        const isRead = yield* Deferred.make<void>()
        const setting = yield* Effect.forkChild(
          pgdb.transaction(
            Effect.gen(function* () {
              for (const statement of settings) yield* pgdb.execute(statement)
              yield* Deferred.succeed(isSet, undefined)
              yield* Deferred.await(isRead)
              return yield* pgdb.select(read)
            })
          )
        )
        yield* Deferred.await(isSet)
        expect(yield* pgdb.select(read)).toEqual([before])
        yield* Deferred.succeed(isRead, undefined)
        expect(yield* Fiber.join(setting)).toEqual([before])
        expect(yield* pgdb.select(read)).toEqual([before])
      }
    })
)

withDatabase(
  "the zone that the settings give a connection is the one that is shown",
  [],
  ({ settings: to }) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...to, startupParameters: { TimeZone: "Asia/Kathmandu" } })
      expect(yield* pgdb.select(`select span, span::text as text from (${read}) as _`)).toEqual([
        {
          span: '["2024-07-01 05:45:00+05:45","2024-12-01 18:15:00.25+05:45")',
          text: '["2024-07-01 05:45:00+05:45","2024-12-01 18:15:00.25+05:45")'
        }
      ])
    })
)
