/** The page of the pools: what it shows, as a text, in a browser and without JavaScript, and what it never shows. */
import { createServer, type RequestListener, type Server } from "node:http"
import { NodeHttpServer } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { HttpRouter, HttpServer } from "effect/http"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { PG, PoolRegistry } from "effect-global-pool"
import { PoolsPage } from "effect-global-pool/pools-page"
import { browse, browser } from "./support/browser.ts"
import { eventually } from "./support/database.ts"
import { type Given, withDatabase } from "./support/handle.ts"
import { ask } from "./support/http.ts"

/** A server of Node's for as long as the scope is open; gives its address. */
const listening = (handler: RequestListener) =>
  Effect.acquireRelease(
    Effect.callback<readonly [url: string, server: Server]>((resume) => {
      const server = createServer(handler)
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        resume(Effect.succeed([`http://127.0.0.1:${port}`, server]))
      })
    }),
    ([, server]) =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  ).pipe(Effect.map(([url]) => url))

/** A server with the page on it; counts the looks at it. */
const mounted = Effect.gen(function* () {
  const page = yield* PoolsPage.handler
  let looks = 0
  const url = yield* listening((request, response) => {
    if (request.url !== "/pools") return response.writeHead(404).end()
    looks++
    return page(request, response)
  })
  return { url: `${url}/pools`, looks: () => looks }
})

/** One transaction holds a lock, and another one's statement waits for it. */
const blocked = Effect.fnUntraced(function* ({ pgdb, witness }: Given) {
  yield* witness.query("create table accounts (id int primary key, owner text)")
  yield* witness.query("insert into accounts values (1, 'Ada')")
  const holds = yield* Deferred.make<void>()
  const letGo = yield* Deferred.make<void>()
  const change = pgdb.execute("update accounts set owner = 'Secret' where id = 1")
  const holder = yield* Effect.forkChild(
    pgdb.transaction(
      Effect.andThen(change, Effect.andThen(Deferred.succeed(holds, undefined), Deferred.await(letGo)))
    )
  )
  yield* Deferred.await(holds)
  const waiter = yield* Effect.forkChild(
    pgdb.transaction(pgdb.execute("delete from accounts where owner <> 'TopSecret'"))
  )
  yield* eventually(
    "the second waits",
    witness.query("select count(*)::int as n from pg_locks where not granted"),
    ([row]) => Number(row?.n) > 0
  )
  return Effect.andThen(Deferred.succeed(letGo, undefined), Fiber.joinAll([holder, waiter]))
})

withDatabase("the page says what is open, what ran, and who waits for whom, without a value", [], (given) =>
  Effect.gen(function* () {
    const { pgdb, settings } = given
    yield* pgdb.select("select 'Secret', 4711 as answer, $1::text as <b>", ["Secret"]).pipe(Effect.exit)
    yield* pgdb.select("select pg_sleep(0.2)")
    const { url } = yield* mounted
    const end = yield* blocked(given)
    const { status, text, type } = yield* ask(url)
    assert.strictEqual(status, 200)
    assert.strictEqual(type, "text/html; charset=utf-8")
    assert.include(text, `<h2>${settings.database}</h2>`)
    assert.match(text, /<dt>in use<\/dt><dd>2<\/dd>/)
    assert.match(text, /<polyline class="open" points="[\d., ]+"/)
    assert.include(text, "<caption>Slowest statements</caption>")
    assert.match(text, /<code>select pg_sleep\(…\)<\/code>/)
    assert.include(text, "<caption>Who waits for whom</caption>")
    assert.include(text, "<code>delete from accounts where owner &lt;&gt; &#39;…&#39;</code>")
    assert.include(text, "<code>update accounts set owner = &#39;…&#39; where id = …</code>")
    assert.include(text, "&lt;b&gt;")
    for (const secret of ["Secret", "4711", "<b>", settings.password]) assert.notInclude(text, secret)
    yield* end
  })
)

