/** The types that a database has when a pool opens are read as they come, whatever their names are. */
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { database } from "./support/database.ts"
import { typed } from "./support/typed.ts"

const types = [
  `create type "mood of, a day" as enum ('sad', 'ok')`,
  `create domain "16384 5 0 e , pg_type" as "mood of, a day"`,
  "create type span as range (subtype = float8)",
  `create type moods as range (subtype = "mood of, a day")`,
  `create type pair as (id int4, mood "mood of, a day")`,
  "create domain plane as box",
  "create type opaque",
  "create function opaque_in(cstring) returns opaque as 'int4in' language internal immutable strict",
  "create function opaque_out(opaque) returns cstring as 'int4out' language internal immutable strict",
  "create function opaque_recv(internal) returns opaque as 'int4recv' language internal immutable strict",
  `create function "send, 1 it"(opaque) returns bytea as 'int4send' language internal immutable strict`,
  `create type opaque (input = opaque_in, output = opaque_out, receive = opaque_recv, send = "send, 1 it",
    internallength = 4, passedbyvalue, alignment = int4, delimiter = ' ')`
]

const one = `select 'ok'::"mood of, a day" as mood, array['sad']::"mood of, a day"[] as moods,
  'ok'::"16384 5 0 e , pg_type" as day,
  row('sad'::"mood of, a day") as record, array['((1,1),(0,0))'::plane] as planes`
const read = {
  mood: "ok",
  moods: ["sad"],
  day: "ok",
  record: ["sad"],
  planes: ["(1,1),(0,0)"]
}
const pairs = "select array[row(1, 'ok')::pair] as pairs"
const ranges = "select array[null, span(0.5, 2)] as spans, moods('sad', 'ok') as range"
const opaques = "select array['7'::opaque, '8'] as opaques, $1::opaque[] as back"

it.effect(
  "types known from the opening cost no statement, a composite or ranges one, a type that only the server prints one",
  () =>
    Effect.gen(function* () {
      const { settings, witness } = yield* database()
      for (const text of types) yield* witness.query(text)
      const { codec, run, sent } = yield* typed(settings)
      const cost = Effect.fnUntraced(function* (text: string, params: ReadonlyArray<unknown> = []) {
        const before = sent()
        const rows = yield* run(text, params)
        return [sent() - before, rows]
      })
      expect(yield* cost(one)).toEqual([1, [read]])
      expect(yield* cost(pairs)).toEqual([2, [{ pairs: [{ id: 1, mood: "ok" }] }]])
      const [asked, rows] = yield* cost(ranges)
      expect([asked, rows]).toEqual([2, [{ spans: [null, "[0.5,2)"], range: "[sad,ok)" }]])
      expect(yield* cost(ranges)).toEqual([1, rows])
      expect(yield* run(opaques, [["9"]])).toEqual([{ opaques: ["7", "8"], back: ["9"] }])
      codec.forget()
      expect(yield* run(one)).toEqual([read])
      expect(yield* run(opaques, [["9"]])).toEqual([{ opaques: ["7", "8"], back: ["9"] }])
    })
)

it.effect("a type whose name holds a line break hides no other", () =>
  Effect.gen(function* () {
    const { settings, witness } = yield* database()
    yield* witness.query("create type mood as enum ('sad', 'ok')")
    const [found] = yield* witness.query(
      "select oid::int4, typarray::int4 from pg_type where typname = 'mood'"
    )
    yield* witness.query(`create domain "a\n${found?.typarray} ${found?.oid} 16 d , mood" as int4`)
    yield* witness.query(`create type moods as (mood mood)`)
    const { run } = yield* typed(settings)
    expect(
      yield* run(
        `select 'ok'::mood as mood, array['sad'::mood] as moods, 5::"a\n${found?.typarray} ${found?.oid} 16 d , mood" as five`
      )
    ).toEqual([{ mood: "ok", moods: ["sad"], five: 5 }])
  })
)
