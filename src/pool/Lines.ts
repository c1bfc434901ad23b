/**
 * Who holds a connection and who waits for one: the bookkeeping of a single pool, without effects.
 *
 * A connection is lent whole to one caller, or shared by callers whose single statements are known to be short and
 * travel one behind another. Short ones go first, so that none waits out a long one (shortest job first; L. Kleinrock,
 * "Queueing Systems", vol. 2), and the two lines take turns, so that neither starves.
 */
import type * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { PoolError } from "../PoolError.ts"
import type { Connection } from "./Connection.ts"
import type { Spare } from "./Limit.ts"

/** What a statement's text shows that it leaves behind in its session. */
export type Leaves = "nothing" | "session" | "prepared"

/** A connection of the pool and what is going on on it. */
export interface Member extends Spare {
  readonly connection: Connection
  readonly openedAt: number
  /** Callers that have it now. */
  live: number
  /** Callers whose statement is to have a `Sync` of its own. */
  apart: number
  /** Milliseconds that the statements of its callers take on average, in all. */
  load: number
  /** Lent whole, or being cleaned: nobody else gets on it. */
  exclusive: boolean
  /** Gets no more shared statements, since a caller waits for it whole or its turn is over. */
  promised: boolean
  /** A caller left while its statement was on the wire. */
  dropped: boolean
  leaves: Leaves
  /** What was learnt of the catalogue may be that of a transaction which has not ended yet. */
  changedTypes: boolean
  /** When the statement that runs now began, in milliseconds of a clock that only goes forward. */
  since: number
  /** When it began to serve without a pause. */
  turnSince: number
  idleAt: number
  /** Whether the last caller had it whole: the two lines take turns. */
  servedWhole: boolean
  closing: boolean
  /** Its time to live is over. */
  expired: boolean
}

export const makeMember = (
  connection: Connection,
  openedAt: number,
  turnSince: number,
  evict: () => void
): Member => ({
  connection,
  openedAt,
  live: 0,
  apart: 0,
  load: 0,
  exclusive: false,
  promised: false,
  dropped: false,
  leaves: "nothing",
  changedTypes: false,
  since: 0,
  turnSince,
  idleAt: openedAt,
  servedWhole: false,
  closing: false,
  expired: false,
  evict
})

/** A caller's place: waiting while `member` is missing, holding a connection afterwards. */
export interface Lease {
  readonly whole: boolean
  /** Milliseconds that its statement takes on average, where it may share. */
  readonly average: number
  /** Whether its statement may not share a `Sync`. */
  readonly apart: boolean
  member: Member | undefined
  resume: ((result: Effect.Effect<Member, SqlError | PoolError>) => void) | undefined
  waitingSince: number
  /** Pools of which the caller holds a connection already. */
  held: ReadonlyArray<string>
}

const none: ReadonlyArray<string> = []

export const makeLease = (whole: boolean, average: number, apart: boolean): Lease => ({
  whole,
  average,
  apart: apart || average >= quick,
  member: undefined,
  resume: undefined,
  waitingSince: 0,
  held: none
})

/** A statement that has run longer than this lets nobody queue behind it. */
export const longRunning = 5
/** The most statements that are on one connection at a time. */
export const mostShared = 64
/** The most that keep each other company although another connection is free. */
export const mostCompany = 32
/** The longest average, in milliseconds, of a statement that keeps others company although another connection is free. */
export const quick = 1
/** Beside fewer callers than this, one more is better off with a connection of its own. */
const fewestCallers = 3
/** The longest time, in milliseconds, that those who keep each other company may take on average, in all. */
const mostLoad = 10
/** How long a connection serves one pool while others wait for a place under the limit. */
export const turn = 10

export interface Lines {
  readonly members: Set<Member>
  /** Idle ones, the longest idle first. */
  readonly idle: Array<Member>
  readonly waitingWhole: Set<Lease>
  readonly waitingShared: Set<Lease>
}

export const make = (): Lines => ({
  members: new Set(),
  idle: [],
  waitingWhole: new Set(),
  waitingShared: new Set()
})

export const waiting = (lines: Lines): number => lines.waitingWhole.size + lines.waitingShared.size

