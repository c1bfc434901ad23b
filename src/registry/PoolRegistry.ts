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
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Scope from "effect/Scope"
import { conflict, invalid, type PoolError, refused } from "../errors/PoolError.ts"
import type { ConnectionBudget as ConnectionBudgets } from "../pool/Budget.ts"
import * as EventLoopLoad from "../pool/EventLoopLoad.ts"
import * as Metrics from "../pool/Metrics.ts"
import * as Pool from "../pool/Pool.ts"
import * as Stats from "../pool/Stats.ts"
import { makeNamespace } from "../pool/TransactionKey.ts"
import * as Scram from "../protocol/Scram.ts"
import { describe, differences, isSameDatabase, type ResolvedSettings } from "../settings/Settings.ts"
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
  /** The pool of these settings, opened if it is not there. */
  readonly pool: (settings: ResolvedSettings) => Effect.Effect<Pool.Pool, PoolError>
  /** The pool of these settings without an effect, where it is open and known to be the right one. */
  readonly known: (settings: ResolvedSettings) => Pool.Pool | undefined
  /** Ends the pool of a key. Waits until it has closed; of two calls at once the shorter grace wins. */
  readonly terminate: (key: string, grace: number) => Effect.Effect<void>
  readonly stats: Effect.Effect<ReadonlyArray<Stats.PoolStats>>
  readonly pools: Effect.Effect<ReadonlyArray<Pool.Pool>>
  readonly budget: ConnectionBudgets
  /** Closes with the registry. */
  readonly scope: Scope.Scope
}

/** A pool of the registry. */
interface Entry {
  /** What it was opened with. */
  readonly settings: ResolvedSettings
  /** Settings of other handles that were found to be the same. */
  readonly accepted: WeakSet<ResolvedSettings>
  readonly scope: Scope.Closeable
  /** Builds the pool's layer: once, however many callers wait for it. */
  readonly build: Effect.Effect<Pool.Pool>
  /** The pool, once it is built. */
  readonly pool: Pool.Pool | undefined
}

/** What the registry has under one key: a pool, and those before it that are not gone from the server. */
interface Slot {
  readonly current: Entry | undefined
  readonly leaving: ReadonlyArray<Entry>
}

type Pools = HashMap.HashMap<string, Slot>

const emptySlot: Slot = { current: undefined, leaving: [] }

const slotOf = (pools: Pools, key: string): Slot => Option.getOrElse(HashMap.get(pools, key), () => emptySlot)

const setSlot = (pools: Pools, key: string, slot: Slot): Pools =>
  slot.current === undefined && slot.leaving.length === 0
    ? HashMap.remove(pools, key)
    : HashMap.set(pools, key, slot)

/** Whether they are one pool, built or not. */
const isSame = (left: Entry | undefined, right: Entry): boolean => left?.scope === right.scope

const areAccepted = (entry: Entry, settings: ResolvedSettings): boolean => {
  if (entry.settings === settings || entry.accepted.has(settings)) return true
  if (differences(entry.settings, settings).length > 0) return false
  entry.accepted.add(settings)
  return true
}

/** Whether a handle with other settings takes the pool's place: it never connected, or it is idle and of the same database. */
const makesRoom = ({ pool, settings }: Entry, asked: ResolvedSettings): boolean =>
  pool !== undefined && (pool.neverConnected() || (isSameDatabase(settings, asked) && pool.isUnused()))

const defaultPoolIdleTimeout = Duration.minutes(5)

