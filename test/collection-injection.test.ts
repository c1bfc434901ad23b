/**
 * No input changes the shape of a statement: not a value, a column, a table's name, an operator or an option.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { PG, PoolRegistry } from "effect-global-pool"
import * as fc from "fast-check"
import * as Change from "../src/collection/Change.ts"
import * as Filter from "../src/collection/Filter.ts"
import * as Find from "../src/collection/Find.ts"
import { type Parsed, type Site, type SqlBuilder, statement } from "../src/collection/SqlBuilder.ts"
import * as Write from "../src/collection/Write.ts"
import { quoteTable } from "../src/statement/Names.ts"
import type { Bound } from "../src/statement/Statement.ts"
import { withDatabase } from "./support/handle.ts"
import { sample, seed } from "./support/random.ts"

const classics = [
  "'; drop table users; --",
  '"; drop table users; --',
  'x" or 1=1 --',
  "' or '1'='1",
  "1; delete from users",
  "\\'; drop table users; --",
  "$1",
  "$$; drop table users; $$",
  "/* */",
  "*/ or true /*",
  "x') or ('1'='1",
  "%' or 'a'='a",
  "ｓｅｌｅｃｔ",
  "＇ or 1=1",
  "\u2028",
  "admin'--",
  'a"."b',
  'U&"\\0022"'
]

const everyRow: Filter.Condition = { _tag: "Every", of: [] }

const hostile = fc.oneof(
  fc.constantFrom(...classics),
  fc.string({
    unit: fc.constantFrom("'", '"', "\\", ";", "-", "/", "*", "$", "1", " ", "(", ")", ".", "a", "\n"),
    minLength: 1
  }),
  fc.string({ unit: "grapheme", minLength: 1 }),
  fc.string({ unit: "binary", minLength: 1 })
)

/** A name's and a value's counterpart that could do no harm. */
interface Words {
  readonly name: (given: string) => string
  readonly value: (given: string) => string
}

const asGiven: Words = { name: (given) => given, value: (given) => given }
const harmless: Words = { name: () => "n", value: () => "v" }

type Plan = (words: Words) => unknown

const operators = [
  "$eq",
  "$ne",
  "$gt",
  "$gte",
  "$lt",
  "$lte",
  "$like",
  "$ilike",
  "$regex",
  "$startsWith",
  "$contains"
]

const condition: fc.Arbitrary<Plan> = fc.oneof(
  hostile.map(
    (value): Plan =>
      (words) =>
        words.value(value)
  ),
  fc.constant<Plan>(() => null),
  fc.tuple(fc.constantFrom(...operators), hostile).map(
    ([operator, value]): Plan =>
      (words) => ({ [operator]: words.value(value) })
  ),
  fc.tuple(hostile, hostile).map(
    ([from, to]): Plan =>
      (words) => ({ $between: [words.value(from), words.value(to)] })
  ),
  fc.tuple(fc.constantFrom("$in", "$nin"), fc.array(hostile, { maxLength: 3 })).map(
    ([operator, values]): Plan =>
      (words) => ({ [operator]: values.map(words.value) })
  )
)

/** A filter of one column for each name, so that the names may become equal. */
const filters = fc.letrec<{ filter: Plan }>((tie) => ({
  filter: fc.oneof(
    { maxDepth: 3 },
    fc
      .tuple(
        hostile.filter((name) => !name.startsWith("$")),
        condition
      )
      .map(
        ([name, inner]): Plan =>
          (words) => ({ [words.name(name)]: inner(words) })
      ),
    fc.array(tie("filter"), { maxLength: 3 }).map(
      (of): Plan =>
        (words) => ({ $and: of.map((inner) => inner(words)) })
    ),
    fc.array(tie("filter"), { maxLength: 3 }).map(
      (of): Plan =>
        (words) => ({ $or: of.map((inner) => inner(words)) })
    ),
    tie("filter").map(
      (of): Plan =>
        (words) => ({ $not: of(words) })
    )
  )
})).filter

/** A statement's text with each quoted name made the same; `undefined` for what was refused. */
const shape = (compiled: Parsed<Bound>) =>
  Result.isFailure(compiled)
    ? undefined
    : {
        text: compiled.success.text.replace(/"(?:[^"]|"")*"/g, '"n"'),
        params: compiled.success.params.length,
        columns: compiled.success.columns?.values.length ?? 0
      }

