/** The import example runs as it stands, on rows that it makes up and on a file. */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { folder } from "./support/folder.ts"
import { withDatabase } from "./support/handle.ts"
import { program } from "./support/process.ts"

const imported = Effect.fnUntraced(function* (url: string, place: string, argument: string) {
  const running = yield* program("examples/import.ts", {
    args: [argument],
    env: { DATABASE_URL: url, TMPDIR: place }
  })
  const [, stored, file] = yield* running.prints(/(\d+) rows stored, \1 written to (.+)\n/)
  assert.strictEqual((yield* running.exit).code, 0)
  const lines = readFileSync(file!, "utf8").trimEnd().split("\n")
  assert.lengthOf(lines, Number(stored))
  return lines.map((line): unknown => JSON.parse(line))
})

withDatabase("the import example stores what it made up, and writes it back", [], ({ sessions, url }) =>
  Effect.gen(function* () {
    const rows = yield* imported(url, yield* folder(), "1234")
    assert.lengthOf(rows, 1234)
    assert.deepInclude(rows, {
      id: 10,
      name: "Number 10, of many",
      email: null,
      born: "1950-01-10",
      score: 2.5
    })
    assert.deepStrictEqual(yield* sessions, [])
  })
)

withDatabase("the import example takes a file of its user's", [], ({ url }) =>
  Effect.gen(function* () {
    const place = yield* folder()
    const file = join(place, "my file.csv")
    writeFileSync(file, 'a,"b ""b"", c",select\n1,"x\ny",\n,é,"""; drop table t; --"\n')
    assert.deepStrictEqual(yield* imported(url, place, file), [
      { a: "1", 'b "b", c': "x\ny", select: null },
      { a: null, 'b "b", c': "é", select: '"; drop table t; --' }
    ])
  })
)