const first = <A>(set: Set<A>): A | undefined => set.values().next().value

/** Who has waited longest, in whichever line. */
export const longestWaiting = (lines: Lines): Lease | undefined => {
  const whole = first(lines.waitingWhole)
  const shared = first(lines.waitingShared)
  if (whole === undefined || shared === undefined) return whole ?? shared
  return whole.waitingSince <= shared.waitingSince ? whole : shared
}

export const failWaiting = (lines: Lines, failure: Effect.Effect<never, SqlError | PoolError>): void => {
  // Who is told may ask again at once, and is not one of these any more.
  const failed = [...lines.waitingWhole, ...lines.waitingShared]
  lines.waitingWhole.clear()
  lines.waitingShared.clear()
  for (const lease of failed) lease.resume?.(failure)
}

/** Connections that are lent now. */
export const inUse = (lines: Lines): number => {
  let count = 0
  for (const member of lines.members) if (member.live > 0) count++
  return count
}

/** Connections that are not being closed. */
export const staying = (lines: Lines): number => {
  let count = 0
  for (const member of lines.members) if (!member.closing) count++
  return count
}

/** The idle connection that was used last, whose caches are warm. */
export const lastIdle = (lines: Lines): Member | undefined => lines.idle[lines.idle.length - 1]

export const rest = (lines: Lines, member: Member, now: number): void => {
  member.idleAt = now
  lines.idle.push(member)
}

/** Ends a connection's rest, and says whether it was resting. */
export const unrest = (lines: Lines, member: Member): boolean => {
  const at = lines.idle.lastIndexOf(member)
  if (at >= 0) lines.idle.splice(at, 1)
  return at >= 0
}

/** Puts a caller on a connection. */
export const hand = (member: Member, lease: Lease, now: number): void => {
  lease.member = member
  if (member.live === 0) member.since = now
  member.live++
  member.load += lease.average
  if (lease.apart) member.apart++
  if (lease.whole) member.exclusive = true
  member.servedWhole = lease.whole
}

/** Takes a caller off its connection. */
export const part = (member: Member, lease: Lease): void => {
  lease.member = undefined
  member.live--
  member.load = member.live === 0 ? 0 : member.load - lease.average
  if (lease.apart) member.apart--
}

/** Whether all that goes over it now may share a `Sync`. */
export const mayShareSync = ({ apart, exclusive }: Member): boolean => apart === 0 && !exclusive

export const isShareable = (member: Member, now: number): boolean =>
  !member.exclusive &&
  !member.promised &&
  !member.closing &&
  !member.dropped &&
  member.live < mostShared &&
  (member.live === 0 || now - member.since < longRunning)

/** The first connection that has callers and room for one more quick statement of this average, or none. */
export const company = (lines: Lines, average: number, now: number): Member | undefined => {
  let best: Member | undefined
  let callers = 0
  for (const member of lines.members) {
    if (member.live === 0 || member.exclusive) continue
    callers += member.live
    const hasRoom = member.live < mostCompany && member.load + average <= mostLoad
    if (best === undefined && hasRoom && isShareable(member, now)) best = member
  }
  return callers < fewestCallers ? undefined : best
}

/** The shared connection with the fewest callers, or none. */
export const leastShared = (lines: Lines, now: number): Member | undefined => {
  let best: Member | undefined
  for (const member of lines.members) {
    if (isShareable(member, now) && (best === undefined || member.live < best.live)) best = member
  }
  return best
}

/** Keeps one shared connection from more callers, so that it comes free for one who wants it whole. */
export const promise = (lines: Lines): void => {
  let best: Member | undefined
  let promised = 0
  for (const member of lines.members) {
    if (member.promised) promised++
    else if (!member.exclusive && !member.closing && (best === undefined || member.live < best.live))
      best = member
  }
  if (best !== undefined && promised < lines.waitingWhole.size) best.promised = true
}

/** Which line a free connection serves next. */
export const nextIsWhole = (lines: Lines, member: Member): boolean =>
  lines.waitingWhole.size > 0 && (lines.waitingShared.size === 0 || !member.servedWhole)
