/**
 * Settings as a user wrote them become settings that the pool can use, or the first rule that they break. A handle's first
 * operation asks for that result, so nothing here throws.
 *
 * A field of the settings counts before the same part of their `url`, that before its service, and that before the
 * environment, where it is asked for.
 */
import { userInfo } from "node:os"
import * as Record from "effect/Record"
import * as Result from "effect/Result"
import { invalid, type PoolError } from "../errors/PoolError.ts"
import type { Encryption, Hidden } from "../protocol/Encryption.ts"
import { attempt, isArray, isPlain } from "../statement/PlainObject.ts"
import { decodeGiven } from "./DecodeGiven.ts"
import type { Keywords } from "./Keywords.ts"
import { allowedOf, tlsVersionOf } from "./Keywords.ts"
import * as Rules from "./Rules.ts"
import * as Servers from "./Servers.ts"
import {
  type CheckedSettings,
  defaults,
  names,
  type ResolvedSettings,
  type Settings,
  schema
} from "./Settings.ts"
import { unknownSetting } from "./UnknownSetting.ts"
import * as Words from "./Words.ts"

type Checked<A> = Result.Result<A, PoolError>
type Given = Readonly<Record<string, unknown>>

/** The settings that are given: `undefined` counts as left out. */
const givenOf = (settings: Given): Given => Record.filter(settings, (value) => value !== undefined)

/** Settings that each passed their own rule. An unknown name is refused first. */
const checkEach = (settings: Given): Checked<CheckedSettings> => {
  const unknown = Object.keys(settings).find((name) => !names.includes(name))
  if (unknown !== undefined) return Result.fail(unknownSetting(unknown))
  return Result.mapBoth(decodeGiven(schema.fields, settings), {
    onFailure: ({ name, rule }) => {
      const isText = typeof settings[name] === "string" && rule.startsWith("must be a whole number")
      return invalid(name, `The setting ${name} ${rule}${isText ? ", and is a string" : ""}.`)
    },
    onSuccess: (decoded) => ({ ...defaults, ...decoded })
  })
}

const osUser = (): Checked<string> =>
  Result.try({
    try: () => userInfo().username,
    catch: () =>
      invalid(
        "username",
        "The setting username is missing, and the operating system's user has no name to use instead."
      )
  })

const wordsOf = (url: unknown): Checked<Words.Words> =>
  url === undefined
    ? Result.succeed({})
    : Result.flatMap(checkEach({ url }), ({ url = "" }) => Words.fromString(Rules.plain(url)))

const seconds = (count: number | undefined, otherwise: number): number | undefined => {
  if (count === undefined) return undefined
  return count > 0 ? count * 1_000 : otherwise
}

/** System's own: two hours. */
const systemKeepAlive = 7_200_000

const keepAliveOf = ({ keepalives, keepalives_idle }: Keywords): number | undefined =>
  keepalives === 0 ? Number.POSITIVE_INFINITY : seconds(keepalives_idle, systemKeepAlive)

/** The settings that words stand for. An empty text stands for none. */
const settingsOf = (words: Keywords): Given => {
  const given: Given = {
    username: words.user,
    password: words.password,
    database: words.dbname,
    applicationName: words.application_name ?? words.fallback_application_name,
    connectTimeout: seconds(words.connect_timeout, Number.POSITIVE_INFINITY),
    keepAlive: keepAliveOf(words),
    targetSessionAttributes: words.target_session_attrs,
    loadBalanceHosts: words.load_balance_hosts
  }
  return Record.filter(given, (value) => value !== undefined && value !== "")
}

const hidden = <A>(value: A): Hidden<A> => ({ read: () => value })

const wrongUrl = (rule: string): Checked<never> =>
  Result.fail(invalid("url", `The setting url is wrong: ${rule}.`))

/** How links are encrypted: as the field `ssl` says, else as libpq's words do. */
const encryptionOf = (ssl: CheckedSettings["ssl"], words: Keywords): Checked<Encryption> => {
  const isSystem = words.sslrootcert === "system"
  // Without any setting, TLS is used where the server requires it.
  const mode = words.sslmode ?? (isSystem ? "verify-full" : "allow")
  const negotiation = words.sslnegotiation ?? "postgres"
  const minVersion = tlsVersionOf(words.ssl_min_protocol_version)
  const maxVersion = tlsVersionOf(words.ssl_max_protocol_version)
  const common = { negotiation, minVersion, maxVersion, sendsName: words.sslsni !== "0" }
  if (ssl !== undefined) {
    return Result.succeed({
      ...common,
      mode: ssl === false ? "disable" : "verify-full",
      files: undefined,
      options: hidden(typeof ssl === "object" ? ssl : {})
    })
  }
  if (isSystem && mode !== "verify-full") {
    return wrongUrl(`sslrootcert=system needs sslmode=verify-full, and sslmode is ${mode}`)
  }
  if (negotiation === "direct" && mode !== "require" && !mode.startsWith("verify")) {
    return wrongUrl(`sslnegotiation=direct needs sslmode=require or stronger, and sslmode is ${mode}`)
  }
  if (minVersion !== undefined && maxVersion !== undefined && minVersion > maxVersion) {
    return wrongUrl("its ssl_min_protocol_version is newer than its ssl_max_protocol_version")
  }
  return Result.succeed({
    ...common,
    mode,
    files: {
      sslrootcert: words.sslrootcert,
      sslcrl: words.sslcrl,
      sslcrldir: words.sslcrldir,
      sslcert: words.sslcert,
      sslkey: words.sslkey,
      sslpassword: words.sslpassword === undefined ? undefined : hidden(words.sslpassword),
      sendsCertificate: words.sslcertmode !== "disable"
    },
    options: hidden({})
  })
}

