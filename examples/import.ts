/**
 * Loads a CSV file into a table, with a progress bar, and writes the table back as JSON lines: both in constant memory.
 *
 *     npx tsx examples/import.ts people.csv          a file of yours: a table of texts, named by the file's first line
 *     npx tsx examples/import.ts                     a million rows made up for the occasion
 *     npx tsx examples/import.ts 1000                or a thousand
 */
import { createReadStream, createWriteStream, statSync } from "node:fs"
import { basename, join } from "node:path"
import { pipeline } from "node:stream"
import { NodeFileSystem, NodeRuntime, NodeSink, NodeStream } from "@effect/platform-node"
import { SingleBar } from "cli-progress"
import { parse } from "csv-parse"
import { Console, Data, Effect, FileSystem, Option, Stream } from "effect"
import { PG } from "effect-global-pool"
import { database } from "./support/database.ts"

class FileError extends Data.TaggedError("FileError")<{ readonly message: string }> {}

const fileError = (error: unknown) => new FileError({ message: String(error) })

/** The rows of a CSV file by its first line; an empty field is NULL. `readBytes` says how far the file was read. */
const readCsv = (file: string) => {
  let readBytes = () => 0
  const records = NodeStream.fromReadable<Readonly<Record<string, string>>, FileError>({
    evaluate: () => {
      const bytes = createReadStream(file)
      readBytes = () => bytes.bytesRead
      return pipeline(bytes, parse({ columns: true }), () => {})
    },
    onError: fileError
  })
  const rows = Stream.map(records, (record) => {
    const row: Record<string, string | null> = {}
    for (const name in record) row[name] = record[name] || null
    return row
  })
  return { rows, readBytes: () => readBytes() }
}

const writeLines = (file: string) =>
  NodeSink.fromWritable({ evaluate: () => createWriteStream(file), onError: fileError })

const generate = (file: string, count: number) =>
  Stream.range(1, count).pipe(
    Stream.map((id) => {
      const born = new Date(Date.UTC(1950, 0, id % 20_000)).toISOString().slice(0, 10)
      return `${id},"Number ${id}, of many",${id % 10 === 0 ? "" : `${id}@example.org`},${born},${id / 4}\n`
    }),
    (lines) => Stream.concat(Stream.make("id,name,email,born,score\n"), lines),
    Stream.run(writeLines(file))
  )

/** Which columns the file has. */
const headerOf = (file: string) =>
  Effect.map(
    Stream.runHead(readCsv(file).rows),
    Option.match({ onNone: () => [], onSome: (row) => Object.keys(row) })
  )

const typesOfGenerated: Readonly<Record<string, PG.Sql>> = {
  id: PG.sql`int primary key`,
  name: PG.sql`text not null`,
  born: PG.sql`date`,
  score: PG.sql`float8`
}

const program = Effect.gen(function* () {
  const argument = process.argv[2] ?? "1000000"
  const fs = yield* FileSystem.FileSystem
  const folder = yield* fs.makeTempDirectory({ prefix: "import-" })
  const isCount = /^\d+$/.test(argument)
  const file = isCount ? join(folder, "people.csv") : argument
  if (isCount) yield* generate(file, Number(argument))

  const pgdb = yield* database
  const table = pgdb.table("effect_global_pool_import")
  const columns = (yield* headerOf(file)).map(
    (name) => PG.sql`${PG.id(name)} ${(isCount ? typesOfGenerated[name] : undefined) ?? PG.sql`text`}`
  )
  const definition = columns.reduce((some, column) => PG.sql`${some}, ${column}`)

  const work = Effect.gen(function* () {
    yield* table.trans([PG.sql`drop table if exists ${table}`, PG.sql`create table ${table} (${definition})`])

    const size = statSync(file).size
    const bar = new SingleBar({
      format: `${basename(file)} [{bar}] {percentage}% | {rows} rows | {eta} s left`
    })
    bar.start(size, 0, { rows: 0 })
    const { readBytes, rows } = readCsv(file)
    const stored = yield* table
      .insertStream(rows, { onProgress: (progress) => bar.update(readBytes(), { rows: progress.rows }) })
      .pipe(Effect.ensuring(Effect.sync(() => bar.stop())))

    const lines = join(folder, "people.jsonl")
    let written = 0
    yield* table.findStream({}, { onProgress: (progress) => (written = progress.rows) }).pipe(
      Stream.map((row) => `${JSON.stringify(row)}\n`),
      Stream.run(writeLines(lines))
    )
    yield* Console.log(`${stored} rows stored, ${written} written to ${lines}`)
  })
  yield* PG.run(work)
})

NodeRuntime.runMain(Effect.scoped(program).pipe(Effect.provide(NodeFileSystem.layer)))
