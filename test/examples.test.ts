/** The examples that run to their end print what they should, and leave nothing behind. */
import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { database } from "./support/database.ts"
import { isAlive, onlyServer, Temporary, traces } from "./support/folder.ts"
import { program } from "./support/process.ts"

const script = `transaction: DROP, CREATE, INSERT
insert: 1 row
select: [
  { id: 1, name: 'Ada' },
  { id: 2, name: 'Grace' },
  { id: 3, name: "Robert'); drop table students" }
]
a mistake: column "nmae" does not exist (SQLSTATE 42703 undefined_column)
Hint: Perhaps you meant to reference the column "effect_global_pool_demo.name".
Statement:
  select id, nmae from "effect_global_pool_demo" where id > $1
             ^
`

const sqlSchema = `stored: [
  'Notes on the Analytical Engine',
  'A Compiler for Scientific Problems'
]
longer than 100 pages: [ 'A Compiler for Scientific Problems, 320' ]
pools: 1
`

const run = Effect.fnUntraced(function* (file: string, url: string | undefined) {
  const running = yield* program(file, { env: { DATABASE_URL: url, NO_COLOR: "1" } })
  const { code } = yield* running.exit
  return { code, stdout: running.stdout(), stderr: running.stderr() }
})

describe("with DATABASE_URL", () => {
  for (const [file, stdout] of [
    ["examples/script.ts", script],
    ["examples/sql-schema.ts", sqlSchema]
  ] as const) {
    it.effect(`${file} prints the same each time, and closes every connection`, () =>
      Effect.gen(function* () {
        const { sessions, url } = yield* database()
        assert.deepStrictEqual(yield* run(file, url), { code: 0, stdout, stderr: "" })
        assert.deepStrictEqual(yield* run(file, url), { code: 0, stdout, stderr: "" })
        assert.deepStrictEqual(yield* sessions, [])
      })
    )
  }
})

describe("examples/script.ts ends", () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it.live(`by ${signal} within two seconds, with a statement under way`, () =>
      Effect.gen(function* () {
        const { sessions, until, url, witness } = yield* database()
        yield* witness.query("create table effect_global_pool_demo ()")
        yield* witness.query("begin")
        yield* witness.query("lock table effect_global_pool_demo")
        const running = yield* program("examples/script.ts", { env: { DATABASE_URL: url } })
        yield* until("it waits for the lock", (all) => all.some(({ waitEvent }) => waitEvent === "relation"))
        yield* running.signal(signal)
        assert.strictEqual((yield* running.exitWithin("2 seconds")).signal, null)
        assert.deepStrictEqual(yield* sessions, [])
        assert.strictEqual(running.stdout(), "")
      })
    )
  }
})

layer(Temporary.layer)("without DATABASE_URL", (it) => {
  it.effect("the demo brings its own server, and leaves no trace of it", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* run("examples/script.ts", undefined), {
        code: 0,
        stdout: script,
        stderr: ""
      })
      assert.deepStrictEqual(yield* traces, [])
    })
  )

  for (const [name, signal, group] of [
    ["Ctrl-C", "SIGINT", true],
    ["SIGTERM", "SIGTERM", false]
  ] as const) {
    it.effect(`the demo ends by ${name} within two seconds, and leaves no trace of its server`, () =>
      Effect.gen(function* () {
        const running = yield* program("examples/script.ts", { env: { DATABASE_URL: undefined } })
        const { pid } = yield* onlyServer
        yield* group ? running.signalGroup(signal) : running.signal(signal)
        assert.strictEqual((yield* running.exitWithin("2 seconds")).signal, null)
        assert.deepStrictEqual(yield* traces, [])
        assert.isFalse(isAlive(pid))
      })
    )
  }
})
