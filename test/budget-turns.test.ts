/**
 * The order in which pools get slots of the one budget, counted by turns: the pool at place n of the ring waits for n slots
 * and no more, the connection idle longest goes first, and only a quarter of the slots changes hands at a time.
 */
import { assert, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import type { IdleConnection, Requester } from "../src/pool/Budget.ts"
import * as ConnectionBudget from "../src/registry/ConnectionBudget.ts"

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)

const make = (max: number) =>
  Effect.gen(function* () {
    const run = Effect.runForkWith(yield* Effect.context<never>())
    return ConnectionBudget.make(max, yield* Clock.Clock, (timer) => {
      run(timer)
    })
  })

/** A budget whose slots are all taken by idle connections, and pools that request one each. */
const crowded = (max: number) =>
  Effect.map(make(max), (budget) => {
    const evicted: Array<number> = []
    const served: Array<string> = []
    for (const number of numbers(max)) {
      assert.isTrue(budget.takeFree())
      budget.settle()
      budget.addIdle({
        evict: () => {
          evicted.push(number)
          budget.leave()
        }
      })
    }
    const request = (name: string) => budget.request({ onSlot: () => served.push(name) })
    return { budget, evicted, served, request }
  })

it.effect(
  "the connections idle longest are closed for other pools, a quarter of the slots at a time, first come, first served",
  () =>
    Effect.gen(function* () {
      const { budget, evicted, request, served } = yield* crowded(8)
      const names = ["a", "b", "c", "d", "e"]
      for (const name of names) assert.isFalse(request(name))
      assert.deepStrictEqual(evicted, [0, 1])
      for (const done of numbers(names.length)) {
        budget.release(true)
        assert.deepStrictEqual(served, names.slice(0, done + 1))
        // The opening is part of the change: the next begins when it is over.
        assert.lengthOf(evicted, Math.min(done + 2, 5))
        assert.strictEqual(budget.used(), 8)
        budget.settle()
        assert.lengthOf(evicted, Math.min(done + 3, 5))
      }
      assert.deepStrictEqual(evicted, [0, 1, 2, 3, 4])
      assert.isFalse(budget.isContested())
    })
)

it.effect("changes that hang hold up other changes for a tenth of a second, and no longer", () =>
  Effect.gen(function* () {
    const { budget, evicted, request, served } = yield* crowded(4)
    for (const name of ["a", "b", "c", "d"]) request(name)
    budget.release(true)
    assert.deepStrictEqual([served, evicted], [["a"], [0]])
    yield* TestClock.adjust("99 millis")
    assert.lengthOf(evicted, 1)
    yield* TestClock.adjust("1 millis")
    assert.lengthOf(evicted, 2)
    // The first still hangs: the others go past it, one after another.
    budget.release(true)
    budget.settle()
    assert.deepStrictEqual(served, ["a", "b"])
    assert.lengthOf(evicted, 3)
    budget.release(true)
    budget.settle()
    assert.deepStrictEqual(served, ["a", "b", "c"])
    assert.lengthOf(evicted, 4)
    budget.release(true)
    request("e")
    request("f")
    budget.settle()
    assert.isTrue(budget.isContested())
    // A second later it is one at a time again.
    yield* TestClock.adjust("1 second")
    budget.settle()
    budget.leave()
    assert.isFalse(budget.isContested())
    assert.deepStrictEqual(served, ["a", "b", "c", "d"])
  })
)

