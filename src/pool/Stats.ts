/**
 * What the pools say of themselves.
 */

/** A pool as it is at one moment. `waiting` counts calls that wait for a connection. */
export interface PoolStats {
  readonly key: string
  /** Connections that the server has for this pool, also for one that is being ended and that this one takes the place of. */
  readonly open: number
  readonly inUse: number
  readonly idle: number
  readonly waiting: number
  /** The setting `maxConnections`. */
  readonly max: number
}

const sum = (one: PoolStats, other: PoolStats): PoolStats => ({
  ...one,
  open: one.open + other.open,
  inUse: one.inUse + other.inUse,
  idle: one.idle + other.idle,
  waiting: one.waiting + other.waiting
})

/** One for each key: a pool that is being ended counts with the one that takes its place for as long as anything of it is left. */
export const byKey = (
  pools: ReadonlyArray<PoolStats>,
  leaving: ReadonlyArray<PoolStats>
): ReadonlyArray<PoolStats> => {
  const all = new Map(pools.map((stats) => [stats.key, stats]))
  for (const stats of leaving) {
    if (stats.open === 0 && stats.waiting === 0) continue
    const known = all.get(stats.key)
    all.set(stats.key, known === undefined ? stats : sum(known, stats))
  }
  return Array.from(all.values())
}
