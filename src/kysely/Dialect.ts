/**
 * Kysely's queries on a pool: its dialect, whose driver finds the transaction of the fiber that begins a query.
 *
 * That is the fiber in which the query is begun, or the program that called the async function around it
 * (`AsyncContext.ts`), or a runtime. Where it is none of them the query fails, rather than run outside of a transaction.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { identity } from "effect/Function"
import type * as ManagedRuntime from "effect/ManagedRuntime"
import * as Stream from "effect/Stream"
import {
  AbortedTransactionError,
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryResult,
  type TransactionSettings
} from "kysely"
import { onAbort } from "../api/AbortSignals.ts"
import { inherited } from "../api/AsyncContext.ts"
import { toAsyncIterable } from "../api/AsyncIterable.ts"
import type { AnyDatabase } from "../api/Database.ts"
import { contextOf } from "../api/Promises.ts"
import { PoolRegistry } from "../registry/PoolRegistry.ts"
import type { TransactionOptions } from "../transaction/TransactionOptions.ts"
import { isJoined, joined, type Result, reserved, type Session } from "./KyselyConnection.ts"

/** Options of the dialect. */
export interface DialectOptions {
  /** Runs the queries that are begun outside Effect. Without it they fail. */
  readonly runtime?: ManagedRuntime.ManagedRuntime<PoolRegistry, unknown> | undefined
}

/** Who begins a query. */
interface Caller {
  readonly context: Context.Context<PoolRegistry>
  readonly signal: AbortSignal | undefined
  readonly fiber: Fiber.Fiber<unknown, unknown> | undefined
}

const hasRegistry = (context: Context.Context<never>): context is Context.Context<PoolRegistry> =>
  Context.getOrUndefined(context, PoolRegistry) !== undefined

const callerNow = (): Caller | undefined => {
  const inside = inherited()
  if (inside !== undefined) return { ...inside, fiber: undefined }
  const fiber = Fiber.getCurrent()
  return fiber !== undefined && hasRegistry(fiber.context)
    ? { context: fiber.context, signal: undefined, fiber }
    : undefined
}

const outsideError = () =>
  new Error(
    "This query was begun outside of an Effect, for instance after an await. Begin it in run(() => …) of effect-global-pool/kysely, or give the dialect a runtime."
  )

const interruptedError = () => new Error("The Effect that this query belongs to was interrupted.")

const callerOf = async ({ runtime }: DialectOptions): Promise<Caller> => {
  if (runtime === undefined) throw outsideError()
  return { context: await Effect.runPromise(contextOf(runtime)), signal: undefined, fiber: undefined }
}

const changing: ReadonlyArray<string> = ["INSERT", "UPDATE", "DELETE", "MERGE"]

/** Kysely's users say what rows are. */
const answerOf = <R>({ command, rowCount, rows }: Result): QueryResult<R> => ({
  rows: rows as Array<R>,
  ...(changing.includes(command) ? { numAffectedRows: BigInt(rowCount) } : {})
})

/** A connection as Kysely has it; what it is on the pool is decided by its first use. */
interface Connection extends DatabaseConnection {
  readonly session: () => Promise<Session>
  readonly isInterrupted: () => boolean
  /** Throws where its caller was interrupted. */
  readonly check: () => void
  readonly release: () => Promise<void>
}

type Program<A, E> = Effect.Effect<A, E, PoolRegistry>

/** Whose queries a connection runs. */
interface Found {
  readonly context: Context.Context<PoolRegistry>
  readonly sql: Effect.Success<AnyDatabase["client"]>
  readonly unwatch: () => void
}

const ignore = (done: Promise<unknown>): Promise<unknown> => done.catch(() => undefined)

/** Made when it is first asked for, and once. */
const lazy = <A>(make: () => Promise<A>) => {
  const made: Array<Promise<A>> = []
  return {
    get: (): Promise<A> => {
      const [first = make()] = made
      if (made.length === 0) made.push(first)
      return first
    },
    isMade: () => made.length > 0
  }
}

