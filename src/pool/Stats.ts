/**
 * What a pool says of itself.
 */

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
