/** The settings as their docstrings have them: what `docs/settings.md` lists. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { root } from "./process.ts"

/** Declared, and not implemented yet: they come into the docs with what they do. */
const upcoming: ReadonlyArray<string> = [
  "targetSessionAttributes",
  "loadBalanceHosts",
  "keepAlive",
  "types",
  "names",
  "onConnect",
  "logStatements",
  "slowStatement"
]

/** Rows of a name, what it is, and its default: the last sentence of the docstring. */
export const settingsTable = ({
  all = false
} = {}): ReadonlyArray<readonly [name: string, what: string, otherwise: string]> => {
  const source = readFileSync(join(root, "src", "settings", "Settings.ts"), "utf8")
  const [, fields = ""] = /^export const schema = Schema\.Struct\(\{(.*?)^\}\)/ms.exec(source) ?? []
  return [...fields.matchAll(/^ {2}\/\*\* (.*?) \*\/\n {2}(\w+):/gms)]
    .map(([, doc = "", name = ""]) => {
      const sentences = /^(.*)\. ([^.]*(?:\d\.\d[^.]*)?)\.$/s.exec(doc.replaceAll(/\n\s*\* ?/g, " ")) ?? []
      return [name, sentences[1] ?? doc, sentences[2] ?? ""] as const
    })
    .filter(([name]) => all || !upcoming.includes(name))
}
