/**
 * No value of a parameter is in an error, however it fails and however it is printed.
 */
import { inspect } from "node:util"
import { expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { isSqlError } from "effect/sql/SqlError"
import { PG, PoolRegistry } from "effect-global-pool"
import * as fc from "fast-check"
import { serverError } from "../src/errors/ServerErrors.ts"
import { database } from "./support/database.ts"
import { teller } from "./support/telling.ts"

const schema = [
  "create type mood as enum ('happy', 'sad')",
  "create type pair as (a int, b text)",
  "create domain short as text check (length(value) < 3)",
  "create table users (id int primary key generated always as identity, email text unique, note text not null default '', age int check (age > 0), code varchar(3))",
  "create unique index on users (lower(note), age) where age = 7",
  "create table orders (id int, email text references users (email))",
  "create table slots (during tstzrange, label text, exclude using gist (during with &&))",
  "create table parts (k text, v text) partition by list (k)",
  "create view adults as select * from users where age >= 18 with check option",
  `create function raising(p text) returns int language plpgsql as $$
   begin raise exception 'no such thing: % ("%")', upper(p), p using detail = 'about ' || p, hint = 'not ' || p, column = p, constraint = p, table = p; end $$`,
  `create function stating(p text) returns int language plpgsql as $$
   begin raise sqlstate 'AB123' using message = 'message ' || left(p, 40); end $$`,
  `create function building(p text) returns int language plpgsql as $$
   begin execute 'select ' || quote_ident(p) || ' from users where email = ' || quote_literal(p); return 1; end $$`,
  `create function pasting(p text) returns int language plpgsql as $$
   begin execute 'select 1 from users where email = ' || p; return 1; end $$`,
  `create function assigning(p text) returns int language plpgsql as $$
   declare x int; begin x := p; return x; end $$`,
  "create function casting(p text) returns int language sql volatile as $$ select p::int $$",
  `create function adding(p text) returns void language plpgsql as $$
   begin insert into users (email, note) values (p, null); end $$`
]

const types = [
  "int",
  "int8",
  "numeric",
  "float8",
  "bool",
  "date",
  "timestamp",
  "timestamptz",
  "time",
  "timetz",
  "interval",
  "uuid",
  "inet",
  "cidr",
  "macaddr",
  "json",
  "jsonb",
  "jsonpath",
  "xml",
  "point",
  "box",
  "path",
  "polygon",
  "circle",
  "line",
  "bit(3)",
  "money",
  "int4range",
  "tstzrange",
  "int4multirange",
  "int[]",
  "text[]",
  "mood",
  "mood[]",
  "pair",
  "pair[]",
  "short",
  "tsquery",
  "regclass",
  "regtype",
  "regproc",
  "regprocedure",
  "regoper",
  "regrole",
  "regnamespace",
  "regconfig",
  "oid",
  "pg_lsn",
  "tid",
  "xid8",
  "pg_snapshot",
  "bytea"
]

/** Statements that fail with most texts as their one parameter. */
const statements = [
  ...types.map((type) => `select $1::${type}`),
  ...types.map((type) => `select ('x' || upper($1::text))::${type}`),
  ...["int[]", "pair", "json", "mood[]", "int4range"].map(
    (type) => `select ('{"(' || $1::text || '",')::${type}`
  ),
  "insert into users (email) values ($1), ($1)",
  "insert into users (note, age) values (upper($1::text), 7), ($1, 7)",
  "insert into users (email, age) values ($1, -1)",
  "insert into users (email, note) values ($1, null)",
  "insert into users (code) values ($1)",
  "insert into users (age) values ($1::text::int)",
  "insert into adults (email, age) values ($1, 3)",
  "insert into orders values (1, $1)",
  "insert into slots values ('[2020-01-01,2020-01-02)', $1), ('[2020-01-01,2020-01-03)', $1)",
  "insert into parts values ($1, $1)",
  "select to_date($1, 'YYYY-MM-DD')",
  "select to_timestamp('2020', $1)",
  "select to_number($1, '99')",
  "select date_trunc($1, now())",
  "select date_part($1, now())",
  "select now() at time zone $1",
  "select set_config($1, 'x', true)",
  "select set_config('work_mem', $1, true)",
  "select set_config('role', $1, true)",
  "select set_config('search_path', $1, true), current_setting($1)",
  "select convert_to('a', $1)",
  "select decode($1, 'hex')",
  "select decode($1, 'base64')",
  "select encode('a', $1)",
  "select regexp_match('a', '(' || $1)",
  "select 'a' like 'b' escape $1",
  "select format('%' || $1)",
  "select xpath('((' || $1, '<a/>')",
  "select xmlparse(document '<a>' || $1 || '</b>')",
  "select pg_read_file($1)",
  "select nextval($1)",
  "select currval($1)",
  "select to_tsvector($1::text::regconfig, 'a')",
  "select jsonb_path_query('{\"a\": 1}', ('strict $.' || $1)::jsonpath)",
  "select jsonb_path_query('{}', ('strict $.\"' || md5($1) || '\"')::jsonpath)",
  "select * from json_populate_record(null::pair, json_build_object('a', $1::text))",
  "select * from json_to_record(json_build_object('a', $1::text)) as x(a int)",
  "select json_build_object('a', $1::text)::text::int",
  "select jsonb_build_object('a', $1::text)->'a'::text::int",
  "select ($1::text || '\"')::json",
  "select lo_import($1)",
  "select pg_notify($1, repeat($1, 5000))",
  "select query_to_xml('select ' || $1, true, true, '')",
  "select pg_advisory_lock($1::text::int)",
  "select make_interval(hours => $1::text::int)",
  "select has_table_privilege($1, 'users', 'select')",
  "select has_table_privilege('users', $1)",
  "select pg_get_viewdef($1)",
  "select ts_headline($1::text::regconfig, 'a', to_tsquery('b'))",
  "select to_tsquery('simple', $1 || ' & (')",
  "select raising($1)",
  "select stating($1)",
  "select building($1)",
  "select pasting($1)",
  "select assigning($1)",
  "select casting($1)",
  "select adding($1)",
  "select $1::text::int from users",
  "with x as (select $1::text as y) select y::numeric from x",
  "select '2020-01-01'::date + $1::text::interval",
  "select array[$1::text]::int[]",
  "select row($1::text, 2)::text::pair",
  "select $1, nosuch from users",
  "select $1 frm users"
]

/** Every way in which an error is read. */
const readings = (error: PG.OperationError): string =>
  [
    error.message,
    error.stack,
    String(error),
    inspect(error.reason, { depth: 20, showHidden: true, customInspect: false }),
    inspect(error),
    inspect({ error: [error] }, { depth: 20 }),
    inspect(error, { depth: 20, showHidden: true, customInspect: false }),
    isSqlError(error) ? inspect(error.reason.cause, { depth: 20, showHidden: true }) : "",
    JSON.stringify(error),
    JSON.stringify(Cause.prettyErrors(Cause.fail(error))),
    Cause.pretty(Cause.fail(error))
  ].join("\n")

const letters = fc.string({ unit: fc.constantFrom(..."bcdfghjklmnpqrstvwxz"), minLength: 9, maxLength: 12 })
const mixed = letters.map((text) => `${text.slice(0, 5)}7${text.slice(5)}3`)
const marks = fc.constantFrom(
  "",
  "",
  '"',
  "'",
  " ",
  "(",
  ")",
  ",",
  "=",
  "\n",
  "\\",
  "{",
  "»",
  "é",
  "日本",
  '"" "',
  ")=(",
  ") already exists."
)

/** A text with a word in it that must not be seen. */
const secret = fc
  .tuple(fc.oneof(letters, mixed), marks, marks)
  .map(([word, before, after]) => ({ word, value: `${before}${word}${after}` }))

/** No type takes the one, and no date is of the other's form: each of the statements fails with one of them at least. */
const invalid = ["zqxsecret <& \\{(", "MM zqxsecret"].map((value) => ({ word: "zqxsecret", value }))

it.effect(
  "a text that makes any statement fail is nowhere in the error",
  () =>
    Effect.gen(function* () {
      const { settings } = yield* database()
      const pg = yield* teller(settings)
      for (const sql of schema) yield* pg.run(sql)
      const failed = new Set<string>()
      const check = ({ word, value }: { readonly word: string; readonly value: string }) =>
        Effect.gen(function* () {
          for (const text of statements) {
            const params = [value]
            const result = yield* Effect.result(pg.run(text, params))
            if (result._tag === "Success") continue
            failed.add(text)
            const known = readings(serverError(result.failure.fields, { text, params }))
            expect(known.toLowerCase(), text).not.toContain(word)
            // What a function of the user says cannot be told apart from a value that nobody knows.
            if (text.includes("raising") || text.includes("stating")) continue
            const unknown = readings(serverError(result.failure.fields, { text }))
            expect(unknown.toLowerCase(), text).not.toContain(word)
          }
        })
      yield* Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(secret, (each) => Effect.runPromise(check(each))),
          { numRuns: 15, examples: invalid.map((each) => [each] as const) }
        )
      )
      expect(statements.filter((text) => !failed.has(text))).toEqual([])
    }),
  120_000
)

