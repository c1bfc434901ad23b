/**
 * Rows as they come: in constant memory, with back pressure, and with an end that reaches the server.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { SqlError } from "effect/sql/SqlError"
import { check, type Encoded, encode, joined, onHeld, send, tell } from "./Execute.ts"
import type { PoolError } from "./PoolError.ts"
import type { Row } from "./pool/Connection.ts"
import * as Held from "./pool/Held.ts"
import type * as Lines from "./pool/Lines.ts"
import * as Overload from "./pool/Overload.ts"
import type { Pool } from "./pool/Pool.ts"
import * as ServerError from "./ServerError.ts"
import type { Bound } from "./Sql.ts"
import type { Facts } from "./statement/Facts.ts"

type Rows = Stream.Stream<Row, SqlError | PoolError>

/** Puts right what the driver could not read of a piece, on a connection of its own. */
const settled = (
  pool: Pool,
  rows: ReadonlyArray<Row>
): Effect.Effect<ReadonlyArray<Row>, SqlError | PoolError> =>
  pool.use((member) => pool.codec.settle(rows, member.connection.query))

const fromDriver = (pool: Pool, member: Lines.Member, encoded: Encoded): Rows => {
  let flagged = pool.codec.flagged()
  return member.connection.stream(encoded.statement.text, encoded.params).pipe(
    Stream.mapError(tell(encoded.statement)),
    Stream.mapArrayEffect((rows) => {
      if (pool.codec.flagged() === flagged) return Effect.succeed(rows)
      flagged = pool.codec.flagged()
      return Effect.map(settled(pool, rows), () => rows)
    })
  )
}

/** Rows over a connection lent for as long as the stream runs. */
export const rowsOnPool = (pool: Pool, statement: Bound): Rows =>
  Stream.unwrap(
    Effect.gen(function* () {
      const facts = yield* check(statement)
      const member = yield* pool.reserve
      if (facts.leaves !== "nothing") member.leaves = facts.leaves
      return fromDriver(pool, member, yield* encode(pool, member, statement, facts))
    })
  ).pipe(Stream.provideService(Overload.Held, [pool.settings.key]))

const piece = 500
let cursors = 0

/** Which statements Postgres declares a cursor for. */
const hasCursor = (facts: Facts): boolean =>
  facts.command === "SELECT" ||
  facts.command === "VALUES" ||
  facts.command === "TABLE" ||
  (facts.command === "WITH" && facts.reads)

/**
 * Rows through a cursor of the transaction, so that other statements of the transaction can run between two pieces. What
 * is no query (`insert … returning`) has no cursor: it runs whole.
 */
export const rowsOnHeld = (pool: Pool, held: Held.Held, statement: Bound): Rows =>
  Stream.unwrap(
    Effect.gen(function* () {
      const facts = yield* check(statement)
      if (!hasCursor(facts)) return Stream.fromIterable((yield* onHeld(pool, held, statement)).rows)
      const name = `effect_global_pool_${cursors++}`
      const declare = `DECLARE ${name} NO SCROLL CURSOR FOR `
      yield* Held.on(held, (member) =>
        Effect.flatMap(encode(pool, member, statement, facts), ({ params }) =>
          Effect.mapError(member.connection.query(declare + statement.text, params, false), (error) =>
            ServerError.tell(error, { ...statement, prefixLength: declare.length })
          )
        )
      )
      yield* Effect.addFinalizer(() => Held.afterwards(held, `CLOSE ${name}`))
      const fetch: Encoded = {
        statement: { text: `FETCH FORWARD ${piece} FROM ${name}`, params: [] },
        facts,
        params: []
      }
      return Stream.paginate(undefined, () =>
        Effect.map(
          Held.on(held, (member) => send(pool, member, fetch, false)),
          ({ rows }) => [rows, rows.length < piece ? Option.none() : Option.some(undefined)] as const
        )
      )
    })
  )

/** Rows of a statement, through the fiber's transaction if there is one. */
export const rows = (pool: Pool, statement: Bound): Rows =>
  Stream.unwrap(
    Effect.withFiber((fiber) => {
      const held = joined(pool, fiber.context)
      return Effect.succeed(
        held === undefined ? rowsOnPool(pool, statement) : rowsOnHeld(pool, held, statement)
      )
    })
  )
