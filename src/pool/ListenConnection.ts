/**
 * The connection on which a pool listens: one for the channels of all its listeners, opened for the first and closed behind
 * the last.
 *
 * It stands outside of the pool's `maxConnections` and inside the limit of the registry. When it is lost it is opened again,
 * with growing pauses, and all channels are listened to again.
 *
 * **Guarantees**
 *
 * A listener hears every notification between `onListening` and the next `onLost`, in the server's order, and none outside of
 * that. All its channels are listened to from one moment on. Nothing that a listener does waits for the network.
 */
import type * as Net from "node:net"
import * as Cause from "effect/Cause"
import type { Deferred } from "effect/Deferred"
import * as Deferreds from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { SqlError } from "effect/sql/SqlError"
import * as ConnectionErrors from "../errors/ConnectionErrors.ts"
import type { OperationError, PoolError } from "../errors/PoolError.ts"
import { serverError } from "../errors/ServerErrors.ts"
import { drained } from "../protocol/Ask.ts"
import * as Commands from "../protocol/Commands.ts"
import type { Exchange } from "../protocol/Exchange.ts"
import { make as makeStatement } from "../protocol/KnownStatement.ts"
import * as Link from "../protocol/Link.ts"
import type { Notification, Session } from "../protocol/Session.ts"
import { describe } from "../settings/Settings.ts"
import { quote } from "../statement/Names.ts"
import type * as OpenConnection from "./OpenConnection.ts"
import * as OwnSpans from "./OwnSpans.ts"
import type { PoolParts } from "./PoolParts.ts"

/** Who hears of the notifications of some channels. Its functions are called from the connection, and must be quick. */
export interface Listener {
  readonly channels: ReadonlySet<string>
  readonly onNotification: (notification: Notification) => void
  /** The server listens to all its channels: for the first time, or again. */
  readonly onListening: () => void
  /** The connection was lost or could not be opened; it is tried again. */
  readonly onLost: (error: OperationError) => void
  /** It hears no more. */
  readonly onFailure: (cause: Cause.Cause<OperationError>) => void
}

export interface Listening {
  readonly add: (listener: Listener) => void
  readonly remove: (listener: Listener) => void
  /** When the last listener left; now, while there is one. */
  readonly lastUsed: () => number
  readonly hasListeners: () => boolean
  readonly hasConnected: () => boolean
  /** Ends all listeners at once. */
  readonly close: Effect.Effect<void>
}

export interface Options {
  readonly open: (onNotification: (notification: Notification) => void) => OpenConnection.Open
  /** The error when the limit of the registry left no place for `acquireTimeout`. */
  readonly noPlace: () => PoolError
}

/** Why there is no connection, and whether another attempt may have one. */
interface Loss {
  readonly error: OperationError
  readonly isFinal: boolean
}

/** The time from the first listener to the last: at each moment, one connection at the most. */
interface Period {
  fiber: Fiber.Fiber<void> | undefined
  session: Session | undefined
}

/** The first pause before the connection is opened again, doubled each time up to the longest, in milliseconds. */
const firstPause = 100
const longestPause = 30_000
/** How often the link is tried when nothing comes over it. */
const checkMillis = 10_000
/** How long the end of the session is waited for. */
const goodbyeMillis = 250

/** What a clock says of an answer may be simulated, or the event loop was blocked: a moment in which it would be read. */
const realMoment = Effect.callback<false>((resume) => {
  const timer = setTimeout(() => resume(Effect.succeed(false)), 100)
  return Effect.sync(() => clearTimeout(timer))
})

/** A standby takes no `LISTEN`; the next connection may reach the primary. */
const readOnly = "25006"

/**
 * How long to wait after so many failures in a row. Half of it is `chance`, from 0 to 1, so that the listeners of many programs
 * do not come back at one moment.
 */
export const pauseOf = (failures: number, chance: number): number =>
  Math.min(longestPause, firstPause * 2 ** failures) * (0.5 + chance / 2)

