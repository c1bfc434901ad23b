/**
 * The options of an embedded server: what they are, and what is wrong with them.
 */
import * as Path from "node:path"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"
import { invalidOption } from "./EmbeddedPostgresError.ts"

/** How the server is set up. Everything has a default. */
export interface EmbeddedPostgresOptions {
  /**
   * A directory that keeps the data: set up at the first start, opened again at the next. Without it the data is
   * in a fresh directory that is removed with the server.
   */
  readonly dataDir?: string | undefined
  /** A port of 127.0.0.1. A free one unless given. */
  readonly port?: number | undefined
  /** The database that the handle is for, created when it is not there. `"postgres"` unless given. */
  readonly database?: string | undefined
  /** The superuser that owns everything. `"postgres"` unless given. */
  readonly username?: string | undefined
  /** A random one unless given; a `dataDir` keeps the one that it was set up with. */
  readonly password?: string | Redacted.Redacted | undefined
  /** How long the server may take until it accepts connections. `"60 seconds"` unless given. */
  readonly startTimeout?: Duration.Input | undefined
  /** Settings of the server by name, as in `postgresql.conf`: `{ max_connections: 300 }`. Some are the server's own, and refused. */
  readonly serverSettings?: Readonly<Record<string, string | number | boolean>> | undefined
}

/** Options that were checked, with their defaults. */
export interface Options {
  readonly dataDir: string | undefined
  readonly port: number | undefined
  readonly database: string
  readonly username: string
  readonly password: Redacted.Redacted | undefined
  readonly startTimeout: Duration.Duration
  readonly serverSettings: Readonly<Record<string, string | number | boolean>>
}

/** The longest name that Postgres keeps whole, in bytes. */
const longestName = 63

const nameProblem = (value: string): string | undefined => {
  if (value === "") return "is empty"
  if (value.includes("\0")) return "contains a NUL character"
  if (Buffer.byteLength(value) > longestName) return `is longer than ${longestName} bytes`
  return undefined
}

const names = ["dataDir", "port", "database", "username", "password", "startTimeout", "serverSettings"]

/** Settings that the server needs to have its own way. */
const ownSettings: Readonly<Record<string, string>> = {
  logging_collector: "must be off: EmbeddedPostgres reads the server's log to say why it did not start",
  listen_addresses: "must be 127.0.0.1: the server is for this machine alone",
  port: "is the option port"
}

const settingName = /^[a-z_][a-z0-9_.]*$/i

/** The first option that is wrong, and what is wrong with it. */
const problemOf = (
  options: EmbeddedPostgresOptions,
  startTimeout: Option.Option<Duration.Duration>
): readonly [option: string, problem: string] | undefined => {
  const { dataDir, port, database, username, password, serverSettings } = options
  const unknown = Object.keys(options).find((name) => !names.includes(name))
  if (unknown !== undefined) return [unknown, `does not exist; its options are ${names.join(", ")}`]
  if (dataDir !== undefined && (dataDir === "" || dataDir.includes("\0"))) return ["dataDir", "is not a path"]
  if (port !== undefined && !(Number.isInteger(port) && port >= 1 && port <= 65535)) {
    return ["port", `is ${String(port)}, and a port is a whole number from 1 to 65535`]
  }
  for (const [option, value] of Object.entries({ database, username })) {
    const problem = value === undefined ? undefined : nameProblem(value)
    if (problem !== undefined) return [option, problem]
  }
  if (username !== undefined && /["$'\\]/.test(username)) {
    return ["username", "contains a quote, a dollar sign or a backslash, which initdb does not take"]
  }
  if (username?.startsWith("pg_")) return ["username", "begins with pg_, which Postgres keeps for itself"]
  if (password !== undefined) {
    const text = Redacted.isRedacted(password) ? Redacted.value(password) : password
    if (typeof text !== "string" || text === "" || /[\0\r\n]/.test(text)) {
      return ["password", "is empty or contains a line break or a NUL character"]
    }
  }
  if (Option.isNone(startTimeout) || !Duration.isGreaterThan(startTimeout.value, Duration.zero)) {
    return ["startTimeout", 'is not a duration above zero, such as "30 seconds"']
  }
  for (const [name, value] of Object.entries(serverSettings ?? {})) {
    const setting = JSON.stringify(name)
    if (!settingName.test(name)) return ["serverSettings", `has ${setting}, which is no name of a setting`]
    const own = Object.hasOwn(ownSettings, name.toLowerCase()) ? ownSettings[name.toLowerCase()] : undefined
    if (own !== undefined) return ["serverSettings", `has ${setting}, which ${own}`]
    if (String(value).includes("\0")) return ["serverSettings", `has a NUL character in ${setting}`]
  }
  return undefined
}

export const checked = Effect.fnUntraced(function* (
  options: EmbeddedPostgresOptions
): Effect.fn.Return<Options, EmbeddedPostgresError> {
  const startTimeout = Duration.fromInput(options.startTimeout ?? "60 seconds")
  const problem = problemOf(options, startTimeout)
  if (problem !== undefined) {
    return yield* invalidOption(
      problem[0],
      `The option ${problem[0]} of EmbeddedPostgres.make ${problem[1]}. Nothing was started.`
    )
  }
  const { password } = options
  return {
    dataDir: options.dataDir === undefined ? undefined : Path.resolve(options.dataDir),
    port: options.port,
    database: options.database ?? "postgres",
    username: options.username ?? "postgres",
    password: typeof password === "string" ? Redacted.make(password) : password,
    startTimeout: Option.getOrElse(startTimeout, () => Duration.zero),
    serverSettings: options.serverSettings ?? {}
  }
})
