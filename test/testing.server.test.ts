/** One embedded server for all processes of a test run: found and started without a race, and gone after the last. */
import { existsSync } from "node:fs"
import * as Path from "node:path"
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { eventually } from "./support/database.ts"
import { isAlive, Temporary } from "./support/folder.ts"
import { loader, program } from "./support/process.ts"

interface Told {
  readonly name: string
  readonly dataDir: string
  readonly file: string
  readonly started: string
  readonly users: number
}

const worker = program("test/support/test-worker.ts", { node: ["--import", loader] })
const told = (running: Effect.Success<typeof worker>) =>
  Effect.map(running.prints(/^\{.*\}$/m), ([line]): Told => JSON.parse(line))
const pidOf = ({ file }: Told) => Number.parseInt(file, 10)
const gone = (server: Told) =>
  eventually(
    "the server and its folder are gone",
    Effect.sync(() => !isAlive(pidOf(server)) && !existsSync(Path.dirname(server.dataDir))),
    (isGone) => isGone,
    "20 seconds"
  )

layer(Temporary.layer)("the workers of a test run", (it) => {
  it.effect(
    "that start at one time share one server, which outlives all but the last, however they end",
    () =>
      Effect.gen(function* () {
        const workers = yield* Effect.all([worker, worker, worker], { concurrency: "unbounded" })
        const all = yield* Effect.forEach(workers, told, { concurrency: "unbounded" })
        const [first, second, third] = workers
        const [server] = all
        if (!first || !second || !third || !server) return assert.fail()
        assert.strictEqual(new Set(all.map(({ started, dataDir }) => `${started} ${dataDir}`)).size, 1)
        assert.strictEqual(new Set(all.map(({ name }) => name)).size, 3)
        assert.deepStrictEqual(
          all.map(({ users }) => users),
          [0, 0, 0]
        )
        yield* first.signal("SIGKILL")
        yield* second.signalGroup("SIGINT")
        assert.strictEqual((yield* second.exit).code, 130)
        assert.isTrue(isAlive(pidOf(server)))
        yield* third.signalGroup("SIGINT")
        yield* gone(server)
      })
  )
})
