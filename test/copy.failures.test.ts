/** What goes wrong with a COPY: nothing is stored, the error has its type and says where, and the connection goes on. */
import { createWriteStream } from "node:fs"
import { NodeSink } from "@effect/platform-node"
import { assert, describe } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { PG, type PoolRegistry } from "effect-global-pool"
import { bytesOf, textOf } from "./support/copied.ts"
import { eventually } from "./support/database.ts"
import { type Given, withDatabase } from "./support/handle.ts"
import { atRest, blocked, linked, slowCommit } from "./support/link.ts"

const t = ["create table t (id int primary key, name text not null)"]

/** Lines that never end. */
const lines = Stream.map(Stream.range(1, Number.MAX_SAFE_INTEGER), (id) => `${id},name ${id}\n`)

/** On one connection, which is the same before and after. */
const onOne = <E>(
  name: string,
  body: (given: Given) => Effect.Effect<void, E, PoolRegistry | Scope.Scope>,
  statements: ReadonlyArray<string> = t
) =>
  withDatabase(name, statements, (given) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...given.settings, maxConnections: 1 })
      const pid = yield* pgdb.selectValue("select pg_backend_pid()")
      yield* body({ ...given, pgdb })
      assert.deepStrictEqual(yield* pgdb.selectValue("select pg_backend_pid()"), pid)
      assert.deepStrictEqual(yield* given.witness.query("select * from t"), [])
      yield* atRest(given)
    })
  )

for (const prepare of [true, false]) {
  onOne(
    `rows that the commit refuses are not said to be stored, with prepare ${prepare}`,
    ({ pgdb, settings }) =>
      Effect.gen(function* () {
        const table = PG.make({ ...settings, key: "other", prepare }).table("t")
        const rows = [{ id: 1 }, { id: 2, parent: 77 }]
        const ways = [
          table.insertMany(rows),
          table.insertMany(rows),
          table.insertStream(Stream.fromIterable(rows)),
          table.copyFrom(Stream.make("1,\n2,77\n")),
          pgdb.copyFrom("copy t from stdin (format csv)", Stream.make("1,\n2,77\n"))
        ]
        for (const way of ways) {
          const error = yield* Effect.flip(way)
          assert.strictEqual(PG.sqlState(error), "23503")
          assert.strictEqual(error.reason._tag, "ConstraintError")
          assert.isFalse(error.isRetryable)
          assert.include(error.message, "t_parent_fkey")
          assert.notInclude(error.message, "77")
        }
        const error = yield* Effect.flip(table.insertMany(rows))
        assert.include(error.message, 'In: t.insertMany, row 2, column "parent"')
      }),
    ["create table t (id int primary key, parent int references t deferrable initially deferred)"]
  )
}

describe("a bad line", () => {
  onOne("is named by its number and column, and the message does not show its value", ({ pgdb }) =>
    Effect.gen(function* () {
      const table = pgdb.table("t")
      const cases: ReadonlyArray<readonly [data: string, code: string, where: string]> = [
        ["1,a\n2,b\nsecret,c\n", "22P02", "line 3, column id"],
        ["1,a\n99999999999,b\n", "22003", "line 2, column id"],
        ["1,a\n2\n", "22P04", "line 2"],
        ["1,a\n2,b,secret\n", "22P04", "line 2"],
        ["1,a\n2,\n", "23502", "line 2"],
        ['1,a\n2,"secret\n3,c\n', "22P04", "line"],
        ["1,a\n1,b\n", "23505", "line 2"],
        ["1,a\n2,b\0\n", "22021", "line 2"]
      ]
      for (const [data, code, where] of cases) {
        const error = yield* Effect.flip(table.copyFrom(Stream.make(data)))
        assert.strictEqual(error._tag, "SqlError")
        assert.include(error.message, code, data)
        assert.include(error.message, where, data)
        assert.notInclude(error.message, "secret")
      }
      const latin = yield* Effect.flip(table.copyFrom(Stream.make(Buffer.from("1,a\n2,\xe9\n", "latin1"))))
      assert.include(latin.message, "22021")
      assert.include(latin.message, "line 2")
      const cut = Uint8Array.from([0x50, 0x47, 0x43, 0x4f])
      assert.include(
        (yield* Effect.flip(table.copyFrom(Stream.make(cut), { format: "binary" }))).message,
        "22P04"
      )
      const missing = yield* Effect.flip(table.copyFrom(lines, { columns: ["id", "nowhere"] }))
      assert.include(missing.message, "42703")
      assert.include((yield* Effect.flip(pgdb.table("nowhere").copyFrom(lines))).message, "42P01")
    })
  )
})

