/**
 * What is wrong with settings, statements and parameters is said at once, in a typed error that names the thing and the rule;
 * and the pool goes on.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { PG, PoolError, PoolRegistry } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"

/** What JavaScript lets through and TypeScript does not. */
const untyped = <A>(value: unknown): A => value as A

const invalidOf = (settings: PG.Settings | string) =>
  PG.make(settings)
    .select("select 1")
    .pipe(
      Effect.flip,
      Effect.map((error) => {
        assert.instanceOf(error, PoolError)
        assert.strictEqual(error.reason._tag, "InvalidSettings")
        return {
          setting: error.reason._tag === "InvalidSettings" ? error.reason.setting : "",
          message: error.message
        }
      })
    )

const settings: ReadonlyArray<readonly [setting: string, settings: unknown, rule: RegExp]> = [
  ["port", { port: 70_000 }, /whole number from 1 to 65535, and is 70000/],
  ["port", { port: 0 }, /from 1 to 65535/],
  ["port", { port: 54.32 }, /whole number/],
  ["port", { port: Number.NaN }, /whole number/],
  ["port", { port: "5432" }, /whole number from 1 to 65535, and is a string\./],
  ["host", { host: "" }, /is empty/],
  ["host", { host: 1 }, /must be a string/],
  ["path", { path: "" }, /is empty/],
  ["username", { username: "" }, /is empty/],
  ["username", { username: "a\0b" }, /NUL/],
  ["password", { password: 12 }, /a string, a Redacted, or an Effect of one of them/],
  ["database", { database: "" }, /is empty/],
  ["database", { database: "a\0b" }, /NUL/],
  ["key", { key: "" }, /is empty/],
  ["key", { key: "k".repeat(257) }, /257 characters; the most is 256/],
  ["applicationName", { applicationName: "" }, /is empty/],
  ["maxConnections", { maxConnections: 0 }, /whole number from 1 to 100000, and is 0/],
  ["maxConnections", { maxConnections: 2.5 }, /whole number/],
  ["maxConnections", { maxConnections: Number.POSITIVE_INFINITY }, /whole number/],
  ["minConnections", { minConnections: -1 }, /whole number from 0 to 10/],
  ["minConnections", { minConnections: 4, maxConnections: 3 }, /whole number from 0 to 3, and is 4/],
  ["maxWaiting", { maxWaiting: -1 }, /whole number from 0/],
  ["idleTimeout", { idleTimeout: -1 }, /duration/],
  ["idleTimeout", { idleTimeout: "soon" }, /duration/],
  ["connectionTTL", { connectionTTL: Number.NaN }, /duration/],
  ["connectionTTL", { connectionTTL: 0 }, /positive duration/],
  ["connectTimeout", { connectTimeout: 0 }, /positive duration/],
  ["acquireTimeout", { acquireTimeout: 0 }, /positive duration/],
  ["acquireTimeout", { acquireTimeout: "5 parsecs" }, /positive duration/],
  ["statementTimeout", { statementTimeout: -5 }, /positive duration/],
  ["answerTimeout", { answerTimeout: 0 }, /positive duration/],
  ["lifetimeJitter", { lifetimeJitter: 1 }, /from 0 up to but not 1/],
  ["lifetimeJitter", { lifetimeJitter: "10%" }, /from 0 up to but not 1/],
  ["int8", { int8: "float" }, /one of "number", "bigint", "string"/],
  ["timestamp", { timestamp: "temporal" }, /one of "date", "string"/],
  ["reset", { reset: "never" }, /one of "seen", "always"/],
  ["statementTimeout", { statementTimeout: "100 days" }, /positive duration of 24 days at the most/],
  ["keepAlive", { keepAlive: 0 }, /positive duration/],
  ["slowStatement", { slowStatement: "a while" }, /duration/],
  [
    "targetSessionAttributes",
    { targetSessionAttributes: "master" },
    /one of "any", "read-write", "read-only"/
  ],
  ["loadBalanceHosts", { loadBalanceHosts: true }, /one of "disable", "random"/],
  ["names", { names: "snake" }, /one of "as-is", "camel"/],
  ["logStatements", { logStatements: "some" }, /one of "none", "slow", "all"/],
  ["onConnect", { onConnect: "set role app" }, /an Effect, or a function/],
  ["onNotice", { onNotice: true }, /a function of a notice/],
  ["types", { types: "date" }, /an object of codecs/],
  ["host", { host: ["a", ""] }, /is empty/],
  ["port", { port: [5432, 70_000] }, /whole number from 1 to 65535, and is 70000/],
  ["prepare", { prepare: "no" }, /true or false, or "auto"/],
  ["pipelining", { pipelining: 1 }, /true or false/],
  ["ssl", { ssl: "require" }, /true, false, or an object/],
  ["startupParameters", { startupParameters: { user: "x" } }, /"user" cannot be set/],
  ["startupParameters", { startupParameters: { search_path: 1 } }, /search_path/],
  ["startupParameters", { startupParameters: "search_path=app" }, /startupParameters/],
  [
    "max",
    { max: 10 },
    /There is no setting max; it is called maxConnections here\. The settings are .*maxConnections/
  ],
  ["colour", { colour: "red" }, /There is no setting colour\. The settings are .*maxConnections/],
  ["url", "", /it is empty/],
  ["url", "not a url", /cannot be parsed/],
  ["url", "mysql://localhost/app", /must begin with postgres:\/\/ or postgresql:\/\//],
  ["url", "postgres://localhost:70000/app", /port|cannot be parsed/],
  ["url", "postgres://localhost/app%zz", /database has a %/],
  ["url", "postgres://app:12#34@localhost/app", /a #, which is written %23/],
  ["url", "postgres://localhost/app?sslmode=perhaps", /sslmode must be one of disable/],
  ["url", "postgres://localhost/app?connect_timeout=soon", /connect_timeout must be/],
  ["url", { url: 5 }, /must be a string/],
  ["url", undefined, /an object, or a URL/],
  ["url", null, /an object, or a URL/],
  ["url", 5, /an object, or a URL/]
]

describe("settings", () => {
  it.effect("are each broken once at least", () =>
    Effect.gen(function* () {
      const { message } = yield* invalidOf(untyped({ colour: "red" }))
      const [, all = ""] = /The settings are (.*)\.$/.exec(message) ?? []
      const broken = settings
        .map(([setting]) => setting)
        .filter((setting) => setting !== "max" && setting !== "colour")
      assert.deepStrictEqual(new Set(broken), new Set(all.split(", ")))
    }).pipe(Effect.provide(PoolRegistry.layer()))
  )

  for (const [setting, given, rule] of settings) {
    it.effect(`${setting}: ${typeof given === "string" ? given : JSON.stringify(given)?.slice(0, 60)}`, () =>
      Effect.gen(function* () {
        const told = yield* invalidOf(untyped(given))
        assert.strictEqual(told.setting, setting)
        assert.match(told.message, rule)
        assert.include(told.message.toLowerCase(), setting.toLowerCase())
      }).pipe(Effect.provide(PoolRegistry.layer()))
    )
  }

  it.effect("every operation of such a handle says the same, and making it throws nothing", () =>
    Effect.gen(function* () {
      const pgdb = PG.make({ port: 70_000 })
      const table = pgdb.table("users")
      const operations: ReadonlyArray<Effect.Effect<unknown, unknown, PoolRegistry>> = [
        pgdb.execute("select 1"),
        pgdb.selectOne("select 1"),
        pgdb.selectValue("select 1"),
        pgdb.trans(["select 1"]),
        pgdb.transaction(Effect.void),
        Stream.runDrain(pgdb.stream("select 1")),
        pgdb.client,
        pgdb.withLock("key", Effect.void),
        table.select`select 1`,
        table.find(),
        table.insert({ id: 1 }),
        table.insertMany([{ id: 1 }]),
        table.count()
      ]
      for (const operation of operations) {
        const exit = yield* Effect.exit(operation)
        assert.include(String(exit), "The setting port must be a whole number from 1 to 65535, and is 70000.")
      }
      yield* pgdb.terminate
      assert.deepStrictEqual(yield* PoolRegistry.stats, [])
    }).pipe(Effect.provide(PoolRegistry.layer()))
  )

  it.effect("options of a registry", () =>
    Effect.gen(function* () {
      for (const [setting, options] of [
        ["maxConnections", { maxConnections: 0 }],
        ["maxConnections", { maxConnections: 1.5 }],
        ["poolIdleTimeout", { poolIdleTimeout: -1 }],
        ["poolIdleTimeout", { poolIdleTimeout: untyped<string>("later") }],
        ["maxConections", { maxConections: 5 }]
      ] as const) {
        const error = yield* Effect.flip(
          Effect.provide(
            PoolRegistry.stats,
            PoolRegistry.layer(untyped<Parameters<typeof PoolRegistry.layer>[0]>(options))
          )
        )
        assert.deepInclude(error.reason, { _tag: "InvalidSettings", setting })
        assert.include(error.message, setting)
      }
    })
  )
})

const cyclic: { self?: unknown } = {}
cyclic.self = cyclic

const parameters: ReadonlyArray<readonly [name: string, value: unknown, said: RegExp]> = [
  ["a function", () => 1, /\$1.*function/],
  ["a symbol", Symbol("secret"), /\$1.*symbol/],
  ["a cyclic object", cyclic, /\$1/],
  ["an object with a bigint", { big: 1n }, /\$1/],
  ["an invalid Date", new Date(Number.NaN), /\$1/]
]

const isAlive = (pgdb: PG.Database) =>
  Effect.gen(function* () {
    assert.deepStrictEqual(yield* pgdb.selectValue("select $1::int", [1]), Option.some(1))
    const [pool] = yield* PoolRegistry.stats
    assert.strictEqual(pool?.inUse, 0)
    assert.strictEqual(pool?.open, 1)
  })

describe("parameters that no type takes", () => {
  for (const [name, value, said] of parameters) {
    withDatabase(name, [], ({ pgdb }) =>
      Effect.gen(function* () {
        yield* pgdb.select("select 1")
        const calls = [
          pgdb.select("select $1", [value]),
          pgdb.select`select ${value}`,
          pgdb.select("select $1::jsonb", [value]),
          pgdb.transaction(pgdb.select("select $1::text", [value])),
          Effect.asVoid(Stream.runDrain(pgdb.stream("select $1", [value])))
        ]
        for (const call of calls) {
          const error = yield* Effect.flip<unknown, PG.OperationError, PoolRegistry>(call)
          assert.match(error.message, said)
          assert.notInclude(error.message, "secret")
        }
        const batch = yield* Effect.flip(pgdb.trans(["select 1", ["select $1::text", [value]]]))
        assert.match(batch.message, said)
        yield* isAlive(pgdb)
      })
    )
  }

  withDatabase("parameters that are no array", [], ({ pgdb }) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(pgdb.select("select $1", untyped("one")))
      assert.instanceOf(error, PoolError)
      assert.include(error.message, "The parameters of a statement are an array")
    })
  )
})

