/**
 * For random filters over random tables, `find` gives the rows that the same filter keeps when it is evaluated here, over
 * the whole table, with the three values of SQL's logic.
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import { withDatabase } from "./support/handle.ts"
import { sample, seed } from "./support/random.ts"

type Truth = boolean | null

const not = (truth: Truth): Truth => (truth === null ? null : !truth)
const every = (truths: ReadonlyArray<Truth>): Truth =>
  truths.includes(false) ? false : truths.includes(null) ? null : true
const some = (truths: ReadonlyArray<Truth>): Truth =>
  truths.includes(true) ? true : truths.includes(null) ? null : false

interface Kind {
  /** The column's type in a `create table`. */
  readonly type: string
  readonly value: fc.Arbitrary<unknown>
  /** Below 0, 0 or above, or `undefined` where the test does not know the order. */
  readonly compare: ((a: unknown, b: unknown) => number) | undefined
  readonly equal: (a: unknown, b: unknown) => boolean
  readonly contains?: (whole: unknown, part: unknown) => boolean
  readonly isText?: boolean
  /** Values that a filter has to give behind an operator. */
  readonly onlyBehindOperator?: boolean
}

const byNumber = (a: unknown, b: unknown) => Number(a) - Number(b)
const ordered = (
  type: string,
  value: fc.Arbitrary<unknown>,
  compare: (a: unknown, b: unknown) => number,
  isText = false
): Kind => ({
  type,
  value,
  compare,
  equal: (a, b) => compare(a, b) === 0,
  isText
})

const text = fc.oneof(
  fc.string({
    unit: fc.constantFrom("a", "b", "A", "B", " ", "%", "_", "'", '"', "é", "€", "\n"),
    maxLength: 4
  }),
  fc.string({ unit: "grapheme", maxLength: 6 }).filter((value) => !value.includes("\0"))
)
const scalar = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.boolean(), text, fc.constant(null))
const json = fc.oneof(
  scalar.filter((value) => value !== null),
  fc.array(scalar, { maxLength: 3 }),
  fc.dictionary(
    fc.constantFrom("a", "b", "$c", "d d"),
    fc.oneof(scalar, fc.array(scalar, { maxLength: 2 })),
    { maxKeys: 3, noNullPrototype: true }
  )
)

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const deepEqual = (a: unknown, b: unknown): boolean => {
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((item, index) => deepEqual(item, b[index]))
  if (isObject(a) && isObject(b)) {
    const keys = Object.keys(a)
    return (
      keys.length === Object.keys(b).length &&
      keys.every((key) => Object.hasOwn(b, key) && deepEqual(a[key], b[key]))
    )
  }
  return a === b
}

/** jsonb's `@>`. */
const jsonContains = (whole: unknown, part: unknown, isTop = true): boolean => {
  if (Array.isArray(part)) {
    return (
      Array.isArray(whole) && part.every((item) => whole.some((other) => jsonContains(other, item, false)))
    )
  }
  if (isObject(part)) {
    return (
      isObject(whole) &&
      Object.keys(part).every(
        (key) => Object.hasOwn(whole, key) && jsonContains(whole[key], part[key], false)
      )
    )
  }
  return whole === part || (isTop && Array.isArray(whole) && whole.includes(part))
}

const kinds: ReadonlyArray<Kind> = [
  ordered("int4", fc.integer({ min: -4, max: 4 }), byNumber),
  ordered("int8", fc.oneof(fc.integer({ min: -4, max: 4 }), fc.maxSafeInteger()), byNumber),
  ordered(
    "float8",
    fc.double({ noNaN: true }).map((value) => value + 0),
    byNumber
  ),
  ordered("boolean", fc.boolean(), byNumber),
  ordered(
    "timestamptz",
    fc.date({ min: new Date(-1e14), max: new Date(2e14), noInvalidDate: true }),
    byNumber
  ),
  ordered(
    'text collate "C"',
    text,
    (a, b) => Buffer.compare(Buffer.from(String(a)), Buffer.from(String(b))),
    true
  ),
  {
    type: "int4[]",
    value: fc.array(fc.integer({ min: -2, max: 2 }), { maxLength: 3 }),
    compare: undefined,
    equal: deepEqual,
    contains: (whole, part) =>
      Array.isArray(whole) && Array.isArray(part) && part.every((item) => whole.includes(item)),
    onlyBehindOperator: true
  },
  {
    type: "jsonb",
    value: json,
    compare: undefined,
    equal: deepEqual,
    contains: jsonContains,
    onlyBehindOperator: true
  }
]

