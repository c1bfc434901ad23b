/**
 * A libpq connection URL as settings. See the PostgreSQL manual, "Connection URIs" (libpq-connect).
 */
import * as Result from "effect/Result"
import { invalid, type PoolError } from "../errors/PoolError.ts"
import type { ResolvedSettings } from "./Settings.ts"

/** What a URL can say. */
export interface UrlSettings {
  readonly host?: string
  readonly port?: number
  readonly username?: string
  readonly password?: string
  readonly database?: string
  readonly ssl?: ResolvedSettings["ssl"]
  readonly applicationName?: string
  readonly startupOptions?: string
  readonly connectTimeout?: number
}

type Read<A> = Result.Result<A, PoolError>

const broken = (rule: string): Read<never> =>
  Result.fail(
    invalid(
      "url",
      `The setting url is no connection URL: ${rule}. A URL reads postgres://user:password@host:5432/database?sslmode=require.`
    )
  )

const decode = (value: string, part: string): Read<string> =>
  Result.orElse(
    Result.try(() => decodeURIComponent(value)),
    () => broken(`its ${part} has a % that begins no escape`)
  )

const portOf = (value: string): Read<number> => {
  const port = Number(value)
  if (Number.isInteger(port) && port >= 1 && port <= 65535) return Result.succeed(port)
  return broken("its port must be a whole number from 1 to 65535")
}

const sslModes: Readonly<Record<string, boolean | "prefer">> = {
  disable: false,
  allow: "prefer",
  prefer: "prefer",
  require: true,
  "verify-ca": true,
  "verify-full": true
}

const timeoutOf = (value: string): Read<number> => {
  const seconds = Number(value)
  if (Number.isInteger(seconds) && seconds >= 0)
    return Result.succeed(seconds === 0 ? Number.POSITIVE_INFINITY : seconds * 1000)
  return broken("its connect_timeout must be a whole number of seconds")
}

const sslOf = (value: string): Read<boolean | "prefer"> => {
  const ssl = Object.hasOwn(sslModes, value) ? sslModes[value] : undefined
  return ssl === undefined
    ? broken(`its sslmode must be one of ${Object.keys(sslModes).join(", ")}`)
    : Result.succeed(ssl)
}

/** Parameters of the query part; unknown ones are passed over, as libpq's drivers do. */
const parameters: Readonly<Record<string, (value: string) => Read<UrlSettings>>> = {
  host: (host) => Result.succeed({ host }),
  port: (value) => Result.map(portOf(value), (port) => ({ port })),
  user: (username) => Result.succeed({ username }),
  password: (password) => Result.succeed({ password }),
  dbname: (database) => Result.succeed({ database }),
  application_name: (applicationName) => Result.succeed({ applicationName }),
  options: (startupOptions) => Result.succeed({ startupOptions }),
  connect_timeout: (value) => Result.map(timeoutOf(value), (connectTimeout) => ({ connectTimeout })),
  sslmode: (value) => Result.map(sslOf(value), (ssl) => ({ ssl }))
}

/** A URL without a host is one for libpq, and none for everybody else unless something stands there. */
const nowhere = "no-host"
const withoutHost = /^(postgres(?:ql)?:\/\/(?:[^/?#]*@)?)(?=:\d|[/?#]|$)/i

/** An error never holds the URL itself, since a URL holds a password. */
export const fromUrl = (raw: string): Read<UrlSettings> =>
  Result.gen(function* () {
    const text = raw.replace(withoutHost, `$1${nowhere}`)
    if (raw === "") return yield* broken("it is empty")
    if (!URL.canParse(text)) return yield* broken("it cannot be parsed")
    const url = new URL(text)
    if (url.protocol !== "postgres:" && url.protocol !== "postgresql:")
      return yield* broken("it must begin with postgres:// or postgresql://")
    if (url.hash !== "") return yield* broken("it has a #, which is written %23 in a name or a password")
    const host = (url.hostname === nowhere ? "" : url.hostname).replace(/^\[(.*)\]$/, "$1")
    const database = yield* decode(url.pathname.replace(/^\//, ""), "database")
    let settings: UrlSettings = {
      ...(host === "" ? {} : { host: yield* decode(host, "host") }),
      ...(url.port === "" ? {} : { port: yield* portOf(url.port) }),
      ...(url.username === "" ? {} : { username: yield* decode(url.username, "user") }),
      ...(url.password === "" ? {} : { password: yield* decode(url.password, "password") }),
      ...(database === "" ? {} : { database })
    }
    for (const [name, value] of url.searchParams) {
      const read = Object.hasOwn(parameters, name) ? parameters[name] : undefined
      if (read !== undefined) settings = { ...settings, ...(yield* read(value)) }
    }
    return settings
  })
