/** Which way rows go into a table: one function, and a table of cases. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { PG } from "effect-global-pool"
import { takesCopy } from "../src/collection/BulkWay.ts"
import { oids } from "../src/types/BuiltinTypes.ts"
import type { Column, TableShape } from "../src/types/TableShape.ts"
import * as Lookup from "../src/types/TypeLookup.ts"
import { withDatabase } from "./support/handle.ts"
import { linked, sentBy } from "./support/link.ts"
import { meddle } from "./support/meddle.ts"

const column = (name: string, oid: number, more: Partial<Column> = {}): readonly [string, Column] => [
  name,
  {
    name,
    oid,
    type: "",
    form: "typed",
    modifier: -1,
    hasDefault: false,
    isGenerated: false,
    ...more
  }
]

const table: TableShape = {
  kind: "r",
  hasPolicies: false,
  hasRules: false,
  lacksBinary: false,
  refusesCopy: false,
  columns: new Map([
    column("id", oids.int4),
    column("name", oids.text),
    column("doc", oids.jsonb),
    column("tags", 1009),
    column("at", 600),
    column("always", oids.int4, { isGenerated: true, hasDefault: true }),
    column("twice", oids.int4, { isGenerated: true, hasDefault: true })
  ]),
  types: Lookup.make(new Map()),
  digest: ""
}

const names = ["id", "name"]

/** With a codec for text. */
const owning = Lookup.make(new Map(), ({ name }) =>
  name === "text" ? { decode: (text) => text, encode: String } : undefined
)

const cases: ReadonlyArray<
  readonly [what: string, way: "COPY" | "INSERT", shape: Partial<TableShape>, columns?: ReadonlyArray<string>]
> = [
  ["a table", "COPY", {}],
  ["a partitioned table", "COPY", { kind: "p" }],
  ["json and arrays", "COPY", {}, ["doc", "tags"]],
  ["a type without a simple binary form", "COPY", {}, ["id", "at"]],
  ["a table with a column that has no binary form at all", "COPY", { lacksBinary: true }],
  ["a view", "INSERT", { kind: "v" }],
  ["a foreign table", "INSERT", { kind: "f" }],
  ["a materialized view", "INSERT", { kind: "m" }],
  ["no table", "INSERT", { kind: "", columns: new Map() }],
  ["row-level security", "INSERT", { hasPolicies: true }],
  ["rules", "INSERT", { hasRules: true }],
  ["a server or pooler that refused COPY", "INSERT", { refusesCopy: true }],
  ["a codec of the program's own", "INSERT", { types: owning }],
  ["the same for a column without one", "COPY", { types: owning }, ["id"]],
  ["the same for elements of an array", "INSERT", { types: owning }, ["id", "tags"]],
  ["an identity that is always generated", "INSERT", {}, ["id", "always"]],
  ["the same, last of all", "INSERT", {}, ["at", "always"]],
  ["a computed column", "INSERT", {}, ["twice"]],
  ["a column that is not there", "INSERT", {}, ["id", "nowhere"]],
  ["rows without a column", "INSERT", {}, []]
]

describe("the way of rows into a table", () => {
  for (const [what, way, shape, columns = names] of cases) {
    it(`${what}: ${way}`, () => {
      assert.strictEqual(takesCopy({ ...table, ...shape }, new Set(columns)), way === "COPY")
    })
  }
})

/** What a real server makes of the same: which statement goes over the wire, and what is stored. */
const real: ReadonlyArray<
  readonly [
    what: string,
    way: "binary" | "text" | "insert",
    statements: ReadonlyArray<string>,
    row?: Readonly<Record<string, unknown>>
  ]
> = [
  ["a table", "binary", ["create table t (id int, name text)"]],
  [
    "a partitioned table",
    "binary",
    [
      "create table t (id int, name text) partition by range (id)",
      "create table t1 partition of t for values from (0) to (2)",
      "create table t2 partition of t default"
    ]
  ],
  [
    "points and ranges",
    "text",
    ["create table t (id int, name text, p point, r int4range)"],
    { p: "(1,2)", r: "[1,3)" }
  ],
  [
    "a column that the rows do not name and that has no binary form at all",
    "text",
    ["create table t (id int, name text, granted aclitem default '=r/postgres')"]
  ],
  [
    "a view with a trigger",
    "insert",
    [
      "create table base (id int, name text)",
      "create view t as select * from base",
      `create function put() returns trigger language plpgsql as
      $$ begin insert into base values (new.id, new.name); return new; end $$`,
      "create trigger put instead of insert on t for each row execute function put()"
    ]
  ],
  ["a view", "insert", ["create table base (id int, name text)", "create view t as select * from base"]],
  [
    "a rule",
    "insert",
    [
      "create table base (id int, name text)",
      "create table t (id int, name text)",
      "create rule elsewhere as on insert to t do instead insert into base values (new.id, new.name)"
    ]
  ],
  ["an upsert", "insert", ["create table t (id int primary key, name text)"]]
]

