/** What a statement is called in spans, metrics and logs: by OpenTelemetry's rules for `db.query.summary`, its own examples first. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { summarize } from "../src/statement/Summary.ts"

const cases: ReadonlyArray<readonly [text: string, operation: string | undefined, summary: string]> = [
  ["SELECT * FROM wuser_table WHERE username = $1", "SELECT", "SELECT wuser_table"],
  [
    "INSERT INTO shipping_details (order_id, address) SELECT order_id, address FROM orders WHERE order_id = 1",
    "INSERT",
    "INSERT shipping_details SELECT orders"
  ],
  ["SELECT * FROM songs, artists WHERE songs.artist_id = artists.id", "SELECT", "SELECT songs artists"],
  [
    "SELECT order_date FROM (SELECT * FROM orders o JOIN customers c ON o.customer_id = c.customer_id)",
    "SELECT",
    "SELECT SELECT orders customers"
  ],
  ["SELECT * FROM \"song list\", 'artists'", "SELECT", 'SELECT "song list"'],
  ['select * from "users" where id = $1', "select", "select users"],
  ['select * from audit."Events"', "select", 'select audit."Events"'],
  ["with x as (insert into t values (1) returning *) select * from x", "select", "insert t select"],
  [
    "with recursive r(n) as (select 1 union all select n + 1 from r) update t set a = r.n from r",
    "update",
    "select select update t"
  ],
  ["with a as materialized (select 1) select * from a, b", "select", "select select b"],
  ["with a as (select 1) select b.c from b, s.a", "select", "select select b s.a"],
  ["-- first\n/* update x */ ((select 1 from a))", "select", "select a"],
  [
    "select extract(year from d), substring(a from 2) from y where a is distinct from b for update of y",
    "select",
    "select y"
  ],
  ['select x.from, "from" from t', "select", "select t"],
  ["insert into a values (1) on conflict do update set x = 1 returning *", "insert", "insert a"],
  ['update only "t" set x = (select max(y) from u)', "update", "update t select u"],
  ["delete from only t using u where t.id = u.id", "delete", "delete t u"],
  ["merge into a using b on a.x = b.x when matched then update set y = 1", "merge", "merge a b"],
  [
    "create table if not exists audit.x (id int references y on update cascade)",
    "create table",
    "create table audit.x"
  ],
  ["create or replace temp view v as select * from z", "create view", "create view v select z"],
  ["drop materialized view concurrently if exists m", "drop materialized view", "drop materialized view m"],
  ["alter role me password 'secret'", "alter role", "alter role me"],
  ["create user ada with password 'secret'", "create user", "create user ada"],
  ["drop user if exists ada", "drop user", "drop user ada"],
  ["create user mapping for public server s", "create user mapping", "create user mapping public"],
  ["create unique index on audit.x (id)", "create index", "create index audit.x"],
  ["explain (analyze, verbose) select 1 from q", "explain", "explain select q"],
  ["truncate table only a", "truncate", "truncate a"],
  ["call p(1)", "call", "call p"],
  ["set local work_mem = '5MB'", "set", "set work_mem"],
  ["table users", "table", "table users"],
  ["values (1), (2)", "values", "values"],
  ["copy t (a) from stdin", "copy", "copy t"],
  ["do $$ begin delete from t; end $$", "do", "do"],
  ["selec secret from users", undefined, ""],
  ["4111 1111 1111 1111", undefined, ""],
  ["", undefined, ""]
]

describe("a summary", () => {
  for (const [text, operation, summary] of cases) {
    it(`of ${text.slice(0, 60) || "nothing"}`, () => {
      assert.deepStrictEqual(summarize(text), { operation, summary })
    })
  }

  it("has at most 255 characters, and cuts no name", () => {
    const names = Array.from({ length: 60 }, (_, index) => `table_${index}`)
    const { summary } = summarize(`select * from ${names.join(", ")}`)
    assert.isAtMost(summary.length, 255)
    assert.deepStrictEqual(summary.split(" ").slice(1), names.slice(0, summary.split(" ").length - 1))
  })

  it("never shows what stands in a literal", () => {
    const value = fc.stringMatching(/^[a-z ]{1,12}$/).map((word) => `sEcReT${word}`)
    fc.assert(
      fc.property(
        fc.constantFrom(...cases.map(([text]) => text)),
        value,
        fc.nat(60),
        (text, secret, place) => {
          const at = Math.min(place, text.length)
          fc.pre(text.slice(0, at).split(/["']|\$\$/).length % 2 === 1)
          const { summary } = summarize(`${text.slice(0, at)} '${secret}' ${text.slice(at)}`)
          assert.notInclude(summary, "sEcReT")
        }
      )
    )
  })
})
