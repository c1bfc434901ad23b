/**
 * A thousand first calls at once, through a hundred handles, open one pool; and the server never has more connections
 * than the pool may have, at no moment of the burst.
 */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { PG, PoolRegistry } from "effect-global-pool"
import { database, type TestDatabase } from "./support/database.ts"
import { proxy } from "./support/proxy.ts"

/** Looks at the server for as long as it is not interrupted, and keeps the most sessions seen at one time. */
const peakOf = Effect.fnUntraced(function* ({ sessions }: TestDatabase) {
  const seen = { most: 0, looks: 0 }
  const look = Effect.map(sessions, ({ length }) => {
    seen.most = Math.max(seen.most, length)
    seen.looks++
  })
  const fiber = yield* Effect.forkChild(Effect.forever(look))
  return Effect.as(Fiber.interrupt(fiber), seen)
})

const burst = Effect.fnUntraced(function* (given: TestDatabase, maxConnections: number, statement: string) {
  const between = yield* proxy(given.settings)
  const settings: PG.Settings = { ...given.settings, ...between.address, maxConnections }
  const handles = Array.from({ length: 100 }, (_, index) => {
    const pgdb = PG.make({ ...settings })
    return index % 2 === 0 ? pgdb : pgdb.table(`table_${index}`)
  })
  const stop = yield* peakOf(given)
  const answers = yield* Effect.forEach(
    Array.from({ length: 1_000 }, (_, index) => index),
    (index) => handles[index % 100]!.selectOne<{ pid: number; index: number }>(statement, [index]),
    { concurrency: "unbounded" }
  )
  const seen = yield* stop
  const rows = answers.flatMap(Option.toArray)
  return {
    seen,
    between,
    indices: rows.map(({ index }) => index),
    pids: new Set(rows.map(({ pid }) => pid)),
    pools: yield* PoolRegistry.stats
  }
})

const thousand = Array.from({ length: 1_000 }, (_, index) => index)

it.live("a thousand first calls open one pool, within its connections", () =>
  Effect.gen(function* () {
    const given = yield* database()
    const { between, indices, pids, pools, seen } = yield* burst(
      given,
      4,
      "select pg_backend_pid() as pid, $1::int as index"
    )
    assert.deepStrictEqual(indices, thousand)
    assert.lengthOf(pools, 1)
    assert.isAbove(seen.looks, 0)
    for (const most of [seen.most, between.peak(), between.opened(), pids.size, pools[0]!.open]) {
      assert.isAtMost(most, 4)
    }
  }).pipe(Effect.provide(PoolRegistry.layer()))
)

it.live("statements that take their time use every connection, and not one more", () =>
  Effect.gen(function* () {
    const given = yield* database()
    const { between, indices, pids, pools, seen } = yield* burst(
      given,
      10,
      "select pg_backend_pid() as pid, $1::int as index, pg_sleep(0.005)::text"
    )
    assert.deepStrictEqual(indices, thousand)
    assert.strictEqual(pids.size, 10)
    assert.strictEqual(seen.most, 10)
    assert.strictEqual(between.peak(), 10)
    assert.deepStrictEqual(pools, [
      { key: given.settings.database, open: 10, inUse: 0, idle: 10, waiting: 0, max: 10 }
    ])
  }).pipe(Effect.provide(PoolRegistry.layer()))
)
