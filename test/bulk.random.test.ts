/** Random tables, random rows: many at once store what they store one by one, or fail as one of them does. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { PG } from "effect-global-pool"
import * as fc from "fast-check"
import { withDatabase } from "./support/handle.ts"
import { sample, seed } from "./support/random.ts"

interface Kind {
  /** The type, and what follows it in the table's definition. */
  readonly type: string
  readonly values: fc.Arbitrary<unknown>
}

/** Texts that mean something to a format of Postgres, among any others. */
const text = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 12 }).filter((value) => !value.includes("\0")),
  fc.constantFrom(
    "",
    "\\N",
    "\\.",
    "\\",
    "a\tb",
    "x\ny\r",
    '"',
    "NULL",
    "{1,2}",
    "'",
    "żółw 🐢",
    "a".repeat(40)
  )
)
const json = fc.jsonValue({ maxDepth: 2, noUnicodeString: true })
const day = fc.date({ min: new Date("0001-01-01"), max: new Date("9999-12-31"), noInvalidDate: true })
const uuid = fc.uuid()
const odd = <A>(usual: fc.Arbitrary<A>, ...others: ReadonlyArray<unknown>) =>
  fc.oneof({ weight: 20, arbitrary: usual }, { weight: 1, arbitrary: fc.constantFrom(...others) })

const kinds: ReadonlyArray<Kind> = [
  { type: "int", values: odd(fc.oneof(fc.integer(), fc.integer().map(String)), 2 ** 31, 1.5, "x", true) },
  { type: "int2", values: odd(fc.integer({ min: -32768, max: 32767 }), 40_000, "7") },
  {
    type: "bigint",
    values: fc.oneof(fc.maxSafeInteger(), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }))
  },
  { type: "float8", values: odd(fc.double(), "NaN", "1e5", 10n) },
  { type: "real", values: odd(fc.float({ noDefaultInfinity: true }), 1e300) },
  {
    type: "numeric",
    values: odd(
      fc.oneof(fc.double({ noDefaultInfinity: true }), fc.integer(), fc.bigInt().map(String)),
      "1e3",
      "0000.0100",
      "-.5",
      "NaN",
      ""
    )
  },
  {
    type: "numeric(8, 2)",
    values: fc.oneof(
      fc.float({ min: -1000, max: 1000, noNaN: true }),
      fc.constantFrom("1.005", "12345.678", 0)
    )
  },
  { type: "boolean", values: odd(fc.boolean(), "t", "no", 1) },
  { type: "text", values: odd(text, 5, true, ["a"], { a: 1 }) },
  { type: "text not null default 'd'", values: text },
  { type: "varchar(40)", values: odd(text, "x".repeat(41)) },
  { type: "char(5)", values: fc.string({ maxLength: 5, unit: "grapheme-ascii" }) },
  { type: "bytea", values: odd(fc.uint8Array({ maxLength: 9 }), "\\x00ff", "text") },
  {
    type: "uuid",
    values: odd(
      fc.oneof(
        uuid,
        uuid.map((id) => id.toUpperCase())
      ),
      "x",
      "{00000000-0000-0000-0000-00000000000a}"
    )
  },
  {
    type: "date",
    values: odd(
      fc.oneof(
        day,
        day.map((d) => d.toISOString().slice(0, 10))
      ),
      "2021-02-29",
      "today",
      "infinity"
    )
  },
  {
    type: "timestamp",
    values: odd(
      fc.oneof(
        day,
        day.map((d) => d.toISOString())
      ),
      Number.POSITIVE_INFINITY
    )
  },
  {
    type: "timestamptz",
    values: odd(
      fc.oneof(
        day,
        day.map((d) => d.toISOString())
      ),
      Number.NEGATIVE_INFINITY,
      "x"
    )
  },
  { type: "time", values: fc.constantFrom("12:00", "23:59:59.999999") },
  { type: "interval", values: fc.constantFrom("1 day", "-3 months 2 days 00:00:01", "P1Y") },
  { type: "json", values: json },
  { type: "jsonb", values: json },
  {
    type: "int[]",
    values: odd(
      fc.array(fc.option(fc.integer()), { maxLength: 4 }),
      [[1], [2]],
      "{1,NULL}",
      [1.5],
      [[1], [2, 3]]
    )
  },
  { type: "text[]", values: fc.array(fc.option(text), { maxLength: 4 }) },
  { type: "jsonb[]", values: fc.array(json, { maxLength: 3 }) },
  { type: "timestamptz[]", values: fc.array(day, { maxLength: 3 }) },
  { type: "mood", values: odd(fc.constantFrom("sad", "ok", "it's\\fine"), "none") },
  { type: "mood[]", values: fc.array(fc.constantFrom("sad", "ok", null), { maxLength: 3 }) },
  {
    type: "place",
    values: odd(fc.record({ street: fc.option(text), no: fc.option(fc.integer()) }), "(a,1)")
  },
  { type: "place[]", values: fc.array(fc.record({ street: text, no: fc.integer() }), { maxLength: 2 }) },
  { type: "small", values: odd(fc.integer({ max: 99 }), 100) },
  { type: "small default 5", values: fc.integer({ max: 99 }) },
  { type: "words", values: fc.array(text, { minLength: 1, maxLength: 2 }) },
  { type: "int4range", values: fc.constantFrom("[1,5)", "empty", "(,3]") },
  { type: "inet", values: fc.constantFrom("10.0.0.1/8", "::1") },
  { type: "point", values: fc.constantFrom("(1,2)", "3,4") },
  { type: "bit varying(8)", values: fc.constantFrom("101", "") },
  { type: '"char"', values: fc.constantFrom("x", "") },
  { type: "int default 7", values: fc.integer() }
]

