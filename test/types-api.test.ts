/**
 * The types of handles and their operations: what a row is, what may fail, and what has to be supplied.
 */

import type { PgClient } from "@effect/sql-pg/PgClient"
import { expectTypeOf, it } from "@effect/vitest"
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { SqlClient } from "effect/sql/SqlClient"
import { PG, type PoolError, PoolRegistry } from "effect-global-pool"
import * as Pooled from "effect-global-pool/kysely"
import type { Kysely } from "kysely"
import { Boom, type Failure, Needed, type User } from "./support/signatures.ts"

type Program<A, E = Failure> = Effect.Effect<A, E, PoolRegistry>

const pgdb = PG.make({})
const anything = pgdb.table("users")
const vouched = pgdb.table<User>("users")
const UserSchema = Schema.Struct({ id: Schema.Number, born: Schema.DateFromString })
type Decoded = typeof UserSchema.Type
const decoded = pgdb.table("users", UserSchema)

it("handles are made of settings, a URL or the environment", () => {
  expectTypeOf(PG.make).parameter(0).toEqualTypeOf<PG.Settings | string>()
  expectTypeOf(pgdb).toEqualTypeOf<PG.Database>()
  expectTypeOf(PG.fromEnv).toEqualTypeOf<Effect.Effect<PG.Database, ConfigError>>()
  expectTypeOf(anything).toEqualTypeOf<PG.Table>()
  expectTypeOf(vouched).toEqualTypeOf<PG.Table<User>>()
  expectTypeOf(decoded).toEqualTypeOf<PG.DecodedTable<Decoded>>()
  PG.make({
    password: Redacted.make("x"),
    idleTimeout: "1 minute",
    connectTimeout: { seconds: 2 },
    acquireTimeout: 5
  })
  PG.make({ password: Effect.succeed(Redacted.make("x")), ssl: { ca: "x" }, key: undefined })
  // @ts-expect-error A password that may fail has to say what happens then.
  PG.make({ password: Effect.fail("no") })
  // @ts-expect-error There is no such setting.
  PG.make({ max: 5 })
  // @ts-expect-error Ports are numbers.
  PG.make({ port: "5432" })
  // @ts-expect-error One of three.
  PG.make({ int8: "float" })
})

it("rows without a declared type are PG.Row", () => {
  for (const handle of [pgdb, anything]) {
    expectTypeOf(handle.select("select 1")).toEqualTypeOf<Program<ReadonlyArray<PG.Row>>>()
    expectTypeOf(handle.select("select $1", [1])).toEqualTypeOf<Program<ReadonlyArray<PG.Row>>>()
    expectTypeOf(handle.select`select ${1}`).toEqualTypeOf<Program<ReadonlyArray<PG.Row>>>()
    expectTypeOf(handle.select(PG.sql`select ${1}`)).toEqualTypeOf<Program<ReadonlyArray<PG.Row>>>()
    expectTypeOf(handle.selectOne("select 1")).toEqualTypeOf<Program<Option.Option<PG.Row>>>()
    expectTypeOf(handle.selectValue("select 1")).toEqualTypeOf<Program<Option.Option<unknown>>>()
    expectTypeOf(handle.stream("select 1")).toEqualTypeOf<Stream.Stream<PG.Row, Failure, PoolRegistry>>()
    expectTypeOf(handle.execute("select 1")).toEqualTypeOf<Program<PG.Outcome>>()
    expectTypeOf(handle.execute`select 1`).toEqualTypeOf<Program<PG.Outcome>>()
    expectTypeOf(handle.trans(["select 1", ["select $1", [1]], PG.sql`select ${1}`])).toEqualTypeOf<
      Program<ReadonlyArray<PG.Outcome>>
    >()
  }
  expectTypeOf<PG.Row[string]>().toEqualTypeOf<unknown>()
})

