/**
 * What answers a server that asks for the password: the one that is set, the one that the program's effect gives for this
 * connection, or the line of the password file that fits.
 */
import * as Effect from "effect/Effect"
import type { Address } from "../protocol/Link.ts"
import type { PasswordFile } from "../settings/PasswordFile.ts"
import type { ResolvedSettings } from "../settings/Settings.ts"

/** A password for one server. */
export interface Secret {
  readonly password: string | undefined
  /** What the password file has to do with it, for the error if it does not do. */
  readonly note: string | undefined
}

/** Gives the password for a server. */
export type Secrets = (address: Address) => Effect.Effect<Secret>

/** The password as SASLprep (RFC 4013) has it; one that it does not allow is used as it is, as libpq does. */
const normalized = (password: string): Effect.Effect<string> =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII needs no preparation
  /^[\x00-\x7f]*$/.test(password)
    ? Effect.succeed(password)
    : Effect.map(
        Effect.promise(() => import("@mongodb-js/saslprep")),
        ({ saslprep }) => {
          try {
            return saslprep(password, { allowUnassigned: true })
          } catch {
            return password
          }
        }
      )

const secretOf = (password: string, note?: string): Effect.Effect<Secret> =>
  Effect.map(normalized(password), (password) => ({ password, note }))

const none = (note: string | undefined): Effect.Effect<Secret> =>
  Effect.succeed({ password: undefined, note })

const inFile =
  (from: PasswordFile | undefined, { database, username }: ResolvedSettings): Secrets =>
  (address) => {
    if (from === undefined) return none(undefined)
    const { file, passwordOf, problem } = from
    if (problem !== undefined) return none(`The password file ${file} was not used: ${problem}.`)
    const password = passwordOf(address, database, username)
    return password === undefined
      ? none(`No line of the password file ${file} fits.`)
      : secretOf(password, `The password came from the file ${file}.`)
  }

/** Asks for what one connection is opened with. */
export const secretsOf = (settings: ResolvedSettings): Effect.Effect<Secrets> =>
  Effect.suspend(() => {
    const { passfile, password } = settings
    if (password === undefined) {
      return Effect.map(
        Effect.promise(async () => (await import("../settings/PasswordFile.ts")).read(passfile)),
        (from) => inFile(from, settings)
      )
    }
    const given = password._tag === "Text" ? Effect.sync(password.read) : password.ask
    return Effect.map(Effect.flatMap(given, secretOf), (secret) => () => Effect.succeed(secret))
  })
