/**
 * What the parts of one pool work with: its settings, its state, its share of the registry, and how its effects run.
 */
import type * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { SqlError } from "effect/sql/SqlError"
import type { ResolvedSettings } from "../settings/Settings.ts"
import type { ConnectionBudget } from "./Budget.ts"
import type { EventLoopLoad } from "./EventLoopLoad.ts"
import type { Counts } from "./Metrics.ts"
import type { PoolState } from "./PoolState.ts"

export interface PoolParts {
  readonly settings: ResolvedSettings
  readonly state: PoolState
  readonly budget: ConnectionBudget
  readonly clock: Clock.Clock
  readonly counts: Counts
  readonly load: EventLoopLoad
  /** Runs what must come to its end whatever becomes of the pool's callers. */
  readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  /** Runs what ends with the pool. */
  readonly runTimer: (effect: Effect.Effect<void>) => void
  /** The error of those that the pool's end cuts off. */
  readonly ended: () => SqlError
}
