/** SQL files: cut into statements as psql does, run all or none, and with the failing line in the error. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { PG } from "effect-global-pool"
import { split } from "../src/statement/Split.ts"
import { withDatabase } from "./support/handle.ts"

describe("a text is cut where a statement ends", () => {
  const cases: Readonly<
    Record<string, readonly [text: string, parts: ReadonlyArray<readonly [number, string]>]>
  > = {
    "nothing but comments": ["-- a; b\n/* ; */ ;;\n;", []],
    "two on one line, and no last semicolon": [
      "select 1; select 2",
      [
        [1, "select 1"],
        [1, "select 2"]
      ]
    ],
    "lines are counted from the first word": [
      "\n-- one;\n\nselect 1;\n  select\n2;",
      [
        [4, "select 1"],
        [5, "select\n2"]
      ]
    ],
    "lines that end as on Windows": [
      "select 1;\r\n\r\nselect 2;\r\n",
      [
        [1, "select 1"],
        [3, "select 2"]
      ]
    ],
    "semicolons in strings, names and comments": [
      `select ';', E'\\';', ";", $$;$$, $a$;$$;$a$ /* ; /* ; */ */ -- ;\n; select 2`,
      [
        [1, `select ';', E'\\';', ";", $$;$$, $a$;$$;$a$`],
        [2, "select 2"]
      ]
    ],
    "a body between dollars": [
      "create function f() returns int language plpgsql as $f$ begin return 1; end; $f$;\nselect f();",
      [
        [1, "create function f() returns int language plpgsql as $f$ begin return 1; end; $f$"],
        [2, "select f()"]
      ]
    ],
    "a body of begin atomic": [
      "create procedure p(a int) begin atomic\n  insert into t values (case when a > 1 then 1 end);\n  select 1 as end; select t.end from t;\nend; select 2",
      [
        [
          1,
          "create procedure p(a int) begin atomic\n  insert into t values (case when a > 1 then 1 end);\n  select 1 as end; select t.end from t;\nend"
        ],
        [4, "select 2"]
      ]
    ],
    "a rule of several statements": [
      "create rule r as on insert to t do also (delete from a; delete from b); select 1",
      [
        [1, "create rule r as on insert to t do also (delete from a; delete from b)"],
        [1, "select 1"]
      ]
    ],
    "begin that begins no body": [
      "begin; select 'atomic'; end; select 1",
      [
        [1, "begin"],
        [1, "select 'atomic'"],
        [1, "end"],
        [1, "select 1"]
      ]
    ]
  }
  for (const [name, [text, parts]] of Object.entries(cases)) {
    it(name, () => {
      assert.deepStrictEqual(
        Array.from(split(text), ({ line, text }) => [line, text] as const),
        parts
      )
    })
  }
})

const failure = (effect: ReturnType<PG.Database["script"]>) =>
  Effect.map(Effect.flip(effect), ({ message, reason }) => ({ message, tag: reason._tag }))

withDatabase(
  "a script is all or none, gives its outcomes, and may do what a file does",
  [],
  ({ pgdb, until, witness }) =>
    Effect.gen(function* () {
      const outcomes = yield* pgdb.script(`
      -- The schema
      create table t (id int primary key, name text);
      create type mood as enum ('sad', 'ok');
      alter table t add m mood default 'ok';
      insert into t values (1, 'one;'), (2, $$two$$);
      create function twice(n int) returns int begin atomic
        select n;
        select n * 2;
      end;
      select id, twice(id) as twice, m from t order by id;
    `)
      assert.deepStrictEqual(
        outcomes.map(({ command, rowCount }) => [command, rowCount]),
        [
          ["CREATE", 0],
          ["CREATE", 0],
          ["ALTER", 0],
          ["INSERT", 2],
          ["CREATE", 0],
          ["SELECT", 2]
        ]
      )
      assert.deepStrictEqual(outcomes.at(-1)?.rows, [
        { id: 1, twice: 2, m: "ok" },
        { id: 2, twice: 4, m: "ok" }
      ])
      assert.deepStrictEqual(yield* pgdb.script(" -- nothing\n"), [])

      const broken = "insert into t values (3, 'three');\n\ninsert into t\n  values (3,\n  'x');\nselect 1;"
      const told = yield* failure(pgdb.script(broken, { name: "seed.sql" }))
      assert.strictEqual(told.tag, "UniqueViolation")
      assert.include(told.message, "Statement 2 of 3, line 3 of seed.sql:")
      const wrong = yield* failure(pgdb.script("select 1;\nselect\n  2,\n  nope;"))
      assert.match(wrong.message, /Statement 2 of 2, line 4:\n.*nope\n\s+\^/s)
      assert.deepStrictEqual(yield* witness.query("select count(*)::int as n from t"), [{ n: 2 }])
      assert.strictEqual(
        (yield* until("it is idle", (all) => all.every(({ state }) => state === "idle"))).length,
        1
      )
    })
)