it.effect("whatever comes and goes, no pool is overtaken, and no slot is lost or given twice", () =>
  Effect.gen(function* () {
    let state = 20_261_122
    const random = (below: number) => {
      state ^= state << 13
      state ^= state >>> 17
      state ^= state << 5
      return (state >>> 0) % below
    }
    const max = 9
    const budget = yield* make(max)
    let [opening, leaving, granted, waits] = [0, 0, 0, 0]
    const idle = new Set<IdleConnection>()
    const busy = new Set<IdleConnection>()
    const ring = new Set<number>()
    /** For each pool in the ring: how many slots had been given, and how many pools stood before it, when it came. */
    const since = new Map<number, readonly [granted: number, before: number]>()
    const pools = numbers(40).map(
      (pool): Requester => ({
        onSlot: () => {
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
    const leave = (connection: IdleConnection) => {
      idle.delete(connection)
      busy.delete(connection)
      budget.removeIdle(connection)
      budget.leave()
      leaving++
    }
    const steps: ReadonlyArray<() => void> = [
      // The first pool floods: it requests a slot whenever it can.
      ...[0, random(40), random(40)].map((_, turn) => () => {
        const pool = turn === 0 ? 0 : random(40)
        if (ring.has(pool)) return
        since.set(pool, [granted, ring.size])
        ring.add(pool)
        const requester = pools[pool]
        if (requester !== undefined && budget.request(requester)) {
          ring.delete(pool)
          opening++
        }
      }),
      () => {
        if (opening === 0) return
        opening--
        const connection: IdleConnection = { evict: () => leave(connection) }
        // One opening in five fails.
        if (random(5) === 0) budget.release(false)
        else busy.add(connection)
        budget.settle()
      },
      () => {
        const [connection] = busy
        if (connection === undefined) return
        busy.delete(connection)
        if (budget.isContested()) leave(connection)
        else {
          idle.add(connection)
          budget.addIdle(connection)
        }
      },
      () => {
        if (leaving === 0) return
        leaving--
        budget.release(true)
      },
      () => {
        const [pool] = ring
        const requester = pools[pool ?? 0]
        if (pool === undefined || requester === undefined || random(10) > 0) return
        budget.withdraw(requester)
        ring.delete(pool)
      }
    ]
    for (const _ of numbers(20_000)) {
      steps[random(steps.length)]?.()
      const open = busy.size + idle.size
      assert.strictEqual(budget.used(), open + opening + leaving)
      assert.isAtMost(budget.used(), max)
      // No pool waits while a slot is free, nor while a connection is idle and a change may begin.
      if (ring.size > 0) assert.strictEqual(budget.used(), max)
      if (ring.size > leaving && leaving + opening < 3) assert.strictEqual(idle.size, 0)
      // An opening while slots are free is no change of hands; else no more than a quarter changes.
      if (open === max) assert.strictEqual(leaving + opening, 0)
    }
    assert.isAbove(waits, 1_000)
  })
)

it.effect("a free slot is offered to those who only take what is free, behind all that wait for one", () =>
  Effect.gen(function* () {
    const budget = yield* make(2)
    const served: Array<string> = []
    const microtasks = Effect.promise(() => Promise.resolve())
    const hopes = (name: string): (() => void) => {
      const onFree = () => {
        if (budget.takeFree(onFree)) served.push(name)
      }
      return onFree
    }
    const [a, b, c] = [hopes("a"), hopes("b"), hopes("c")]
    for (const _ of numbers(2)) assert.isTrue(budget.takeFree())
    for (const onFree of [a, b, c]) onFree()
    assert.isFalse(budget.request({ onSlot: () => served.push("waits") }))
    budget.release(false)
    yield* microtasks
    assert.deepStrictEqual(served, ["waits"], "who waits comes first")
    budget.release(false)
    assert.isTrue(budget.takeFree())
    yield* microtasks
    assert.deepStrictEqual(served, ["waits"], "who gave it back may take it again")
    budget.forget(a)
    budget.release(false)
    yield* microtasks
    assert.deepStrictEqual(served, ["waits", "b"], "then the first that has not gone")
    budget.release(false)
    budget.release(false)
    yield* microtasks
    assert.deepStrictEqual(served, ["waits", "b", "c"], "each hears of it once")
    assert.strictEqual(budget.used(), 1)
  })
)

it.effect(
  "a pool that is next itself keeps its connection for that turn and joins the ring again at its end",
  () =>
    Effect.gen(function* () {
      const budget = yield* make(2)
      const served: Array<string> = []
      const requester = (name: string): Requester => ({ onSlot: () => served.push(name) })
      const [a, b, c] = [requester("a"), requester("b"), requester("c")]
      for (const _ of numbers(2)) {
        assert.isTrue(budget.request(a))
        budget.settle()
      }
      assert.isFalse(budget.mustYield(a), "no pool waits")
      assert.isFalse(budget.request(a))
      assert.isFalse(budget.mustYield(a), "the pool itself is next")
      assert.isFalse(budget.request(b))
      assert.isFalse(budget.mustYield(a), "the pool itself is next, before another")
      assert.isTrue(budget.mustYield(a), "now it stands behind the other")
      assert.isTrue(budget.mustYield(c), "a pool that does not wait is never next")
      budget.leave()
      assert.isFalse(budget.mustYield(a), "the other gets the slot that is about to come free")
      budget.release(true)
      assert.deepStrictEqual(served, ["b"])
      budget.withdraw(a)
      assert.isFalse(budget.mustYield(b), "no pool waits any more")
    })
)

it.effect(
  "the slots available to a pool are those free, and those of idle connections that no other waits for",
  () =>
    Effect.gen(function* () {
      const budget = yield* make(4)
      const requester = (): Requester => ({ onSlot: () => undefined })
      const [a, b] = [requester(), requester()]
      assert.strictEqual(budget.available(a), 4)
      for (const _ of numbers(4)) {
        assert.isTrue(budget.request(a))
        assert.strictEqual(budget.available(b), 4 - budget.used())
      }
      assert.isFalse(budget.request(b))
      assert.deepStrictEqual([budget.available(a), budget.available(b)], [0, 0])
      // While four open, no change may begin: the connection stays idle.
      budget.addIdle({ evict: () => budget.leave() })
      assert.isFalse(budget.isContested())
      assert.deepStrictEqual([budget.available(a), budget.available(b)], [0, 1])
      budget.withdraw(b)
      assert.deepStrictEqual([budget.available(a), budget.available(b)], [1, 1])
    })
)