it.live("a text that makes a handle's statement fail is nowhere in the error", () =>
  Effect.gen(function* () {
    const { settings, witness } = yield* database()
    for (const sql of schema) yield* witness.query(sql)
    const pgdb = PG.make(settings)
    for (const text of statements) {
      const errors = yield* Effect.forEach(invalid, ({ value }) => Effect.result(pgdb.select(text, [value])))
      const failed = errors.flatMap((result) => (result._tag === "Failure" ? [result.failure] : []))
      expect(failed.length, text).toBeGreaterThan(0)
      for (const error of failed) expect(readings(error), text).not.toContain("zqxsecret")
    }
  }).pipe(Effect.provide(PoolRegistry.layer()))
)

it.effect("numbers, dates, bytes and the contents of arrays and objects are nowhere in the error", () =>
  Effect.gen(function* () {
    const { settings, witness } = yield* database()
    const pgdb = PG.make(settings)
    yield* witness.query(
      "create table items (id int8 primary key, price float8 check (price < 0), at timestamptz, bytes bytea, tags text[])"
    )
    yield* witness.query(`create function refuse(what text) returns int language plpgsql as $$
      begin raise exception 'refused: %', what; end $$`)
    const at = new Date("2031-07-19T11:12:13.456Z")
    const bytes = Uint8Array.from([222, 173, 190, 239, 1, 2, 3, 4])
    const cases: ReadonlyArray<readonly [string, ReadonlyArray<unknown>, ReadonlyArray<string>]> = [
      ["insert into items (id) values ($1), ($1)", [7654321], ["7654321"]],
      ["insert into items (id) values ($1), ($1)", [7654321987654321n], ["7654321987654321"]],
      ["insert into items (id, price) values (1, $1)", [76543.21], ["76543"]],
      [
        "insert into items values (1, 1, $1, $2, $3)",
        [at, bytes, ["larkspur"]],
        ["2031", "deadbeef", "larkspur"]
      ],
      ["select refuse($1::int8::text)", [42], ["42"]],
      ["select refuse($1::float8::text)", [1.5], ["1.5"]],
      ["select refuse($1::timestamptz::text)", [at], ["2031", "12:13"]],
      ["select refuse($1::bytea::text)", [bytes], ["deadbeef"]],
      ["select refuse($1::bytea::text)", [bytes.buffer], ["deadbeef"]],
      ["select refuse($1::bytea::text)", [new DataView(bytes.buffer)], ["deadbeef"]],
      ["select refuse($1::text)", [2 ** 62], ["4611686018427387904"]],
      ["select refuse($1::numeric::text)", [1e21], ["1000000000000000000000"]],
      ["select refuse($1::float8::text)", [1.5e-7], ["1.5e-07"]],
      ["select refuse($1::text[]::text)", [["larkspur", "foxglove"]], ["larkspur", "foxglove"]],
      ["select refuse($1)", ["Larkspur İzmir"], ["Larkspur", "zmir"]],
      ["select refuse($1 || 'x')", ["ΛΑΡΚΣΠΟΥΡΟΣ"], ["ΛΑΡΚΣΠΟΥΡ"]],
      ["select $1::text[]::int[]", [["larkspur"]], ["larkspur"]],
      ["select $1::int", [{ password: "larkspur" }], ["larkspur"]],
      ["select $1::point", [PG.json({ password: "larkspur" })], ["larkspur"]],
      ["select $1", [[[1, 2], ["larkspur"]]], ["larkspur"]],
      ["select $1", [[at, "larkspur"]], ["2031", "larkspur"]],
      ["select $1::int[]", [[1, "larkspur"]], ["larkspur"]],
      ["select $1", [Symbol("larkspur")], ["larkspur"]],
      ["select $1", [() => "larkspur"], ["larkspur"]],
      ["select $1", [2n ** 70n + 123456789n], ["1180591620717"]]
    ]
    for (const [sql, params, secrets] of cases) {
      const text = readings(yield* Effect.flip(pgdb.select(sql, params)))
      for (const word of secrets) expect(text, sql).not.toContain(word)
    }
  }).pipe(Effect.provide(PoolRegistry.layer()))
)

