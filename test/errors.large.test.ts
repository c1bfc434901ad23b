/** An error of a statement with large parameters: it comes, soon, and shows none of them. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { withDatabase } from "./support/handle.ts"

const table = "create table files (id int primary key, content bytea, text text)"
const shout = `create function shout(given text) returns int language plpgsql as
  $$ begin raise exception 'not %', given; end $$`

const megabytes = 1_000_000
const bytes = new Uint8Array(20 * megabytes).fill(0xab)
const letters = "pqrs".repeat(2.5 * megabytes)

withDatabase(
  "a row with large values that is refused fails, and its values are not shown",
  [table],
  ({ pgdb }) =>
    Effect.gen(function* () {
      const insert = pgdb.execute("insert into files values (1, $1, $2)", [bytes, letters])
      yield* pgdb.execute("insert into files values (1)")
      const errors = [
        yield* Effect.flip(insert),
        yield* Effect.flip(pgdb.transaction(insert)),
        yield* Effect.flip(pgdb.trans([["insert into files values (1, $1)", [bytes]]]))
      ]
      for (const error of errors) {
        assert.strictEqual(error._tag === "SqlError" && error.reason._tag, "UniqueViolation")
        assert.include(error.message, '"files_pkey"')
        assert.isBelow(error.message.length, 2_000)
      }
      assert.deepStrictEqual(yield* pgdb.select("select id from files"), [{ id: 1 }])
    })
)

withDatabase("a function that says a large value again is not quoted", [shout], ({ pgdb }) =>
  Effect.gen(function* () {
    const select = "select shout($1)"
    const errors = [
      yield* Effect.flip(pgdb.select(select, [letters])),
      yield* Effect.flip(pgdb.transaction(pgdb.select(select, [letters]))),
      yield* Effect.flip(Stream.runDrain(pgdb.stream(select, [letters])))
    ]
    for (const error of errors) {
      assert.include(error.message, "P0001")
      assert.notInclude(error.message, "pqrs")
    }
  })
)

withDatabase("a function that says the last of very many values again is not quoted", [shout], ({ pgdb }) =>
  Effect.gen(function* () {
    const flags = [...Array.from({ length: 110_000 }, () => "t"), "larkspur"]
    for (const [text, value] of [
      ["($1::text[])[110001]", flags],
      ["$1::jsonb -> 'flags' ->> 110000", { flags }]
    ] as const) {
      const error = yield* Effect.flip(pgdb.select(`select shout(${text})`, [value]))
      assert.include(error.message, "P0001")
      assert.notInclude(error.message, "larkspur")
    }
  })
)

/** An effect's result with the milliseconds of this process's own time that it took. */
const worked = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const before = process.cpuUsage()
    const result = yield* effect
    return [result, process.cpuUsage(before).user / 1_000] as const
  })

withDatabase(
  "a refused array of large values takes little more work than one that is taken",
  [],
  ({ pgdb }) =>
    Effect.gen(function* () {
      const files = [bytes.subarray(0, 5 * megabytes), bytes.subarray(5 * megabytes, 10 * megabytes)]
      const select = "select 1 / (cardinality($1::bytea[]) - $2)"
      const [, taken] = yield* worked(pgdb.select(select, [files, 1]))
      const [error, refused] = yield* worked(Effect.flip(pgdb.select(select, [files, 2])))
      assert.include(error.message, "division by zero")
      assert.isBelow(refused, 2 * taken + 300)
    })
)
