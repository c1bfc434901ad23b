/**
 * How the pools were over the last minutes: a look at each every two seconds, kept for five minutes.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { PoolStats } from "../pool/Stats.ts"

/** A pool at one moment, in milliseconds. */
export interface Sample extends PoolStats {
  readonly at: number
}

const pauseMillis = 2_000
/** For how long samples are kept. */
export const keptMillis = 5 * 60_000

/** Samples by the pool's key, the oldest first; taken for as long as the scope is open. */
export const make = (
  stats: Effect.Effect<ReadonlyArray<PoolStats>>
): Effect.Effect<Effect.Effect<ReadonlyMap<string, ReadonlyArray<Sample>>>, never, Scope.Scope> => {
  const kept = new Map<string, Array<Sample>>()
  const look = Effect.gen(function* () {
    const at = yield* Clock.currentTimeMillis
    for (const one of yield* stats) {
      const samples = kept.get(one.key)
      if (samples === undefined) kept.set(one.key, [{ ...one, at }])
      else if (at - (samples.at(-1)?.at ?? 0) >= pauseMillis / 2) samples.push({ ...one, at })
    }
    for (const [key, samples] of kept) {
      while ((samples[0]?.at ?? at) < at - keptMillis) samples.shift()
      if (samples.length === 0) kept.delete(key)
    }
    return kept
  })
  return Effect.as(Effect.forkScoped(Effect.forever(Effect.andThen(look, Effect.sleep(pauseMillis)))), look)
}
