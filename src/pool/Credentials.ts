/**
 * What answers a server that asks for the password: the one that is set, the one that the program's effect gives for this
 * connection, or the line of the password file that fits.
 */
import * as Effect from "effect/Effect"
import type { Address } from "../protocol/Link.ts"
import { LinkProblem } from "../protocol/LinkProblem.ts"
import type { PasswordFile } from "../settings/PasswordFile.ts"
import type { ResolvedSettings } from "../settings/Settings.ts"

/** A password for one server. */
export interface Secret {
  readonly password: string | undefined
  /** What the password file has to do with it, for the error if it does not do. */
  readonly note: string | undefined
}

export type Secrets = (address: Address) => Secret

const inFile =
  (from: PasswordFile | undefined, { database, username }: ResolvedSettings): Secrets =>
  (address) => {
    if (from === undefined) return { password: undefined, note: undefined }
    const { file, passwordOf, problem } = from
    if (problem !== undefined) {
      return { password: undefined, note: `The password file ${file} was not used: ${problem}.` }
    }
    const password = passwordOf(address, database, username)
    return {
      password,
      note:
        password === undefined
          ? `No line of the password file ${file} fits.`
          : `The password came from the file ${file}.`
    }
  }

/** Asks for what one connection is opened with. */
export const secretsOf = (settings: ResolvedSettings): Effect.Effect<Secrets, LinkProblem> =>
  Effect.suspend(() => {
    const { passfile, password } = settings
    if (password === undefined) {
      return Effect.map(
        Effect.promise(async () => (await import("../settings/PasswordFile.ts")).read(passfile)),
        (from) => inFile(from, settings)
      )
    }
    const given = password._tag === "Text" ? Effect.sync(password.read) : password.ask
    return Effect.matchEffect(given, {
      // Its type says that it cannot. Of its error nothing is shown, which may name what it had to do with.
      onFailure: () => Effect.fail(new LinkProblem("The effect that is the setting password failed")),
      onSuccess: (text) => Effect.succeed(() => ({ password: text, note: undefined }))
    })
  })
