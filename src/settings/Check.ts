/**
 * Settings as a user wrote them become settings that the pool can use, or the first rule that they break.
 */

import { userInfo } from "node:os"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { invalid, PoolError } from "../errors/PoolError.ts"
import { known, unknownSetting } from "./Names.ts"
import type { ResolvedSettings, Settings } from "./Settings.ts"
import { fromUrl } from "./Url.ts"

const longestKey = 256
const reserved = new Set(["user", "database", "replication", "options", "client_encoding"])

const text = (name: keyof Settings, value: unknown): string => {
  if (typeof value !== "string") throw invalid(name, `The setting ${name} must be a string.`)
  if (value === "")
    throw invalid(name, `The setting ${name} is empty: give it a value, or leave it out for its default.`)
  if (value.includes("\0"))
    throw invalid(name, `The setting ${name} holds a NUL character, which Postgres cannot take.`)
  return value
}

const whole = (name: keyof Settings, value: unknown, least: number, most: number): number => {
  if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value
  throw invalid(
    name,
    `The setting ${name} must be a whole number from ${least} to ${most}${typeof value === "number" ? `, and is ${value}` : typeof value === "string" ? ", and is a string" : ""}.`
  )
}

const millis = (name: keyof Settings, value: Duration.Input, zero: boolean): number => {
  // A duration of NaN milliseconds would be none at all.
  const parsed = Number.isNaN(value) ? Option.none() : Duration.fromInput(value)
  const result = Option.isSome(parsed) ? Duration.toMillis(parsed.value) : Number.NaN
  if (result > 0 || (zero && result === 0)) return result
  throw invalid(
    name,
    `The setting ${name} must be a ${zero ? "" : "positive "}duration such as "5 seconds" or a number of milliseconds.`
  )
}

const oneOf = <A extends string>(name: keyof Settings, value: unknown, options: ReadonlyArray<A>): A => {
  for (const option of options) if (option === value) return option
  throw invalid(
    name,
    `The setting ${name} must be one of ${options.map((option) => `"${option}"`).join(", ")}.`
  )
}

const share = (value: unknown): number => {
  if (typeof value === "number" && value >= 0 && value < 1) return value
  throw invalid("lifetimeJitter", "The setting lifetimeJitter must be a number from 0 up to but not 1.")
}

const flag = (name: keyof Settings, value: unknown): boolean => {
  if (typeof value === "boolean") return value
  throw invalid(name, `The setting ${name} must be true or false.`)
}

const handler = (value: Settings["onNotice"]): Settings["onNotice"] => {
  if (value === undefined || typeof value === "function") return value
  throw invalid("onNotice", "The setting onNotice must be a function of a notice that gives an Effect.")
}

const passwordOf = (value: Settings["password"]): ResolvedSettings["password"] => {
  const plain = (given: string | Redacted.Redacted) =>
    Redacted.isRedacted(given) ? Redacted.value(given) : given
  if (value === undefined) return value
  if (Effect.isEffect(value)) return { _tag: "Asked", ask: Effect.map(value, plain), given: value }
  if (typeof value === "string" || Redacted.isRedacted(value)) {
    const secret = plain(value)
    if (typeof secret === "string") return { _tag: "Text", read: () => secret }
  }
  throw invalid("password", "The setting password must be a string, a Redacted, or an Effect of one of them.")
}

const osUser = (): string => {
  try {
    return userInfo().username
  } catch {
    throw invalid(
      "username",
      "The setting username is missing, and this process's user has no name to stand in for it."
    )
  }
}

const parametersOf = (value: Settings["startupParameters"]): Readonly<Record<string, string>> => {
  const parameters: Record<string, string> = {}
  if (value !== undefined && (typeof value !== "object" || value === null || Array.isArray(value))) {
    throw invalid("startupParameters", "The setting startupParameters must be an object of texts by name.")
  }
  for (const [name, setting] of Object.entries(value ?? {})) {
    if (reserved.has(name.toLowerCase()) || name === "" || name.includes("\0")) {
      throw invalid(
        "startupParameters",
        `The setting startupParameters is wrong: "${name}" cannot be set: user, database, replication, options and client_encoding are the connection's own.`
      )
    }
    if (typeof setting !== "string" || setting.includes("\0")) {
      throw invalid(
        "startupParameters",
        `The setting startupParameters is wrong: "${name}" must be a string without NUL characters.`
      )
    }
    parameters[name.toLowerCase()] = setting
  }
  return parameters
}

