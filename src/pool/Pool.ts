/**
 * The pool of one database: opens connections when callers wait for one, lends them, resets them when they come back, and
 * ends them for certain.
 *
 * `Acquire.ts` decides who gets which connection, `PoolState.ts` keeps who has one and who waits, `Connect.ts` and
 * `Evict.ts` open and close them within the budget that all pools share. What is known of statements and types is kept here
 * too, for all connections of the pool.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { SqlError } from "effect/sql/SqlError"
import type { OperationError } from "../errors/PoolError.ts"
import type { Keys } from "../protocol/Scram.ts"
import type { Notification, Session } from "../protocol/Session.ts"
import { describe, type ResolvedSettings } from "../settings/Settings.ts"
import type { TableShape } from "../types/TableShape.ts"
import * as TypeMap from "../types/TypeMap.ts"
import * as Acquire from "./Acquire.ts"
import * as AcquireErrors from "./AcquireErrors.ts"
import * as Aside from "./Aside.ts"
import type { ConnectionBudget } from "./Budget.ts"
import * as DeadlineTimer from "./DeadlineTimer.ts"
import type { Durations } from "./Durations.ts"
import type * as EventLoopLoad from "./EventLoopLoad.ts"
import * as Listening from "./ListenConnection.ts"
import type * as Metrics from "./Metrics.ts"
import * as Notices from "./Notices.ts"
import * as OpenConnection from "./OpenConnection.ts"
import type { PooledConnection } from "./PooledConnection.ts"
import type { PoolParts } from "./PoolParts.ts"
import * as PoolState from "./PoolState.ts"
import { awaitBriefly, whenClean } from "./Recover.ts"
import { reset } from "./Reset.ts"
import * as Sharing from "./Sharing.ts"
import * as StatementCache from "./StatementCache.ts"
import type { PoolStats } from "./Stats.ts"
import * as TransactionKey from "./TransactionKey.ts"

/** What a caller does with a connection until its turn is `done` or `kept`, once. */
export type Begin<A, E> = (connection: PooledConnection, turn: Turn<A, E>) => void

/** A caller's time with a connection of its own or a shared one. */
export interface Turn<A, E> {
  readonly waiter: PoolState.Waiter
  readonly latency: Sharing.Latency | undefined
  readonly resume: (result: Effect.Effect<A, E | OperationError>) => void
  /** `Effect.callback` has not got its cleanup yet, by which an interruption would find the turn. */
  isRegistering: boolean
}

export type AnyFiber = Fiber.Fiber<unknown, unknown>

/** Lets a part of an effect be interrupted again. */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

