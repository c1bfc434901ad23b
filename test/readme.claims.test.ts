/** What the README and the pages in docs/ say of names, files, settings and the folders' order is so. */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import { basename, dirname, join, normalize } from "node:path"
import { assert, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { PG, PoolRegistry } from "effect-global-pool"
import { checked } from "../src/embedded/Options.ts"
import { check } from "../src/settings/Check.ts"
import { defaults, names, schema } from "../src/settings/Settings.ts"
import { mutations } from "./mutations/list.ts"
import { blocksOf, exampleOf } from "./support/blocks.ts"
import { root } from "./support/process.ts"
import { settingsTable } from "./support/settings-table.ts"

const readme = readFileSync(join(root, "README.md"), "utf8")
const sourceOf = (file: string) => readFileSync(join(root, "src", file), "utf8")
const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" }).filter((file) =>
  file.endsWith(".ts")
)

const pages = ["README.md", ...readdirSync(join(root, "docs")).map((file) => `docs/${file}`)]
  .filter((page) => page.endsWith(".md"))
  .map((page) => ({ page, text: readFileSync(join(root, page), "utf8") }))
const prose = pages.map(({ text }) => text).join("\n")

const marked = (name: string) =>
  new RegExp(`<!-- ${name} -->\n(.*?)<!-- /${name} -->`, "s").exec(prose)?.[1] ?? assert.fail(`no ${name}`)

/** A table's lines as their cells. */
const cells = (table: string) =>
  table
    .trim()
    .split("\n")
    .slice(2)
    .map((line) => line.slice(2, -2).split(" | "))

const codes = (text: string) => [...text.matchAll(/`([^`]+)`/g)].map(([, code = ""]) => code)

it("docs/settings.md lists the settings as they are declared, with the defaults that the code has", async () => {
  const path = join(root, "docs", "settings.md")
  const page = readFileSync(path, "utf8")
  const table = settingsTable().map(([name, what, value]) => `| \`${name}\` | ${what} | ${value} |`)
  const listed = `<!-- settings -->\n| setting | what it is | default |\n| --- | --- | --- |\n${table.join("\n")}\n<!-- /settings -->`
  await expect(page.replace(/<!-- settings -->.*<!-- \/settings -->/s, listed)).toMatchFileSnapshot(path)
})

it("the docstring of each setting ends in the default that the code has", () => {
  const [{ host, port }] = Result.getOrThrow(check({ username: "me" })).servers
  const code: Readonly<Record<string, unknown>> = { ...defaults, host, port }
  const declared = settingsTable()
  assert.deepStrictEqual(
    declared.map(([name]) => name),
    [...names]
  )
  for (const [name, , value] of declared) {
    const [said] = codes(value)
    if (said === undefined || said === "Infinity") {
      assert.include(
        [undefined, Number.POSITIVE_INFINITY, "{}"],
        typeof code[name] === "object" ? JSON.stringify(code[name]) : code[name],
        name
      )
    } else {
      const given: unknown = JSON.parse(said)
      const [, seconds] = /^(\d+) seconds?$/.exec(String(given)) ?? []
      assert.strictEqual(code[name] ?? false, seconds === undefined ? given : Number(seconds) * 1000, name)
    }
  }
})

it("a setting that may be left out of the checked ones has no default, and each other has one that keeps its rule", () => {
  for (const [name, field] of Object.entries(schema.fields)) {
    const value = Object.entries(defaults).find(([key]) => key === name)?.[1]
    if (field.ast.context?.isOptional === true) assert.isUndefined(value, name)
    else assert.isTrue(Schema.is(field)(value), name)
  }
})

it("the options of an embedded server are all there, with the defaults that the code has", () => {
  const table = cells(marked("embedded")).map(
    ([name = "", , value = ""]) => [codes(name)[0] ?? "", value] as const
  )
  const [, fields = ""] =
    /export interface EmbeddedPostgresOptions \{(.*?)^\}/ms.exec(sourceOf("embedded/Options.ts")) ?? []
  const declared = [...fields.matchAll(/readonly (\w+)\?:/g)].map(([, name]) => name)
  assert.deepStrictEqual(
    table.map(([name]) => name),
    declared
  )
  const defaults: Readonly<Record<string, unknown>> = { ...Effect.runSync(checked({})) }
  for (const [name, value] of table) {
    if (value === '`"60 seconds"`') assert.deepStrictEqual(defaults[name], Duration.seconds(60))
    else if (/^`"\w+"`$/.test(value)) assert.strictEqual(value, `\`"${defaults[name]}"\``)
    else assert.include([undefined, "{}"], JSON.stringify(defaults[name]), name)
  }
})

it("the README installs packages of the versions that the tests run with", () => {
  const manifest: { devDependencies: Readonly<Record<string, string>> } = JSON.parse(
    readFileSync(join(root, "package.json"), "utf8")
  )
  const named = [...readme.matchAll(/^npm install (.*)$/gm)]
    .flatMap(([, line = ""]) => line.split(" "))
    .filter((word) => !word.startsWith("-") && word !== "effect-global-pool")
  assert.isAbove(named.length, 4)
  for (const word of named) {
    const [, name = "", version] = /^(@?[^@]+)(?:@(.*))?$/.exec(word) ?? []
    const own = manifest.devDependencies[name] ?? assert.fail(`${name} is not a devDependency`)
    assert.strictEqual(version ?? own, own, name)
  }
})

