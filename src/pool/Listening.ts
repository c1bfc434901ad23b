/**
 * The connection on which a pool listens: one for the channels of all its listeners, opened for the first and closed behind
 * the last.
 *
 * It stands outside of the pool's `maxConnections` and inside the limit of the registry. When it is lost it is opened again,
 * with growing pauses, and all channels are listened to again.
 */
import type { Deferred } from "effect/Deferred"
import * as Deferreds from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import type { SqlError } from "effect/sql/SqlError"
import * as ConnectionErrors from "../errors/ConnectionErrors.ts"
import { serverError } from "../errors/ServerErrors.ts"
import { drained } from "../protocol/Ask.ts"
import * as Commands from "../protocol/Commands.ts"
import type { Exchange } from "../protocol/Exchange.ts"
import * as Link from "../protocol/Link.ts"
import type { Notification, Session } from "../protocol/Session.ts"
import { make as makeStatement } from "../protocol/Statement.ts"
import { describe, type ResolvedSettings } from "../settings/Settings.ts"
import { quote } from "../statement/Sql.ts"
import type { ConnectionBudget } from "./Budget.ts"
import type * as OpenConnection from "./OpenConnection.ts"

/** Who hears of the notifications of some channels. Its functions are called from the connection, and must be quick. */
export interface Listener {
  readonly channels: ReadonlySet<string>
  readonly onNotification: (notification: Notification) => void
  /** The server listens to all its channels: for the first time, or again. */
  readonly onListening: () => void
  /** The connection was lost or could not be opened; it is tried again. */
  readonly onLost: (error: SqlError) => void
  /** It hears no more. */
  readonly onFailure: (error: SqlError) => void
}

export interface Listening {
  readonly add: (listener: Listener) => void
  readonly remove: (listener: Listener) => void
  readonly hasListeners: () => boolean
  /** Ends all listeners at once. */
  readonly close: Effect.Effect<void>
}

export interface Options {
  readonly settings: ResolvedSettings
  readonly budget: ConnectionBudget
  readonly open: (onNotification: (notification: Notification) => void) => OpenConnection.Open
  readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  /** The error of those that the pool's end cuts off. */
  readonly ended: () => SqlError
}

/** The first pause before the connection is opened again, doubled each time up to the longest, in milliseconds. */
const firstPause = 100
const longestPause = 30_000
/** How often the link is tried when nothing comes over it. */
const checkMillis = 10_000
/** How long the server has to end the session. */
const goodbyeMillis = 250

/** A standby takes no `LISTEN`; the next connection may reach the primary. */
const readOnly = "25006"

/** Half of the pause is chance, so that the listeners of many programs do not come back at one moment. */
const pauseOf = (failures: number): number =>
  Math.min(longestPause, firstPause * 2 ** failures) * (0.5 + Math.random() / 2)

/** Holds a slot of the registry's limit for as long as the effect runs; `settle` says that the opening has ended. */
const withSlot = (
  budget: ConnectionBudget,
  use: (settle: () => void) => Effect.Effect<SqlError | undefined>
): Effect.Effect<SqlError | undefined> =>
  Effect.suspend(() => {
    let isTaken = false
    let isSettled = false
    let wake: (() => void) | undefined
    const settle = () => {
      if (!isSettled) budget.settle()
      isSettled = true
    }
    const requester = {
      onSlot: () => {
        isTaken = true
        wake?.()
      }
    }
    const slot = Effect.callback<void>((resume) => {
      wake = () => resume(Effect.void)
      isTaken = budget.request(requester)
      if (isTaken) wake()
    })
    return Effect.ensuring(
      Effect.andThen(
        slot,
        Effect.suspend(() => use(settle))
      ),
      Effect.sync(() => {
        if (!isTaken) return budget.withdraw(requester)
        settle()
        budget.release(false)
      })
    )
  })

