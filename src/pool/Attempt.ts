/**
 * Opens a session at one address of a server: a link, encrypted in the first way that the server takes, and the start-up.
 */
import type * as Net from "node:net"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { ask } from "../protocol/Ask.ts"
import type { Attempt, Encryption } from "../protocol/Encryption.ts"
import * as Encryptions from "../protocol/Encryption.ts"
import type { Address } from "../protocol/Link.ts"
import * as Link from "../protocol/Link.ts"
import { LinkProblem } from "../protocol/LinkProblem.ts"
import type { Keys } from "../protocol/Scram.ts"
import type { Listeners, Session } from "../protocol/Session.ts"
import * as Startup from "../protocol/Startup.ts"
import type { ResolvedSettings } from "../settings/Settings.ts"
import type { TypeMap } from "../types/TypeMap.ts"

/** An open session and where it is. */
export interface Opened {
  readonly session: Session
  /** The address that it is connected to: a cancel goes there too. */
  readonly address: Address
  /** How its link is encrypted. */
  readonly encryption: Encryption
}

export interface Options {
  readonly settings: ResolvedSettings
  readonly types: TypeMap
  readonly keys: Keys
  readonly listeners: Listeners
  /** Every link that was opened: the caller closes them. */
  readonly links: Array<Link.Link>
  /** Every socket, from the moment in which it begins to connect. */
  readonly sockets: Array<Net.Socket>
  /** Every address of a name that was connected to. */
  readonly reached?: Set<string>
}

const start = (
  { keys, listeners, settings, types }: Options,
  link: Link.Link,
  password: string | undefined,
  database = settings.database
): Effect.Effect<Session, Startup.StartupProblem> => {
  const { allowed, channelBinding, startupOptions, statementTimeout, username } = settings
  const isLimited = statementTimeout < Number.POSITIVE_INFINITY
  return Startup.open({
    link,
    parameters: {
      ...settings.startupParameters,
      ...(isLimited ? { statement_timeout: String(Math.ceil(statementTimeout)) } : {}),
      ...(startupOptions === undefined ? {} : { options: startupOptions }),
      application_name: settings.applicationName,
      user: username,
      database
    },
    credentials: { username, password, allowed, channelBinding, keys },
    types,
    listeners
  })
}

const openBy = (
  options: Options,
  address: Address,
  password: string | undefined,
  attempt: Attempt
): Effect.Effect<Opened, Startup.StartupProblem> =>
  Effect.uninterruptibleMask((restore) => {
    const { reached, settings, sockets } = options
    const { encryption, keepAlive } = settings
    return Effect.flatMap(
      restore(Link.open(address, encryption, { attempt, keepAlive, reached, sockets })),
      (link) => {
        options.links.push(link)
        return Effect.map(restore(start(options, link, password)), (session) => ({
          session,
          address: Link.peerOf(link, address),
          encryption: Encryptions.settled(encryption, link.isEncrypted)
        }))
      }
    )
  })

/** Whether a server refused the link and not the client: pg_hba.conf does so, and poolers that insist on TLS. */
const refusesLink = (problem: Startup.StartupProblem): boolean =>
  problem instanceof Startup.ServerRefusal &&
  !problem.isAuthenticated &&
  (problem.fields.code === "28000" || problem.fields.code === "08P01")

/** Opens a session at an address; where the server does not take the first way to encrypt the link, by the second. */
export const open = (
  options: Options,
  address: Address,
  password: string | undefined
): Effect.Effect<Opened, Startup.StartupProblem> => {
  const [first, second] = Encryptions.attemptsOf(options.settings.encryption, address)
  const once = openBy(options, address, password, first)
  if (second === undefined) return once
  return Effect.catch(once, (problem) => {
    const isOther = second === "encrypted" || options.links.at(-1)?.isEncrypted === true
    const isTls = problem instanceof LinkProblem && problem.isOfTls
    if (!isTls && !(isOther && refusesLink(problem))) return Effect.fail(problem)
    // That the other way is closed too says less than the first refusal.
    return Effect.mapError(openBy(options, address, password, second), (again) =>
      again instanceof LinkProblem ? problem : again
    )
  })
}

/** The database that `initdb` makes for such questions; libpq's tools ask there too. */
export const maintenanceDatabase = "postgres"
const listingMillis = 2_000
const goodbyeMillis = 250
const listing = `select pg_catalog.json_agg(datname) as names from (
  select datname from pg_catalog.pg_database
  where datallowconn and not datistemplate and pg_catalog.has_database_privilege(oid, 'CONNECT')
  order by datname limit 1000) as databases`

const namesIn = ([row]: ReadonlyArray<unknown>): ReadonlyArray<string> => {
  const names = Predicate.hasProperty(row, "names") ? row.names : []
  return Array.isArray(names) ? names.map(String) : []
}

/** Databases of a server that this user may enter, for the error of one that does not exist. Leaves nothing open. */
export const databases = (
  options: Options,
  address: Address,
  password: string | undefined
): Effect.Effect<ReadonlyArray<string>> => {
  const { encryption, keepAlive } = options.settings
  return Effect.acquireRelease(
    Link.open(address, encryption, { keepAlive, sockets: options.sockets }),
    ({ socket }) => Link.hangUp(socket, goodbyeMillis),
    { interruptible: true }
  ).pipe(
    Effect.flatMap((link) => start(options, link, password, maintenanceDatabase)),
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
}
