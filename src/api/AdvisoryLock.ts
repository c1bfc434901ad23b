/**
 * Advisory locks that a transaction holds: the server frees them when it ends, however it ends.
 */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import { type OperationError, refused } from "../errors/PoolError.ts"
import type { AnyFiber, Pool } from "../pool/Pool.ts"
import type { Bound } from "../statement/Statement.ts"
import { runStatement } from "../transaction/Run.ts"
import { transaction } from "../transaction/Transaction.ts"
import { ownInt8, ownText } from "../types/Parameters.ts"

/** What a lock is called: any text, or a whole number in the range of `int8`. */
export type LockKey = string | number | bigint

const limit = 2n ** 63n

const isKey = (key: unknown): key is LockKey =>
  typeof key === "bigint"
    ? key >= -limit && key < limit
    : typeof key === "string" || (typeof key === "number" && Number.isSafeInteger(key))

/** Texts are hashed to 64 bits by the server, so that every program that uses the text has the same lock. */
const statement = (take: string, key: LockKey): Bound => {
  const argument = typeof key === "string" ? "pg_catalog.hashtextextended($1::text, 0)" : "$1::int8"
  return {
    text: `select pg_catalog.${take}(${argument}) as taken`,
    params: [typeof key === "string" ? ownText(key) : ownInt8(key)],
    isOwn: true
  }
}

/** In the transaction that is around it. */
const take = (pool: Pool, how: string, key: LockKey) =>
  Effect.withFiber((fiber) => runStatement(pool, fiber, statement(how, key)))

const noKey = () =>
  Effect.fail(
    refused("A lock's key is a text, a whole number, or a bigint within the range of int8. Nothing was sent.")
  )

const isTaken = ([row]: ReadonlyArray<unknown>): boolean =>
  Predicate.hasProperty(row, "taken") && row.taken === true

/** Waits for the lock, then runs the effect in the transaction that holds it. */
export const withLock = <A, E, R>(
  pool: Pool,
  fiber: AnyFiber,
  key: LockKey,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | OperationError, R> =>
  isKey(key)
    ? transaction(pool, fiber, Effect.andThen(take(pool, "pg_advisory_xact_lock", key), effect))
    : noKey()

/** Runs the effect in a transaction that holds the lock, or not at all while another has it. */
export const tryLock = <A, E, R>(
  pool: Pool,
  fiber: AnyFiber,
  key: LockKey,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<Option.Option<A>, E | OperationError, R> =>
  isKey(key)
    ? transaction(
        pool,
        fiber,
        Effect.flatMap(take(pool, "pg_try_advisory_xact_lock", key), ({ rows }) =>
          isTaken(rows) ? Effect.asSome(effect) : Effect.succeedNone
        )
      )
    : noKey()
