/**
 * The order in which pools get places of the one limit, counted by turns: who waits at number n waits for n places and no
 * more, the connection idle longest goes first, and only a quarter of the places changes hands at a time.
 */
import { assert, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import * as Limit from "../src/pool/Limit.ts"

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)

const make = (max: number) =>
  Effect.gen(function* () {
    const run = Effect.runForkWith(yield* Effect.context<never>())
    return Limit.make(max, yield* Clock.Clock, (timer) => {
      run(timer)
    })
  })

/** A limit whose places are all taken by connections at rest, and pools that ask for one each. */
const crowded = (max: number) =>
  Effect.map(make(max), (limit) => {
    const evicted: Array<number> = []
    const served: Array<string> = []
    for (const number of numbers(max)) {
      assert.isTrue(limit.takeFree())
      limit.arrived()
      limit.addSpare({
        evict: () => {
          evicted.push(number)
          limit.leave()
        }
      })
    }
    const ask = (name: string) => limit.ask({ onPlace: () => served.push(name) })
    return { limit, evicted, served, ask }
  })

it.effect(
  "the connections idle longest make room, a quarter of the places at a time, first asked first served",
  () =>
    Effect.gen(function* () {
      const { ask, evicted, limit, served } = yield* crowded(8)
      const names = ["a", "b", "c", "d", "e"]
      for (const name of names) assert.isFalse(ask(name))
      assert.deepStrictEqual(evicted, [0, 1])
      for (const done of numbers(names.length)) {
        limit.release(true)
        assert.deepStrictEqual(served, names.slice(0, done + 1))
        // The opening is part of the change: the next begins when it is over.
        assert.lengthOf(evicted, Math.min(done + 2, 5))
        assert.strictEqual(limit.used(), 8)
        limit.arrived()
        assert.lengthOf(evicted, Math.min(done + 3, 5))
      }
      assert.deepStrictEqual(evicted, [0, 1, 2, 3, 4])
      assert.isFalse(limit.isContested())
    })
)

it.effect("changes that hang keep others from theirs for a tenth of a second, and no longer", () =>
  Effect.gen(function* () {
    const { ask, evicted, limit, served } = yield* crowded(4)
    for (const name of ["a", "b", "c", "d"]) ask(name)
    limit.release(true)
    assert.deepStrictEqual([served, evicted], [["a"], [0]])
    yield* TestClock.adjust("99 millis")
    assert.lengthOf(evicted, 1)
    yield* TestClock.adjust("1 millis")
    assert.lengthOf(evicted, 2)
    // The first still hangs: the others go past it, one after another.
    limit.release(true)
    limit.arrived()
    assert.deepStrictEqual(served, ["a", "b"])
    assert.lengthOf(evicted, 3)
    limit.release(true)
    limit.arrived()
    assert.deepStrictEqual(served, ["a", "b", "c"])
    assert.lengthOf(evicted, 4)
    limit.release(true)
    ask("e")
    ask("f")
    limit.arrived()
    assert.isTrue(limit.isContested())
    // A second later it is one at a time again.
    yield* TestClock.adjust("1 second")
    limit.arrived()
    limit.leave()
    assert.isFalse(limit.isContested())
    assert.deepStrictEqual(served, ["a", "b", "c", "d"])
  })
)

it.effect("whatever comes and goes, nobody is overtaken, and no place is lost or given twice", () =>
  Effect.gen(function* () {
    let state = 20_261_122
    const random = (below: number) => {
      state ^= state << 13
      state ^= state >>> 17
      state ^= state << 5
      return (state >>> 0) % below
    }
    const max = 9
    const limit = yield* make(max)
    let [opening, leaving, granted, waits] = [0, 0, 0, 0]
    const resting = new Set<Limit.Spare>()
    const busy = new Set<Limit.Spare>()
    const ring = new Set<number>()
    /** For each pool in line: how many places had been given, and how many stood before it, when it came. */
    const since = new Map<number, readonly [granted: number, before: number]>()
    const pools = numbers(40).map(
      (pool): Limit.Asker => ({
        onPlace: () => {
          const [at, before] = since.get(pool) ?? [0, 0]
          assert.isAtMost(granted - at, before)
          since.delete(pool)
          ring.delete(pool)
          granted++
          opening++
          waits++
        }
      })
    )
    const leave = (spare: Limit.Spare) => {
      resting.delete(spare)
      busy.delete(spare)
      limit.removeSpare(spare)
      limit.leave()
      leaving++
    }
    const steps: ReadonlyArray<() => void> = [
      // The first pool floods: it asks whenever it can.
      ...[0, random(40), random(40)].map((_, turn) => () => {
        const pool = turn === 0 ? 0 : random(40)
        if (ring.has(pool)) return
        since.set(pool, [granted, ring.size])
        ring.add(pool)
        const asker = pools[pool]
        if (asker !== undefined && limit.ask(asker)) {
          ring.delete(pool)
          opening++
        }
      }),
      () => {
        if (opening === 0) return
        opening--
        const spare: Limit.Spare = { evict: () => leave(spare) }
        // One opening in five fails.
        if (random(5) === 0) limit.release(false)
        else busy.add(spare)
        limit.arrived()
      },
      () => {
        const [spare] = busy
        if (spare === undefined) return
        busy.delete(spare)
        if (limit.isContested()) leave(spare)
        else {
          resting.add(spare)
          limit.addSpare(spare)
        }
      },
      () => {
        if (leaving === 0) return
        leaving--
        limit.release(true)
      },
      () => {
        const [pool] = ring
        const asker = pools[pool ?? 0]
        if (pool === undefined || asker === undefined || random(10) > 0) return
        limit.withdraw(asker)
        ring.delete(pool)
      }
    ]
    for (const _ of numbers(20_000)) {
      steps[random(steps.length)]?.()
      const open = busy.size + resting.size
      assert.strictEqual(limit.used(), open + opening + leaving)
      assert.isAtMost(limit.used(), max)
      // Nobody stands in line for a place that is free, nor beside one at rest while a change may begin.
      if (ring.size > 0) assert.strictEqual(limit.used(), max)
      if (ring.size > leaving && leaving + opening < 3) assert.strictEqual(resting.size, 0)
      // What begins while places are free is no change of hands; else no more than a quarter changes.
      if (open === max) assert.strictEqual(leaving + opening, 0)
    }
    assert.isAbove(waits, 1_000)
  })
)
