/**
 * The row type of a table decides which columns, values and operators compile. `tsc` checks this file; running it
 * checks nothing more.
 */
import type * as BigDecimal from "effect/BigDecimal"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { describe, expectTypeOf, it } from "vitest"
import type { Changes, Filter, FindOptions, NewRow, OrderBy, UpsertOptions } from "../src/collection/Types.ts"
import { PG } from "../src/index.ts"
import { json } from "../src/statement/Json.ts"

interface User {
  readonly id: number
  readonly name: string
  readonly email: string | null
  readonly born: Date
  readonly tags: ReadonlyArray<string>
  readonly meta: { readonly city: string; readonly zip?: string }
  readonly score?: bigint
  readonly owed: string
  readonly share: `${number}`
  readonly kind: "a" | "b"
}

const filter = (filter: Filter<User>) => filter
const changes = (changes: Changes<User>) => changes
const row = (row: NewRow<User>) => row

describe("a filter on a typed row", () => {
  it("takes the row's columns with their values", () => {
    filter({})
    filter({ id: 1, name: "Ann", email: null, born: new Date(0), meta: { city: "Bonn" } })
    filter({
      id: { $gt: 1, $lte: 5 },
      name: { $in: ["a", "b"] },
      email: { $ne: null, $ilike: "%@example.org" }
    })
    filter({ tags: { $contains: ["x"] }, meta: { $contains: { city: "Bonn" } }, score: { $in: [1n, null] } })
    filter({ meta: json({ city: "Bonn" }), tags: { $eq: ["a"] }, email: { $isNull: false } })
    filter({ $or: [{ id: 1 }, { $not: { name: { $regex: "^A" } } }], $and: [] })
  })

  it("refuses other columns, values and operators", () => {
    // @ts-expect-error no such column
    filter({ age: 1 })
    // @ts-expect-error another type
    filter({ id: "1" })
    // @ts-expect-error another type behind an operator
    filter({ id: { $gt: "1" } })
    // @ts-expect-error another type in a list
    filter({ id: { $in: ["1"] } })
    // @ts-expect-error an array is no value
    filter({ tags: ["x"] })
    // @ts-expect-error no such operator
    filter({ id: { $near: 1 } })
    // @ts-expect-error a pattern on a number
    filter({ id: { $like: "1%" } })
    // @ts-expect-error elements of another type
    filter({ tags: { $contains: [1] } })
    // @ts-expect-error no such column inside
    filter({ $or: [{ age: 1 }] })
    // @ts-expect-error null has no order
    filter({ email: { $gt: null } })
    // @ts-expect-error undefined is no value
    filter({ id: undefined })
    // @ts-expect-error a filter is no array
    filter([])
  })
})

describe("changes and rows of a typed row", () => {
  it("take values and $inc", () => {
    changes({ name: "Ann", email: null, tags: ["a"], id: { $inc: 1 }, score: { $inc: 1n } })
    // A numeric column is read as a string.
    changes({ owed: { $inc: "0.10" }, share: { $inc: -1 } })
    changes({ share: { $inc: "1.5" } })
    row({ name: "Ann" })
    row({ name: "Ann", score: undefined, meta: json({ city: "Bonn" }) })
  })

  it("take what a schema or a codec made of a column", () => {
    type Made = {
      price: BigDecimal.BigDecimal | null
      score: Option.Option<number>
      meta: Option.Option<{ readonly city: string; readonly zip: string }>
      day: Date | number
    }
    const made = (changes: Changes<Made>, filter: Filter<Made> = {}) => [changes, filter]
    made({ score: { $inc: Option.some(1) } }, { meta: { $contains: { city: "Bonn" } } })
    const price = (price: BigDecimal.BigDecimal) => made({ price: { $inc: price } })
    expectTypeOf(price).parameters.toEqualTypeOf<[BigDecimal.BigDecimal]>()
    // @ts-expect-error no such part
    made({}, { meta: { $contains: { town: "Bonn" } } })
    // @ts-expect-error nothing can be added to a date
    made({ day: { $inc: 1 } })
    // @ts-expect-error another type
    made({ price: { $inc: true } })
  })

  it("refuse other columns and values", () => {
    // @ts-expect-error no such column
    changes({ age: 1 })
    // @ts-expect-error another type
    changes({ name: 1 })
    // @ts-expect-error no number can be added to a date
    changes({ born: { $inc: 1 } })
    // @ts-expect-error nor to a text
    changes({ name: { $inc: 1 } })
    // @ts-expect-error nor to a column of strings another value: it may be numeric, read with every digit
    changes({ owed: { $inc: 0.1 } })
    const read: string = "0.10"
    changes({ owed: { $inc: read } })
    changes({ owed: { $inc: `-${read}` } })
    // @ts-expect-error nor to one of some words
    changes({ kind: { $inc: "1" } })
    // @ts-expect-error nor to a list
    changes({ tags: { $inc: 1 } })
    // @ts-expect-error nor to a number what is a text
    changes({ id: { $inc: "1" } })
    // @ts-expect-error undefined is no value
    changes({ name: undefined })
    // @ts-expect-error NULL in a column that has none
    changes({ name: null })
    // @ts-expect-error no such column
    row({ age: 1 })
    // @ts-expect-error another type
    row({ id: "1" })
    // @ts-expect-error a column that every row has is left out, not undefined
    row({ name: undefined })
  })

  it("are of one shape of a union", () => {
    type Shape = { id: number; kind: "circle"; radius: number } | { id: number; kind: "square"; side: number }
    const shape = (_: NewRow<Shape>) => undefined
    const shapes = PG.make({}).table<Shape>("shapes")
    shape({ kind: "circle", radius: 1 })
    shape({ kind: "square", side: 1 })
    shapes.upsert({ id: 1, kind: "square", side: 1 }, { on: "id" })
    // @ts-expect-error a column of the other one
    shape({ kind: "circle", side: 1 })
    // @ts-expect-error without the key
    shapes.upsert({ kind: "square", side: 1 }, { on: "id" })
    const size = (shape: Shape) => (shape.kind === "circle" ? shape.radius : shape.side)
    Effect.map(shapes.find({ kind: "circle" }, { limit: 3 }), (found) => found.map(size))
    Effect.map(shapes.findOne(), Option.map(size))
    Stream.map(shapes.findStream(), size)
    // @ts-expect-error only the kind was asked for
    Effect.map(shapes.findOne({}, { columns: ["kind"] }), Option.map(size))
  })
})

