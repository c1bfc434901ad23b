/**
 * Kysely on the pool of a handle: its queries join `pgdb.transaction`, stream, and are cancelled with the program that runs
 * them. Needs the package `kysely`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { PG } from "effect-global-pool"
 * import * as Pooled from "effect-global-pool/kysely"
 *
 * const pgdb = PG.make({ host: "localhost", username: "app", database: "app" })
 * const db = Pooled.make<{ users: { name: string } }>(pgdb)
 * const add = (name: string) => db.insertInto("users").values({ name }).execute()
 *
 * const program = pgdb.transaction(Effect.andThen(Pooled.run(() => add("Barbara")), Pooled.run(() => add("Edsger"))))
 * ```
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { isSqlError, SqlError, UnknownError } from "effect/sql/SqlError"
import { AbortedTransactionError, Kysely, type KyselyConfig } from "kysely"
import { call, inherit } from "./api/AsyncContext.ts"
import type { AnyDatabase } from "./api/Database.ts"
import { isPoolError, toSqlError } from "./errors/PoolError.ts"
import { type DialectOptions, dialect } from "./kysely/Dialect.ts"
import type { PoolRegistry } from "./registry/PoolRegistry.ts"

export { type DialectOptions, dialect }

/** Kysely's options but for its dialect, and the dialect's. */
export interface Options extends Omit<KyselyConfig, "dialect">, DialectOptions {}

/**
 * Kysely on the pool of a handle; values are as the handle has them.
 *
 * **Details**
 *
 * A query that a fiber begins, as in `Effect.promise(() => query.execute())`, joins the fiber's transaction; in it, Kysely's own
 * transactions are savepoints. After an `await` no fiber is known: `run` keeps it. With a `runtime`, queries may be begun
 * outside Effect too; they join nothing.
 */
export const make = <Tables>(pgdb: AnyDatabase, { runtime, ...config }: Options = {}): Kysely<Tables> => {
  const db = new Kysely<Tables>({ ...config, dialect: dialect(pgdb, { runtime }) })
  // Kysely waits before its first use of the driver, and so loses the fiber of the caller. This use sends nothing.
  void db.connection().execute(() => Promise.resolve())
  return db
}

const failure = (error: unknown): Effect.Effect<never, SqlError> => {
  if (isPoolError(error)) return Effect.fail(toSqlError(error))
  if (error instanceof AbortedTransactionError) {
    const { message } = error
    return Effect.fail(
      new SqlError({ reason: new UnknownError({ cause: error, message, operation: "commit" }) })
    )
  }
  return isSqlError(error) ? Effect.fail(error) : Effect.die(error)
}

/**
 * Runs an async function whose queries join this program's transaction, over each `await`, and are cancelled with it. Fails
 * with `SqlError`, of which a `PoolError` or Kysely's `AbortedTransactionError` is the cause of its reason; what else the function
 * rejects with is a defect.
 */
export const run = <A>(f: () => PromiseLike<A> | A): Effect.Effect<A, SqlError, PoolRegistry> =>
  Effect.catch(call(f), failure)

/** The rows of a query as they come, in this program's transaction. */
export const stream = <A>(query: {
  readonly stream: () => AsyncIterableIterator<A>
}): Stream.Stream<A, SqlError, PoolRegistry> =>
  Stream.unwrap(
    Effect.contextWith((context: Context.Context<PoolRegistry>) =>
      Effect.succeed(
        Stream.catch(
          Stream.fromAsyncIterable(
            {
              [Symbol.asyncIterator]: () => {
                const gone = new AbortController()
                const from = { context, signal: gone.signal }
                const iterator = inherit(from, () => query.stream())
                const pulled: AsyncIterator<A, undefined> = {
                  next: () => inherit(from, () => iterator.next()),
                  return: async () => {
                    gone.abort()
                    await inherit(from, () => iterator.return?.())?.catch(() => undefined)
                    return { done: true, value: undefined }
                  }
                }
                return pulled
              }
            },
            (error) => error
          ),
          (error) => Stream.fromEffect(failure(error))
        )
      )
    )
  )
