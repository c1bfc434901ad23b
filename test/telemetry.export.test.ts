/**
 * What a collector gets by OTLP, held against OpenTelemetry's conventions for database clients (v1.38, `docs/db`): names, kinds, units,
 * required attributes, and no others than those they have.
 */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { FetchHttpClient } from "effect/http"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import { Otlp } from "effect/observability"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import { PG, PoolRegistry } from "effect-global-pool"
import { collector } from "./support/collector.ts"
import { database } from "./support/database.ts"

/** Every object of an OTLP message that has these fields. */
const all = (value: unknown, ...fields: ReadonlyArray<string>): ReadonlyArray<Record<string, unknown>> => {
  if (Array.isArray(value)) return value.flatMap((one) => all(one, ...fields))
  if (!Predicate.isObject(value)) return []
  const own = Object.entries(value)
  const inner = own.flatMap(([, one]) => all(one, ...fields))
  return fields.every((field) => field in value) ? [Object.fromEntries(own), ...inner] : inner
}

const attributesOf = (value: unknown): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    (Array.isArray(value) ? value : []).map((pair: { key: string; value: Record<string, unknown> }) => [
      pair.key,
      Object.values(pair.value)[0]
    ])
  )

/** Attributes of a span of Postgres, stable ones. */
const spanAttributes = new Set([
  "db.system.name",
  "db.namespace",
  "db.collection.name",
  "db.operation.name",
  "db.operation.batch.size",
  "db.query.summary",
  "db.query.text",
  "db.response.status_code",
  "error.type",
  "server.address",
  "server.port"
])

/** Instrument, unit and attributes of each metric. */
const conventions: Readonly<
  Record<string, readonly [instrument: string, unit: string, ReadonlyArray<string>]>
> = {
  "db.client.operation.duration": [
    "histogram",
    "s",
    [...spanAttributes].filter((name) => !["db.query.text", "db.operation.batch.size"].includes(name))
  ],
  "db.client.connection.count": [
    "up-down counter",
    "{connection}",
    ["db.client.connection.pool.name", "db.client.connection.state"]
  ],
  "db.client.connection.max": ["up-down counter", "{connection}", ["db.client.connection.pool.name"]],
  "db.client.connection.pending_requests": [
    "up-down counter",
    "{request}",
    ["db.client.connection.pool.name"]
  ],
  "db.client.connection.timeouts": ["counter", "{timeout}", ["db.client.connection.pool.name"]],
  "db.client.connection.wait_time": ["histogram", "s", ["db.client.connection.pool.name"]],
  "db.client.connection.create_time": ["histogram", "s", ["db.client.connection.pool.name"]],
  "db.client.connection.use_time": ["histogram", "s", ["db.client.connection.pool.name"]]
}

const client = 3

it.live("spans, metrics and logs are what OpenTelemetry's conventions ask for", () =>
  Effect.gen(function* () {
    const { settings, witness } = yield* database()
    yield* witness.query("create table people (id int primary key, name text)")
    const { got, url } = yield* collector
    const exported = Otlp.layerJson({ baseUrl: url, resource: { serviceName: "test" } }).pipe(
      Layer.provide(FetchHttpClient.layer)
    )
    const pgdb = PG.make({ ...settings, logStatements: "all" })
    const people = pgdb.table<{ id: number; name: string }>("people")
    yield* Effect.gen(function* () {
      yield* people.insert({ id: 1, name: "Secret" })
      yield* people.insertMany([{ id: 2, name: "Secret" }])
      yield* people.select`select * from ${people} where name = ${"Secret"}`
      yield* pgdb.select("with x as (select 'Secret') select * from x, people")
      yield* pgdb.trans([["delete from people where name = $1", ["Secret"]], "select 1"])
      yield* Stream.runDrain(people.findStream({}))
      yield* pgdb.transaction(pgdb.execute("select 1"))
      yield* Effect.exit(people.execute`insert into ${people} values (1, 'a'), (1, ${"Secret"})`)
      yield* Effect.exit(pgdb.execute("select 1 / 0"))
      yield* Effect.exit(pgdb.execute("begin"))
    }).pipe(
      Effect.provide(PoolRegistry.layer({ maxConnections: 3 })),
      Effect.provide(exported),
      Effect.provideService(Metric.MetricRegistry, new Map())
    )
    const sent = (path: string): unknown => (got.get(path) ?? []).map((body): unknown => JSON.parse(body))

    const spans = all(sent("/v1/traces"), "spanId", "kind", "name")
    const statements = spans.filter(({ kind, name }) => kind === client && !String(name).startsWith("pool "))
    assert.isAtLeast(statements.length, 10)
    for (const { attributes, name, status } of statements) {
      const seen = attributesOf(attributes)
      for (const key of Object.keys(seen)) assert.isTrue(spanAttributes.has(key), `${key} on ${name}`)
      assert.strictEqual(seen["db.system.name"], "postgresql")
      assert.strictEqual(seen["db.namespace"], settings.database)
      assert.strictEqual(seen["server.address"], settings.host)
      assert.strictEqual(Number(seen["server.port"]), settings.port)
      assert.strictEqual(seen["db.query.summary"], name)
      const isFailed = Predicate.hasProperty(status, "code") && status.code === 2
      assert.strictEqual("error.type" in seen, isFailed, String(name))
      if (seen["db.operation.batch.size"] !== undefined) {
        assert.notStrictEqual(Number(seen["db.operation.batch.size"]), 1)
      }
    }
    const failures = statements
      .map(({ attributes }) => attributesOf(attributes))
      .filter((seen) => "error.type" in seen)
      .map((seen) => [seen["error.type"], seen["db.response.status_code"]])
    assert.deepStrictEqual(failures, [
      ["23505", "23505"],
      ["22012", "22012"],
      ["StatementRefused", undefined]
    ])

    const metrics = all(sent("/v1/metrics"), "name", "unit")
    for (const [name, [instrument, unit, attributes]] of Object.entries(conventions)) {
      const found = metrics.filter((metric) => metric.name === name)
      assert.isAtLeast(found.length, 1, name)
      for (const metric of found) {
        assert.strictEqual(metric.unit, unit, name)
        const kind = "histogram" in metric ? "histogram" : "sum" in metric ? "sum" : "gauge"
        const isMonotonic = Predicate.hasProperty(metric.sum, "isMonotonic") && metric.sum.isMonotonic
        assert.strictEqual(
          kind === "sum" ? (isMonotonic ? "counter" : "up-down counter") : kind,
          instrument,
          name
        )
        for (const point of all(metric, "attributes", "timeUnixNano")) {
          const keys = Object.keys(attributesOf(point.attributes)).filter((key) => key !== "unit")
          for (const key of keys) assert.include(attributes, key, name)
          if (name === "db.client.operation.duration") {
            assert.deepStrictEqual(point.explicitBounds, [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10])
          }
        }
      }
    }
    const durations = all(
      metrics.filter(({ name }) => name === "db.client.operation.duration"),
      "attributes",
      "timeUnixNano"
    )
    const summaries = durations.map(({ attributes }) => attributesOf(attributes)["db.query.summary"])
    assert.includeMembers(summaries, ["insert people", "select people", "BATCH"])

    const records = all(sent("/v1/logs"), "body", "severityText")
    assert.isAtLeast(records.length, 10)
    for (const bodies of got.values()) {
      assert.notInclude(bodies.join(), "Secret")
      assert.notInclude(bodies.join(), settings.password)
    }
  })
)
