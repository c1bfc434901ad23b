/** A reader that is slower than the server holds it back, however large a row is. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { withDatabase } from "./support/handle.ts"

withDatabase("rows of megabytes come one by one", [], ({ pgdb }) =>
  Effect.gen(function* () {
    const sizes: Array<number> = []
    yield* pgdb.stream`select n, repeat('x', 2000000) as text from generate_series(1, 20) n`.pipe(
      Stream.mapArray((rows) => {
        sizes.push(rows.length)
        return rows
      }),
      Stream.runForEach(() => Effect.sleep("20 millis"))
    )
    assert.deepStrictEqual(
      sizes,
      Array.from({ length: 20 }, () => 1)
    )
  })
)
