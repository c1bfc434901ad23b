/**
 * Values that could not be read when they came: their bytes are kept in a marker, and settled once the rows are there, by
 * learning the types they name or by asking the server for their text.
 */

import type * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Effect from "effect/Effect"
import { SqlError, UnknownError } from "effect/sql/SqlError"
import type { Query } from "./Catalogue.ts"
import * as Catalogue from "./Catalogue.ts"
import { rawParameter } from "./Raw.ts"
import type { Needs, Session } from "./Session.ts"
import { answerKey, readerOf } from "./Session.ts"
import { put } from "./System.ts"

const MarkerId = "~effect-global-pool/UnsettledValue"

/** A value that could not be read yet: its type and its bytes. */
export interface Marker {
  readonly [MarkerId]: typeof MarkerId
  readonly oid: number
  readonly bytes: Uint8Array
}

export const marker = (oid: number, bytes: Uint8Array): Marker => ({ [MarkerId]: MarkerId, oid, bytes })

const isMarker = (value: unknown): value is Marker =>
  typeof value === "object" && value !== null && MarkerId in value

interface Open {
  readonly row: Record<string, unknown>
  readonly column: string
  readonly marker: Marker
}

const opensOf = (rows: ReadonlyArray<PgConnection.Row>): ReadonlyArray<Open> => {
  const opens: Array<Open> = []
  for (const row of rows) {
    for (const column in row) {
      const value = row[column]
      if (isMarker(value)) opens.push({ row, column, marker: value })
    }
  }
  return opens
}

/** Whether a row holds what could not be read at once. */
export const isOpen = (row: PgConnection.Row): boolean => Object.values(row).some(isMarker)

/** The error of a value that cannot be had. It names the column and the type, never the value. */
const failure = (session: Session, open: Open, what: string): SqlError => {
  const type = session.types.get(open.marker.oid)?.name ?? `with OID ${open.marker.oid}`
  const message = `The column ${JSON.stringify(open.column)} of type ${type} ${what}. The statement itself ran on the server.`
  return new SqlError({
    reason: new UnknownError({ cause: new Error(message), message, operation: "decode" })
  })
}

/** Reads a kept value again; `false` where something is still missing. */
const attempt = (session: Session, open: Open): boolean => {
  const before = session.troubles
  const { bytes, oid } = open.marker
  const value = readerOf(session, oid).value(bytes, 0, bytes.length)
  if (session.troubles !== before) return false
  put(open.row, open.column, value)
  return true
}

interface Round {
  readonly left: ReadonlyArray<Open>
  readonly needs: Needs
  readonly failure: SqlError | undefined
}

const unreadable = "holds bytes that this version cannot read. Cast the value to text"

/** One synchronous pass over the open values, with the answers got so far. */
const pass = (session: Session, opens: ReadonlyArray<Open>, answers: ReadonlyMap<string, string>): Round => {
  const needs: Needs = { types: new Set(), prints: new Map(), refusal: undefined }
  const left: Array<Open> = []
  let current = opens[0]!
  session.needs = needs
  session.answers = answers
  try {
    for (const open of opens) {
      current = open
      if (attempt(session, open)) continue
      if (needs.refusal !== undefined) return { left, needs, failure: failure(session, open, needs.refusal) }
      left.push(open)
    }
    return { left, needs, failure: undefined }
  } catch {
    return { left, needs, failure: failure(session, current, unreadable) }
  } finally {
    session.needs = undefined
    session.answers = undefined
  }
}

/** How often types may name further types unknown so far, as domains of composites of domains do. */
const maxRounds = 32

const printQuery = "select x::text as value from unnest($1) with ordinality as _ (x, n) order by n"

/** Makes a type known to the driver, which else refuses to send a value of it. */
type Meet = (oids: ReadonlyArray<number>) => void

const askPrints = Effect.fnUntraced(function* (
  session: Session,
  query: Query,
  meet: Meet,
  needs: Needs,
  answers: Map<string, string>
) {
  for (const [oid, values] of needs.prints) {
    const array = session.types.get(oid)?.array ?? 0
    meet([array])
    const result = yield* query(printQuery, [rawParameter(array, oid, [...values.values()])])
    let index = 0
    for (const digits of values.keys()) {
      const text = result.rows[index++]?.value
      answers.set(answerKey(oid, digits), typeof text === "string" ? text : "")
    }
  }
})

const isOfConnection = (error: SqlError): boolean => error.reason._tag === "ConnectionError"

const unprintable = "is in a binary form that this version does not know. Cast the value to text"

/** Replaces the markers in the rows by values, or fails with one error that names the column. */
export const settle = Effect.fnUntraced(function* (
  session: Session,
  rows: ReadonlyArray<PgConnection.Row>,
  query: Query,
  meet: Meet
) {
  let opens = opensOf(rows)
  const answers = new Map<string, string>()
  for (let round = 0; opens.length > 0; round++) {
    const next = pass(session, opens, answers)
    if (next.failure !== undefined) return yield* next.failure
    opens = next.left
    if (opens.length === 0) break
    const hasNeeds = next.needs.types.size > 0 || next.needs.prints.size > 0
    if (round === maxRounds || !hasNeeds) {
      return yield* failure(
        session,
        opens[0]!,
        "cannot be read: its type, or a type inside it, was dropped or altered meanwhile. Run the statement again"
      )
    }
    if (next.needs.types.size > 0) yield* Catalogue.ask(session, query, [...next.needs.types])
    if (next.needs.prints.size > 0) {
      const first = opens[0]!
      yield* askPrints(session, query, meet, next.needs, answers).pipe(
        Effect.mapError((error) => (isOfConnection(error) ? error : failure(session, first, unprintable)))
      )
    }
  }
  return rows
})
