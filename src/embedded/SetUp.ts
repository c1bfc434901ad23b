/**
 * How the files of a data directory that stays come to their place: all of them, or none that a later start would take for data.
 *
 * They are made in a folder inside of the directory, which may be a mount point or stand in a folder that nobody may write to. A
 * second name says that they are whole; then they are moved up, and last of all the file that makes a folder a data directory.
 * A killed process leaves folders of these names, and nothing else is ever removed.
 */
import { randomBytes } from "node:crypto"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"

const making = "effect-global-pool.new-"
const made = "effect-global-pool.made"
const version = "PG_VERSION"

/** Another process may have been quicker. */
const unlessGone = (error: NodeJS.ErrnoException): void => {
  if (error.code !== "ENOENT") throw error
}

/** Removes a folder of that name, also where another still puts files there. */
export const remove = (path: string): Promise<void> =>
  Fs.rm(path, { recursive: true, force: true, maxRetries: 5 })

/** A new folder's name, to make the files in. */
export const place = (path: string): string => Path.join(path, making + randomBytes(6).toString("hex"))

const moveUp = async (path: string): Promise<void> => {
  const from = Path.join(path, made)
  const names = (await Fs.readdir(from).catch(unlessGone)) ?? []
  for (const name of [...names.filter((name) => name !== version), version]) {
    await Fs.rename(Path.join(from, name), Path.join(path, name)).catch(unlessGone)
  }
  // Another may have put its own files there, which it removes.
  await Fs.rmdir(from).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOTEMPTY") unlessGone(error)
  })
}

const isSetUp = () =>
  new Error("another server has set it up meanwhile. A data directory has one server at a time")

/** Fails when another has set the directory up. */
export const checkNew = async (path: string): Promise<void> => {
  const names = await Fs.readdir(path)
  if (names.includes(version) || names.includes(made)) throw isSetUp()
}

/** Moves the files that were made in `from` to their place, unless others are there by now. */
export const settle = async (path: string, from: string): Promise<void> => {
  await checkNew(path)
  // As Postgres wants it, also where the folder was there before.
  await Fs.chmod(path, 0o700)
  const whole = Path.join(path, made)
  await Fs.rename(from, whole)
  // Others may have come to their end since the names were read, and their server may run: none of its files is replaced.
  if ((await Fs.readdir(path)).includes(version)) {
    await remove(whole)
    throw isSetUp()
  }
  await moveUp(path)
}

/**
 * The version of the data in the directory, or `undefined` where there is none yet. What was whole is moved to its place, and beside
 * data that are there, what is not goes; without them it may be another's who still makes it.
 */
export const versionIn = async (path: string): Promise<string | undefined> => {
  const names = await Fs.readdir(path)
  const isWhole = names.includes(version)
  if (!isWhole && names.includes(made)) {
    await moveUp(path)
    return versionIn(path)
  }
  const left = names.filter((name) => name === made || name.startsWith(making))
  if (!isWhole && left.length === names.length) return undefined
  if (!isWhole) throw new Error("it is not empty and holds no Postgres data. Give an empty or a new one")
  for (const name of left) await remove(Path.join(path, name))
  return (await Fs.readFile(Path.join(path, version), "utf8")).trim()
}
