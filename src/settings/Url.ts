/**
 * A libpq connection URL as settings. See the PostgreSQL manual, "Connection URIs" (libpq-connect).
 */
import { invalid, type PoolError } from "../errors/PoolError.ts"
import type { UrlSettings } from "./Settings.ts"

const broken = (rule: string): PoolError =>
  invalid(
    "url",
    `The setting url is no connection URL: ${rule}. A URL reads postgres://user:password@host:5432/database?sslmode=require.`
  )

const decode = (value: string, part: string): string => {
  try {
    return decodeURIComponent(value)
  } catch {
    throw broken(`its ${part} has a % that begins no escape`)
  }
}

const portOf = (value: string): number => {
  const port = Number(value)
  if (Number.isInteger(port) && port >= 1 && port <= 65535) return port
  throw broken("its port must be a whole number from 1 to 65535")
}

const sslModes: Readonly<Record<string, boolean | "prefer">> = {
  disable: false,
  allow: "prefer",
  prefer: "prefer",
  require: true,
  "verify-ca": true,
  "verify-full": true
}

const timeoutOf = (value: string): number => {
  const seconds = Number(value)
  if (!Number.isInteger(seconds) || seconds < 0)
    throw broken("its connect_timeout must be a whole number of seconds")
  return seconds === 0 ? Number.POSITIVE_INFINITY : seconds * 1000
}

/** Parameters of the query part; unknown ones are passed over, as libpq's drivers do. */
const parameters: Readonly<Record<string, (value: string) => UrlSettings>> = {
  host: (value) => ({ host: value }),
  port: (value) => ({ port: portOf(value) }),
  user: (value) => ({ username: value }),
  password: (value) => ({ password: value }),
  dbname: (value) => ({ database: value }),
  application_name: (value) => ({ applicationName: value }),
  options: (value) => ({ startupOptions: value }),
  connect_timeout: (value) => ({ connectTimeout: timeoutOf(value) }),
  sslmode: (value) => {
    const ssl = Object.hasOwn(sslModes, value) ? sslModes[value] : undefined
    if (ssl === undefined) throw broken(`its sslmode must be one of ${Object.keys(sslModes).join(", ")}`)
    return { ssl }
  }
}

/** A URL without a host is one for libpq, and none for everybody else unless something stands there. */
const nowhere = "no-host"
const withoutHost = /^(postgres(?:ql)?:\/\/(?:[^/?#]*@)?)(?=:\d|[/?#]|$)/i

/** Throws a `PoolError` that never holds the URL itself, since a URL holds a password. */
export const fromUrl = (raw: unknown): UrlSettings => {
  if (typeof raw !== "string") throw invalid("url", "The setting url must be a string.")
  const text = raw.replace(withoutHost, `$1${nowhere}`)
  if (raw === "") throw broken("it is empty")
  if (!URL.canParse(text)) throw broken("it cannot be parsed")
  const url = new URL(text)
  if (url.protocol !== "postgres:" && url.protocol !== "postgresql:")
    throw broken("it must begin with postgres:// or postgresql://")
  if (url.hash !== "") throw broken("it has a #, which is written %23 in a name or a password")
  const host = (url.hostname === nowhere ? "" : url.hostname).replace(/^\[(.*)\]$/, "$1")
  const database = decode(url.pathname.replace(/^\//, ""), "database")
  let settings: UrlSettings = {
    ...(host === "" ? {} : { host: decode(host, "host") }),
    ...(url.port === "" ? {} : { port: portOf(url.port) }),
    ...(url.username === "" ? {} : { username: decode(url.username, "user") }),
    ...(url.password === "" ? {} : { password: decode(url.password, "password") }),
    ...(database === "" ? {} : { database })
  }
  for (const [name, value] of url.searchParams) {
    const read = Object.hasOwn(parameters, name) ? parameters[name] : undefined
    if (read !== undefined) settings = { ...settings, ...read(value) }
  }
  return settings
}