describe("the form of the data", () => {
  onOne("names the table's columns and the line, without the data", ({ pgdb }) =>
    Effect.gen(function* () {
      const cases: ReadonlyArray<
        readonly [data: string, options: PG.CopyFromOptions, ...said: Array<string>]
      > = [
        ["1,a\n2\n", {}, 'missing data for column "name"', "line 2"],
        ["1\ta\n2\n", { format: "text" }, 'missing data for column "name"', "line 2"],
        [
          "1,a\n2,b,secret\n",
          { columns: ["id", "name"] },
          "extra data after last expected column",
          "line 2",
          '("id", "name")'
        ],
        ["1,a\n", { columns: ["id", "nowhere"] }, 'column "nowhere" of relation "t" does not exist'],
        ["1,a\n", { columns: ["id", "id"] }, 'column "id" specified more than once'],
        ["id,secret\n", { header: "match" }, "header line field 2", 'expected "name"', "line 1"],
        [
          'id,"secret"", expected ""secret"\n',
          { header: "match" },
          "header line field 2",
          'expected "name"',
          "line 1"
        ],
        ["id,name,secret\n", { header: "match" }, "got 3, expected 2", "line 1"],
        ["\ufeff1,a\n", {}, "line 1, column id", "begin with a byte order mark"],
        [
          "\ufeffid,name\n",
          { header: "match" },
          "header line field 1",
          'expected "id"',
          "begin with a byte order mark"
        ]
      ]
      for (const [data, options, ...said] of cases) {
        const { message } = yield* Effect.flip(pgdb.table("t").copyFrom(Stream.make(data), options))
        for (const part of said) assert.include(message, part, data)
        assert.notInclude(message, "secret")
      }
      const late = yield* Effect.flip(
        pgdb.table("t").copyFrom(Stream.make("\ufeff1,a\nsecret,b\n"), { header: true })
      )
      assert.notInclude(late.message, "byte order mark")
    })
  )

  onOne(
    "is not told by what is stored or read: names that come from data stay out",
    ({ pgdb }) =>
      Effect.gen(function* () {
        const read = yield* Effect.flip(pgdb.table("names").copyFrom(Stream.make("t\nsecret\n")))
        assert.include(read.message, "42P01")
        assert.include(read.message, "line 2, column name")
        const stored = yield* Effect.flip(
          bytesOf(pgdb.copyTo("copy (select name::regclass from texts) to stdout"))
        )
        assert.include(stored.message, "42P01")
        for (const { message } of [read, stored]) assert.notInclude(message, "secret")
      }),
    [
      ...t,
      "create table names (name regclass)",
      "create table texts (name text)",
      "insert into texts values ('secret')"
    ]
  )
})

class Broken extends Data.TaggedError("Broken")<{ readonly what: string }> {}

describe("an input that", () => {
  onOne("fails, fails the call with its own error", ({ pgdb, witness }) =>
    Effect.gen(function* () {
      const table = pgdb.table("t")
      for (const start of [Stream.empty, Stream.take(lines, 3), Stream.take(lines, 100_000)]) {
        const error = yield* Effect.flip(
          table.copyFrom(Stream.concat(start, Stream.fail(new Broken({ what: "disk" }))))
        )
        assert.deepStrictEqual(error, new Broken({ what: "disk" }))
        const died = yield* Effect.exit(table.copyFrom(Stream.concat(start, Stream.die("defect"))))
        assert.isTrue(Exit.isFailure(died) && Exit.hasDies(died))
        assert.deepStrictEqual(yield* witness.query("select * from t"), [])
      }
    })
  )

  onOne("gives something else than bytes and texts is refused", ({ pgdb }) =>
    Effect.gen(function* () {
      const table = pgdb.table("t")
      // What a caller without types may pass.
      const given: unknown = { id: 1 }
      const isBytes = (_: unknown): _ is Uint8Array => true
      const error = yield* Effect.flip(table.copyFrom(Stream.filter(Stream.make(given), isBytes)))
      assert.include(error.message, "the stream gave neither bytes nor a text")
      const latin = yield* Effect.flip(table.copyFrom(Stream.make("1,a\n"), { encoding: "latin1" }))
      assert.include(latin.message, "the option encoding is for bytes")
    })
  )

  onOne("never ends and is interrupted, stores nothing", ({ pgdb }) =>
    Effect.gen(function* () {
      for (const silent of [true, false]) {
        const reached = yield* Deferred.make<void>()
        let seen = 0
        const data = silent
          ? Stream.concat(
              Stream.take(lines, 2_000),
              Stream.fromEffect(Effect.andThen(Deferred.succeed(reached, undefined), Effect.never))
            )
          : lines
        const fiber = yield* Effect.forkChild(
          pgdb.table("t").copyFrom(data, {
            onProgress: ({ bytes }) => {
              seen = bytes
              if (bytes > 5_000_000) Deferred.doneUnsafe(reached, Exit.void)
            }
          })
        )
        yield* Deferred.await(reached)
        yield* Fiber.interrupt(fiber)
        assert.isAbove(seen, 0)
      }
    })
  )

  onOne("is interrupted before the server has asked for it, was never begun", (given) =>
    Effect.gen(function* () {
      const { connect, pgdb, settings } = given
      let begun = false
      const data = Stream.suspend(() => {
        begun = true
        return lines
      })
      const held = Effect.gen(function* () {
        const locker = yield* connect(settings)
        yield* locker.query("begin")
        yield* locker.query("lock table t")
        const fiber = yield* Effect.forkChild(pgdb.table("t").copyFrom(data))
        yield* blocked(given)
        yield* Fiber.interrupt(fiber)
      })
      yield* Effect.scoped(held)
      assert.isFalse(begun)
    })
  )

  withDatabase("asks for the connection that it waits for fails and says so", t, ({ settings }) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...settings, maxConnections: 1, acquireTimeout: "200 millis" })
      const data = Stream.mapEffect(Stream.make("1,a\n"), (line) => Effect.as(pgdb.select("select 1"), line))
      const error = yield* Effect.flip(pgdb.table("t").copyFrom(data))
      assert.include(String(error), "maxConnections")
      assert.strictEqual(yield* pgdb.table("t").count(), 0)
    })
  )
})