it.live("a server that adds the values of parameters to its errors shows none of them", () =>
  Effect.gen(function* () {
    const { settings, witness } = yield* database()
    for (const sql of schema) yield* witness.query(sql)
    const pgdb = PG.make({ ...settings, startupParameters: { log_parameter_max_length_on_error: "-1" } })
    const values = ["larkspur", "x\nSQL function larkspur\nunnamed larkspur\nPL/pgSQL larkspur"]
    for (const sql of ["select 1 / char_length(left($1, 0))", "select $1::int", "select assigning($1)"]) {
      for (const value of values) {
        const error = yield* Effect.flip(pgdb.select(sql, [value]))
        expect(readings(error), sql).not.toContain("larkspur")
        if (sql.includes("assigning")) expect(error.message).toMatch(/In: PL\/pgSQL function assigning/)
        if (sql.includes("int")) expect(error.message).toMatch(/In: parameter \$1, a string\n/)
      }
    }
  }).pipe(Effect.provide(PoolRegistry.layer()))
)

/** A function whose statement has its parameter as a literal, and fails. */
const dividing = `create function dividing(p text) returns int language plpgsql as $$
  begin execute 'select 1 / 0 where length(' || quote_literal(p) || ') > 1'; return 1; end $$`

it.live("lines of a literal in a statement of a function are nowhere in the error", () =>
  Effect.gen(function* () {
    const { settings, witness } = yield* database()
    yield* witness.query(dividing)
    const error = yield* Effect.flip(PG.make(settings).select("select dividing($1)", ["a\nwhile larks\nb"]))
    expect(error.message).toMatch(
      /In: SQL statement "select .* where length.*"\n +PL\/pgSQL function dividing/
    )
    expect(readings(error)).not.toContain("larks")
  }).pipe(Effect.provide(PoolRegistry.layer()))
)

