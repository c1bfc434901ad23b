/**
 * A user's program with an embedded server: it starts one with the options given as JSON, tells about it, and stays
 * until a signal ends it.
 */
import * as Fs from "node:fs"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import { start } from "../../src/embedded/Server.ts"

const program = Effect.gen(function* () {
  const { dataDir, port } = yield* start(JSON.parse(process.argv[2] ?? "{}"))
  const [pid] = Fs.readFileSync(`${dataDir}/postmaster.pid`, "utf8").split("\n")
  process.stdout.write(`${JSON.stringify({ dataDir, port, pid: Number(pid) })}\n`)
  return yield* Effect.never
})

NodeRuntime.runMain(Effect.scoped(program))
