/**
 * Transactions that join by fiber: begin, nest as savepoints, end by how the effect ends, and run again where that is safe.
 *
 * A transaction is a value in its fibers' context, as in Effect's own SQL clients (`SqlClient.makeWithTransaction`), whose
 * places for callbacks, spans and reactive keys are kept too.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as Schedule from "effect/Schedule"
import { isSqlError } from "effect/sql/SqlError"
import * as Tracer from "effect/Tracer"
import type { OperationError, PoolError } from "../errors/PoolError.ts"
import * as AcquireErrors from "../pool/AcquireErrors.ts"
import { isSeen, transactionOptions } from "../pool/OwnSpans.ts"
import type { AnyFiber, Pool, Restore } from "../pool/Pool.ts"
import { awaitBriefly } from "../pool/Recover.ts"
import type { TransactionKey } from "../pool/TransactionKey.ts"
import { commit, rollback } from "./Commit.ts"
import { runStatement } from "./Run.ts"
import { nested } from "./Savepoint.ts"
import { join } from "./SqlConnection.ts"
import type { TransactionOptions } from "./TransactionOptions.ts"
import * as Options from "./TransactionOptions.ts"
import type { Level, Membership, Transaction } from "./TransactionState.ts"
import * as State from "./TransactionState.ts"

/** What Effect's `SqlResolver` finds the innermost transaction by. */
const CurrentTransaction = Context.Reference<TransactionKey | undefined>(
  "effect/sql/CurrentTransactionService",
  {
    defaultValue: () => undefined
  }
)

/** What Effect's SQL clients begin a transaction with, where a caller says so. */
const BeginTransaction = Context.Reference<string | undefined>("effect/sql/SqlClient/BeginTransaction", {
  defaultValue: () => undefined
})

const isRepeatable = (error: unknown): boolean =>
  isSqlError(error) && (error.reason._tag === "SerializationError" || error.reason._tag === "DeadlockError")

/** Pauses of 5 ms, doubled up to a second, each with jitter: transactions that collided do not collide again. */
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

const runCallback = (effect: Effect.Effect<void>): Effect.Effect<void> =>
  Effect.ignoreCause(effect, { log: "Unhandled", message: "An afterCommit callback failed" })

/** Runs an effect once the fiber's outermost transaction has committed; at once where there is none. */
export const afterCommit = <R>(
  pool: Pool,
  effect: Effect.Effect<void, never, R>
): Effect.Effect<void, never, R> =>
  Effect.withFiber((fiber) => {
    const membership = State.currentOf(pool, fiber.context)
    if (membership === undefined) return Effect.ignoreCause(effect, { log: "Unhandled" })
    const [{ level, transaction }] = membership
    if (State.closedError(transaction, level) !== undefined && transaction.failure === undefined) {
      return Effect.die(new Error("afterCommit: the transaction has ended already."))
    }
    // It runs later, with the services in scope now, and outside of the transaction.
    const outside = Context.omit(pool.transactionKey)(fiber.context) as Context.Context<R>
    level.afterCommit.push(Effect.provideContext(AcquireErrors.freeOf(effect, pool.settings.key), outside))
    return Effect.void
  })

/** Reactive keys are invalidated once the transaction has committed. */
const deferred = (
  pool: Pool,
  reactivity: typeof Reactivity.Reactivity.Service
): typeof Reactivity.Reactivity.Service => {
  const invalidate: typeof reactivity.invalidate = (keys) =>
    afterCommit(
      pool,
      Effect.sync(() => reactivity.invalidateUnsafe(keys))
    )
  return { ...reactivity, invalidate, mutation: (keys, effect) => Effect.tap(effect, invalidate(keys)) }
}

/** The context of the fibers in a transaction. */
const contextOf = <R>(
  pool: Pool,
  membership: Membership,
  outer: Context.Context<R>,
  span: Tracer.AnySpan | undefined
): Context.Context<R> => {
  const reactivity = Context.getOrUndefined(outer, Reactivity.Reactivity)
  const joined = Context.add(outer, pool.transactionKey, membership)
  let inside: Context.Context<R> = Context.add(joined, CurrentTransaction, pool.transactionKey)
  if (reactivity !== undefined) {
    inside = Context.add(inside, Reactivity.Reactivity, deferred(pool, reactivity))
  }
  if (span !== undefined) inside = Context.add(inside, Tracer.ParentSpan, span)
  return inside
}

const undone = (transaction: Transaction, wasInterrupted: boolean): Effect.Effect<void> | undefined => {
  if (!transaction.hasBegun) {
    State.end(transaction)
    return undefined
  }
  return wasInterrupted ? awaitBriefly(transaction.connection, rollback(transaction)) : rollback(transaction)
}

