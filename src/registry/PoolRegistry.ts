/**
 * The pools of a process, by key: opened by the first call that needs one, shared by all calls, ended with the registry.
 *
 * **When to use**
 *
 * `PG.layer` is the registry of the whole process. A registry of its own (`PoolRegistry.layer`) sets a limit over all its
 * pools, and keeps a part of a program apart: a test, or a batch job beside a server.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as MutableRef from "effect/MutableRef"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { conflict, invalid, type PoolError } from "../errors/PoolError.ts"
import * as EventLoopLoad from "../pool/EventLoopLoad.ts"
import * as Metrics from "../pool/Metrics.ts"
import * as Pool from "../pool/Pool.ts"
import * as Stats from "../pool/Stats.ts"
import { makeNamespace } from "../pool/TransactionKey.ts"
import * as Scram from "../protocol/Scram.ts"
import { describe, differences, type ResolvedSettings } from "../settings/Settings.ts"
import * as ConnectionBudget from "./ConnectionBudget.ts"

export type { PoolStats } from "../pool/Stats.ts"

/** Options of a registry of its own. */
export interface Options {
  /** The most connections of all pools together. No limit. */
  readonly maxConnections?: number | undefined
  /** A pool without a call for this long is closed and forgotten; the next call opens it again. `"5 minutes"`. */
  readonly poolIdleTimeout?: Duration.Input | undefined
}

/** @internal */
export interface Service {
  /** The pool of these settings, made if it is not there. */
  readonly pool: (settings: ResolvedSettings) => Effect.Effect<Pool.Pool, PoolError>
  /** The pool of these settings without an effect, where it is there and known to be the right one. */
  readonly known: (settings: ResolvedSettings) => Pool.Pool | undefined
  readonly terminate: (key: string, grace: number) => Effect.Effect<void>
  readonly stats: Effect.Effect<ReadonlyArray<Stats.PoolStats>>
}

interface Entry {
  readonly pool: Pool.Pool
  readonly scope: Scope.Closeable
  readonly seen: Seen
}

/** What a handle's settings were last found to be: empty when that pool is forgotten, so that it is garbage then. */
interface Seen {
  pool: Pool.Pool | undefined
}

const defaultPoolIdleTimeout = Duration.minutes(5)