const connectionOf = (pgdb: AnyDatabase, options: DialectOptions): Connection => {
  const began = callerNow()
  const stops = new Set<AbortController>()
  const stop = () => {
    for (const one of stops) one.abort(interruptedError())
  }
  let isInterrupted = false
  const interrupt = () => {
    isInterrupted = true
    stop()
    // Its function may never come to an end, and nothing stays open for it.
    if (session.isMade()) ignore(session.get().then(({ close }) => close()))
  }
  /** The promises of a caller that was interrupted go on, and begin further queries. */
  const check = () => {
    if (isInterrupted || began?.signal?.aborted === true) throw interruptedError()
  }
  /** Runs something that `stop` ends. */
  const run = async <A, E>(context: Context.Context<PoolRegistry>, program: Program<A, E>): Promise<A> => {
    check()
    const own = new AbortController()
    stops.add(own)
    const running = Effect.runPromiseWith(context)(program, { signal: own.signal })
    return running.finally(() => stops.delete(own))
  }
  const found = lazy(async (): Promise<Found> => {
    const { context, fiber, signal } = began ?? (await callerOf(options))
    // The fiber does not know of the query: it is ended when the fiber is interrupted.
    const unwatch = fiber?.addObserver((exit) => {
      if (Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause)) interrupt()
    })
    const unlisten = signal === undefined ? undefined : onAbort(signal, interrupt)
    const sql = await run(context, pgdb.clientWith({ values: "handle" }))
    const unwatchAll = () => {
      unwatch?.()
      unlisten?.()
    }
    return { context, sql, unwatch: unwatchAll }
  })
  const session = lazy(async () => {
    const { context, sql } = await found.get()
    return isJoined(sql, context) ? joined(pgdb, sql, context) : reserved(sql, context, run)
  })
  /** Rows of a connection that did nothing else come on one of the pool's, where they are not read ahead. */
  const rowsOf = async (text: string, params: ReadonlyArray<unknown>) => {
    check()
    if (session.isMade()) {
      const { context, stream } = await session.get()
      return Stream.provideContext(Stream.chunks(stream(text, params)), context)
    }
    const { context, sql } = await found.get()
    return Stream.provideContext(Stream.chunks(sql.unsafe(text, params).stream), context)
  }
  return {
    session: session.get,
    isInterrupted: () => isInterrupted,
    check,
    executeQuery: async <R>({ parameters, sql }: CompiledQuery): Promise<QueryResult<R>> => {
      const one = await session.get()
      return answerOf<R>(await run(one.context, one.run(sql, parameters)))
    },
    streamQuery: <R>({ parameters, sql }: CompiledQuery): AsyncIterableIterator<QueryResult<R>> => {
      const pieces = Stream.unwrap(Effect.tryPromise({ try: () => rowsOf(sql, parameters), catch: identity }))
      const results = Stream.map(pieces, (rows): QueryResult<R> => ({ rows: Array.from(rows) as Array<R> }))
      const own = new AbortController()
      stops.add(own)
      const iterator = toAsyncIterable(results, [own.signal])[Symbol.asyncIterator]()
      const end = async (): Promise<IteratorResult<QueryResult<R>>> => {
        stops.delete(own)
        await iterator.return?.()
        return { done: true, value: undefined }
      }
      return {
        next: () => iterator.next(),
        return: end,
        [Symbol.asyncIterator]() {
          return this
        }
      }
    },
    cancelQuery: async () => stop(),
    release: async () => {
      if (session.isMade()) await ignore(session.get().then(({ close }) => close()))
      if (found.isMade()) await ignore(found.get().then(({ unwatch }) => unwatch()))
    }
  }
}

const isConnection = (connection: DatabaseConnection): connection is Connection =>
  "session" in connection && "release" in connection

const sessionOf = (connection: DatabaseConnection): Promise<Session> =>
  isConnection(connection) ? connection.session() : Promise.reject(outsideError())

const optionsOf = ({ accessMode, isolationLevel }: TransactionSettings): TransactionOptions => ({
  isolation: isolationLevel === "snapshot" ? "repeatable read" : isolationLevel,
  readOnly: accessMode === undefined ? undefined : accessMode === "read only"
})

/**
 * Is ready in the same moment, by a `then` that does not wait: Kysely would wait otherwise before its first query, and
 * the fiber that begins it be gone.
 */
const ready = (): Promise<void> =>
  // biome-ignore lint/suspicious/noThenProperty: Kysely calls it
  Object.assign(Promise.resolve(), { then: (f: () => void) => Promise.resolve(f()) })

const driverOf = (pgdb: AnyDatabase, options: DialectOptions): Driver => ({
  init: ready,
  acquireConnection: () => Promise.resolve(connectionOf(pgdb, options)),
  beginTransaction: async (connection, settings) => (await sessionOf(connection)).begin(optionsOf(settings)),
  commitTransaction: async (connection) => {
    const { commit } = await sessionOf(connection)
    if (isConnection(connection)) connection.check()
    if (!(await commit())) throw new AbortedTransactionError()
  },
  rollbackTransaction: async (connection) => {
    // An interruption has rolled back, and its error or the function's own is the one to tell.
    if (isConnection(connection) && connection.isInterrupted()) return
    return (await sessionOf(connection)).rollback()
  },
  savepoint: async (connection, name) => (await sessionOf(connection)).savepoint(name),
  rollbackToSavepoint: async (connection, name) => (await sessionOf(connection)).rollbackTo(name),
  releaseSavepoint: async (connection, name) => (await sessionOf(connection)).releaseSavepoint(name),
  releaseConnection: async (connection) => {
    if (isConnection(connection)) await connection.release()
  },
  // The pool is the registry's.
  destroy: () => Promise.resolve()
})

/** Kysely's dialect on the pool of a handle. */
export const dialect = (pgdb: AnyDatabase, options: DialectOptions = {}): Dialect => ({
  createDriver: () => driverOf(pgdb, options),
  createQueryCompiler: () => new PostgresQueryCompiler(),
  createAdapter: () => new PostgresAdapter(),
  createIntrospector: (db) => new PostgresIntrospector(db)
})