/** All that may stand in a statement beside quoted names. */
const known = /^[a-z\s$0-9()=<>~@^*,.+"]*$/

const sameShape = (table: string, compile: (site: Site, words: Words) => Parsed<Bound>) => {
  const site = (table: string): Site => ({
    place: "t.find",
    table: quoteTable(table),
    naming: "as-is",
    takesInstances: false
  })
  const given = shape(compile(site(table.replaceAll(".", "")), asGiven))
  if (given === undefined) return
  assert.deepStrictEqual(given, shape(compile(site("n"), harmless)))
  assert.match(given.text, known)
  assert.strictEqual(given.columns, given.params, "each parameter is a value of a column")
}

describe("the shape of a statement is that of harmless words", () => {
  const numRuns = 1000

  it("for names and values in filters, options and a table's name", () => {
    fc.assert(
      fc.property(filters, hostile, hostile, hostile, (filter, table, column, order) =>
        sameShape(table, (site, words) =>
          Result.gen(function* () {
            const condition = yield* Filter.parse(filter(words), site.place)
            const given = {
              columns: [words.name(column)],
              orderBy: { [words.name(order)]: "desc" },
              limit: 1
            }
            const options = yield* Find.parseOptions(given, Object.keys(given), site.place)
            return yield* statement(site, (builder) => Find.find(builder, condition, options))
          })
        )
      ),
      { numRuns }
    )
  })

  it("for names and values in changes and rows", () => {
    fc.assert(
      fc.property(hostile, hostile, hostile, (table, column, value) => {
        const entries = (words: Words) => [[words.name(column), words.value(value)]] as const
        const sameText = (write: (builder: SqlBuilder, words: Words) => string) =>
          sameShape(table, (site, words) => statement(site, (builder) => write(builder, words)))
        sameText((builder, words) => Write.insert(builder, entries(words)))
        sameText((builder, words) => {
          const names = [words.name(column)]
          return Write.upsert(builder, entries(words), { on: names, update: names }, "all")
        })
        sameShape(table, (site, words) =>
          Result.gen(function* () {
            const changes = yield* Change.parse(Object.fromEntries(entries(words)), site.place)
            const returning = [words.name(column)]
            return yield* statement(site, (builder) => Write.update(builder, everyRow, changes, returning))
          })
        )
        sameText((builder, words) => Find.distinct(builder, words.name(column), everyRow))
      }),
      { numRuns }
    )
  })

  it("a NUL in a name and an unknown operator are refused", () => {
    fc.assert(
      fc.property(hostile, hostile, (before, after) => {
        const site: Site = { place: "t.find", table: '"t"', naming: "as-is", takesInstances: false }
        const name = `${before}\0${after}`.replace(/^\$/, "x")
        const insert = statement(site, (builder) => Write.insert(builder, [[name, 1]]))
        const distinct = statement(site, (builder) => Find.distinct(builder, name, everyRow))
        assert.isTrue(Result.isFailure(insert))
        assert.isTrue(Result.isFailure(distinct))
        const operator = `$${after}`
        if (![...operators, "$in", "$nin", "$isNull", "$between", "$jsonPath"].includes(operator)) {
          assert.isTrue(Result.isFailure(Filter.parse({ a: { [operator]: 1 } }, "t.find")))
        }
      }),
      { numRuns: 300 }
    )
  })
})

const users = [
  "create table users (id int primary key, name text)",
  "insert into users values (1, 'Ann'), (2, 'Bob')"
]

/** Words that do name something there: the table, and its columns with those that every table has. */
const realNames = new Set(["users", "id", "name", "ctid", "tableoid", "xmin", "xmax", "cmin", "cmax"])

withDatabase(
  "the server takes hostile words as values and as names of columns that do not exist",
  users,
  ({ pgdb, witness }) =>
    Effect.gen(function* () {
      const table = pgdb.table("users")
      const strangers = hostile.filter(
        (word) => !word.includes("\0") && !realNames.has(word.replaceAll(".", "")) && !/^\.*$/.test(word)
      )
      for (const word of [...classics, ...sample(strangers, 40)]) {
        const which = `the word ${JSON.stringify(word)} of seed ${seed}`
        const stored = word.replace(/[\uD800-\uDFFF]/g, "")
        assert.deepStrictEqual(yield* table.find({ name: stored }), [], which)
        assert.strictEqual(yield* table.delete({ name: { $in: [stored] } }), 0, which)
        assert.deepStrictEqual(yield* table.insert({ id: 3, name: stored }), { id: 3, name: stored }, which)
        assert.strictEqual(yield* table.insertMany([{ id: 4, name: stored }]), 1, which)
        assert.strictEqual(yield* table.upsert([{ id: 4, name: stored }], { on: "id" }), 1, which)
        assert.strictEqual(yield* table.update({ name: stored }, { name: stored }), 2, which)
        assert.strictEqual(yield* table.delete({ id: { $gt: 2 }, name: stored }), 2, which)
        if (word.startsWith("$")) continue
        const asName: ReadonlyArray<Effect.Effect<unknown, PG.OperationError, PoolRegistry>> = [
          table.find({ [word]: 1 }),
          table.find({}, { columns: [word] }),
          table.find({}, { orderBy: { [word]: "asc" } }),
          table.insert({ [word]: 1 }),
          table.insertMany([{ [word]: 1 }]),
          table.update({}, { [word]: 1 }),
          table.delete({ [word]: 1 }),
          table.distinct(word),
          table.upsert({ id: 1, [word]: 1 }, { on: word }),
          table.upsert([{ id: 1, [word]: 1 }], { on: word }),
          pgdb.table(word.replaceAll(".", "")).delete({})
        ]
        for (const effect of asName) {
          const { message } = yield* Effect.flip(effect)
          assert.match(message, /42703|42P01|42602/, which)
        }
      }
      const rows = yield* witness.query("select id, name from users order by id")
      assert.deepStrictEqual(rows, [
        { id: 1, name: "Ann" },
        { id: 2, name: "Bob" }
      ])
    })
)
