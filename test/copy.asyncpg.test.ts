/**
 * asyncpg's own tests of COPY (`tests/test_copy.py`), promise by promise. Its `copy_from_*` read from a table or a query, which is
 * `copyTo` here; its `copy_to_table` fills a table, which is `copyFrom`; its `copy_records_to_table` is `insertMany`.
 */
import { Buffer } from "node:buffer"
import { createReadStream, createWriteStream, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { NodeSink, NodeStream } from "@effect/platform-node"
import { assert, describe } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { PG, type PoolRegistry } from "effect-global-pool"
import { bytesOf, textOf } from "./support/copied.ts"
import { folder } from "./support/folder.ts"
import { type Given, withDatabase } from "./support/handle.ts"

const text = "a1\tb1\t1\na2\tb2\t2\na3\tb3\t3\na4\tb4\t4\na5\tb5\t5\n*\t\\N\t\\N\n"
const table = ['create table copytab (a text, "b~" text, i int)']
const filled = [
  ...table,
  "insert into copytab select 'a' || i, 'b' || i, i from generate_series(1, 5) i",
  "insert into copytab values ('*', null, null)"
]
const long = ["a", "b"].map((letter) => `repeat('${letter}' || i, 500000)`).join(", ")
const longText = [1, 2, 3, 4, 5]
  .map((i) => `${`a${i}`.repeat(500_000)}\t${`b${i}`.repeat(500_000)}\n`)
  .join("")
const many = "copy (select repeat('a', 500) from generate_series(1, 5000)) to stdout"
const numbers = PG.sql`copy (select i, i * 10 from generate_series(1, 5) as i where i = ${3}) to stdout`

/** On one connection, which answers afterwards. */
const onOne = <E>(name: string, body: (given: Given) => Effect.Effect<void, E, PoolRegistry | Scope.Scope>) =>
  withDatabase(name, ["create table copytab (a text, b text)"], (given) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
      const pid = yield* pgdb.selectValue("select pg_backend_pid()")
      yield* body({ ...given, pgdb })
      assert.deepStrictEqual(yield* pgdb.selectValue("select pg_backend_pid()"), pid)
      assert.strictEqual(yield* pgdb.table("copytab").count(), 0)
    })
  )

const toFile = (path: string) =>
  NodeSink.fromWritable({ evaluate: () => createWriteStream(path), onError: String })