interface Column {
  readonly name: string
  readonly kind: Kind
}
type Row = Readonly<Record<string, unknown>>
type Filter = Readonly<Record<string, unknown>>

const name = fc.oneof(
  fc
    .constantFrom(
      "select",
      "We Ird",
      'qu"ote',
      "semi;colon",
      "a.b",
      "constructor",
      "__proto__",
      "ä€",
      "1",
      "$",
      "--"
    )
    .filter((name) => !name.startsWith("$")),
  fc
    .string({ unit: "grapheme", minLength: 1, maxLength: 8 })
    .filter((name) => !name.includes("\0") && !name.startsWith("$") && Buffer.byteLength(name) < 64)
)

const table = fc
  .uniqueArray(
    fc.record({ name: name.filter((name) => name !== "row id"), kind: fc.constantFrom(...kinds) }),
    {
      minLength: 1,
      maxLength: 4,
      selector: ({ name }) => name
    }
  )
  .chain((columns) =>
    fc.record({
      columns: fc.constant<ReadonlyArray<Column>>(columns),
      rows: fc.array(
        fc
          .tuple(...columns.map(({ kind }) => fc.option(kind.value, { freq: 4 })))
          .map(
            (values): Row => Object.fromEntries(columns.map((column, index) => [column.name, values[index]]))
          ),
        { maxLength: 8 }
      ),
      filters: fc.array(filterOn(columns), { minLength: 8, maxLength: 8 })
    })
  )

const pattern = fc.string({ unit: fc.constantFrom("a", "B", "%", "_", "é"), maxLength: 4 })
const regex = fc.string({ unit: fc.constantFrom("a", "B", ".", "^", "$", "b?", "é"), maxLength: 3 })

const operators = ({ kind }: Column): fc.Arbitrary<Filter> => {
  const value = kind.value
  const nullable = fc.option(value, { freq: 5 })
  const list = fc.array(nullable, { maxLength: 3 })
  const common = { $eq: nullable, $ne: nullable, $in: list, $nin: list, $isNull: fc.boolean() }
  const order = kind.compare === undefined ? {} : { $gt: value, $gte: value, $lt: value, $lte: value }
  const texts = kind.isText === true ? { $like: pattern, $ilike: pattern, $regex: regex } : {}
  const parts = kind.contains === undefined ? {} : { $contains: value }
  return fc
    .record({ ...common, ...order, ...texts, ...parts }, { requiredKeys: [], noNullPrototype: true })
    .filter((operators) => Object.keys(operators).length > 0)
    .chain((operators) => fc.shuffledSubarray(Object.entries(operators), { minLength: 1 }))
    .map((entries): Filter => Object.fromEntries(entries.slice(0, 2)))
}

const filterOn = (columns: ReadonlyArray<Column>): fc.Arbitrary<Filter> => {
  const entry = fc
    .constantFrom(...columns)
    .chain((column) =>
      fc
        .oneof(
          operators(column),
          column.kind.onlyBehindOperator === true ? fc.constant(null) : fc.option(column.kind.value)
        )
        .map((condition) => [column.name, condition] as const)
    )
  const flat = fc
    .uniqueArray(entry, { maxLength: 2, selector: ([name]) => name })
    .map((entries): Filter => Object.fromEntries(entries))
  return fc.letrec<{ filter: Filter }>((tie) => ({
    filter: fc.oneof(
      { maxDepth: 3 },
      flat,
      fc
        .tuple(flat, fc.array(tie("filter"), { maxLength: 2 }))
        .map(([more, $and]): Filter => ({ ...more, $and })),
      fc
        .tuple(flat, fc.array(tie("filter"), { maxLength: 3 }))
        .map(([more, $or]): Filter => ({ ...more, $or })),
      tie("filter").map(($not): Filter => ({ $not }))
    )
  })).filter
}

