/**
 * `trans`: all statements or none, in one round trip.
 *
 * `BEGIN`, the statements and `COMMIT` go out together on one connection. A statement that fails turns the rest into
 * no-ops on the server, its `COMMIT` included, which answers `ROLLBACK`.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { SqlError } from "effect/sql/SqlError"
import { check, type Encoded, encode, joined, send, tell } from "../Execute.ts"
import type { Outcome } from "../Operations.ts"
import { type PoolError, refused } from "../PoolError.ts"
import * as Held from "../pool/Held.ts"
import type * as Lines from "../pool/Lines.ts"
import * as Pipeline from "../pool/Pipeline.ts"
import type { Pool } from "../pool/Pool.ts"
import { type Bound, fromStatement, type Statement } from "../Sql.ts"
import type { Facts } from "../statement/Facts.ts"
import { transaction } from "./Transaction.ts"

interface Checked {
  readonly statement: Bound
  readonly facts: Facts
}

const numbered = (error: PoolError, number: number, of: number): PoolError =>
  refused(`Statement ${number} of ${of}: ${error.message}`)

const checkAll = (statements: ReadonlyArray<Statement>): Effect.Effect<ReadonlyArray<Checked>, PoolError> =>
  Array.isArray(statements)
    ? // A hole in an array is no statement, so the index goes over it.
      Effect.forEach(Array.from<Statement>(statements), (given, index) =>
        Result.match(fromStatement(given), {
          onFailure: (error) => Effect.fail(error),
          onSuccess: (statement) => Effect.map(check(statement), (facts): Checked => ({ statement, facts }))
        }).pipe(Effect.mapError((error) => numbered(error, index + 1, statements.length)))
      )
    : Effect.fail(refused("trans takes an array of statements. Nothing was sent."))

const encodeAll = (pool: Pool, member: Lines.Member, all: ReadonlyArray<Checked>) =>
  Effect.forEach(all, ({ facts, statement }, index) =>
    encode(pool, member, statement, facts, { number: index + 1, of: all.length })
  )

/** On a connection that has a transaction open already: the savepoint around it is its caller's. */
const insideHeld = (pool: Pool, held: Held.Held, all: ReadonlyArray<Checked>) =>
  Effect.flatMap(
    Held.on(held, (member) => encodeAll(pool, member, all)),
    (encoded) =>
      Held.on(held, (member) =>
        Effect.flatMap(Pipeline.run(encoded.map((one) => send(pool, member, one))), (exits) =>
          Pipeline.collect(exits)
        )
      )
  )

/** `BEGIN`, all, `COMMIT`. Interrupted, it is cancelled once `BEGIN` is through, and is either done or undone. */
const alone = (
  pool: Pool,
  member: Lines.Member,
  encoded: ReadonlyArray<Encoded>
): Effect.Effect<ReadonlyArray<Outcome>, SqlError> => {
  const { connection } = member
  const undo = Effect.suspend(() =>
    connection.isDead() || !connection.inTransaction()
      ? Effect.void
      : Effect.ignore(connection.query("ROLLBACK", []))
  )
  return Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const begin = yield* Effect.forkDetach(connection.query("BEGIN", []), { startImmediately: true })
      const all = [
        ...encoded.map((one) => send(pool, member, one)),
        Effect.mapError(Held.commitOn(member), tell({ text: "COMMIT", params: [] }))
      ]
      const exits = yield* Effect.onInterrupt(restore(Pipeline.run(all)), () =>
        Fiber.await(begin).pipe(Effect.andThen(connection.recover), Effect.andThen(undo))
      )
      const begun = yield* Fiber.await(begin)
      const results = Pipeline.collect(exits)
      if (Exit.isSuccess(results) && Exit.isSuccess(begun)) return results.value.slice(0, -1)
      yield* Effect.andThen(connection.drained, undo)
      if (Exit.isFailure(begun)) yield* Effect.mapError(begun, Held.lost)
      return yield* Effect.map(results, (values) => values.slice(0, -1))
    })
  )
}

/** A plan that an `alter table` made stale: nothing of the transaction was done, and the next try makes a new plan. */
const isStalePlan = (error: SqlError): boolean => {
  const { cause } = error.reason
  if (!Predicate.hasProperty(cause, "code")) return false
  return cause.code === "26000" || (cause.code === "0A000" && error.message.includes("cached plan"))
}

const outcome = ({ command, rowCount, rows }: Outcome): Outcome => ({ command, rowCount, rows })

/** Runs the statements as one transaction, or as a savepoint of the fiber's. */
export const batch = (
  pool: Pool,
  statements: ReadonlyArray<Statement>
): Effect.Effect<ReadonlyArray<Outcome>, SqlError | PoolError> =>
  Effect.flatMap(checkAll(statements), (all) => {
    if (all.length === 0) return Effect.succeed([])
    return Effect.withFiber((fiber) => {
      const held = joined(pool, fiber.context)
      const outcomes =
        held === undefined
          ? pool.use((member) =>
              Effect.flatMap(encodeAll(pool, member, all), (encoded) =>
                Effect.retry(alone(pool, member, encoded), { times: 1, while: isStalePlan })
              )
            )
          : transaction(pool, insideHeld(pool, held, all))
      return Effect.map(outcomes, (done) => done.map(outcome))
    })
  })
