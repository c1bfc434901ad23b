/**
 * How a pool gets connections: as many as callers wait for and `minConnections` asks for, as far as the pool's own limit and
 * that of all pools together allow.
 */
import type * as Net from "node:net"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { SqlError } from "effect/sql/SqlError"
import * as Link from "../protocol/Link.ts"
import type { Requester } from "./Budget.ts"
import * as DeadlineTimer from "./DeadlineTimer.ts"
import { type Evict, expiryOf } from "./Evict.ts"
import * as Histogram from "./Histogram.ts"
import type * as OpenConnection from "./OpenConnection.ts"
import type { PooledConnection } from "./PooledConnection.ts"
import * as Connections from "./PooledConnection.ts"
import type { PoolParts } from "./PoolParts.ts"
import * as PoolState from "./PoolState.ts"
import * as Target from "./Target.ts"

export interface Options {
  readonly evict: Evict
  readonly open: OpenConnection.Open
  readonly onOpen: (connection: PooledConnection) => void
  /** No connection is to come, and this is why; given a time, for callers that wait since then or longer. */
  readonly onFailure: (failure: Effect.Effect<never, SqlError>, since?: number) => void
  readonly onFailed: () => void
}

/** The pause after the second failure in a row, doubled each time up to the longest, in milliseconds. */
const firstPause = 50
const longestPause = 500

/** How long no opening is tried after so many failures in a row. Half of it is `chance`, from 0 to 1. */
export const pauseOf = (failures: number, chance: number): number =>
  failures < 2 ? 0 : Math.min(longestPause, firstPause * 2 ** (failures - 2)) * (0.5 + chance / 2)

export interface Connect {
  /** Opens what is wanted now, or asks the budget for it. */
  readonly demand: () => void
  /** Takes a request to the budget back when the callers that still wait are served by what is being opened. */
  readonly settle: () => void
  /** Whether nothing is being opened. */
  readonly isQuiet: () => boolean
  /** Connections that callers get without waiting for another caller's: those being opened, and those that could be. */
  readonly toCome: () => number
  readonly hasOpened: () => boolean
  /** Whether a connection whose turn has ended goes to another pool. */
  readonly mustYield: () => boolean
  /** Why the last opening failed, unless a later one did not. */
  readonly lastFailure: () => SqlError | undefined
  readonly stop: () => void
  /** Interrupts what is being opened, and waits until nothing of it is left on the server. */
  readonly abandon: Effect.Effect<void>
}