const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Service, PoolError, Scope.Scope> {
  const most = options.maxConnections ?? Number.POSITIVE_INFINITY
  if (!(most >= 1) || !(Number.isInteger(most) || most === Number.POSITIVE_INFINITY)) {
    return yield* invalid("maxConnections", "The registry's maxConnections must be a whole number from 1.")
  }
  const idle = Duration.fromInput(options.poolIdleTimeout ?? defaultPoolIdleTimeout)
  if (Option.isNone(idle) || !(Duration.toMillis(idle.value) > 0)) {
    return yield* invalid(
      "poolIdleTimeout",
      'The registry\'s poolIdleTimeout must be a duration such as "5 minutes".'
    )
  }
  const idleMillis = Duration.toMillis(idle.value)
  const clock = yield* Clock.Clock
  // A pool outlives the call that opens it, so it runs in the registry's context and not in the call's.
  const context = yield* Effect.context<never>()
  const registryScope = yield* Scope.Scope
  const runTimer = Effect.runForkWith(context)
  const poolsScope = yield* Scope.fork(registryScope, "parallel")
  const budget = ConnectionBudget.make(most, clock, (timer) =>
    runTimer(Effect.asVoid(Effect.forkIn(timer, registryScope)))
  )
  const shared: Pool.Shared = {
    budget,
    keys: Scram.makeKeys(),
    load: EventLoopLoad.make(),
    namespace: makeNamespace()
  }
  const pools = yield* Ref.make(HashMap.empty<string, Entry>())
  const making = Semaphore.makeUnsafe(1)
  /** Settings known to be those of an open pool: what every call but the first looks at. */
  const seen = new WeakMap<ResolvedSettings, Seen>()

  /** Closes a pool for which no call came, and forgets it. */
  const forgetIdle = (entry: Entry): Effect.Effect<void> =>
    Effect.suspend(() => {
      const left = entry.pool.lastUsed() + idleMillis - clock.currentTimeMillisUnsafe()
      if (left > 0) return Effect.andThen(Effect.sleep(left), forgetIdle(entry))
      // The pool's scope ends this fiber, so another one ends the pool.
      return Effect.asVoid(
        Effect.forkIn(end(entry.pool.settings.key, 0, entry), registryScope, { startImmediately: true })
      )
    })

  /** Pools on their way out: forgotten, and not yet gone from the server. */
  const leaving = new Set<Entry>()

  /** Forgets a pool at once: the next call makes another. */
  const forget = (entry: Entry): void => {
    leaving.add(entry)
    entry.seen.pool = undefined
    MutableRef.update(pools.ref, HashMap.remove(entry.pool.settings.key))
  }

  const close = (entry: Entry, grace: number): Effect.Effect<void> =>
    entry.pool
      .close(grace)
      .pipe(
        Effect.andThen(Scope.close(entry.scope, Exit.void)),
        Effect.andThen(Effect.sync(() => leaving.delete(entry))),
        Effect.uninterruptible
      )

  /** Whoever ends a pool waits until it is gone, also when another caller is at it, whose grace it may cut short. */
  const end = (key: string, grace: number, only?: Entry): Effect.Effect<void> =>
    Effect.uninterruptible(
      Effect.suspend(() => {
        const entry = HashMap.get(Ref.getUnsafe(pools), key)
        if (only !== undefined && !(Option.isSome(entry) && entry.value === only)) return Effect.void
        const others = Array.from(leaving).filter(({ pool }) => pool.settings.key === key)
        const all = Option.isSome(entry) ? [entry.value, ...others] : others
        if (Option.isSome(entry)) forget(entry.value)
        return Effect.forEach(all, (entry) => close(entry, grace), {
          concurrency: "unbounded",
          discard: true
        })
      })
    )

  const open = (settings: ResolvedSettings): Effect.Effect<Entry> =>
    Effect.uninterruptible(
      Effect.gen(function* () {
        const scope = yield* Scope.fork(poolsScope)
        const counts = Metrics.countsOf(context, settings.key)
        const pool = yield* Scope.provide(Pool.make(settings, shared, counts), scope)
        counts.pools.add(pool.stats)
        yield* Scope.addFinalizer(
          scope,
          Effect.andThen(
            pool.close(0),
            Effect.sync(() => counts.pools.delete(pool.stats))
          )
        )
        const entry: Entry = { pool, scope, seen: { pool } }
        yield* Ref.update(pools, HashMap.set(settings.key, entry))
        if (idleMillis !== Number.POSITIVE_INFINITY) {
          yield* Effect.forkIn(forgetIdle(entry), scope)
        }
        return entry
      })
    ).pipe(Effect.setContext(context))

  const find = (settings: ResolvedSettings): Effect.Effect<Entry, PoolError> | undefined => {
    const entry = HashMap.get(Ref.getUnsafe(pools), settings.key)
    if (Option.isNone(entry)) return undefined
    const { pool } = entry.value
    const names = differences(pool.settings, settings)
    // A failed opening is not remembered.
    if (names.length > 0)
      return pool.neverConnected()
        ? undefined
        : Effect.fail(conflict(settings.key, names, describe(pool.settings), describe(settings)))
    seen.set(settings, entry.value.seen)
    return Effect.succeed(entry.value)
  }

  /** A pool that stands in the way and is void makes room, in the same moment in which it is seen to be. */
  const findOrOpen = (settings: ResolvedSettings): Effect.Effect<Entry, PoolError> =>
    Effect.suspend(() => {
      const found = find(settings)
      if (found !== undefined) return found
      const old = HashMap.get(Ref.getUnsafe(pools), settings.key)
      if (Option.isNone(old)) return open(settings)
      forget(old.value)
      return Effect.andThen(close(old.value, 0), open(settings))
    }).pipe(Effect.uninterruptible)

  const known = (settings: ResolvedSettings): Pool.Pool | undefined => {
    const pool = seen.get(settings)?.pool
    return pool === undefined || pool.isClosing() ? undefined : pool
  }

  return {
    known,
    pool: (settings) =>
      Effect.map(
        Effect.suspend(() => find(settings) ?? making.withPermit(findOrOpen(settings))),
        (entry) => entry.pool
      ),
    terminate: end,
    stats: Effect.sync(() => {
      const statsOf = ({ pool }: Entry) => pool.stats()
      return Stats.byKey(
        Array.from(HashMap.values(Ref.getUnsafe(pools)), statsOf),
        Array.from(leaving, statsOf)
      )
    })
  }
})

/**
 * The service that every operation needs: the pools of a process by key.
 *
 * **Example** (What the pools do now)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { PG, PoolRegistry } from "effect-global-pool"
 *
 * const program = Effect.map(PoolRegistry.stats, (pools) => pools.length)
 *
 * Effect.runPromise(PG.run(program)).then((open) => open satisfies number)
 * ```
 */
export class PoolRegistry extends Context.Service<PoolRegistry, Service>()(
  "effect-global-pool/PoolRegistry"
) {
  /**
   * A registry of its own, with a limit over all its pools.
   *
   * Fails with `PoolError`, reason `InvalidSettings`, when an option is out of range.
   */
  static layer(options: Options = {}): Layer.Layer<PoolRegistry, PoolError> {
    return Layer.effect(PoolRegistry, make(options))
  }

  /**
   * Each pool as it is now: `{ key, open, inUse, idle, waiting, max }`. The counterpart of asyncpg's `Pool.get_size` and its kin.
   *
   * A pool that is being ended is there until its last connection is gone, so the sum of `open` is what the registry's
   * `maxConnections` bounds.
   */
  static readonly stats: Effect.Effect<ReadonlyArray<Stats.PoolStats>, never, PoolRegistry> = Effect.flatMap(
    PoolRegistry,
    (registry) => registry.stats
  )
}
