/**
 * Opens one connection: a link to the server, the start-up, and an error that says what was tried and what to do.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type { SqlError } from "effect/sql/SqlError"
import * as ConnectionErrors from "../errors/ConnectionErrors.ts"
import { ask } from "../protocol/Ask.ts"
import type { Credentials } from "../protocol/Authentication.ts"
import type { Address, Encryption } from "../protocol/Link.ts"
import * as Link from "../protocol/Link.ts"
import type { Keys } from "../protocol/Scram.ts"
import type { Listeners, Session } from "../protocol/Session.ts"
import * as Startup from "../protocol/Startup.ts"
import { describe, type ResolvedSettings } from "../settings/Settings.ts"
import type { TypeMap } from "../types/TypeMap.ts"

/** An open session and where it is. */
export interface Opened {
  readonly session: Session
  readonly address: Address
  readonly encryption: Encryption
}

/** Why a connection could not be opened, and what waits until nothing of the attempt is left on the server. */
export interface OpenFailure {
  readonly error: SqlError
  readonly gone: Effect.Effect<void>
}

/** Opens a connection; `onEnd` is called once, when it ends. Interruption leaves nothing behind. */
export type Open = (onEnd: () => void) => Effect.Effect<Opened, OpenFailure>

/** Listeners of the pool's own, without the end. */
export type PoolListeners = Omit<Listeners, "onEnd">

/** So long the server has to end a session that was not opened in time, */
const goodbyeMillis = 2_000
/** and one whose opening was interrupted. */
const interruptMillis = 250

export const addressOf = ({ host, path, port }: ResolvedSettings): Address =>
  path === undefined ? { host, port } : { path }

export const encryptionOf = ({ ssl }: ResolvedSettings): Encryption => {
  if (ssl === false) return { mode: "off", options: {} }
  // A client that would do without TLS gains nothing by refusing a certificate that nobody vouches for, as in libpq.
  if (ssl === "prefer") return { mode: "offered", options: { rejectUnauthorized: false } }
  return { mode: "required", options: ssl === true ? {} : ssl }
}

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

const passwordOf = ({ password }: ResolvedSettings): Effect.Effect<string | undefined> =>
  password === undefined
    ? Effect.succeed(undefined)
    : Effect.flatMap(password._tag === "Text" ? Effect.sync(password.read) : password.ask, normalized)

const startupOf = (settings: ResolvedSettings): Startup.StartupParameters => ({
  ...settings.startupParameters,
  ...(settings.statementTimeout === Number.POSITIVE_INFINITY
    ? {}
    : { statement_timeout: String(Math.ceil(settings.statementTimeout)) }),
  ...(settings.startupOptions === undefined ? {} : { options: settings.startupOptions }),
  application_name: settings.applicationName,
  user: settings.username,
  database: settings.database
})

/** The database that `initdb` makes for such questions; libpq's tools ask there too. */
const maintenanceDatabase = "postgres"
const listingMillis = 2_000
const listing = `select pg_catalog.json_agg(datname) as names from (
  select datname from pg_catalog.pg_database
  where datallowconn and not datistemplate and pg_catalog.has_database_privilege(oid, 'CONNECT')
  order by datname limit 1000) as databases`

const isMissingDatabase = (problem: Startup.StartupProblem): boolean =>
  problem instanceof Startup.ServerRefusal && problem.fields.code === "3D000"

const namesIn = ([row]: ReadonlyArray<unknown>): ReadonlyArray<string> => {
  const names = Predicate.hasProperty(row, "names") ? row.names : []
  return Array.isArray(names) ? names.map(String) : []
}

/** Opens a connection of these settings. */
export const make = (
  settings: ResolvedSettings,
  types: TypeMap,
  keys: Keys,
  listeners: PoolListeners
): Open => {
  const address = addressOf(settings)
  const encryption = encryptionOf(settings)
  const about = { server: describe(settings), operation: "connect" }

  const start = (
    link: Link.Link,
    password: string | undefined,
    onEnd: () => void,
    database = settings.database
  ) => {
    const credentials: Omit<Credentials, "binding" | "isPrivate"> = {
      username: settings.username,
      password,
      allowed: undefined,
      channelBinding: "prefer",
      keys
    }
    return Startup.open({
      link,
      parameters: { ...startupOf(settings), database },
      credentials,
      types,
      listeners: { ...listeners, onEnd }
    })
  }

  const timedOut = () =>
    new Link.LinkProblem(
      `opening a connection took longer than connectTimeout, ${settings.connectTimeout} ms`,
      { cause: Object.assign(new Error("timed out"), { code: "ETIMEDOUT" }) }
    )

  /** Databases that this user may enter. The connection takes the place of the one that failed, and leaves nothing open. */
  const databases = (password: string | undefined): Effect.Effect<ReadonlyArray<string>> =>
    Effect.acquireRelease(
      Link.open(address, encryption),
      ({ socket }) => Link.hangUp(socket, interruptMillis),
      {
        interruptible: true
      }
    ).pipe(
      Effect.flatMap((link) => start(link, password, () => undefined, maintenanceDatabase)),
      Effect.flatMap((session) =>
        Effect.map(ask(session, listing), ({ rows }) => {
          session.terminate()
          return namesIn(rows)
        })
      ),
      Effect.scoped,
      Effect.timeoutOrElse({ duration: listingMillis, orElse: () => Effect.succeed([]) }),
      Effect.orElseSucceed(() => [])
    )

  return (onEnd) =>
    Effect.suspend(() => {
      let given: string | undefined
      let opened: Link.Link | undefined
      const hangUp = (patience: number) =>
        opened === undefined ? Effect.void : Link.hangUp(opened.socket, patience)
      return Effect.uninterruptibleMask((restore) =>
        // Never at once: a caller that asks for several connections sees those that are being opened.
        Effect.flatMap(restore(Effect.andThen(Effect.yieldNow, passwordOf(settings))), (password) => {
          given = password
          return Effect.flatMap(restore(Link.open(address, encryption)), (link) => {
            opened = link
            return restore(start(link, password, onEnd))
          })
        })
      ).pipe(
        Effect.timeoutOrElse({
          duration: settings.connectTimeout,
          orElse: () => Effect.fail(timedOut())
        }),
        Effect.onInterrupt(() => hangUp(interruptMillis)),
        Effect.map((session) => ({ session, address, encryption })),
        Effect.catch((problem) =>
          Effect.flatMap(
            isMissingDatabase(problem) && settings.database !== maintenanceDatabase
              ? databases(given)
              : Effect.succeed([]),
            (databases) =>
              Effect.fail({
                error: ConnectionErrors.connectError(problem, { ...about, databases }),
                gone: hangUp(goodbyeMillis)
              })
          )
        )
      )
    })
}
