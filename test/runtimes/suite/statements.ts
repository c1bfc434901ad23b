/** Statements, tables, streams and errors. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { PG, PoolError } from "effect-global-pool"
import { assert, promise, until } from "./promise.ts"

const count = "select count(*) from people"

export const statements = [
  promise("execute tells the command and how many rows", ({ pgdb }) =>
    Effect.map(
      pgdb.execute("insert into people (name) values ('Ada'), ('Grace')"),
      ({ command, rowCount, rows }) =>
        assert.deepEqual({ command, rowCount, rows }, { command: "INSERT", rowCount: 2, rows: [] })
    )
  ),
  promise("a template binds its values", ({ pgdb }) =>
    Effect.map(pgdb.select`select ${"Robert'); drop table people"}::text as name`, (rows) =>
      assert.deepEqual(rows, [{ name: "Robert'); drop table people" }])
    )
  ),
  promise("pieces and names compose", ({ pgdb }) =>
    Effect.map(
      pgdb.select`select ${PG.id("name")} from ${pgdb.table("people")} where ${PG.sql`id > ${0}`} order by id limit ${1}`,
      (rows) => assert.deepEqual(rows, [{ name: "Ada" }])
    )
  ),
  promise("selectOne is none without a row", ({ pgdb }) =>
    Effect.map(pgdb.selectOne`select 1 where false`, (row) => assert.deepEqual(row, Option.none()))
  ),
  promise("a handle's methods work when they are taken off", ({ pgdb }) =>
    Effect.gen(function* () {
      const { selectValue } = pgdb
      assert.deepEqual(yield* selectValue("select 1"), Option.some(1))
    })
  ),
  promise("rows as arrays of a client keep columns of one name", ({ pgdb }) =>
    Effect.flatMap(pgdb.client, (sql) =>
      Effect.map(sql`select 1 as a, 2 as a`.values, (rows) => assert.deepEqual(rows, [[1, 2]]))
    )
  ),
  promise("a table inserts, finds, updates, counts and deletes", ({ pgdb }) =>
    Effect.gen(function* () {
      const people = pgdb.table("people")
      const row = yield* people.insert({ name: "Alan", tags: ["a", "b"] })
      assert.equal(row.name, "Alan")
      assert.equal(yield* people.update({ name: "Alan" }, { age: 41 }), 1)
      assert.equal(yield* people.update({ name: "Alan" }, { age: { $inc: 1 } }), 1)
      assert.deepEqual(yield* people.find({ age: 42 }, { columns: ["name"] }), [{ name: "Alan" }])
      assert.equal(yield* people.count({ tags: { $contains: ["a"] } }), 1)
      assert.equal(yield* people.upsert({ name: "Alan", age: 1 }, { on: "name" }), 1)
      assert.equal(yield* people.delete({ name: "Alan" }), 1)
    })
  ),
  promise("a schema decodes and encodes", ({ pgdb }) =>
    Effect.gen(function* () {
      const people = pgdb.table(
        "people",
        Schema.Struct({ name: Schema.String, born: Schema.NullOr(Schema.Date) })
      )
      yield* people.insert({ name: "Edsger", born: new Date("1930-05-11T00:00:00Z") })
      const [found] = yield* people.find({ name: "Edsger" })
      assert.equal(found?.born?.getUTCFullYear(), 1930)
      yield* people.delete({ name: "Edsger" })
    })
  ),
  promise("insertMany stores 20 000 rows in one go", ({ pgdb }) =>
    Effect.gen(function* () {
      const many = pgdb.table("many")
      const rows = Array.from({ length: 20_000 }, (_, id) => ({
        id,
        label: `row ${id}`,
        at: new Date(id * 1_000)
      }))
      assert.equal(yield* many.insertMany(rows), 20_000)
      assert.deepEqual(yield* pgdb.selectValue("select sum(id) from many"), Option.some(199990000))
    })
  ),
  promise("insertStream stores a stream", ({ pgdb }) =>
    Effect.gen(function* () {
      const rows = Stream.map(Stream.range(20_000, 24_999), (id) => ({ id, label: null, at: new Date(0) }))
      assert.equal(yield* pgdb.table("many").insertStream(rows), 5_000)
    })
  ),
  promise("a stream gives a million rows", ({ pgdb }) =>
    Effect.gen(function* () {
      const sum = yield* Stream.runFold(
        pgdb.stream("select n from generate_series(1, 1000000) n"),
        () => 0,
        (sum, row) => sum + Number(row.n)
      )
      assert.equal(sum, 500_000_500_000)
    })
  ),
  promise("a stream that ends early ends its statement", ({ pgdb, sessions }) =>
    Effect.gen(function* () {
      const some = pgdb
        .stream("select n, repeat('x', 10000) from generate_series(1, 1000000) n")
        .pipe(Stream.take(3), Stream.runCount)
      assert.equal(yield* some, 3)
      yield* until(sessions, (all) => all.every(({ state }) => state !== "active"))
    })
  ),
  promise("streams come after other statements, again and again", ({ pgdb }) =>
    Effect.gen(function* () {
      for (let round = 0; round < 20; round++) {
        yield* pgdb.select(`select ${round}`)
        const rows = yield* Stream.runCollect(
          pgdb.stream(`select n, ${round} as round from generate_series(1, 500) n`)
        )
        assert.equal(rows.length, 500)
      }
    })
  ),
  promise("a slow reader holds a stream back", ({ pgdb }) =>
    Effect.gen(function* () {
      const slow = pgdb.stream("select n, repeat('x', 100000) from generate_series(1, 300) n").pipe(
        Stream.mapEffect((row) => Effect.as(Effect.sleep("1 millis"), row)),
        Stream.runCount
      )
      assert.equal(yield* slow, 300)
    })
  ),
  promise("several streams run at one time", ({ pgdb }) =>
    Effect.gen(function* () {
      const counts = yield* Effect.forEach(
        [1, 2, 3],
        () => Stream.runCount(pgdb.stream("select n from generate_series(1, 50000) n")),
        { concurrency: "unbounded" }
      )
      assert.deepEqual(counts, [50_000, 50_000, 50_000])
    })
  ),
  promise("a unique violation names its constraint", ({ pgdb }) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(pgdb.execute("insert into people (name) values ('Ada')"))
      assert.ok(error._tag === "SqlError" && error.reason._tag === "UniqueViolation")
      assert.equal(error.reason.constraint, "people_name_key")
    })
  ),
  promise("a syntax error shows its place", ({ pgdb }) =>
    Effect.map(Effect.flip(pgdb.select("selec 1")), ({ message }) => assert.match(message, /42601[\s\S]*\^/))
  ),
  promise("a parameter never shows in a message", ({ pgdb }) =>
    Effect.map(Effect.flip(pgdb.select("select $1::int", ["s3cret"])), ({ message }) =>
      assert.doesNotMatch(message, /s3cret/)
    )
  ),
  promise("BEGIN is refused", ({ pgdb }) =>
    Effect.map(Effect.flip(pgdb.execute("begin")), (error) => {
      assert.ok(error instanceof PoolError)
      assert.equal(error.reason._tag, "StatementRefused")
    })
  ),
  promise("bad settings do not throw", () =>
    Effect.map(Effect.flip(PG.make({ port: 70_000 }).select("select 1")), (error) =>
      assert.match(error.message, /port/)
    )
  ),
  promise("two statements in one text are refused by the server", ({ pgdb }) =>
    Effect.gen(function* () {
      yield* Effect.flip(pgdb.execute("delete from people; select 1"))
      const found = yield* pgdb.selectValue<number>(count)
      assert.ok(Option.isSome(found) && found.value > 0)
    })
  ),
  promise("the error of a wrong password does not show it", ({ settings }) =>
    Effect.map(
      Effect.flip(PG.make({ ...settings, password: "wr0ng", key: "wrong" }).select("select 1")),
      (error) => {
        assert.match(error.message, /28P01/)
        assert.doesNotMatch(error.message, /wr0ng/)
      }
    )
  )
]