const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Service, PoolError, Scope.Scope> {
  const { maxConnections, poolIdleTimeout, ...others } = options
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) {
    const message = `A registry has no option ${unknown}: they are maxConnections and poolIdleTimeout.`
    return yield* invalid(unknown, message)
  }
  const most = maxConnections ?? Number.POSITIVE_INFINITY
  if (!(most >= 1) || !(Number.isInteger(most) || most === Number.POSITIVE_INFINITY)) {
    return yield* invalid("maxConnections", "The registry's maxConnections must be a whole number from 1.")
  }
  const idle = Duration.fromInput(poolIdleTimeout ?? defaultPoolIdleTimeout)
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
  const shared: Pool.Shared = {
    budget: ConnectionBudget.make(most, clock, (timer) =>
      runTimer(Effect.asVoid(Effect.forkIn(timer, registryScope)))
    ),
    keys: Scram.makeKeys(),
    load: EventLoopLoad.make(),
    namespace: makeNamespace()
  }
  const forgetBudget = Metrics.addBudget(context, shared.budget)
  yield* Effect.addFinalizer(() => Effect.sync(forgetBudget))
  const pools = yield* Ref.make<Pools>(HashMap.empty())
  const memoMap = Layer.makeMemoMapUnsafe()

  const update = (key: string, change: (slot: Slot) => Slot) =>
    Ref.update(pools, (all) => setSlot(all, key, change(slotOf(all, key))))

  const over = () =>
    refused("The registry of the pools has ended with the scope that it was made in. Nothing was sent.")

  /** Closes a pool that has no callers any more, and forgets it. */
  const forgetUnused = (entry: Entry, pool: Pool.Pool): Effect.Effect<void> =>
    Effect.suspend(() => {
      const left = pool.lastUsed() + idleMillis - clock.currentTimeMillisUnsafe()
      if (left > 0) return Effect.andThen(Effect.sleep(left), forgetUnused(entry, pool))
      // The pool's scope ends this fiber, so another one ends the pool.
      return Effect.asVoid(
        Effect.forkIn(end(entry.settings.key, 0, entry), registryScope, { startImmediately: true })
      )
    })

  const close = (entry: Entry, grace: number): Effect.Effect<void> =>
    entry.build.pipe(
      Effect.flatMap((pool) => pool.close(grace)),
      Effect.andThen(Scope.close(entry.scope, Exit.void)),
      Effect.andThen(
        update(entry.settings.key, ({ current, leaving }) => ({
          current,
          leaving: leaving.filter((one) => !isSame(one, entry))
        }))
      ),
      Effect.uninterruptible
    )

  /** Forgets the pool of a key at once, so that the next call opens another, and waits until it has closed. */
  const end = (key: string, grace: number, only?: Entry): Effect.Effect<void> =>
    Effect.uninterruptible(
      Effect.flatMap(
        Ref.modify(pools, (all): readonly [ReadonlyArray<Entry>, Pools] => {
          const { current, leaving } = slotOf(all, key)
          if (only !== undefined && !isSame(current, only)) return [[], all]
          const left = current === undefined ? leaving : [...leaving, current]
          return [left, setSlot(all, key, { current: undefined, leaving: left })]
        }),
        (left) =>
          Effect.forEach(left, (entry) => close(entry, grace), { concurrency: "unbounded", discard: true })
      )
    )

  /** A pool that is not built yet; its layer waits until the one before it has closed. */
  const makeEntry = (settings: ResolvedSettings, before: Entry | undefined): Entry => {
    const scope = Scope.forkUnsafe(poolsScope)
    const counts = Metrics.countsOf(context, settings.key)
    const opened = Effect.gen(function* () {
      if (before !== undefined) yield* close(before, 0)
      const pool = yield* Pool.make(settings, shared, counts)
      counts.pools.add(pool.stats)
      yield* Effect.addFinalizer(() =>
        Effect.andThen(
          pool.close(0),
          Effect.sync(() => counts.pools.delete(pool.stats))
        )
      )
      if (idleMillis !== Number.POSITIVE_INFINITY) yield* Effect.forkIn(forgetUnused(entry, pool), scope)
      return pool
    })
    const layer = Layer.effect(Pool.Service, opened)
    const build = Effect.gen(function* () {
      const pool = Context.get(yield* Layer.buildWithMemoMap(layer, memoMap, scope), Pool.Service)
      const built = { ...entry, pool }
      yield* update(settings.key, (slot) =>
        isSame(slot.current, entry) ? { ...slot, current: built } : slot
      )
      return pool
    }).pipe(Effect.setContext(context), Effect.uninterruptible)
    const entry: Entry = { settings, accepted: new WeakSet(), scope, build, pool: undefined }
    return entry
  }

  /** Finds the pool of these settings, or puts one into its place, in one step. */
  const find = (settings: ResolvedSettings): Effect.Effect<Effect.Effect<Pool.Pool, PoolError>> =>
    Ref.modify(pools, (all): readonly [Effect.Effect<Pool.Pool, PoolError>, Pools] => {
      if (poolsScope.state._tag === "Closed") return [Effect.fail(over()), all]
      const slot = slotOf(all, settings.key)
      const { current, leaving } = slot
      if (current !== undefined && areAccepted(current, settings)) return [current.build, all]
      const names = current === undefined ? [] : differences(current.settings, settings)
      if (current !== undefined && !makesRoom(current, settings)) {
        const [known, asked] = [describe(current.settings), describe(settings)]
        return [Effect.fail(conflict(settings.key, names, known, asked)), all]
      }
      const entry = makeEntry(settings, current)
      const left = current === undefined ? leaving : [...leaving, current]
      const warning = Effect.logWarning(
        `The pool "${settings.key}" was idle and makes room for a handle with other settings: ${names.join(", ")}.`
      )
      return [
        current?.pool?.neverConnected() === false ? Effect.andThen(warning, entry.build) : entry.build,
        setSlot(all, settings.key, { current: entry, leaving: left })
      ]
    })

  const statsOf = ({ pool }: Entry) => (pool === undefined ? [] : [pool.stats()])

  return {
    known: (settings) => {
      const entry = Option.getOrUndefined(HashMap.get(Ref.getUnsafe(pools), settings.key))?.current
      if (entry?.pool === undefined || entry.pool.isClosing()) return undefined
      return entry.settings === settings || entry.accepted.has(settings) ? entry.pool : undefined
    },
    // An entry that is put into its place is built: it would conflict with other settings else, and nothing would expire it.
    pool: (settings) => Effect.uninterruptible(Effect.flatten(find(settings))),
    terminate: end,
    budget: shared.budget,
    scope: registryScope,
    pools: Effect.map(Ref.get(pools), (all) =>
      Array.from(HashMap.values(all), ({ current }) => current?.pool).filter((pool) => pool !== undefined)
    ),
    stats: Effect.map(Ref.get(pools), (all) => {
      const slots = Array.from(HashMap.values(all))
      return Stats.byKey(
        slots.flatMap(({ current }) => (current === undefined ? [] : statsOf(current))),
        slots.flatMap(({ leaving }) => leaving.flatMap(statsOf))
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
   * `maxConnections` bounds. It does not wait for ever: a session that a server does not end in time keeps its place
   * without being counted here.
   */
  static readonly stats: Effect.Effect<ReadonlyArray<Stats.PoolStats>, never, PoolRegistry> = Effect.flatMap(
    PoolRegistry,
    (registry) => registry.stats
  )
}