interface Sample {
  readonly columns: ReadonlyArray<Kind>
  readonly triggers: boolean
  readonly computed: boolean
  readonly rows: ReadonlyArray<Readonly<Record<string, unknown>>>
}

const names = ["a", "B b", 'q"', "select", "e", "f"]

const samples: fc.Arbitrary<Sample> = fc
  .tuple(fc.array(fc.constantFrom(...kinds), { minLength: 1, maxLength: 6 }), fc.boolean(), fc.boolean())
  .chain(([columns, triggers, computed]) =>
    fc.record({
      columns: fc.constant(columns),
      triggers: fc.constant(triggers),
      computed: fc.constant(computed),
      rows: fc.array(
        fc.record(
          Object.fromEntries(
            columns.map(({ type, values }, index) => [
              names[index]!,
              type.includes("not null") ? values : fc.option(values, { freq: 8 })
            ])
          ),
          { requiredKeys: [] }
        ),
        { minLength: 1, maxLength: 15 }
      )
    })
  )

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

const types = [
  "create type mood as enum ('sad', 'ok', 'it''s\\fine')",
  "create type place as (street text, no int)",
  "create domain small as int default 3 check (value < 100)",
  "create domain words as text[] check (cardinality(value) > 0)",
  "create function change() returns trigger language plpgsql as $$ begin new.changed := 'changed'; return new; end $$"
]

describe("many rows at once", () => {
  withDatabase(`store what they store one by one (SEED=${seed})`, types, ({ settings, witness }) =>
    Effect.gen(function* () {
      const pgdb = PG.make({ ...settings, int8: "bigint" })
      let [stored, failed] = [0, 0]
      for (const [number, { columns, computed, rows, triggers }] of sample(samples, 60).entries()) {
        const story = JSON.stringify({ columns: columns.map(({ type }) => type), rows }, (_, value) =>
          typeof value === "bigint" ? `${value}n` : value
        )
        const tables = ["one", "many", "stream", "long"].map((name) => `${name}${number}`)
        for (const name of tables) {
          const definition = columns.map(({ type }, index) => `${quoted(names[index]!)} ${type}`)
          if (triggers) definition.push("changed text")
          if (computed) definition.push("four int generated always as (2 * 2) stored")
          yield* witness.query(`create table ${name} (${definition.join(", ")})`)
          if (triggers) {
            yield* witness.query(
              `create trigger change before insert on ${name} for each row execute function change()`
            )
          }
        }
        const [one, many, stream, long] = tables.map((name) => pgdb.table(name))
        const single = yield* Effect.exit(
          pgdb.transaction(Effect.forEach(rows, (row) => one!.insert(row), { discard: true }))
        )
        const together = yield* Effect.exit(many!.insertMany(rows))
        const flowing = yield* Effect.exit(stream!.insertStream(Stream.rechunk(Stream.fromIterable(rows), 4)))
        assert.strictEqual(together._tag, single._tag, `${story}\n${together}\n${single}`)
        assert.strictEqual(flowing._tag, single._tag, story)
        // Behind so many rows they are in a later piece of the stream.
        const ahead = Stream.fromIterable(Array.from({ length: 6000 }, () => rows[0] ?? {}))
        const behind = yield* Effect.exit(long!.insertStream(Stream.concat(ahead, Stream.fromIterable(rows))))
        assert.strictEqual(behind._tag, single._tag, story)
        const look = (name: string) => witness.query(`select t::text as row from ${name} as t order by 1`)
        const expected = yield* look(tables[0]!)
        assert.lengthOf(expected, single._tag === "Success" ? rows.length : 0)
        assert.deepStrictEqual(yield* look(tables[1]!), expected, story)
        assert.deepStrictEqual(yield* look(tables[2]!), expected, story)
        const counted = yield* witness.query(
          `select t::text as row, count(*)::int as count from ${tables[3]} as t group by 1`
        )
        const extra = counted.filter(({ count }) => Number(count) > 6000)
        assert.lengthOf(extra, single._tag === "Success" ? 1 : 0, story)
        const rest = counted.flatMap(({ count, row }) =>
          Array.from({ length: Number(count) - (row === extra[0]?.row ? 6000 : 0) }, () => row)
        )
        assert.sameDeepMembers(
          rest,
          expected.map(({ row }) => row),
          story
        )
        if (single._tag === "Success") stored++
        else failed++
        for (const name of tables) yield* witness.query(`drop table ${name}`)
      }
      assert.isAbove(stored, 20)
      assert.isAbove(failed, 0)
    })
  )
})