describe("an upsert on a typed row", () => {
  const users = PG.make({}).table<User>("users")

  it("takes rows that have the columns of on", () => {
    users.upsert({ id: 1 }, { on: "id" })
    users.upsert([{ id: 1, name: "Ann" }], { on: ["id"], update: ["name"] })
    users.upsert({ id: 1, name: "Ann" }, { on: ["id", "name"], update: [] })
    const on: UpsertOptions<User> = { on: "id" }
    users.upsert({ name: "Ann" }, on)
  })

  it("refuses others", () => {
    // @ts-expect-error the key is missing
    users.upsert({ name: "Ann" }, { on: "id" })
    // @ts-expect-error the key is undefined
    users.upsert({ id: undefined, name: "Ann" }, { on: "id" })
    // @ts-expect-error one column of the key is missing
    users.upsert({ id: 1 }, { on: ["id", "name"] })
    // @ts-expect-error the key of the second row is missing
    users.upsert([{ id: 1, name: "Ann" }, { name: "Bob" }], { on: "id" })
    // @ts-expect-error no such column
    users.upsert({ id: 1, age: 1 }, { on: "id" })
    // @ts-expect-error no such column
    users.upsert({ id: 1 }, { on: "age" })
    // @ts-expect-error no such column
    users.upsert({ id: 1 }, { on: "id", update: ["age"] })
    // @ts-expect-error NULL in a column that has none
    users.upsert({ id: null }, { on: "id" })
  })
})

describe("options of a typed row", () => {
  it("name its columns", () => {
    const order: OrderBy<User> = { name: "asc", id: "desc" }
    const options: FindOptions<User> = { columns: ["id"], orderBy: order, limit: 1, offset: 2 }
    const upsert: UpsertOptions<User> = { on: "id", update: ["name"] }
    expectTypeOf(options.columns).toEqualTypeOf<ReadonlyArray<keyof User> | undefined>()
    expectTypeOf(upsert.on).toEqualTypeOf<keyof User | ReadonlyArray<keyof User>>()
    // @ts-expect-error no such column
    const wrong: OrderBy<User> = { age: "asc" }
    // @ts-expect-error no such direction
    const sideways: OrderBy<User> = { id: "up" }
    expectTypeOf([wrong, sideways]).toEqualTypeOf<Array<OrderBy<User>>>()
  })
})

describe("a row without a type", () => {
  it("takes any column and any value", () => {
    const any: Filter = { whatever: 1, other: { $gt: new Date() }, $or: [{ a: 1 }], $not: { b: null } }
    const change: Changes = { whatever: [1, 2], other: { $inc: 1 } }
    const options: FindOptions = { columns: ["a"], orderBy: { b: "asc" } }
    expectTypeOf([any, change, options]).toBeArray()
  })

  it("takes rows of an interface, and of no known columns", () => {
    const users = PG.make({}).table("users")
    const people: ReadonlyArray<User> = []
    const records: ReadonlyArray<Readonly<Record<string, unknown>>> = []
    users.insertMany(people)
    users.insertMany(records)
    users.insertStream(Stream.fromIterable(people))
    users.upsert(people, { on: "id" })
    users.upsert(records, { on: "id", update: ["name"] })
    // @ts-expect-error a row is an object
    users.insert("Ann")
  })
})
