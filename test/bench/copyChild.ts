/**
 * The process that shows what `copyFrom` and `copyTo` of a file weigh: their time, and the resident memory meanwhile. Takes an
 * assignment, prints one JSON line.
 */
import { createReadStream, createWriteStream } from "node:fs"
import * as NodeSink from "@effect/platform-node/NodeSink"
import * as NodeStream from "@effect/platform-node/NodeStream"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Stream from "effect/Stream"
import { PG } from "../../src/index.ts"
import type { Target } from "./data.ts"

export interface CopyAssignment {
  readonly target: Target
  readonly direction: "in" | "out"
  readonly file: string
}

export interface CopyFound {
  readonly seconds: number
  /** Resident memory in MB: with the connection open, and the most that was seen. */
  readonly before: number
  readonly most: number
}

const { direction, file, target }: CopyAssignment = JSON.parse(process.argv[2] ?? "")
const runtime = ManagedRuntime.make(PG.layer)
const pgdb = PG.make(target)
const bulk = pgdb.table("bulk")
const reading = NodeStream.fromReadable<Uint8Array, string>({
  evaluate: () => createReadStream(file),
  onError: String
})
const writing = NodeSink.fromWritable({
  evaluate: () => createWriteStream(file),
  onError: String
})

await runtime.runPromise(pgdb.select("select 1"))
const before = process.memoryUsage.rss()
let most = before
const look = (): void => {
  most = Math.max(most, process.memoryUsage.rss())
}
const timer = setInterval(look, 20)
const start = performance.now()
if (direction === "in") await runtime.runPromise(bulk.copyFrom(reading))
else await runtime.runPromise(Stream.run(bulk.copyTo(), writing))
const seconds = (performance.now() - start) / 1000
clearInterval(timer)
look()
await runtime.dispose()
const found: CopyFound = { seconds, before: before / 2 ** 20, most: most / 2 ** 20 }
process.stdout.write(`${JSON.stringify(found)}\n`)
