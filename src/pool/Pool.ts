/**
 * The pool of one database: opens connections when callers wait for one, lends them, cleans them when they come back, and
 * ends them for certain.
 *
 * `Lines.ts` keeps who holds and who waits, `Limit.ts` the places that all pools share, `Connection.ts` is one session.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { ConnectionError, SqlError } from "effect/sql/SqlError"
import * as Codec from "../codec/Codec.ts"
import type { PoolError } from "../PoolError.ts"
import { type Checked, describe } from "../settings/Settings.ts"
import * as Clean from "./Clean.ts"
import * as Connection from "./Connection.ts"
import * as Cost from "./Cost.ts"
import * as Held from "./Held.ts"
import type * as Limit from "./Limit.ts"
import * as Lines from "./Lines.ts"
import * as Nearby from "./Nearby.ts"
import * as Overload from "./Overload.ts"

/** A pool as it is at one moment. `waiting` counts calls that wait for a connection. */
export interface PoolStats {
  readonly key: string
  /** Connections that the server has for this pool. */
  readonly open: number
  readonly inUse: number
  readonly idle: number
  readonly waiting: number
  readonly max: number
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
    reads: boolean,
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
  /** Lets what is under way and waiting finish for `grace` milliseconds, then cancels it, and ends all connections. */
  readonly close: (grace: number) => Effect.Effect<void>
}

const ended = (settings: Checked): SqlError =>
  new SqlError({
    reason: new ConnectionError({
      cause: new Error("The pool was ended while this operation waited or ran"),
      message: `The pool "${settings.key}" of database ${describe(settings)} was ended while this operation waited for a connection. The next operation opens a new pool.`,
      operation: "acquire"
    })
  })

