/**
 * The process that shows what bulk work weighs: its speed, and the resident memory from before its first row to its last.
 * Takes an assignment, prints one JSON line. Weighing the rows themselves needs `--expose-gc`; the rest runs with Node's own
 * flags.
 */
import * as v8 from "node:v8"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Stream from "effect/Stream"
import { PG } from "../../src/index.ts"
import { bulkRow, bulkRows, type Sizes, type Target } from "./data.ts"
import type { Open } from "./peers/Peer.ts"

export type BulkAssignment = {
  readonly target: Target
  readonly sizes: Sizes
} & (
  | { readonly work: "rows" | "stream" | "findStream" | "insertStream" }
  /** A peer's `insertMany`. */
  | { readonly work: "peer"; readonly module: string; readonly variant: string }
)

/** In MB; of a work, the most that was seen. */
export interface BulkFound {
  readonly seconds: number
  /** Resident with the connection open and one statement done. */
  readonly before: number
  readonly median: number
  readonly most: number
  /** What V8 keeps for young objects and for old ones, and what lies outside of its heap. */
  readonly young: number
  readonly old: number
  readonly external: number
}

const assignment: BulkAssignment = JSON.parse(process.argv[2] ?? "")
const { sizes, target } = assignment
const megabytes = (bytes: number): number => bytes / 2 ** 20

const watch = async (body: () => Promise<unknown>): Promise<BulkFound> => {
  const before = megabytes(process.memoryUsage.rss())
  const samples = [before]
  let [young, old, external] = [0, 0, 0]
  const look = (): void => {
    samples.push(megabytes(process.memoryUsage.rss()))
    const spaces = v8.getHeapSpaceStatistics()
    const sizeOf = (isMeant: (name: string) => boolean): number =>
      megabytes(
        spaces.reduce(
          (sum, { physical_space_size, space_name }) =>
            isMeant(space_name) ? sum + physical_space_size : sum,
          0
        )
      )
    young = Math.max(
      young,
      sizeOf((name) => name.startsWith("new"))
    )
    old = Math.max(
      old,
      sizeOf((name) => !name.startsWith("new"))
    )
    external = Math.max(external, megabytes(process.memoryUsage().external))
  }
  const timer = setInterval(look, 20)
  const start = performance.now()
  await body()
  const seconds = (performance.now() - start) / 1000
  clearInterval(timer)
  look()
  samples.sort((a, b) => a - b)
  const median = samples[samples.length >> 1] ?? 0
  return { seconds, before, median, most: samples.at(-1) ?? 0, young, old, external }
}

/** What the rows of `insertMany` take by themselves, in MB. */
const weighRows = (): number => {
  const used = (): number => {
    globalThis.gc?.()
    const { external, heapUsed } = process.memoryUsage()
    return heapUsed + external
  }
  const nothing = used()
  const rows = bulkRows(sizes.bulk)
  const own = megabytes(used() - nothing)
  if (rows.length !== sizes.bulk) throw new Error("Other rows")
  return own
}

const watchPeer = async (module: string, variant: string): Promise<BulkFound> => {
  const { open }: { readonly open: Open } = await import(`./peers/${module}.js`)
  const session = await open(target, sizes, variant)
  await session.once("pointSelect", 1)
  globalThis.gc?.()
  const found = await watch(() => session.once("insertMany", 1))
  await session.close()
  return found
}

const watchStream = async (work: "stream" | "findStream" | "insertStream"): Promise<BulkFound> => {
  const pgdb = PG.make(target)
  const runtime = ManagedRuntime.make(PG.layer)
  const count = sizes.events
  const made = pgdb.table("made")
  const counted = <E, R>(rows: Stream.Stream<unknown, E, R>) =>
    Stream.runFold(
      rows,
      () => 0,
      (number) => number + 1
    )
  const bodies = {
    stream: counted(made.stream("select id, kind, at, value from made")),
    findStream: counted(made.findStream()),
    insertStream: pgdb.table("bulk").insertStream(Stream.map(Stream.range(0, count - 1), bulkRow))
  }
  await runtime.runPromise(pgdb.select("select 1"))
  const found = await watch(async () => {
    const rows = await runtime.runPromise(bodies[work])
    if (rows !== count) throw new Error(`${rows} rows instead of ${count}`)
  })
  await runtime.dispose()
  return found
}

const { work } = assignment
const found =
  work === "rows"
    ? weighRows()
    : work === "peer"
      ? await watchPeer(assignment.module, assignment.variant)
      : await watchStream(work)
process.stdout.write(`${JSON.stringify(found)}\n`)
