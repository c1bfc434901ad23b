/**
 * Handles for people outside Effect: their methods return promises and async iterables, which run on a runtime.
 *
 * A method is the handle's own operation, run: types, values and errors are those of the operation.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as ManagedRuntime from "effect/ManagedRuntime"
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { type SqlError, UnknownError } from "effect/sql/SqlError"
import type { CopyFromOptions, ProgressOptions } from "../collection/Types.ts"
import { finish } from "../errors/BuildError.ts"
import { type PoolError, refused } from "../errors/PoolError.ts"
import type { Row } from "../execute/Outcome.ts"
import type { PoolRegistry } from "../registry/PoolRegistry.ts"
import type { Settings } from "../settings/Settings.ts"
import type { Sql } from "../statement/Sql.ts"
import type { TransactionOptions } from "../transaction/TransactionOptions.ts"
import { abortedOf, onAbort } from "./AbortSignals.ts"
import type { LockKey } from "./AdvisoryLock.ts"
import { call, type Inherited, inherited } from "./AsyncContext.ts"
import { toAsyncIterable } from "./AsyncIterable.ts"
import { type Database, make } from "./Database.ts"
import type { ListenOptions } from "./Listen.ts"
import type { CopyData, EffectOnly, PromiseDatabase, Promises } from "./PromiseHandles.ts"
import type { DecodedTable, Table } from "./Table.ts"

/** Options of `PG.promise`. */
export interface PromiseOptions {
  /** Interrupts what runs when it aborts; a statement under way is cancelled on the server. */
  readonly signal?: AbortSignal | undefined
}

/** How a handle's programs run. */
interface Runner {
  readonly run: <A, E>(effect: Effect.Effect<A, E, PoolRegistry>) => Promise<A>
  readonly iterate: <A, E>(stream: Stream.Stream<A, E, PoolRegistry>) => AsyncIterable<A>
}

/** With this a disposed runtime dies. */
const disposed = "ManagedRuntime disposed"

const isDisposed = (cause: Cause.Cause<unknown>): boolean => Cause.squash(cause) === disposed

const refusedByRuntime = (): PoolError =>
  refused(
    "The runtime of this handle has been disposed, so nothing was sent. End what uses the handle first."
  )

/** The services of a runtime; fails where that has been disposed. */
export const contextOf = <R, E>(
  runtime: ManagedRuntime.ManagedRuntime<R, E>
): Effect.Effect<Context.Context<R>, E | PoolError> =>
  Effect.catchCauseIf(runtime.contextEffect, isDisposed, () => Effect.fail(refusedByRuntime()))

const cutOffByRuntime = (): SqlError =>
  finish(
    (message) => new UnknownError({ cause: new Error(message), message, operation: "query" }),
    [
      "The runtime of this handle was disposed while the operation waited or ran, which ended it. What it had done by then is not known."
    ]
  )

/** What a promise rejects with. No signal has aborted: only the end of its runtime interrupts it. */
const errorOf = (cause: Cause.Cause<unknown>): unknown => {
  if (isDisposed(cause)) return refusedByRuntime()
  return Cause.hasInterruptsOnly(cause) ? cutOffByRuntime() : Cause.squash(cause)
}

const runnerOf = <E>(
  runtime: ManagedRuntime.ManagedRuntime<PoolRegistry, E>,
  { signal }: PromiseOptions
): Runner => {
  const signalsOf = (inside: Inherited | undefined) =>
    [signal, inside?.signal].filter((one) => one !== undefined)
  return {
    run: async (effect) => {
      const inside = inherited()
      const program = inside === undefined ? effect : Effect.provideContext(effect, inside.context)
      const signals = signalsOf(inside)
      if (signals.length === 0) {
        const exit = await runtime.runPromiseExit(program)
        if (Exit.isSuccess(exit)) return exit.value
        throw errorOf(exit.cause)
      }
      // A fiber runs until it waits before its signal is looked at: a statement would be sent.
      const aborted = abortedOf(signals)
      if (aborted !== undefined) throw aborted.reason
      const own = new AbortController()
      const unwatch = signals.map((one) => onAbort(one, () => own.abort(one.reason)))
      const exit = await runtime.runPromiseExit(program, { signal: own.signal })
      for (const stop of unwatch) stop()
      if (Exit.isSuccess(exit)) return exit.value
      throw own.signal.aborted && Cause.hasInterruptsOnly(exit.cause)
        ? own.signal.reason
        : errorOf(exit.cause)
    },
    iterate: (stream) => {
      const inside = inherited()
      const context = inside === undefined ? contextOf(runtime) : Effect.succeed(inside.context)
      const rows = Stream.unwrap(Effect.map(context, (context) => Stream.provideContext(stream, context)))
      return toAsyncIterable(rows, signalsOf(inside))
    }
  }
}

type Operation = (...args: ReadonlyArray<unknown>) => unknown
type Handle = Database | Table | DecodedTable<unknown>
type Callback = (self?: unknown) => PromiseLike<unknown> | unknown

const isOperation = (value: unknown): value is Operation => typeof value === "function"
const isProgram = (value: unknown): value is Effect.Effect<unknown, unknown, PoolRegistry> =>
  Effect.isEffect(value)
const isRows = (value: unknown): value is Stream.Stream<unknown, unknown, PoolRegistry> =>
  Stream.isStream(value)

const isDatabase = (handle: object): handle is Database => "table" in handle
const isTable = (handle: object): handle is Table => "find" in handle

const settle = ({ iterate, run }: Runner, result: unknown): unknown =>
  isRows(result) ? iterate(result) : isProgram(result) ? run(result) : result

/** A handle's operation, or another of its properties. */
const settled = (runner: Runner, value: unknown): unknown => {
  if (isProgram(value)) return () => runner.run(value)
  return isOperation(value) ? (...args: ReadonlyArray<unknown>) => settle(runner, value(...args)) : value
}

