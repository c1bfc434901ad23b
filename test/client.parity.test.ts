/**
 * `pgdb.client` stands where `PgClient.layer` stood: values, parameters, errors and results are compared side by side.
 */
import type { PgClient } from "@effect/sql-pg/PgClient"
import * as PgTypes from "@effect/sql-pg/PgTypes"
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as String from "effect/String"
import type { SqlClient } from "effect/sql/SqlClient"
import { isSqlError } from "effect/sql/SqlError"
import * as Tracer from "effect/Tracer"
import { PG } from "effect-global-pool"
import { builtins } from "../src/types/BuiltinTypes.ts"
import { driver } from "./support/driver.ts"
import { type Given, withDatabase } from "./support/handle.ts"
import { samples } from "./support/samples.ts"

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`

const both = (given: Given) => Effect.all({ theirs: driver(given.settings), ours: given.pgdb.client })

/** The driver's types. */
const known = new Set<number>(Object.values(PgTypes.OID))

const codeOf = (error: unknown): unknown =>
  isSqlError(error) && typeof error.reason.cause === "object"
    ? Reflect.get(error.reason.cause ?? {}, "code")
    : error

/** What a program sees of a result: its value, or the reason of its error. */
const seen = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.match(effect, {
    onSuccess: (value): unknown => ({ value }),
    onFailure: (error): unknown =>
      isSqlError(error) ? { reason: error.reason._tag, code: codeOf(error) } : { error }
  })

describe("values of every type", () => {
  withDatabase("are the driver's where it has a codec, and a handle's where it has none", [], (given) =>
    Effect.gen(function* () {
      const { ours, theirs } = yield* both(given)
      const checked = new Set<string>()
      for (const [oid, { array, kind, name }] of builtins) {
        for (const text of kind === "base" ? (samples[name] ?? []) : []) {
          const value = `${quoted(text)}::pg_catalog."${name}"`
          const list = array === 0 ? "" : `, array[${value}, null] as list`
          const statement = `select ${value} as one, null::pg_catalog."${name}" as none${list}`
          const expected = known.has(oid)
            ? yield* Effect.exit(theirs.unsafe(statement))
            : yield* Effect.exit(given.pgdb.select(statement))
          // The driver dies of a text that no client could send otherwise, and of a year before the era.
          if (Exit.isFailure(expected)) continue
          checked.add(name)
          assert.deepStrictEqual(yield* ours.unsafe(statement), expected.value, statement.slice(0, 200))
          assert.deepStrictEqual(
            yield* Stream.runCollect(ours.unsafe(statement).stream),
            expected.value,
            statement.slice(0, 200)
          )
        }
      }
      assert.isAbove(checked.size, 60)
      for (const oid of known) {
        const { kind, name = "" } = builtins.get(oid) ?? {}
        if (kind === "base") assert.isTrue(checked.has(name), name)
      }
    })
  )

  withDatabase("are the same in later runs, whatever the session sets, and where types change", [], (given) =>
    Effect.gen(function* () {
      const { ours, theirs } = yield* both(given)
      for (const setting of ["datestyle = 'German'", "intervalstyle = 'iso_8601'"])
        yield* given.witness.query(`alter database "${given.settings.database}" set ${setting}`)
      yield* given.witness.query("create table t (id int, x int8)")
      yield* given.witness.query("insert into t values (1, 7)")
      const text = `select count(*) as n, '1 mon 2 days 03:04:05'::interval as i, '{{1,2},{3,4}}'::int8[] as deep,
        '2024-02-29'::date as day, '13:00+02'::timetz as zoned, 'pg_class'::regclass as class, id, x from t group by id, x`
      for (const type of ["int8", "interval using make_interval(secs => x)", "text", "time using null"]) {
        for (const run of [1, 2, 3]) {
          const [row] = yield* ours.unsafe(text)
          const [expected] = yield* theirs.unsafe(text.replace("'{{1,2},{3,4}}'", "'{}'"))
          assert.deepStrictEqual(
            row,
            {
              ...expected,
              deep: [
                [1n, 2n],
                [3n, 4n]
              ]
            },
            `${type} ${run}`
          )
        }
        yield* given.witness.query(`alter table t alter x type ${type}`)
      }
      const written =
        "insert into t (id) values (2) returning count_of(id) as n, id::int8 as big, null::interval as i"
      yield* given.witness.query(
        "create function count_of(int) returns int8 language sql as 'select 1::int8'"
      )
      assert.deepStrictEqual(yield* ours.unsafe(written), yield* theirs.unsafe(written))
    })
  )

  withDatabase("are those that a program registered", [], (given) =>
    Effect.gen(function* () {
      const oid = 600
      PgTypes.register(oid, {
        encode: () => Result.succeed(new Uint8Array()),
        decode: (bytes) => Result.succeed(`a point of ${bytes.length} bytes`)
      })
      yield* Effect.addFinalizer(() => Effect.sync(() => PgTypes.unregister(oid)))
      const { ours, theirs } = yield* both(given)
      const rows = yield* ours`select point(1, 2) as p`
      assert.deepStrictEqual(rows, [{ p: "a point of 16 bytes" }])
      assert.deepStrictEqual(rows, yield* theirs`select point(1, 2) as p`)
    })
  )

  withDatabase("are a handle's where the client is asked for them, in a transaction of either", [], (given) =>
    Effect.gen(function* () {
      const { pgdb } = given
      const plain = yield* pgdb.clientWith({ values: "handle" })
      const sql = yield* pgdb.client
      const text = "select 1::int8 as n, '1 day'::interval as i, inet '1.2.3.4' as a, $1::float8 as f"
      const handle = { n: 1, i: "1 day", a: "1.2.3.4/32", f: 1.5 }
      const driver = { n: 1n, i: { months: 0, days: 1, microseconds: 0n }, a: "1.2.3.4", f: 1.5 }
      const all = Effect.all([plain.unsafe(text, [1.5]), sql.unsafe(text, [1.5]), pgdb.select(text, [1.5])])
      for (const run of [all, pgdb.transaction(all), plain.withTransaction(all), sql.withTransaction(all)]) {
        assert.deepStrictEqual<unknown>(yield* run, [[handle], [driver], [handle]])
      }
      assert.deepStrictEqual(yield* plain`select ${plain.json([1])} as j`, [{ j: [1] }])
    })
  )
})

type Case = readonly [text: string, params: ReadonlyArray<unknown>]
const alone = (value: unknown): Case => ["select $1 as v", [value]]

const parameters: ReadonlyArray<Case> = [
  ...[
    true,
    1,
    -0,
    2 ** 31,
    2 ** 53,
    1e300,
    1.5,
    NaN,
    Infinity,
    5n,
    -(2n ** 63n),
    "text",
    "",
    null,
    undefined
  ].map(alone),
  ...[[1, 2], [1, null], [2 ** 40], [1.5, 2.5], [5n], ["a", null, "b"], [true], [new Date(0)]].map(alone),
  ["select $1 as v", [new Date("2026-03-01T15:30:00Z")]],
  ["select $1 as v", [new Uint8Array([0, 255])]],
  ["select $1 as v", [new Int8Array([1, -1])]],
  ["select $1 + 1 as v", [1.5]],
  ["select $1 * interval '1 hour' as v", [1.5]],
  ["select $1::numeric as v", [0.1]],
  ["select 10 / $1 as v", [4]],
  ["select id from p where id = any($1)", [[1, 3]]],
  ["select id from p where id = any($1)", [[]]],
  ["select id from p where name in ($1, $2)", ["b", null]],
  ["select id from p where id = $1", ["2"]],
  ["select id from p where ratio = $1", [0.5]],
  [
    "insert into p (at, day, tz) values ($1, $1, $1) returning at, day, tz",
    [new Date("2026-03-01T15:30:00Z")]
  ],
  [
    "insert into p (tags, bytes, n) values ($1, $2, $3) returning tags, bytes, n",
    [["x"], new Uint8Array([1]), 12.25]
  ],
  ["select $1 as v", [PgTypes.jsonb({ a: [1, null] })]],
  ["select $1 || $2 as v", [PgTypes.jsonb({ a: 1 }), PgTypes.jsonb({ b: 2 })]],
  ["insert into p (plain) values ($1) returning plain", [PgTypes.jsonb([1])]],
  ["select $1 as v", [PgTypes.int8(5n)]],
  ["select $1 as v", [PgTypes.int2(null)]],
  ["select $1 as v", [PgTypes.interval({ months: 1, days: 2, microseconds: 3n })]],
  ["select $1 as v", [PgTypes.time(3_600_000_000n)]],
  ["select $1 as v", [PgTypes.uuid("0b0e3f2c-8b5e-4f5e-9d4e-3f2c8b5e4f5e")]],
  ["select $1 as v", [Result.getOrThrow(PgTypes.array([1n, null], PgTypes.OID.int8))]],
  ["select $1 as v", [PgTypes.numeric("no")]],
  ["select $1::int4 as v", ["no"]],
  ["select $1::int4 as v", [2 ** 40]]
]

const table = [
  "create table p (id serial, name text, tags text[], bytes bytea, ratio float8, n numeric, at timestamp, day date, tz timestamptz, plain json, data jsonb)",
  "insert into p (name, ratio) values ('a', 0.5), ('b', 1), ('c', null)"
]

describe("parameters", () => {
  withDatabase("are bound as the driver binds them", table, (given) =>
    Effect.gen(function* () {
      const { ours, theirs } = yield* both(given)
      for (const [text, params] of parameters) {
        const expected: unknown = yield* seen(theirs.unsafe(text, params))
        const found: unknown = yield* seen(ours.unsafe(text, params))
        // What it cannot bind is refused by both.
        if (Predicate.hasProperty(expected, "reason") && expected.reason === "UnknownError")
          assert.property(found, "reason", text)
        else assert.deepStrictEqual(found, expected, `${text} `)
      }
      assert.deepStrictEqual(
        yield* ours`select ${ours.json({ a: 1 })} || ${ours.json({ b: 2 })} as j`,
        yield* theirs`select ${theirs.json({ a: 1 })} || ${theirs.json({ b: 2 })} as j`
      )
      // What the driver cannot bind at all.
      assert.deepStrictEqual(
        yield* ours`insert into p ${ours.insert({ data: { a: 1 }, tags: [] }).returning("data, tags")}`,
        [{ data: { a: 1 }, tags: [] }]
      )
    })
  )

  withDatabase("never show in an error's message", table, ({ pgdb }) =>
    Effect.gen(function* () {
      const sql = yield* pgdb.client
      for (const param of [PgTypes.text("s3cret-value"), PgTypes.jsonb({ k: "s3cret-value" }), 123456.5]) {
        const error = yield* Effect.flip(sql.unsafe("select $1::text::int as v", [param]))
        assert.notMatch(`${error.message} ${error}`, /s3cret|123456/)
      }
    })
  )
})

const failing: ReadonlyArray<string> = [
  "select nothing",
  "selec 1",
  "select * from nowhere",
  "insert into u values (1), (1)",
  "insert into u (id, m) values (2, null)",
  "insert into u values (3, -1)",
  "select 1/0",
  "select 'x'::int",
  "select pg_sleep(1)",
  "select set_config('no.such', null, false), no_such_function()"
]

describe("errors and results", () => {
  withDatabase(
    "are the driver's",
    ["create table u (id int unique, m int default 1 not null check (m > 0))"],
    (given) =>
      Effect.gen(function* () {
        const { ours, theirs } = yield* both(given)
        for (const text of failing) {
          const timed = (sql: SqlClient) =>
            seen(
              sql.withTransaction(Effect.andThen(sql`set local statement_timeout = 100`, sql.unsafe(text)))
            )
          assert.deepStrictEqual(yield* timed(ours), yield* timed(theirs), text)
          // A failure that is not passed on rolls all of it back.
          const swallowed = (sql: SqlClient) =>
            Effect.flip(sql.withTransaction(Effect.andThen(Effect.ignore(sql.unsafe(text)), Effect.void)))
          if (text.includes("sleep")) continue
          assert.include(`${(yield* swallowed(theirs)).message}`, "rolled back", text)
          assert.include(`${(yield* swallowed(ours)).message}`, "rolled", text)
        }
        const raw = [
          "select id, m from u where id = 9",
          "insert into u values (9), (10)",
          "update u set m = 2",
          "delete from u where id = 10",
          "select * from u",
          "create table v (id int)",
          "drop table v"
        ]
        const results = (sql: SqlClient) =>
          Effect.flip(
            sql.withTransaction(
              Effect.flatMap(
                Effect.forEach(raw, (text) => sql.unsafe(text).raw),
                Effect.fail
              )
            )
          )
        assert.deepStrictEqual(yield* results(ours), yield* results(theirs))
      })
  )
})

describe("a reserved connection", () => {
  withDatabase("takes transactions of its caller's own, and comes back without one", table, (given) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
      const clients = {
        theirs: yield* driver(given.settings, { maxConnections: 1 }),
        ours: yield* pgdb.client
      }
      const seenBy = Effect.fnUntraced(function* (sql: SqlClient) {
        const steps: Array<unknown> = []
        const note = (what: unknown) => steps.push(what)
        yield* Effect.scoped(
          Effect.gen(function* () {
            const own = yield* sql.reserve
            const run = (text: string, params: ReadonlyArray<unknown> = []) =>
              Effect.map(seen(own.execute(text, params, undefined)), note)
            const count = run("select count(*) as n from p where id > 100")
            yield* run("begin isolation level repeatable read")
            yield* run("show transaction_isolation")
            yield* run("insert into p (id) values (101)")
            yield* run("savepoint inner_one")
            yield* run("insert into p (id) values (102), (103)")
            yield* count
            note(
              yield* Stream.runCollect(own.executeStream("select id from p where id > 100", [], undefined))
            )
            yield* run("rollback to savepoint inner_one")
            yield* run("release savepoint inner_one")
            yield* count
            yield* run("commit")
            yield* run("start transaction read only")
            yield* run("insert into p (id) values (104)")
            yield* run("select 1 as one")
            yield* run("rollback")
            yield* count
          })
        )
        note(yield* sql`select id from p where id > 100`)
        yield* sql`delete from p where id > 100`
        return steps
      })
      assert.deepStrictEqual(yield* seenBy(clients.ours), yield* seenBy(clients.theirs))
      // The driver leaves it open for the next caller.
      yield* Effect.scoped(
        Effect.gen(function* () {
          const own = yield* clients.ours.reserve
          yield* own.execute("BEGIN", [], undefined)
          yield* own.execute("insert into p (id) values ($1)", [105], undefined)
        })
      )
      assert.deepStrictEqual(yield* clients.ours`select id from p where id > 100`, [])
      const refused = yield* Effect.scoped(
        Effect.flatMap(clients.ours.reserve, (own) =>
          Effect.flip(own.execute("commit prepared 'x'", [], undefined))
        )
      )
      assert.include(refused.message, "COMMIT PREPARED was not sent")
    })
  )
})

/** What a span says, without when. */
const seenOf = ({ attributes, events, name }: Tracer.NativeSpan) => [
  name,
  Object.fromEntries(attributes),
  events.map(([event]) => event)
]

describe("options", () => {
  withDatabase(
    "transform names, and mark spans",
    ["create table p_s (first_name text, data json)"],
    (given) =>
      Effect.gen(function* () {
        const options = {
          transformQueryNames: String.camelToSnake,
          transformResultNames: String.snakeToCamel,
          spanAttributes: { "app.part": "people" }
        }
        const seenBy = Effect.fnUntraced(function* (sql: PgClient) {
          const spans: Array<Tracer.NativeSpan> = []
          const tracer = Tracer.make({
            span: (options) => {
              const span = new Tracer.NativeSpan(options)
              // What a pool does on its own account is its own.
              if (!options.name.startsWith("pool ")) spans.push(span)
              return span
            }
          })
          const person = { firstName: "Ada", data: sql.json({ bornIn: 1815 }) }
          const rows = yield* Effect.withTracer(
            Effect.all([
              sql`insert into ${sql("pS")} ${sql.insert(person).returning("*")}`,
              Stream.runCollect(sql`select first_name from p_s`.stream),
              sql`select data from p_s`.withoutTransform,
              sql.withoutTransforms()`select first_name from p_s`,
              sql`select first_name from p_s`.values,
              sql.withTransaction(Effect.ignore(sql.withTransaction(Effect.fail("no")))),
              sql.withTransaction(sql.withTransaction(sql`select first_name from p_s`))
            ]),
            tracer
          )
          yield* sql`delete from p_s`
          return { rows, spans: spans.map(seenOf) }
        })
        assert.deepStrictEqual(
          yield* seenBy(yield* given.pgdb.clientWith(options)),
          yield* seenBy(yield* driver(given.settings, options))
        )
        const { config } = yield* given.pgdb.clientWith(options)
        assert.strictEqual(config.transformQueryNames, options.transformQueryNames)
        const unchanged = yield* given.pgdb.clientWith({ ...options, transformJson: false })
        assert.deepStrictEqual(yield* unchanged`select '{"a_b": 1}'::json as c_d`, [{ cD: { a_b: 1 } }])
      })
  )
})
