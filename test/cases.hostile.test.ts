/** Hostile input: objects that throw, refer to themselves or have no end, and long texts. A typed error in a short time. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { PG, type PoolRegistry } from "effect-global-pool"
import { withDatabase } from "./support/handle.ts"

const secret = "not-to-be-shown"
const fail = (): never => {
  throw new Error(secret)
}

const cyclicObject: Record<string, unknown> = {}
cyclicObject.a = cyclicObject
const cyclicArray: Array<unknown> = []
cyclicArray.push(cyclicArray)

const nested = (depth: number, wrap: (inner: unknown) => unknown): unknown => {
  let value: unknown = 1
  for (let level = 0; level < depth; level++) value = wrap(value)
  return value
}

const detached = new Uint8Array(10)
structuredClone(detached, { transfer: [detached.buffer] })
const detachedBuffer = new ArrayBuffer(10)
structuredClone(detachedBuffer, { transfer: [detachedBuffer] })
const revokedObject = Proxy.revocable({}, {})
revokedObject.revoke()
const revokedArray = Proxy.revocable([], {})
revokedArray.revoke()
const throwing = new Proxy(
  {},
  { get: fail, ownKeys: fail, has: fail, getPrototypeOf: fail, getOwnPropertyDescriptor: fail }
)
const endless: object = new Proxy(
  {},
  {
    get: (_, key) => (typeof key === "symbol" || key === "toJSON" ? undefined : endless),
    ownKeys: () => ["a"],
    getOwnPropertyDescriptor: () => ({ value: 1, enumerable: true, configurable: true })
  }
)

const values: Readonly<Record<string, unknown>> = {
  "a getter that throws": {
    get a() {
      return fail()
    }
  },
  "a toJSON that throws": { toJSON: fail },
  "a proxy that throws": throwing,
  "a proxy of a Date": new Proxy(new Date(), {}),
  "a proxy of an array": new Proxy([1, 2], {}),
  "a revoked proxy": revokedObject.proxy,
  "a revoked proxy of an array": revokedArray.proxy,
  "an object without end": endless,
  "an object in itself": cyclicObject,
  "an array in itself": cyclicArray,
  "an object of 20 000 levels": nested(20_000, (a) => ({ a })),
  "an array of 20 000 levels": nested(20_000, (a) => [a]),
  "detached bytes": detached,
  "a detached buffer": detachedBuffer,
  "shared bytes": new Uint8Array(new SharedArrayBuffer(4)),
  "keys of ours": JSON.parse(
    '{"~effect-global-pool/Sql":1,"parts":["x"],"values":[],"__proto__":{"a":1},"constructor":1,"then":1,"toJSON":"x"}'
  ),
  // biome-ignore lint/suspicious/noSparseArray: a hole is what is tried.
  "an array with holes": [1, , 3],
  "a symbol for a key": { a: 1, [Symbol("x")]: 2 },
  "an invalid Date": new Date(Number.NaN),
  "an object with a bigint": { a: 1n },
  "an object with NaN": { a: Number.NaN },
  "a text with NUL": "a\0b",
  "half a character": "\ud800",
  "a function": () => 1,
  "a symbol": Symbol("x"),
  "a Map": new Map(),
  "a promise": Promise.resolve(1),
  "a boxed string": new String("x"),
  "no prototype": Object.create(null),
  "json in itself": PG.json(cyclicObject),
  "json that throws": PG.json(throwing)
}

type Call = (value: never) => Effect.Effect<unknown, unknown, PoolRegistry>

const calls = (pgdb: PG.Database): Readonly<Record<string, Call>> => {
  const t = pgdb.table("t")
  return {
    select: (v) => pgdb.select("select $1::jsonb as a", [v]),
    "select of text": (v) => pgdb.select("select $1::text as a", [v]),
    "select of an array": (v) => pgdb.select("select $1::int[] as a", [v]),
    "select of anything": (v) => pgdb.select("select $1 as a", [v]),
    "a failing statement": (v) => pgdb.select("select $1::jsonb as a, 1 / 0", [v]),
    template: (v) => pgdb.select`select ${v}::jsonb as a`,
    parameters: (v) => pgdb.select("select 1", v),
    "a statement": (v) => pgdb.select(v),
    stream: (v) => Stream.runCollect(pgdb.stream("select $1::jsonb", [v])),
    trans: (v) => pgdb.trans([["select $1::jsonb", [v]]]),
    "statements of trans": (v) => pgdb.trans(v),
    "a statement of trans": (v) => pgdb.trans([v]),
    transaction: (v) => pgdb.transaction(pgdb.select("select $1::jsonb as a", [v])),
    "options of a transaction": (v) => pgdb.transaction(pgdb.select("select 1"), v),
    find: (v) => t.find(v),
    "find by a column": (v) => t.find({ j: v }),
    $eq: (v) => t.find({ j: { $eq: v } }),
    $in: (v) => t.find({ j: { $in: [v] } }),
    "the list of $in": (v) => t.find({ j: { $in: v } }),
    $or: (v) => t.find({ $or: [v] }),
    "options of find": (v) => t.find({}, v),
    columns: (v) => t.find({}, { columns: v }),
    orderBy: (v) => t.find({}, { orderBy: v }),
    insert: (v) => t.insert(v),
    "insert a column": (v) => t.insert({ j: v }),
    "insert an array": (v) => t.insert({ ii: v }),
    insertMany: (v) => t.insertMany(v),
    "insertMany a row": (v) => t.insertMany([v]),
    "insertMany a column": (v) => t.insertMany([{ j: v }]),
    insertStream: (v) => t.insertStream(v),
    "insertStream a row": (v) => t.insertStream(Stream.make(v)),
    "insertStream a column": (v) => t.insertStream(Stream.make({ j: v })),
    upsert: (v) => t.upsert(v, { on: "k" }),
    "upsert rows": (v) => t.upsert([{ k: v }, { k: v }], { on: "k" }),
    "options of upsert": (v) => t.upsert({ k: 1 }, v),
    update: (v) => t.update({ id: -1 }, v),
    "update a column": (v) => t.update({ id: -1 }, { j: v }),
    delete: (v) => t.delete({ j: { $eq: v }, id: -1 }),
    "a statement of the client": (v) =>
      Effect.flatMap(pgdb.client, (sql) => sql.unsafe("select $1::jsonb", [v])),
    "a piece": (v) => pgdb.select(PG.sql`select ${PG.sql`${v}::jsonb`} as a`),
    sqlState: (v) => Effect.sync(() => expect(PG.sqlState(v)).toBeUndefined())
  }
}

/** Ten times what the deepest object takes, and 50 ms for each 100 kB of a text; what is quadratic takes seconds. */
const mostMillis = 500

