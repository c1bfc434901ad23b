/**
 * Which connection a caller gets: the rule for sharing a connection, in one function over plain data.
 *
 * A caller gets a connection of its own while there is an idle one. When all are busy, a short read may travel behind others
 * on one connection. A read counts as short once its text has shown itself short, by two moving averages of its last runs:
 * of the time, and of the share of long runs. Shortest job first is described in L. Kleinrock, "Queueing Systems", vol. 2.
 *
 * When the event loop itself is more than half busy, quick reads share a connection although others are idle: one write and
 * one read of the socket for several statements cost this process least. One connection takes most of them and a second the
 * others, so that the server works on some while the answers of the others are read here.
 */
import type { PooledConnection } from "./PooledConnection.ts"
import type { Waiter } from "./PoolState.ts"

/** How long the statements of one text take. */
export interface Latency {
  /** Moving average in milliseconds. */
  average: number
  /** Moving share of runs that were long. */
  longShare: number
  runs: number
}

export const makeLatency = (): Latency => ({ average: 0, longShare: 0, runs: 0 })

/** The newest run counts for so much of an average. */
const weight = 1 / 32
/** A text has to run so often before it may share. */
export const minRuns = 2
/** From so many milliseconds on a run counts as long; while this process is busy, from the second on. */
const longRunMillis = 10
const longRunMillisBusy = 30
/** With a larger share of long runs a text does not share. */
export const maxLongShare = 0.15
/** One run adds so many milliseconds to the average at the most. */
const maxRunMillis = 20
const maxRunMillisBusy = 2

/** Notes a run that took so many milliseconds; `isBusy` when this process was. */
export const record = (latency: Latency, millis: number, isBusy: boolean): void => {
  latency.runs++
  const share = Math.max(weight, 1 / latency.runs)
  latency.average += share * (Math.min(millis, isBusy ? maxRunMillisBusy : maxRunMillis) - latency.average)
  const isLong = millis >= (isBusy ? longRunMillisBusy : longRunMillis)
  latency.longShare += weight * ((isLong ? 1 : 0) - latency.longShare)
}

export const isShort = ({ average, longShare, runs }: Latency): boolean =>
  runs >= minRuns && longShare < maxLongShare && average < longRunMillis

/** The most statements under way on one connection when the loop has time to spare. */
const maxShared = 64
/** The share of all callers on one connection while another is idle; of so few, one takes all. */
const maxCompanyShare = 0.7
const minCompanyLimit = 8
/** A read under this average may share although another connection is idle. */
export const quickMillis = 1
/** With fewer callers than this on shared connections, one more is better off with an idle one. */
const minCompany = 3
/** The statements that share although another connection is idle take so long on average in all, at the most. */
const maxCompanyMillis = 10
/** Callers do not share a connection with a statement that has run for so long. */
export const longRunningMillis = 5

/** What the rule looks at of a connection. */
export type Shareable = Pick<
  PooledConnection,
  "users" | "load" | "isExclusive" | "isDraining" | "isClosing" | "isAbandoned" | "busySince"
>

/** What there is. */
export interface Choice<Connection extends Shareable> {
  readonly connections: Iterable<Connection>
  /** The idle connection that was used last, whose caches are warm. */
  readonly idle: Connection | undefined
  readonly isLoopHalfBusy: boolean
  /** In milliseconds. */
  readonly now: number
}

const takesReads = (connection: Shareable, now: number): boolean =>
  !connection.isExclusive &&
  !connection.isDraining &&
  !connection.isClosing &&
  !connection.isAbandoned &&
  (connection.users === 0 || now - connection.busySince < longRunningMillis)

/** Whether one more short read may travel on this connection. */
export const isShareable = (connection: Shareable, now: number): boolean =>
  connection.users < maxShared && takesReads(connection, now)

/** The first connection with users and room for one more quick read. */
const company = <Connection extends Shareable>(
  connections: Iterable<Connection>,
  expectedMillis: number,
  now: number
) => {
  let callers = 0
  for (const { isExclusive, users } of connections) if (!isExclusive) callers += users
  if (callers < minCompany) return undefined
  const limit = Math.max(minCompanyLimit, callers * maxCompanyShare)
  for (const connection of connections) {
    const hasRoom = connection.users < limit && connection.load + expectedMillis <= maxCompanyMillis
    if (connection.users > 0 && hasRoom && takesReads(connection, now)) return connection
  }
  return undefined
}

const leastShared = <Connection extends Shareable>(connections: Iterable<Connection>, now: number) => {
  let best: Connection | undefined
  for (const connection of connections) {
    if (isShareable(connection, now) && (best === undefined || connection.users < best.users))
      best = connection
  }
  return best
}

/** The connection for a caller, or `undefined` when it has to wait. */
export const choose = <Connection extends Shareable>(
  { expectedMillis }: Pick<Waiter, "expectedMillis">,
  { connections, idle, isLoopHalfBusy, now }: Choice<Connection>
): Connection | undefined => {
  if (expectedMillis === undefined) return idle
  const joins = isLoopHalfBusy && expectedMillis < quickMillis
  const busy = joins ? company(connections, expectedMillis, now) : undefined
  return busy ?? idle ?? leastShared(connections, now)
}
