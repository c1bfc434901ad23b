/**
 * Transactions that join by fiber: begin, nest as savepoints, end by how the effect ends, and run again where that is safe.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as SqlClient from "effect/sql/SqlClient"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import { joined } from "../Execute.ts"
import type { TransactionOptions } from "../Operations.ts"
import { fromSqlError, isPoolError, type PoolError, toSqlError } from "../PoolError.ts"
import * as Held from "../pool/Held.ts"
import * as Overload from "../pool/Overload.ts"
import type { Pool } from "../pool/Pool.ts"
import * as Spans from "../Spans.ts"
import { commit, rollback } from "./Commit.ts"
import { linkTo } from "./Link.ts"
import * as Options from "./Options.ts"
import { nested } from "./Savepoint.ts"

type Transact = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | SqlError, R>

/** Effect's own bookkeeping: spans, and callbacks after the commit. Savepoints are ours: see `Savepoint.ts`. */
const make = (pool: Pool): Transact =>
  SqlClient.makeWithTransaction({
    transactionService: pool.transaction,
    spanAttributes: Spans.serverOf(pool.settings),
    acquireConnection: (restore) =>
      Effect.map(Effect.mapError(restore(pool.reserve), toSqlError), (member) =>
        linkTo(pool, Held.hold(pool, member))
      ),
    begin: (link, statement) => Effect.sync(() => Held.beginWith(link.held, statement ?? "BEGIN")),
    commit: (link) => Effect.mapError(commit(link.held), toSqlError),
    rollback: (link) => rollback(link.held),
    savepoint: () => Effect.void,
    rollbackSavepoint: () => Effect.void
  })

const made = new WeakMap<Held.Owner, Transact>()

const makerOf = (pool: Pool): Transact => {
  const known = made.get(pool)
  if (known !== undefined) return known
  const transact = make(pool)
  made.set(pool, transact)
  return transact
}

/** `SqlClient.withTransaction` on this pool. */
export const transactOf =
  (pool: Pool): Transact =>
  (effect) =>
    Effect.withFiber((fiber) => {
      const held = joined(pool, fiber.context)
      if (held === undefined) return makerOf(pool)(effect)
      // The pool may be another one by now than that which the transaction began on.
      const around = made.get(held.owner) ?? makerOf(pool)
      return Effect.mapError(nested(held, around, effect), (error) =>
        isPoolError(error) ? toSqlError(error) : error
      )
    })

const isRepeatable = (error: unknown): boolean =>
  isSqlError(error) && (error.reason._tag === "SerializationError" || error.reason._tag === "DeadlockError")

/** Pauses of 5 ms, doubled up to a second, each with jitter: those who collided do not collide again. */
const backoff = Schedule.jittered(
  Schedule.min([Schedule.exponential(Duration.millis(5)), Schedule.spaced(Duration.seconds(1))])
)

/** Runs a transaction again as its options say. */
export const repeat = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  { retry }: TransactionOptions
): Effect.Effect<A, E, R> => {
  if (retry === undefined) return effect
  return Schedule.isSchedule(retry)
    ? Effect.retry(effect, { schedule: retry, while: isRepeatable })
    : Effect.retry(effect, { schedule: backoff, times: retry.times, while: isRepeatable })
}

/** Runs an effect once in a transaction of this pool, or in a savepoint of the fiber's. The options were checked. */
export const transaction = <A, E, R>(
  pool: Pool,
  effect: Effect.Effect<A, E, R>,
  options: TransactionOptions = {}
): Effect.Effect<A, E | SqlError | PoolError, R> =>
  Effect.withFiber((fiber) => {
    const isNested = joined(pool, fiber.context) !== undefined
    const refusal = isNested ? Options.nestedRefusal(options) : undefined
    if (refusal !== undefined) return Effect.fail(refusal)
    const transact = transactOf(pool)
    const unwrap = Effect.mapError((error: E | SqlError) => (isSqlError(error) ? fromSqlError(error) : error))
    if (isNested) return unwrap(transact(effect))
    const begin = Options.beginOf(options)
    const keys = [...fiber.getRef(Overload.Held), pool.settings.key]
    if (begin === undefined) return unwrap(transact(Effect.provideService(effect, Overload.Held, keys)))
    // The statement that begins is for this transaction only, not for one of another database inside.
    const inside = Context.make(Overload.Held, keys).pipe(
      Context.add(SqlClient.BeginTransaction, fiber.getRef(SqlClient.BeginTransaction))
    )
    return Effect.provideService(
      transact(Effect.provideContext(effect, inside)),
      SqlClient.BeginTransaction,
      begin
    ).pipe(unwrap)
  })
