/**
 * Every setting of a database, each declared once: its kind, its default and its docstring. The type that users write, what
 * the pool uses, the checks and the table in the docs follow from the declaration. `Check.ts` checks settings by it.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { SqlError } from "effect/sql/SqlError"
import type { PoolError } from "../errors/PoolError.ts"
import type { Allowed } from "../protocol/Authentication.ts"
import type { Encryption } from "../protocol/Encryption.ts"
import type { Address } from "../protocol/Link.ts"
import type { Notice } from "../protocol/Notice.ts"
import { isCodecs } from "../types/TypeCodec.ts"
import type { Password } from "./Rules.ts"
import * as Rules from "./Rules.ts"

export type { Password } from "./Rules.ts"

/** A setting that has no default. */
const setting = Schema.optionalKey

/** A setting with a default, as the pool uses it. */
const defaulted = <S extends Schema.Top>(schema: S, otherwise: S["Type"]) => schema.annotateKey({ otherwise })

const seconds = (count: number): number => count * 1_000

const isOnConnect = (value: unknown): value is OnConnect =>
  typeof value === "function" || Effect.isEffect(value)

/** A connection that was just opened, for the setting `onConnect`, before it is lent. */
export interface Connecting {
  /** Runs a statement on this connection and gives its rows. */
  readonly execute: (
    sql: string,
    params?: ReadonlyArray<unknown>
  ) => Effect.Effect<ReadonlyArray<Readonly<Record<string, unknown>>>, SqlError | PoolError>
  /** Settings that the server has reported, such as `server_version` and `in_hot_standby`. */
  readonly parameters: ReadonlyMap<string, string>
}

/** Runs on each new connection before it is lent. Its failure is the opening's. */
export type OnConnect =
  | Effect.Effect<unknown, unknown>
  | ((connection: Connecting) => Effect.Effect<unknown, unknown>)

const isOnNotice = (value: unknown): value is (notice: Notice) => Effect.Effect<void> =>
  typeof value === "function"

/** What `targetSessionAttributes` may ask for, in libpq's words. */
export const targets = ["any", "read-write", "read-only", "primary", "standby", "prefer-standby"] as const

