/** A request to cancel that is late hits nothing but the statement that it was meant for. */
import * as Net from "node:net"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { PoolRegistry } from "effect-global-pool"
import { PG } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"
import type { TestServer } from "./support/server.ts"

const cancelRequest = 80_877_102

/** The server behind a network on which the first request to cancel takes so long. */
const slowCancel = (server: TestServer, millis: number) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Net.Server>((resume) => {
        let isFirst = true
        const front = Net.createServer((client) => {
          const upstream = Net.connect(server.port, server.host)
          client.once("data", (chunk: Buffer) => {
            const isCancel = chunk.length === 16 && chunk.readInt32BE(4) === cancelRequest
            const wait = isCancel && isFirst ? millis : 0
            if (isCancel) isFirst = false
            // The slowness is what is being simulated here.
            setTimeout(() => {
              upstream.write(chunk)
              client.pipe(upstream)
              upstream.pipe(client)
            }, wait)
          })
          client.on("error", () => upstream.destroy())
          upstream.on("error", () => client.destroy())
        })
        front.listen(0, "127.0.0.1", () => resume(Effect.succeed(front)))
      }),
      (front) => Effect.sync(() => front.close())
    ),
    (front) => {
      const address = front.address()
      return { ...server, host: "127.0.0.1", port: typeof address === "object" ? (address?.port ?? 0) : 0 }
    }
  )

const uses: Readonly<
  Record<string, (pgdb: PG.Database) => Effect.Effect<unknown, PG.OperationError, PoolRegistry>>
> = {
  "a statement": (pgdb) => pgdb.execute("select pg_sleep(30)"),
  "a transaction": (pgdb) => pgdb.transaction(pgdb.execute("select pg_sleep(30)")),
  "a savepoint": (pgdb) => pgdb.transaction(pgdb.transaction(pgdb.execute("select pg_sleep(30)"))),
  "a batch": (pgdb) => pgdb.trans(["select 1", "select pg_sleep(30)"])
}

withDatabase("of a savepoint that was interrupted: its transaction goes on", [], (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make(yield* slowCancel(given.settings, 700))
    const inner = pgdb.transaction(pgdb.execute("select pg_sleep(30)"))
    yield* pgdb.transaction(
      Effect.andThen(Effect.timeoutOption(inner, "100 millis"), pgdb.select("select pg_sleep(0.7)::text"))
    )
  })
)

for (const [name, use] of Object.entries(uses)) {
  withDatabase(`of ${name} that was interrupted: the next one on its connection is left alone`, [], (given) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...(yield* slowCancel(given.settings, 700)), maxConnections: 1 })
      const fiber = yield* Effect.forkChild(use(pgdb))
      yield* given.until("it sleeps", (sessions) => sessions.some(({ waitEvent }) => waitEvent === "PgSleep"))
      yield* Fiber.interrupt(fiber)
      // Longer than the request takes.
      const next = yield* Effect.result(pgdb.select("select 1 as one, pg_sleep(0.7)::text as nap"))
      assert.strictEqual(next._tag, "Success", String(next._tag === "Failure" ? next.failure : ""))
    })
  )
}
