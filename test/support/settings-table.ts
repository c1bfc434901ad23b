/** Declarations in src/settings as their docstrings have them: what `docs/settings.md` and `docs/connecting.md` list. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { root } from "./process.ts"

/** The fields of a struct, and what their docstrings say. */
export const documented = (
  file: string,
  struct: string
): ReadonlyArray<readonly [name: string, what: string]> => {
  const source = readFileSync(join(root, "src", "settings", file), "utf8")
  const [, fields = ""] =
    new RegExp(`^export const ${struct} = Schema\\.Struct\\(\\{(.*?)^\\}\\)`, "ms").exec(source) ?? []
  return [...fields.matchAll(/^ {2}\/\*\*\s(?:\s*\* )?(.*?)\s*\*\/\n {2}(\w+):/gms)].map(
    ([, doc = "", name = ""]) => [name, doc.replaceAll(/\n\s*\* ?/g, " ")]
  )
}

/** Rows of a name, what it is, and its default: the last sentence of the docstring. */
export const settingsTable = (): ReadonlyArray<readonly [name: string, what: string, otherwise: string]> =>
  documented("Settings.ts", "schema").map(([name, doc]) => {
    const sentences = /^(.*)\. ([^.]*(?:\d\.\d[^.]*)?)\.$/s.exec(doc) ?? []
    return [name, sentences[1] ?? doc, sentences[2] ?? ""] as const
  })