/** The milliseconds of CPU that an effect takes. */
const cpuOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const began = process.cpuUsage()
    return Effect.map(effect, (value) => {
      const { system, user } = process.cpuUsage(began)
      return [value, (system + user) / 1_000] as const
    })
  })

/** What an effect gives, and the least CPU of up to four runs: other work on the machine, and collections of garbage, add to it. */
const leastCpuOf = <A, E, R>(effect: Effect.Effect<A, E, R>, enough: number) =>
  Effect.gen(function* () {
    let [value, least] = yield* cpuOf(effect)
    for (let run = 1; run < 4 && least >= enough; run++) {
      const [again, millis] = yield* cpuOf(effect)
      value = again
      least = Math.min(least, millis)
    }
    return [value, least] as const
  })

withDatabase(
  "no object makes a call throw, die or take long, and none shows what is in it",
  ["create table t (id serial, k jsonb unique, j jsonb, x text, ii int[])"],
  ({ pgdb }) =>
    Effect.gen(function* () {
      for (const [name, call] of Object.entries(calls(pgdb))) {
        for (const [what, value] of Object.entries(values)) {
          const [exit, millis] = yield* leastCpuOf(
            Effect.exit(Effect.suspend(() => call(value as never))),
            mostMillis
          )
          const place = `${name}, ${what}`
          if (Exit.isFailure(exit)) {
            const [reason] = exit.cause.reasons
            expect([place, reason?._tag, String(reason?._tag === "Die" ? reason.defect : "")]).toEqual([
              place,
              "Fail",
              ""
            ])
            if (reason?._tag !== "Fail") continue
            expect([place, Object(reason.error)._tag]).toEqual([
              place,
              expect.stringMatching(/^(PoolError|SqlError)$/)
            ])
            expect(String(Object(reason.error).message)).not.toContain(secret)
          }
          expect([place, millis < mostMillis]).toEqual([place, true])
        }
      }
      expect(yield* pgdb.selectValue("select 1")).toMatchObject({ value: 1 })
    })
)

