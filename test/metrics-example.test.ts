/** The metrics example: text for Prometheus, and what a collector gets by OTLP. */
import { createServer } from "node:http"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { database } from "./support/database.ts"
import { program } from "./support/process.ts"

/** A collector that keeps what it is sent, by path. */
const collector = Effect.acquireRelease(
  Effect.callback<{ readonly url: string; readonly got: Map<string, string>; readonly close: () => void }>(
    (resume) => {
      const got = new Map<string, string>()
      const server = createServer((request, response) => {
        let body = ""
        request.on("data", (chunk: Buffer) => {
          body += chunk.toString()
        })
        request.on("end", () => {
          const path = request.url ?? ""
          got.set(path, (got.get(path) ?? "") + body)
          response.end("{}")
        })
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, got, close: () => server.close() }))
      })
    }
  ),
  ({ close }) => Effect.sync(close)
)

it.live("examples/metrics.ts prints metrics, and exports them with its spans", () =>
  Effect.gen(function* () {
    const { sessions, settings, url } = yield* database()
    const { got, url: endpoint } = yield* collector
    const running = yield* program("examples/metrics.ts", {
      env: { DATABASE_URL: url, OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, NO_COLOR: "1" }
    })
    const { code } = yield* running.exit
    assert.strictEqual(code, 0, running.stderr())
    const pool = `db_client_connection_pool_name="${settings.database}"`
    const text = running.stdout()
    assert.include(text, "# TYPE db_client_connection_wait_time histogram")
    assert.include(text, `db_client_connection_count{${pool},db_client_connection_state="idle"} 4`)
    assert.include(text, `db_client_connection_opened{${pool}} 4`)
    assert.include(text, `db_client_connection_wait_time_count{${pool}} 21`)
    const spans = got.get("/v1/traces") ?? ""
    for (const name of ["report", "sql.transaction", "INSERT numbers", "SELECT numbers"]) {
      assert.include(spans, `"name":"${name}"`)
    }
    assert.include(spans, "db.query.text")
    assert.include(got.get("/v1/metrics") ?? "", "db.client.connection.wait_time")
    for (const sent of got.values()) assert.notInclude(sent, settings.password)
    assert.deepStrictEqual(yield* sessions, [])
  })
)
