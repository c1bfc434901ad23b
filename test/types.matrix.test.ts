/**
 * Every type of `pg_type`, with its edge values: what it becomes, and that it goes back in as it came.
 */
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { json } from "../src/statement/Json.ts"
import { database, type Witness } from "./support/database.ts"
import { type Typed, typed } from "./support/typed.ts"
import { equal, type Plan, plans, schema, wordsOf } from "./support/types.ts"

/** An array or a composite equals its parts, read one by one. */
const partsTold = Effect.fnUntraced(function* (
  session: Typed,
  plan: Plan,
  expression: string,
  value: unknown
) {
  if (plan.parts === undefined || value === null) return undefined
  const once = `with once as materialized (select ${expression} as v)`
  if (plan.parts === "attributes") {
    const [row] = yield* session.run(`${once} select v as "the value", (v).* from once`)
    const { "the value": whole, ...attributes } = row ?? {}
    return equal(whole, attributes)
      ? undefined
      : `is ${JSON.stringify(whole)}, its attributes are ${JSON.stringify(attributes)}`
  }
  const rows = yield* session.run(
    `${once} select v as value, u as element, array_ndims(v) as depth from once, unnest(v) as u`
  )
  const whole = rows[0]?.value
  const flat = Array.isArray(whole) ? whole.flat(Number(rows[0]?.depth) - 1) : []
  return equal(
    flat.map(emptied),
    rows.map((row) => emptied(row.element))
  )
    ? undefined
    : `is ${JSON.stringify(value).slice(0, 300)}, its elements are ${JSON.stringify(rows).slice(0, 300)}`
})

/** A composite of NULLs that came out of a set is a NULL or a row of NULLs, as the server likes. */
const emptied = (value: unknown): unknown =>
  typeof value === "object" &&
  value !== null &&
  !(value instanceof Date) &&
  !(value instanceof Uint8Array) &&
  !Array.isArray(value) &&
  Object.values(value).every((inner) => inner === null)
    ? null
    : value

/** The value itself and its text, in one statement: read as text at its first run, and in its binary form at the second. */
const read = Effect.fnUntraced(function* (session: Typed, plan: Plan) {
  const failures: Array<string> = []
  for (const expression of plan.expressions) {
    const text = `select v as value, v::text as text from (select ${expression} as v) as _`
    const [first] = yield* session.run(text)
    const [second] = yield* session.run(text)
    const told =
      plan.told(first?.value, first?.text) ??
      (equal(first, second)
        ? undefined
        : `is ${JSON.stringify(second?.value)} at the second run, and was ${JSON.stringify(first?.value)}`) ??
      (yield* partsTold(session, plan, expression, first?.value))
    if (told !== undefined) failures.push(`${plan.name}: ${expression.slice(0, 200)}: ${told}`)
  }
  return failures
})

/** What the server itself does not store or take is no loss: pseudo-types, and types whose input it refuses. */
const notTaken = /pseudo-type|cannot accept a value of type|more than one function named/

const isJson = (plan: Plan): boolean => /jsonb?"?$/.test(plan.name)

/** Scalars and arrays are json by `PG.json`: the one kind of value that does not go back as it is. */
const sent = (plan: Plan, value: unknown): unknown =>
  isJson(plan) && plan.parts === undefined && (typeof value !== "object" || Array.isArray(value))
    ? json(value)
    : value

/** Lower bounds of an array are not kept. */
const withoutBounds = (text: unknown): unknown =>
  typeof text === "string" ? text.replaceAll(/(^|")(?:\[-?\d+:-?\d+\])+=/g, "$1") : text

const goesBack = Effect.fnUntraced(function* (session: Typed, { query }: Witness, plan: Plan) {
  const failures: Array<string> = []
  const table = `back_${plan.oid}`
  const created = yield* Effect.result(query(`create table ${table} (v ${plan.name})`))
  if (created._tag === "Failure")
    return notTaken.test(String(created.failure.reason.cause))
      ? []
      : [`${plan.name}: ${created.failure.reason.cause}`]
  const insert = `insert into ${table} values ($1) returning v, v::text as text`
  for (const expression of plan.expressions) {
    const source = `with once as materialized (select ${expression} as v)`
    const [row] = yield* session.run(`${source} select v, v::text as text from once`)
    const result = yield* Effect.result(session.run(insert, [sent(plan, row?.v)]))
    const told =
      result._tag === "Failure"
        ? wordsOf(result.failure)
        : withoutBounds(result.success[0]?.text) === withoutBounds(row?.text) ||
            (isJson(plan) && equal(result.success[0]?.v, row?.v))
          ? undefined
          : `came back as ${String(result.success[0]?.text).slice(0, 200)}, was ${String(row?.text).slice(0, 200)}`
    if (told !== undefined && !notTaken.test(told))
      failures.push(`${plan.name}: ${expression.slice(0, 200)}: ${told}`)
  }
  yield* query(`drop table ${table}`)
  return failures
})

const dependsOnZone = (name: string): boolean => /time|tstz/.test(name)

const impossible =
  /cannot accept a value|cannot cast|no binary output function|malformed array literal|NUMA|unrecognized key word/

for (const zone of ["UTC", "Europe/Warsaw", "America/Los_Angeles"]) {
  it.effect(`every type decodes, in a session in ${zone}`, () =>
    Effect.gen(function* () {
      const db = yield* database()
      yield* schema(db.witness)
      const session = yield* typed(db.settings, { startupParameters: { TimeZone: zone } })
      const { producible, unproducible } = yield* plans(session, zone === "UTC" ? () => true : dependsOnZone)
      const failures = yield* Effect.forEach(producible, (plan) => read(session, plan))
      expect(failures.flat()).toEqual([])
      // A value that no session can produce is refused by the server, in its own words.
      for (const { name, reason } of unproducible) expect(`${name}: ${reason}`).toMatch(impossible)
    })
  )
}

it.effect("every value of every type goes back in as it came", () =>
  Effect.gen(function* () {
    const db = yield* database()
    yield* schema(db.witness)
    const session = yield* typed(db.settings, { timestamp: "string" })
    const { producible } = yield* plans(session)
    const failures = yield* Effect.forEach(producible, (plan) => goesBack(session, db.witness, plan))
    expect(failures.flat()).toEqual([])
  })
)
