/**
 * Asks the catalogue about types, on the connection of the statement that has them.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type { SqlError } from "effect/sql/SqlError"
import * as ConnectionErrors from "../errors/ConnectionErrors.ts"
import { serverError } from "../errors/ServerErrors.ts"
import * as OwnSpans from "../pool/OwnSpans.ts"
import type { PooledConnection } from "../pool/PooledConnection.ts"
import { ask } from "../protocol/Ask.ts"
import type { Exchange } from "../protocol/Exchange.ts"
import { readerOf, typesToAsk } from "../protocol/PreparedStatements.ts"
import type { Session } from "../protocol/Session.ts"
import { oids } from "../types/BuiltinTypes.ts"
import { missingType, typesOf, typesQuery, userTypesQuery } from "../types/Catalogue.ts"
import { UnreadableValue } from "../types/PgType.ts"

/** One value that the catalogue gives. */
const askFor = (
  session: Session,
  text: string,
  values: ReadonlyArray<string>,
  column: string
): Effect.Effect<unknown, SqlError> =>
  Effect.flatMap(ask(session, text, values), ({ error, rows: [row], state }) => {
    if (state === "done") return Effect.succeed(Predicate.hasProperty(row, column) ? row[column] : undefined)
    const about = { operation: "types" }
    if (error !== undefined) return Effect.fail(serverError(error, about))
    return Effect.fail(
      ConnectionErrors.lostError(session.end() ?? { farewell: undefined, cause: undefined }, true, about)
    )
  })

/**
 * Learns these types and all that they are made of; all types of users where a record is among them. Values of a type that
 * the server does not know any more are strings. Without a type nothing is asked.
 */
export const learn = (
  { session, settings }: PooledConnection,
  wanted: ReadonlyArray<number>
): Effect.Effect<void, SqlError> =>
  wanted.length === 0 ? Effect.void : OwnSpans.within(settings, "learn types", learnOn(session, wanted))

const learnOn = (session: Session, wanted: ReadonlyArray<number>): Effect.Effect<void, SqlError> => {
  const isAll = wanted.includes(oids.record)
  const all = isAll ? askFor(session, userTypesQuery, [], "oids") : Effect.succeed([])
  return Effect.flatMap(all, (found) => {
    const types = [...wanted, ...(Array.isArray(found) ? found.map(Number) : [])]
    return Effect.map(askFor(session, typesQuery, [`{${types.join(",")}}`], "types"), (answer) => {
      const found = typesOf(answer)
      const missing = wanted.filter((oid) => !found.some((type) => type.oid === oid) && oid !== oids.record)
      session.types.learn([...found, ...missing.map(missingType)], isAll)
    })
  })
}

/** Reads the rows again that waited for their types; what is still missing is in `missing` then. */
const readAgain = (exchange: Exchange): void => {
  const { answers, formats, late, prepared, shape } = exchange
  if (late === undefined || formats === undefined || prepared === undefined) return
  // Those that were known when the rows came may have been forgotten since.
  exchange.missing = typesToAsk(formats.types, prepared, answers)
  if (exchange.missing.length > 0) return
  exchange.late = undefined
  const { locale, rows } = late
  const read = readerOf(prepared, formats, shape)
  for (const [index, row] of rows.entries()) {
    try {
      exchange.rows.push(read?.(row, 0, row.length, locale))
    } catch (error) {
      if (!(error instanceof UnreadableValue) || error.type === undefined) throw error
      exchange.late = { rows: rows.slice(index), locale }
      exchange.missing = [error.type]
      return
    }
  }
}

/** So many types that rows turned out to have may be learnt for one result. */
const mostRounds = 64

/** Reads the rows that waited for what is not known of their types. */
export const readLate = (
  connection: PooledConnection,
  exchange: Exchange,
  rounds = 0
): Effect.Effect<void, SqlError> => {
  if (exchange.late === undefined) return Effect.void
  return Effect.flatMap(learn(connection, exchange.missing), () => {
    try {
      readAgain(exchange)
    } catch (error) {
      exchange.unreadable ??= error instanceof Error ? error : new Error(String(error))
    }
    if (exchange.late === undefined) return Effect.void
    if (rounds < mostRounds) return readLate(connection, exchange, rounds + 1)
    exchange.unreadable ??= new Error("A value is of a type that changes all the time.")
    return Effect.void
  })
}

/** Whether the session prints all digits of a float; asked once. */
export const learnFloats = ({ session, settings }: PooledConnection): Effect.Effect<void, SqlError> => {
  const text = "select pg_catalog.current_setting('extra_float_digits')::int4 > 0 as exact"
  const asked = Effect.map(askFor(session, text, [], "exact"), (isExact) => {
    session.floats = isExact === true ? "exact" : "short"
  })
  return OwnSpans.within(settings, "learn types", asked)
}
