/** All statements or none, in one round trip: what comes back, what goes over the wire, and what is refused. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { PG } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"
import { lettersOf } from "./support/letters.ts"
import { atRest, linked, openTransactions, reasonOf, roundTrips, sentBy } from "./support/link.ts"

const table = "create table t (n int unique, at timestamptz)"
const numbers = "select n from t order by n"

withDatabase("trans gives the outcomes in order, of statements in every form", [table], ({ pgdb }) =>
  Effect.gen(function* () {
    const t = pgdb.table("t")
    const outcomes = yield* t.trans([
      "insert into t values (1), (2)",
      ["insert into t values ($1) returning n", [3]],
      PG.sql`update t set n = n + ${10} where n < ${3}`,
      ["select $1::int[] as list, $2::timestamptz as at", [[1, 2], new Date(0)]],
      numbers
    ])
    expect(outcomes).toEqual([
      { command: "INSERT", rowCount: 2, rows: [] },
      { command: "INSERT", rowCount: 1, rows: [{ n: 3 }] },
      { command: "UPDATE", rowCount: 2, rows: [] },
      { command: "SELECT", rowCount: 1, rows: [{ list: [1, 2], at: new Date(0) }] },
      { command: "SELECT", rowCount: 3, rows: [{ n: 3 }, { n: 11 }, { n: 12 }] }
    ])
  })
)

withDatabase(
  "a column that another program has given a type without a binary form is read in a batch",
  [table, "create table changing (n int)", "insert into changing values (7)"],
  ({ settings, witness }) =>
    Effect.gen(function* () {
      // The server would refuse what was prepared before.
      const pgdb = PG.make({ ...settings, prepare: false })
      const read = "select n from changing"
      expect(yield* pgdb.select(read)).toEqual([{ n: 7 }])
      yield* witness.query("alter table changing alter n type point using point(n, n)")
      expect(yield* pgdb.trans(["insert into t values (1)", read])).toEqual([
        { command: "INSERT", rowCount: 1, rows: [] },
        { command: "SELECT", rowCount: 1, rows: [{ n: "(7,7)" }] }
      ])
    })
)

withDatabase(
  "a column of texts that another program has made json takes an array of a batch at once",
  ["create table notes (id int, body text)"],
  ({ pgdb, witness }) =>
    Effect.gen(function* () {
      const text = "insert into notes values ($1, $2)"
      const made = (type: string) => witness.query(`alter table notes alter body type ${type} using null`)
      const stored = witness.query("select body from notes where body is not null")
      yield* pgdb.trans([[text, [1, "a"]]])
      yield* made("jsonb")
      yield* pgdb.trans([[text, [2, [1, 2]]]])
      expect(yield* stored).toEqual([{ body: [1, 2] }])
      yield* made("text")
      yield* pgdb.trans([[text, [3, "b"]]])
      yield* made("jsonb")
      yield* pgdb.transaction(pgdb.trans([[text, [4, [3]]]]))
      expect(yield* stored).toEqual([{ body: [3] }])
    })
)

withDatabase("an empty array is an empty result and no traffic", [], (given) =>
  Effect.gen(function* () {
    const link = yield* linked(given)
    expect(yield* link.pgdb.trans([])).toEqual([])
    expect(link.proxy.opened()).toBe(0)
  })
)

withDatabase(
  "three statements take one round trip, a hundred take one, a thousand a dozen",
  [table],
  (given) =>
    Effect.gen(function* () {
      const link = yield* linked(given, {}, 5)
      const three = ["select 1", ["select $1::int", [2]], "select count(*) from t"] as const
      yield* link.pgdb.trans(three)
      expect(yield* roundTrips(link, link.pgdb.trans(three))).toBe(1)
      const many = (count: number) =>
        Array.from(
          { length: count },
          (_, n) => ["insert into t values ($1) on conflict do nothing", [n]] as const
        )
      yield* link.pgdb.trans(many(2))
      expect(yield* roundTrips(link, link.pgdb.trans(many(100)))).toBeLessThanOrEqual(2)
      expect(yield* roundTrips(link, link.pgdb.trans(many(1000)))).toBeLessThanOrEqual(24)
      expect(yield* link.pgdb.select("select count(*)::int as n from t")).toEqual([{ n: 1000 }])
    })
)

withDatabase(
  "a failing statement is the error: its own, with its number, and nothing is left",
  [table],
  (given) =>
    Effect.gen(function* () {
      const { pgdb } = given
      const error = yield* Effect.flip(
        pgdb.trans(["insert into t values (1)", "insert into t values (1)", "select nonsense", "select 1"])
      )
      expect(reasonOf(error)).toBe("UniqueViolation")
      expect(error.message).toContain("Statement 2 of 4:")
      expect(error.message).toContain("duplicate key value")
      expect(error.message).not.toContain("current transaction is aborted")
      expect(yield* pgdb.select(numbers)).toEqual([])
      yield* atRest(given)
    })
)

withDatabase("a value that does not fit a table of the batch's own is refused with its number", [], (given) =>
  Effect.gen(function* () {
    const error = yield* Effect.flip(
      given.pgdb.trans(["create table u (n int[])", ["insert into u values ($1)", [{ a: 1 }]], "select 1"])
    )
    expect(error.message).toContain(
      "Statement 2 of 3: Parameter $1 is an object, and the server expects an array"
    )
    expect(yield* given.witness.query("select to_regclass('u') as u")).toEqual([{ u: null }])
    yield* atRest(given)
  })
)

withDatabase("trans gives the same error among many statements, wherever it is", [table], (given) =>
  Effect.gen(function* () {
    const { pgdb } = given
    for (const at of [0, 1, 119, 120, 121, 250, 499]) {
      const statements = Array.from({ length: 500 }, (_, n) =>
        n === at ? "select 1 / 0" : `insert into t values (${n})`
      )
      const error = yield* Effect.flip(pgdb.trans(statements))
      expect(error.message).toContain("division by zero")
      expect(error.message).toContain(`Statement ${at + 1} of 500:`)
      expect(yield* openTransactions(given)).toBe(0)
    }
    expect(yield* pgdb.select(numbers)).toEqual([])
    yield* atRest(given)
  })
)

withDatabase(
  "a COMMIT that fails is the error",
  [
    "create table parent (id int primary key)",
    "create table child (id int references parent deferrable initially deferred)"
  ],
  (given) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(given.pgdb.trans(["insert into child values (1)", "select 1"]))
      expect(reasonOf(error)).toBe("ConstraintError")
      expect(error.message).toContain("violates foreign key constraint")
      expect(error.message).toContain("COMMIT")
      expect(yield* given.pgdb.select("select * from child")).toEqual([])
      yield* atRest(given)
    })
)

withDatabase(
  "a statement of trans that cannot be sent stops the rest: nothing of the batch takes effect",
  [table],
  (given) =>
    Effect.gen(function* () {
      const tooMany = Array.from({ length: 70_000 }, () => 1)
      const error = yield* Effect.flip(
        given.pgdb.trans(["insert into t values (1)", ["select 1", tooMany], "insert into t values (2)"])
      )
      expect(error.message).toContain("2 of 3")
      expect(yield* given.witness.query(numbers)).toEqual([])
      yield* atRest(given)
    })
)

withDatabase("large statements and large results both ways do not block each other", [], (given) =>
  Effect.gen(function* () {
    const text = "x".repeat(1_000_000)
    const statements = Array.from({ length: 60 }, () => ["select $1::text as text", [text]] as const)
    const outcomes = yield* given.pgdb.trans(statements)
    expect(outcomes.every(({ rows }) => rows[0]?.text === text)).toBe(true)
  })
)

withDatabase("no more than a few megabytes are on the way, however long the batch", [], (given) =>
  Effect.gen(function* () {
    const link = yield* linked(given)
    yield* link.pgdb.select("select 1")
    const text = "x".repeat(1_000_000)
    for (const one of [
      ["select length($1::text) as n", [text]],
      ["select cardinality($1) as n", [[text]]]
    ] as const) {
      yield* given.witness.query("select pg_advisory_lock(1)")
      const before = link.proxy.bytes().toServer
      const statements = Array.from({ length: 50 }, () => one)
      const fiber = yield* Effect.forkChild(
        link.pgdb.trans(["select pg_advisory_xact_lock(1)", ...statements])
      )
      yield* given.until("the first statement waits", ([session]) => session?.waitEvent === "advisory")
      expect(link.proxy.bytes().toServer - before).toBeLessThan(8_000_000)
      yield* given.witness.query("select pg_advisory_unlock(1)")
      expect((yield* Fiber.join(fiber)).length).toBe(51)
    }
  })
)

withDatabase("anything but a statement is refused by its number, and nothing is sent", [], (given) =>
  Effect.gen(function* () {
    const link = yield* linked(given)
    const holed: Array<string> = ["select 1"]
    holed[2] = "select 3"
    const wrong: ReadonlyArray<readonly [statements: unknown, number: string]> = [
      [holed, "Statement 2 of 3"],
      [["select 1", undefined], "Statement 2 of 2"],
      [[null], "Statement 1 of 1"],
      [[42, "select 1"], "Statement 1 of 2"],
      [[["select $1", "no array"]], "Statement 1 of 1"],
      [["select 1", "  -- nothing"], "Statement 2 of 2"],
      [["select 1", "commit"], "Statement 2 of 2"],
      ["select 1", "an array of statements"],
      [undefined, "an array of statements"]
    ]
    for (const [statements, said] of wrong) {
      const error = yield* Effect.flip(
        Reflect.apply(link.pgdb.trans, link.pgdb, [statements]) as ReturnType<typeof link.pgdb.trans>
      )
      expect(reasonOf(error)).toBe("StatementRefused")
      expect(error.message).toContain(said)
    }
    expect(link.proxy.sent()).not.toMatch(/select|BEGIN|commit/i)
  })
)

withDatabase("a parameter that cannot be bound is refused by its statement's number", [table], ({ pgdb }) =>
  Effect.gen(function* () {
    const error = yield* Effect.flip(
      pgdb.trans(["insert into t values (1)", ["select $1::timestamptz", [new Date(Number.NaN)]]])
    )
    expect(reasonOf(error)).toBe("StatementRefused")
    expect(error.message).toContain("Statement 2 of 2: Parameter $1 is an invalid Date")
    expect(yield* pgdb.select(numbers)).toEqual([])
  })
)

withDatabase("several texts in one statement stay refused by the protocol", [table], ({ pgdb }) =>
  Effect.gen(function* () {
    const error = yield* Effect.flip(pgdb.trans(["insert into t values (1); drop table t"]))
    expect(error.message).toContain("cannot insert multiple commands")
    expect(yield* pgdb.select(numbers)).toEqual([])
  })
)

withDatabase(
  "BEGIN, the statements and COMMIT are what is sent, and a warm statement is not parsed again",
  [table],
  (given) =>
    Effect.gen(function* () {
      const link = yield* linked(given)
      const batch = link.pgdb.trans([["insert into t values ($1) on conflict do nothing", [1]]])
      const first = yield* sentBy(link, batch)
      for (const text of ["BEGIN", "insert into t", "COMMIT"]) expect(first).toContain(text)
      const sent = yield* sentBy(link, batch)
      expect(lettersOf(sent)).toBe("BEBEBES")
    })
)