withDatabase(
  "a script that begins and ends transactions itself runs as it is written",
  ["create table t (id int)"],
  ({ pgdb, until, witness }) =>
    Effect.gen(function* () {
      const count = Effect.map(witness.query("select count(*)::int as n from t"), ([row]) => row?.n)
      const outcomes = yield* pgdb.script(
        "vacuum t; begin; insert into t values (1); savepoint a; insert into t values (2); rollback to a; commit; start transaction; insert into t values (3); rollback work"
      )
      assert.lengthOf(outcomes, 10)
      assert.strictEqual(yield* count, 1)
      // What came before the failure and was committed stays, the rest does not.
      const told = yield* failure(
        pgdb.script(
          "begin;\ninsert into t values (4);\ncommit;\nbegin;\ninsert into t values (5);\nselect 1 / 0;\ncommit",
          { name: "x.sql" }
        )
      )
      assert.include(told.message, "line 6 of x.sql")
      assert.strictEqual(yield* count, 2)
      yield* until("no transaction is open", (all) => all.every(({ state }) => state === "idle"))
      yield* pgdb.script("begin; set statement_timeout = 77; commit and chain; commit")
      assert.deepStrictEqual(yield* pgdb.select("show statement_timeout"), [{ statement_timeout: "0" }])

      assert.match(
        (yield* failure(pgdb.script("select 1;\nbegin;\ninsert into t values (6)"))).message,
        /line 2.*COMMIT is missing/
      )
      assert.match((yield* failure(pgdb.script("savepoint a"))).message, /transaction block/)
      assert.match(
        (yield* Effect.map(
          Effect.flip(pgdb.transaction(pgdb.script("begin; select 1; commit"))),
          ({ message }) => ({ message })
        )).message,
        /inside one/
      )
      assert.strictEqual(yield* count, 2)
    })
)

withDatabase(
  "a script that has committed is not retryable, whatever fails behind that",
  ["create table t (id int)"],
  ({ pgdb, settings, witness }) =>
    Effect.gen(function* () {
      const patient = PG.make({ ...settings, key: "patient", statementTimeout: "100 millis" })
      const kill = "select pg_terminate_backend(pg_backend_pid())"
      const run = (handle: PG.Database, text: string) =>
        Effect.map(Effect.flip(handle.script(text)), ({ isRetryable, message }) => ({ isRetryable, message }))
      for (const [handle, text] of [
        [patient, "begin; insert into t values (1); commit; select pg_sleep(9)"],
        [patient, "vacuum t; begin; select pg_sleep(9); commit"],
        [pgdb, "begin; insert into t values (1); commit and chain; select pg_sleep(0); SELF; commit"],
        [pgdb, "insert into t values (1); begin; SELF; commit"]
      ] as const) {
        const { isRetryable, message } = yield* run(handle, text.replace("SELF", kill))
        assert.isFalse(isRetryable, text)
        assert.include(message, "What the statements before it committed is not undone")
      }
      assert.deepStrictEqual(yield* witness.query("select count(*)::int as n from t"), [{ n: 3 }])
      // Where nothing was committed all of it may be repeated.
      for (const text of [
        "begin; insert into t values (2); select pg_sleep(9); commit",
        "set work_mem = '5MB'; begin; insert into t values (2); rollback; begin; select pg_sleep(9); commit"
      ]) {
        assert.isTrue((yield* run(patient, text)).isRetryable, text)
      }
    })
)

