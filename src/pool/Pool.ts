/**
 * The pool of one database: opens connections when callers wait for one, lends them, cleans them when they come back, and
 * ends them for certain.
 *
 * `Lender.ts` decides who gets which connection, `Lines.ts` keeps who holds and who waits, `Limit.ts` the places that all
 * pools share; `Connection.ts` is one session.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { ConnectionError, SqlError } from "effect/sql/SqlError"
import * as Codec from "../codec/Codec.ts"
import type { PoolError } from "../PoolError.ts"
import { type Checked, describe } from "../settings/Settings.ts"
import * as Cost from "./Cost.ts"
import * as Held from "./Held.ts"
import * as Lender from "./Lender.ts"
import type * as Limit from "./Limit.ts"
import * as Lines from "./Lines.ts"
import * as Loop from "./Loop.ts"
import type * as Meter from "./Meter.ts"
import * as Overload from "./Overload.ts"
import type { PoolStats } from "./Stats.ts"
import * as Watch from "./Watch.ts"

/** What a statement's text shows. */
export interface Shows {
  /** It only reads. */
  readonly reads: boolean
  /** It calls functions that may do anything. */
  readonly calls: boolean
  /** It asks for the time of its transaction. */
  readonly clock: boolean
}

export interface Pool {
  readonly settings: Checked
  readonly codec: Codec.Codec
  /** Under which key a fiber holds its transaction on this pool. */
  readonly transaction: Held.Key
  readonly clientTransaction: Held.ClientKey
  /** Lends a connection whole for the time of one effect. */
  readonly use: <A, E, R>(
    f: (member: Lines.Member) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | SqlError | PoolError, R>
  /** Lends a connection whole until the scope closes. */
  readonly reserve: Effect.Effect<Lines.Member, SqlError | PoolError, Scope.Scope>
  /** One statement by itself: shared with others where it may be and all connections are busy. */
  readonly single: <A, E>(
    text: string,
    shows: Shows,
    run: (member: Lines.Member) => Effect.Effect<A, E>
  ) => Effect.Effect<A, E | SqlError | PoolError>
  /** A statement may have changed what the catalogue says. */
  readonly onCatalogueChange: () => void
  /** Grows with each such statement: what was learnt of tables under a smaller number is old. */
  readonly generation: () => number
  readonly stats: () => PoolStats
  /** When the last caller gave its connection back, by the pool's clock; now, while one has it. */
  readonly lastUsed: () => number
  /** Whether it takes no more callers. */
  readonly isClosing: () => boolean
  /** Why nothing is sent any more, once the grace of its end is over. */
  readonly cutOff: () => SqlError | undefined
  /** Whether callers came, or an opening failed, but no connection was ever open, and nothing is left of it all. */
  readonly isVoid: () => boolean
  /** Lets what is under way and waiting finish for `grace` milliseconds, then cancels it, and ends all connections. */
  readonly close: (grace: number) => Effect.Effect<void>
}

const ended = (settings: Checked): SqlError =>
  new SqlError({
    reason: new ConnectionError({
      cause: new Error("The pool was ended while this operation waited or ran"),
      message: `The pool "${settings.key}" of database ${describe(settings)} was ended while this operation waited or had not begun on the server. The next operation opens a new pool, unless the registry has ended too.`,
      operation: "acquire"
    })
  })

/** Makes a pool. Nothing connects until a caller needs it, or `minConnections` asks for it. */
export const make = Effect.fnUntraced(function* (
  settings: Checked,
  limit: Limit.Limit,
  tally: Meter.Tally
): Effect.fn.Return<Pool, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const scope = yield* Scope.Scope
  /** Timers end with the pool. */
  const runWatch = (timer: Effect.Effect<void>) => run(Effect.asVoid(Effect.forkIn(timer, scope)))
  const codec = Codec.make({ int8: settings.int8, timestamp: settings.timestamp })
  const keys = Held.makeKey(limit, settings)
  const costOf = Cost.make()
  const sharing = settings.pipelining && settings.reset !== "always"
  let generation = 0

  const lender = Lender.make({
    settings,
    limit,
    codec,
    clock,
    run,
    runTimer: runWatch,
    tally,
    onIdle: () => watchIdle(),
    ended: () => ended(settings)
  })
  const { lines } = lender

  const onCatalogueChange = () => {
    generation++
    codec.forget()
  }

  const giveBack = (lease: Lines.Lease, interrupted: boolean): void => {
    const { member } = lease
    lender.giveBack(lease, interrupted)
    if (member?.changedTypes !== true) return
    member.changedTypes = false
    onCatalogueChange()
  }

  const stats = (): PoolStats => ({
    key: settings.key,
    open: lines.members.size,
    inUse: Lines.inUse(lines),
    idle: lines.idle.length,
    waiting: Lines.waiting(lines),
    max: settings.maxConnections
  })

  const watchIdle = Watch.make(
    clock,
    runWatch,
    () => {
      const oldest = Lines.staying(lines) > settings.minConnections ? lines.idle[0] : undefined
      return oldest === undefined ? undefined : oldest.idleAt + settings.idleTimeout
    },
    () => {
      const [oldest] = lines.idle
      if (oldest !== undefined) lender.retire(oldest)
    }
  )

  const watchWaiting = Watch.make(
    clock,
    runWatch,
    () => {
      const oldest = Lines.longestWaiting(lines)
      return oldest === undefined ? undefined : oldest.waitingSince + settings.acquireTimeout
    },
    () => {
      const lease = Lines.longestWaiting(lines)
      if (lease === undefined) return
      const error = Overload.timedOut(
        stats(),
        limit,
        settings.acquireTimeout,
        lease.held,
        lender.lastFailure()
      )
      tally.timeouts++
      giveBack(lease, false)
      lease.resume?.(Effect.fail(error))
    }
  )

  const wait = (lease: Lines.Lease): Effect.Effect<Lines.Member, SqlError | PoolError> =>
    Effect.withFiber((fiber) =>
      Effect.callback((resume) => {
        lease.resume = resume
        lease.waitingSince = clock.currentTimeMillisUnsafe()
        lease.held = Overload.heldBy(fiber)
        lender.wait(lease)
        watchWaiting()
      })
    )

  const queue = (lease: Lines.Lease): Effect.Effect<Lines.Member, SqlError | PoolError> => {
    if (lender.isClosing()) return Effect.fail(ended(settings))
    // Who waits only until a connection is open does not count.
    if (Lines.waiting(lines) - lender.toCome() >= settings.maxWaiting) {
      return Effect.fail(Overload.tooMany(stats(), limit))
    }
    return wait(lease)
  }

  /** Runs something with a connection as soon as there is one. */
  const acquire = <A, E, R>(
    lease: Lines.Lease,
    f: (member: Lines.Member) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | SqlError | PoolError, R> =>
    Effect.suspend((): Effect.Effect<A, E | SqlError | PoolError, R> => {
      const member = lender.take(lease)
      return member === undefined ? Effect.flatMap(queue(lease), f) : f(member)
    })

  const use: Pool["use"] = (f) =>
    Effect.suspend(() => {
      const lease = Lines.makeLease(true, 0, true)
      return Effect.onExitPrimitive(acquire(lease, f), (exit) => {
        giveBack(lease, Exit.hasInterrupts(exit))
        return undefined
      })
    })

  const single: Pool["single"] = (text, { calls, clock, reads }, run) =>
    Effect.suspend(() => {
      const cost = reads && !calls && sharing ? costOf(text) : undefined
      const lease = Lines.makeLease(cost === undefined || !Cost.isShort(cost), cost?.average ?? 0, clock)
      let begun = 0
      return Effect.onExitPrimitive(
        acquire(lease, (member) => {
          begun = performance.now()
          return run(member)
        }),
        (exit) => {
          const { member } = lease
          const interrupted = Exit.hasInterrupts(exit)
          if (member !== undefined && interrupted && lease.whole) {
            return Effect.andThen(
              member.connection.recover,
              Effect.sync(() => giveBack(lease, false))
            )
          }
          if (member !== undefined && cost !== undefined && !interrupted) {
            const at = performance.now()
            Cost.record(cost, at - Math.max(begun, member.since), Loop.isBusy(at))
          }
          giveBack(lease, interrupted)
          return undefined
        }
      )
    })

  const reserve: Pool["reserve"] = Effect.withFiber((fiber) => {
    const lease = Lines.makeLease(true, 0, true)
    let release: (() => void) | undefined
    const end = Effect.sync(() => {
      release?.()
      giveBack(lease, false)
    })
    // The finalizer comes first: nothing can happen between getting the connection and being sure to give it back.
    return Effect.andThen(
      Scope.addFinalizer(Context.getUnsafe(fiber.context, Scope.Scope), end),
      Effect.onExitPrimitive(acquire(lease, Effect.succeed), (exit) => {
        if (Exit.isFailure(exit)) giveBack(lease, false)
        else release = Overload.holds(fiber, settings.key)
        return undefined
      })
    )
  })

  lender.start()
  return {
    settings,
    codec,
    transaction: keys.key,
    clientTransaction: keys.client,
    use,
    reserve,
    single,
    onCatalogueChange,
    generation: () => generation,
    stats,
    isClosing: lender.isClosing,
    cutOff: () => (lender.isCutOff() ? ended(settings) : undefined),
    isVoid: lender.isVoid,
    lastUsed: lender.lastUsed,
    close: lender.close
  }
})
