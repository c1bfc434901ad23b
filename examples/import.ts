/**
 * Loads a CSV file into a table, with a progress bar, and writes the table back: both in constant memory.
 *
 *     npx tsx examples/import.ts people.csv          a file of yours: a table of texts, named by the file's first line
 *     npx tsx examples/import.ts                     a million rows made up for the occasion
 *     npx tsx examples/import.ts 1000                or a thousand
 *
 * The file goes as it stands, by COPY, and comes back as CSV. With `--rows` its rows are read here, where a program could check
 * and change them, stored through `insertStream`, and come back as JSON lines.
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

const readBytes = (file: string) =>
  NodeStream.fromReadable<Uint8Array, FileError>({
    evaluate: () => createReadStream(file),
    onError: fileError
  })

const writeTo = (file: string) =>
  NodeSink.fromWritable({ evaluate: () => createWriteStream(file), onError: fileError })

const generate = (file: string, count: number) =>
  Stream.range(1, count).pipe(
    Stream.map((id) => {
      const born = new Date(Date.UTC(1950, 0, id % 20_000)).toISOString().slice(0, 10)
      return `${id},"Number ${id}, of many",${id % 10 === 0 ? "" : `${id}@example.org`},${born},${id / 4}\n`
    }),
    (lines) => Stream.concat(Stream.make("id,name,email,born,score\n"), lines),
    Stream.run(writeTo(file))
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

const modes = {
  copy: {
    load: (table: PG.Table, file: string, show: (bytes: number) => void) =>
      table.copyFrom(readBytes(file), { header: true, onProgress: ({ bytes }) => show(bytes) }),
    save: (table: PG.Table, file: string) => Stream.run(table.copyTo({ header: true }), writeTo(file))
  },
  rows: {
    load: (table: PG.Table, file: string, show: (bytes: number) => void) => {
      const { rows, readBytes } = readCsv(file)
      return table.insertStream(rows, { onProgress: () => show(readBytes()) })
    },
    save: (table: PG.Table, file: string) =>
      table.findStream().pipe(
        Stream.map((row) => `${JSON.stringify(row)}\n`),
        Stream.run(writeTo(file))
      )
  }
}

const program = Effect.gen(function* () {
  const isByRows = process.argv.includes("--rows")
  const [argument = "1000000"] = process.argv.slice(2).filter((word) => word !== "--rows")
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

    const bar = new SingleBar({
      format: `${basename(file)} [{bar}] {percentage}% | {bytes} bytes | {eta} s left`
    })
    bar.start(statSync(file).size, 0, { bytes: 0 })
    const show = (bytes: number) => bar.update(bytes, { bytes })
    const { load, save } = modes[isByRows ? "rows" : "copy"]
    const stored = yield* Effect.ensuring(
      load(table, file, show),
      Effect.sync(() => bar.stop())
    )
    const written = join(folder, `people.${isByRows ? "jsonl" : "copy.csv"}`)
    yield* save(table, written)
    yield* Console.log(`${stored} rows stored, written to ${written}`)
  })
  yield* PG.run(work)
})

NodeRuntime.runMain(Effect.scoped(program).pipe(Effect.provide(NodeFileSystem.layer)))
