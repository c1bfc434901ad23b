/**
 * Builds the package and the benchmark to plain JavaScript in a folder of this run's own, so that no loader sits in
 * the measured processes and what is measured does not change while the sources do. The package is bundled by the
 * command that `npm run build` uses: what is measured is what is published.
 */
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

export const root = fileURLToPath(new URL("../..", import.meta.url))

export const build = (): string => {
  const folder = path.join(root, "node_modules/.cache/effect-global-pool-bench", String(process.pid))
  fs.mkdirSync(folder, { recursive: true })
  fs.writeFileSync(path.join(folder, "package.json"), `{ "type": "module", "sideEffects": false }\n`)
  const compiler = path.join(root, "node_modules/.bin/tsc")
  const options = [
    "-p",
    "tsconfig.json",
    "--noCheck",
    "--noEmit",
    "false",
    "--outDir",
    folder,
    "--rootDir",
    "."
  ]
  const built = spawnSync(compiler, options, { cwd: root, encoding: "utf8" })
  if (!fs.existsSync(path.join(folder, "test/bench/child.js"))) {
    throw new Error(`The benchmark could not be built:\n${built.stdout}${built.stderr}`)
  }
  const manifest: { readonly scripts: Record<string, string> } = JSON.parse(
    fs.readFileSync(path.join(root, "package.json"), "utf8")
  )
  const [bundler = "", ...bundling] = (manifest.scripts["build:code"] ?? "").split(" ")
  const bundled = spawnSync(
    path.join(root, "node_modules/.bin", bundler),
    [...bundling, `--outdir=${path.join(folder, "src")}`, "--allow-overwrite", "--log-level=error"],
    { cwd: root, encoding: "utf8" }
  )
  if (bundled.status !== 0) throw new Error(`The package could not be bundled:\n${bundled.stderr}`)
  process.once("exit", () => fs.rmSync(folder, { recursive: true, force: true }))
  return folder
}