describe("on a server", () => {
  for (const [what, way, statements, more] of real) {
    withDatabase(`${what}: ${way}`, statements, (given) =>
      Effect.gen(function* () {
        const link = yield* linked(given)
        const t = link.pgdb.table("t")
        const rows = [1, 2, 3].map((id) => ({ id, name: `n${id}`, ...more }))
        const said = yield* sentBy(
          link,
          what === "an upsert" ? t.upsert(rows, { on: "id" }) : t.insertMany(rows)
        )
        assert.strictEqual(said.includes("(format binary)"), way === "binary")
        assert.strictEqual(said.includes("(format text)"), way === "text")
        assert.strictEqual(said.includes('insert into "t" ('), way === "insert")
        const stored = statements.some((text) => text.includes("table base")) ? "base" : "t"
        assert.deepStrictEqual(
          yield* given.witness.query(`select id, name from ${stored} order by id`),
          rows.map(({ id, name }) => ({ id, name }))
        )
      })
    )
  }

  withDatabase(
    "rows that the trigger of a view leaves out are not counted",
    [
      "create table base (id int)",
      "create view t as select * from base",
      `create function odd() returns trigger language plpgsql as
      $$ begin if new.id % 2 = 0 then return null; end if; insert into base values (new.id); return new; end $$`,
      "create trigger odd instead of insert on t for each row execute function odd()"
    ],
    ({ pgdb }) =>
      Effect.gen(function* () {
        const t = pgdb.table("t")
        const rows = [1, 2, 3, 4, 5].map((id) => ({ id }))
        assert.strictEqual(yield* t.insertMany(rows), 3)
        assert.strictEqual(yield* t.insertStream(Stream.fromIterable(rows)), 3)
        assert.strictEqual(yield* t.count(), 6)
      })
  )

  withDatabase(
    "names in camel case are the columns' own in a COPY, and those in the message",
    ["create table t (id int, first_name text not null)"],
    (given) =>
      Effect.gen(function* () {
        const link = yield* linked(given, { names: "camel", key: "camel" })
        const t = link.pgdb.table("t")
        const said = yield* sentBy(link, t.insertMany([{ id: 1, firstName: "Ada" }]))
        assert.include(said, 'copy "t" ("id", "first_name") from stdin (format binary)')
        yield* t.insertStream(Stream.make({ id: 2, firstName: "Grace" }))
        const error = yield* Effect.flip(t.insertMany([{ id: 3, firstName: null }]))
        assert.include(error.message, 'In: t.insertMany, row 1, column "firstName"')
        assert.deepStrictEqual(yield* given.witness.query("select * from t order by id"), [
          { id: 1, first_name: "Ada" },
          { id: 2, first_name: "Grace" }
        ])
      })
  )

  withDatabase(
    "rows that come back, and what codecs write, instances too: an INSERT",
    ["create table t (id int, name text, price numeric)"],
    (given) =>
      Effect.gen(function* () {
        class Price {
          readonly text: string
          constructor(text: string) {
            this.text = text
          }
        }
        const numeric: PG.TypeCodec<Price> = {
          decode: (text) => new Price(text),
          encode: ({ text }) => text
        }
        const link = yield* linked(given, { types: { numeric }, key: "prices" })
        const t = link.pgdb.table("t")
        const priced = [{ id: 1, price: new Price("1.50") }]
        assert.include(yield* sentBy(link, t.insertMany(priced)), 'insert into "t" (')
        yield* t.insertStream(Stream.fromIterable(priced))
        assert.include(yield* sentBy(link, t.insertMany([{ id: 2, name: "x" }])), "(format binary)")
        assert.deepStrictEqual(yield* t.insertMany([{ id: 3, name: "y" }], { returning: ["id", "name"] }), [
          { id: 3, name: "y" }
        ])
        const { message } = yield* Effect.flip(t.insertMany([{ id: 4, name: new Price("secret") }]))
        assert.match(message, /t\.insertMany, row 1.*column "name"/)
        assert.notInclude(message, "secret")
        assert.deepStrictEqual(yield* given.witness.query("select id, price::text from t order by id"), [
          { id: 1, price: "1.50" },
          { id: 1, price: "1.50" },
          { id: 2, price: null },
          { id: 3, price: null }
        ])
      })
  )

  withDatabase(
    "row-level security: an INSERT, whose policy holds for each row",
    ["create table t (id int, name text)", "alter table t enable row level security"],
    (given) =>
      Effect.gen(function* () {
        const { settings, witness } = given
        const role = `role_${settings.database}`
        yield* Effect.acquireRelease(witness.query(`create role ${role} login password 'secret'`), () =>
          Effect.ignore(
            Effect.andThen(witness.query(`drop owned by ${role}`), witness.query(`drop role ${role}`))
          )
        )
        yield* witness.query(`grant insert, select on t to ${role}`)
        yield* witness.query("create policy small on t for insert with check (id < 100)")
        const link = yield* linked(given, { username: role, password: "secret" })
        const t = link.pgdb.table("t")
        const said = yield* sentBy(link, t.insertMany([{ id: 1 }, { id: 2 }]))
        assert.include(said, 'insert into "t" (')
        assert.include((yield* Effect.flip(t.insertMany([{ id: 3 }, { id: 100 }]))).message, "42501")
        assert.deepStrictEqual(yield* witness.query("select id from t order by id"), [{ id: 1 }, { id: 2 }])
      })
  )

  withDatabase(
    "a table that changed under what is remembered of it is looked at again",
    ["create table t (id int, name text)"],
    (given) =>
      Effect.gen(function* () {
        const { pgdb, witness } = given
        const t = pgdb.table("t")
        const rows = [
          { id: 1, name: "1" },
          { id: 2, name: "2" }
        ]
        yield* t.insertMany(rows)
        yield* witness.query("alter table t alter name type int using name::int")
        assert.strictEqual(yield* t.insertMany(rows), 2)
        yield* witness.query("create table other (id int, name int)")
        yield* witness.query(
          "create rule elsewhere as on insert to t do instead insert into other values (new.id, new.name)"
        )
        assert.strictEqual(yield* t.insertMany(rows), 2)
        assert.deepStrictEqual(yield* witness.query("select count(*)::int as n from other"), [{ n: 2 }])
        yield* witness.query("alter table t rename to base")
        yield* witness.query("drop rule elsewhere on base")
        yield* witness.query("create view t as select * from base")
        assert.strictEqual(yield* t.insertMany(rows), 2)
        assert.deepStrictEqual(yield* witness.query("select count(*)::int as n from base"), [{ n: 6 }])
        yield* witness.query("drop view t")
        yield* witness.query("create table t (name text default 'new', id int)")
        yield* t.insertStream(Stream.fromIterable([{ id: 7 }, { id: 8, name: "8" }]))
        assert.deepStrictEqual(yield* witness.query("select * from t order by id"), [
          { name: "new", id: 7 },
          { name: "8", id: 8 }
        ])
        // In a transaction, what fails for something remembered spoils nothing.
        yield* pgdb.transaction(
          Effect.gen(function* () {
            yield* pgdb.select("select 1")
            yield* witness.query("alter table t alter id type bigint")
            yield* t.insertMany(rows.map(({ id }) => ({ id })))
          })
        )
        assert.strictEqual(yield* t.count(), 4)
      })
  )

  withDatabase(
    "a pooler that forbids COPY gets INSERTs, and is asked once for a table",
    ["create table t (id int, name text)"],
    (given) =>
      Effect.gen(function* () {
        let refused = 0
        // What the server does not support it refuses with the same code as a pooler.
        const server = yield* meddle(given.settings, (said) =>
          said.replace(/copy "t" \([^)]*\) from stdin \(format \w+\)/g, (copy) => {
            refused++
            return "values (1) for update".padEnd(copy.length)
          })
        )
        const pgdb = PG.make(server)
        const t = pgdb.table("t")
        const rows = Array.from({ length: 3_000 }, (_, id) => ({ id, name: "x" }))
        assert.strictEqual(yield* t.insertMany(rows), 3_000)
        assert.strictEqual(yield* t.insertMany(rows), 3_000)
        assert.strictEqual(yield* pgdb.transaction(t.insertMany(rows)), 3_000)
        assert.strictEqual(refused, 1)
        assert.strictEqual(yield* t.insertStream(Stream.fromIterable(rows)), 3_000)
        assert.deepStrictEqual(yield* given.witness.query("select count(*)::int as n from t"), [
          { n: 12_000 }
        ])
      })
  )
})