it.live(
  "what a function says with words and numbers of a value, written its own way, shows none of them",
  () =>
    Effect.gen(function* () {
      const { settings, witness } = yield* database()
      yield* witness.query(
        "create table items (price numeric(10, 2), ratio float4, cost money, day date, body jsonb)"
      )
      yield* witness.query(`create function refuse() returns trigger language plpgsql as $$
      begin raise exception 'bad row: %', new; end $$`)
      yield* witness.query(
        "create trigger refuse before insert on items for each row execute function refuse()"
      )
      yield* witness.query(`create function say(what text) returns int language plpgsql as $$
      begin raise exception 'it says %', what; end $$`)
      const prose = "it says nothing of what a message says ".repeat(8)
      const cases: ReadonlyArray<readonly [string, unknown, RegExp]> = [
        ["insert into items (price) values ($1)", 76543.2, /7654/],
        ["insert into items (price) values ($1)", "76543.256", /7654/],
        ["insert into items (price) values ($1)", 1.5, /1\.5/],
        ["insert into items (ratio) values ($1)", 16777216, /1\.677/],
        ["insert into items (cost) values ($1)", 76543.2, /6,543/],
        ["insert into items (day) values ($1)", "20310719", /2031|07-19/],
        ["select say(k) from jsonb_object_keys($1::jsonb) k", PG.json({ larkspur: 1 }), /larks/],
        ["select say(quote_literal($1))", "lark's foxglove", /lark|foxg/],
        ["select say(xmlelement(name a, $1::text)::text)", "lark<spurs", /lark|spurs/],
        ["select say(left($1, 12))", "larkspurfoxglovehemlock", /lark/],
        ["select say($1::text::jsonb->>'a')", JSON.stringify({ a: "larkspur", b: prose }), /lark/],
        ["select say($1::text::jsonb->1->>'a')", JSON.stringify([prose, { a: "larkspur" }]), /lark/],
        ["select say(split_part($1, ',', 2))", `${prose},larkspur7`, /lark/],
        ["select say(split_part($1, ',', 2))", `${prose},5550123`, /555/]
      ]
      for (const [sql, value, secret] of cases) {
        const error = yield* Effect.flip(PG.make(settings).select(sql, [value]))
        expect(readings(error), sql).not.toMatch(secret)
        expect(error.message).toMatch(/^(?:bad row|it says)/)
      }
    }).pipe(Effect.provide(PoolRegistry.layer()))
)

