/**
 * What a statement's text shows: whether it is sent, only reads, may be run twice, returns rows, leaves something in the
 * session, changes the catalogue.
 */
import { expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as StatementCache from "../src/pool/StatementCache.ts"
import { type Analysis, analyze } from "../src/statement/Analyze.ts"

const rejected: ReadonlyArray<readonly [text: string, what: string, instead: string]> = [
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
  ["listen a", "LISTEN was not sent", "pgdb.listen"],
  ['/* listen */ LISTEN "a b"', "LISTEN was not sent", "pgdb.listen"],
  ["unlisten *", "UNLISTEN was not sent", "pgdb.listen"],
  ["-- begin\n/* /* select */ 1 */ ;; BeGiN /**/ ;", "BEGIN was not sent", "transaction(effect)"],
  ["(begin)", "BEGIN was not sent", "transaction(effect)"],
  ["", "An empty statement was not sent", "select 1"],
  [" \n-- nothing\n/* here */ ; ;", "An empty statement was not sent", "select 1"],
  ["select '\0'", "NUL character", "bytea"]
]

it.each(rejected)("%j is rejected", (text, what, instead) => {
  const { rejection } = analyze(text)
  expect(rejection).toContain(what)
  expect(rejection).toContain(instead)
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
  expect(analyze(text).rejection).toBeUndefined()
})

const leaving: ReadonlyArray<readonly [Analysis["sessionEffects"], ReadonlyArray<string>]> = [
  [
    "settings",
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
      "explain (select set_config('a.b', 'c', false))",
      "explain (analyze) (select set_config('a.b', 'c', false))",
      "select set_config('a.b', 'c', t) from (values (false)) as v (t)",
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
      "select * into local temp b from c",
      "select * into table pg_temp.b from c",
      'select * into "pg_temp".b from c',
      "create or replace local temp view a as select 1",
      "load 'auto_explain'",
      "select U&\"set!005fconfig\" uescape '!' ('a.b', 'c', false)",
      "select U&\"pg!005fadvisory_lock\" /* ! */ UESCAPE '!' (1)",
      'create table U&"pg\\005ftemp".a (b int)',
      "select query_to_xml($1, true, true, '')",
      "select pg_catalog.query_to_xml_and_xmlschema('select 1', true, true, '')",
      "select * from ts_stat('select f()')",
      "select ts_rewrite(a, 'select b, c from d') from e",
      "select 'it\\'s', set_config('a.b', '\\'', false)",
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
      "do $$ begin execute 'create temp table a()'; end $$",
      "do U&'begin s\\0065t x = 1; end'",
      "do e'begin s\\x65t x = 1; end'",
      "do $$ begin perform U&\"set\\005fconfig\"('a.b', 'c', false); end $$"
    ]
  ],
  [
    "prepared statements",
    ["prepare a as select $1", "deallocate a", "deallocate all", "discard all", "discard temp"]
  ],
  [
    "none",
    [
      "select 1",
      "set local x = 1",
      "set transaction isolation level serializable",
      "set constraints all deferred",
      "select set_config('a.b', 'c', true)",
      "select set_config('a.b', 'c', 'on')",
      "select set_config('a.b', array['c', 'd']::text, true)",
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

it.each(leaving.flatMap(([effects, texts]) => texts.map((text) => [text, effects] as const)))(
  "%j has session effects: %s",
  (text, effects) => {
    expect(analyze(text).sessionEffects).toBe(effects)
    if (effects !== "none") expect(analyze(text)).toMatchObject({ isRead: false, isPlainRead: false })
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
  "explain (select 1)",
  "explain ((select 1) union select 2)",
  "explain (analyze, buffers) select 1",
  "select substring(a for 3) from b",
  "select 'for update', $$ delete $$",
  "select a.update, b.delete from a, b",
  "select sleep_time, nextval_old from a"
])("%j only reads", (text) => {
  expect(analyze(text)).toMatchObject({
    isRead: true,
    sessionEffects: "none",
    changesCatalogue: false,
    rejection: undefined
  })
})

it.each([
  "select * from a where b = $1 and c in (1, 2) and (d or not (e))",
  "select count(*), max(b) filter (where c > 0) from a group by (d)",
  "with a as (select 1), b as materialized (select 2) select * from a join b using (c)",
  "select coalesce(lower(a), 'x')::varchar(10), cast(b as numeric(5, 2)) from c where d = any($1)",
  "select row_number() over (order by a) from b where exists (select 1 from c)",
  "select 'now()' as \"current_date\", a.localtime from a",
  "select now()",
  "select a from b where at < now() - $1::interval",
  "select current_timestamp",
  "select current_timestamp(0), localtime(3)",
  "select transaction_timestamp(), statement_timestamp(), clock_timestamp()",
  "select a from b where at < localtimestamp"
])("%j calls nothing that may do anything", (text) => {
  expect(analyze(text)).toMatchObject({ isRead: true, callsFunctions: false })
})

it.each([
  "select mine($1)",
  "select * from mine(1)",
  "select other.lower(a) from b",
  'select "Mine"(1)',
  "select other.now()"
])("%j calls a function that may do anything", (text) => {
  expect(analyze(text)).toMatchObject({ isRead: true, callsFunctions: true })
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
  expect(analyze(text)).toMatchObject({ isRead: false, isPlainRead: false })
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
])("%j changes the catalogue: %s", (text, changes) => {
  expect(analyze(text).changesCatalogue).toBe(changes)
})

const examples = [
  ...rejected.map(([text]) => text),
  ...leaving.flatMap(([, texts]) => texts),
  "select * from a for update",
  "create type a as enum ('b')"
]

const gap = fc.constantFrom(" ", "\n", "\t", "/* begin */", "/* /* commit */ ' */", "-- $$ '\n", "\r\n", "\f")

it.each<readonly [text: string, shows: Partial<Analysis>]>([
  ["select 'it\\'s' a, $1::text b", { placeholders: 1, isRead: true, isPlainRead: true }],
  ["select 'it\\'s' a, '$1'", { placeholders: 1 }],
  ["select '\\', $1, '\\'", { placeholders: 1 }],
  ["select n'it\\'s' a, $1::text b", { placeholders: 1 }],
  ["select date'it\\'s' a, $2::text b", { placeholders: 2 }],
  ["select 'a\\', pg_advisory_lock(1), '\\'", { sessionEffects: "settings", isRead: false }],
  ["select '\\'', pg_advisory_lock(1), ''", { sessionEffects: "settings", isRead: false }],
  ["select '\\'' from a for update --'", { isRead: false }],
  ["select '\\' from a for update --'", { isRead: false }],
  ["select '\\'' from mine(1) --'", { isRead: true, isPlainRead: false, callsFunctions: true }],
  ["insert into a values ('\\'') returning b --'", { returnsRows: true }],
  ["select '\\'' into a --'", { changesCatalogue: true }],
  ["select '\\' into a --'", { changesCatalogue: true }],
  ["copy (select '\\'') to stdout --'", { rejection: expect.stringContaining("COPY") }]
])("%j is read with standard_conforming_strings on and off, and shows what either shows", (text, shows) => {
  expect(analyze(text)).toMatchObject(shows)
})

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
        expect(analyze(loud ? changed.toUpperCase() : changed)).toEqual(analyze(text))
      }
    ),
    { numRuns: 1000 }
  )
})