/** Asks the server whether the transaction has what one inside of it asks for. */
const checkModes = (pool: Pool, fiber: AnyFiber, options: TransactionOptions) =>
  Effect.flatMap(
    runStatement(pool, fiber, { text: Options.modesQuery, params: [], isOwn: true }, { hasSpan: true }),
    ({ rows: [actual] }): Effect.Effect<void, PoolError> => {
      const refusal = Options.modeRefusal(options, actual)
      return refusal === undefined ? Effect.void : Effect.fail(refusal)
    }
  )

/** Commits. Interrupted on the way, it is committed or not, and the fiber does not wait to know. */
const committed = (transaction: Transaction, restore: Restore): Effect.Effect<void, OperationError> =>
  Effect.onExitPrimitive(restore(commit(transaction)), (exit) =>
    Exit.isFailure(exit) && !transaction.hasEnded ? undone(transaction, Exit.hasInterrupts(exit)) : undefined
  )

/** Marks on a transaction's span how it ends. */
const mark = (fiber: AnyFiber, span: Tracer.Span | undefined, end: "commit" | "savepoint" | "rollback") =>
  span?.event(`effect.sql.transaction.${end}`, fiber.getRef(Clock.Clock).currentTimeNanosUnsafe())

const begun = <A, E, R>(
  pool: Pool,
  effect: Effect.Effect<A, E, R>,
  options: TransactionOptions,
  begin: string,
  fiber: AnyFiber,
  span: Tracer.Span | undefined
): Effect.Effect<A, E | OperationError, R> => {
  let level: Level | undefined
  const lent = pool.lend(fiber, (connection, restore) => {
    const transaction = State.make(pool, connection, begin, options)
    const membership: Membership = [join(transaction), 0]
    level = transaction.root
    const held = [...fiber.getRef(AcquireErrors.Held), pool.settings.key]
    const inside = Effect.updateContext(
      restore(effect),
      (outer: Context.Context<R>): Context.Context<R> =>
        Context.add(contextOf(pool, membership, outer, span), AcquireErrors.Held, held)
    )
    return Effect.onExitPrimitive(inside, (exit): Effect.Effect<void, OperationError> | undefined => {
      mark(fiber, span, Exit.isSuccess(exit) ? "commit" : "rollback")
      return Exit.isSuccess(exit)
        ? committed(transaction, restore)
        : undone(transaction, Exit.hasInterrupts(exit))
    })
  })
  return Effect.onExitPrimitive(lent, (exit) =>
    Exit.isSuccess(exit) && level !== undefined && level.afterCommit.length > 0
      ? Effect.forEach(level.afterCommit, runCallback, { discard: true })
      : undefined
  )
}

/**
 * Runs an effect once in a transaction of this pool, or in a savepoint of the fiber's. The options were checked; the attributes
 * are its span's.
 */
export const transaction = <A, E, R>(
  pool: Pool,
  fiber: AnyFiber,
  effect: Effect.Effect<A, E, R>,
  options: TransactionOptions = {},
  attributes: Readonly<Record<string, unknown>> = {}
): Effect.Effect<A, E | OperationError, R> => {
  const membership = State.currentOf(pool, fiber.context)
  const begin = Options.beginOf(options) ?? fiber.getRef(BeginTransaction) ?? "BEGIN"
  const spanned = (run: (span: Tracer.Span | undefined) => Effect.Effect<A, E | OperationError, R>) =>
    isSeen(fiber)
      ? Effect.useSpan("sql.transaction", transactionOptions(pool.settings, attributes), run)
      : run(undefined)
  if (membership === undefined) return spanned((span) => begun(pool, effect, options, begin, fiber, span))
  const [{ transaction }] = membership
  if (options.retry !== undefined) return Effect.fail(Options.retryRefusal())
  const nest = (span: Tracer.Span | undefined) =>
    nested(membership, (inner) =>
      Effect.updateContext(effect, (outer: Context.Context<R>) => contextOf(pool, inner, outer, span))
    )
  const inside = (span: Tracer.Span | undefined) =>
    Options.asksForMore(options, transaction.options)
      ? Effect.andThen(checkModes(pool, fiber, options), nest(span))
      : nest(span)
  return spanned((span) =>
    Effect.onExitPrimitive(inside(span), (exit) => {
      mark(fiber, span, Exit.isSuccess(exit) ? "savepoint" : "rollback")
      return undefined
    })
  )
}