export const make = (
  { budget, clock, counts, ended, run, runTimer, settings, state }: PoolParts,
  { evict, onFailed, onFailure, onOpen, open }: Options
): Connect => {
  const { acquireTimeout, connectTimeout, servers } = settings
  const openings = new Set<{ readonly fiber?: Fiber.Fiber<void> }>()
  let hasOpened = false
  let isRequested = false
  let isStopped = false
  let lastFailure: SqlError | undefined
  let failures = 0
  /** When the first of them was, and the last; */
  let outageSince = 0
  let failedAt = 0
  /** and since when all of them were refusals that stay. */
  let refusedSince: number | undefined
  /** How many connections ended one after another that nobody had then and that had lived for less than the longest pause, */
  let briefEnds = 0
  /** and when the last one did. */
  let briefEndAt = 0
  /** So long callers of a pool that had connections wait for one again: a failover takes its time, a restart less. */
  const patience = servers.length > 1 ? acquireTimeout : connectTimeout

  /** A time in which nothing is opened; what is wanted then is looked at again when it is over. */
  const makePause = () => {
    let until = 0
    const watch = DeadlineTimer.make(
      clock,
      runTimer,
      () => (until > 0 && !isStopped ? until : undefined),
      () => {
        until = 0
        demand()
      }
    )
    return {
      begin: (failures: number) => {
        until = clock.currentTimeMillisUnsafe() + pauseOf(failures, Math.random())
      },
      lasts: (): boolean => {
        if (until <= clock.currentTimeMillisUnsafe()) return false
        watch()
        return true
      }
    }
  }
  /** For all, */
  const afterFailure = makePause()
  /** and for connections that nobody waits for. */
  const afterBriefEnd = makePause()

  const settle = () => {
    if (!isRequested || PoolState.waiting(state) > openings.size) return
    isRequested = false
    budget.withdraw(requester)
  }

  /** `done` takes the opening out of the count before its outcome is known, since a caller may then ask for the next. */
  const openCounted = (done: () => void): Effect.Effect<void> =>
    Effect.uninterruptibleMask((restore) => {
      const began = clock.currentTimeMillisUnsafe()
      let opened: PooledConnection | undefined
      let openedAt = 0
      const onUnusedEnd = (connection: PooledConnection) => {
        const now = clock.currentTimeMillisUnsafe()
        const isBrief = now - openedAt < longestPause
        if (isBrief) briefEndAt = now
        briefEnds = isBrief ? briefEnds + 1 : 0
        afterBriefEnd.begin(briefEnds)
        run(evict.close(connection, "broken"))
      }
      const onEnd = () => {
        // The server or the network ended it. While a caller has it, the caller's exit takes it out of the count.
        if (opened === undefined || opened.isClosing) return
        if (opened.users === 0) onUnusedEnd(opened)
        else opened.isDraining = true
      }
      const sockets: Array<Net.Socket> = []
      return Effect.matchCause(restore(open(onEnd, sockets)), {
        onFailure: (cause: Cause.Cause<OpenConnection.OpenFailure>) => {
          const { error, gone } = Option.getOrElse(Cause.findErrorOption(cause), () => ({
            error: ended(),
            gone: Link.discardAll(sockets)
          }))
          done()
          lastFailure = error
          const now = clock.currentTimeMillisUnsafe()
          // What failed long before this opening began, longer than any pause, was another outage.
          if (failures === 0 || began - failedAt > patience + longestPause) {
            failures = 0
            outageSince = now
            refusedSince = undefined
          }
          // While others serve the callers it is no outage.
          if (PoolState.staying(state) > 0) outageSince = now
          failures++
          failedAt = now
          afterFailure.begin(failures)
          // Its slot is free when nothing of it is left on the server; its callers do not wait for that.
          run(
            Effect.andThen(
              gone,
              Effect.sync(() => {
                budget.release(false)
                budget.settle()
              })
            )
          )
          // A defect is the caller's own, of the Effect that gives the password, and stays one.
          const isDefect = Cause.hasDies(cause)
          const isPermanent = isDefect || !error.isRetryable
          const failure = isDefect ? Effect.die(Cause.squash(cause)) : Effect.fail(error)
          const lasts = now - outageSince
          refusedSince = isPermanent ? (refusedSince ?? now) : undefined
          if (PoolState.staying(state) > 0 || openings.size > 0) {
            // Others serve the callers, though not for ever where no further one can be had.
            const isRefused = refusedSince !== undefined && now - refusedSince >= connectTimeout
            if (isRefused) onFailure(failure, now - connectTimeout)
          } else if (isPermanent || !hasOpened || lasts >= patience) onFailure(failure)
          demand()
          onFailed()
        },
        onSuccess: ({ address, encryption, session }) => {
          done()
          hasOpened = true
          lastFailure = undefined
          failures = 0
          counts.opened++
          const now = clock.currentTimeMillisUnsafe()
          Histogram.record(counts.creations, now - began)
          const wasReadOnly = Target.reported(session).isReadOnly
          const connection = Connections.make(
            session,
            settings,
            { address, encryption, wasReadOnly },
            now,
            expiryOf(settings, now),
            () => run(evict.close(connection, "evicted"))
          )
          opened = connection
          openedAt = now
          state.connections.add(connection)
          // It may have ended before the pool knew of it.
          if (Connections.isDead(connection)) onUnusedEnd(connection)
          else onOpen(connection)
          evict.watch()
          budget.settle()
          demand()
        }
      })
    })

  const openOne = (): void => {
    const opening: { fiber?: Fiber.Fiber<void> } = {}
    openings.add(opening)
    opening.fiber = run(openCounted(() => openings.delete(opening)))
  }

  const requester: Requester = {
    onSlot: () => {
      isRequested = false
      if (isStopped || openings.size >= PoolState.waiting(state)) {
        budget.release(false)
        budget.settle()
      } else {
        openOne()
        demand()
      }
    }
  }

  /** Only an open connection shows that the settings are right, so the first is opened alone. */
  const mayOpen = () =>
    (failures === 0 && hasOpened ? true : openings.size === 0) &&
    state.connections.size + openings.size < settings.maxConnections

  const demand = (): void => {
    if (isStopped) return
    if (afterFailure.lasts()) return
    while (!isRequested && openings.size + state.asked.size < PoolState.waiting(state) && mayOpen()) {
      if (budget.request(requester)) openOne()
      else isRequested = true
    }
    while (state.connections.size + openings.size < settings.minConnections && mayOpen()) {
      if (afterBriefEnd.lasts()) return
      // `minConnections` takes no connection from another pool, or two pools would take them from each other for ever.
      if (!budget.takeFree(demand)) return
      openOne()
      // From a server that ends them one by one, until one that was opened behind the last pause has lived.
      if (clock.currentTimeMillisUnsafe() - briefEndAt > 2 * longestPause) briefEnds = 0
      afterBriefEnd.begin(briefEnds)
    }
  }

  return {
    demand,
    settle,
    isQuiet: () => openings.size === 0,
    toCome: () =>
      state.asked.size +
      Math.min(settings.maxConnections - state.connections.size, openings.size + budget.available(requester)),
    hasOpened: () => hasOpened,
    mustYield: () => budget.mustYield(requester),
    lastFailure: () => lastFailure,
    stop: () => {
      isStopped = true
      budget.forget(demand)
      if (isRequested) budget.withdraw(requester)
      isRequested = false
    },
    abandon: Effect.suspend(() =>
      Fiber.interruptAll(Array.from(openings, ({ fiber }) => fiber).filter((fiber) => fiber !== undefined))
    )
  }
}