/** The settings, in the order in which they are listed. The last piece of code in a docstring is the default. */
export const schema = Schema.Struct({
  /** A connection string of libpq's: `postgres://user:password@host:5432/database?sslmode=require`, or `host=… dbname=…`. None. */
  url: setting(Rules.secret),
  /** Host name, address, or the folder of a Unix socket; several are tried in their order. `"localhost"`. */
  host: setting(Rules.several(Rules.text, "must be a string, or an array of them")),
  /** 1 to 65535; one for all hosts, or one for each. `5432`. */
  port: setting(Rules.several(Rules.whole(1, 65535), "must be a whole number from 1 to 65535")),
  /** The file of a Unix socket; wins over `host` and `port`. None. */
  path: setting(Rules.text),
  /** The role to connect as. The operating system's user. */
  username: setting(Rules.text),
  /** A text, a `Redacted`, or an Effect of one that is asked for each connection (rotating tokens). None. */
  password: setting(Rules.password),
  /** The database to connect to. The user's name. */
  database: setting(Rules.text),
  /**
   * `true` verifies the server's certificate by the authorities that Node trusts, an object of Node's `tls.ConnectionOptions` by
   * its own, and `false` does without TLS. TLS where the server insists on it.
   */
  ssl: setting(Rules.ssl),
  /** Shown in `pg_stat_activity`. `"effect-global-pool"`. */
  applicationName: defaulted(Rules.text, "effect-global-pool"),
  /** Settings of each session, for instance `{ search_path: "app" }`. None. */
  startupParameters: defaulted(Rules.parameters, {}),
  /** Which of several hosts are connected to: one whose session may write, or whose server is the primary or a standby. `"any"`. */
  targetSessionAttributes: defaulted(Rules.oneOf(targets), "any"),
  /** `"random"` tries several hosts in any order, so that connections spread over them. `"disable"`. */
  loadBalanceHosts: defaulted(Rules.oneOf(["disable", "random"]), "disable"),
  /** The most connections that this database's pool has open at one time. `10`. */
  maxConnections: defaulted(Rules.whole(1, 100_000), 10),
  /** How many connections stay open when idle. `0`. */
  minConnections: defaulted(Rules.whole(0, 100_000), 0),
  /** An unused connection is closed after this time. `"60 seconds"`. */
  idleTimeout: defaulted(Rules.orZero, seconds(60)),
  /** A connection older than this is replaced when it comes back. No limit: `Infinity`. */
  connectionTTL: defaulted(Rules.positive, Number.POSITIVE_INFINITY),
  /** By how much of itself `connectionTTL` varies, so that connections are not all replaced at once. `0.1`. */
  lifetimeJitter: defaulted(Rules.share, 0.1),
  /** How long opening one connection may take, authentication included; for each host. `"5 seconds"`. */
  connectTimeout: defaulted(Rules.positive, seconds(5)),
  /** How long an operation waits for a connection. `"30 seconds"`. */
  acquireTimeout: defaulted(Rules.positive, seconds(30)),
  /** How many operations may wait for a connection; one more fails at once. No limit. */
  maxWaiting: setting(Rules.whole(0, 1_000_000_000)),
  /** The server ends a statement that runs longer; 24 days at the most. No limit: `Infinity`. */
  statementTimeout: defaulted(Rules.serverTimeout, Number.POSITIVE_INFINITY),
  /** A server that is silent for so much longer than `statementTimeout` is given up. `"5 seconds"`. */
  answerTimeout: defaulted(Rules.positive, seconds(5)),
  /** After so long without traffic the system begins to probe a link; `Infinity` probes none. `"10 seconds"`. */
  keepAlive: defaulted(Rules.positive, seconds(10)),
  /** What an `int8` is in JavaScript: `"number"`, which fails clearly past ±(2^53−1), `"bigint"` or `"string"`. `"number"`. */
  int8: defaulted(Rules.oneOf(["number", "bigint", "string"]), "number"),
  /** What a `timestamp` or `timestamptz` is in JavaScript: a `"date"`, or a `"string"` with its microseconds. `"date"`. */
  timestamp: defaulted(Rules.oneOf(["date", "string"]), "date"),
  /** [Codecs of your own](types.md#codecs-of-your-own) by the type's name: `{ date: { decode, encode } }`. None. */
  types: setting(
    Rules.declared(isCodecs, "must be an object of codecs by the type's name: { date: { decode, encode } }")
  ),
  /** Columns in JavaScript, in both directions: as the database has them, or in camel case, for columns without capitals in their own names. `"as-is"`. */
  names: defaulted(Rules.oneOf(["as-is", "camel"]), "as-is"),
  /** Keep statements prepared on the server: `false` behind a statement or transaction pooler, `"auto"` finds out. `true`. */
  prepare: defaulted(
    Schema.Union([Rules.flag, Schema.Literal("auto")]).annotate({
      message: 'must be true or false, or "auto"'
    }),
    true
  ),
  /** Short single reads may [share a connection](pools.md#statements-that-share-a-connection) once all are busy, or this process is; `false` where a pooler cannot pipeline. `true`. */
  pipelining: defaulted(Rules.flag, true),
  /** When a session is reset: when a statement's text showed that it changed it, or `"always"`. `"seen"`. */
  reset: defaulted(Rules.oneOf(["seen", "always"]), "seen"),
  /** Runs on each new connection before it is lent: `SET ROLE`, `LOAD`, a check. Its failure is the opening's. None. */
  onConnect: setting(
    Rules.declared(isOnConnect, "must be an Effect, or a function of the connection that gives one")
  ),
  /** Takes the server's [notices](listening.md#notices), which go to Effect's log else. None. */
  onNotice: setting(Rules.declared(isOnNotice, "must be a function of a notice that gives an Effect")),
  /** Which statements are [logged](observability.md#the-log): none, those that take `slowStatement` or longer, or all. `"none"`. */
  logStatements: defaulted(Rules.oneOf(["none", "slow", "all"]), "none"),
  /** From this time on a statement is slow, its wait for a connection included. `"1 second"`. */
  slowStatement: defaulted(Rules.orZero, seconds(1)),
  /** The pool's name in the registry. The database's name. */
  key: setting(Rules.shortText(256))
})

type Fields = typeof schema.fields

export const names: ReadonlyArray<string> = Object.keys(schema.fields)

// No decoding, which would be a good part of a script's start. A copy, since V8 copies and reads an object that grew field by field
// more slowly, and each handle's settings begin with this one.
const makeDefaults = (): CheckedSettings => {
  const values = Object.entries(schema.fields).flatMap(([name, field]) => {
    const key = Schema.resolveAnnotationsKey(field)
    return key === undefined || !("otherwise" in key) ? [] : [[name, key.otherwise] as const]
  })
  return { ...(Object.fromEntries(values) as CheckedSettings) }
}

