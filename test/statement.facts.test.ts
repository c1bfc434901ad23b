/**
 * What a statement's text shows: whether it is sent, only reads, leaves something in the session, changes types.
 */
import { expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { type Facts, factsOf } from "../src/statement/Facts.ts"

const refused: ReadonlyArray<readonly [text: string, what: string, instead: string]> = [
  ["begin", "BEGIN was not sent", "transaction(effect)"],
  ["BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE", "BEGIN was not sent", "trans([...])"],
  ["start transaction read only", "START TRANSACTION was not sent", "transaction(effect)"],
  ["commit", "COMMIT was not sent", "transaction(effect)"],
  ["Commit And Chain", "COMMIT was not sent", "transaction(effect)"],
  ["end", "END was not sent", "transaction(effect)"],
  ["end transaction;", "END was not sent", "transaction(effect)"],
  ["rollback", "ROLLBACK was not sent", "transaction(effect)"],
  ["rollback to a", "ROLLBACK TO SAVEPOINT was not sent", "inside transaction(effect)"],
  ["rollback work to savepoint a", "ROLLBACK TO SAVEPOINT was not sent", "inside transaction(effect)"],
  ["abort", "ABORT was not sent", "transaction(effect)"],
  ["savepoint a", "SAVEPOINT was not sent", "inside transaction(effect)"],
  ["release a", "RELEASE SAVEPOINT was not sent", "inside transaction(effect)"],
  ["prepare transaction 'x'", "PREPARE TRANSACTION was not sent", "transaction(effect)"],
  ["commit prepared 'x'", "COMMIT PREPARED was not sent", "transaction(effect)"],
  ["rollback prepared 'x'", "ROLLBACK PREPARED was not sent", "transaction(effect)"],
  ["copy t from stdin", "COPY … FROM STDIN was not sent", "insertMany"],
  ["copy t (a, b) from stdin with (format csv)", "COPY … FROM STDIN was not sent", "insertStream"],
  ["copy t from stdout", "COPY … FROM STDIN was not sent", "insertMany"],
  ["copy binary t to stdout", "COPY … TO STDOUT was not sent", "stream"],
  ["copy (select a from stdin) to STDOUT", "COPY … TO STDOUT was not sent", "stream"],
  ["-- begin\n/* /* select */ 1 */ ;; BeGiN /**/ ;", "BEGIN was not sent", "transaction(effect)"],
  ["(begin)", "BEGIN was not sent", "transaction(effect)"],
  ["", "An empty statement was not sent", "select 1"],
  [" \n-- nothing\n/* here */ ; ;", "An empty statement was not sent", "select 1"],
  ["select '\0'", "NUL character", "bytea"]
]

it.each(refused)("%j is refused", (text, what, instead) => {
  const { refusal } = factsOf(text)
  expect(refusal).toContain(what)
  expect(refusal).toContain(instead)
})

it.each([
  "select 'BEGIN'",
  "select 1 as begin",
  'select "commit" from t',
  "select $$ commit; $$",
  "do $$ begin commit; end $$",
  "create function f() returns void language plpgsql as $$ begin commit; end $$",
  "create procedure p() begin atomic insert into t values (1); end",
  "prepare transaction as select 1",
  "copy t from '/tmp/stdin'",
  "copy t to program 'cat > stdout'",
  "copy stdin from '/tmp/a' where a is distinct from stdout",
  "begin_work()",
  "e'begin'",
  "insert into t values ('copy t from stdin')",
  "select 1; commit",
  "/* open begin",
  "set local x = 1",
  "lock table t"
])("%j is sent", (text) => {
  expect(factsOf(text).refusal).toBeUndefined()
})

const leaving: ReadonlyArray<readonly [Facts["leaves"], ReadonlyArray<string>]> = [
  [
    "session",
    [
      "set search_path to a",
      "set session x = 1",
      "set session authorization a",
      "set role a",
      "set time zone 'UTC'",
      "set local.user_id = '7'",
      "set transaction.user_id = '7'",
      'set "app.user" = 1',
      "set session characteristics as transaction read only",
      "reset all",
      "reset role",
      "select set_config('a.b', 'c', false)",
      "select set_config('a.b', 'c', $1)",
      "select set_config('a.b', 'c', not false)",
      "select set_config('a.b', 'c', is_local => true)",
      "select pg_catalog.set_config ( 'a.b', f(1, 2), false )",
      "select \"pg_catalog\".\"set_config\"('a.b', 'c', false)",
      "select U&\"set\\005fconfig\"('a.b', 'c', false)",
      "with a as (select set_config('a.b', 'c', false)) select * from a",
      "select set_config('a', 'b', true), set_config('a', 'b', false)",
      "update t set a = set_config('a.b', 'c', false)",
      "explain analyze select set_config('a.b', 'c', false)",
      "create temp table a (b int)",
      "create temporary table a as select 1",
      "create local temp table a ()",
      "create global temporary table a ()",
      "create or replace temp view a as select 1",
      "create temp sequence a",
      "create temp recursive view a (b) as select 1",
      "create table pg_temp.a (b int)",
      'create function "pg_temp".f() returns int language sql as $$ select 1 $$',
      "explain (analyze) create temp table a as select 1",
      "select 1 as a into temp b",
      "select * into temporary table b from c",
      "select * into pg_temp.b from c",
      "listen a",
      "unlisten *",
      "load 'auto_explain'",
      "declare a cursor with hold for select 1",
      "declare a binary insensitive scroll cursor with hold for select 1",
      "select pg_advisory_lock(1)",
      "select pg_try_advisory_lock(1, 2)",
      "select pg_advisory_lock_shared(1)",
      'select pg_catalog . "pg_try_advisory_lock_shared" /* ! */ (1)',
      "select case when true then (select pg_advisory_lock(1)) end",
      "insert into a select pg_advisory_lock(id) from b returning *",
      "do $$ begin perform pg_advisory_lock(1); end $$",
      "do $$ begin set x = 1; end $$",
      "do $$ begin execute 'create temp table a()'; end $$"
    ]
  ],
  ["prepared", ["prepare a as select $1", "deallocate a", "deallocate all", "discard all", "discard temp"]],
  [
    "nothing",
    [
      "select 1",
      "set local x = 1",
      "set transaction isolation level serializable",
      "set constraints all deferred",
      "select set_config('a.b', 'c', true)",
      "select set_config('a.b', 'c', 'on')",
      "select set_config('a.b', set_config('d.e', 'f', true), true)",
      "select pg_advisory_xact_lock(1), pg_try_advisory_xact_lock(2), pg_advisory_xact_lock_shared(3)",
      "select pg_advisory_unlock_all()",
      "select 'set_config(1)', \"PG_ADVISORY_LOCK\"(1)",
      "select a.pg_advisory_lock from a",
      "insert into temp values (1)",
      "with a as (insert into temp values (1) returning *) select * from a",
      "merge into temp using a on true when matched then delete",
      "create table a (b int)",
      "create table temporary_things (temp int)",
      "declare a cursor for select 1",
      "declare a cursor without hold for select 1",
      "with hold as (select 1) select * from hold",
      "select nextval('a')",
      "update a set b = 1",
      "alter role a set search_path = b",
      "create function f() returns void set search_path = a language sql as $$ select 1 $$",
      "notify a",
      "do $$ begin perform 1; end $$"
    ]
  ]
]

it.each(leaving.flatMap(([leaves, texts]) => texts.map((text) => [text, leaves] as const)))(
  "%j leaves %s",
  (text, leaves) => {
    expect(factsOf(text).leaves).toBe(leaves)
    if (leaves !== "nothing") expect(factsOf(text).reads).toBe(false)
  }
)

it.each([
  "select * from a where b = $1",
  "(select 1) union (select 2)",
  "values (1), (2)",
  "table a",
  "with a as (select 1) select * from a",
  "with recursive a as (select 1 union all select b + 1 from a where b < 10) select * from a",
  "show search_path",
  "explain select 1",
  "explain (analyze, buffers) select 1",
  "select substring(a for 3) from b",
  "select 'for update', $$ delete $$",
  "select a.update, b.delete from a, b",
  "select sleep_time, nextval_old from a"
])("%j only reads", (text) => {
  expect(factsOf(text)).toMatchObject({
    reads: true,
    leaves: "nothing",
    changesTypes: false,
    refusal: undefined
  })
})

it.each([
  "select * from a where b = $1 and c in (1, 2) and (d or not (e))",
  "select count(*), max(b) filter (where c > 0) from a group by (d)",
  "with a as (select 1), b as materialized (select 2) select * from a join b using (c)",
  "select coalesce(lower(a), 'x')::varchar(10), cast(b as numeric(5, 2)) from c where d = any($1)",
  "select row_number() over (order by a) from b where exists (select 1 from c)",
  "select 'now()' as \"current_date\", a.localtime from a"
])("%j calls nothing that may do anything", (text) => {
  expect(factsOf(text)).toMatchObject({ reads: true, calls: false, clock: false })
})

it.each([
  "select mine($1)",
  "select * from mine(1)",
  "select other.lower(a) from b",
  'select "Mine"(1)',
  "select other.now()"
])("%j calls a function that may do anything", (text) => {
  expect(factsOf(text)).toMatchObject({ reads: true, calls: true, clock: false })
})

it.each([
  "select now()",
  "select a from b where at < now() - $1::interval",
  "select current_timestamp",
  "select a from b where at < localtimestamp"
])("%j asks for the time", (text) => {
  expect(factsOf(text)).toMatchObject({ reads: true, calls: false, clock: true })
})

it.each([
  "insert into a values (1)",
  "update a set b = 1",
  "delete from a",
  "merge into a using b on true when matched then do nothing",
  "with a as (delete from b returning *) select * from a",
  "with a as (select 1) insert into b select * from a",
  "select * from a for update",
  "select * from a for no key update skip locked",
  "select * from a for share",
  "select * from a for key share",
  "select * into b from a",
  "select pg_sleep(1)",
  "select pg_sleep_for('1 minute')",
  "select pg_advisory_xact_lock(1)",
  "select nextval('a')",
  "select lastval()",
  "select setval('a', 1)",
  "select set_config('a.b', 'c', true)",
  "select pg_notify('a', 'b')",
  "select lo_create(0)",
  "select dblink('a', 'b')",
  "select pg_terminate_backend(1)",
  "select pg_cancel_backend(1)",
  "explain analyze delete from a",
  "explain analyze verbose update a set b = 1",
  "call p()",
  "do $$ begin end $$",
  "execute a",
  "fetch 1 from a",
  "refresh materialized view a",
  "create table a ()",
  "lock a",
  "vacuum",
  "notify a"
])("%j does more than read", (text) => {
  expect(factsOf(text).reads).toBe(false)
})

it.each<readonly [text: string, changes: boolean]>([
  ["create type a as enum ('b')", true],
  ["create table a (b int)", true],
  ["create temp table a (b int)", true],
  ["create or replace view a as select 1", true],
  ["create materialized view a as select 1", true],
  ["create extension hstore", true],
  ["create schema a", true],
  ["create domain a as int", true],
  ["alter type a add value 'b'", true],
  ["alter table a add b int", true],
  ["drop table a", true],
  ["drop schema a cascade", true],
  ["drop owned by a", true],
  ["import foreign schema a from server b into c", true],
  ["select * into b from a", true],
  ["explain analyze create table a as select 1", true],
  ["do $$ begin create table a (); end $$", true],
  ["create index on a (b)", false],
  ["create unique index concurrently a on b (c)", false],
  ["create role a", false],
  ["alter database a set b = 1", false],
  ["alter system set a = 1", false],
  ["do $$ begin perform 1; end $$", false],
  ["insert into a values ('create table')", false],
  ["select 1", false],
  ["truncate a", false]
])("%j changes types: %s", (text, changes) => {
  expect(factsOf(text).changesTypes).toBe(changes)
})

const examples = [
  ...refused.map(([text]) => text),
  ...leaving.flatMap(([, texts]) => texts),
  "select * from a for update",
  "create type a as enum ('b')"
]

const gap = fc.constantFrom(" ", "\n", "\t", "/* begin */", "/* /* commit */ ' */", "-- $$ '\n", "\r\n", "\f")

it("comments and white space between words, and the case of words, change nothing", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...examples),
      fc.array(gap, { minLength: 1, maxLength: 3 }),
      fc.boolean(),
      (text, gaps, loud) => {
        // Only spaces outside of quotes can be stretched, and only words there can change their case.
        fc.pre(!/['"$\0]|--|\/\*/.test(text))
        const other = text.replaceAll(" ", ` ${gaps.join("")} `)
        const changed = `${gaps.join("")}${other}${gaps.join("")}`
        expect(factsOf(loud ? changed.toUpperCase() : changed)).toEqual(factsOf(text))
      }
    ),
    { numRuns: 1000 }
  )
})