it("any text can be analyzed, each time with the same result", () => {
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
        const analysis = analyze(text)
        expect(analyze(text)).toEqual(analysis)
        expect(analysis.command).toBe(analysis.command.toUpperCase())
        if (analysis.isPlainRead) expect(analysis).toMatchObject({ isRead: true, rejection: undefined })
        if (analysis.isRead) expect(analysis.sessionEffects).toBe("none")
        if (analysis.mayReturnRecord) expect(analysis.returnsRows).toBe(true)
      }
    ),
    { numRuns: 2000 }
  )
})

it("texts of a megabyte, also hostile ones, are analyzed in linear time", () => {
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
    "time ",
    "e'a' ",
    "e'a'\n",
    "-- \n",
    "explain ",
    "copy (",
    "a.",
    "1e",
    "u&'"
  ]) {
    expect(analyze(`select ${piece.repeat(size / piece.length)}`).command).toBe("SELECT")
    expect(analyze(piece.repeat(size / piece.length))).toHaveProperty("sessionEffects")
    expect(analyze(`do $do$ ${piece.repeat(size / piece.length)} $do$`).command).toBe("DO")
  }
})

it.each([
  "select * from a where b = $1 and c in (1, 2) and (d or not (e))",
  "select a is distinct from (b), (c)[1], array(select 1), cast(d as int) from e",
  "select coalesce(a, b), nullif(a, 0), greatest(a, b), least(a, b), extract(year from a) from c",
  "select case when (a) then (1) else (2) end from b where exists (select 1 from c)",
  "select distinct on (a) a from b left join lateral (select 1) c on (true) join d using (e)",
  "select a from b group by a having (a) order by a limit (1) offset (2)",
  "(select 1) union all (select 2)",
  "with a as (select 1) select * from a where (b, c) = any (select 1, 2)",
  "select row(1, 2), current_timestamp, localtime",
  "values (1), ($1)",
  "table a",
  "show search_path",
  "select count(*) from a",
  "select now(), random(), version() from a",
  "select now ( )",
  "select now/* ! */()",
  "select pg_catalog.lower(a), pg_catalog . sum (b) from b",
  "select row_number() over (partition by (a) order by (b)), rank() over () from c",
  "select 'pg_sleep(1)', $$ lower('a') $$, \"now\" from a -- now()"
])("%j is a plain read: running it twice is as good as once", (text) => {
  expect(analyze(text)).toMatchObject({ isRead: true, isPlainRead: true, callsFunctions: false })
})

