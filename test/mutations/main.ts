/**
 * Mutation testing of the rules of the pool and of transactions, by hand: `npm run mutations`, with a part of a rule's words for
 * some of them. Each mutation is made in a copy of the sources, and the tests that should notice it are run there. One that they
 * do not notice survives, and is listed in docs/internals.md.
 */
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { mutations } from "./list.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const place = fs.mkdtempSync(path.join(os.tmpdir(), "effect-global-pool-mutations-"))
const wanted = process.argv.slice(2).join(" ")

process.once("exit", () => fs.rmSync(place, { recursive: true, force: true }))
for (const name of ["src", "test", "examples", "docs", "package.json", "tsconfig.json", "vitest.config.ts"]) {
  fs.cpSync(path.join(root, name), path.join(place, name), { recursive: true })
}
fs.symlinkSync(path.join(root, "node_modules"), path.join(place, "node_modules"))

const present = fs.readdirSync(path.join(place, "test"))
const survivors: Array<string> = []
for (const { file, from, rule, tests, to } of mutations.filter((one) => one.rule.includes(wanted))) {
  const source = path.join(place, "src", file)
  const text = fs.readFileSync(source, "utf8")
  if (text.split(from).length !== 2) throw new Error(`${file} does not hold this text once: ${from}`)
  const files = present.filter((name) => tests.some((test) => name === `${test}.test.ts`))
  if (files.length === 0) throw new Error(`There is no test of the names ${tests.join(", ")}`)
  fs.writeFileSync(
    source,
    text.replace(from, () => to)
  )
  const run = spawnSync(
    path.join(root, "node_modules/.bin/vitest"),
    ["run", "--bail=1", "--cache=false", ...files.map((name) => path.join("test", name))],
    { cwd: place, encoding: "utf8", timeout: 300_000, env: { ...process.env, NO_COLOR: "1" } }
  )
  fs.writeFileSync(source, text)
  const noticed = /Tests .*\d+ failed/.test(run.stdout)
  if (!noticed && run.status !== 0) throw new Error(`The tests did not run: ${run.stdout}${run.stderr}`)
  if (!noticed) survivors.push(rule)
  console.log(`${noticed ? "noticed " : "SURVIVED"}  ${file}: ${rule}`)
}
console.log(`\n${survivors.length} of ${mutations.length} survived`)
process.exitCode = survivors.length === 0 ? 0 : 1