const parse = (settings: Settings): ResolvedSettings => {
  if (typeof settings !== "object" || settings === null || Array.isArray(settings)) {
    throw invalid(
      "url",
      "The settings of a database are an object, or a URL such as postgres://user@host/database."
    )
  }
  for (const name of Object.keys(settings)) {
    if (!known.has(name)) throw unknownSetting(name)
  }
  const pick = <A, B>(value: A | undefined, use: (value: A) => B, otherwise: () => B): B =>
    value === undefined ? otherwise() : use(value)
  const url =
    settings.url === undefined
      ? {}
      : fromUrl(Redacted.isRedacted(settings.url) ? Redacted.value(settings.url) : settings.url)
  const username = pick(settings.username ?? url.username, (value) => text("username", value), osUser)
  const database = pick(
    settings.database ?? url.database,
    (value) => text("database", value),
    () => username
  )
  const port = pick(
    settings.port ?? url.port,
    (value) => whole("port", value, 1, 65535),
    () => 5432
  )
  const host = pick(
    settings.host ?? url.host,
    (value) => text("host", value),
    () => "localhost"
  )
  const maxConnections = pick(
    settings.maxConnections,
    (value) => whole("maxConnections", value, 1, 100_000),
    () => 10
  )
  const key = pick(
    settings.key,
    (value) => text("key", value),
    () => database
  )
  if (key.length > longestKey)
    throw invalid("key", `The setting key has ${key.length} characters; the most is ${longestKey}.`)
  const ssl = settings.ssl ?? url.ssl ?? false
  if (typeof ssl !== "boolean" && ssl !== "prefer" && (typeof ssl !== "object" || ssl === null)) {
    throw invalid("ssl", "The setting ssl must be true, false, or an object of Node's tls.ConnectionOptions.")
  }
  return {
    key,
    host,
    port,
    path: pick(
      settings.path,
      (value) => text("path", value),
      () => (host.startsWith("/") ? `${host}/.s.PGSQL.${port}` : undefined)
    ),
    username,
    database,
    password: passwordOf(settings.password ?? url.password),
    ssl,
    applicationName: pick(
      settings.applicationName ?? url.applicationName,
      (value) => text("applicationName", value),
      () => "effect-global-pool"
    ),
    startupParameters: parametersOf(settings.startupParameters),
    startupOptions: url.startupOptions,
    maxConnections,
    minConnections: pick(
      settings.minConnections,
      (value) => whole("minConnections", value, 0, maxConnections),
      () => 0
    ),
    idleTimeout: pick(
      settings.idleTimeout,
      (value) => millis("idleTimeout", value, true),
      () => 60_000
    ),
    connectionTTL: pick(
      settings.connectionTTL,
      (value) => millis("connectionTTL", value, false),
      () => Number.POSITIVE_INFINITY
    ),
    connectTimeout:
      settings.connectTimeout === undefined
        ? (url.connectTimeout ?? 5_000)
        : millis("connectTimeout", settings.connectTimeout, false),
    acquireTimeout: pick(
      settings.acquireTimeout,
      (value) => millis("acquireTimeout", value, false),
      () => 30_000
    ),
    maxWaiting: pick(
      settings.maxWaiting,
      (value) => whole("maxWaiting", value, 0, 1_000_000_000),
      () => Number.POSITIVE_INFINITY
    ),
    statementTimeout: pick<Duration.Input, number | undefined>(
      settings.statementTimeout,
      (value) => Math.ceil(millis("statementTimeout", value, false)),
      () => undefined
    ),
    answerTimeout: pick(
      settings.answerTimeout,
      (value) => millis("answerTimeout", value, false),
      () => 5_000
    ),
    lifetimeJitter: pick(settings.lifetimeJitter, share, () => 0.1),
    int8: pick(
      settings.int8,
      (value) => oneOf("int8", value, ["number", "bigint", "string"]),
      () => "number"
    ),
    prepare: pick(
      settings.prepare,
      (value) => flag("prepare", value),
      () => true
    ),
    pipelining: pick(
      settings.pipelining,
      (value) => flag("pipelining", value),
      () => true
    ),
    timestamp: pick(
      settings.timestamp,
      (value) => oneOf("timestamp", value, ["date", "string"]),
      () => "date"
    ),
    reset: pick(
      settings.reset,
      (value) => oneOf("reset", value, ["seen", "always"]),
      () => "seen"
    ),
    onNotice: handler(settings.onNotice)
  }
}

/** Settings checked by every rule, or the first rule they break. Thrown `PoolError`s stay inside. */
export const check = (settings: Settings): Result.Result<ResolvedSettings, PoolError> =>
  Result.try({
    try: () => parse(settings),
    catch: (error) => {
      if (error instanceof PoolError) return error
      return invalid("url", "The settings could not be read: one of them throws when it is looked at.")
    }
  })