type Pieces<A> = AsyncIterable<A> | Iterable<A> | Stream.Stream<A, unknown>

const ignore = () => undefined

/** A stream of Node's that fails before it is read would end the process; the error comes again when it is read. */
const heedErrors = (pieces: object): void => {
  if (Predicate.hasProperty(pieces, "on") && Predicate.isFunction(pieces.on)) pieces.on("error", ignore)
}

/** A generator is asked for one at a time, and ended with the stream; what is in memory already goes as it is. */
const oneByOne = async function* <A>(pieces: Iterable<A>): AsyncGenerator<A> {
  yield* pieces
}

const streamOf = <A>(pieces: Pieces<A>): Stream.Stream<A, unknown> => {
  if (Stream.isStream(pieces)) return pieces
  if (Predicate.hasProperty(pieces, Symbol.asyncIterator)) {
    heedErrors(pieces)
    return Stream.fromAsyncIterable(pieces, (error) => error)
  }
  if (Array.isArray(pieces)) return Stream.fromIterable(pieces)
  return Predicate.hasProperty(pieces, Symbol.iterator)
    ? Stream.fromAsyncIterable(oneByOne(pieces), (error) => error)
    : Stream.fail(
        refused("The data are neither an iterable, async or not, nor a stream. Nothing was stored.")
      )
}

/** A text and bytes are one piece, and not iterables of characters and numbers. */
const dataOf = (data: CopyData): Stream.Stream<string | Uint8Array, unknown> =>
  typeof data === "string" || data instanceof Uint8Array ? Stream.succeed(data) : streamOf(data)

const effectOnly: Readonly<Record<EffectOnly, undefined>> = {
  run: undefined,
  client: undefined,
  clientWith: undefined,
  layer: undefined,
  layerWith: undefined
}

/** A handle with promises; `own` are the properties that are otherwise than the handle's. */
const facade = <H>(runner: Runner, handle: Handle, own: Readonly<Record<string, unknown>>): H => {
  const properties: PropertyDescriptorMap = {}
  for (const name in handle) {
    properties[name] = { get: () => settled(runner, Reflect.get(handle, name)), enumerable: true }
  }
  const transaction = (f: Callback, options?: TransactionOptions) => {
    const program = call(() => f(self))
    return runner.run(handle.transaction(program, options))
  }
  for (const [name, value] of Object.entries({ ...effectOnly, transaction, ...own })) {
    if (name in handle) properties[name] = { value, enumerable: value !== undefined }
  }
  const self: H = Object.freeze(Object.create(handle, properties))
  return self
}

const tableOf = <H>(runner: Runner, handle: Table | DecodedTable<unknown>): H =>
  facade(runner, handle, {
    insertStream: (rows: Pieces<object>, options?: ProgressOptions) =>
      runner.run(handle.insertStream(streamOf(rows), options)),
    copyFrom: (data: CopyData, options?: CopyFromOptions<unknown> & CopyFromOptions<Row>) =>
      runner.run(handle.copyFrom(dataOf(data), options))
  })

interface PromiseListenOptions extends Omit<ListenOptions, "onListen"> {
  readonly onListen?: (() => PromiseLike<unknown> | unknown) | undefined
}

const databaseOf = <H>(runner: Runner, handle: Database): H => {
  const { iterate, run } = runner
  return facade(runner, handle, {
    table: (name: string, schema?: Schema.Codec<unknown, unknown>) =>
      tableOf(runner, schema === undefined ? handle.table(name) : handle.table(name, schema)),
    copyFrom: (statement: string | Sql, data: CopyData) => run(handle.copyFrom(statement, dataOf(data))),
    afterCommit: (f: Callback) => run(handle.afterCommit(Effect.orDie(Effect.asVoid(call(f))))),
    listen: (channels: string | ReadonlyArray<string>, { onListen, ...options }: PromiseListenOptions = {}) =>
      iterate(
        handle.listen(channels, { ...options, onListen: onListen === undefined ? undefined : call(onListen) })
      ),
    withLock: (key: LockKey, f: Callback) => run(handle.withLock(key, call(f))),
    tryLock: (key: LockKey, f: Callback) => run(handle.tryLock(key, call(f)))
  })
}

/**
 * Handles whose methods return promises and async iterators, for Express, Fastify, Hono, Next and all code that does not use
 * Effect. The runtime has the pools; its `dispose` ends them.
 *
 * **Details**
 *
 * Values are those of the operations, an `Option` too; errors are what the promise rejects with, as they are. `transaction`,
 * `withLock` and `tryLock` take async functions: what they begin joins, over each `await`. Ending a loop over rows early ends
 * the statement on the server, and so does `signal`.
 *
 * **Example** (A count)
 *
 * ```ts
 * import { ManagedRuntime } from "effect"
 * import { PG } from "effect-global-pool"
 *
 * const runtime = ManagedRuntime.make(PG.layer)
 * const users = PG.promise(runtime)(PG.make("postgres://localhost/app").table("users"))
 *
 * await users.count()
 * await runtime.dispose()
 * ```
 */
export const promise = <E>(
  runtime: ManagedRuntime.ManagedRuntime<PoolRegistry, E>,
  options: PromiseOptions = {}
): Promises => {
  const runner = runnerOf(runtime, options)
  function of(handle: object): unknown {
    if (isDatabase(handle)) return databaseOf(runner, handle)
    return isTable(handle) ? tableOf(runner, handle) : handle
  }
  const promises: Promises = Object.assign(of as Promises, {
    make: <Tables>(settings: Settings | string) => databaseOf<PromiseDatabase<Tables>>(runner, make(settings))
  })
  return promises
}
