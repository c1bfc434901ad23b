/** The import example runs as it stands, on rows that it makes up and on a file, by COPY and by rows. */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { folder } from "./support/folder.ts"
import { withDatabase } from "./support/handle.ts"
import { program } from "./support/process.ts"

const imported = Effect.fnUntraced(function* (url: string, place: string, args: ReadonlyArray<string>) {
  const running = yield* program("examples/import.ts", {
    args,
    env: { DATABASE_URL: url, TMPDIR: place }
  })
  const [, stored, file] = yield* running.prints(/(\d+) rows stored, written to (.+)\n/)
  assert.strictEqual((yield* running.exit).code, 0)
  return { stored: Number(stored), text: readFileSync(file!, "utf8") }
})

const parsed = (text: string): ReadonlyArray<unknown> =>
  text
    .trimEnd()
    .split("\n")
    .map((line): unknown => JSON.parse(line))

withDatabase("the import example stores what it made up, and writes it back", [], ({ sessions, url }) =>
  Effect.gen(function* () {
    const copied = yield* imported(url, yield* folder(), ["1234"])
    assert.strictEqual(copied.stored, 1234)
    const lines = copied.text.trimEnd().split("\n")
    assert.lengthOf(lines, 1235)
    assert.strictEqual(lines[0], "id,name,email,born,score")
    assert.strictEqual(lines[10], '10,"Number 10, of many",,1950-01-10,2.5')
    const { stored, text } = yield* imported(url, yield* folder(), ["1234", "--rows"])
    assert.strictEqual(stored, 1234)
    const rows = parsed(text)
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
    const text = 'a,"b ""b"", c",select\n1,"x\ny",\n,é,"""; drop table t; --"\n'
    writeFileSync(file, text)
    assert.deepStrictEqual(yield* imported(url, place, [file]), { stored: 2, text })
    const { text: lines } = yield* imported(url, place, ["--rows", file])
    assert.deepStrictEqual(parsed(lines), [
      { a: "1", 'b "b", c': "x\ny", select: null },
      { a: null, 'b "b", c': "é", select: '"; drop table t; --' }
    ])
  })
)
