/**
 * Settings as a user wrote them become settings that the pool can use, or the first rule that they break. A handle is made
 * with that result, so nothing here throws.
 */
import { userInfo } from "node:os"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { invalid, type PoolError } from "../errors/PoolError.ts"
import { unknownSetting } from "./Names.ts"
import * as Rules from "./Rules.ts"
import { type CheckedSettings, type ResolvedSettings, type Settings, schema } from "./Settings.ts"
import { fromUrl } from "./Url.ts"

/** Settings that are given: `undefined` is as good as nothing. */
const given = (settings: object): Readonly<Record<string, unknown>> => {
  const all: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(settings)) if (value !== undefined) all[name] = value
  return all
}

const unexpected = "unexpected"

const rulesOf = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: (issue) => (issue._tag === "UnexpectedKey" ? unexpected : SchemaIssue.defaultLeafHook(issue))
})

/** The first rule that is broken, in words. A value is never shown, since it may be a secret that went astray. */
const broken = (issue: SchemaIssue.Issue, settings: Readonly<Record<string, unknown>>): PoolError => {
  const [first] = rulesOf(issue).issues
  const name = String(first?.path?.[0])
  if (first === undefined || first.message === unexpected) return unknownSetting(name)
  const isText = typeof settings[name] === "string" && first.message.startsWith("must be a whole number")
  return invalid(name, `The setting ${name} ${first.message}${isText ? ", and is a string" : ""}.`)
}

const decode = Schema.decodeUnknownResult(schema, { onExcessProperty: "error" })

/** Settings of which each passed its own rule. */
const checkEach = (settings: Readonly<Record<string, unknown>>): Result.Result<CheckedSettings, PoolError> =>
  Result.mapError(decode(settings), ({ issue }) => broken(issue, settings))

const osUser = (): Result.Result<string, PoolError> =>
  Result.try({
    try: () => userInfo().username,
    catch: () =>
      invalid(
        "username",
        "The setting username is missing, and this process's user has no name to stand in for it."
      )
  })

const first = <A extends string | number>(value: A | ReadonlyArray<A>): A | undefined =>
  typeof value === "object" ? value[0] : value

const wrongMinimum = ({
  maxConnections,
  minConnections
}: Pick<CheckedSettings, "maxConnections" | "minConnections">): PoolError =>
  invalid(
    "minConnections",
    `The setting minConnections must be a whole number from 0 to ${maxConnections}, and is ${minConnections}.`
  )

const decodeUrl = Schema.decodeUnknownResult(Rules.secret)

const readUrl = (url: unknown) =>
  Result.flatMap(
    Result.mapError(decodeUrl(url), () =>
      invalid("url", "The setting url must be a string, or a Redacted of one.")
    ),
    (url) => fromUrl(Rules.plain(url))
  )

/** The settings that are given, over those of their URL, over the defaults. */
const resolve = (settings: Readonly<Record<string, unknown>>): Result.Result<ResolvedSettings, PoolError> =>
  Result.gen(function* () {
    const { url: given, ...others } = settings
    const { ssl: sslOfUrl, startupOptions, ...ofUrl } = given === undefined ? {} : yield* readUrl(given)
    const checked = yield* checkEach({ ...ofUrl, ...others })
    if (checked.minConnections > checked.maxConnections) return yield* Result.fail(wrongMinimum(checked))
    const host = first(checked.host) ?? "localhost"
    const port = first(checked.port) ?? 5432
    const username = checked.username ?? (yield* osUser())
    const database = checked.database ?? username
    return {
      ...checked,
      host,
      port,
      path: checked.path ?? (host.startsWith("/") ? `${host}/.s.PGSQL.${port}` : undefined),
      username,
      database,
      key: checked.key ?? database,
      ssl: checked.ssl ?? sslOfUrl ?? false,
      startupOptions,
      maxWaiting: checked.maxWaiting ?? Number.POSITIVE_INFINITY
    }
  })

const unreadable = (): PoolError =>
  invalid("url", "The settings could not be read: one of them throws when it is looked at.")

const notSettings = (): PoolError =>
  invalid("url", "The settings of a database are an object, or a URL such as postgres://user@host/database.")

/** Settings checked by every rule, or the first rule they break. */
export const check = (settings: Settings): Result.Result<ResolvedSettings, PoolError> => {
  if (typeof settings !== "object" || settings === null || Array.isArray(settings)) {
    return Result.fail(notSettings())
  }
  return Result.flatMap(
    Result.try({ try: () => resolve(given(settings)), catch: unreadable }),
    (resolved) => resolved
  )
}