describe("TestCopyFrom", () => {
  withDatabase("test_copy_from_table_basics", filled, ({ pgdb }) =>
    Effect.gen(function* () {
      const copytab = pgdb.table("copytab")
      assert.strictEqual(yield* textOf(copytab.copyTo({ format: "text" })), text)
      const options = { columns: ["a", "b~"], delimiter: "|", null: "n-u-l-l", header: true, quote: "*" }
      // In a table's own schema, whatever the search path is.
      const found = pgdb.transaction(
        Effect.andThen(
          pgdb.execute("set local search_path = none"),
          textOf(pgdb.table("public.copytab").copyTo(options))
        )
      )
      assert.strictEqual(yield* found, "a|b~\na1|b1\na2|b2\na3|b3\na4|b4\na5|b5\n****|n-u-l-l\n")
      // What options of a table do not have, a statement has.
      const all = pgdb.copyTo(
        `copy copytab (a, "b~") to stdout (format csv, delimiter '|', null 'n-u-l-l', header true, quote '*', escape '!', force_quote (a))`
      )
      assert.strictEqual(
        yield* textOf(all),
        "a|b~\n*a1*|b1\n*a2*|b2\n*a3*|b3\n*a4*|b4\n*a5*|b5\n*!**|n-u-l-l\n"
      )
    })
  )

  withDatabase(
    "test_copy_from_table_large_rows",
    [
      "create table copytab (a text, b text)",
      `insert into copytab select ${long} from generate_series(1, 5) i`
    ],
    ({ pgdb }) =>
      Effect.gen(function* () {
        const found = yield* textOf(pgdb.table("copytab").copyTo({ format: "text" }))
        assert.isTrue(found === longText)
      })
  )

  withDatabase("test_copy_from_query_basics", [], ({ pgdb }) =>
    Effect.gen(function* () {
      const found = yield* textOf(pgdb.copyTo(`copy (select ${long} from generate_series(1, 5) i) to stdout`))
      assert.isTrue(found === longText)
    })
  )

  withDatabase("test_copy_from_query_with_args", [], ({ pgdb }) =>
    Effect.gen(function* () {
      const data = pgdb.copyTo(
        PG.sql`copy (select i, i * 10, ${null}::text from generate_series(1, 5) as i where i = ${3}) to stdout`
      )
      assert.strictEqual(yield* textOf(data), "3\t30\t\\N\n")
    })
  )

  withDatabase("test_copy_from_query_to_path, test_copy_from_query_to_path_like", [], ({ pgdb }) =>
    Effect.gen(function* () {
      const path = join(yield* folder(), "out")
      yield* Stream.run(pgdb.copyTo(numbers), toFile(path))
      assert.strictEqual(readFileSync(path, "utf8"), "3\t30\n")
    })
  )

  withDatabase("test_copy_from_query_to_bad_output: the output's error is the call's", [], ({ pgdb }) =>
    Effect.gen(function* () {
      const path = join(yield* folder(), "missing", "out")
      assert.include(yield* Effect.flip(Stream.run(pgdb.copyTo(numbers), toFile(path))), "ENOENT")
    })
  )

  onOne("test_copy_from_query_to_sink: a slow one gets all of it", ({ pgdb }) =>
    Effect.gen(function* () {
      const pieces: Array<Uint8Array> = []
      yield* Stream.runForEach(pgdb.copyTo(many), (bytes) =>
        Effect.andThen(
          Effect.sleep("20 millis"),
          Effect.sync(() => pieces.push(bytes))
        )
      )
      assert.isTrue(String(Buffer.concat(pieces)) === `${"a".repeat(500)}\n`.repeat(5000))
    })
  )

  onOne("test_copy_from_query_cancellation_explicit", ({ pgdb }) =>
    Effect.gen(function* () {
      const reached = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(pgdb.copyTo(many), () =>
          Effect.andThen(Deferred.succeed(reached, undefined), Effect.never)
        )
      )
      yield* Deferred.await(reached)
      yield* Fiber.interrupt(fiber)
    })
  )

  onOne("test_copy_from_query_cancellation_on_sink_error", ({ pgdb }) =>
    Effect.gen(function* () {
      const failing = Stream.runForEach(pgdb.copyTo(many), () => Effect.fail("failure" as const))
      assert.strictEqual(yield* Effect.flip(failing), "failure")
    })
  )

  onOne("test_copy_from_query_cancellation_while_waiting_for_data", ({ pgdb, until }) =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(
        bytesOf(pgdb.copyTo("copy (select pg_sleep(60) from generate_series(1, 5000)) to stdout"))
      )
      yield* until("it sleeps", (all) => all.some(({ waitEvent }) => waitEvent === "PgSleep"))
      yield* Fiber.interrupt(fiber)
    })
  )

  onOne("test_copy_from_query_timeout_1, test_copy_from_query_timeout_2", ({ pgdb }) =>
    Effect.gen(function* () {
      for (const pause of ["50 millis", "10 seconds"] as const) {
        const slow = Stream.runForEach(pgdb.copyTo(many), () => Effect.sleep(pause))
        assert.strictEqual((yield* Effect.timeoutOption(slow, "100 millis"))._tag, "None")
      }
    })
  )
})

