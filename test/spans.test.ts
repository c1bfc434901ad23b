/**
 * Spans of operations by OpenTelemetry's conventions for databases: made where somebody sees them, and never with a value.
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { withDatabase } from "./support/handle.ts"

/** The spans that an effect makes, as they were when it ended. */
const spansOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const spans: Array<Tracer.NativeSpan> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    return Effect.as(Effect.provideService(Effect.exit(effect), Tracer.Tracer, tracer), spans)
  })

const show = (span: Tracer.NativeSpan | undefined) => [
  span?.name,
  span?.kind,
  Object.fromEntries(span?.attributes ?? []),
  span?.status._tag
]

const where = (settings: { readonly host: string; readonly port: number; readonly database: string }) => ({
  "db.system.name": "postgresql",
  "db.namespace": settings.database,
  "server.address": settings.host,
  "server.port": settings.port
})

const table = "create table people (id int primary key, name text)"

withDatabase(
  "a statement's span says what, where and on which table, without a value",
  [table],
  ({ pgdb, settings }) =>
    Effect.gen(function* () {
      const people = pgdb.table("people")
      const spans = yield* spansOf(
        Effect.gen(function* () {
          yield* people.execute`insert into ${people} values (${1}, ${"Ada Secret"})`
          yield* pgdb.select("select 'a literal', 42, name from people where id = $1", [1])
          yield* pgdb.trans(["select 1", ["select $1::text", ["Secret"]]])
        })
      )
      assert.deepStrictEqual(spans.map(show), [
        [
          "INSERT people",
          "client",
          {
            ...where(settings),
            "db.operation.name": "INSERT",
            "db.query.text": 'insert into "people" values ($1, $2)',
            "db.collection.name": "people"
          },
          "Ended"
        ],
        [
          `SELECT ${settings.database}`,
          "client",
          {
            ...where(settings),
            "db.operation.name": "SELECT",
            "db.query.text": "select '…', …, name from people where id = $1"
          },
          "Ended"
        ],
        [
          `BATCH ${settings.database}`,
          "client",
          { ...where(settings), "db.operation.name": "BATCH", "db.operation.batch.size": 2 },
          "Ended"
        ]
      ])
      assert.notInclude(JSON.stringify(spans.map(show)), "Secret")
    })
)

withDatabase("an error's span has the SQLSTATE, or what else it is", [table], ({ pgdb }) =>
  Effect.gen(function* () {
    const spans = yield* spansOf(
      Effect.all(
        [
          pgdb.execute`insert into people values (1), (1)`,
          pgdb.execute`lock table people`,
          Stream.runDrain(pgdb.stream`select 1 / (3 - n) from generate_series(1, 5) n`)
        ],
        { mode: "result" }
      )
    )
    const errors = spans.map(({ attributes }) => [
      attributes.get("db.response.status_code"),
      attributes.get("error.type")
    ])
    assert.deepStrictEqual(errors, [
      ["23505", "23505"],
      ["25P01", "25P01"],
      ["22012", "22012"]
    ])
  })
)

withDatabase("collections, streams and transactions", [table], ({ pgdb }) =>
  Effect.gen(function* () {
    const people = pgdb.table<{ id: number; name: string }>("people")
    const spans = yield* spansOf(
      pgdb.transaction(
        Effect.gen(function* () {
          yield* people.insert({ id: 1, name: "Ada" })
          yield* people.find({ id: 1 })
          yield* Stream.runDrain(people.stream`select * from ${people}`)
          yield* Stream.runDrain(people.findStream({}))
        })
      )
    )
    const names = spans.map(({ name }) => name)
    assert.strictEqual(names[0], "sql.transaction")
    assert.includeMembers(names, ["INSERT people", "SELECT people"])
    assert.strictEqual(spans[0]?.attributes.get("db.system.name"), "postgresql")
    for (const span of spans.slice(1)) {
      assert.strictEqual(span.parent._tag === "Some" ? span.parent.value.spanId : "", spans[0]?.spanId)
      assert.strictEqual(span.status._tag, "Ended")
      assert.strictEqual(span.attributes.get("db.collection.name"), "people")
    }
  })
)