const resolve = (settings: Given, environment: Words.Words): Checked<ResolvedSettings> =>
  Result.gen(function* () {
    const { url, ...fields } = settings
    const merged = yield* Words.merge(yield* wordsOf(url), environment)
    const { keywords: words, parameters } = yield* Words.read(merged)
    const checked = yield* checkEach({ ...settingsOf(words), ...fields })
    const { maxConnections, minConnections } = checked
    if (minConnections > maxConnections) {
      const rule = `must be a whole number from 0 to ${maxConnections}, and is ${minConnections}`
      return yield* Result.fail(invalid("minConnections", `The setting minConnections ${rule}.`))
    }
    const username = checked.username ?? (yield* osUser())
    const database = checked.database ?? username
    const isHostGiven = checked.host !== undefined
    return {
      ...checked,
      servers: yield* Servers.serversOf({
        host: checked.host ?? words.host,
        hostaddr: isHostGiven ? undefined : words.hostaddr,
        // Ports for each of the string's hosts are none for other hosts.
        port: checked.port ?? (isHostGiven && words.port?.includes(",") ? undefined : words.port),
        path: checked.path
      }),
      username,
      database,
      key: checked.key ?? database,
      encryption: yield* encryptionOf(checked.ssl, words),
      allowed: allowedOf(words.require_auth),
      channelBinding: words.channel_binding ?? "prefer",
      passfile: words.passfile === "" ? undefined : words.passfile,
      // Names of a session's settings are the same in capitals.
      startupParameters: Record.mapKeys({ ...parameters, ...checked.startupParameters }, (name) =>
        name.toLowerCase()
      ),
      startupOptions: words.options === "" ? undefined : words.options,
      maxWaiting: checked.maxWaiting ?? Number.POSITIVE_INFINITY
    }
  })

const unreadable = "The settings could not be read: one of them throws when it is looked at."
const notSettings =
  "The settings of a database are an object, or a URL such as postgres://user@host/database."

const isSettings = (settings: unknown): settings is Settings =>
  typeof settings === "object" && settings !== null && !isArray(settings)

const copyOf = (value: unknown): unknown => {
  if (isArray(value)) return [...value]
  return isPlain(value) ? { ...value } : value
}

/**
 * A copy of given settings, which their owner may change afterwards. Nothing is checked here: `check` also refuses what is not an
 * object, or throws when it is read.
 */
const snapshot = (settings: Settings): Settings =>
  attempt(() => {
    if (!isSettings(settings)) return settings
    const copy: Record<string, unknown> = { ...settings }
    for (const name in copy) if (typeof copy[name] === "object") copy[name] = copyOf(copy[name])
    return copy
  }, settings)

/** Settings checked by every rule, or the first rule they break. Words of the environment are taken where nothing else says. */
export const check = (settings: Settings, environment: Words.Words = {}): Checked<ResolvedSettings> => {
  if (!isSettings(settings)) return Result.fail(invalid("url", notSettings))
  const resolved = attempt(() => resolve(givenOf(settings), environment), undefined)
  return resolved ?? Result.fail(invalid("url", unreadable))
}

/**
 * `check` of settings as they are now, done when the result is first asked for, and once: programs make thousands of handles and
 * use few of them. The result is a constant of the settings, so this is the one value of a handle that is computed late. A service
 * file is read with the check.
 */
export const checkLater = (
  settings: Settings,
  environment?: Words.Words
): (() => Checked<ResolvedSettings>) => {
  const given = { settings: snapshot(settings) }
  let checked: Checked<ResolvedSettings> | undefined
  return () => {
    if (checked !== undefined && Result.isSuccess(checked)) return checked
    // What failed is looked at again: a file may be there by then.
    checked = check(given.settings, environment)
    // A password is kept in one place.
    if (Result.isSuccess(checked)) given.settings = {}
    return checked
  }
}
