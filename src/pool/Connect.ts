/**
 * How a pool gets connections: as many as callers wait for and `minConnections` asks for, as far as the pool's own limit and
 * that of all pools together allow.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { SqlError } from "effect/sql/SqlError"
import type { ResolvedSettings } from "../settings/Settings.ts"
import type { ConnectionBudget, Requester } from "./Budget.ts"
import type { Evict } from "./Evict.ts"
import type * as Metrics from "./Metrics.ts"
import type * as OpenConnection from "./OpenConnection.ts"
import type { PooledConnection } from "./PooledConnection.ts"
import * as Connections from "./PooledConnection.ts"
import * as PoolState from "./PoolState.ts"

export interface Options {
  readonly settings: ResolvedSettings
  readonly state: PoolState.PoolState
  readonly budget: ConnectionBudget
  readonly counts: Metrics.Counts
  readonly clock: Clock.Clock
  readonly evict: Evict
  readonly open: OpenConnection.Open
  readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  readonly onOpen: (connection: PooledConnection) => void
  /** Nothing is open and nothing is being opened, and this is why. */
  readonly onFailure: (failure: Effect.Effect<never, SqlError>) => void
  /** The error of an opening that the pool's end has interrupted. */
  readonly ended: () => SqlError
}

export interface Connect {
  /** Opens what is wanted now, or asks the budget for it. */
  readonly demand: () => void
  /** Takes a request to the budget back when the callers that still wait are served by what is being opened. */
  readonly settle: () => void
  /** Whether nothing is being opened. */
  readonly isQuiet: () => boolean
  /** Connections that callers get without waiting for another caller's: those being opened, and those that could be. */
  readonly toCome: () => number
  /** Whether a connection was ever opened. */
  readonly hasOpened: () => boolean
  /** Whether a connection whose turn has ended goes to another pool. */
  readonly mustYield: () => boolean
  /** Why the last opening failed, unless a later one did not. */
  readonly lastFailure: () => SqlError | undefined
  /** Opens no more. */
  readonly stop: () => void
  /** Interrupts what is being opened, and waits until nothing of it is left on the server. */
  readonly abandon: Effect.Effect<void>
}

export const make = (options: Options): Connect => {
  const { budget, clock, counts, ended, evict, onFailure, onOpen, open, run, settings, state } = options
  const openings = new Set<{ readonly fiber?: Fiber.Fiber<void> }>()
  let hasOpened = false
  let isRequested = false
  let isStopped = false
  let lastFailure: SqlError | undefined

  const settle = () => {
    if (!isRequested || PoolState.waiting(state) > openings.size) return
    isRequested = false
    budget.withdraw(requester)
  }

  const expiryOf = (now: number): number =>
    now + settings.connectionTTL * (1 - Math.random() * settings.lifetimeJitter)

  /** `done` takes the opening out of the count, before anybody learns its outcome and may ask for the next. */
  const openCounted = (done: () => void): Effect.Effect<void> =>
    Effect.uninterruptibleMask((restore) => {
      let opened: PooledConnection | undefined
      const onEnd = () => {
        // The server or the network ended it. While a caller has it, the caller's exit takes it out of the count.
        if (opened === undefined || opened.isClosing) return
        if (opened.users === 0) run(evict.close(opened, "broken"))
        else opened.isDraining = true
      }
      return Effect.matchCause(restore(open(onEnd)), {
        onFailure: (cause: Cause.Cause<OpenConnection.OpenFailure>) => {
          const { error, gone } = Option.getOrElse(Cause.findErrorOption(cause), () => ({
            error: ended(),
            gone: Effect.void
          }))
          done()
          lastFailure = error
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
          // With another connection, or another one being opened, callers are still served.
          // A defect is the caller's own, of the Effect that gives the password, and stays one.
          if (state.connections.size === 0 && openings.size === 0) {
            onFailure(Cause.hasDies(cause) ? Effect.die(Cause.squash(cause)) : Effect.fail(error))
          }
        },
        onSuccess: ({ address, encryption, session }) => {
          done()
          hasOpened = true
          lastFailure = undefined
          counts.opened++
          const now = clock.currentTimeMillisUnsafe()
          const connection = Connections.make(
            session,
            settings,
            { address, encryption },
            now,
            expiryOf(now),
            () => run(evict.close(connection, "evicted"))
          )
          opened = connection
          state.connections.add(connection)
          // Its end may have come while nobody knew it yet.
          if (Connections.isDead(connection)) run(evict.close(connection, "broken"))
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

  /** Until one connection is open nobody knows whether the settings are right, so the first is opened alone. */
  const mayOpen = () =>
    (hasOpened || openings.size === 0) && state.connections.size + openings.size < settings.maxConnections

  const demand = (): void => {
    if (isStopped) return
    while (!isRequested && openings.size < PoolState.waiting(state) && mayOpen()) {
      if (budget.request(requester)) openOne()
      else isRequested = true
    }
    // For `minConnections` nobody else loses a connection, or two pools would take them from each other without end.
    while (
      state.connections.size + openings.size < settings.minConnections &&
      mayOpen() &&
      budget.takeFree()
    ) {
      openOne()
    }
  }

  return {
    demand,
    settle,
    isQuiet: () => openings.size === 0,
    toCome: () =>
      Math.min(settings.maxConnections - state.connections.size, openings.size + budget.available(requester)),
    hasOpened: () => hasOpened,
    mustYield: () => budget.mustYield(requester),
    lastFailure: () => lastFailure,
    stop: () => {
      isStopped = true
      if (isRequested) budget.withdraw(requester)
      isRequested = false
    },
    abandon: Effect.suspend(() =>
      Fiber.interruptAll(Array.from(openings, ({ fiber }) => fiber).filter((fiber) => fiber !== undefined))
    )
  }
}