export const make = (
  { budget, clock, ended, run, settings }: PoolParts,
  { noPlace, open }: Options
): Listening => {
  const server = describe(settings)
  const listeners = new Set<Listener>()
  const byChannel = new Map<string, Set<Listener>>()
  /** Those whose channels the server listens to. */
  const hearing = new Set<Listener>()
  let period: Period | undefined
  /** What is left of the period before. */
  let leaving: Fiber.Fiber<void> | undefined
  let lastUsed = 0
  let failures = 0
  let isClosed = false
  let hasConnected = false

  const onNotification = (notification: Notification) => {
    for (const listener of byChannel.get(notification.channel) ?? []) {
      if (hearing.has(listener)) listener.onNotification(notification)
    }
  }

  /** Takes a listener out; gives the channels that have no listener any more. */
  const takeOut = (listener: Listener): ReadonlyArray<string> => {
    listeners.delete(listener)
    hearing.delete(listener)
    return Array.from(listener.channels).filter((channel) => {
      const others = byChannel.get(channel)
      others?.delete(listener)
      if (others?.size === 0) byChannel.delete(channel)
      return !byChannel.has(channel)
    })
  }

  const fail = (listener: Listener, cause: Cause.Cause<OperationError>) => {
    remove(listener)
    listener.onFailure(cause)
  }

  const failAll = (cause: Cause.Cause<OperationError>) => {
    for (const listener of Array.from(listeners)) fail(listener, cause)
  }

  const lost = (session: Session): SqlError =>
    ConnectionErrors.listenerError(session.end() ?? { farewell: undefined, cause: undefined }, { server })

  const send = (
    session: Session,
    text: string,
    onSettled: (exchange: Exchange) => void,
    syncs = true
  ): void => {
    Commands.run(session, makeStatement(text), [], onSettled, { keep: false, syncs })
  }

  /** Under one `Sync` the channels of a listener are listened to together or not at all. `onAnswer` is called once, when they are or with the reason. */
  const listenTo = (session: Session, listener: Listener, onAnswer = (_: SqlError | undefined) => {}) => {
    const last = Array.from(listener.channels).pop()
    for (const channel of listener.channels) {
      const text = `LISTEN ${quote(channel)}`
      const onSettled = ({ error, state }: Exchange) => {
        const refusal = error === undefined ? undefined : serverError(error, { text, server, params: [] })
        if (refusal !== undefined) onAnswer(refusal)
        else if (channel === last && state !== "skipped")
          onAnswer(state === "done" ? undefined : lost(session))
        if (session.end() !== undefined || !listeners.has(listener)) return
        if (error?.code === readOnly)
          session.destroy(new Error("it is one to a standby, which takes no LISTEN"))
        else if (refusal !== undefined) fail(listener, Cause.fail(refusal))
        else if (state === "done" && channel === last) {
          failures = 0
          hearing.add(listener)
          listener.onListening()
        }
      }
      send(session, text, onSettled, channel === last)
    }
  }

  /** Goes to the server and back now and then: a link that went silent says nothing by itself. */
  const check = (session: Session): Effect.Effect<never> => {
    const lateAnswer = Effect.raceFirst(drained(session), realMoment)
    const destroy = Effect.sync(() =>
      session.destroy(new Error(`the server did not answer within ${settings.answerTimeout} ms`))
    )
    const once = Effect.timeoutOrElse(Effect.asVoid(drained(session)), {
      duration: settings.answerTimeout,
      orElse: () => Effect.flatMap(lateAnswer, (isAlive) => (isAlive ? Effect.void : destroy))
    })
    return Effect.forever(Effect.andThen(Effect.sleep(checkMillis), once))
  }

  /** Listens until the connection is lost. */
  const serve = (of: Period, session: Session, over: Deferred<void>): Effect.Effect<never, Loss> =>
    Effect.suspend(() => {
      hasConnected = true
      const asked = Effect.callback<void, SqlError>((resume) => {
        // A listener that is added from here on listens by itself.
        of.session = session
        let open = listeners.size
        const onAnswer = (error: SqlError | undefined) => {
          if (error !== undefined) resume(Effect.fail(error))
          else if (--open === 0) resume(Effect.void)
        }
        for (const listener of Array.from(listeners)) listenTo(session, listener, onAnswer)
      })
      // What failed was said to its listener.
      const listening = Effect.ignore(OwnSpans.within(settings, "listen", asked))
      const serving = Effect.all([listening, check(session)], { concurrency: "unbounded", discard: true })
      return Effect.raceFirst(Deferreds.await(over), serving)
    }).pipe(
      Effect.flatMap(() => Effect.fail<Loss>({ error: lost(session), isFinal: false })),
      Effect.ensuring(
        Effect.suspend(() => {
          of.session = undefined
          hearing.clear()
          session.terminate()
          return Effect.timeoutOption(Link.closed(session.socket), goodbyeMillis)
        })
      )
    )

  /** Opens the connection once, in a slot of the registry's limit. */
  const attempt = (of: Period): Effect.Effect<never, Loss> =>
    Effect.suspend(() => {
      let isSettled = false
      const sockets: Array<Net.Socket> = []
      let gone = Link.discardAll(sockets)
      const settle = () => {
        if (!isSettled) budget.settle()
        isSettled = true
      }
      const taken = Deferreds.makeUnsafe<void>()
      const requester = { onSlot: () => Deferreds.doneUnsafe(taken, Effect.void) }
      const slot = Effect.suspend(() => {
        if (budget.request(requester)) requester.onSlot()
        return Deferreds.await(taken)
      })
      const over = Deferreds.makeUnsafe<void>()
      const opened = Effect.uninterruptibleMask((restore) =>
        Effect.matchEffect(
          restore(open(onNotification)(() => Deferreds.doneUnsafe(over, Effect.void), sockets)),
          {
            onFailure: (failure) => {
              gone = failure.gone
              return Effect.fail<Loss>({ error: failure.error, isFinal: !failure.error.isRetryable })
            },
            onSuccess: ({ session }) => {
              settle()
              gone = Link.gone(session.socket)
              return restore(serve(of, session, over))
            }
          }
        )
      )
      return Effect.timeoutOrElse(slot, {
        duration: settings.acquireTimeout,
        orElse: () => Effect.fail<Loss>({ error: noPlace(), isFinal: false })
      }).pipe(
        Effect.andThen(opened),
        Effect.ensuring(
          Effect.sync(() => {
            if (!Deferreds.isDoneUnsafe(taken)) return budget.withdraw(requester)
            const release = Effect.sync(() => {
              settle()
              budget.release(false)
            })
            // Its slot is free when nothing of it is left on the server; no listener waits for that.
            run(Effect.andThen(gone, release))
          })
        )
      )
    })

  const loop = (of: Period): Effect.Effect<void> =>
    Effect.catch(attempt(of), ({ error, isFinal }) => {
      if (isFinal) return Effect.sync(() => failAll(Cause.fail(error)))
      const pause = Effect.sleep(pauseOf(failures++, Math.random()))
      for (const listener of Array.from(listeners)) listener.onLost(error)
      const isFirst = failures === 1 && listeners.size > 0
      const [why = ""] = error.message.split("\n")
      const warning = `The pool "${settings.key}" has no connection on which it listens now (${why}). It opens one by itself, and onListen runs then.`
      return Effect.andThen(
        isFirst ? Effect.logWarning(warning) : Effect.void,
        Effect.andThen(
          pause,
          Effect.suspend(() => loop(of))
        )
      )
    })

  const start = () => {
    const next: Period = { fiber: undefined, session: undefined }
    period = next
    const before = leaving === undefined ? Effect.void : Effect.uninterruptible(Fiber.await(leaving))
    next.fiber = run(
      Effect.catchCause(Effect.andThen(before, loop(next)), (cause) =>
        // A defect is the caller's own, of the Effect that gives the password.
        Effect.sync(() => {
          if (period === next) failAll(cause)
        })
      )
    )
  }

  const stop = () => {
    leaving = period?.fiber
    leaving?.interruptUnsafe()
    period = undefined
    lastUsed = clock.currentTimeMillisUnsafe()
  }

  const remove = (listener: Listener) => {
    if (!listeners.has(listener)) return
    const unheard = takeOut(listener)
    if (listeners.size === 0) return stop()
    const session = period?.session
    if (session === undefined) return
    for (const channel of unheard) send(session, `UNLISTEN ${quote(channel)}`, () => undefined)
  }

  return {
    add: (listener) => {
      if (isClosed) return listener.onFailure(Cause.fail(ended()))
      listeners.add(listener)
      for (const channel of listener.channels) {
        const others = byChannel.get(channel)
        if (others === undefined) byChannel.set(channel, new Set([listener]))
        else others.add(listener)
      }
      if (period === undefined) start()
      else if (period.session !== undefined) listenTo(period.session, listener)
    },
    remove,
    lastUsed: () => (listeners.size > 0 ? clock.currentTimeMillisUnsafe() : lastUsed),
    hasListeners: () => listeners.size > 0,
    hasConnected: () => hasConnected,
    close: Effect.suspend(() => {
      isClosed = true
      if (listeners.size > 0) failAll(Cause.fail(ended()))
      return leaving === undefined ? Effect.void : Effect.asVoid(Fiber.await(leaving))
    })
  }
}
