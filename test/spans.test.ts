/**
 * Spans of operations by OpenTelemetry's conventions for databases: made where a tracer takes them, and never with a value.
 */

import * as PgTypes from "@effect/sql-pg/PgTypes"
import { assert } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { PG, PoolRegistry } from "effect-global-pool"
import * as Pooled from "effect-global-pool/kysely"
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

/** Those of operations, without what the pool did on its own account. */
const operationsOf = (spans: ReadonlyArray<Tracer.NativeSpan>) =>
  spans.filter(({ kind, name }) => kind === "client" && !name.startsWith("pool "))

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
          yield* pgdb.select("select 'a literal', 42, true, name from people where id = 1")
          yield* pgdb.select("select 'kept' from people where id = $1", [1])
        })
      )
      assert.deepStrictEqual(spans.map(show), [
        [
          "insert people",
          "client",
          {
            ...where(settings),
            "db.operation.name": "insert",
            "db.query.summary": "insert people",
            "db.query.text": 'insert into "people" values ($1, $2)',
            "db.collection.name": "people"
          },
          "Ended"
        ],
        [
          "select people",
          "client",
          {
            ...where(settings),
            "db.operation.name": "select",
            "db.query.summary": "select people",
            "db.query.text": "select '…', …, …, name from people where id = …"
          },
          "Ended"
        ],
        [
          "select people",
          "client",
          {
            ...where(settings),
            "db.operation.name": "select",
            "db.query.summary": "select people",
            // Its values are parameters: the text says so, and is shown as it is.
            "db.query.text": "select 'kept' from people where id = $1"
          },
          "Ended"
        ]
      ])
      assert.notInclude(JSON.stringify(spans.map(show)), "Secret")
    })
)

