/**
 * Programs over generated types under the compilers that users have, against the package's declarations as they are published.
 */
import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { folder } from "./folder.ts"
import { root } from "./process.ts"

/** Folders of the package `typescript`: that of this package, and those that TYPESCRIPT names, with a colon between them. */
export const compilers: ReadonlyArray<string> = [
  Path.join(root, "node_modules", "typescript"),
  ...(process.env.TYPESCRIPT ?? "").split(":").filter((folder) => folder !== "")
]

const [own = ""] = compilers

/** `TypeScript 5.7.3` */
export const nameOf = (compiler: string): string => {
  const manifest: { readonly version: string } = JSON.parse(
    readFileSync(Path.join(compiler, "package.json"), "utf8")
  )
  return `TypeScript ${manifest.version}`
}

interface Ran {
  readonly output: string
  readonly millis: number
}

/** Runs a compiler to its end. */
const compile = (compiler: string, args: ReadonlyArray<string>, cwd: string): Effect.Effect<Ran> =>
  Effect.callback((resume) => {
    const begin = performance.now()
    const tsc = Path.join(compiler, "bin", "tsc")
    execFile(process.execPath, [tsc, "--pretty", "false", ...args], { cwd }, (_, output) =>
      resume(Effect.succeed({ output, millis: performance.now() - begin }))
    )
  })

/** The package's declarations, as it is published with them. */
export class Declarations extends Context.Service<Declarations, { readonly place: string }>()(
  "test/Declarations"
) {
  static readonly layer = Layer.effect(
    Declarations,
    Effect.gen(function* () {
      const place = yield* folder()
      const { output } = yield* compile(
        own,
        ["-p", Path.join(root, "tsconfig.build.json"), "--outDir", Path.join(place, "dist")],
        root
      )
      if (output !== "") return yield* Effect.die(new Error(output))
      yield* Effect.promise(async () => {
        await Fs.symlink(Path.join(root, "node_modules"), Path.join(place, "node_modules"))
        await Fs.writeFile(Path.join(place, "package.json"), '{ "type": "module" }')
      })
      return { place }
    })
  )
}

/** What a compiler says of a user's program, and how long it took. */
export const check = Effect.fnUntraced(function* (
  compiler: string,
  files: Readonly<Record<string, string>>,
  options: object = {}
) {
  const { place } = yield* Declarations
  const project = yield* Effect.promise(() => Fs.mkdtemp(Path.join(place, "project-")))
  const settings = {
    compilerOptions: {
      target: "ES2022",
      module: "NodeNext",
      lib: ["ES2023"],
      types: ["node"],
      typeRoots: [Path.join(root, "node_modules", "@types")],
      strict: true,
      skipLibCheck: true,
      declaration: true,
      emitDeclarationOnly: true,
      allowImportingTsExtensions: true,
      outDir: "out",
      paths: { "effect-global-pool": [Path.join(place, "dist", "index.d.ts")] },
      ...options
    },
    include: ["*.ts"]
  }
  yield* Effect.promise(async () => {
    await Fs.writeFile(Path.join(project, "tsconfig.json"), JSON.stringify(settings))
    for (const [name, text] of Object.entries(files)) await Fs.writeFile(Path.join(project, name), text)
  })
  const ran = yield* compile(compiler, ["-p", project], project)
  const declared = yield* Effect.promise(() =>
    Fs.readFile(Path.join(project, "out", "handles.d.ts"), "utf8").catch(() => "")
  )
  return { ...ran, declared }
})

export const source = (name: string) => readFileSync(Path.join(root, "test", "typescript", name), "utf8")
export const program = { "handles.ts": source("handles.ts"), "db.ts": source("db.ts") }

/** Tables of twenty columns. */
const manyTables = (count: number): string => {
  const columns = Array.from({ length: 20 }, (_, index) => `readonly column_${index}`)
  const tables = Array.from({ length: count }, (_, index) => {
    const row = columns.map((column) => `  ${column}: string | null`).join("\n")
    const insert = columns.map((column) => `  ${column}?: string | null | undefined`).join("\n")
    return `export interface Table${index} {\n${row}\n}\nexport interface Table${index}Insert {\n${insert}\n}\n`
  })
  const known = Array.from(
    { length: count },
    (_, index) =>
      `  readonly table_${index}: { readonly row: Table${index}; readonly insert: Table${index}Insert }`
  )
  return `${tables.join("")}export interface Tables {\n${known.join("\n")}\n}\n`
}

/** So many tables, and a program that uses so many of them. */
export const usingMany = (count: number, used = count) => ({
  "db.ts": manyTables(count),
  "handles.ts": [
    'import { PG } from "effect-global-pool"',
    'import type { Tables } from "./db.ts"',
    'const pgdb = PG.make<Tables>("postgres://localhost/app")',
    ...Array.from({ length: used }, (_, index) => {
      const table = `pgdb.table("table_${index}")`
      return `export const found${index} = ${table}.find({ column_1: { $startsWith: "a" } }, { columns: ["column_2"] })
${table}.insert({ column_3: null })
${table}.update({ column_4: "a" }, { column_5: "b" }, { returning: ["column_6"] })`
    })
  ].join("\n")
})