it("rows whose type the caller vouches for", () => {
  expectTypeOf(pgdb.select<User>("select 1")).toEqualTypeOf<Program<ReadonlyArray<User>>>()
  expectTypeOf(pgdb.select<User>`select ${1}`).toEqualTypeOf<Program<ReadonlyArray<User>>>()
  expectTypeOf(pgdb.selectOne<User>("select 1")).toEqualTypeOf<Program<Option.Option<User>>>()
  const selectUser = pgdb.selectOne<User>
  expectTypeOf(selectUser("select 1")).toEqualTypeOf<Program<Option.Option<User>>>()
  expectTypeOf(pgdb.selectValue<number>("select 1")).toEqualTypeOf<Program<Option.Option<number>>>()
  expectTypeOf(pgdb.stream<User>("select 1")).toEqualTypeOf<Stream.Stream<User, Failure, PoolRegistry>>()
  expectTypeOf(vouched.select("select 1")).toEqualTypeOf<Program<ReadonlyArray<User>>>()
  expectTypeOf(vouched.selectOne`select 1`).toEqualTypeOf<Program<Option.Option<User>>>()
  expectTypeOf(vouched.select<{ n: number }>("select 1")).toEqualTypeOf<
    Program<ReadonlyArray<{ n: number }>>
  >()
  expectTypeOf(vouched.find()).toEqualTypeOf<Program<ReadonlyArray<User>>>()
})

it("rows that a schema decodes", () => {
  type Error = Schema.SchemaError | Failure
  expectTypeOf(decoded.select("select 1")).toEqualTypeOf<Program<ReadonlyArray<Decoded>, Error>>()
  expectTypeOf(decoded.select`select ${1}`).toEqualTypeOf<Program<ReadonlyArray<Decoded>, Error>>()
  expectTypeOf(decoded.selectOne("select 1")).toEqualTypeOf<Program<Option.Option<Decoded>, Error>>()
  expectTypeOf(decoded.stream("select 1")).toEqualTypeOf<Stream.Stream<Decoded, Error, PoolRegistry>>()
  // Neither is about the table's rows.
  expectTypeOf(decoded.selectValue("select 1")).toEqualTypeOf<Program<Option.Option<unknown>>>()
  expectTypeOf(decoded.execute("select 1")).toEqualTypeOf<Program<PG.Outcome>>()
  // @ts-expect-error What a schema decodes needs no type from the caller.
  decoded.select<User>("select 1")
})

it("statements", () => {
  // @ts-expect-error Parameters are an array.
  pgdb.select("select $1", 1)
  expectTypeOf(Effect.forEach(["select 1"], vouched.selectOne)).toEqualTypeOf<
    Program<Array<Option.Option<User>>>
  >()
  // @ts-expect-error A number is no statement.
  pgdb.select(1)
  // @ts-expect-error Statement and parameters are one argument of trans.
  pgdb.trans("select 1", "select 2")
  expectTypeOf(PG.sql`select ${vouched} ${PG.id("a", "b")} ${PG.json([1])}`).toEqualTypeOf<PG.Sql>()
  expectTypeOf<PG.Statement>().toEqualTypeOf<
    string | readonly [sql: string, params: ReadonlyArray<unknown>] | PG.Sql
  >()
})

it("transaction keeps what its effect gives, fails with and needs", () => {
  const inner = Effect.gen(function* () {
    const { n } = yield* Needed
    return n > 1 ? yield* new Boom() : n
  })
  expectTypeOf(pgdb.transaction(inner)).toEqualTypeOf<
    Effect.Effect<number, Boom | Failure, Needed | PoolRegistry>
  >()
  pgdb.transaction(inner, {
    isolation: "serializable",
    readOnly: true,
    deferrable: true,
    retry: { times: 3 }
  })
  pgdb.transaction(inner, { retry: Schedule.recurs(3) })
  // @ts-expect-error No such level.
  pgdb.transaction(inner, { isolation: "chaos" })
})