export interface Pool {
  readonly settings: ResolvedSettings
  readonly types: TypeMap.TypeMap
  readonly statements: StatementCache.StatementCache
  /** What is known of tables, by their quoted names. */
  readonly tables: Map<string, TableShape>
  readonly clock: Clock.Clock
  /** How long operations took, as a metric. */
  readonly durations: Durations
  /** Under which key a fiber has its transaction on this pool. */
  readonly transactionKey: TransactionKey.TransactionKey
  /**
   * Runs something on a connection, shared with others where all are busy and `latency` says that it is short. An
   * interruption leaves the queue, or cancels what runs; it waits a moment for that and no longer.
   */
  readonly run: <A, E>(
    fiber: AnyFiber,
    latency: Sharing.Latency | undefined,
    begin: Begin<A, E>,
    caution?: PoolState.Caution
  ) => Effect.Effect<A, E | OperationError>
  /** Gives a turn's connection back. */
  readonly done: <A, E>(turn: Turn<A, E>, result: Effect.Effect<A, E>) => void
  /** Gives it back when the effect has ended, which goes on using it, and does what follows without it. */
  readonly keep: <A, B, E>(
    turn: Turn<A, E>,
    using: Effect.Effect<B, E>,
    next: (used: B) => Effect.Effect<A, E>
  ) => void
  /**
   * Lends a connection whole for the time of one effect, which cannot be interrupted but where it says so: whatever becomes of
   * it, the connection comes back.
   */
  readonly lend: <A, E, R>(
    fiber: AnyFiber,
    f: (connection: PooledConnection, restore: Restore) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | OperationError, R>
  /** As `lend`, for an effect that can be interrupted. */
  readonly use: <A, E, R>(
    f: (connection: PooledConnection) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | OperationError, R>
  /** Lends a connection whole until the scope closes. */
  readonly reserve: Effect.Effect<PooledConnection, OperationError, Scope.Scope>
  /** Asks on a connection beside these, which is closed then; `none` where there is none to be had. */
  readonly aside: <A>(question: (session: Session) => Effect.Effect<A>) => Effect.Effect<Option.Option<A>>
  /** The catalogue may have changed: what is known of statements and types is forgotten. */
  readonly onCatalogueChange: () => void
  readonly listening: Listening.Listening
  readonly stats: () => PoolStats
  /** When the last caller gave its connection back or stopped listening, by the pool's clock; now, while one has not. */
  readonly lastUsed: () => number
  readonly isClosing: () => boolean
  /** Why nothing is sent any more, once the grace of its end is over. */
  readonly cutOff: () => SqlError | undefined
  /** Whether no connection was ever open, and none is waited for or being opened. */
  readonly neverConnected: () => boolean
  /** Whether no connection is lent or waited for, and no channel is listened to. */
  readonly isUnused: () => boolean
  /** Lets what runs and waits finish for `grace` milliseconds, then cancels it, and ends all connections. */
  readonly close: (grace: number) => Effect.Effect<void>
}

/** One database's pool as a service: what its layer in the registry provides. */
export const Service = Context.Service<Pool>("effect-global-pool/Pool")

/** What the pools of a registry share. */
export interface Shared {
  readonly budget: ConnectionBudget
  readonly keys: Keys
  readonly load: EventLoopLoad.EventLoopLoad
  /** Distinguishes the keys of their transactions from those of other registries. */
  readonly namespace: string
}

const nothing = () => undefined

/** Makes a pool. Nothing connects until a caller needs it, or `minConnections` asks for it. */
export const make = Effect.fnUntraced(function* (
  settings: ResolvedSettings,
  { budget, keys, load, namespace }: Shared,
  counts: Metrics.Counts
): Effect.fn.Return<Pool, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const scope = yield* Scope.Scope
  /** Timers end with the pool. */
  const runTimer = (timer: Effect.Effect<void>) =>
    run(Effect.asVoid(Effect.forkIn(timer, scope, { startImmediately: true })))
  const types = TypeMap.make({
    int8: settings.int8,
    timestamp: settings.timestamp,
    codecs: settings.types
  })
  const statements = StatementCache.make()
  const tables = new Map<string, TableShape>()
  const isSharing = settings.pipelining && settings.reset !== "always"
  const now = () => clock.currentTimeMillisUnsafe()

  const onNotice = Notices.make(settings, runTimer)
  const openWith = (onNotification: (notification: Notification) => void) =>
    OpenConnection.make(settings, types, keys, { onNotice, onNotification })

  const state = PoolState.make()
  const ended = () => AcquireErrors.ended(settings)
  const parts: PoolParts = { settings, state, budget, clock, counts, load, run, runTimer, ended }
  const acquire = Acquire.make(parts, openWith(nothing))
  const { connect } = acquire
  const listening = Listening.make(parts, {
    open: openWith,
    noPlace: () => AcquireErrors.noPlaceToListen(stats(), budget, settings.acquireTimeout)
  })

  const onCatalogueChange = () => {
    statements.generation++
    types.forget()
    tables.clear()
  }

  const giveBack = (waiter: PoolState.Waiter, abandoned: boolean, at = now()): void => {
    const { connection } = waiter
    if (connection !== undefined) connection.searchPath = ""
    if (connection?.hasCatalogueChanges === true) {
      connection.hasCatalogueChanges = false
      onCatalogueChange()
    }
    acquire.giveBack(waiter, abandoned, at)
  }

  const stats = (): PoolStats => ({
    key: settings.key,
    open: state.connections.size,
    inUse: PoolState.inUse(state),
    idle: state.idle.length,
    waiting: PoolState.waiting(state),
    max: settings.maxConnections
  })

  const watchWaiting = DeadlineTimer.make(
    clock,
    runTimer,
    () => {
      const oldest = PoolState.longestWaiting(state)
      return oldest === undefined ? undefined : oldest.waitingSince + settings.acquireTimeout
    },
    () => {
      const waiter = PoolState.longestWaiting(state)
      if (waiter === undefined) return
      const { acquireTimeout } = settings
      const lastFailure = connect.lastFailure()
      const isUnanswered = state.connections.size === 0 && lastFailure === undefined && !connect.isQuiet()
      const error = isUnanswered
        ? AcquireErrors.unanswered(stats(), describe(settings), acquireTimeout)
        : AcquireErrors.timedOut(stats(), budget, acquireTimeout, waiter.holds, lastFailure)
      counts.timeouts++
      giveBack(waiter, false)
      waiter.onFailure(Effect.fail(error))
    },
    (millis) => PoolState.putOff(state, millis)
  )

  const wait = (
    waiter: PoolState.Waiter,
    fiber: AnyFiber,
    onConnection: (connection: PooledConnection) => void,
    onFailure: (failure: Effect.Effect<never, OperationError>) => void
  ) => {
    if (acquire.isClosing()) return onFailure(Effect.fail(ended()))
    // A caller that waits only until a connection is open does not count.
    if (PoolState.waiting(state) - connect.toCome() >= settings.maxWaiting) {
      return onFailure(Effect.fail(AcquireErrors.tooMany(stats(), budget)))
    }
    waiter.onConnection = onConnection
    waiter.onFailure = onFailure
    waiter.waitingSince = now()
    waiter.holds = AcquireErrors.heldBy(fiber)
    acquire.wait(waiter)
    watchWaiting()
  }

  /** Cancels what runs on a connection and gives it back; waits a moment for that. */
  const abandon = (waiter: PoolState.Waiter): Effect.Effect<void> =>
    Effect.suspend(() => {
      const { connection } = waiter
      waiter.isAbandoned = true
      if (connection === undefined || waiter.expectedMillis !== undefined) {
        giveBack(waiter, connection !== undefined)
        return Effect.void
      }
      connection.isAbandoned = true
      return awaitBriefly(
        connection,
        Effect.andThen(
          reset(connection, settings),
          Effect.sync(() => giveBack(waiter, false))
        )
      )
    })

  // One function each for all turns: a statement has few objects of its own.
  const done: Pool["done"] = ({ latency, resume, waiter }, result) => {
    const { connection } = waiter
    if (waiter.isAbandoned || connection === undefined) return
    const at = now()
    if (latency !== undefined) {
      Sharing.record(latency, at - Math.max(waiter.lentAt, connection.busySince), load.isBusy(at))
    }
    giveBack(waiter, false, at)
    resume(result)
  }

  const keep: Pool["keep"] = ({ isRegistering, resume, waiter }, using, next) => {
    if (waiter.isAbandoned) return
    const release = Effect.onExitPrimitive(using, (exit) => {
      if (Exit.hasInterrupts(exit)) return abandon(waiter)
      giveBack(waiter, false)
      return undefined
    })
    const result = Effect.flatMap(release, next)
    // Not at once: an interruption in the next step would find neither this nor what `Effect.callback` runs then.
    if (isRegistering) queueMicrotask(() => (waiter.isAbandoned ? undefined : resume(result)))
    else resume(result)
  }

  const runOn: Pool["run"] = <A, E>(
    fiber: AnyFiber,
    latency: Sharing.Latency | undefined,
    begin: Begin<A, E>,
    caution?: PoolState.Caution
  ) =>
    Effect.callback<A, E | OperationError>((resume) => {
      // After one that was dead, those that are shared may be too.
      const isShort = isSharing && caution !== "asks all" && latency !== undefined && Sharing.isShort(latency)
      const waiter = PoolState.makeWaiter(isShort ? latency.average : undefined, caution)
      const turn: Turn<A, E> = { waiter, latency, resume, isRegistering: true }
      const connection = acquire.take(waiter)
      if (connection !== undefined) begin(connection, turn)
      else wait(waiter, fiber, (connection) => begin(connection, turn), resume)
      turn.isRegistering = false
      return abandon(waiter)
    })

  /** Waits for a connection of the caller's own. */
  const waitFor = (
    waiter: PoolState.Waiter,
    fiber: AnyFiber
  ): Effect.Effect<PooledConnection, OperationError> =>
    Effect.callback((resume) =>
      wait(waiter, fiber, (connection) => resume(Effect.succeed(connection)), resume)
    )

  /**
   * Takes a connection back from a caller who had it whole, once what goes on behind the caller's back is over: it would meet
   * the next caller's statements else. One who was interrupted left its statement under way.
   */
  const end = (waiter: PoolState.Waiter): Effect.Effect<void> | undefined => {
    const { connection } = waiter
    if (connection !== undefined && connection.cleanups.size > 0) {
      const again = Effect.suspend(() => end(waiter) ?? Effect.void)
      return whenClean(connection, 4 * settings.answerTimeout, again)
    }
    if ((connection?.session.pending() ?? 0) > 0) return abandon(waiter)
    giveBack(waiter, false)
    return undefined
  }

  const lend: Pool["lend"] = (fiber, f) =>
    Effect.uninterruptibleMask((restore) => {
      const waiter = PoolState.makeWaiter(undefined)
      const within = (connection: PooledConnection) => f(connection, restore)
      const connection = acquire.take(waiter)
      const program =
        connection === undefined
          ? Effect.flatMap(restore(waitFor(waiter, fiber)), within)
          : within(connection)
      return Effect.onExitPrimitive(program, () => end(waiter))
    })

  const reserve: Pool["reserve"] = Effect.withFiber((fiber) => {
    const waiter = PoolState.makeWaiter(undefined)
    let release: (() => void) | undefined
    const finalizer = Effect.suspend(() => {
      release?.()
      // Another fiber may wait for what is not to come any more.
      if (waiter.connection === undefined) waiter.onFailure(Effect.interrupt)
      return end(waiter) ?? Effect.void
    })
    const taken = Effect.suspend(() => {
      const connection = acquire.take(waiter)
      return connection === undefined ? waitFor(waiter, fiber) : Effect.succeed(connection)
    })
    // The finalizer comes first: nothing can happen between getting the connection and being sure to give it back.
    return Effect.andThen(
      Scope.addFinalizer(Context.getUnsafe(fiber.context, Scope.Scope), finalizer),
      Effect.onExitPrimitive(taken, (exit) => {
        if (Exit.isFailure(exit)) giveBack(waiter, false)
        else release = AcquireErrors.holds(fiber, settings.key)
        return undefined
      })
    )
  })

  connect.demand()
  return {
    settings,
    types,
    statements,
    tables,
    clock,
    durations: counts.durations,
    aside: (question) => Aside.ask(openWith(nothing), budget, run, question),
    transactionKey: TransactionKey.make(namespace, settings),
    run: runOn,
    done,
    keep,
    lend,
    use: (f) => Effect.withFiber((fiber) => lend(fiber, (connection, restore) => restore(f(connection)))),
    reserve,
    onCatalogueChange,
    stats,
    isClosing: acquire.isClosing,
    cutOff: () => (acquire.isCutOff() ? ended() : undefined),
    neverConnected: () => acquire.neverConnected() && !listening.hasConnected() && !listening.hasListeners(),
    isUnused: () => acquire.isUnused() && !listening.hasListeners(),
    lastUsed: () => Math.max(listening.lastUsed(), acquire.lastUsed()),
    listening,
    close: (grace) =>
      Effect.all([listening.close, acquire.close(grace)], { concurrency: "unbounded", discard: true })
  }
})
