/** Types are learnt when they are first met, whatever their names are and whatever they are made of. */
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { database } from "./support/database.ts"
import { measured, typed } from "./support/typed.ts"

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
/** The one column that is a record. */
const recordColumn = `
  row('sad'::"mood of, a day") as record,`
const read = {
  mood: "ok",
  moods: ["sad"],
  day: "ok",
  record: ["sad"],
  planes: ["(1,1),(0,0)"]
}
const pairs = "select array['(1,ok)'::pair] as pairs"
const ranges = "select array[null, '[0.5,2)'::span] as spans, '[sad,ok)'::moods as range"
const opaques = "select array['7'::opaque, '8'] as opaques, $1::opaque[] as back"

it.effect("a pool that opens asks for no types, and each statement once for those that it meets first", () =>
  Effect.gen(function* () {
    const { settings, witness } = yield* database()
    for (const text of types) yield* witness.query(text)
    const { cost, run } = yield* measured(settings)
    const costOf = (text: string, expected: unknown, params: ReadonlyArray<unknown> = []) =>
      cost(Effect.map(run(text, params), (rows) => expect(rows).toEqual([expected])))
    const { record: _, ...plain } = read
    expect(yield* costOf(one.replace(recordColumn, ""), plain)).toMatchObject({ trips: 2, questions: 1 })
    expect(yield* costOf(one.replace(recordColumn, ""), plain)).toMatchObject({ trips: 1, questions: 0 })
    expect(yield* costOf("select 'ok'::\"mood of, a day\" as other", { other: "ok" })).toMatchObject({
      trips: 1,
      questions: 0
    })
    expect(yield* costOf(ranges, { spans: [null, "[0.5,2)"], range: "[sad,ok)" })).toMatchObject({
      trips: 2,
      questions: 1
    })
    expect(yield* costOf(opaques, { opaques: ["7", "8"], back: ["9"] }, [["9"]])).toMatchObject({
      questions: 1
    })
    expect(yield* costOf(opaques, { opaques: ["7", "8"], back: ["9"] }, [["9"]])).toMatchObject({
      trips: 1,
      questions: 0
    })
    // A composite is asked for again each time, in the same round trip.
    const pair = { pairs: [{ id: 1, mood: "ok" }] }
    expect(yield* costOf(pairs, pair)).toMatchObject({ questions: 1 })
    expect(yield* costOf(pairs, pair)).toMatchObject({ trips: 1, questions: 1 })
    // What a record holds is known already.
    expect(yield* costOf(one, read)).toMatchObject({ questions: 0 })
    expect(yield* costOf(one, read)).toMatchObject({ trips: 1, questions: 0 })
    // What this program creates may be a type: all are asked for again.
    yield* run("create table anything (n int)")
    expect(yield* costOf(one, read)).toMatchObject({ questions: 1 })
    expect(yield* costOf(opaques, { opaques: ["7", "8"], back: ["9"] }, [["9"]])).toMatchObject({
      questions: 1
    })
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
