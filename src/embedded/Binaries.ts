/**
 * The Postgres binaries, where the user that is to run them can.
 *
 * They are run where npm put them when that is possible; otherwise from a copy in the folder for temporary files. That is
 * the case
 * - as root, when npm put them below a folder that the server's user may not enter, and
 * - when npm did not run the package's install script, which makes the links between its libraries.
 */
import { existsSync } from "node:fs"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import * as Copy from "./CopyBinaries.ts"
import { startFailed } from "./EmbeddedPostgresError.ts"
import { canReach, type Identity, temporaryFolder } from "./Identity.ts"
import { executables, locate, readLinks } from "./Package.ts"

export interface Binaries {
  readonly initdb: string
  readonly postgres: string
  /** The major version, which a data directory is bound to: `"18"`. */
  readonly major: string
}

const canRunInPlace = async (native: string, identity: Identity | undefined): Promise<boolean> => {
  if (process.platform === "win32") return true
  const { initdb, postgres } = executables(native)
  for (const file of [initdb, postgres]) {
    const { mode } = await Fs.stat(file)
    if ((mode & 0o555) !== 0o555) return false
  }
  for (const { link } of await readLinks(native)) {
    if (!existsSync(Path.join(native, link))) return false
  }
  return canReach(Path.join(native, "bin"), identity)
}

/** The binaries, where `identity` can run them; what had to be made for that alone goes with the scope. */
export const binaries = Effect.fnUntraced(function* (identity: Identity | undefined) {
  const source = yield* locate
  const look = <A>(f: () => Promise<A>) =>
    Effect.tryPromise({
      try: f,
      catch: (cause) => startFailed(`The binaries of ${source.name} could not be found.`, { cause })
    })
  const inPlace = yield* look(() => canRunInPlace(source.native, identity))
  const native = inPlace
    ? source.native
    : yield* Copy.shared(source, yield* look(() => temporaryFolder(identity)))
  return { ...executables(native), major: source.version.split(".")[0]! } satisfies Binaries
})