it("run supplies the registry and nothing else", () => {
  const inner = Effect.gen(function* () {
    yield* Needed
    yield* PoolRegistry
    return yield* pgdb.selectValue<number>("select 1")
  })
  type Ran = Effect.Effect<Option.Option<number>, Failure, Needed>
  expectTypeOf(PG.run(inner)).toEqualTypeOf<Ran>()
  expectTypeOf(pgdb.run(() => inner)).toEqualTypeOf<Ran>()
  expectTypeOf(anything.run(() => inner)).toEqualTypeOf<Ran>()
  expectTypeOf(pgdb.run((self) => self.select("select 1"))).toEqualTypeOf<
    Effect.Effect<ReadonlyArray<PG.Row>, Failure>
  >()
  pgdb.run((self) => {
    expectTypeOf(self).toEqualTypeOf<PG.Database>()
    return Effect.void
  })
  vouched.run((self) => {
    expectTypeOf(self).toEqualTypeOf<PG.Table<User>>()
    return Effect.void
  })
  decoded.run((self) => {
    expectTypeOf(self).toEqualTypeOf<PG.DecodedTable<Decoded>>()
    return Effect.void
  })
  // @ts-expect-error Without a registry nothing runs.
  expectTypeOf(() => Effect.runPromise(pgdb.select("select 1"))).toBeFunction()
  expectTypeOf(() => Effect.runPromise(PG.run(pgdb.select("select 1")))).toBeFunction()
})

it("the registry, its layers and what ends pools", () => {
  expectTypeOf(PG.layer).toEqualTypeOf<Layer.Layer<PoolRegistry>>()
  expectTypeOf(PoolRegistry.layer({ maxConnections: 1, poolIdleTimeout: "1 minute" })).toEqualTypeOf<
    Layer.Layer<PoolRegistry, PoolError>
  >()
  expectTypeOf(pgdb.terminate).toEqualTypeOf<Effect.Effect<void, never, PoolRegistry>>()
  expectTypeOf(pgdb.terminateWithin("1 second")).toEqualTypeOf<Effect.Effect<void, never, PoolRegistry>>()
  expectTypeOf(PoolRegistry.stats).toMatchTypeOf<
    Effect.Effect<
      ReadonlyArray<{
        readonly key: string
        readonly open: number
        readonly inUse: number
        readonly idle: number
        readonly waiting: number
        readonly max: number
      }>,
      never,
      PoolRegistry
    >
  >()
  expectTypeOf(pgdb.layer).toEqualTypeOf<Layer.Layer<PgClient | SqlClient, PoolError, PoolRegistry>>()
  expectTypeOf(pgdb.client).toEqualTypeOf<Effect.Effect<PgClient, PoolError, PoolRegistry>>()
})

it("a handle that knows its tables is taken where any handle is", () => {
  const known = PG.make<{ users: { row: User; insert: User } }>({})
  expectTypeOf(PG.typed<PG.AnyTables>(known)).toEqualTypeOf<PG.Database>()
  expectTypeOf(() => Pooled.make<{ users: User }>(known)).returns.toEqualTypeOf<Kysely<{ users: User }>>()
  expectTypeOf(() => Pooled.dialect(known)).toBeFunction()
})

it("errors are told apart by their tags", () => {
  const told = pgdb.select("select 1").pipe(
    Effect.catchTag("PoolError", ({ reason }) => {
      expectTypeOf(reason._tag).toEqualTypeOf<
        | "InvalidSettings"
        | "DatabaseConflict"
        | "AcquireTimeout"
        | "StatementRefused"
        | "BufferOverflow"
        | "ResultUnavailable"
      >()
      if (reason._tag === "InvalidSettings") expectTypeOf(reason.setting).toEqualTypeOf<string>()
      return Effect.succeed("pool")
    }),
    Effect.catchTag("SqlError", ({ reason }) =>
      Effect.succeed(reason._tag === "UniqueViolation" ? reason.constraint : "")
    )
  )
  expectTypeOf(told).toEqualTypeOf<Effect.Effect<ReadonlyArray<PG.Row> | string, never, PoolRegistry>>()
})