it.each([
  "select mine(1)",
  "select * from mine(1)",
  "select now(1)",
  "select lower(a) from b",
  "select count(a) from a",
  "select sum(*) from a",
  "select generate_series(1, 2)",
  "select other.lower(a) from b",
  "select pg_catalog.mine(a) from b",
  "select other.now()",
  "select other.count(*) from a",
  "select mine()",
  "select over()",
  'select "all"()',
  'select "Coalesce"(1)',
  'select "select"(1)',
  'select "row"(1)',
  "select other.coalesce(1)",
  "select other.row(1)",
  "select * from other.values(1)",
  "select * from a where exists (select 1 from b where c = mine(d))",
  "with a as (select mine(1)) select * from a",
  "explain select 1",
  "explain analyze select 1"
])("%j is no plain read, although it only reads: what it calls may do anything", (text) => {
  expect(analyze(text)).toMatchObject({ isRead: true, isPlainRead: false })
})

// Postgres takes these words of its grammar for names of functions, so that a user may define one.
it.each([
  "by",
  "cube",
  "every",
  "filter",
  "is",
  "join",
  "like",
  "materialized",
  "over",
  "partition",
  "rollup",
  "sets",
  "within"
])("a call of a function named %s is no plain read", (name) => {
  expect(analyze(`select ${name}(1)`).isPlainRead).toBe(false)
})

it.each<readonly [text: string, returnsRows: boolean]>([
  ["select 1", true],
  ["(select 1) union (select 2)", true],
  ["values (1)", true],
  ["table a", true],
  ["with a as (select 1) select * from a", true],
  ["with a as (delete from b returning *) select * from a", true],
  ["with a as (select 1) insert into b select * from a returning *", true],
  ["show search_path", true],
  ["explain delete from a", true],
  ["call p(null)", true],
  ["fetch 1 from a", true],
  ["execute a", true],
  ["insert into a values (1) returning b", true],
  ["update a set b = 1 returning *", true],
  ["delete from a returning b", true],
  ["merge into a using b on true when matched then delete returning *", true],
  ["-- select\ninsert into a values (1) /* */ Returning b", true],
  ["insert into a values (1)", false],
  ["insert into a values ('returning')", false],
  ["insert into a values (1) -- returning *", false],
  ['insert into "returning" values (1)', false],
  ["insert into a select b.returning from b", false],
  ["update a set b = 1", false],
  ["delete from a", false],
  ["merge into a using b on true when matched then delete", false],
  ["create table a as select 1", false],
  ["declare a cursor for select 1", false],
  ["prepare a as select 1", false],
  ["move 1 from a", false],
  ["set x = 1", false],
  ["do $$ begin return; end $$", false],
  ["notify a", false],
  ["truncate a", false],
  ["begin", false],
  ["", false]
])("%j may return rows: %s", (text, returnsRows) => {
  expect(analyze(text).returnsRows).toBe(returnsRows)
})