export const make = ({ budget, ended, open, run, settings }: Options): Listening => {
  /** Each listener with the channels that the server has not confirmed yet. */
  const listeners = new Map<Listener, Set<string>>()
  const server = describe(settings)
  let current: { readonly session: Session; readonly over: Deferred<void> } | undefined
  let fiber: Fiber.Fiber<void> | undefined
  let isClosed = false
  let failures = 0

  const hears = (channel: string) =>
    Array.from(listeners.keys()).filter(({ channels }) => channels.has(channel))

  const onNotification = (notification: Notification) => {
    for (const listener of hears(notification.channel)) listener.onNotification(notification)
  }

  const send = (session: Session, text: string, onSettled: (exchange: Exchange) => void) => {
    Commands.run(session, makeStatement(text), [], onSettled, { keep: false })
  }

  const onListened = (session: Session, channel: string, exchange: Exchange) => {
    for (const [listener, open] of listeners) {
      if (!open.has(channel)) continue
      if (exchange.state === "done") {
        open.delete(channel)
        if (open.size === 0) listener.onListening()
      } else if (exchange.error !== undefined && session.end() === undefined) {
        if (exchange.error.code === readOnly) return session.destroy()
        listeners.delete(listener)
        listener.onFailure(serverError(exchange.error, { text: `LISTEN ${quote(channel)}`, server }))
      }
    }
    endUnheard()
  }

  const listenTo = (session: Session, channels: Iterable<string>) => {
    for (const channel of new Set(channels)) {
      send(session, `LISTEN ${quote(channel)}`, (exchange) => onListened(session, channel, exchange))
    }
  }

  const endUnheard = () => {
    if (listeners.size === 0 && current !== undefined) Deferreds.doneUnsafe(current.over, Effect.void)
  }

  /** Goes to the server and back now and then: a link that went silent says nothing by itself. */
  const check = (session: Session): Effect.Effect<never> =>
    Effect.forever(
      Effect.andThen(
        Effect.sleep(checkMillis),
        Effect.timeoutOrElse(drained(session), {
          duration: settings.answerTimeout,
          orElse: () => Effect.sync(() => session.destroy())
        })
      )
    )

  /** Listens until the connection is lost or nobody listens; gives the error of a loss. */
  const serve = (
    { session }: OpenConnection.Opened,
    over: Deferred<void>
  ): Effect.Effect<SqlError | undefined> =>
    Effect.suspend(() => {
      current = { session, over }
      failures = 0
      for (const [listener, open] of listeners) for (const channel of listener.channels) open.add(channel)
      listenTo(
        session,
        Array.from(listeners.keys()).flatMap(({ channels }) => [...channels])
      )
      return Effect.raceFirst(Deferreds.await(over), check(session))
    }).pipe(
      Effect.map(() => {
        const end = session.end()
        return end === undefined ? undefined : ConnectionErrors.listenerError(end, { server })
      }),
      Effect.ensuring(
        Effect.suspend(() => {
          current = undefined
          session.terminate()
          return Link.hangUp(session.socket, goodbyeMillis)
        })
      )
    )

  const once = withSlot(budget, (settle) =>
    Effect.suspend(() => {
      const over = Deferreds.makeUnsafe<void>()
      const opening = open(onNotification)(() => Deferreds.doneUnsafe(over, Effect.void))
      return Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(Effect.result(restore(opening)), (opened) => {
          settle()
          return Result.isSuccess(opened)
            ? restore(serve(opened.success, over))
            : Effect.as(opened.failure.gone, opened.failure.error)
        })
      )
    })
  )

  const tell = (error: SqlError) => {
    for (const listener of Array.from(listeners.keys())) {
      if (error.isRetryable) listener.onLost(error)
      else {
        listeners.delete(listener)
        listener.onFailure(error)
      }
    }
  }

  /** Opens the connection again and again, for as long as somebody listens. */
  const loop: Effect.Effect<void> = Effect.suspend(() =>
    listeners.size === 0
      ? Effect.void
      : Effect.flatMap(once, (error) => {
          if (error === undefined) return loop
          tell(error)
          return Effect.andThen(Effect.sleep(pauseOf(failures++)), loop)
        })
  )

  const start = () => {
    fiber ??= run(
      Effect.ensuring(
        loop,
        Effect.sync(() => {
          fiber = undefined
          if (listeners.size > 0 && !isClosed) start()
        })
      )
    )
  }

  return {
    add: (listener) => {
      if (isClosed) return listener.onFailure(ended())
      listeners.set(listener, new Set(listener.channels))
      if (current === undefined) start()
      else listenTo(current.session, listener.channels)
    },
    remove: (listener) => {
      if (!listeners.delete(listener)) return
      if (current !== undefined && listeners.size > 0) {
        const { session } = current
        for (const channel of listener.channels) {
          if (hears(channel).length === 0) send(session, `UNLISTEN ${quote(channel)}`, () => undefined)
        }
      }
      endUnheard()
    },
    hasListeners: () => listeners.size > 0,
    close: Effect.suspend(() => {
      isClosed = true
      const cut = Array.from(listeners.keys())
      listeners.clear()
      for (const listener of cut) listener.onFailure(ended())
      return fiber === undefined ? Effect.void : Effect.asVoid(Fiber.interrupt(fiber))
    })
  }
}
