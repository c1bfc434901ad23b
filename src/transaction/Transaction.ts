/**
 * Transactions that join by fiber: begin, nest as savepoints, end by how the effect ends, and run again where that is safe.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as SqlClient from "effect/sql/SqlClient"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import { joined } from "../Execute.ts"
import type { TransactionOptions } from "../Operations.ts"
import { fromSqlError, type PoolError, refused, toSqlError } from "../PoolError.ts"
import * as Held from "../pool/Held.ts"
import * as Overload from "../pool/Overload.ts"
import type { Pool } from "../pool/Pool.ts"
import * as ServerError from "../ServerError.ts"
import { linkTo } from "./Link.ts"

const told =
  (text: string) =>
  (error: SqlError): SqlError =>
    ServerError.tell(error, { text })

/** Effect's own transaction over a pool: savepoints, the order of nested ones, and callbacks after the commit are its. */
const make = (pool: Pool): Transact =>
  SqlClient.makeWithTransaction({
    transactionService: pool.transaction,
    spanAttributes: [],
    acquireConnection: (restore) =>
      Effect.map(Effect.mapError(restore(pool.reserve), toSqlError), (member) =>
        linkTo(pool, Held.hold(member))
      ),
    begin: (link, statement) =>
      Effect.sync(() => {
        link.held.pending = [statement ?? "BEGIN"]
      }),
    commit: (link) => Effect.mapError(Held.commit(link.held), told("COMMIT")),
    rollback: (link) => Held.rollback(link.held),
    savepoint: (link, depth) => Held.savepoint(link.held, depth),
    releaseSavepoint: (link, depth) => Held.release(link.held, depth),
    rollbackSavepoint: (link, depth) => Held.rollbackTo(link.held, depth)
  })

type Transact = <R, E, A>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | SqlError, R>

const made = new WeakMap<Pool, Transact>()

/** `SqlClient.withTransaction` on this pool. */
export const transactOf = (pool: Pool): Transact => {
  const known = made.get(pool)
  if (known !== undefined) return known
  const transact = make(pool)
  made.set(pool, transact)
  return transact
}

const isolations = new Set<unknown>(["read uncommitted", "read committed", "repeatable read", "serializable"])
const options = new Set(["isolation", "readOnly", "deferrable", "retry"])

/** The statement that begins a transaction of these options, or what is wrong with them. */
const beginOf = (asked: TransactionOptions, isNested: boolean): string | PoolError => {
  for (const name of Object.keys(asked)) {
    if (!options.has(name)) {
      return refused(
        `A transaction has no option ${name}: they are ${[...options].join(", ")}. Nothing was sent.`
      )
    }
  }
  const { deferrable, isolation, readOnly, retry } = asked
  if (isolation !== undefined && !isolations.has(isolation)) {
    return refused(
      `A transaction's isolation is one of ${[...isolations].map((level) => `"${level}"`).join(", ")}. Nothing was sent.`
    )
  }
  for (const [name, flag] of Object.entries({ readOnly, deferrable })) {
    if (flag !== undefined && typeof flag !== "boolean") {
      return refused(`A transaction's ${name} is true or false. Nothing was sent.`)
    }
  }
  if (
    retry !== undefined &&
    !Schedule.isSchedule(retry) &&
    !(Number.isInteger(retry.times) && retry.times >= 0)
  ) {
    return refused(
      "A transaction's retry is a Schedule, or { times } with a whole number from 0. Nothing was sent."
    )
  }
  if (isNested) {
    const given = Object.entries(asked).flatMap(([name, value]) => (value === undefined ? [] : [name]))
    if (given.length === 0) return ""
    return refused(
      `A transaction inside another is a savepoint of it and cannot have options of its own: ${given.join(", ")}. Give them to the outer transaction; only the whole of it can be repeated or isolated.`
    )
  }
  return (
    "BEGIN" +
    (isolation === undefined ? "" : ` ISOLATION LEVEL ${isolation.toUpperCase()}`) +
    (readOnly === undefined ? "" : readOnly ? " READ ONLY" : " READ WRITE") +
    (deferrable === undefined ? "" : deferrable ? " DEFERRABLE" : " NOT DEFERRABLE")
  )
}

const isRepeatable = (error: unknown): boolean =>
  isSqlError(error) && (error.reason._tag === "SerializationError" || error.reason._tag === "DeadlockError")

/** Pauses of 5 ms, doubled up to a second, each with jitter: those who collided do not collide again. */
const backoff = Schedule.jittered(
  Schedule.min([Schedule.exponential(Duration.millis(5)), Schedule.spaced(Duration.seconds(1))])
)

const repeat = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  retry: TransactionOptions["retry"]
): Effect.Effect<A, E, R> => {
  if (retry === undefined) return effect
  return Schedule.isSchedule(retry)
    ? Effect.retry(effect, { schedule: retry, while: isRepeatable })
    : Effect.retry(effect, { schedule: backoff, times: retry.times, while: isRepeatable })
}

/** Runs an effect in a transaction of this pool, or in a savepoint of the fiber's. */
export const transaction = <A, E, R>(
  pool: Pool,
  effect: Effect.Effect<A, E, R>,
  asked: TransactionOptions = {}
): Effect.Effect<A, E | SqlError | PoolError, R> =>
  Effect.withFiber((fiber) => {
    const isNested = joined(pool, fiber.context) !== undefined
    const begin = beginOf(asked, isNested)
    if (typeof begin !== "string") return Effect.fail(begin)
    const transact = transactOf(pool)
    const unwrap = Effect.mapError((error: E | SqlError) => (isSqlError(error) ? fromSqlError(error) : error))
    if (isNested) return unwrap(transact(effect))
    // The statement that begins is for this transaction only, not for one of another database inside.
    const inner = effect.pipe(
      Effect.provideService(SqlClient.BeginTransaction, fiber.getRef(SqlClient.BeginTransaction)),
      Effect.provideService(Overload.Held, [...fiber.getRef(Overload.Held), pool.settings.key])
    )
    return repeat(
      unwrap(Effect.provideService(transact(inner), SqlClient.BeginTransaction, begin)),
      asked.retry
    )
  })
