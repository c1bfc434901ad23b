/**
 * Every type that a server has, values of each, and what each value has to be in JavaScript - told from the server's text
 * and from the values of a container's parts, not from the bytes that the codec reads.
 */
import * as Effect from "effect/Effect"
import { isSqlError } from "effect/sql/SqlError"
import type { PG } from "effect-global-pool"
import type { Witness } from "./database.ts"
import { samples } from "./samples.ts"
import type { Typed } from "./typed.ts"

/** Types of every kind that a user makes, and the extensions that the server has. */
export const schema = Effect.fnUntraced(function* (witness: Witness) {
  const extensions = yield* witness.query(
    "select name from pg_available_extensions where name in ('citext', 'hstore', 'ltree', 'cube', 'isn', 'seg', 'lo', 'intarray', 'pg_trgm', 'vector', 'postgis')"
  )
  for (const { name } of extensions) yield* witness.query(`create extension ${name}`)
  for (const statement of [
    "create type mood as enum ('sad', 'ok', 'it''s \"fine\", {really}', 'żółw')",
    "create domain positive as int check (value > 0)",
    "create domain email as text",
    "create domain tags as text[]",
    "create domain visits as tstzrange",
    'create type inner_pair as (a int, "b c" text)',
    "create type outer_pair as (id int8, pair inner_pair, moods mood[], at timestamptz, notes jsonb, pairs inner_pair[], span int4range, price positive)",
    "create domain checked_pair as inner_pair",
    "create type textrange as range (subtype = text)",
    "create type inetrange as range (subtype = inet)",
    "create type floatrange as range (subtype = float8)",
    "create type float4range as range (subtype = float4)",
    "create type pairrange as range (subtype = inner_pair)",
    "create type arrayrange as range (subtype = int[])",
    "create type moodrange as range (subtype = mood)",
    "create type uuidrange as range (subtype = uuid)",
    "create type boolrange as range (subtype = bool)",
    "create type byterange as range (subtype = bytea)",
    "create type pricerange as range (subtype = positive)",
    'create type "Odd ""name""" as ("__proto__" int, "constructor" text)',
    "create type empty_pair as ()",
    "create table thing (id int primary key, gone int, name text)",
    "alter table thing drop column gone",
    "insert into thing values (1, 'one'), (2, null)",
    "create table stats (a int, b int, c int)",
    "insert into stats select i % 10, i % 10, i % 3 from generate_series(1, 1000) i",
    "create statistics stats_ext (ndistinct, dependencies, mcv) on a, b, c from stats",
    "analyze stats"
  ]) {
    yield* witness.query(statement)
  }
})

export interface Plan {
  readonly oid: number
  readonly name: string
  /** SQL expressions of the type. */
  readonly expressions: ReadonlyArray<string>
  /** What is wrong with a value, or nothing. */
  readonly told: (value: unknown, text: unknown) => string | undefined
  /** The same value taken apart by the server: elements of an array, attributes of a composite. */
  readonly parts: "elements" | "attributes" | undefined
}

interface Described {
  readonly oid: number
  readonly name: string
  readonly short: string
  readonly type: string
  readonly output: number
  readonly category: string
  readonly base: number
  readonly element: number
  readonly sub: number
  readonly isTable: boolean
}

