/**
 * Code that stands in prose: taken out of a page or of docstrings, made into programs, type-checked and run.
 */
import { execFile } from "node:child_process"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { folder } from "./folder.ts"
import { root } from "./process.ts"

export interface Block {
  readonly language: string
  readonly text: string
  /** Where it begins: `README.md:12`. */
  readonly place: string
}

/** The fenced blocks of a page. */
export const blocksOf = (page: string, place: string): ReadonlyArray<Block> =>
  [...page.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language = "", text = ""], index, all) => ({
    language,
    text,
    place: `${place}:${page.slice(0, all[index]?.index).split("\n").length}`
  }))

/** The fenced blocks in the docstrings of a source file. */
export const blocksOfSource = (source: string, place: string): ReadonlyArray<Block> =>
  blocksOf(source.replaceAll(/^ *\* ?/gm, ""), place)

/** Whether a block is a program of its own; others are pieces that stand in a frame. */
export const isProgram = ({ text }: Block): boolean => /^import /m.test(text)

/** The file of which a block is a copy, by its first line: `// examples/…`. */
export const exampleOf = ({ text }: Block): string | undefined => /^\/\/ (examples\/\S+)\n/.exec(text)?.[1]

/** What a block says that it prints, by lines that begin with `// prints `. */
export const printed = ({ text }: Block): string =>
  [...text.matchAll(/^\/\/ prints (.*)$/gm)].map(([, line]) => `${line}\n`).join("")

/**
 * A piece with each `// => value` made into an assertion: on the expression of its line, or on the constant that was
 * declared last.
 */
export const asserted = (text: string): string => {
  let declared = ""
  const check = (what: string, value: string) => `assert.deepStrictEqual(${what}, ${value})`
  return text
    .split("\n")
    .map((line) => {
      declared = /^const (\w+)/.exec(line)?.[1] ?? declared
      const [, code = "", value] = /^(.*?)\s*\/\/ => (.*)$/.exec(line) ?? []
      if (value === undefined) return line
      if (code === "") return check("last", value)
      if (/^const |^\)/.test(code)) return `${code}\n${check(declared, value)}`
      return check(code, value)
    })
    .map((line, index, lines) =>
      lines[index + 1]?.startsWith("assert.deepStrictEqual(last,") ? `const last = ${line}` : line
    )
    .join("\n")
}

/** A folder in which the package and what it needs resolve, with these files in it. */
export const written: (files: Readonly<Record<string, string>>) => Effect.Effect<string, never, Scope.Scope> =
  Effect.fnUntraced(function* (files) {
    const place = yield* folder()
    const settings = {
      extends: Path.join(root, "tsconfig.json"),
      compilerOptions: { noUnusedLocals: false, types: ["node"] },
      include: ["*.ts"]
    }
    yield* Effect.promise(async () => {
      await Fs.symlink(Path.join(root, "node_modules"), Path.join(place, "node_modules"))
      await Fs.writeFile(Path.join(place, "package.json"), '{ "type": "module" }')
      await Fs.writeFile(Path.join(place, "tsconfig.json"), JSON.stringify(settings))
      for (const [name, text] of Object.entries(files)) await Fs.writeFile(Path.join(place, name), text)
    })
    return place
  })

/** What the compiler says of the folder: nothing, if all is well. */
export const complaints = (place: string): Effect.Effect<string> =>
  Effect.callback((resume) => {
    const tsc = Path.join(root, "node_modules", "typescript", "bin", "tsc")
    execFile(process.execPath, [tsc, "-p", place, "--pretty", "false"], { cwd: place }, (_, stdout) =>
      resume(Effect.succeed(stdout))
    )
  })