withDatabase("a script inside a transaction is a part of it", ["create table t (id int)"], ({ pgdb }) =>
  Effect.gen(function* () {
    const t = pgdb.table("t")
    const all = pgdb.transaction(
      Effect.gen(function* () {
        yield* pgdb.script("insert into t values (1); insert into t values (2)")
        yield* Effect.ignore(pgdb.script("insert into t values (3); select 1 / 0"))
        return yield* t.count()
      })
    )
    assert.strictEqual(yield* all, 2)
    yield* Effect.ignore(
      pgdb.transaction(Effect.andThen(pgdb.script("insert into t values (4)"), Effect.fail("no")))
    )
    assert.strictEqual(yield* t.count(), 2)
  })
)

withDatabase(
  "what a script may not have is refused by its line, before anything is sent",
  ["create table t (id int)"],
  ({ pgdb }) =>
    Effect.gen(function* () {
      const refused: ReadonlyArray<readonly [text: string, words: ReadonlyArray<string>]> = [
        ["insert into t values (1);\ncopy t from stdin;\n1\n2\n\\.\n", ["dump.sql, line 2", "COPY"]],
        ["insert into t values (1);\n\\connect other", ["dump.sql, line 2", "psql"]],
        ["insert into t values (1);\nselect 1 \\gexec", ["dump.sql, line 2", "psql"]],
        ["insert into t values (1);\nbegin; prepare transaction 'x'", ["dump.sql, line 2", "two-phase"]],
        ["insert into t values (1);\ncommit prepared 'x'", ["dump.sql, line 2", "two-phase"]]
      ]
      for (const [text, words] of refused) {
        const { message, tag } = yield* failure(pgdb.script(text, { name: "dump.sql" }))
        assert.strictEqual(tag, "StatementRefused")
        for (const word of words) assert.include(message, word)
      }
      assert.strictEqual(yield* pgdb.table("t").count(), 0)
    })
)

for (const [kind, text] of [
  ["in one transaction", "insert into t values (1); select pg_sleep(60)"],
  ["of its own transactions", "begin; insert into t values (1); select pg_sleep(60); commit"]
] as const) {
  withDatabase(
    `an interrupted script ${kind} ends on the server and leaves nothing`,
    ["create table t (id int)"],
    ({ pgdb, until, witness }) =>
      Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(pgdb.script(text), { startImmediately: true })
        yield* until("it sleeps", (all) => all.some(({ waitEvent }) => waitEvent === "PgSleep"))
        yield* Fiber.interrupt(fiber)
        yield* until("nothing runs", (all) => all.every(({ state }) => state === "idle"))
        assert.deepStrictEqual(yield* witness.query("select * from t"), [])
        assert.deepStrictEqual(yield* pgdb.select("select 1 as one"), [{ one: 1 }])
      })
  )
}

withDatabase(
  "a statement is described without being run",
  [
    "create type mood as enum ('ok')",
    "create domain price as numeric",
    "create table t (id int primary key, moods mood[], at timestamptz, cost price)"
  ],
  ({ pgdb }) =>
    Effect.gen(function* () {
      const described = yield* pgdb.describe(
        "insert into t values ($1, $2, now(), $3) returning id, moods, at, cost"
      )
      const names = (types: ReadonlyArray<{ readonly type: string }>) => types.map(({ type }) => type)
      assert.deepStrictEqual(names(described.parameters), ["int4", "mood[]", "price"])
      assert.deepStrictEqual(names(described.columns), ["int4", "mood[]", "timestamptz", "numeric"])
      assert.deepStrictEqual(
        described.columns.map(({ name }) => name),
        ["id", "moods", "at", "cost"]
      )
      assert.strictEqual(described.columns[0]?.oid, 23)
      assert.strictEqual(yield* pgdb.table("t").count(), 0)
      const template = yield* pgdb.describe`select ${"a"}::mood as m where ${1} = 1`
      assert.deepStrictEqual(
        [names(template.parameters), names(template.columns)],
        [["mood", "int4"], ["mood"]]
      )
      assert.deepStrictEqual(yield* pgdb.describe("delete from t"), { parameters: [], columns: [] })
      const inside = pgdb.transaction(
        Effect.andThen(
          pgdb.execute("create type colour as enum ('red')"),
          pgdb.describe("select $1::colour as c")
        )
      )
      assert.deepStrictEqual(names((yield* inside).columns), ["colour"])
      const error = yield* Effect.flip(pgdb.describe("select nope from t"))
      assert.include(error.message, "nope")
      assert.strictEqual((yield* Effect.flip(pgdb.describe("begin"))).reason._tag, "StatementRefused")
    })
)