describe("statements", () => {
  const refused: ReadonlyArray<readonly [statement: unknown, said: string]> = [
    ["", "An empty statement was not sent"],
    ["  \n\t", "An empty statement was not sent"],
    ["-- nothing", "An empty statement was not sent"],
    ["/* nothing */ ;", "An empty statement was not sent"],
    ["select '\0'", "NUL"],
    [undefined, "Expected SQL text"],
    [null, "Expected SQL text"],
    [1, "Expected SQL text"],
    [{}, "Expected SQL text"]
  ]
  withDatabase("that are none are refused", [], ({ pgdb }) =>
    Effect.gen(function* () {
      for (const [statement, said] of refused) {
        for (const call of [
          pgdb.select(untyped<string>(statement)),
          pgdb.execute(untyped<string>(statement)),
          pgdb.trans([untyped<string>(statement)]),
          Stream.runDrain(pgdb.stream(untyped<string>(statement)))
        ]) {
          const error = yield* Effect.flip<unknown, PG.OperationError, PoolRegistry>(call)
          assert.instanceOf(error, PoolError)
          assert.strictEqual(error.reason._tag, "StatementRefused")
          assert.include(error.message, said)
        }
      }
      yield* isAlive(pgdb)
    })
  )

  withDatabase(
    "two in one are refused by the server, and neither took effect",
    ["create table users (id int)"],
    (given) =>
      Effect.gen(function* () {
        const { pgdb, witness } = given
        for (const call of [
          pgdb.select("select 1; drop table users"),
          pgdb.execute("insert into users values (1); insert into users values (2)"),
          pgdb.trans(["insert into users values (3)", "select 1; drop table users"]),
          Effect.asVoid(Stream.runDrain(pgdb.stream("select 1; drop table users")))
        ]) {
          const error = yield* Effect.flip<unknown, PG.OperationError, PoolRegistry>(call)
          assert.include(error.message, "cannot insert multiple commands into a prepared statement")
          assert.include(error.message, "trans([...])")
        }
        assert.deepStrictEqual(yield* witness.query("select * from users"), [])
        // One statement that ends with its semicolon is one.
        assert.deepStrictEqual(yield* pgdb.select("select 1 as one;"), [{ one: 1 }])
        yield* isAlive(pgdb)
      })
  )

  withDatabase("with the wrong number of parameters", [], ({ pgdb }) =>
    Effect.gen(function* () {
      for (const [text, params] of [
        ["select $1::int", []],
        ["select $1::int", [1, 2]],
        ["select $2::int", [1]],
        ["select 1", [null]],
        ["select 1", [1]],
        ["select $1::int + $2::int", [1]],
        ["select $1::text", undefined],
        ["select $1::date", [new Date(), 1]]
      ] as const) {
        const error = yield* Effect.flip(pgdb.select(text, params))
        assert.match(error.message, /parameter/)
        assert.include(error.message, "$1 is the first")
      }
      const quoted = yield* Effect.flip(pgdb.select`select 1 where 'Ada' like '%${"d"}%'`)
      assert.include(quoted.message, "Its $1 stands inside quotes or a comment, where it is text")
      yield* isAlive(pgdb)
    })
  )

  withDatabase("that are wrong leave the pool as it was", [], ({ pgdb }) =>
    Effect.gen(function* () {
      for (const text of ["selec 1", "select * from nowhere", "select 1/0", "'", '"', "$1", ")", "\\", "é"]) {
        assert.isTrue(Exit.isFailure(yield* Effect.exit(pgdb.select(text))), text)
      }
      yield* isAlive(pgdb)
    })
  )
})