it("any text has facts", () => {
  const pieces = fc.constantFrom(
    "begin",
    "select",
    "set_config",
    "(",
    ")",
    "'",
    '"',
    "$$",
    "/*",
    "*/",
    "--",
    "\n",
    " ",
    ",",
    ";",
    "explain",
    "into",
    "temp",
    "for",
    ".",
    "copy",
    "from",
    "stdin",
    "é"
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(pieces, { maxLength: 40 }).map((parts) => parts.join(" "))
      ),
      (text) => {
        const facts = factsOf(text)
        expect(factsOf(text)).toBe(facts)
        expect(facts.command).toBe(facts.command.toUpperCase())
      }
    ),
    { numRuns: 2000 }
  )
})

it("texts of a megabyte, also hostile ones, are looked at once from end to end", () => {
  const size = 1_000_000
  for (const piece of [
    "'",
    "''",
    '"',
    "$",
    "$a",
    "$a$",
    "/*",
    "*/",
    "--",
    "(",
    "set_config(",
    "set_config('a','b',",
    "e'a' ",
    "e'a'\n",
    "-- \n",
    "explain ",
    "copy (",
    "a.",
    "1e",
    "u&'"
  ]) {
    expect(factsOf(`select ${piece.repeat(size / piece.length)}`).command).toBe("SELECT")
    expect(factsOf(piece.repeat(size / piece.length))).toHaveProperty("leaves")
  }
})

it("thousands of different texts are told apart, and the ones used last come from memory", () => {
  const texts = Array.from(
    { length: 5000 },
    (_, index) => `select ${index} ${index % 2 === 0 ? "" : "for update"}`
  )
  for (const [index, text] of texts.entries()) expect(factsOf(text).reads).toBe(index % 2 === 0)
  for (const [index, text] of texts.entries()) expect(factsOf(text).reads).toBe(index % 2 === 0)
  expect(factsOf(texts[4999]!)).toBe(factsOf(texts[4999]!))
})