describe("the server", () => {
  withDatabase("is killed in the middle: a typed error, nothing stored, the pool whole", t, (given) =>
    Effect.gen(function* () {
      const { pgdb, witness } = given
      for (const end of ["pg_terminate_backend", "pg_cancel_backend"]) {
        const reached = yield* Deferred.make<void>()
        const fiber = yield* Effect.forkChild(
          Effect.flip(
            pgdb.table("t").copyFrom(lines, {
              onProgress: ({ bytes }) => {
                if (bytes > 1_000_000) Deferred.doneUnsafe(reached, Exit.void)
              }
            })
          )
        )
        yield* Deferred.await(reached)
        yield* witness.query(
          `select ${end}(pid) from pg_stat_activity where query like 'copy%' and datname = current_database()`
        )
        const error = yield* Fiber.join(fiber)
        assert.strictEqual(error._tag, "SqlError")
        // The server's last words may be lost with the connection.
        const said = end === "pg_cancel_backend" ? /57014/ : /57P01|was lost/
        assert.match(error.message, said)
        assert.notInclude(error.message, "not known")
        assert.deepStrictEqual(yield* witness.query("select * from t"), [])
        yield* atRest(given)
      }
      assert.strictEqual(yield* pgdb.table("t").copyFrom(Stream.make("1,a\n")), 1)
    })
  )

  withDatabase("is out of reach in the middle: both directions say so", t, (given) =>
    Effect.gen(function* () {
      const { proxy, pgdb } = yield* linked(given)
      const reached = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(
        Effect.flip(
          pgdb.table("t").copyFrom(lines, {
            onProgress: ({ bytes }) => {
              if (bytes > 1_000_000) Deferred.doneUnsafe(reached, Exit.void)
            }
          })
        )
      )
      yield* Deferred.await(reached)
      yield* proxy.cut
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "SqlError")
      const read = pgdb.copyTo("copy (select repeat('x', 100) from generate_series(1, 10000000)) to stdout")
      const cut = yield* Effect.flip(Stream.runForEach(read, () => proxy.cut))
      assert.strictEqual(cut._tag, "SqlError")
      assert.deepStrictEqual(yield* given.witness.query("select * from t"), [])
      yield* atRest(given)
    })
  )

  onOne("has no time for ever: statement_timeout ends a COPY", ({ pgdb }) =>
    Effect.gen(function* () {
      const timed = pgdb.transaction(
        Effect.andThen(pgdb.execute("set local statement_timeout = 200"), pgdb.table("t").copyFrom(lines))
      )
      assert.include((yield* Effect.flip(timed)).message, "57014")
    })
  )
})