const like = (text: string, given: string): boolean => {
  const source = [...given].map((one) => (one === "%" ? ".*" : one === "_" ? "." : one)).join("")
  return new RegExp(`^${source}$`, "su").test(text)
}

const lower = (text: string): string => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase())

const list = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? value : [])

/** One operator on a value of the row. */
const operate = (kind: Kind, value: unknown, operator: string, operand: unknown): Truth => {
  const compared = (holds: (order: number) => boolean): Truth =>
    value === null || operand === null || kind.compare === undefined
      ? null
      : holds(kind.compare(value, operand))
  const equal = (other: unknown): Truth =>
    other === null ? value === null : value === null ? null : kind.equal(value, other)
  switch (operator) {
    case "$eq":
      return equal(operand)
    case "$ne":
      return not(equal(operand))
    case "$in":
      return some(list(operand).map(equal))
    case "$nin":
      return not(some(list(operand).map(equal)))
    case "$isNull":
      return (value === null) === operand
    case "$gt":
      return compared((order) => order > 0)
    case "$gte":
      return compared((order) => order >= 0)
    case "$lt":
      return compared((order) => order < 0)
    case "$lte":
      return compared((order) => order <= 0)
    case "$contains":
      return value === null ? null : (kind.contains?.(value, operand) ?? null)
    case "$like":
      return value === null ? null : like(String(value), String(operand))
    case "$ilike":
      return value === null ? null : like(lower(String(value)), lower(String(operand)))
    case "$regex":
      return value === null ? null : new RegExp(String(operand), "su").test(String(value))
  }
  throw new Error(operator)
}

const keeps = (columns: ReadonlyArray<Column>, row: Row, filter: Filter): Truth =>
  every(
    Object.entries(filter).map(([key, condition]): Truth => {
      if (key === "$not") return not(keeps(columns, row, condition as Filter))
      if (key === "$and")
        return every((condition as ReadonlyArray<Filter>).map((inner) => keeps(columns, row, inner)))
      if (key === "$or")
        return some((condition as ReadonlyArray<Filter>).map((inner) => keeps(columns, row, inner)))
      const { kind } = columns.find(({ name }) => name === key)!
      const value = row[key] ?? null
      if (!isObject(condition) || condition instanceof Date) return operate(kind, value, "$eq", condition)
      return every(
        Object.entries(condition).map(([operator, operand]) => operate(kind, value, operator, operand))
      )
    })
  )

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

withDatabase("find keeps what the filter keeps", [], ({ pgdb, witness }) =>
  Effect.gen(function* () {
    const tables = sample(table, 60)
    let kept = 0
    let number = 0
    for (const { columns, filters, rows } of tables) {
      const name = `table ${number++}`
      const definitions = columns.map((column) => `${quoted(column.name)} ${column.kind.type}`)
      yield* witness.query(`create table ${quoted(name)} ("row id" int, ${definitions.join(", ")})`)
      const collection = pgdb.table(name)
      const numbered = rows.map((row, index) => ({ ...row, "row id": index }))
      assert.strictEqual(yield* collection.insertMany(numbered), rows.length)
      for (const filter of filters) {
        const expected = numbered
          .filter((row) => keeps(columns, row, filter) === true)
          .map((row) => row["row id"])
        const found = yield* collection.find(filter, { columns: ["row id"], orderBy: { "row id": "asc" } })
        const ids = found.map((row) => row["row id"])
        const shown = () =>
          fc.stringify({ seed, columns: columns.map(({ kind, name }) => [name, kind.type]), rows, filter })
        assert.deepStrictEqual(ids, expected, shown())
        assert.strictEqual(yield* collection.count(filter), expected.length, shown())
        assert.strictEqual(yield* collection.exists(filter), expected.length > 0, shown())
        kept += expected.length
      }
      const gone = filters[0]!
      const left = numbered.filter((row) => keeps(columns, row, gone) !== true)
      assert.strictEqual(yield* collection.delete(gone), rows.length - left.length, `seed ${seed}`)
      assert.deepStrictEqual(
        yield* collection.find({}, { orderBy: { "row id": "asc" } }),
        left,
        `seed ${seed}`
      )
    }
    assert.isAbove(kept, 100, `seed ${seed}`)
  })
)
