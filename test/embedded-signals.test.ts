import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { eventually } from "./support/database.ts"
import { gone, temporaryFolder, traces } from "./support/folder.ts"
import { program } from "./support/process.ts"

const started = Effect.gen(function* () {
  const temporary = yield* temporaryFolder
  const running = yield* program("test/support/embedded.ts")
  const [line] = yield* running.prints(/^\{.*\}$/m)
  const server: { readonly pid: number; readonly dataDir: string } = JSON.parse(line)
  return { running, server, nothingLeft: Effect.andThen(gone(server), traces(temporary)) }
})

it.effect("Ctrl-C stops the server and removes its directory before the program ends", () =>
  Effect.gen(function* () {
    const { running, nothingLeft } = yield* started
    yield* running.signalGroup("SIGINT")
    assert.deepStrictEqual(yield* running.exitWithin("2 seconds"), { code: 130, signal: null })
    assert.deepStrictEqual(yield* nothingLeft, [])
  })
)

it.effect("SIGTERM does as well", () =>
  Effect.gen(function* () {
    const { running, nothingLeft } = yield* started
    yield* running.signal("SIGTERM")
    assert.strictEqual((yield* running.exitWithin("2 seconds")).signal, null)
    assert.deepStrictEqual(yield* nothingLeft, [])
  })
)

it.effect("a program that is killed leaves no server behind", () =>
  Effect.gen(function* () {
    const { running, nothingLeft } = yield* started
    yield* running.signal("SIGKILL")
    assert.deepStrictEqual(yield* running.exit, { code: null, signal: "SIGKILL" })
    assert.deepStrictEqual(yield* nothingLeft, [])
  })
)

it.effect("a program that is killed while it starts leaves nothing either", () =>
  Effect.gen(function* () {
    const temporary = yield* temporaryFolder
    const running = yield* program("test/support/embedded.ts")
    yield* eventually("it has begun", traces(temporary), (names) => names.length > 0)
    yield* running.signal("SIGKILL")
    yield* eventually("nothing is left", traces(temporary), (names) => names.length === 0)
  })
)
