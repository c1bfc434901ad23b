/**
 * As whom the server runs, and what that user can reach.
 *
 * Postgres refuses to run as root. A root process therefore starts it as the user `postgres`, or as `nobody` where
 * there is no such user; everyone else starts it as themselves.
 */
import { execFile } from "node:child_process"
import * as Fs from "node:fs/promises"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import type { EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"
import { startFailed } from "./EmbeddedPostgresError.ts"

/** A user and a group to switch to. */
export interface Identity {
  readonly uid: number
  readonly gid: number
}

/** Whether this process is root, which has to run Postgres as another user. */
export const isRoot = (): boolean => process.getuid?.() === 0

const lookUp = (user: string, flag: "-u" | "-g"): Effect.Effect<number | undefined> =>
  Effect.callback((resume) => {
    execFile("id", [flag, user], (error, stdout) => {
      const id = Number.parseInt(stdout, 10)
      resume(Effect.succeed(error === null && id > 0 ? id : undefined))
    })
  })

/** The user that root runs the server as; `undefined` for an ordinary user, who stays who they are. */
export const identity: Effect.Effect<Identity | undefined, EmbeddedPostgresError> = Effect.gen(function* () {
  if (!isRoot()) return undefined
  for (const user of ["postgres", "nobody"]) {
    const [uid, gid] = yield* Effect.all([lookUp(user, "-u"), lookUp(user, "-g")], { concurrency: 2 })
    if (uid !== undefined && gid !== undefined) return { uid, gid }
  }
  return yield* startFailed(
    "Postgres refuses to run as root, and this system has neither a user postgres nor a user nobody to run it as. Create one of them, or run as an ordinary user."
  )
})

const execute = 0o1

/** Whether the user may enter the directory and all above it, as far as the mode bits tell. */
export const canReach = async (path: string, identity: Identity | undefined): Promise<boolean> => {
  if (identity === undefined) return true
  for (let directory = await Fs.realpath(path); ; directory = Path.dirname(directory)) {
    const { uid, gid, mode } = await Fs.stat(directory)
    const shift = uid === identity.uid ? 6 : gid === identity.gid ? 3 : 0
    if (((mode >> shift) & execute) === 0) return false
    if (directory === Path.dirname(directory)) return true
  }
}

/** A folder for files that the server's user can reach too: the wanted one, if it can. */
export const temporaryFolder = async (
  identity: Identity | undefined,
  wanted = Os.tmpdir()
): Promise<string> => {
  for (const folder of [wanted, Os.tmpdir(), "/tmp", "/var/tmp"]) {
    // What is started there has another working directory.
    if (await canReach(folder, identity).catch(() => false)) return Path.resolve(folder)
  }
  throw new Error("The server's user can reach neither the folder for temporary files nor /tmp nor /var/tmp")
}
