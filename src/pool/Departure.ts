/**
 * How connections leave a pool: out of use at once, and off the books when the server has ended them, for whatever reason
 * and whoever asks for it.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Limit from "./Limit.ts"
import * as Lines from "./Lines.ts"
import type * as Meter from "./Meter.ts"
import * as Watch from "./Watch.ts"

export interface Options {
  readonly lines: Lines.Lines
  readonly limit: Limit.Limit
  readonly tally: Meter.Tally
  readonly clock: Clock.Clock
  /** How long a connection is used, in milliseconds. */
  readonly timeToLive: number
  readonly run: (effect: Effect.Effect<void>) => unknown
  /** Runs what ends with the pool. */
  readonly runTimer: (effect: Effect.Effect<void>) => void
  /** A connection is gone and its place given back. */
  readonly onGone: () => void
}

export interface Departure {
  /** Takes a connection off the books that the server has ended. */
  readonly remove: (member: Lines.Member, reason: Meter.Reason) => void
  /** Takes a connection out of use at once, closes it, and takes it off the books. */
  readonly shut: (member: Lines.Member, reason: Meter.Reason) => Effect.Effect<void>
  readonly isExpired: (member: Lines.Member) => boolean
  /** A connection is new: its time to live is watched. */
  readonly watch: () => void
}

export const make = ({
  clock,
  limit,
  lines,
  onGone,
  run,
  runTimer,
  tally,
  timeToLive
}: Options): Departure => {
  const rest = (member: Lines.Member) => {
    Lines.unrest(lines, member)
    limit.removeSpare(member)
  }

  const remove = (member: Lines.Member, reason: Meter.Reason): void => {
    if (!lines.members.delete(member)) return
    tally.closed[reason]++
    rest(member)
    limit.release(member.closing)
    onGone()
  }

  const shut = (member: Lines.Member, reason: Meter.Reason): Effect.Effect<void> => {
    // Its place leaves once, whoever closes it and however often.
    if (!member.closing && lines.members.has(member)) {
      member.closing = true
      rest(member)
      limit.leave()
    }
    return Effect.andThen(
      member.connection.close,
      Effect.sync(() => {
        if (member.connection.isDead()) remove(member, reason)
        // Nobody waits for it any longer, but its place is not free before the server says so.
        else
          run(
            Effect.andThen(
              member.connection.gone,
              Effect.sync(() => remove(member, reason))
            )
          )
      })
    )
  }

  const oldest = () => {
    for (const member of lines.members) if (!member.expired && !member.closing) return member
    return undefined
  }

  const watch = Watch.make(
    clock,
    runTimer,
    () => {
      const next = oldest()
      return next === undefined ? undefined : next.openedAt + timeToLive
    },
    () => {
      const member = oldest()
      if (member === undefined) return
      // One in use gets no more callers, and ends with the last that it has.
      member.expired = true
      member.promised = true
      if (lines.idle.includes(member)) run(shut(member, "expired"))
    }
  )

  return {
    remove,
    shut,
    watch,
    isExpired: (member) => clock.currentTimeMillisUnsafe() - member.openedAt >= timeToLive
  }
}
