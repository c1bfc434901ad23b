/**
 * The page of the pools: what is open, in use and waiting, by pool, now and over the last minutes; the slowest and the most
 * frequent statements; who waits for whom. Nothing is watched until a program mounts it. It shows no parameter, no literal of a
 * statement and no secret; names of databases, tables and columns it does, so it belongs behind whatever keeps strangers out.
 */
import { randomBytes } from "node:crypto"
import type { IncomingMessage, ServerResponse } from "node:http"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import type { Pool } from "../pool/Pool.ts"
import type { KnownText } from "../pool/StatementCache.ts"
import { PoolRegistry } from "../registry/PoolRegistry.ts"
import { describe } from "../settings/Settings.ts"
import * as History from "./History.ts"
import * as Html from "./Html.ts"
import * as Waits from "./Waits.ts"

const mostStatements = 10

const top = (
  all: ReadonlyArray<KnownText>,
  by: (usage: KnownText["usage"]) => number
): ReadonlyArray<Html.Statistics> =>
  all
    .slice()
    .sort((left, right) => by(right.usage) - by(left.usage))
    .slice(0, mostStatements)
    .map(({ text, usage }) => ({ ...usage, text: Waits.withoutValues(text) }))

/** The body of the page and the headers that go with it. */
interface Page {
  readonly body: string
  readonly headers: Readonly<Record<string, string>>
}

const make: Effect.Effect<Effect.Effect<Page>, never, PoolRegistry | Scope.Scope> = Effect.gen(function* () {
  const registry = yield* PoolRegistry
  const history = yield* History.make(registry.stats)
  const viewOf = (pool: Pool, samples: ReadonlyArray<History.Sample>) =>
    Effect.map(Waits.look(pool), (waits): Html.PoolView => {
      const all = Array.from(pool.statements.texts()).filter(({ usage }) => usage.runs > 0)
      return {
        stats: pool.stats(),
        where: describe(pool.settings),
        samples,
        slowest: top(all, ({ millis, runs }) => millis / runs),
        mostFrequent: top(all, ({ runs }) => runs),
        waits
      }
    })
  return Effect.gen(function* () {
    const samples = yield* history
    const pools = yield* registry.pools
    const views = yield* Effect.forEach(pools, (pool) => viewOf(pool, samples.get(pool.settings.key) ?? []), {
      concurrency: 8
    })
    const nonce = randomBytes(16).toString("base64")
    const at = yield* Clock.currentTimeMillis
    return {
      body: Html.render({ at, used: registry.budget.used(), max: registry.budget.max, pools: views }, nonce),
      headers: {
        "content-type": "text/html; charset=utf-8",
        "cache-control": "no-store",
        "content-security-policy": `default-src 'none'; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'`,
        "x-content-type-options": "nosniff"
      }
    }
  })
})

/**
 * The page as a route of Effect's `HttpRouter`, at `/pools` unless another path is given.
 *
 * **Example** (A server with the page)
 *
 * ```ts
 * import { HttpRouter } from "effect/http"
 * import { Layer } from "effect"
 * import { PG } from "effect-global-pool"
 * import { PoolsPage } from "effect-global-pool/pools-page"
 *
 * const routes = PoolsPage.layer("/internal/pools").pipe(Layer.provide(PG.layer))
 * const served = HttpRouter.serve(routes)
 * ```
 */
export const layer = (
  path: HttpRouter.PathInput = "/pools"
): Layer.Layer<never, never, HttpRouter.HttpRouter | PoolRegistry> =>
  Layer.unwrap(
    Effect.map(make, (page) =>
      HttpRouter.add(
        "GET",
        path,
        Effect.map(page, ({ body, headers }) => HttpServerResponse.text(body, { headers }))
      )
    )
  )

/** Answers one request. */
export type Handler = (request: IncomingMessage, response: ServerResponse) => void

/**
 * The page as a handler for Node's `http` and what is built on it, of the pools of the registry that is provided, for as long as
 * that is there.
 *
 * **Example** (Beside other paths of a server)
 *
 * ```ts
 * import { createServer } from "node:http"
 * import { ManagedRuntime } from "effect"
 * import { PG } from "effect-global-pool"
 * import { PoolsPage } from "effect-global-pool/pools-page"
 *
 * const runtime = ManagedRuntime.make(PG.layer)
 * const page = await runtime.runPromise(PoolsPage.handler)
 * const server = createServer((request, response) =>
 *   request.url === "/pools" ? page(request, response) : response.writeHead(404).end()
 * )
 * await runtime.dispose()
 * ```
 */
export const handler: Effect.Effect<Handler, never, PoolRegistry> = Effect.gen(function* () {
  const { scope } = yield* PoolRegistry
  const page = yield* Scope.provide(make, scope)
  const run = Effect.runForkWith(yield* Effect.context<never>())
  return (request, response) => {
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.writeHead(405, { allow: "GET, HEAD" }).end()
      return
    }
    const answer = Effect.map(page, ({ body, headers }) => {
      response.writeHead(200, headers).end(request.method === "HEAD" ? undefined : body)
    })
    const fiber = run(answer)
    response.once("close", () => fiber.interruptUnsafe())
  }
})
