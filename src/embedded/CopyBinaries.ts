/**
 * A complete copy of the binaries in the folder for temporary files, made once for each version and user and then
 * shared.
 */
import { randomBytes } from "node:crypto"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"
import { startFailed } from "./EmbeddedPostgresError.ts"
import { guard } from "./Guard.ts"
import { type Package, readLinks } from "./Package.ts"

/** What the server needs at run time: all but what programs are linked with. */
const isNeeded = (path: string): boolean => !path.endsWith(".a") && !/pkgconfig|pgxs/.test(path)

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

const remove = (path: string): Promise<void> => Fs.rm(path, { recursive: true, force: true })

/** Moves a fresh copy to its place. One that is there already and sound is kept, another one makes room if it can. */
const settle = async (native: string, fresh: string, place: string): Promise<string> => {
  const moved = () => Fs.rename(fresh, place)
  const makeRoom = async () => {
    if (await isSound(native, place)) return remove(fresh)
    const aside = `${fresh}.old`
    await Fs.rename(place, aside)
    await remove(aside)
    return moved()
  }
  return moved()
    .catch(makeRoom)
    .then(
      () => place,
      () => fresh
    )
}

/**
 * The copy in `folder`, made when there is none. It is written beside its place and moved there when it is whole, so
 * processes that start at once do not see half of it. Where someone else holds the place, the copy goes with the scope.
 */
export const shared = Effect.fnUntraced(function* (
  source: Package,
  folder: string
): Effect.fn.Return<string, EmbeddedPostgresError, Scope.Scope> {
  const { native, name, version } = source
  const user = process.getuid?.() ?? 0
  const place = Path.join(folder, `effect-global-pool-${name.replace(/[@/]/g, "")}-${version}-${user}`)
  if (yield* Effect.promise(() => isSound(native, place))) return place
  const fresh = `${place}.${randomBytes(6).toString("hex")}`
  const make = Effect.tryPromise({
    try: () => copy(native, fresh).then(() => settle(native, fresh, place)),
    catch: (cause) => startFailed(`The binaries of ${name} could not be copied to ${folder}.`, { cause })
  })
  const discard = Effect.ignore(Effect.tryPromise(() => remove(fresh)))
  const made = yield* Effect.uninterruptible(
    Effect.scoped(
      Effect.andThen(
        guard(fresh),
        Effect.onError(make, () => discard)
      )
    )
  )
  if (made === fresh) yield* Effect.addFinalizer(() => discard)
  return made
})