withDatabase(
  "the page is there when all connections of a pool wait, and opens none where none is left",
  [],
  (given) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...given.settings, maxConnections: 2 })
      const { url } = yield* mounted
      const end = yield* blocked({ ...given, pgdb })
      assert.include((yield* ask(url)).text, "<caption>Who waits for whom</caption>")
      yield* end
    }).pipe(
      Effect.andThen(
        Effect.gen(function* () {
          yield* given.witness.query("drop table accounts")
          const { url } = yield* mounted
          const end = yield* blocked(given)
          assert.include((yield* ask(url)).text, "could not be asked")
          yield* end
        }).pipe(Effect.provide(PoolRegistry.layer({ maxConnections: 2 })))
      )
    )
)

withDatabase("the page takes only looks, and leaves no connection", [], ({ pgdb, sessions, until }) =>
  Effect.gen(function* () {
    const { url } = yield* mounted
    const letGo = yield* Deferred.make<void>()
    const inUse = yield* Deferred.make<void>()
    const holder = yield* Effect.forkChild(
      pgdb.transaction(
        Effect.andThen(
          pgdb.select("select 1"),
          Effect.andThen(Deferred.succeed(inUse, undefined), Deferred.await(letGo))
        )
      )
    )
    yield* Deferred.await(inUse)
    for (const method of ["GET", "HEAD"]) assert.strictEqual((yield* ask(url, { method })).status, 200)
    assert.strictEqual((yield* ask(url, { method: "POST", body: "x" })).status, 405)
    yield* until("only the pool's own is left", (all) => all.length === 1)
    yield* Deferred.succeed(letGo, undefined)
    yield* Fiber.join(holder)
    assert.lengthOf(yield* sessions, 1)
  })
)

it.live("PoolsPage.layer is a route of Effect's HttpRouter, at the path that is given", () =>
  Effect.gen(function* () {
    const routes = PoolsPage.layer("/internal/pools").pipe(Layer.provide(PoolRegistry.layer()))
    const served = HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
      Layer.provideMerge(NodeHttpServer.layer(() => createServer(), { port: 0 }))
    )
    yield* Effect.gen(function* () {
      const { address } = yield* HttpServer.HttpServer
      const port = "port" in address ? address.port : 0
      const { status, text } = yield* ask(`http://127.0.0.1:${port}/internal/pools`)
      assert.strictEqual(status, 200)
      assert.include(text, "<h1>Pools</h1>")
      assert.strictEqual((yield* ask(`http://127.0.0.1:${port}/pools`)).status, 404)
    }).pipe(Effect.provide(served))
  })
)

const inBrowser = (
  name: string,
  body: (given: Given) => Effect.Effect<void, unknown, PoolRegistry | Scope.Scope>
) => {
  if (browser === undefined) it.skip(`${name} (no Chromium here)`, () => undefined)
  else withDatabase(name, [], body)
}

inBrowser("a browser shows it, and shows what is new without another load", ({ pgdb }) =>
  Effect.gen(function* () {
    yield* pgdb.select("select 1 as before_the_load")
    const { looks, url } = yield* mounted
    const shown = yield* Effect.forkChild(browse(url, "--virtual-time-budget=9000", "--dump-dom"))
    yield* eventually(
      "the browser has loaded the page",
      Effect.sync(looks),
      (count) => count >= 1,
      "30 seconds"
    )
    yield* pgdb.select("select 2 as behind_the_load")
    const dom = yield* Fiber.join(shown)
    assert.isAtLeast(looks(), 2)
    assert.include(dom, "before_the_load")
    assert.include(dom, "behind_the_load")
    assert.match(dom, /<span id="state">live<\/span>/)
    assert.match(dom, /<svg[^>]*role="img"/)
  })
)

inBrowser("a browser without JavaScript shows the same figures", ({ pgdb }) =>
  Effect.gen(function* () {
    yield* pgdb.select("select 1 as figures")
    const { looks, url } = yield* mounted
    const { text } = yield* ask(url)
    // A page in a sandbox runs no script.
    const still = yield* listening((_, response) =>
      response.writeHead(200, { "content-type": "text/html", "content-security-policy": "sandbox" }).end(text)
    )
    const dom = yield* browse(still, "--virtual-time-budget=5000", "--dump-dom")
    assert.strictEqual(looks(), 1)
    assert.include(dom, "figures")
    assert.include(dom, "load again for newer figures")
  })
)
