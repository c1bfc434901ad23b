/**
 * What every operation of a handle gives, fails with and needs, by its type. `tsc` checks this file; running it checks that no
 * operation is missing here.
 */
import { assert, expectTypeOf, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { PG, type PoolError, type PoolRegistry } from "effect-global-pool"
import { Boom, type Failure, Needed, type User } from "./support/signatures.ts"

type Program<A, E = Failure, R = never> = Effect.Effect<A, E, R | PoolRegistry>
type Rows<A, E = Failure> = Stream.Stream<A, E, PoolRegistry>

const pgdb = PG.make({})
const users = pgdb.table<User>("users")
const UserSchema = Schema.Struct({ id: Schema.Number, name: Schema.String })
const decoded = pgdb.table("users", UserSchema)
type Decoded = typeof UserSchema.Type
type Undecoded = Failure | Schema.SchemaError

const rowsWith = <A>(row: A) =>
  Stream.fromEffect(Effect.andThen(Needed, Effect.andThen(new Boom(), Effect.succeed(row))))
const inner = Effect.andThen(Needed, Effect.andThen(new Boom(), Effect.succeed("done")))

/** Operations of tables without SQL. The others are those of a database too, and of `types-api.test.ts`. */
const operations: Readonly<Record<string, () => void>> = {
  find: () => {
    expectTypeOf(users.find({ id: 1 })).toEqualTypeOf<Program<ReadonlyArray<User>>>()
    expectTypeOf(users.find({}, { columns: ["id"] })).toEqualTypeOf<
      Program<ReadonlyArray<Pick<User, "id">>>
    >()
    expectTypeOf(decoded.find()).toEqualTypeOf<Program<ReadonlyArray<Decoded>, Undecoded>>()
  },
  findOne: () => {
    expectTypeOf(users.findOne()).toEqualTypeOf<Program<Option.Option<User>>>()
    expectTypeOf(decoded.findOne()).toEqualTypeOf<Program<Option.Option<Decoded>, Undecoded>>()
  },
  findStream: () => {
    expectTypeOf(users.findStream()).toEqualTypeOf<Rows<User>>()
    expectTypeOf(decoded.findStream()).toEqualTypeOf<Rows<Decoded, Undecoded>>()
  },
  insert: () => {
    expectTypeOf(users.insert({ name: "Ada" })).toEqualTypeOf<Program<User>>()
    expectTypeOf(decoded.insert({ name: "Ada" })).toEqualTypeOf<Program<Decoded, Undecoded>>()
  },
  insertMany: () => {
    expectTypeOf(users.insertMany([{ name: "Ada" }])).toEqualTypeOf<Program<number>>()
    expectTypeOf(decoded.insertMany([])).toEqualTypeOf<Program<number, Undecoded>>()
  },
  insertStream: () => {
    expectTypeOf(users.insertStream(rowsWith({ name: "Ada" }))).toEqualTypeOf<
      Program<number, Failure | Boom, Needed>
    >()
    expectTypeOf(decoded.insertStream(rowsWith({ name: "Ada" }))).toEqualTypeOf<
      Program<number, Undecoded | Boom, Needed>
    >()
  },
  upsert: () => {
    expectTypeOf(users.upsert({ id: 1, name: "Ada" }, { on: "id" })).toEqualTypeOf<Program<number>>()
    expectTypeOf(decoded.upsert([], { on: ["id"] })).toEqualTypeOf<Program<number, Undecoded>>()
  },
  update: () => {
    expectTypeOf(users.update({ id: 1 }, { name: "Ada" })).toEqualTypeOf<Program<number>>()
    expectTypeOf(decoded.update({ id: 1 }, { name: "Ada" })).toEqualTypeOf<Program<number, Undecoded>>()
  },
  delete: () => {
    expectTypeOf(users.delete({ id: 1 })).toEqualTypeOf<Program<number>>()
    expectTypeOf(decoded.delete({})).toEqualTypeOf<Program<number, Undecoded>>()
  },
  count: () => {
    expectTypeOf(users.count()).toEqualTypeOf<Program<number>>()
    expectTypeOf(decoded.count({ id: 1 })).toEqualTypeOf<Program<number, Undecoded>>()
  },
  exists: () => {
    expectTypeOf(users.exists()).toEqualTypeOf<Program<boolean>>()
    expectTypeOf(decoded.exists({ id: 1 })).toEqualTypeOf<Program<boolean, Undecoded>>()
  },
  copyFrom: () => {
    expectTypeOf(users.copyFrom(rowsWith("1,Ada"))).toEqualTypeOf<Program<number, Failure | Boom, Needed>>()
    expectTypeOf(decoded.copyFrom(Stream.make("1,Ada"))).toExtend<Program<number, Undecoded>>()
  },
  copyTo: () => {
    expectTypeOf(users.copyTo()).toExtend<Rows<Uint8Array>>()
    expectTypeOf(decoded.copyTo({ format: "csv" })).toExtend<
      Stream.Stream<Uint8Array, Undecoded, PoolRegistry>
    >()
  },
  distinct: () => {
    expectTypeOf(users.distinct("name")).toEqualTypeOf<Program<ReadonlyArray<string>>>()
    expectTypeOf(decoded.distinct("id")).toEqualTypeOf<Program<ReadonlyArray<number>, Undecoded>>()
  }
}

it("each operation of a table has a test of its types here", () => {
  const shared = ["execute", "select", "selectOne", "selectValue", "stream", "trans", "transaction", "run"]
  const names = (value: object | null): ReadonlyArray<string> =>
    value === null || value === Object.prototype
      ? []
      : [...Object.getOwnPropertyNames(value), ...names(Object.getPrototypeOf(value))]
  const callable = names(users).filter(
    (name) =>
      typeof Reflect.get(users, name) === "function" && !["constructor", "toString", "toJSON"].includes(name)
  )
  assert.deepStrictEqual(new Set(callable), new Set([...Object.keys(operations), ...shared]))
})

it("operations that only a database has are typed as they are documented", () => {
  expectTypeOf(pgdb.afterCommit(Effect.asVoid(Needed))).toEqualTypeOf<Program<void, PoolError, Needed>>()
  expectTypeOf(pgdb.withLock("key", inner)).toEqualTypeOf<Program<string, Failure | Boom, Needed>>()
  expectTypeOf(pgdb.tryLock(1n, inner)).toEqualTypeOf<
    Program<Option.Option<string>, Failure | Boom, Needed>
  >()
  // @ts-expect-error A lock's key is a text, a whole number or a bigint.
  pgdb.withLock(true, inner)
  // @ts-expect-error What runs after the commit may not fail.
  pgdb.afterCommit(inner)
})
