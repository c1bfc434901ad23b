/**
 * Lends the connections of one pool: who gets which, when one more is opened, and what happens to one that comes back.
 *
 * All of it is synchronous but for cleaning and closing, which run in fibers of their own. `Arrival.ts` opens connections,
 * `Departure.ts` ends them.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { SqlError } from "effect/sql/SqlError"
import type { Codec } from "../codec/Codec.ts"
import type { PoolError } from "../PoolError.ts"
import type { Checked } from "../settings/Settings.ts"
import * as Arrival from "./Arrival.ts"
import * as Clean from "./Clean.ts"
import * as Departure from "./Departure.ts"
import type * as Limit from "./Limit.ts"
import * as Lines from "./Lines.ts"
import * as Loop from "./Loop.ts"
import * as Meter from "./Meter.ts"

export interface Options {
  readonly settings: Checked
  readonly limit: Limit.Limit
  readonly codec: Codec
  readonly clock: Clock.Clock
  /** Runs what must come to its end whatever becomes of the pool's callers. */
  readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  /** Runs what ends with the pool. */
  readonly runTimer: (effect: Effect.Effect<void>) => void
  readonly tally: Meter.Tally
  readonly onIdle: () => void
  /** What a caller is told whose wait ends with the pool. */
  readonly ended: () => SqlError
}

export interface Lender {
  readonly lines: Lines.Lines
  /** A connection for this caller, if there is one now. */
  readonly take: (lease: Lines.Lease) => Lines.Member | undefined
  /** Puts the caller in line; its `resume` is called once. */
  readonly wait: (lease: Lines.Lease) => void
  /** The caller is done with its connection, or leaves the line. `interrupted`: its statement may still run. */
  readonly giveBack: (lease: Lines.Lease, interrupted: boolean) => void
  /** Closes an idle connection. */
  readonly retire: (member: Lines.Member) => void
  /** Opens what `minConnections` asks for. */
  readonly start: () => void
  /** Connections that callers get without waiting for another caller's. */
  readonly toCome: () => number
  readonly isClosing: () => boolean
  /** Whether its grace is over: what has not begun does not begin any more. */
  readonly isCutOff: () => boolean
  /** Whether callers came, or an opening failed, but no connection was ever open, and nothing is left of it all. */
  readonly isVoid: () => boolean
  /** When the last caller gave its connection back; now, while one has it. */
  readonly lastUsed: () => number
  /** Why the last try to open a connection failed, if the one after it did not succeed. */
  readonly lastFailure: () => SqlError | undefined
  readonly close: (grace: number) => Effect.Effect<void>
}

const monotonic = () => performance.now()

