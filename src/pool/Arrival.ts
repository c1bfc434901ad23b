/**
 * How connections come to a pool: as many as callers wait for and `minConnections` asks for, as far as the pool's own limit and
 * that over all pools allow, and one alone until the catalogue is learnt.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { SqlError } from "effect/sql/SqlError"
import type { Codec } from "../codec/Codec.ts"
import type { Checked } from "../settings/Settings.ts"
import type * as Departure from "./Departure.ts"
import type * as Limit from "./Limit.ts"
import * as Lines from "./Lines.ts"
import type * as Meter from "./Meter.ts"
import * as Opening from "./Opening.ts"

export interface Options {
  readonly settings: Checked
  readonly lines: Lines.Lines
  readonly limit: Limit.Limit
  readonly tally: Meter.Tally
  readonly codec: Codec
  readonly clock: Clock.Clock
  readonly departure: Departure.Departure
  readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  /** What a caller is told whose wait ends with the pool. */
  readonly ended: () => SqlError
  readonly onOpen: (member: Lines.Member) => void
  /** Nothing is open or on its way, and this is why. */
  readonly onFailure: (failure: Effect.Effect<never, SqlError>) => void
}

export interface Arrival {
  /** Opens what is wanted now, or stands in the ring for it. */
  readonly demand: () => void
  /** Leaves the ring when those who still wait get the connections that are on their way. */
  readonly settle: () => void
  /** Whether none is on its way. */
  readonly isQuiet: () => boolean
  /** Connections that are on their way, or would be if somebody asked: as many as both limits have room for. */
  readonly toCome: () => number
  /** Whether a connection was ever opened. */
  readonly hasOpened: () => boolean
  /** Whether a connection whose turn is over goes to another pool. */
  readonly isOver: () => boolean
  /** Why the last try failed, if the one after it did not succeed. */
  readonly lastFailure: () => SqlError | undefined
  /** Opens no more. */
  readonly stop: () => void
  /** Gives up what is on its way, and waits until nothing of it is left on the server. */
  readonly abandon: Effect.Effect<void>
}

export const make = (options: Options): Arrival => {
  const { clock, codec, departure, ended, limit, lines, onFailure, onOpen, run, settings, tally } = options
  const openings = new Set<{ readonly fiber?: Fiber.Fiber<void> }>()
  let learnt = false
  let asked = false
  let stopped = false
  let lastFailure: SqlError | undefined

  const settle = () => {
    if (!asked || Lines.waiting(lines) > openings.size) return
    asked = false
    limit.withdraw(asker)
  }

  /** `done` takes the opening off the books, before anybody is told of its outcome and may ask for the next. */
  const open = (done: () => void): Effect.Effect<void> =>
    Effect.uninterruptibleMask((restore) => {
      let member: Lines.Member | undefined
      const onEnd = () => {
        // The server or the network ended it. While a caller has it, that caller's exit takes it off the books.
        if (member === undefined || member.closing) return
        if (member.live === 0) departure.remove(member, "broken")
        else member.promised = true
      }
      return Effect.matchCause(
        Opening.open(
          settings,
          codec,
          () => learnt,
          restore,
          onEnd,
          () => member !== undefined && Lines.mayShareSync(member)
        ),
        {
          onFailure: (cause: Cause.Cause<SqlError>) => {
            const error = Option.getOrElse(Cause.findErrorOption(cause), ended)
            done()
            lastFailure = error
            limit.release(false)
            limit.arrived()
            // With another connection, or another on its way, the line still moves.
            // A defect is the caller's own, of the effect that is asked for the password, and stays one.
            if (lines.members.size === 0 && openings.size === 0) {
              onFailure(Cause.hasDies(cause) ? Effect.failCause(cause) : Effect.fail(error))
            }
          },
          onSuccess: (connection) => {
            done()
            learnt = true
            lastFailure = undefined
            tally.opened++
            const opened = Lines.makeMember(
              connection,
              clock.currentTimeMillisUnsafe(),
              performance.now(),
              () => run(departure.shut(opened, "evicted"))
            )
            member = opened
            lines.members.add(opened)
            // Its end may have been told while nobody knew of it yet.
            if (connection.isDead()) departure.remove(opened, "broken")
            else onOpen(opened)
            departure.watch()
            limit.arrived()
            demand()
          }
        }
      )
    })

  const openOne = (): void => {
    const opening: { fiber?: Fiber.Fiber<void> } = {}
    openings.add(opening)
    opening.fiber = run(open(() => openings.delete(opening)))
  }

  const asker: Limit.Asker = {
    onPlace: () => {
      asked = false
      if (stopped || openings.size >= Lines.waiting(lines)) {
        limit.release(false)
        limit.arrived()
      } else {
        openOne()
        demand()
      }
    }
  }

  const mayOpen = () =>
    openings.size < (learnt ? Number.POSITIVE_INFINITY : 1) &&
    lines.members.size + openings.size < settings.maxConnections

  /** Opens as many connections as callers wait for, as far as both limits allow; one until the catalogue is learnt. */
  const demand = (): void => {
    if (stopped) return
    while (!asked && openings.size < Lines.waiting(lines) && mayOpen()) {
      if (limit.ask(asker)) openOne()
      else asked = true
    }
    // For `minConnections` nobody else loses one, else two pools would take them from each other without end.
    while (lines.members.size + openings.size < settings.minConnections && mayOpen() && limit.takeFree()) {
      openOne()
    }
  }

  return {
    demand,
    settle,
    isQuiet: () => openings.size === 0,
    toCome: () => Math.min(settings.maxConnections - lines.members.size, openings.size + limit.room(asker)),
    hasOpened: () => learnt,
    isOver: () => limit.isOver(asker),
    lastFailure: () => lastFailure,
    stop: () => {
      stopped = true
      if (asked) limit.withdraw(asker)
      asked = false
    },
    abandon: Effect.suspend(() =>
      Fiber.interruptAll(Array.from(openings, ({ fiber }) => fiber).filter((fiber) => fiber !== undefined))
    )
  }
}
