import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { eventually } from "./support/database.ts"
import { gone, Temporary, traces } from "./support/folder.ts"
import { program } from "./support/process.ts"

const started = Effect.gen(function* () {
  const running = yield* program("test/support/embedded.ts")
  const [line] = yield* running.prints(/^\{.*\}$/m)
  const server: { readonly pid: number; readonly dataDir: string } = JSON.parse(line)
  return { running, server, nothingLeft: Effect.andThen(gone(server), traces) }
})

layer(Temporary.layer)("a program with an embedded server", (it) => {
  it.effect("stops the server and removes its directory before it ends by Ctrl-C", () =>
    Effect.gen(function* () {
      const { running, nothingLeft } = yield* started
      yield* running.signalGroup("SIGINT")
      assert.deepStrictEqual(yield* running.exitWithin("2 seconds"), { code: 130, signal: null })
      assert.deepStrictEqual(yield* nothingLeft, [])
    })
  )

  it.effect("does so by SIGTERM as well", () =>
    Effect.gen(function* () {
      const { running, nothingLeft } = yield* started
      yield* running.signal("SIGTERM")
      assert.strictEqual((yield* running.exitWithin("2 seconds")).signal, null)
      assert.deepStrictEqual(yield* nothingLeft, [])
    })
  )

  it.effect("leaves no server behind when it is killed", () =>
    Effect.gen(function* () {
      const { running, nothingLeft } = yield* started
      yield* running.signal("SIGKILL")
      assert.deepStrictEqual(yield* running.exit, { code: null, signal: "SIGKILL" })
      assert.deepStrictEqual(yield* nothingLeft, [])
    })
  )

  it.effect("leaves nothing when it is killed while it starts", () =>
    Effect.gen(function* () {
      const running = yield* program("test/support/embedded.ts")
      yield* eventually("it has begun", traces, (names) => names.length > 0)
      yield* running.signal("SIGKILL")
      yield* eventually("nothing is left", traces, (names) => names.length === 0)
    })
  )
})