const described = Effect.fnUntraced(function* (session: Typed) {
  const rows = yield* session.run(`
    select t.oid, format('%I.%I', n.nspname, t.typname) as name, t.typname::text as short, t.typtype::text as type,
      t.typoutput::oid as output, t.typcategory::text as category, t.typbasetype as base, t.typelem as element,
      coalesce((select rngsubtype from pg_range where rngtypid = t.oid), (select rngtypid from pg_range where rngmultitypid = t.oid), 0::oid) as sub,
      exists (select from pg_class where oid = t.typrelid and relkind = 'r') as is_table
    from pg_type t join pg_namespace n on n.oid = t.typnamespace
    where n.nspname <> 'pg_toast' and n.nspname !~ '^pg_temp' order by t.oid`)
  return rows.map(
    (row): Described => ({
      oid: Number(row.oid),
      name: String(row.name),
      short: String(row.short),
      type: String(row.type),
      output: Number(row.output),
      category: String(row.category),
      base: Number(row.base),
      element: Number(row.element),
      sub: Number(row.sub),
      isTable: row.is_table === true
    })
  )
})

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`

const differs = (value: unknown, wanted: unknown): string | undefined =>
  equal(value, wanted) ? undefined : `is ${inspect(value)} instead of ${inspect(wanted)}`

const inspect = (value: unknown): string =>
  (typeof value === "number" || value instanceof Date || typeof value === "bigint"
    ? `${typeof value} ${String(value)}`
    : (JSON.stringify(value) ?? String(value))
  ).slice(0, 300)

/** Deep equality, in which NaN is itself and −0 is not 0. */
export const equal = (left: unknown, right: unknown): boolean => {
  if (Object.is(left, right)) return true
  if (left instanceof Date && right instanceof Date) return left.getTime() === right.getTime()
  if (left instanceof Uint8Array && right instanceof Uint8Array) return Buffer.compare(left, right) === 0
  if (typeof left !== "object" || typeof right !== "object" || left === null || right === null) return false
  if (
    left instanceof Date ||
    right instanceof Date ||
    left instanceof Uint8Array ||
    right instanceof Uint8Array
  )
    return false
  if (Array.isArray(left) !== Array.isArray(right)) return false
  const keys = Object.keys(left)
  return (
    keys.length === Object.keys(right).length &&
    keys.every(
      (key) =>
        Object.hasOwn(right, key) &&
        equal(
          Object.getOwnPropertyDescriptor(left, key)?.value,
          Object.getOwnPropertyDescriptor(right, key)?.value
        )
    )
  )
}

const numbers = new Set(["int2", "int4", "int8", "oid", "float4", "float8"])

const dateOf = (text: string): unknown => {
  if (text === "infinity") return Number.POSITIVE_INFINITY
  if (text === "-infinity") return Number.NEGATIVE_INFINITY
  const match =
    /^(\d+)-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?)?( BC)?$/.exec(
      text
    )
  if (match === null) return `no timestamp: ${text}`
  const part = (index: number) => Number(match[index] ?? 0)
  const date = new Date(0)
  date.setUTCFullYear(match[12] === undefined ? part(1) : 1 - part(1), part(2) - 1, part(3))
  date.setUTCHours(part(4), part(5), part(6), Math.floor(Number((match[7] ?? "0").padEnd(6, "0")) / 1000))
  const east = (part(9) * 3600 + part(10) * 60 + part(11)) * (match[8] === "-" ? -1 : 1)
  return new Date(date.getTime() - east * 1000)
}

/** What a value of a base type has to be, by its text. */
const wantedOf = (short: string, text: string): unknown => {
  if (numbers.has(short)) return Number(text)
  if (short === "bool") return text === "true"
  if (short === "bytea") return Uint8Array.from(Buffer.from(text.slice(2), "hex"))
  if (short === "json" || short === "jsonb") return JSON.parse(text)
  if (short === "timestamp" || short === "timestamptz") return dateOf(text)
  return text
}

const isArray = (type: Described): boolean => type.type === "b" && type.output === 751
const isVector = (type: Described): boolean => type.short === "int2vector" || type.short === "oidvector"

/** Ways to values that have no literal. */
const sources: Readonly<Record<string, string>> = {
  pg_node_tree: "(select ev_action from pg_rewrite limit 1)",
  pg_ndistinct: "(select stxdndistinct from pg_statistic_ext_data limit 1)",
  pg_dependencies: "(select stxddependencies from pg_statistic_ext_data limit 1)",
  pg_mcv_list: "(select stxdmcv from pg_statistic_ext_data limit 1)",
  void: "pg_sleep(0)",
  record: "row(1, 'a'::text, null::int, row(2, array[1, 2]))",
  _record: "array[row(1, 'a'::text), row(2, null::text)]",
  anyarray: "(select most_common_vals from pg_stats where most_common_vals is not null limit 1)",
  inner_pair: `row(1, 'a "b" (c), \\ d')::inner_pair`,
  outer_pair: `row(1, row(2, 'x')::inner_pair, array['ok', 'żółw']::mood[], '2024-01-01 00:00:00+00', '{"a": 1}', array[row(3, null)::inner_pair, null], '[1,5)', 7)::outer_pair`,
  checked_pair: "row(1, 'a')::inner_pair::checked_pair",
  thing: "(select t from thing t where id = 1)",
  'Odd "name"': `row(1, 'x')::"Odd ""name"""`,
  empty_pair: "row()::empty_pair"
}

const containers: Readonly<Record<string, unknown>> = {
  record: [1, "a", null, [2, [1, 2]]],
  _record: [
    [1, "a"],
    [2, null]
  ],
  inner_pair: { a: 1, "b c": 'a "b" (c), \\ d' },
  outer_pair: {
    id: 1,
    pair: { a: 2, "b c": "x" },
    moods: ["ok", "żółw"],
    at: new Date("2024-01-01T00:00:00Z"),
    notes: { a: 1 },
    pairs: [{ a: 3, "b c": null }, null],
    span: "[1,5)",
    price: 7
  },
  checked_pair: { a: 1, "b c": "a" },
  thing: { id: 1, name: "one" },
  'Odd "name"': JSON.parse('{"__proto__": 1, "constructor": "x"}'),
  empty_pair: {}
}

interface Catalogue {
  readonly types: ReadonlyMap<number, Described>
}

/** Literals of a type: its own, or those of its parts. */
const literalsOf = (catalogue: Catalogue, type: Described): ReadonlyArray<string> => {
  const part = (oid: number): ReadonlyArray<string> => {
    const found = catalogue.types.get(oid)
    return found === undefined ? [] : expressionsOf(catalogue, found)
  }
  const own = samples[type.short]
  if (type.type === "d" && own === undefined) return part(type.base)
  if (own !== undefined) return own.map((sample) => `${quoted(sample)}::${type.name}`)
  if (type.type === "r") {
    const bounds = part(type.sub).slice(0, 40)
    return bounds
      .map((bound) => `${type.name}(${bound}, ${bound}, '[]')`)
      .concat([`'empty'::${type.name}`, `'(,)'::${type.name}`])
  }
  if (type.type === "m") {
    const range = catalogue.types.get(type.sub)
    return part(type.sub)
      .map((inner) => `${type.name}(${inner})`)
      .concat(range === undefined ? [] : [`'{}'::${type.name}`])
  }
  if (type.type === "c") {
    return [
      ...(type.isTable
        ? [`(select t from ${type.name} t limit 1)`, `(select t from ${type.name} t offset 7 limit 1)`]
        : []),
      `json_populate_record(null::${type.name}, '{}')`
    ]
  }
  if (type.type === "e") return [`(enum_range(null::${type.name}))[1]`]
  if (isArray(type)) {
    const elements = part(type.element)
    const element = catalogue.types.get(type.element)
    if (elements.length === 0 || element === undefined) return []
    const list = `array[${[...elements, "null"].join(", ")}]`
    const first = `array[${elements[0]}]`
    return [
      `${list}::${type.name}`,
      `'{}'::${type.name}`,
      `array[null, null]::${type.name}`,
      ...(isVector(element) || (element.type === "d" && isArrayDomain(catalogue, element))
        ? []
        : [
            `array[${first}, ${first}]::${type.name}`,
            `array_fill((${elements[0]})::${element.name}, array[2, 1], array[-3, 7])::${type.name}`
          ])
    ]
  }
  return []
}

const isArrayDomain = (catalogue: Catalogue, type: Described): boolean => {
  const base = catalogue.types.get(type.base)
  return base !== undefined && isArray(base)
}

const expressionsOf = (catalogue: Catalogue, type: Described): ReadonlyArray<string> => {
  const source = sources[type.short]
  if (source !== undefined) return [source]
  const literals = literalsOf(catalogue, type)
  if (type.type !== "d") return literals
  return literals.map((literal) => `(${literal})::${type.name}`)
}

/** What the value has to be. Elements of arrays are compared with the same elements read alone. */
const teller =
  (catalogue: Catalogue, type: Described): Plan["told"] =>
  (value, text) => {
    if (type.short in containers) return differs(value, containers[type.short])
    if (typeof text !== "string") return value === null ? undefined : "is not null"
    if (type.type === "d") {
      const base = catalogue.types.get(type.base)
      return base === undefined ? "has no base type" : teller(catalogue, base)(value, text)
    }
    if (isVector(type)) return differs(value, text === "" ? [] : text.split(" ").map(Number))
    if (isArray(type) || type.short === "anyarray")
      return Array.isArray(value) ? undefined : `is ${inspect(value)}, no array`
    if (type.short === "hstore") return typeof value === "object" ? undefined : "is no object"
    if (type.type === "c") return typeof value === "object" && value !== null ? undefined : "is no object"
    if (type.short === "bpchar")
      return typeof value === "string" && value.trimEnd() === text.trimEnd() ? undefined : "is no such string"
    return differs(value, wantedOf(type.short, text))
  }

const partsOf = (catalogue: Catalogue, type: Described): Plan["parts"] => {
  if (type.type === "d") {
    const base = catalogue.types.get(type.base)
    return base === undefined ? undefined : partsOf(catalogue, base)
  }
  if (type.type === "c" && type.short !== "empty_pair") return "attributes"
  return isArray(type) && !isVector(type) && type.short !== "_record" ? "elements" : undefined
}

/** The server's own words in an error. */
export const wordsOf = (error: PG.OperationError): string =>
  isSqlError(error) && error.reason.cause instanceof Error ? error.reason.cause.message : error.message

export interface Plans {
  readonly producible: ReadonlyArray<Plan>
  readonly unproducible: ReadonlyArray<{ readonly name: string; readonly reason: string }>
}

/** What can be tried with every type; the types that no session can produce, with the server's own reason. */
export const plans: (
  session: Typed,
  wanted?: (name: string) => boolean
) => Effect.Effect<Plans, PG.OperationError> = Effect.fnUntraced(function* (
  session: Typed,
  wanted: (name: string) => boolean = () => true
) {
  const all = yield* described(session)
  const catalogue: Catalogue = { types: new Map(all.map((type) => [type.oid, type])) }
  const producible: Array<Plan> = []
  const unproducible: Array<{ readonly name: string; readonly reason: string }> = []
  for (const type of all.filter(({ short }) => wanted(short))) {
    const candidates = expressionsOf(catalogue, type)
    const tried =
      candidates.length > 0 ? candidates : [`null::${type.name}`, `''::${type.name}`, `'0'::${type.name}`]
    const results = yield* Effect.forEach(
      tried,
      (expression) => Effect.result(session.run(`select ${expression} as v`)),
      { concurrency: "unbounded" }
    )
    const expressions = tried.filter((_, index) => results[index]?._tag === "Success")
    const reason = results.flatMap((result) =>
      result._tag === "Failure" ? [wordsOf(result.failure)] : []
    )[0]
    // NULL alone is no value of a type.
    if (expressions.length <= (candidates.length === 0 ? 1 : 0)) {
      unproducible.push({ name: type.name, reason: reason ?? "" })
    } else {
      producible.push({
        oid: type.oid,
        name: type.name,
        expressions,
        told: teller(catalogue, type),
        parts: partsOf(catalogue, type)
      })
    }
  }
  return { producible, unproducible }
})