export const make = (options: Options): Lender => {
  const { clock, codec, ended, limit, onIdle, run, runTimer, settings, tally } = options
  const lines = Lines.make()
  let closing = false
  let cutOff = false
  let called = false
  let lastUsed = clock.currentTimeMillisUnsafe()
  const onQuiet = new Set<() => void>()

  const quiet = () => Lines.inUse(lines) === 0 && Lines.waiting(lines) === 0
  const settleQuiet = () => {
    if (onQuiet.size > 0 && quiet()) for (const resume of onQuiet) resume()
  }

  const failWaiting = (failure: Effect.Effect<never, SqlError | PoolError>): void => {
    Lines.failWaiting(lines, failure)
    arrival.settle()
    settleQuiet()
  }

  /** A pool that is being closed opens no more connections, so who waits without any waits in vain. */
  const settleClosing = () => {
    if (closing && lines.members.size === 0 && arrival.isQuiet()) failWaiting(Effect.fail(ended()))
  }

  const departure = Departure.make({
    lines,
    limit,
    tally,
    clock,
    timeToLive: settings.connectionTTL,
    run,
    runTimer,
    onGone: () => {
      arrival.demand()
      settleClosing()
    }
  })
  const { isExpired, remove, shut } = departure

  const arrival: Arrival.Arrival = Arrival.make({
    settings,
    lines,
    limit,
    tally,
    codec,
    clock,
    departure,
    run,
    ended,
    onOpen: (member) => ready(member),
    onFailure: failWaiting
  })

  const grant = (member: Lines.Member, line: Set<Lines.Lease>, lease: Lines.Lease): void => {
    line.delete(lease)
    arrival.settle()
    Lines.hand(member, lease, monotonic())
    Meter.waited(tally, clock.currentTimeMillisUnsafe() - lease.waitingSince)
    lease.resume?.(Effect.succeed(member))
  }

  const serveShared = (member: Lines.Member): void => {
    const at = monotonic()
    for (const lease of lines.waitingShared) {
      if (!Lines.isShareable(member, at)) return
      grant(member, lines.waitingShared, lease)
    }
  }

  const hasHadItsTurn = (member: Lines.Member): boolean => {
    if (!limit.isContested()) return false
    const at = monotonic()
    if (at - member.turnSince < Lines.turn) return false
    if (arrival.isOver()) return true
    member.turnSince = at
    return false
  }

  /** A clean connection without callers gives up its place, is replaced, serves a line, or rests. */
  const ready = (member: Lines.Member): void => {
    member.promised = false
    member.exclusive = false
    const unwanted = Lines.waiting(lines) === 0
    lastUsed = clock.currentTimeMillisUnsafe()
    if (closing && unwanted) run(shut(member, "ended"))
    else if (isExpired(member)) run(shut(member, "expired"))
    else if (unwanted ? limit.isContested() : hasHadItsTurn(member)) run(shut(member, "evicted"))
    else if (unwanted) {
      Lines.rest(lines, member, lastUsed)
      limit.addSpare(member)
      onIdle()
    } else if (Lines.nextIsWhole(lines, member)) {
      for (const lease of lines.waitingWhole) {
        grant(member, lines.waitingWhole, lease)
        break
      }
    } else serveShared(member)
    settleQuiet()
  }

  /** The last caller has left. */
  const free = (member: Lines.Member): void => {
    if (member.closing) settleQuiet()
    else if (member.connection.isDead()) {
      remove(member, "broken")
      settleQuiet()
    } else if (Clean.isClean(member, settings)) ready(member)
    else {
      member.exclusive = true
      run(
        Effect.flatMap(Clean.clean(member, settings), (clean) => {
          if (!clean || member.connection.isDead()) return shut(member, clean ? "broken" : "unclean")
          return Effect.sync(() => {
            if (!member.closing) ready(member)
          })
        })
      )
    }
  }

  const leave = (lease: Lines.Lease): void => {
    lines.waitingWhole.delete(lease)
    lines.waitingShared.delete(lease)
    arrival.settle()
    settleQuiet()
  }

  const take = (lease: Lines.Lease): Lines.Member | undefined => {
    const at = monotonic()
    const mayShare = !lease.whole && lines.waitingShared.size === 0
    const member =
      (mayShare && !lease.apart && Loop.isHalfBusy(at)
        ? Lines.company(lines, lease.average, at)
        : undefined) ??
      Lines.lastIdle(lines) ??
      (mayShare ? Lines.leastShared(lines, at) : undefined)
    if (member === undefined) return undefined
    if (Lines.unrest(lines, member)) {
      limit.removeSpare(member)
      member.turnSince = at
    }
    tally.immediate++
    Lines.hand(member, lease, at)
    return member
  }

  const untilQuiet = Effect.callback<void>((resume) => {
    const done = () => {
      onQuiet.delete(done)
      resume(Effect.void)
    }
    onQuiet.add(done)
    settleQuiet()
    return Effect.sync(() => onQuiet.delete(done))
  })

  const end = (member: Lines.Member): Effect.Effect<void> =>
    Effect.andThen(
      member.live > 0 ? member.connection.recover : Effect.void,
      Effect.suspend(() => shut(member, "ended"))
    )

  return {
    lines,
    take,
    wait: (lease) => {
      called = true
      const line = lease.whole ? lines.waitingWhole : lines.waitingShared
      line.add(lease)
      if (lease.whole) Lines.promise(lines)
      arrival.demand()
    },
    giveBack: (lease, interrupted) => {
      const { member } = lease
      if (member === undefined) return leave(lease)
      Lines.part(member, lease)
      if (interrupted) member.dropped = true
      else member.since = monotonic()
      if (member.live === 0) free(member)
      else if (hasHadItsTurn(member)) member.promised = true
      else if (member.live <= Lines.mostCompany && lines.waitingShared.size > 0) serveShared(member)
    },
    retire: (member) => {
      run(shut(member, "idle"))
    },
    start: arrival.demand,
    toCome: arrival.toCome,
    isClosing: () => closing,
    isCutOff: () => cutOff,
    isVoid: () =>
      (called || arrival.lastFailure() !== undefined) && !arrival.hasOpened() && arrival.isQuiet() && quiet(),
    lastUsed: () => (quiet() ? lastUsed : clock.currentTimeMillisUnsafe()),
    lastFailure: arrival.lastFailure,
    close: (grace) =>
      Effect.gen(function* () {
        closing = true
        arrival.stop()
        for (const member of Array.from(lines.idle)) run(shut(member, "ended"))
        settleClosing()
        yield* Effect.timeoutOption(Effect.interruptible(untilQuiet), grace)
        cutOff = true
        failWaiting(Effect.fail(ended()))
        yield* arrival.abandon
        yield* Effect.forEach(Array.from(lines.members), end, { concurrency: "unbounded", discard: true })
      }).pipe(Effect.uninterruptible)
  }
}