/** Makes a pool. Nothing connects until a caller needs it, or `minConnections` asks for it. */
export const make = Effect.fnUntraced(function* (
  settings: Checked,
  limit: Limit.Limit
): Effect.fn.Return<Pool, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const runFork = Effect.runForkWith(yield* Effect.context<never>())
  const runWatch = yield* FiberSet.makeRuntime<never>()
  const codec = Codec.make({ int8: settings.int8, timestamp: settings.timestamp })
  const keys = Held.makeKey()
  const lines = Lines.make()
  const costOf = Cost.make()
  const openings = new Set<{ readonly fiber?: Fiber.Fiber<void> }>()
  let generation = 0
  let learnt = false
  let asked = false
  let closing = false
  let lastUsed = clock.currentTimeMillisUnsafe()
  let onQuiet: (() => void) | undefined

  const now = () => performance.now()
  const quiet = () => Lines.inUse(lines) === 0 && Lines.waiting(lines) === 0
  const settleQuiet = () => {
    if (onQuiet !== undefined && quiet()) onQuiet()
  }

  const failWaiting = (error: SqlError | PoolError): void => {
    for (const line of [lines.waitingWhole, lines.waitingShared]) {
      for (const lease of line) {
        line.delete(lease)
        lease.resume?.(Effect.fail(error))
      }
    }
    settleQuiet()
  }

  const remove = (member: Lines.Member, evicted: boolean): void => {
    if (!lines.members.delete(member)) return
    lines.idle.delete(member)
    limit.removeSpare(member)
    limit.release(evicted)
    demand()
  }

  const shut = (member: Lines.Member, evicted: boolean): Effect.Effect<void> => {
    member.closing = true
    lines.idle.delete(member)
    limit.removeSpare(member)
    return Effect.andThen(
      member.connection.close,
      Effect.sync(() => remove(member, evicted))
    )
  }

  const add = (connection: Connection.Connection): Lines.Member => {
    const openedAt = clock.currentTimeMillisUnsafe()
    const member: Lines.Member = {
      connection,
      openedAt,
      live: 0,
      exclusive: false,
      promised: false,
      dropped: false,
      leaves: "nothing",
      since: 0,
      turnSince: now(),
      idleAt: openedAt,
      servedWhole: false,
      closing: false,
      evict: () => {
        runFork(shut(member, true))
      }
    }
    lines.members.add(member)
    return member
  }

  const open: Effect.Effect<void> = Effect.uninterruptibleMask((restore) => {
    let member: Lines.Member | undefined
    const onEnd = () => {
      // The server or the network ended it. While a caller has it, that caller's exit takes it off the books.
      if (member !== undefined && member.live === 0 && !member.closing) remove(member, false)
    }
    return restore(
      Effect.catchTag(Connection.open(settings, codec, onEnd), "SqlError", (error) =>
        Effect.flatMap(Nearby.openingError(settings, error), Effect.fail)
      )
    ).pipe(
      Effect.tap((connection) =>
        learnt ? Effect.void : Effect.onError(restore(codec.learn(connection.query)), () => connection.close)
      ),
      Effect.matchCause({
        onFailure: (cause: Cause.Cause<SqlError>) => {
          limit.release(false)
          const error = Cause.findErrorOption(cause)
          if (lines.members.size > 0 || openings.size > 1) return
          failWaiting(Option.isSome(error) ? error.value : ended(settings))
        },
        onSuccess: (connection) => {
          learnt = true
          member = add(connection)
          ready(member)
        }
      })
    )
  })

  const openOne = (): void => {
    const opening: { fiber?: Fiber.Fiber<void> } = {}
    openings.add(opening)
    opening.fiber = runFork(
      Effect.andThen(
        open,
        Effect.sync(() => {
          openings.delete(opening)
          if (lines.members.size > 0) demand()
        })
      )
    )
  }

  const asker: Limit.Asker = {
    onPlace: () => {
      asked = false
      if (closing || (Lines.waiting(lines) === 0 && lines.members.size >= settings.minConnections))
        limit.release(false)
      else {
        openOne()
        demand()
      }
    }
  }

  /** Opens as many connections as callers wait for, as far as both limits allow; one until the catalogue is learnt. */
  const demand = (): void => {
    const fewest = settings.minConnections - lines.members.size
    const wanted = Math.min(Math.max(Lines.waiting(lines), fewest), learnt ? Number.POSITIVE_INFINITY : 1)
    while (!asked && openings.size < wanted && lines.members.size + openings.size < settings.maxConnections) {
      if (!limit.ask(asker)) {
        asked = true
        return
      }
      openOne()
    }
  }

  const grant = (member: Lines.Member, line: Set<Lines.Lease>, lease: Lines.Lease): void => {
    line.delete(lease)
    Lines.hand(member, lease, now())
    lease.resume?.(Effect.succeed(member))
  }

  const serveShared = (member: Lines.Member): void => {
    const at = now()
    for (const lease of lines.waitingShared) {
      if (!Lines.isShareable(member, at)) return
      grant(member, lines.waitingShared, lease)
    }
  }

  /** A connection without callers, in order: it serves a line, gives up its place, or rests. */
  const ready = (member: Lines.Member): void => {
    member.promised = false
    member.exclusive = false
    const unwanted = Lines.waiting(lines) === 0
    lastUsed = clock.currentTimeMillisUnsafe()
    if (limit.isContested() && (unwanted || now() - member.turnSince >= Lines.turn)) {
      limit.clearing()
      runFork(shut(member, true))
    } else if (lastUsed - member.openedAt >= settings.connectionTTL || (closing && unwanted)) {
      runFork(shut(member, false))
    } else if (Lines.nextIsWhole(lines, member)) {
      const lease = Lines.first(lines.waitingWhole)
      if (lease !== undefined) grant(member, lines.waitingWhole, lease)
    } else if (!unwanted) {
      serveShared(member)
    } else {
      member.idleAt = lastUsed
      lines.idle.add(member)
      limit.addSpare(member)
      watchIdle()
    }
    settleQuiet()
  }

  /** The last caller has left. */
  const free = (member: Lines.Member): void => {
    if (member.connection.isDead()) {
      remove(member, false)
      settleQuiet()
    } else if (Clean.isClean(member, settings)) ready(member)
    else {
      member.exclusive = true
      runFork(
        Effect.flatMap(Clean.clean(member, settings), (clean) =>
          clean && !member.connection.isDead() ? Effect.sync(() => ready(member)) : shut(member, false)
        )
      )
    }
  }

  const giveBack = (lease: Lines.Lease, interrupted: boolean): void => {
    const member = lease.member
    if (member === undefined) {
      lines.waitingWhole.delete(lease)
      lines.waitingShared.delete(lease)
      if (asked && Lines.waiting(lines) === 0) {
        asked = false
        limit.withdraw(asker)
      }
      settleQuiet()
      return
    }
    lease.member = undefined
    member.live--
    if (interrupted) member.dropped = true
    member.since = now()
    if (member.live === 0) free(member)
    else if (limit.isContested() && member.since - member.turnSince >= Lines.turn) member.promised = true
    else if (lines.waitingShared.size > 0) serveShared(member)
  }

  const take = (lease: Lines.Lease): Lines.Member | undefined => {
    const at = now()
    const idle = Lines.takeIdle(lines, lease, at)
    if (idle !== undefined) {
      limit.removeSpare(idle)
      return idle
    }
    if (lease.whole || lines.waitingShared.size > 0) return undefined
    const shared = Lines.leastShared(lines, at)
    if (shared !== undefined) Lines.hand(shared, lease, at)
    return shared
  }

  const acquire = (lease: Lines.Lease): Effect.Effect<Lines.Member, SqlError | PoolError> =>
    Effect.suspend(() => {
      const member = take(lease)
      if (member !== undefined) return Effect.succeed(member)
      if (closing) return Effect.fail(ended(settings))
      if (Lines.waiting(lines) >= settings.maxWaiting) return Effect.fail(Overload.tooMany(statsNow(), limit))
      return Effect.withFiber((fiber) =>
        Effect.callback<Lines.Member, SqlError | PoolError>((resume) => {
          lease.resume = resume
          lease.waitingSince = clock.currentTimeMillisUnsafe()
          lease.held = fiber.getRef(Overload.Held)
          const line = lease.whole ? lines.waitingWhole : lines.waitingShared
          line.add(lease)
          if (lease.whole) Lines.promise(lines)
          demand()
          watchLines()
        })
      )
    })

  /** Sleeps until the next thing is due, does it, and ends when nothing is. */
  const watch = (due: () => number | undefined, act: () => void): (() => void) => {
    let running = false
    const loop: Effect.Effect<void> = Effect.suspend(() => {
      const at = due()
      if (at === undefined || at === Number.POSITIVE_INFINITY) {
        running = false
        return Effect.void
      }
      const left = at - clock.currentTimeMillisUnsafe()
      if (left > 0) return Effect.andThen(Effect.sleep(left), loop)
      act()
      return loop
    })
    return () => {
      if (running) return
      running = true
      runWatch(loop)
    }
  }

  const watchIdle = watch(
    () => {
      const oldest = lines.members.size > settings.minConnections ? Lines.first(lines.idle) : undefined
      return oldest === undefined ? undefined : oldest.idleAt + settings.idleTimeout
    },
    () => {
      const oldest = Lines.first(lines.idle)
      if (oldest !== undefined) runFork(shut(oldest, false))
    }
  )

  const oldestWaiting = (): Lines.Lease | undefined => {
    const whole = Lines.first(lines.waitingWhole)
    const shared = Lines.first(lines.waitingShared)
    if (whole === undefined || shared === undefined) return whole ?? shared
    return whole.waitingSince <= shared.waitingSince ? whole : shared
  }

  const watchLines = watch(
    () => {
      const oldest = oldestWaiting()
      return oldest === undefined ? undefined : oldest.waitingSince + settings.acquireTimeout
    },
    () => {
      const lease = oldestWaiting()
      if (lease === undefined) return
      const error = Overload.timedOut(statsNow(), limit, settings.acquireTimeout, lease.held)
      giveBack(lease, false)
      lease.resume?.(Effect.fail(error))
    }
  )

  const use: Pool["use"] = (f) =>
    Effect.suspend(() => {
      const lease = Lines.makeLease(true)
      return Effect.onExitPrimitive(Effect.flatMap(acquire(lease), f), () => {
        giveBack(lease, false)
        return undefined
      })
    })

  const sharing = settings.pipelining && settings.reset !== "always"

  const single: Pool["single"] = (text, reads, run) =>
    Effect.suspend(() => {
      const cost = reads && sharing ? costOf(text) : undefined
      const lease = Lines.makeLease(cost === undefined || !Cost.isShort(cost))
      let begun = 0
      return Effect.onExitPrimitive(
        Effect.flatMap(acquire(lease), (member) => {
          begun = now()
          return run(member)
        }),
        (exit) => {
          const member = lease.member
          const interrupted = Exit.hasInterrupts(exit)
          if (member !== undefined && interrupted && lease.whole) {
            return Effect.andThen(
              member.connection.recover,
              Effect.sync(() => giveBack(lease, false))
            )
          }
          if (member !== undefined && cost !== undefined && !interrupted) {
            Cost.record(cost, now() - Math.max(begun, member.since))
          }
          giveBack(lease, interrupted)
          return undefined
        }
      )
    })

  const reserve: Pool["reserve"] = Effect.suspend(() => {
    const lease = Lines.makeLease(true)
    return Effect.acquireRelease(
      Effect.onExitPrimitive(acquire(lease), (exit) => {
        if (Exit.isFailure(exit)) giveBack(lease, false)
        return undefined
      }),
      () => Effect.sync(() => giveBack(lease, false)),
      { interruptible: true }
    )
  })

  const statsNow = (): PoolStats => ({
    key: settings.key,
    open: lines.members.size,
    inUse: Lines.inUse(lines),
    idle: lines.idle.size,
    waiting: Lines.waiting(lines),
    max: settings.maxConnections
  })

  const untilQuiet = Effect.callback<void>((resume) => {
    onQuiet = () => {
      onQuiet = undefined
      resume(Effect.void)
    }
    settleQuiet()
  })

  const shutAll = Effect.suspend(() =>
    Effect.forEach(
      Array.from(lines.members),
      (member) =>
        Effect.andThen(member.live > 0 ? member.connection.recover : Effect.void, shut(member, false)),
      { concurrency: "unbounded", discard: true }
    )
  )

  const close = (grace: number): Effect.Effect<void> =>
    Effect.gen(function* () {
      closing = true
      if (asked) limit.withdraw(asker)
      for (const member of lines.idle) runFork(shut(member, false))
      yield* Effect.timeoutOption(untilQuiet, grace)
      failWaiting(ended(settings))
      const fibers = Array.from(openings, ({ fiber }) => fiber).filter((fiber) => fiber !== undefined)
      yield* Fiber.interruptAll(fibers)
      yield* shutAll
    }).pipe(Effect.uninterruptible)

  demand()
  return {
    settings,
    codec,
    transaction: keys.key,
    clientTransaction: keys.client,
    use,
    reserve,
    single,
    onCatalogueChange: () => {
      generation++
      codec.forget()
    },
    generation: () => generation,
    stats: statsNow,
    isClosing: () => closing,
    lastUsed: () => (quiet() ? lastUsed : clock.currentTimeMillisUnsafe()),
    close
  }
})