const megabyte = 1_000_000
const repeat = (text: string) => text.repeat(Math.ceil(megabyte / text.length))

withDatabase(
  "a text of a megabyte takes milliseconds of CPU for each hundred kilobytes, also where it fails",
  [
    "create table u (a text unique)",
    `create function executing(p text) returns int language plpgsql as
    $$ begin execute 'select 1 / 0 from (select ' || quote_literal(p) || ') as a'; end $$`
  ],
  ({ pgdb }) =>
    Effect.gen(function* () {
      const texts: Readonly<Record<string, readonly [text: string, params?: ReadonlyArray<unknown>]>> = {
        comments: [`${repeat("/* step */ ")}select 1`],
        "line comments": [`${repeat("-- x\n")}select 1`],
        "comments that do not end": [repeat("/* ")],
        "a string": [`select '${repeat("a")}' as a`],
        quotes: [`select '${repeat("''")}' as a`],
        dollars: [`select $a$${repeat("b$")}$a$ as a`],
        backslashes: [`select 'it\\''${repeat(", 'a'")}`],
        words: [`select ${repeat("abc ")}`],
        "comments, and it fails": [`${repeat("/* step */ ")}select nope`],
        "strings, and it fails": [`select ${repeat("'a', ")} nope`],
        "a parameter": ["select $1::jsonb is null as a", [{ a: repeat("x") }]],
        "a parameter, and it fails": ["select $1::text, 1 / 0 as a", [repeat("word ")]],
        "a parameter that is no number": ["select $1::int", [repeat("word ")]],
        "a parameter of many numbers": ["select $1::int", [repeat("1.")]],
        "many values, and it fails": ["select $1::text[], 1 / 0 as a", [repeat("word ").split(" ")]],
        "rows that are there already": [
          "insert into u select unnest($1::text[])",
          [Array.from({ length: megabyte / 20 }, (_, n) => `some longer text ${n % 100}`)]
        ],
        "a message of the server": [
          `do $$ begin raise exception '%', repeat('a "b" ', ${megabyte / 6}); end $$`
        ],
        "a statement of a function, and it fails": ["select executing($1)", [repeat("word ")]],
        "digits in a statement of a function": ["select executing($1)", [repeat("12345")]],
        "a password": [`alter role nobody_here password '${repeat("a''b")}'`]
      }
      yield* pgdb.select("select 1")
      for (const [name, [text, params = []]] of Object.entries(texts)) {
        const [exit, least] = yield* leastCpuOf(Effect.exit(pgdb.execute(text, params)), mostMillis)
        if (Exit.isFailure(exit)) expect([name, exit.cause.reasons[0]?._tag]).toEqual([name, "Fail"])
        expect([name, least < mostMillis, least]).toEqual([name, true, least])
      }
      expect(yield* pgdb.selectValue("select 1")).toMatchObject({ value: 1 })
    })
)
