/** Every TypeScript block of the README, of the pages in docs/ and of the docstrings compiles, runs, and gives what it says. */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import {
  asserted,
  type Block,
  blocksOf,
  blocksOfSource,
  complaints,
  exampleOf,
  isProgram,
  printed,
  written
} from "./support/blocks.ts"
import { database } from "./support/database.ts"
import { loader, program, root } from "./support/process.ts"

const pages = readdirSync(join(root, "docs"))
  .filter((file) => file.endsWith(".md"))
  .map((file) => `docs/${file}`)
const blocks = ["README.md", ...pages].flatMap((page) =>
  blocksOf(readFileSync(join(root, page), "utf8"), page)
)
// A file of an example project runs there: test/package.test.ts.
const typescript = blocks.filter((block) => block.language === "ts" && exampleOf(block) === undefined)
const frame = typescript.find(({ text }) => text.includes("// the block"))?.text ?? ""
const programs = typescript.filter((block) => isProgram(block) && block.text !== frame)
const pieces = typescript.filter((block) => !isProgram(block))
/** A page's own tables stand beside those of the README. */
const tablesOf = (place: string): ReadonlyArray<string> => {
  const page = place.replace(/:\d+$/, "")
  return blocks
    .filter(
      (block) => block.language === "sql" && ["README.md", page].includes(block.place.replace(/:\d+$/, ""))
    )
    .map(({ text }) => text)
}

const docs = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .flatMap((file) => blocksOfSource(readFileSync(join(root, "src", file), "utf8"), `src/${file}`))
  .filter(({ language }) => language === "ts")

/** A piece in its frame. */
const framed = ({ text }: Block): string =>
  `import assert from "node:assert"\n${frame
    .replace("// the block", () => asserted(text))
    .replace("Effect.runPromise(", "await Effect.runPromise(")}`

const nameOf = ({ place }: Block): string => `${place.replaceAll(/\W+/g, "-")}.ts`

/** The blocks as files; in a docstring, whichever database it names is the test's. */
const files = Object.fromEntries([
  ...programs.map((block) => [nameOf(block), block.text]),
  ...pieces.map((block) => [nameOf(block), framed(block)]),
  ...docs.map((block) => [nameOf(block), block.text])
])

const given = Effect.fnUntraced(function* ({ place, text }: Pick<Block, "place" | "text">) {
  const made = yield* database()
  if (!text.includes("create table")) {
    for (const table of tablesOf(place)) yield* made.witness.query(table)
  }
  return made
})

it("the README has blocks of each kind", () => {
  assert.isAbove(programs.length, 5)
  assert.isAbove(pieces.length, 10)
  assert.isAbove(docs.length, 5)
  assert.lengthOf(tablesOf("README.md:1"), 1)
})

it.effect("all blocks compile together", () =>
  Effect.gen(function* () {
    assert.strictEqual(yield* complaints(yield* written(files)), "")
  })
)

describe("programs", () => {
  for (const block of programs) {
    it.live(`${block.place} runs as it stands, and leaves no connection`, () =>
      Effect.gen(function* () {
        const { sessions, url } = yield* given(block)
        const place = yield* written({ [nameOf(block)]: block.text })
        const running = yield* program(join(place, nameOf(block)), {
          env: { DATABASE_URL: url, PORT: "0", NO_COLOR: "1" }
        })
        if (/serve\(|createServer\(/.test(block.text)) {
          yield* running.prints(/Listening on/)
          yield* running.signal("SIGTERM")
          assert.include([0, 130], (yield* running.exitWithin("2 seconds")).code)
        } else {
          assert.strictEqual((yield* running.exit).code, 0, running.stderr())
          assert.strictEqual(running.stdout(), printed(block))
        }
        assert.strictEqual(running.stderr(), "")
        assert.deepStrictEqual(yield* sessions, [])
      })
    )
  }
})

/** Runs each file in one process, on a database of its own, and tells what it printed. */
const runner = `
const [list] = process.argv.slice(2)
for (const { file, url } of JSON.parse(list)) {
  process.env.DATABASE_URL = url
  try {
    await import(file)
    console.log("== done " + file)
  } catch (error) {
    console.log("== failed " + file)
    console.log(error)
  }
}
`

it.live("pieces give what they say, each in the frame and on an empty table", () =>
  Effect.gen(function* () {
    const place = yield* written({ ...files, "runner.ts": runner })
    const list = yield* Effect.forEach(pieces, (block) =>
      Effect.map(given(block), ({ url }) => ({ file: join(place, nameOf(block)), url }))
    )
    const running = yield* program(join(place, "runner.ts"), {
      node: ["--import", loader],
      args: [JSON.stringify(list)],
      env: { NO_COLOR: "1" }
    })
    assert.strictEqual((yield* running.exit).code, 0, running.stderr())
    const expected = pieces
      .map((block) => `${printed(block)}== done ${join(place, nameOf(block))}\n`)
      .join("")
    assert.strictEqual(running.stdout(), expected)
  })
)

/** The package as a docstring's example sees it: whichever database that names, it is the test's. */
const shim = `
import { PG as Package } from "effect-global-pool"
export { PoolError, PoolRegistry } from "effect-global-pool"

const url = process.env.DATABASE_URL
export const PG = {
  ...Package,
  make: ({ key, names, port, types }) => Package.make({ url, key, names, port, types })
}
`

/** An example in which each effect that it declares is run. */
const exercised = ({ text }: Block): string => {
  const declared = [...text.matchAll(/^const (\w+)/gm)].map(([, name]) => name)
  return `import * as Exercise from "effect/Effect"
import { PG as Pools } from "effect-global-pool"
${text.replaceAll('"effect-global-pool"', '"./shim.js"')}
for (const value of [${declared.join(", ")}]) {
  if (Exercise.isEffect(value)) await Exercise.runPromise(Exercise.scoped(Pools.run(value)))
}`
}

it.live("the examples of the docstrings run", () =>
  Effect.gen(function* () {
    const { sessions, url } = yield* given({ place: "README.md:1", text: "" })
    const examples = Object.fromEntries(docs.map((block) => [nameOf(block), exercised(block)]))
    const place = yield* written({ ...examples, "shim.ts": shim, "runner.ts": runner })
    const list = docs.map((block) => ({ file: join(place, nameOf(block)), url }))
    const running = yield* program(join(place, "runner.ts"), {
      node: ["--import", loader],
      args: [JSON.stringify(list)],
      env: { NO_COLOR: "1" }
    })
    // Some of them start a server of their own.
    assert.strictEqual((yield* running.exitWithin("50 seconds")).code, 0, running.stderr())
    assert.strictEqual(running.stdout(), list.map(({ file }) => `== done ${file}\n`).join(""))
    assert.deepStrictEqual(yield* sessions, [])
  })
)