describe("back pressure", () => {
  withDatabase("a server that takes nothing holds the input back", t, (given) =>
    Effect.gen(function* () {
      const { proxy, pgdb } = yield* linked(given)
      let pulled = 0
      const data = Stream.map(lines, (line) => {
        pulled += line.length
        return line
      })
      let isPaused = false
      const fiber = yield* Effect.forkChild(
        pgdb.table("t").copyFrom(data, {
          onProgress: ({ bytes }) => {
            if (bytes < 1_000_000 || isPaused) return
            isPaused = true
            Effect.runFork(proxy.pause)
          }
        })
      )
      yield* eventually(
        "it stands still",
        Effect.sync(() => pulled),
        still()
      )
      // What the network's buffers hold, and no more.
      assert.isBelow(pulled, 64 * 2 ** 20)
      yield* proxy.resume
      const before = pulled
      yield* eventually(
        "it goes on",
        Effect.sync(() => pulled),
        (now) => now > before + 2 ** 20
      )
      yield* Fiber.interrupt(fiber)
      yield* atRest(given)
    })
  )

  withDatabase("a reader that takes nothing holds the server back", [], ({ pgdb, until }) =>
    Effect.gen(function* () {
      const go = yield* Deferred.make<void>()
      const line = "x".repeat(1000)
      let read = 0
      const data = pgdb.copyTo(`copy (select '${line}' from generate_series(1, 100000)) to stdout`)
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(data, (bytes) =>
          Effect.suspend(() => {
            read += bytes.length
            return Deferred.await(go)
          })
        )
      )
      yield* until("the server waits for the reader", (all) =>
        all.some(({ waitEvent }) => waitEvent === "ClientWrite")
      )
      assert.isBelow(read, 2 ** 20)
      yield* Deferred.succeed(go, undefined)
      yield* Fiber.join(fiber)
      assert.strictEqual(read, 100_000 * 1001)
    })
  )
})

/** Whether a number stayed as it is for a while. */
const still = () => {
  let [last, same] = [-1, 0]
  return (now: number): boolean => {
    same = now === last ? same + 1 : 0
    last = now
    return now > 0 && same > 30
  }
}

describe("a reader that", () => {
  onOne("stops early, fails or is interrupted ends the COPY on the server", ({ pgdb, until }) =>
    Effect.gen(function* () {
      const data = pgdb.copyTo("copy (select repeat('x', 100) from generate_series(1, 10000000)) to stdout")
      assert.lengthOf(yield* Stream.runCollect(Stream.take(data, 3)), 3)
      const failed = yield* Effect.flip(Stream.runForEach(data, () => new Broken({ what: "disk" })))
      assert.deepStrictEqual(failed, new Broken({ what: "disk" }))
      for (const statement of [
        "copy (select repeat('x', 100) from generate_series(1, 10000000)) to stdout",
        "copy (select pg_sleep(60)) to stdout"
      ]) {
        const fiber = yield* Effect.forkChild(Stream.runForEach(pgdb.copyTo(statement), () => Effect.never))
        yield* until("it runs", (all) =>
          all.some(({ query, state }) => query === statement && state === "active")
        )
        yield* Fiber.interrupt(fiber)
      }
      assert.deepStrictEqual(yield* pgdb.selectValue("select 1 as n"), yield* Effect.succeedSome(1))
    })
  )

  onOne("has no room on its disk gets its own error", ({ pgdb }) =>
    Effect.gen(function* () {
      const full = NodeSink.fromWritable({
        evaluate: () => createWriteStream("/dev/full"),
        onError: (error) => new Broken({ what: String(error) })
      })
      const data = pgdb.copyTo("copy (select repeat('x', 100) from generate_series(1, 1000000)) to stdout")
      const error = yield* Effect.flip(Stream.run(data, full))
      assert.strictEqual(error._tag, "Broken")
      assert.include(String(error._tag === "Broken" ? error.what : ""), "ENOSPC")
    })
  )

  onOne("reads what fails on the way gets the rows before it, then the error", ({ pgdb }) =>
    Effect.gen(function* () {
      const data = pgdb.copyTo("copy (select 1 / (50000 - i) from generate_series(1, 100000) i) to stdout")
      let read = 0
      const error = yield* Effect.flip(
        Stream.runForEach(data, ({ length }) =>
          Effect.sync(() => {
            read += length
          })
        )
      )
      assert.include(error.message, "22012")
      assert.isAbove(read, 0)
      assert.include((yield* Effect.flip(bytesOf(pgdb.copyTo("copy nowhere to stdout")))).message, "42P01")
    })
  )
})

