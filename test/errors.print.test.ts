/**
 * An unhandled error reads as a person would write it: what happened, once, and where in the program it was.
 */
import { expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { isSqlError, SqlError } from "effect/sql/SqlError"
import { PoolError } from "effect-global-pool"
import { withoutPasswords } from "../src/errors/BlankLiterals.ts"
import { excerpt } from "../src/errors/Excerpt.ts"
import { nearest } from "../src/errors/NearestNames.ts"
import { serverError } from "../src/errors/ServerErrors.ts"
import { withDatabase } from "./support/handle.ts"
import { program } from "./support/process.ts"

const printed = (how: string) =>
  Effect.gen(function* () {
    const run = yield* program("test/support/failing.ts", { args: [how] })
    yield* run.exit
    return `${run.stdout()}${run.stderr()}`
  })

const story = `duplicate key value violates unique constraint "users_email_key" (SQLSTATE 23505 unique_violation)
Detail: Key (email)=(…) already exists.
At: table public.users, constraint users_email_key
Statement:
  insert into users (email) values ($1)`

it.effect("console.log prints an error as its story and nothing else", () =>
  Effect.gen(function* () {
    const text = yield* printed("log")
    const indented = `SqlError: ${story}`.replaceAll("\n", "\n  ")
    expect(text).toBe(`SqlError: ${story}\n{\n  error: ${indented}\n}\n`)
  })
)

it.effect(
  "an error that is thrown, rejected or fails a main program is printed with its cause in a line",
  () =>
    Effect.gen(function* () {
      for (const how of ["uncaught", "unhandled", "main"]) {
        const text = yield* printed(how)
        expect(text.split("Statement:").length, text).toBe(2)
        expect(text, how).toContain(`SqlError: ${story}`)
        expect(text, how).toMatch(/\[cause\]: \[?UniqueViolation: duplicate key value/)
        expect(text, how).not.toContain("ann@")
        expect(text, how).not.toMatch(/nbtinsert|src\/protocol/)
        expect(text.split("\n").length, text).toBeLessThan(25)
      }
    })
)

it.effect("tags, reasons and retries work as with any SqlError", () =>
  Effect.gen(function* () {
    const error = serverError(
      { severity: "ERROR", code: "40001", message: "could not serialize access" },
      { text: "commit" }
    )
    expect(error).toBeInstanceOf(SqlError)
    expect(isSqlError(error)).toBe(true)
    expect(error.isRetryable).toBe(true)
    const caught = yield* Effect.fail(error).pipe(
      Effect.catchTag("SqlError", ({ reason }) => Effect.succeed(reason._tag))
    )
    expect(caught).toBe("SerializationError")
    const byReason = yield* Effect.fail(error).pipe(
      Effect.catchReason("SqlError", "SerializationError", (reason) => Effect.succeed(reason.cause))
    )
    expect(byReason).toMatchObject({ code: "40001", condition: "serialization_failure" })
    let tries = 0
    yield* Effect.suspend(() => (tries++ < 2 ? Effect.fail(error) : Effect.void)).pipe(
      Effect.retry({ schedule: Schedule.recurs(3), while: ({ isRetryable }) => isRetryable })
    )
    expect(tries).toBe(3)
    expect(Cause.pretty(Cause.fail(error))).toBe(
      `SqlError: ${error.message} {\n  [cause]: SerializationError: could not serialize access\n}`
    )
    expect(error.cause).toMatchObject({ _tag: "SerializationError", message: "could not serialize access" })
  })
)

withDatabase("a stack names the line of the caller, where Effect knows it", [], ({ pgdb }) =>
  Effect.gen(function* () {
    const failing = Effect.fn("countGhosts")(function* () {
      return yield* pgdb.select("select * from ghosts")
    })
    const refused = Effect.fn("beginTwice")(function* () {
      return yield* pgdb.execute("begin")
    })
    const programs = { countGhosts: Effect.asVoid(failing()), beginTwice: Effect.asVoid(refused()) }
    for (const [name, effect] of Object.entries(programs)) {
      const exit = yield* Effect.exit(effect)
      const error = yield* Effect.flip(exit)
      expect(error.stack).toContain(error.message)
      expect(error.stack).toMatch(new RegExp(`at ${name} \\(.*errors\\.print\\.test\\.ts:\\d+`))
      expect(error.stack).not.toContain("/src/protocol/")
      const pretty = Exit.isFailure(exit) ? Cause.pretty(exit.cause) : ""
      expect(pretty.split(`at ${name} (`).length).toBe(3)
    }
  })
)

withDatabase("both kinds of errors cross an RPC encoded and decoded", [], ({ pgdb }) =>
  Effect.gen(function* () {
    const cross = <S extends Schema.Codec<unknown, unknown>>(schema: S, error: S["Type"]) => {
      const sent = JSON.stringify(Schema.encodeUnknownSync(Schema.toCodecJson(schema))(error))
      return Schema.decodeUnknownSync(Schema.toCodecJson(schema))(JSON.parse(sent))
    }
    const unique = yield* Effect.flip(pgdb.select("select * from ghosts"))
    if (!isSqlError(unique)) return expect.fail("an error of the server")
    const sql = cross(SqlError, unique)
    expect(sql).toBeInstanceOf(SqlError)
    expect(sql).toMatchObject({ message: unique.message, reason: { _tag: "SqlSyntaxError" } })
    const refused = yield* Effect.flip(pgdb.execute("begin"))
    if (isSqlError(refused)) return expect.fail("an error of the pool")
    const pool = cross(PoolError, refused)
    expect(pool).toBeInstanceOf(PoolError)
    expect(pool).toMatchObject({ message: refused.message, reason: { _tag: "StatementRefused" } })
  })
)

it("an excerpt keeps to 2 000 characters around the place, and to lines that fit", () => {
  const lines = Array.from({ length: 400 }, (_, index) => `  line ${index} of the statement`)
  const text = lines.join("\n")
  const index = text.indexOf("line 200")
  const shown = excerpt({ text, index })
  expect(shown.length).toBeLessThan(2300)
  const [place, caret] = shown
    .split("\n")
    .slice(shown.split("\n").findIndex((line) => line.includes("line 200 ")))
  expect(caret?.indexOf("^")).toBe(place?.indexOf("line 200"))
  expect(excerpt({ text: `select '${"x".repeat(5000)}'`, index: undefined }).length).toBeLessThan(2010)
  expect(excerpt({ text: "😀".repeat(3000), index: 3001 })).not.toMatch(/[\ud800-\udbff](?![\udc00-\udfff])/)
  expect(excerpt({ text: "select 1\r\n  from\u001b[31m x", index: 17 })).toBe(
    "  select 1\n    from\ufffd[31m x\n         ^"
  )
})

it("the passwords that a statement sets are blanked, and nothing else of it", () => {
  const hidden = (text: string) => withoutPasswords({ text, index: undefined }).text
  expect(hidden("create role a login PASSWORD 'hunter2' valid until '2030-01-01'")).toBe(
    "create role a login PASSWORD '…' valid until '2030-01-01'"
  )
  expect(
    hidden("create user mapping for a server s options (user 'x', password E'hun\\'ter2')")
  ).not.toContain("ter2")
  for (const text of [
    "set app.password to 'hunter2'",
    "select set_config('app.password', 'hunter2', false)",
    "select connect_to(password => 'hunter2')",
    "call connect_to(password := 'hunter2')",
    "create subscription s connection 'postgres://ann:hunter2@db/shop' publication p",
    "select dblink('postgres://ann:hun\\'ter2@db/shop', 'select 1')"
  ]) {
    expect(hidden(text)).not.toMatch(/hun|ter2/)
  }
  expect(hidden("select password from users")).toBe("select password from users")
  expect(hidden("select 'https://db/a:b', 'x'")).toBe("select 'https://db/a:b', 'x'")
})

it("the nearest names are found in spite of typing errors and case", () => {
  const names = ["postgres", "shop", "Shop_test", "blog", "analytics"]
  expect(nearest("shpo", names)).toEqual(["shop"])
  expect(nearest("SHOP", names)).toEqual(["shop", "Shop_test"])
  expect(nearest("analitycs", names)).toEqual(["analytics"])
  expect(nearest("inventory", names)).toEqual([])
  expect(nearest("x", [])).toEqual([])
})