describe("TestCopyTo", () => {
  const rows = [
    { a: "*", "b~": null, i: null },
    ...[1, 2, 3, 4, 5].map((i) => ({ a: `a${i}`, "b~": `b${i}`, i }))
  ]

  withDatabase("test_copy_to_table_basics", table, ({ pgdb, witness }) =>
    Effect.gen(function* () {
      const stored = witness.query('select * from copytab order by a collate "C"')
      const copytab = pgdb.table("copytab")
      assert.strictEqual(yield* copytab.copyFrom(Stream.make(Buffer.from(text)), { format: "text" }), 6)
      assert.deepStrictEqual(yield* stored, rows)
      yield* witness.query("truncate copytab")
      const csv = "a|b~\n*a1*|b1\n*a2*|b2\n*a3*|b3\n*a4*|b4\n*a5*|b5\n*!**|*n-u-l-l*\nn-u-l-l|bb"
      const loaded = pgdb.transaction(
        Effect.andThen(
          pgdb.execute("set local search_path = none"),
          pgdb.copyFrom(
            `copy public.copytab (a, "b~") from stdin (format csv, delimiter '|', null 'n-u-l-l', header true, quote '*',
               escape '!', force_not_null (a), force_null ("b~"))`,
            Stream.make(csv)
          )
        )
      )
      assert.strictEqual(yield* loaded, 7)
      assert.deepStrictEqual(yield* stored, [
        { a: "*", "b~": null, i: null },
        ...[1, 2, 3, 4, 5].map((i) => ({ a: `a${i}`, "b~": `b${i}`, i: null })),
        { a: "n-u-l-l", "b~": "bb", i: null }
      ])
    })
  )

  withDatabase("test_copy_to_table_large_rows", ["create table copytab (a text, b text)"], ({ pgdb }) =>
    Effect.gen(function* () {
      const line = Buffer.from(`${"a1".repeat(500_000)}\t${"b1".repeat(500_000)}\n`)
      const data = Stream.map(Stream.range(1, 100), () => line)
      assert.strictEqual(yield* pgdb.table("copytab").copyFrom(data, { format: "text" }), 100)
    })
  )

  withDatabase("test_copy_to_table_from_bytes_like", ["create table copytab (a text, b text)"], ({ pgdb }) =>
    Effect.gen(function* () {
      const data = Buffer.from(`${"a1".repeat(500)}\t${"b1".repeat(500)}\n`.repeat(2))
      for (const bytes of [data, new Uint8Array(data), data.toString()]) {
        assert.strictEqual(yield* pgdb.table("copytab").copyFrom(Stream.make(bytes), { format: "text" }), 2)
      }
    })
  )

  onOne("test_copy_to_table_fail_in_source_1, test_copy_to_table_fail_in_source_2", ({ pgdb }) =>
    Effect.gen(function* () {
      for (const start of [Stream.empty, Stream.make("a\tb\n")]) {
        const data = Stream.concat(start, Stream.fail("failure in source" as const))
        const error = yield* Effect.flip(pgdb.table("copytab").copyFrom(data, { format: "text" }))
        assert.strictEqual(error, "failure in source")
      }
    })
  )

  onOne("test_copy_to_table_timeout", ({ pgdb }) =>
    Effect.gen(function* () {
      const loaded = pgdb.table("copytab").copyFrom(Stream.concat(Stream.make("a,b\n"), Stream.never))
      assert.strictEqual((yield* Effect.timeoutOption(loaded, "100 millis"))._tag, "None")
    })
  )

  withDatabase("test_copy_to_table_from_file_path", table, ({ pgdb, witness }) =>
    Effect.gen(function* () {
      const path = join(yield* folder(), "in")
      writeFileSync(path, text)
      const data = NodeStream.fromReadable<Uint8Array, string>({
        evaluate: () => createReadStream(path),
        onError: String
      })
      assert.strictEqual(yield* pgdb.table("copytab").copyFrom(data, { format: "text" }), 6)
      assert.deepStrictEqual(yield* witness.query('select * from copytab order by a collate "C"'), rows)
    })
  )

  const records = [
    ...Array.from({ length: 100 }, (_, b) => ({ a: `a-${b}`, b, c: new Date(Date.now() + 86_400_000) })),
    { a: "a-100", b: null, c: null }
  ]
  const typed = ["create table copytab (a text, b int, c timestamptz)"]

  withDatabase("test_copy_records_to_table_1, test_copy_records_to_table_async", typed, ({ pgdb }) =>
    Effect.gen(function* () {
      const copytab = pgdb.table("copytab")
      assert.strictEqual(yield* copytab.insertMany(records), 101)
      assert.strictEqual(yield* copytab.insertStream(Stream.fromIterable(records)), 101)
      assert.strictEqual(yield* copytab.count({ c: null }), 2)
    })
  )

  withDatabase("test_copy_records_to_table_where", typed, ({ pgdb }) =>
    Effect.gen(function* () {
      const lines = ["a-1,1,\n", "b-999,2,\n", "a-3,3,\n"]
      const where = "copy copytab from stdin (format csv) where a <> 'b-999'"
      assert.strictEqual(yield* pgdb.copyFrom(where, Stream.fromIterable(lines)), 2)
    })
  )

  withDatabase(
    "test_copy_records_to_table_no_binary_codec: a type without one is stored all the same",
    ["create table copytab (a point, b tsvector)"],
    ({ pgdb }) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* pgdb.table("copytab").insertMany([{ a: "(1,2)", b: "a b" }]), 1)
        assert.strictEqual(yield* textOf(pgdb.table("copytab").copyTo()), `"(1,2)",'a' 'b'\n`)
      })
  )
})
