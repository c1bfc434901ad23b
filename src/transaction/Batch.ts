/**
 * `trans`: all statements or none, in one round trip.
 *
 * `BEGIN`, the statements and `COMMIT` go out together on one connection. A statement that fails turns the rest into
 * no-ops on the server, its `COMMIT` included, which answers `ROLLBACK`.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import { check, type Encoded, encode, joined, send } from "../Execute.ts"
import { type PoolError, refused } from "../PoolError.ts"
import * as Progress from "../Progress.ts"
import type { Result as Answer } from "../pool/Connection.ts"
import * as Exchange from "../pool/Exchange.ts"
import * as Fate from "../pool/Fate.ts"
import type * as Held from "../pool/Held.ts"
import type * as Lines from "../pool/Lines.ts"
import * as Pipeline from "../pool/Pipeline.ts"
import type { Pool } from "../pool/Pool.ts"
import * as ServerError from "../ServerError.ts"
import { type Bound, fromStatement, type Statement } from "../Sql.ts"
import type { Facts } from "../statement/Facts.ts"
import { commitOn } from "./Commit.ts"
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

/** Encodes all before any is sent: parameters that cannot be bound cost nothing but the error. */
const encodeAll = (pool: Pool, member: Lines.Member, all: ReadonlyArray<Checked>) =>
  Effect.forEach(all, ({ facts, statement }, index) =>
    Effect.mapError(encode(pool, member, statement, facts, { number: index + 1, of: all.length }), (error) =>
      isSqlError(error) ? error : numbered(error, index + 1, all.length)
    )
  )

/** About how many bytes a statement sends. */
const sizeOf = ({ params, statement }: Encoded): number => statement.text.length + Progress.sizeOf(params)

type Exits = ReadonlyArray<Exit.Exit<Answer, SqlError>>

/** The error that made the batch fail: the first that the server gave, and not one that only follows from it. */
const firstError = (exits: Exits): SqlError | undefined => {
  const errors = exits.flatMap((exit) => Option.toArray(Exit.findErrorOption(exit)))
  const own = errors.filter((error) => !Fate.isAborted(error))
  return own.find(Fate.isAnswer) ?? own[0] ?? errors[0]
}

const firstDefect = (exits: Exits): Exit.Exit<never, SqlError> | undefined => {
  for (const exit of exits) if (Exit.isFailure(exit)) return Exit.failCause(exit.cause)
  return undefined
}

/** On a connection that has a transaction open already: the savepoint around it is its caller's. */
const insideHeld = (pool: Pool, held: Held.Held, all: ReadonlyArray<Checked>, prepare: boolean) =>
  Exchange.on(held, (member) =>
    Effect.gen(function* () {
      const encoded = yield* encodeAll(pool, member, all)
      const exits = yield* Pipeline.run(
        encoded.map((one) => send(pool, member, one, prepare)),
        { pipelining: pool.settings.pipelining, sizes: encoded.map(sizeOf) }
      )
      const error = firstError(exits)
      if (error !== undefined) return yield* error
      const defect = firstDefect(exits)
      if (defect !== undefined) return yield* defect
      return exits.flatMap((exit) => (Exit.isSuccess(exit) ? [exit.value] : []))
    })
  )

/** What became of `BEGIN`, of the statements, and of `COMMIT` if it was sent. */
interface Ended {
  readonly begun: Exit.Exit<unknown, SqlError>
  readonly statements: Exits
  readonly commit: Exit.Exit<unknown, SqlError> | undefined
  readonly isDead: boolean
}

/** The error of a transaction that did not go through, or whose results cannot be given. */
const errorOf = ({ begun, commit, isDead, statements }: Ended, of: number): SqlError | undefined => {
  const begin = Option.getOrUndefined(Exit.findErrorOption(begun))
  const own = firstError(statements)
  const end = commit === undefined ? undefined : Option.getOrUndefined(Exit.findErrorOption(commit))
  if (isDead) {
    if (commit !== undefined && Exit.isSuccess(commit)) {
      return own === undefined ? undefined : Fate.committed(own, of)
    }
    // What the server refused was rolled back, whatever became of the connection afterwards.
    if (begin === undefined && own !== undefined && Fate.isAnswer(own)) return own
    const lost = own ?? end ?? begin
    return lost === undefined ? undefined : end === undefined ? Fate.undone(lost) : end
  }
  if (begin !== undefined) {
    const took = statements.filter(Exit.isSuccess).length
    return Fate.notBegun(
      ServerError.tell(begin, { text: "BEGIN" }),
      statements.length === 0
        ? "Nothing of it was sent."
        : `Each statement ran by itself: ${took} of ${statements.length} that were sent took effect.`
    )
  }
  if (own === undefined) return end
  return commit !== undefined && Exit.isSuccess(commit) ? Fate.committed(own, of) : own
}

/** `BEGIN`, all, `COMMIT`. Interrupted, it is cancelled once `BEGIN` is through, and is either done or undone. */
const alone = (
  pool: Pool,
  member: Lines.Member,
  encoded: ReadonlyArray<Encoded>,
  prepare: boolean
): Effect.Effect<ReadonlyArray<Answer>, SqlError> => {
  const { connection } = member
  const { pipelining } = pool.settings
  return Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const begin = yield* Effect.forkDetach(connection.begin("BEGIN"), { startImmediately: true })
      const answered = Exchange.promptly(member, Fiber.await(begin))
      if (!pipelining) yield* answered
      const refusedToBegin = !pipelining && begin.pollUnsafe()?._tag !== "Success"
      const exits = refusedToBegin
        ? []
        : yield* Effect.onInterrupt(
            restore(
              Pipeline.run<Answer, SqlError>(
                [...encoded.map((one) => send(pool, member, one, prepare)), commitOn(member)],
                { pipelining, sizes: encoded.map(sizeOf) }
              )
            ),
            () => answered.pipe(Effect.andThen(connection.recover), Effect.andThen(Exchange.rollback(member)))
          )
      const ended: Ended = {
        begun: yield* Fiber.await(begin),
        statements: exits.slice(0, encoded.length),
        commit: exits[encoded.length],
        isDead: connection.isDead()
      }
      const error = errorOf(ended, encoded.length)
      if (error === undefined && Exit.isSuccess(ended.begun) && ended.commit?._tag === "Success") {
        return ended.statements.flatMap((exit) => (Exit.isSuccess(exit) ? [exit.value] : []))
      }
      yield* Exchange.rollback(member)
      return yield* error ?? firstDefect(exits) ?? Effect.interrupt
    })
  )
}

/** Once more, unprepared, when a plan was stale. */
const again = <A, E, R>(run: (prepare: boolean) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.catchIf(
    run(true),
    (error) => isSqlError(error) && Fate.isStalePlan(error),
    () => run(false)
  )

/** Runs the statements as one transaction, or as a savepoint of the fiber's. */
export const batch = (
  pool: Pool,
  statements: ReadonlyArray<Statement>
): Effect.Effect<ReadonlyArray<Answer>, SqlError | PoolError> =>
  Effect.flatMap(checkAll(statements), (all) => {
    if (all.length === 0) return Effect.succeed([])
    return Effect.withFiber((fiber) => {
      const held = joined(pool, fiber.context)
      return held === undefined
        ? Effect.scoped(
            Effect.flatMap(pool.reserve, (member) =>
              Effect.flatMap(
                Effect.onInterrupt(encodeAll(pool, member, all), () => member.connection.recover),
                (encoded) => again((prepare) => alone(pool, member, encoded, prepare))
              )
            )
          )
        : again((prepare) => transaction(pool, insideHeld(pool, held, all, prepare)))
    })
  })
