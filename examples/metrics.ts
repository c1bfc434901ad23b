/**
 * What a program's pools do, seen from outside: metrics as text for Prometheus, and, where OTEL_EXPORTER_OTLP_ENDPOINT names
 * a collector, metrics, spans and logs by OTLP.
 *
 *     npx tsx examples/metrics.ts
 *     OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 npx tsx examples/metrics.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer, Option } from "effect"
import { FetchHttpClient } from "effect/http"
import { Otlp, PrometheusMetrics } from "effect/observability"
import { PoolRegistry } from "effect-global-pool"
import { database } from "./support/database.ts"

const observability = Layer.unwrap(
  Effect.map(
    Config.option(Config.String("OTEL_EXPORTER_OTLP_ENDPOINT")),
    Option.match({
      onNone: () => Layer.empty,
      onSome: (baseUrl) =>
        Layer.provide(Otlp.layerJson({ baseUrl, resource: { serviceName: "orders" } }), FetchHttpClient.layer)
    })
  )
)

const work = Effect.gen(function* () {
  const pgdb = yield* database
  const numbers = pgdb.table("numbers")

  yield* Effect.gen(function* () {
    yield* pgdb.transaction(
      Effect.gen(function* () {
        yield* numbers.execute`create temporary table ${numbers} (n int) on commit drop`
        yield* numbers.execute`insert into ${numbers} select generate_series(1, ${100}::int)`
        yield* numbers.select`select sum(n) from ${numbers}`
      })
    )
    // More callers than connections: some have to wait.
    yield* Effect.forEach(Array.from({ length: 20 }), () => pgdb.select`select pg_sleep(0.01)`, {
      concurrency: "unbounded"
    })
  }).pipe(Effect.withSpan("report"))

  const text = yield* PrometheusMetrics.format()
  yield* Console.log(text.trim())
})

const program = Effect.scoped(work).pipe(
  Effect.provide(PoolRegistry.layer({ maxConnections: 4 })),
  Effect.provide(observability)
)

NodeRuntime.runMain(program)