describe("in a transaction", () => {
  withDatabase("a COPY joins, and what it failed by is undone alone", t, (given) =>
    Effect.gen(function* () {
      const { pgdb, witness } = given
      const table = pgdb.table("t")
      yield* pgdb.transaction(
        Effect.gen(function* () {
          yield* table.insert({ id: 1, name: "a" })
          assert.strictEqual(yield* table.copyFrom(Stream.make("2,b\n3,c\n")), 2)
          assert.deepStrictEqual(yield* witness.query("select * from t"), [])
          const bad = yield* Effect.flip(table.copyFrom(Stream.make("4,d\n1,again\n")))
          assert.include(bad.message, "23505")
          const failed = yield* Effect.flip(
            table.copyFrom(Stream.concat(Stream.make("5,e\n"), Stream.fail("no" as const)))
          )
          assert.strictEqual(failed, "no")
          assert.strictEqual(yield* textOf(table.copyTo({ columns: ["id"] })), "1\n2\n3\n")
          yield* table.insert({ id: 6, name: "f" })
        })
      )
      assert.deepStrictEqual(
        (yield* witness.query("select id from t order by id")).map(({ id }) => id),
        [1, 2, 3, 6]
      )
      const undone = pgdb.transaction(
        Effect.andThen(table.copyFrom(Stream.make("7,g\n")), Effect.fail("undo" as const))
      )
      assert.strictEqual(yield* Effect.flip(undone), "undo")
      assert.strictEqual(yield* table.count(), 4)
      yield* atRest(given)
    })
  )

  withDatabase(
    "a COPY whose stream uses the same transaction fails and says so, and nothing hangs",
    t,
    (given) =>
      Effect.gen(function* () {
        const pgdb = PG.make({ ...given.settings, acquireTimeout: "500 millis" })
        const table = pgdb.table("t")
        const own = Stream.mapEffect(Stream.make("1,a\n"), (line) => Effect.as(table.count(), line))
        const error = yield* Effect.flip(pgdb.transaction(table.copyFrom(own)))
        assert.include(String(error), "the COPY has the connection of the transaction to itself")
        yield* pgdb.transaction(
          Effect.gen(function* () {
            yield* table.copyFrom(Stream.make("1,a\n"))
            const read = Stream.runForEach(table.copyTo(), () => table.count())
            assert.strictEqual((yield* Effect.flip(read))._tag, "PoolError")
            assert.strictEqual(yield* table.count(), 1)
          })
        )
        yield* atRest(given)
      })
  )

  withDatabase("an interrupted COPY leaves the transaction to be undone, and no lock", t, (given) =>
    Effect.gen(function* () {
      const { pgdb, witness } = given
      const reached = yield* Deferred.make<void>()
      const data = Stream.concat(
        Stream.take(lines, 2000),
        Stream.fromEffect(Effect.andThen(Deferred.succeed(reached, undefined), Effect.never))
      )
      const fiber = yield* Effect.forkChild(pgdb.transaction(pgdb.table("t").copyFrom(data)))
      yield* Deferred.await(reached)
      yield* Fiber.interrupt(fiber)
      yield* atRest(given)
      assert.deepStrictEqual(yield* witness.query("select * from t"), [])
      // A timeout within: the transaction goes on.
      yield* pgdb.transaction(
        Effect.gen(function* () {
          yield* pgdb.table("t").insert({ id: 1, name: "a" })
          yield* Effect.timeoutOption(
            pgdb.table("t").copyFrom(Stream.concat(Stream.make("2,b\n"), Stream.never)),
            "200 millis"
          )
          yield* pgdb.table("t").insert({ id: 3, name: "c" })
        })
      )
      assert.deepStrictEqual(
        (yield* witness.query("select id from t order by id")).map(({ id }) => id),
        [1, 3]
      )
    })
  )
})

describe("a backend that is ended while it commits", () => {
  const ways: Readonly<
    Record<string, (t: PG.Table) => Effect.Effect<number, PG.OperationError, PoolRegistry>>
  > = {
    copyFrom: (t) => t.copyFrom(Stream.make("1\n2\n")),
    insertMany: (t) => t.insertMany([{ n: 1 }, { n: 2 }])
  }
  for (const [name, store] of Object.entries(ways)) {
    withDatabase(`leaves what ${name} did unknown, and reports nothing as done`, slowCommit, (given) =>
      Effect.gen(function* () {
        yield* given.witness.query("select pg_advisory_lock(1)")
        const fiber = yield* Effect.forkChild(Effect.flip(store(given.pgdb.table("t"))))
        yield* blocked(given)
        yield* given.witness.query(
          "select pg_terminate_backend(pid) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        )
        const error = yield* Fiber.join(fiber)
        assert.include(error.message, "Whether the statement took effect is not known")
        assert.strictEqual(error._tag === "SqlError" && error.isRetryable, false)
        assert.deepStrictEqual(yield* given.witness.query("select * from t"), [])
        yield* given.witness.query("select pg_advisory_unlock(1)")
        yield* atRest(given)
      })
    )
  }
})