it.each([
  "select row(1, 'x')",
  "select ROW (a, b) from c",
  "select (1, 'x')",
  "select distinct (a, b) from c",
  "select a, ((b, c)) from d",
  "select case when a then (1, 2) end from b",
  "select array[(1, 2)]",
  "select array(select (1, 2))",
  "values ((1, 2))",
  "select a from (select 1, 2) a",
  "select a from (select 1, 2) as a",
  "select a from (select 1, 2) a (b, c)",
  "select array_agg(a) from (select 1, 2) a",
  "select coalesce(a, null) from (values (1, 2)) a",
  "select lag(a) over () from (select 1, 2) a",
  'select "A" from (select 1, 2) "A"',
  'select "select" from (select 1, 2) "select"',
  'select "and" from (select 1, 2) as "and"',
  "select a from (b join c using (d)) a",
  "select a from b join c using (d) as a",
  "with a as (select 1, 2) select a from a",
  "with a (b, c) as (select 1, 2) select d from a d",
  "with recursive a as (select 1, 2 union all select * from a) select a from a",
  "with a as (select 1), b as (select 1, 2) select b from b",
  "with a as (select 1), b as materialized (select 1, 2) select b from b",
  "with a as (select 1), b as materialized (select 1, 2) (select 1, b from b)",
  "with a as not materialized (select 1, 2) (select 1, a from a)",
  "select 1, a from unnest($1::int[]) with ordinality a",
  "select 1, a from unnest($1::int[]) with ordinality as a",
  "select distinct on (a) (a, b) from c",
  "with a as (delete from b returning *) select a from a",
  "with a as (insert into b values (1) returning c, d) select a from a",
  "insert into a values (1) returning (b, c)",
  "update a set b = 1 returning row(b, c)",
  "delete from a using (select 1, 2) b returning b",
  "merge into a using (select 1, 2) b on true when matched then delete returning b",
  "select json_each($1)",
  "select jsonb_each('{}')",
  "select json_each_text($1), 1",
  "select jsonb_each_text(a) from b",
  "select mine($1)",
  "select pg_get_keywords()",
  "select $1::record",
  "call p(null)",
  "fetch 1 from a",
  "execute a"
])("%j may return an anonymous record", (text) => {
  expect(analyze(text)).toMatchObject({ returnsRows: true, mayReturnRecord: true })
})

it.each([
  "select 1",
  "select * from a",
  "table a",
  "show search_path",
  "explain select row(1, 2)",
  "select a.b, c.d from a join c on (a.id = c.id)",
  "select a from a",
  "select a from b as a",
  "select * from a where b in (1, 2) and (c or not (d))",
  "select count(*), max(b) filter (where c > 0) from a group by (d)",
  "select coalesce(a, b), greatest(c, 1), substring(d from 1 for 2) from e",
  "select array[1, 2], '(1,2)', $$(1, 2)$$, \"(1, 2)\" from a -- (1, 2)",
  "select a::numeric(10, 2), cast(b as varchar(10)) from c",
  "select * from unnest($1::int[], $2::text[])",
  "select * from json_each($1)",
  "select row_number() over (partition by a order by b) from c",
  "insert into a values ((1, 2))",
  "create table a as select row(1, 2)",
  "with a as (select 1 as b) select b from a",
  "with a as (select b from c where (d) and e and f), g as (select 1) select b from a where b in (1, 2) or b = 3 or b is null",
  "select a from b where a in ($1, $2) and c = 1 and d = 2 order by a",
  "(select a from b) union all (select a from c) union all (select a from d)"
])("%j cannot return an anonymous record, and is not described first", (text) => {
  expect(analyze(text).mayReturnRecord).toBe(false)
})

it("the statement cache tells thousands of texts apart, keeps those used last and forgets the others", () => {
  const cache = StatementCache.make()
  const texts = Array.from(
    { length: 5000 },
    (_, index) => `select ${index} ${index % 2 === 0 ? "" : "for update"}`
  )
  const first = texts.map((text) => cache.get(text))
  for (const [index, { analysis, text }] of first.entries()) {
    expect(text).toBe(texts[index])
    expect(analysis.isRead).toBe(index % 2 === 0)
  }
  for (const [index, text] of texts.entries()) if (index >= 4000) expect(cache.get(text)).toBe(first[index])
  const again = cache.get(texts[0]!)
  expect(again).not.toBe(first[0])
  expect(again).toEqual(first[0])
  expect(cache.get(texts[0]!)).toBe(again)
})

it("the statement cache keeps a text that is used again and again, and none that is very long", () => {
  const cache = StatementCache.make()
  const known = cache.get("select 1")
  for (let index = 0; index < 10_000; index++) {
    cache.get(`select ${index}, 2`)
    if (index % 500 === 0) expect(cache.get("select 1")).toBe(known)
  }
  const long = `select '${"x".repeat(20_000)}'`
  expect(cache.get(long)).not.toBe(cache.get(long))
  expect(cache.get(long).analysis).toEqual(analyze(long))
})
