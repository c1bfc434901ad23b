/**
 * Settings of a database: what a user may write, what the pool uses, and how two of them are compared and named
 * without a secret. `Check.ts` turns the one into the other.
 */

import type { ConnectionOptions } from "node:tls"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import type * as Redacted from "effect/Redacted"
import type { Notice } from "../protocol/Notice.ts"

/**
 * Everything that can be said about a database. All of it is optional; what a field says wins over the same part of `url`.
 *
 * **Details**
 *
 * Durations are Effect's `Duration.Input`: `"5 seconds"`, `{ minutes: 1 }`, or a number of milliseconds.
 */
export interface Settings {
  /** A libpq URL: `postgres://user:password@host:5432/database?sslmode=require`. */
  readonly url?: string | Redacted.Redacted | undefined
  /** Host name, address, or the folder of a Unix socket. `"localhost"`. */
  readonly host?: string | undefined
  /** `5432`. */
  readonly port?: number | undefined
  /** The file of a Unix socket; wins over `host` and `port`. */
  readonly path?: string | undefined
  /** The name of the operating system's user, as in libpq. */
  readonly username?: string | undefined
  /** A text, or an Effect that is asked again for each connection (rotating tokens). */
  readonly password?: string | Redacted.Redacted | Effect.Effect<string | Redacted.Redacted> | undefined
  /** The user's name, as in libpq. */
  readonly database?: string | undefined
  /** `true` verifies the server's certificate; an object is Node's `tls.ConnectionOptions`. `false`. */
  readonly ssl?: boolean | ConnectionOptions | undefined
  /** Shown in `pg_stat_activity`. `"effect-global-pool"`. */
  readonly applicationName?: string | undefined
  /** Settings of each session, for instance `{ search_path: "app" }`. */
  readonly startupParameters?: Readonly<Record<string, string>> | undefined
  /** The most connections that this database's pool has open at one time. `10`. */
  readonly maxConnections?: number | undefined
  /** How many connections stay open when idle. `0`. */
  readonly minConnections?: number | undefined
  /** An unused connection is closed after this time. `"60 seconds"`. */
  readonly idleTimeout?: Duration.Input | undefined
  /** A connection older than this is replaced when it comes back. No limit. */
  readonly connectionTTL?: Duration.Input | undefined
  /** How long opening one connection may take, authentication included. `"5 seconds"`. */
  readonly connectTimeout?: Duration.Input | undefined
  /** How long an operation waits for a connection. `"30 seconds"`. */
  readonly acquireTimeout?: Duration.Input | undefined
  /** How many operations may wait for a connection; one more fails at once. No limit. */
  readonly maxWaiting?: number | undefined
  /** The server ends a statement that runs longer. None. */
  readonly statementTimeout?: Duration.Input | undefined
  /** A server that is silent for so much longer than `statementTimeout` is given up. `"5 seconds"`. */
  readonly answerTimeout?: Duration.Input | undefined
  /** By how much of itself `connectionTTL` varies, so that connections are not all replaced at once. `0.1`. */
  readonly lifetimeJitter?: number | undefined
  /** What an `int8` is in JavaScript. `"number"`, which fails clearly past ±(2^53−1). */
  readonly int8?: "number" | "bigint" | "string" | undefined
  /** Keep statements prepared on the server. `true`; `false` behind a statement or transaction pooler. */
  readonly prepare?: boolean | undefined
  /** Short single reads may share a connection once all are busy, or this process is. `true`; `false` where a pooler cannot pipeline. */
  readonly pipelining?: boolean | undefined
  /** What a `timestamp` or `timestamptz` is in JavaScript. `"date"`; a string keeps the microseconds. */
  readonly timestamp?: "date" | "string" | undefined
  /** When a connection's session is reset: when a statement's text showed that it changed it, or always. `"seen"`. */
  readonly reset?: "seen" | "always" | undefined
  /** Takes the server's notices and warnings. Effect's log, at their level. */
  readonly onNotice?: ((notice: Notice) => Effect.Effect<void>) | undefined
  /** The pool's name in the registry. The database's name. */
  readonly key?: string | undefined
}

/** A password: a text, in a function so that nothing prints it, or an effect that is asked for each connection. */
export type Password =
  | { readonly _tag: "Text"; readonly read: () => string }
  | { readonly _tag: "Asked"; readonly ask: Effect.Effect<string>; readonly given: unknown }

/** Settings that passed every rule, defaults filled in; times in milliseconds. */
export interface ResolvedSettings {
  readonly key: string
  readonly host: string
  readonly port: number
  readonly path: string | undefined
  readonly username: string
  readonly database: string
  readonly password: Password | undefined
  /** `"prefer"`: TLS where the server offers it. */
  readonly ssl: boolean | "prefer" | ConnectionOptions
  readonly applicationName: string
  readonly startupParameters: Readonly<Record<string, string>>
  readonly startupOptions: string | undefined
  readonly maxConnections: number
  readonly minConnections: number
  readonly idleTimeout: number
  readonly connectionTTL: number
  readonly connectTimeout: number
  readonly acquireTimeout: number
  readonly maxWaiting: number
  readonly statementTimeout: number | undefined
  readonly answerTimeout: number
  readonly lifetimeJitter: number
  readonly int8: "number" | "bigint" | "string"
  readonly prepare: boolean
  readonly pipelining: boolean
  readonly timestamp: "date" | "string"
  readonly reset: "seen" | "always"
  readonly onNotice: ((notice: Notice) => Effect.Effect<void>) | undefined
}

/** What a URL can say. */
export type UrlSettings = Partial<
  Pick<
    ResolvedSettings,
    | "host"
    | "port"
    | "username"
    | "database"
    | "ssl"
    | "applicationName"
    | "startupOptions"
    | "connectTimeout"
  >
> & { readonly password?: string }

const isSamePassword = (left: Password | undefined, right: Password | undefined): boolean => {
  if (left === undefined || right === undefined) return left === right
  if (left._tag === "Text") return right._tag === "Text" && left.read() === right.read()
  return right._tag === "Asked" && left.given === right.given
}

/** Names of the settings in which two databases differ; a password is only named. */
export const differences = (
  left: ResolvedSettings,
  right: ResolvedSettings
): ReadonlyArray<keyof ResolvedSettings> => {
  const names = Object.keys(left) as Array<keyof ResolvedSettings>
  return names.filter((name) => {
    const a = left[name]
    const b = right[name]
    if (a === b) return false
    if (name === "password") return !isSamePassword(left.password, right.password)
    if (typeof a === "object" && typeof b === "object") return !Equal.equals({ ...a }, { ...b })
    return true
  })
}

/** Whether two settings are of one database of one server. */
export const isSameDatabase = (left: ResolvedSettings, right: ResolvedSettings): boolean =>
  (["host", "port", "path", "database"] as const).every((name) => left[name] === right[name])

/** Where a database is, as a person would say it: never with a password. */
export const describe = (settings: ResolvedSettings): string =>
  `"${settings.database}" on ${settings.path ?? `${settings.host}:${settings.port}`}`
