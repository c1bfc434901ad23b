/**
 * Two bundles in one process, each with its own copies of this package and of Effect: they share one registry and get along.
 */
import * as Path from "node:path"
import { pathToFileURL } from "node:url"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { build } from "esbuild"
import type * as Page from "./bundles/page.ts"
import { root } from "./support/build.ts"
import { database } from "./support/database.ts"
import { folder } from "./support/folder.ts"

/** The page in one file, with all that it imports. */
const bundle = Effect.fnUntraced(function* (name: string) {
  const outfile = Path.join(yield* folder(), `${name}.mjs`)
  yield* Effect.promise(() =>
    build({
      entryPoints: [Path.join(root, "test/bundles/page.ts")],
      outfile,
      bundle: true,
      minify: true,
      format: "esm",
      platform: "node",
      target: "node20",
      logLevel: "silent"
    })
  )
  return yield* Effect.promise((): Promise<typeof Page> => import(pathToFileURL(outfile).href))
})

it.live("a page and a route handler in bundles of their own share one pool", () =>
  Effect.gen(function* () {
    const { sessions, settings } = yield* database()
    const [first, second] = yield* Effect.all([bundle("page"), bundle("route")], { concurrency: 2 })
    assert.notStrictEqual(first.PG, second.PG)
    const given = { ...settings, acquireTimeout: "5 seconds" } as const
    const [page, route] = [first.make(given), second.make(given)]
    const run = <A>(promise: () => Promise<A>) => Effect.promise(promise)
    assert.strictEqual(yield* run(page.pid), yield* run(route.pid))
    assert.deepStrictEqual(yield* run(route.pools), yield* run(page.pools))
    assert.lengthOf(yield* run(page.pools), 1)
    for (const one of [page, route]) {
      assert.lengthOf(yield* run(one.rows), 100)
      assert.deepStrictEqual(yield* run(one.client), [{ n: 1n }])
      assert.deepStrictEqual(yield* run(one.transaction), [{ at: new Date(0), l: [1] }])
      assert.strictEqual(yield* run(one.failure), "SqlError: UnknownError")
      assert.strictEqual(yield* run(one.refusal), "PoolError: StatementRefused")
      assert.strictEqual(yield* run(one.timeout), "AcquireTimeout")
    }
    // The registry lives as long as one of them holds it.
    yield* run(page.dispose)
    assert.lengthOf(yield* run(route.rows), 100)
    yield* run(route.dispose)
    assert.deepStrictEqual(yield* sessions, [])
  })
)