it("every file and every heading that the pages name is there", () => {
  const headings = new Map(
    pages.map(({ page, text }) => [
      page,
      [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
        heading
          .toLowerCase()
          .replaceAll(/[^\w\- ]/g, "")
          .replaceAll(" ", "-")
      )
    ])
  )
  for (const { page, text } of pages) {
    for (const [, to = ""] of text.matchAll(/\]\(([^)]+)\)/g)) {
      if (to.startsWith("https:")) continue
      const [path = "", anchor] = to.split("#")
      const target = path === "" ? page : normalize(join(dirname(page), path))
      assert.isTrue(existsSync(join(root, target)), `${page}: ${to}`)
      if (anchor !== undefined) assert.include(headings.get(target) ?? [], anchor, `${page}: ${to}`)
    }
    for (const path of codes(text).filter((code) => /^(src|examples|test|docs|\.ci)\/\S*$/.test(code))) {
      assert.isTrue(existsSync(join(root, path)), `${page}: ${path}`)
    }
  }
})

it("a block that names an example is that file, or a part of it", () => {
  const copies = pages
    .flatMap(({ page, text }) => blocksOf(text, page))
    .flatMap((block) => {
      const file = exampleOf(block)
      return file === undefined ? [] : [{ file, place: block.place, text: block.text.replace(/^.*\n/, "") }]
    })
  assert.isAbove(copies.length, 5)
  for (const { file, place, text } of copies) {
    assert.include(readFileSync(join(root, file), "utf8"), text, `${place} of ${file}`)
  }
})

it("every name of the API that the pages mention exists", () => {
  const pgdb = PG.make({ database: "app" })
  const handles: Readonly<Record<string, object>> = { PG, PoolRegistry, pgdb, users: pgdb.table("users") }
  const names = codes(prose).flatMap((code) => [
    ...code.replaceAll(/\$\{[^}]*\}/g, "").matchAll(/(?<![\w."/])(PG|PoolRegistry|pgdb|users)\.(\w+)/g)
  ])
  assert.isAbove(names.length, 60)
  for (const [code, handle = "", name = ""] of names) {
    const holder = handles[handle] ?? {}
    assert.isTrue(name in holder, code)
  }
})

it("docs/errors.md names every reason of the errors", () => {
  const [, poolError = ""] = /`PoolError`, by `reason\._tag`(.*?)\n\n/s.exec(prose) ?? []
  const reasons = [...sourceOf("errors/PoolError.ts").matchAll(/class (\w+) extends Schema/g)].map(
    ([, tag]) => tag
  )
  reasons.splice(reasons.indexOf("PoolError"), 1)
  assert.deepStrictEqual(
    cells(`|\n|\n${poolError.split("\n").slice(2).join("\n")}`).flatMap(([first = ""]) => codes(first)),
    reasons
  )
  const [, sqlError = ""] = /`SqlError`, by `reason\._tag`(.*?)\n\n/s.exec(prose) ?? []
  const tags = [...sourceOf("errors/Reasons.ts").matchAll(/SqlError\.(\w+)/g)].map(([, tag]) => tag)
  const told = cells(`|\n|\n${sqlError.split("\n").slice(2).join("\n")}`).flatMap(([first = ""]) =>
    codes(first)
  )
  for (const tag of tags.filter((tag) => tag !== "SqlErrorReason")) assert.include(told, tag)
})

it("every file of src has a name of its own, begins with a paragraph about itself and keeps to 400 lines", () => {
  const names = sources.map((file) => basename(file))
  assert.deepStrictEqual(
    names.filter((name, index) => names.indexOf(name) !== index),
    []
  )
  for (const file of sources) {
    const source = sourceOf(file)
    assert.match(source, /^(#!.*\n)?\/\*\*/, file)
    assert.isAtMost(source.split("\n").length, 401, file)
  }
})

it("each mutation has one place in the sources that it changes, and tests that should notice", () => {
  for (const { file, from, rule, tests } of mutations) {
    assert.strictEqual(sourceOf(file).split(from).length, 2, rule)
    for (const test of tests) assert.isTrue(existsSync(join(root, "test", `${test}.test.ts`)), test)
  }
})

/** What a file imports from others of the package. */
const importsOf = (file: string): ReadonlyArray<string> =>
  [...sourceOf(file).matchAll(/^(?:import|export)\b[^"']*?from "(\.[^"]+)"/gms)].map(([, to = ""]) =>
    normalize(join(dirname(file), to))
  )

it("the folder map names everything in src, and imports go down it", () => {
  const lines = cells(marked("layers")).map(([where = ""]) => codes(where))
  // A file that is named by itself stands where it is named, and not where its folder is.
  const lineOf = (file: string) => {
    const named = lines.findIndex((names) => names.includes(file))
    return named >= 0
      ? named
      : lines.findIndex((names) => names.some((name) => name.endsWith("/") && file.startsWith(name)))
  }
  for (const name of lines.flat()) {
    const path = join(root, "src", name)
    assert.isTrue(existsSync(path) && statSync(path).isDirectory() === name.endsWith("/"), name)
  }
  const wrong = sources.flatMap((file) => {
    if (lineOf(file) < 0) return [`${file} is not on the map`]
    return importsOf(file)
      .filter((to) => lineOf(to) < lineOf(file))
      .map((to) => `${file} imports ${to} from above`)
  })
  assert.deepStrictEqual(wrong, [])
})