withDatabase("a batch's span says what its statements have in common", [table], ({ pgdb, settings }) =>
  Effect.gen(function* () {
    const insert = (id: number) => ["insert into people values ($1)", [id]] as const
    const spans = yield* spansOf(
      Effect.all([
        pgdb.trans(["select 1", ["select $1::text from people", ["Secret"]]]),
        pgdb.trans([insert(1), insert(2), insert(3)]),
        pgdb.trans([insert(4)]),
        pgdb.trans(["delete from people", insert(5)]),
        pgdb.trans([])
      ])
    )
    const seen = spans.map(({ attributes, name }) => [
      name,
      attributes.get("db.operation.name"),
      attributes.get("db.query.text"),
      attributes.get("db.operation.batch.size")
    ])
    const text = "insert into people values ($1)"
    assert.deepStrictEqual(seen, [
      ["BATCH", "BATCH select", "select …; select $1::text from people", 2],
      ["BATCH insert people", "BATCH insert", text, 3],
      ["insert people", "insert", text, undefined],
      ["BATCH", "BATCH", `delete from people; ${text}`, 2],
      ["BATCH", "BATCH", undefined, 0]
    ])
    assert.strictEqual(spans[0]?.attributes.get("db.namespace"), settings.database)
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
    const errors = operationsOf(spans).map(({ attributes }) => [
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

withDatabase("collections, streams and transactions have a span each", [table], ({ pgdb }) =>
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
    assert.includeMembers(names, ["insert people", "select people"])
    assert.strictEqual(spans[0]?.attributes.get("db.system.name"), "postgresql")
    for (const span of spans.slice(1).filter(({ name }) => !name.startsWith("pool "))) {
      assert.strictEqual(span.parent._tag === "Some" ? span.parent.value.spanId : "", spans[0]?.spanId)
      assert.strictEqual(span.status._tag, "Ended")
      assert.strictEqual(span.attributes.get("db.collection.name"), "people")
    }
  })
)

withDatabase("what a pool does on its own account has spans of its own", [], ({ settings, witness }) =>
  Effect.gen(function* () {
    yield* witness.query("create type mood as enum ('sad', 'happy')")
    yield* witness.query("create table people (id int, mood mood, born date)")
    // The layer is built inside, so the pool's fibers have the tracer too.
    const spans = yield* spansOf(
      Effect.gen(function* () {
        const pgdb = PG.make(settings)
        yield* pgdb.execute`insert into people values (1, 'happy', ${new Date(0)})`
        yield* pgdb.execute("set work_mem = '5MB'")
        yield* pgdb.select("select array[mood] from people")
        yield* Effect.exit(PG.make({ ...settings, port: 1, key: "away" }).select("select 1"))
        const heard = yield* Deferred.make<void>()
        yield* Effect.scoped(
          Effect.andThen(
            Effect.forkScoped(
              Stream.runDrain(pgdb.listen("news", { onListen: Deferred.succeed(heard, undefined) }))
            ),
            Deferred.await(heard)
          )
        )
      }).pipe(Effect.provide(PoolRegistry.layer()))
    )
    const own = spans.filter(({ name }) => name.startsWith("pool "))
    const byName = (name: string) => own.filter((span) => span.name === name)
    assert.isAbove(byName("pool connect").length, 1)
    assert.isAbove(byName("pool describe").length, 0)
    assert.isAbove(byName("pool learn types").length, 0)
    assert.isAbove(byName("pool reset").length, 0)
    assert.strictEqual(byName("pool listen").length, 1)
    for (const { attributes, kind, status } of own) {
      assert.strictEqual(kind, "client")
      assert.strictEqual(status._tag, "Ended")
      assert.strictEqual(attributes.get("db.system.name"), "postgresql")
    }
    const failed = byName("pool connect").filter(({ attributes }) => attributes.has("error.type"))
    assert.include(
      failed.map(({ attributes }) => attributes.get("error.type")),
      "ConnectionError"
    )
  })
)

withDatabase("every failure has its type, an interruption and a defect too", [table], ({ pgdb, settings }) =>
  Effect.gen(function* () {
    const people = pgdb.table("people", Schema.Struct({ id: Schema.Int, name: Schema.String }))
    const spans = yield* spansOf(
      Effect.all([
        Effect.exit(pgdb.execute("begin")),
        Effect.exit(Effect.timeoutOption(pgdb.select("select pg_sleep(10)"), "50 millis")),
        Effect.exit(PG.make({ ...settings, key: "away", port: 1 }).select("select 2")),
        Effect.exit(pgdb.trans(["select 3", "select 4/0"])),
        Effect.exit(people.insert({ id: 1, name: "Ada" }))
      ])
    )
    const errors = spans
      .filter(({ kind, name }) => kind === "client" && !name.startsWith("pool "))
      .map(({ attributes, name }) => [
        name,
        attributes.get("error.type"),
        attributes.get("db.response.status_code")
      ])
    assert.deepStrictEqual(errors.slice(0, 4), [
      ["begin", "StatementRefused", undefined],
      ["select", "Interrupted", undefined],
      ["select", "ConnectionError", undefined],
      ["BATCH select", "22012", "22012"]
    ])
  })
)

withDatabase("failures of pgdb.client are on the spans of its statements", [table], ({ pgdb }) =>
  Effect.gen(function* () {
    const sql = yield* pgdb.client
    const spans = yield* spansOf(
      Effect.all(
        [
          sql`select 1 / 0`,
          sql.unsafe("select 'Secret' from nowhere"),
          sql`insert into people values (1, ${"Secret"}), (1, 'b')`.raw,
          sql`select 1 / 0`.values,
          Stream.runDrain(sql`select 1 / (3 - n) from generate_series(1, 5) n`.stream),
          sql.withTransaction(sql`select 2 / 0`),
          sql`begin`,
          sql`select ${1}::int as fine`
        ],
        { mode: "result" }
      )
    )
    const statements = spans.filter(({ attributes }) => attributes.has("effect.sql.method"))
    assert.deepStrictEqual(
      statements.map(({ attributes }) => [
        attributes.get("error.type"),
        attributes.get("db.response.status_code")
      ]),
      [
        ["22012", "22012"],
        ["42P01", "42P01"],
        ["23505", "23505"],
        ["22012", "22012"],
        ["22012", "22012"],
        ["22012", "22012"],
        ["StatementRefused", undefined],
        [undefined, undefined]
      ]
    )
    // A statement makes one span, and no literal is on it.
    assert.lengthOf(operationsOf(spans), statements.length)
    assert.strictEqual(statements[1]?.attributes.get("db.query.text"), "select '…' from nowhere")
    assert.notInclude(JSON.stringify(spans.map(show)), "Secret")
  })
)

withDatabase(
  "statements of pgdb.client that cannot be sent show why on their spans, and no literal",
  [table],
  ({ pgdb, settings }) =>
    Effect.gen(function* () {
      const sql = yield* pgdb.client
      const text = "alter role nobody password 'Secret'"
      const one = [PgTypes.numeric("none")]
      const spans = yield* spansOf(
        Effect.gen(function* () {
          yield* Effect.exit(sql.unsafe(text, one))
          yield* Effect.exit(Stream.runDrain(sql.unsafe(text, one).stream))
          yield* pgdb.terminate
          const other = PG.make({ ...settings, maxConnections: 2 })
          const inside = Effect.all([Effect.exit(sql.unsafe(text)), Effect.exit(sql.unsafe(text).values)])
          yield* other.transaction(Effect.andThen(other.select("select 1"), inside))
        })
      )
      const statements = spans.filter(({ attributes }) => attributes.has("effect.sql.method"))
      assert.deepStrictEqual(
        statements.map(({ attributes }) => attributes.get("error.type")),
        ["StatementRefused", "StatementRefused", "DatabaseConflict", "DatabaseConflict"]
      )
      assert.notInclude(JSON.stringify(spans.map(show)), "Secret")
    })
)

withDatabase("statements on a reserved connection, and Kysely's, have spans", [table], ({ pgdb }) =>
  Effect.gen(function* () {
    const sql = yield* pgdb.client
    const db = Pooled.make<{ people: { id: number } }>(pgdb)
    const all = db.selectFrom("people").selectAll()
    const spans = yield* spansOf(
      Effect.all([
        Effect.scoped(
          Effect.flatMap(sql.reserve, (own) =>
            Effect.all([
              own.execute("select 'Secret' from people", [], undefined),
              Stream.runDrain(own.executeStream("select * from people", [], undefined))
            ])
          )
        ),
        Pooled.run(() => all.execute()),
        Pooled.run(() => db.transaction().execute((trx) => trx.deleteFrom("people").execute())),
        Stream.runDrain(Pooled.stream(all)),
        pgdb.transaction(Pooled.run(() => all.execute()))
      ])
    )
    const texts = operationsOf(spans).map(({ attributes }) => attributes.get("db.query.text"))
    assert.deepStrictEqual(texts, [
      "select '…' from people",
      "select * from people",
      'select * from "people"',
      "start transaction",
      'delete from "people"',
      "commit",
      'select * from "people"',
      'select * from "people"'
    ])
  })
)