describe("notifications", () => {
  withDatabase("whose name or payload is no text are refused", [], ({ pgdb }) =>
    Effect.gen(function* () {
      for (const [channel, payload] of [
        ["jobs", 5],
        ["jobs", { id: 5 }],
        ["jobs", 2n],
        [5, "5"],
        [undefined, "5"]
      ]) {
        const error = yield* Effect.flip(pgdb.notify(untyped(channel), untyped(payload)))
        assert.instanceOf(error, PoolError)
        assert.include(error.message, "both texts. Nothing was sent.")
      }
      yield* pgdb.notify("jobs", untyped(null))
    })
  )
})

describe("data of a COPY", () => {
  withDatabase("that are no Stream are refused", ["create table t (id int)"], ({ pgdb }) =>
    Effect.gen(function* () {
      for (const data of ["1\n", undefined, ["1\n"], new TextEncoder().encode("1\n")]) {
        for (const copied of [
          pgdb.table("t").copyFrom(untyped<Stream.Stream<string>>(data)),
          pgdb.copyFrom("copy t from stdin", untyped<Stream.Stream<string>>(data))
        ]) {
          const error = yield* Effect.flip(copied)
          assert.instanceOf(error, PoolError)
          assert.include(error.message, "not a Stream. Nothing was sent.")
        }
      }
    })
  )
})
