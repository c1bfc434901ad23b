/** The metrics example: text for Prometheus, and what a collector gets by OTLP. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { collector } from "./support/collector.ts"
import { database } from "./support/database.ts"
import { program } from "./support/process.ts"

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
    const spans = (got.get("/v1/traces") ?? []).join()
    for (const name of ["report", "sql.transaction", "insert numbers select", "select numbers"]) {
      assert.include(spans, `"name":"${name}"`)
    }
    assert.include(spans, "db.query.text")
    assert.include((got.get("/v1/metrics") ?? []).join(), "db.client.connection.wait_time")
    for (const sent of got.values()) assert.notInclude(sent.join(), settings.password)
    assert.deepStrictEqual(yield* sessions, [])
  })
)
