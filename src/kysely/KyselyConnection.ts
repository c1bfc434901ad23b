/**
 * What a connection of Kysely's is on a pool: one that it has for itself until it releases it, or its caller's transaction,
 * inside of which its transactions are savepoints.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { SqlError } from "effect/sql/SqlError"
import type { AnyDatabase } from "../api/Database.ts"
import { refused } from "../errors/PoolError.ts"
import { sqlState } from "../errors/SqlState.ts"
import type { PoolRegistry } from "../registry/PoolRegistry.ts"
import type { TransactionOptions } from "../transaction/TransactionOptions.ts"

/** What a statement gave. */
export interface Result {
  readonly command: string
  readonly rowCount: number
  readonly rows: Array<unknown>
}

/** One connection, as Kysely's driver uses it. */
export interface Session {
  readonly context: Context.Context<PoolRegistry>
  readonly run: (sql: string, params: ReadonlyArray<unknown>) => Effect.Effect<Result, SqlError>
  readonly stream: (sql: string, params: ReadonlyArray<unknown>) => Stream.Stream<unknown, SqlError>
  readonly begin: (options: TransactionOptions) => Promise<void>
  /** Whether the server committed, and did not roll back. */
  readonly commit: () => Promise<boolean>
  readonly rollback: () => Promise<void>
  readonly savepoint: (name: string) => Promise<void>
  readonly rollbackTo: (name: string) => Promise<void>
  readonly releaseSavepoint: (name: string) => Promise<void>
  readonly close: () => Promise<void>
}

const isResult = (raw: unknown): raw is Result =>
  typeof raw === "object" && raw !== null && "command" in raw && "rowCount" in raw && "rows" in raw

const resultOf = (raw: Effect.Effect<unknown, SqlError>): Effect.Effect<Result, SqlError> =>
  Effect.map(raw, (result) => (isResult(result) ? result : { command: "", rowCount: 0, rows: [] }))

/** The SQLSTATE of a transaction in which a statement has failed. */
const inFailedTransaction = "25P02"

/** A transaction that stays open until `end` is called. */
interface Level {
  readonly name: string | undefined
  readonly context: Context.Context<PoolRegistry>
  readonly end: (keep: boolean) => Promise<void>
}

class Undone {}
const undone = /* @__PURE__ */ new Undone()

/** Begins a transaction inside this context. */
const open = (
  pgdb: AnyDatabase,
  outer: Context.Context<PoolRegistry>,
  name: string | undefined,
  options: TransactionOptions
): Promise<Level> =>
  new Promise((resolve, reject) => {
    const ending = Deferred.makeUnsafe<void, Undone>()
    const inside = Effect.contextWith((context: Context.Context<PoolRegistry>) => {
      const end = (keep: boolean) => {
        Deferred.doneUnsafe(ending, keep ? Exit.void : Exit.fail(undone))
        return ended
      }
      resolve({ name, context, end })
      return Deferred.await(ending)
    })
    const ended = Effect.runPromiseWith(outer)(
      Effect.catchIf(
        pgdb.transaction(inside, options),
        (error) => error === undone,
        () => Effect.void
      )
    )
    ended.catch(reject)
  })

/** The caller's transaction: what Kysely begins is a savepoint of it. */
export const joined = (
  pgdb: AnyDatabase,
  sql: Effect.Success<AnyDatabase["client"]>,
  caller: Context.Context<PoolRegistry>
): Session => {
  const levels: Array<Level> = []
  const context = () => levels.at(-1)?.context ?? caller
  const begin = async (name: string | undefined, options: TransactionOptions) => {
    levels.push(await open(pgdb, context(), name, options))
  }
  const end = async (keep: boolean) => {
    await levels.pop()?.end(keep)
  }
  /** Ends all levels, as `COMMIT` and `ROLLBACK` end the savepoints that are open. */
  const endAll = async (keep: boolean) => {
    while (levels.length > 0) await end(keep)
  }
  /** Ends the levels down to the one of this name, the last of those that have it. */
  const endTo = async (name: string, keep: boolean) => {
    if (!levels.some((level) => level.name === name)) throw refused(`There is no savepoint "${name}".`)
    while (levels.length > 0) {
      const isLast = levels.at(-1)?.name === name
      await end(keep)
      if (isLast) return
    }
  }
  return {
    get context() {
      return context()
    },
    run: (text, params) => resultOf(sql.unsafe(text, params).raw),
    stream: (text, params) => sql.unsafe(text, params).stream,
    begin: (options) => begin(undefined, options),
    commit: async () => {
      try {
        await endAll(true)
        return true
      } catch (error) {
        await endAll(false)
        if (sqlState(error) === inFailedTransaction) return false
        throw error
      }
    },
    rollback: () => endAll(false),
    savepoint: (name) => begin(name, {}),
    rollbackTo: async (name) => {
      await endTo(name, false)
      await begin(name, {})
    },
    releaseSavepoint: (name) => endTo(name, true),
    close: () => endAll(false)
  }
}

const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`

/** A connection of the pool, lent until it is closed. */
export const reserved = async (
  sql: Effect.Success<AnyDatabase["client"]>,
  context: Context.Context<PoolRegistry>,
  start: <A, E>(context: Context.Context<PoolRegistry>, program: Effect.Effect<A, E>) => Promise<A>
): Promise<Session> => {
  const scope = Scope.makeUnsafe()
  const run = Effect.runPromiseWith(context)
  const connection = await start(context, Scope.provide(sql.reserve, scope)).catch(async (error) => {
    await run(Scope.close(scope, Exit.void))
    throw error
  })
  const command = (text: string) => run(resultOf(connection.executeRaw(text, [])))
  const complete = async (text: string) => {
    await command(text)
  }
  return {
    context,
    run: (text, params) => resultOf(connection.executeRaw(text, params)),
    stream: (text, params) => connection.executeStream(text, params, undefined),
    begin: ({ isolation, readOnly }) =>
      complete(
        "start transaction" +
          (isolation === undefined ? "" : ` isolation level ${isolation}`) +
          (readOnly === undefined ? "" : readOnly ? " read only" : " read write")
      ),
    commit: () => command("commit").then((result) => result.command !== "ROLLBACK"),
    rollback: () => complete("rollback"),
    savepoint: (name) => complete(`savepoint ${quoted(name)}`),
    rollbackTo: (name) => complete(`rollback to ${quoted(name)}`),
    releaseSavepoint: (name) => complete(`release ${quoted(name)}`),
    close: () => run(Scope.close(scope, Exit.void))
  }
}

/** Whether a caller is in a transaction of the client's pool. */
export const isJoined = (
  sql: Effect.Success<AnyDatabase["client"]>,
  caller: Context.Context<PoolRegistry>
): boolean => Context.getOrUndefined(caller, sql.transactionService) !== undefined