it.live("lines of a value that a context shows are taken for no entries", () =>
  Effect.gen(function* () {
    const { settings, witness } = yield* database()
    yield* witness.query(dividing)
    for (const line of ["while larks", "SQL function larks", "PL/pgSQL function larks()"]) {
      for (const sql of ["select dividing($1)", "select pg_input_is_valid('a', $1)"]) {
        const error = yield* Effect.flip(PG.make(settings).select(sql, [`a"\n${line}\nb`]))
        expect(readings(error), sql).not.toContain("larks")
        if (sql.includes("dividing")) expect(error.message).toMatch(/\n +PL\/pgSQL function dividing/)
      }
    }
  }).pipe(Effect.provide(PoolRegistry.layer()))
)

it.effect("a word of a function's statement that is a value in letters of its own is hidden", () =>
  Effect.gen(function* () {
    const { settings, witness } = yield* database()
    yield* witness.query(`create function plain(p text) returns int language plpgsql as $$
      begin execute 'select ' || p; return 1; end $$`)
    const error = yield* Effect.flip(PG.make(settings).select("select plain($1)", ["İzmir"]))
    expect(readings(error)).not.toContain("zmir")
  }).pipe(Effect.provide(PoolRegistry.layer()))
)

it.each([
  "PL/pgSQL function public.refuse() line 1 at RAISE",
  "PL/pgSQL-Funktion public.refuse() Zeile 1 bei RAISE",
  "fonction PL/pgSQL public.refuse(), ligne 1, à RAISE",
  "在RAISE的第1行的PL/pgSQL函数public.refuse()",
  "fonction PL/Python « refuse »"
])("what a function of another server says, with the code of a violation, shows no value: %s", (place) => {
  const fields = {
    code: "23505",
    message: "no larkspur here",
    routine: "pgfdw_report_error",
    where: `${place}\nremote SQL command: INSERT INTO public.items(name) VALUES ($1)`
  }
  const error = serverError(fields, { text: "insert into items values ($1)", params: ["larkspur"] })
  expect(readings(error)).not.toContain("larkspur")
})

it.live("lines of a field that a COPY refuses are nowhere in the error", () =>
  Effect.gen(function* () {
    const { settings, witness } = yield* database()
    yield* witness.query("create table items (id int, name text)")
    const items = PG.make(settings).table("items")
    for (const field of [
      '"x\nwhile larkspur"',
      '1,"x\nSQL larkspur"',
      '1,"x ""\nPL/pgSQL function larkspur"'
    ]) {
      const error = yield* Effect.flip(items.copyFrom(Stream.make(`${field},foxglove\n`)))
      expect(error.message).toMatch(/In: COPY items, line 1(?:, column id)?\n/)
      expect(readings(error)).not.toMatch(/larkspur|foxglove/)
    }
  }).pipe(Effect.provide(PoolRegistry.layer()))
)

