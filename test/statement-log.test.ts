/** The log of statements: which are in it, what it says of them, and that no value is among it. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import { PG } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"

interface Line {
  readonly level: string
  readonly message: unknown
  readonly annotations: Readonly<Record<string, unknown>>
}

/** The lines that an effect logs. */
const linesOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const lines: Array<Line> = []
    const logger = Logger.make(({ fiber, logLevel, message }) => {
      const [first] = Array.isArray(message) ? message : [message]
      const annotations = { ...fiber.getRef(References.CurrentLogAnnotations) }
      lines.push({ level: logLevel, message: first, annotations })
    })
    return Effect.as(Effect.exit(effect).pipe(Effect.provide(Logger.layer([logger]))), lines)
  })

const table = "create table people (id int primary key, name text)"

withDatabase("nothing is logged unless it is asked for", [table], ({ pgdb }) =>
  Effect.gen(function* () {
    assert.deepStrictEqual(yield* linesOf(pgdb.select("select 1 from people")), [])
  })
)

withDatabase("what copyTo asks the catalogue is no operation", [table], ({ settings }) =>
  Effect.gen(function* () {
    const people = PG.make({ ...settings, logStatements: "all" }).table("people")
    const lines = yield* linesOf(Stream.runDrain(people.copyTo()))
    assert.deepStrictEqual(
      lines.map(({ message }) => message),
      ['copy "people" ("id", "name") to stdout (format csv)']
    )
  })
)

withDatabase('"all" logs each operation with its rows and times, and no value', [table], ({ settings }) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...settings, logStatements: "all" })
    const people = pgdb.table<{ id: number; name: string }>("people")
    const lines = yield* linesOf(
      Effect.gen(function* () {
        yield* people.execute`insert into ${people} values (${1}, ${"Ada Secret"}), (2, 'kept')`
        yield* pgdb.select("select 'Secret', 42 from people where id < 7")
        yield* pgdb.trans([["update people set name = $1", ["Secret"]], "delete from people where id = 1"])
        yield* Stream.runDrain(pgdb.stream("select generate_series(1, $1::int)", [500]))
        yield* pgdb.transaction(people.find({ name: "Secret" }))
        yield* people.insertMany([{ id: 3, name: "Secret" }])
        yield* Effect.exit(pgdb.execute`insert into people values (${2}, ${"Secret"})`)
        yield* Effect.exit(pgdb.execute("alter role nobody_here password 'Secret'"))
      })
    )
    const shown = lines.map(({ annotations, level, message }) => [
      level,
      message,
      annotations.rows,
      annotations["error.type"]
    ])
    assert.deepStrictEqual(shown.slice(0, 5), [
      ["Info", `insert into "people" values ($1, $2), (2, 'kept')`, 2, undefined],
      ["Info", "select '…', … from people where id < …", 2, undefined],
      ["Info", "update people set name = $1; delete from people where id = …", 3, undefined],
      ["Info", "select generate_series(1, $1::int)", 500, undefined],
      ["Info", 'select * from "people" where "name" = $1', 1, undefined]
    ])
    assert.deepStrictEqual(shown.slice(-2), [
      ["Info", "insert into people values ($1, $2)", undefined, "23505"],
      ["Info", "alter role nobody_here password '…'", undefined, "42704"]
    ])
    assert.notInclude(JSON.stringify(lines), "Secret")
    for (const { annotations } of lines) {
      assert.isAtLeast(Number(annotations.waitMillis), 0)
      assert.isAtLeast(Number(annotations.runMillis), 0)
      assert.strictEqual(annotations["db.client.connection.pool.name"], settings.database)
    }
    assert.deepStrictEqual(lines[2]?.annotations.statements, 2)
  })
)

withDatabase("the wait for a connection and the run have a time each", [], ({ settings }) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...settings, maxConnections: 1, pipelining: false, logStatements: "all" })
    yield* pgdb.select("select 1")
    const lines = yield* linesOf(
      Effect.gen(function* () {
        const first = yield* Effect.forkChild(pgdb.select("select pg_sleep(0.3)"))
        yield* Effect.yieldNow
        yield* pgdb.execute("set local work_mem = '5MB'")
        yield* Fiber.join(first)
      })
    )
    const [slept, waited] = lines.map(({ annotations }) => annotations)
    assert.isAtLeast(Number(slept?.runMillis), 300)
    assert.isBelow(Number(slept?.waitMillis), 250)
    assert.isAtLeast(Number(waited?.waitMillis), 250)
    assert.isBelow(Number(waited?.runMillis), 250)
  })
)

withDatabase('"slow" logs those that take slowStatement or longer, as warnings', [], ({ settings }) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...settings, logStatements: "slow", slowStatement: "200 millis" })
    yield* pgdb.select("select 1")
    const lines = yield* linesOf(
      Effect.all([pgdb.select("select 2"), pgdb.select("select pg_sleep(0.25)"), pgdb.select("select 3")])
    )
    for (const { annotations } of lines) {
      assert.isAtLeast(Number(annotations.waitMillis) + Number(annotations.runMillis), 200)
    }
    const slow = lines.filter(({ annotations }) => Number(annotations.runMillis) >= 250)
    assert.deepStrictEqual(
      slow.map(({ level, message }) => [level, message]),
      [["Warn", "select pg_sleep(…)"]]
    )
  })
)

withDatabase("a line says where in the program the statement stands", [], ({ settings }) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...settings, logStatements: "all" })
    const listUsers = Effect.fn("listUsers")(function* () {
      return yield* pgdb.select("select 1")
    })
    const [line] = yield* linesOf(listUsers())
    assert.match(String(line?.annotations.at), /^listUsers \(.*statement-log\.test\.ts:\d+:\d+\)$/)
  })
)