/** The settings of a database about which nothing is said. */
export const defaults = /* @__PURE__ */ makeDefaults()

/**
 * Everything that can be said about a database. All of it is optional; what a field says wins over the same part of `url`.
 *
 * **Details**
 *
 * Durations are Effect's `Duration.Input`: `"5 seconds"`, `{ minutes: 1 }`, or a number of milliseconds.
 */
export type Settings = {
  readonly [K in keyof Fields]?: Fields[K]["Encoded"] | undefined
}

/** Settings that each passed their own rule, defaults filled in. */
export type CheckedSettings = typeof schema.Type

/** Settings that passed every rule, defaults filled in; times in milliseconds. */
export interface ResolvedSettings
  extends Omit<
    CheckedSettings,
    "url" | "host" | "port" | "path" | "key" | "username" | "database" | "ssl" | "maxWaiting"
  > {
  readonly key: string
  /** Where the database's servers are, in the order in which they are tried. */
  readonly servers: readonly [Address, ...Array<Address>]
  readonly username: string
  readonly database: string
  readonly encryption: Encryption
  /** Ways of authentication that are answered; `undefined` for all that are safe on the link. */
  readonly allowed: Allowed | undefined
  readonly channelBinding: "disable" | "prefer" | "require"
  /** Where a missing password is looked up, if not in the usual place. */
  readonly passfile: string | undefined
  readonly startupOptions: string | undefined
  readonly maxWaiting: number
}

/** Whether two values are the same, what functions named `read` hide included. */
const isSame = (left: unknown, right: unknown): boolean => {
  if (left === right) return true
  if (typeof left !== "object" || typeof right !== "object" || left === null || right === null) return false
  const names = Object.keys({ ...left, ...right })
  return names.every((name) => {
    const one: unknown = Reflect.get(left, name)
    const other: unknown = Reflect.get(right, name)
    const isHidden = name === "read" && typeof one === "function" && typeof other === "function"
    return isHidden ? isSame(one(), other()) : isSame(one, other)
  })
}

const isSamePassword = (left: Password | undefined, right: Password | undefined): boolean => {
  if (left === undefined || right === undefined) return left === right
  if (left._tag === "Text") return right._tag === "Text" && left.read() === right.read()
  return right._tag === "Asked" && left.given === right.given
}

/** The settings as their users name them, for comparison: all but `names`, which each handle has for itself. */
const named = ({
  encryption,
  names: _,
  servers,
  ...settings
}: ResolvedSettings): Readonly<Record<string, unknown>> => ({
  ...settings,
  host: servers.map(({ address, host }) => [host, address]),
  port: servers.map(({ port }) => port),
  path: servers.map(({ path }) => path),
  ssl: encryption
})

/** Names of the settings in which two databases differ; a secret is only named. */
export const differences = (left: ResolvedSettings, right: ResolvedSettings): ReadonlyArray<string> => {
  const one = named(left)
  const other = named(right)
  return Object.keys({ ...one, ...other }).filter((name) =>
    name === "password" ? !isSamePassword(left.password, right.password) : !isSame(one[name], other[name])
  )
}

/** Whether two settings are of one database of the same servers. */
export const isSameDatabase = (left: ResolvedSettings, right: ResolvedSettings): boolean =>
  left.database === right.database && isSame(left.servers, right.servers)

/** Where a server is, as a person would say it. */
export const placeOf = ({ host, path, port }: Address): string =>
  path === undefined ? `${host}:${port}` : path.replace("\0", "@")

/** The first settings with the server, the database and the user of the second. */
export const moved = (
  { password: _, ...settings }: ResolvedSettings,
  { allowed, channelBinding, database, encryption, passfile, password, servers, username }: ResolvedSettings
): ResolvedSettings => ({
  ...settings,
  allowed,
  channelBinding,
  database,
  encryption,
  passfile,
  servers,
  username,
  targetSessionAttributes: "any",
  ...(password === undefined ? {} : { password })
})

/** Where a database is, as a person would say it: never with a password. */
export const describe = ({ database, servers }: ResolvedSettings): string =>
  `"${database}" on ${servers.map(placeOf).join(", ")}`