it.live("what a function says of many rows, and how the server reads them, shows none of their values", () =>
  Effect.gen(function* () {
    const { settings, witness } = yield* database()
    yield* witness.query("create type pair as (a int, b text)")
    yield* witness.query("create table items (id int primary key, name text, pair pair, n int)")
    yield* witness.query(`create function refuse() returns trigger language plpgsql as $$
      begin raise exception 'the name % is taken', new.name using detail = 'see ' || new::text; end $$`)
    const items = PG.make(settings).table("items")
    const writes = (row: object, update = {}) => [
      items.insertMany([{ id: 1 }, { id: 2, ...row }]),
      items.insertMany([{ id: 1 }, { id: 2, ...row }], { returning: true }),
      items.upsert([{ id: 1 }, { id: 2, ...row }], { on: "id", ...update })
    ]
    const failed = function* (all: ReturnType<typeof writes>) {
      for (const write of all) {
        const text = readings(yield* Effect.flip<unknown, PG.OperationError, PoolRegistry>(write))
        expect(text).not.toContain("larkspur")
      }
    }
    yield* failed(writes({ pair: "(larkspur,x)" }))
    const [, , upsert] = writes({}, { update: { n: PG.sql`${"larkspur"}::text::int` } })
    yield* items.insert({ id: 1 })
    yield* failed([upsert!])
    yield* witness.query(
      "create trigger refuse before insert on items for each row when (new.name is not null) execute function refuse()"
    )
    yield* failed(writes({ name: "larkspur" }))
    const { message } = yield* Effect.flip(
      items.insertMany([{ id: 3, name: "foxglove" }], { returning: true })
    )
    expect(message).toContain("the name … is taken")
  }).pipe(Effect.provide(PoolRegistry.layer()))
)

it.live("what a function says of many rows shows nothing that a codec has made of their values", () =>
  Effect.gen(function* () {
    const { settings, witness } = yield* database()
    yield* witness.query("create table items (id int primary key, name text)")
    yield* witness.query(`create function refuse() returns trigger language plpgsql as $$
      begin raise exception 'the name % is taken', new.name; end $$`)
    yield* witness.query(
      "create trigger refuse before insert on items for each row execute function refuse()"
    )
    const backwards = (text: unknown) => Array.from(String(text)).reverse().join("")
    const items = PG.make({ ...settings, types: { text: { decode: backwards, encode: backwards } } }).table(
      "items"
    )
    const row = { id: 1, name: "rupskral" }
    for (const write of [items.insert(row), items.insertMany([row]), items.upsert([row], { on: "id" })]) {
      const text = readings(yield* Effect.flip<unknown, PG.OperationError, PoolRegistry>(write))
      expect(text).toContain("P0001")
      expect(text).not.toMatch(/larkspur|rupskral/)
    }
  }).pipe(Effect.provide(PoolRegistry.layer()))
)

it.effect("a literal of the statement's own text is shown in the error", () =>
  Effect.gen(function* () {
    const { settings } = yield* database()
    const pg = yield* teller(settings)
    const literal = yield* pg.failing("select 'larkspur'::int, $1::int", [1])
    expect(literal.message).toContain('type integer: "larkspur"')
  })
)

it("values are nowhere in the errors of a server that speaks another language", () => {
  const german = (fields: { readonly [key: string]: string }) =>
    readings(serverError({ severity: "FEHLER", ...fields }, { text: "select $1", params: ["larkspur"] }))
  const spoken = [
    {
      code: "22P02",
      message: "ungültige Eingabesyntax für Typ integer: »larkspur«",
      where: "unnamed portal parameter $1 = '...'"
    },
    {
      code: "23505",
      message: "doppelter Schlüsselwert verletzt Unique-Constraint »users_email_key«",
      detail: "Schlüssel »(email)=(larkspur)« existiert bereits.",
      constraint: "users_email_key"
    },
    {
      code: "23514",
      message: "neue Zeile verletzt Check-Constraint",
      detail: "Fehlgeschlagene Zeile enthält (1, larkspur)."
    },
    {
      code: "22P02",
      message: "ungültige Eingabesyntax für Typ json",
      where: 'JSON-Daten, Zeile 1: {"a": larkspur'
    }
  ]
  for (const fields of spoken) expect(german(fields)).not.toContain("larkspur")
  expect(german(spoken[1]!)).toContain("»users_email_key«")
})
