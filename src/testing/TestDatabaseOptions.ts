/**
 * The options of `TestDatabase.layer`: what they are, and what is wrong with them.
 */
import type * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Redacted from "effect/Redacted"
import type { Database } from "../api/Database.ts"
import type { EmbeddedPostgresOptions } from "../embedded/Options.ts"
import { invalid, type PoolError } from "../errors/PoolError.ts"

/**
 * What each database begins with: texts of SQL, such as migrations, which run in their order; or a program, with a key that
 * changes when what it does changes, such as the texts of its migrations.
 */
export type Setup<E = never, R = never> =
  | ReadonlyArray<string>
  | {
      readonly key: string | ReadonlyArray<string>
      readonly run: (pgdb: Database) => Effect.Effect<unknown, E, R>
    }

export interface Options<E = never, R = never> {
  /** Runs once, on a template of which each database is a copy; again when it changes. Nothing: the databases are empty. */
  readonly setup?: Setup<E, R> | undefined
  /** A server that is there, as a user who may create databases. Without it, an embedded server is shared by all tests of this machine. */
  readonly url?: string | Redacted.Redacted | undefined
  /** How the embedded server is set up. With a `dataDir` it finds its templates again. */
  readonly server?: EmbeddedPostgresOptions | undefined
}

const names = ["setup", "url", "server"]
const setupNames = ["key", "run"]

const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every(Predicate.isString)
const isProgram = (value: unknown): boolean =>
  Predicate.hasProperty(value, "key") &&
  Predicate.hasProperty(value, "run") &&
  (Predicate.isString(value.key) || isTexts(value.key)) &&
  Predicate.isFunction(value.run) &&
  Object.keys(value).every((name) => setupNames.includes(name))

const wrong = (name: string, rule: string): PoolError =>
  invalid(name, `The option ${name} of TestDatabase.layer ${rule}. Nothing was started.`)

/** What is wrong with them. The settings in `url`, and the options in `server`, are looked at where they are used. */
export const problemOf = (options: object): PoolError | undefined => {
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  for (const [name, value] of given) {
    if (!names.includes(name)) return wrong(name, `does not exist; its options are ${names.join(", ")}`)
    if (name === "setup" && !isTexts(value) && !isProgram(value)) {
      return wrong(name, "must be an array of texts, or { key, run }: a key of texts, and a function")
    }
    if (name === "server" && !Predicate.isObject(value)) {
      return wrong(name, "must be an object, the options of EmbeddedPostgres.make")
    }
  }
  return given.some(([name]) => name === "url") && given.some(([name]) => name === "server")
    ? wrong("server", "is for the embedded server, and url names another: give one of the two")
    : undefined
}
