/** Random samples that can be drawn again: a failure names the seed, and `SEED=… npx vitest run …` takes it. */
import * as fc from "fast-check"

export const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)

export const sample = <A>(arbitrary: fc.Arbitrary<A>, numRuns: number): ReadonlyArray<A> =>
  fc.sample(arbitrary, { numRuns, seed })
