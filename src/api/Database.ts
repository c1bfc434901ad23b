/**
 * A handle to a database: a plain value, which connects nothing. Operations on it are Effect programs that find the
 * database's pool in the registry and run there.
 */
import type { PgClient } from "@effect/sql-pg/PgClient"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { SqlClient } from "effect/sql/SqlClient"
import type {
  AnyTables,
  ChangesOf,
  InsertOf,
  RowOf,
  RowSchema,
  SchemaChanges,
  SchemaInsert
} from "../collection/Types.ts"
import { type OperationError, type PoolError, refused } from "../errors/PoolError.ts"
import type { Outcome, Row } from "../execute/Outcome.ts"
import type { Notification } from "../protocol/Session.ts"
import { PoolRegistry } from "../registry/PoolRegistry.ts"
import * as SharedRegistry from "../registry/SharedRegistry.ts"
import { checkLater } from "../settings/Check.ts"
import type { Settings } from "../settings/Settings.ts"
import type { Words } from "../settings/Words.ts"
import type { Sql } from "../statement/Sql.ts"
import { type Bound, fromArguments, fromStatement } from "../statement/Statement.ts"
import { afterCommit } from "../transaction/Transaction.ts"
import { ownText } from "../types/Parameters.ts"
import * as AdvisoryLock from "./AdvisoryLock.ts"
import type { ClientOptions } from "./Client.ts"
import * as Copy from "./Copy.ts"
import { type Description, describe } from "./Describe.ts"
import { type Makers, makeHandle, namingOf, onPool, prototypeOf, whereOf } from "./Handle.ts"
import { type ListenOptions, listen } from "./Listen.ts"
import type { Operations, RowOperations, Run } from "./Operations.ts"
import { operations, outcomeOf, type QuerySource, runBound } from "./Query.ts"
import { type ScriptOptions, script } from "./Script.ts"
import * as Table from "./Table.ts"

/** `table` where nothing is known of the tables. */
export interface AnyTable {
  <A = Row>(name: string): Table.Table<A>
  <S extends RowSchema>(name: string, schema: S): SchemaTable<S>
}

/** `table` where the tables are known. */
export interface KnownTable<Tables> {
  <N extends keyof Tables & string>(
    name: N
  ): Table.Table<RowOf<Tables[N]>, InsertOf<Tables[N]>, ChangesOf<Tables[N]>>
  <S extends RowSchema>(name: keyof Tables & string, schema: S): SchemaTable<S>
}

export type SchemaTable<S extends RowSchema> = Table.DecodedTable<
  S["Type"],
  SchemaInsert<S>,
  SchemaChanges<S>
>

/**
 * A handle to a database, made by `PG.make`. An immutable value; nothing connects until an operation runs. `Tables` is what is known of
 * its tables: `npx effect-global-pool types` writes it.
 *
 * The counterpart of asyncpg's `Pool` and of pymongo's `Database`.
 */
export interface Database<Tables = AnyTables> extends Operations, RowOperations<Row> {
  /**
   * A handle to a table: `"users"`, or `"audit.events"` for schema and table. Each call returns a new, immutable handle.
   *
   * Names are taken as they stand, capitals and spaces too. The first dot separates, unless the part is in double quotes as in
   * SQL: `"audit.events"` with its quotes is one table, and so is `we"ird.Name`, whose quote stands in its middle.
   *
   * With a `Schema`, what comes out is decoded by it and what goes in is encoded by it; with a type argument, the caller
   * vouches for the row's type.
   *
   * **Example** (Three kinds of handles)
   *
   * ```ts
   * import { Schema } from "effect"
   * import { PG } from "effect-global-pool"
   *
   * const pgdb = PG.make("postgres://localhost/app")
   * const anything = pgdb.table("users")
   * const typed = pgdb.table<{ id: number; name: string }>("users")
   * const checked = pgdb.table("users", Schema.Struct({ id: Schema.Number, name: Schema.String }))
   * ```
   */
  readonly table: string extends keyof Tables ? AnyTable : KnownTable<Tables>

  /**
   * Runs the statements of an SQL file, without parameters: in one transaction, all or none, unless the text begins and ends its
   * own. Gives their outcomes in order; an error names the statement and its line.
   *
   * **Gotchas**
   *
   * What may not run in a transaction, such as `vacuum`, fails in a script: run it by `execute`. Inside `transaction` the script is
   * a savepoint of it. Commands of psql and `COPY … FROM stdin` with its data are refused before anything is sent.
   *
   * **Example** (A file)
   *
   * ```ts
   * import { PG } from "effect-global-pool"
   *
   * const pgdb = PG.make("postgres://localhost/app")
   * const text = "create temp table t (id int); insert into t values (1); insert into t values (2)"
   * const applied = pgdb.script(text, { name: "schema.sql" })
   * ```
   */
  readonly script: (
    text: string,
    options?: ScriptOptions
  ) => Effect.Effect<ReadonlyArray<Outcome>, OperationError, PoolRegistry>

  /**
   * The types of a statement's parameters and of its columns, without running it: the server's own names, such as `int4` and
   * `text[]`. A domain is given as its base type.
   *
   * **Example** (What a statement takes and gives)
   *
   * ```ts
   * import { PG } from "effect-global-pool"
   *
   * const pgdb = PG.make("postgres://localhost/app")
   * const described = pgdb.describe("select oid, relname from pg_class where relname = any($1)")
   * ```
   */
  readonly describe: Run<Description, OperationError, PoolRegistry>

  /** `PG.run` of `f` with this handle: when it returns, every connection is closed. */
  readonly run: <A, E, R>(
    f: (self: Database<Tables>) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, Exclude<R, PoolRegistry>>

  /**
   * Ends this key's pool now, no matter which handle opened it: statements under way get 5 seconds to finish and are cancelled
   * then. The next operation opens a new pool. The counterpart of asyncpg's `Pool.close` and pymongo's `MongoClient.close`.
   */
  readonly terminate: Effect.Effect<void, never, PoolRegistry>

  /** `terminate` with another time to finish; `0` cancels at once, as asyncpg's `Pool.terminate`. */
  readonly terminateWithin: (grace: Duration.Input) => Effect.Effect<void, never, PoolRegistry>

  /**
   * The standard Effect SQL client on the same pool, in place of `PgClient.layer`: for `SqlSchema`, `SqlModel`, `SqlResolver`,
   * `PgMigrator`, and all modules of Effect that take a `SqlClient`.
   *
   * **Details**
   *
   * Values are as the driver has them: an `int8` is a bigint, an `interval` an object. What the driver garbles or fails of
   * (points, ranges, composites, arrays of enums or of several dimensions …) comes as from a handle. A `Date` that is bound to
   * a column without a zone is its UTC day and time, whatever the session's zone.
   */
  readonly client: Effect.Effect<PgClient, PoolError, PoolRegistry>

  /** `client` with options: names transformed, values as handles have them, attributes of spans. */
  readonly clientWith: (options: ClientOptions) => Effect.Effect<PgClient, PoolError, PoolRegistry>

  /** `client` as a layer of both its services. */
  readonly layer: Layer.Layer<PgClient | SqlClient, PoolError, PoolRegistry>

  /** `clientWith` as a layer of both its services. */
  readonly layerWith: (options: ClientOptions) => Layer.Layer<PgClient | SqlClient, PoolError, PoolRegistry>

  /**
   * Runs an effect when the fiber's transaction has committed, and not if it rolls back; at once outside of one. Its
   * failures are logged, since the transaction cannot be undone any more.
   */
  readonly afterCommit: <R>(
    effect: Effect.Effect<void, never, R>
  ) => Effect.Effect<void, PoolError, R | PoolRegistry>

  /**
   * Notifications of one channel or several, as they come. Channels are named as they stand.
   *
   * **Details**
   *
   * All listeners of a pool share one connection, outside of `maxConnections`. When it is lost it is opened again, with pauses
   * that grow to 30 seconds, and `onListen` runs anew.
   *
   * **Gotchas**
   *
   * Postgres keeps no notification for a listener that is away. Fetch what was missed in `onListen`. A stream whose reader is
   * slower than its notifications fails when `bufferSize` of them wait.
   *
   * The counterpart of asyncpg's `Connection.add_listener`.
   *
   * **Example** (The first job that is announced)
   *
   * ```ts
   * import { Effect, Stream } from "effect"
   * import { PG } from "effect-global-pool"
   *
   * const pgdb = PG.make("postgres://localhost/app")
   * const jobs = pgdb.listen("jobs", { onListen: pgdb.notify("jobs", "42") })
   * const first = Stream.runHead(jobs)
   * ```
   */
  readonly listen: <E = never, R = never>(
    channels: string | ReadonlyArray<string>,
    options?: ListenOptions<E, R>
  ) => Stream.Stream<Notification, E | OperationError, R | PoolRegistry>

  /**
   * Notifies the listeners of a channel, in a transaction when it commits. A payload has less than 8000 bytes.
   */
  readonly notify: (channel: string, payload?: string) => Effect.Effect<void, OperationError, PoolRegistry>

  /**
   * Runs any `COPY … FROM STDIN` with a stream of bytes or texts as its data, and gives the number of rows. As `copyFrom` of a
   * table's handle, for options that it does not have.
   *
   * asyncpg's `copy_to_table`.
   */
  readonly copyFrom: <E, R>(
    statement: string | Sql,
    data: Stream.Stream<Uint8Array | string, E, R>
  ) => Effect.Effect<number, E | OperationError, R | PoolRegistry>

  /**
   * The data of any `COPY … TO STDOUT`, of a query too, as a stream of bytes. Values in a template's query are bound.
   *
   * asyncpg's `copy_from_table` and `copy_from_query`.
   *
   * **Example** (A query as CSV)
   *
   * ```ts
   * import { PG } from "effect-global-pool"
   *
   * const pgdb = PG.make("postgres://localhost/app")
   * const adults = pgdb.copyTo(PG.sql`copy (select name from users where age >= ${18}) to stdout (format csv)`)
   * ```
   */
  readonly copyTo: (statement: string | Sql) => Stream.Stream<Uint8Array, OperationError, PoolRegistry>

  /**
   * Waits for the advisory lock of this key and runs the effect in the transaction that holds it. A text, a whole number or
   * a bigint; the same text is the same lock in every program.
   */
  readonly withLock: <A, E, R>(
    key: AdvisoryLock.LockKey,
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | OperationError, R | PoolRegistry>

  /** As `withLock`, but `Option.none()` at once while the lock is held elsewhere. */
  readonly tryLock: <A, E, R>(
    key: AdvisoryLock.LockKey,
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<Option.Option<A>, E | OperationError, R | PoolRegistry>
}

/** What of a handle does not depend on what is known of its tables: any handle is one. */
export type AnyDatabase = Omit<Database, "table" | "run">

/** The payload of a notification may be left out. */
const notification = (channel: unknown, payload: unknown): Result.Result<Bound, PoolError> => {
  const given = payload ?? ""
  return typeof channel === "string" && typeof given === "string"
    ? Result.succeed({
        text: "select pg_catalog.pg_notify($1, $2)",
        params: [ownText(channel), ownText(given)]
      })
    : Result.fail(refused("notify takes a channel's name and a payload, both texts. Nothing was sent."))
}

const defaultGrace = Duration.seconds(5)

type DatabaseSource = QuerySource<never>

const makers: Makers<DatabaseSource, Database> = {
  ...operations<Row, never, DatabaseSource>(),
  table: ({ settings }) => {
    function table<A = Row>(name: string): Table.Table<A>
    function table<S extends RowSchema>(name: string, schema: S): SchemaTable<S>
    function table(name: string, schema?: RowSchema): unknown {
      return schema === undefined
        ? Table.vouchedTable(settings, name)
        : Table.decodedTable(settings, name, schema)
    }
    return table
  },
  script: (source) => (text, options) =>
    onPool(source, (pool, fiber) =>
      Effect.map(script(pool, fiber, text, namingOf(source), options), (exchanges) =>
        exchanges.map(outcomeOf)
      )
    ),
  describe:
    (source) =>
    (first: string | Sql | TemplateStringsArray, ...rest: ReadonlyArray<unknown>) => {
      const statement = fromArguments(first, rest, namingOf(source))
      return Result.isFailure(statement)
        ? Effect.fail(statement.failure)
        : onPool(source, (pool, fiber) => describe(pool, fiber, statement.success.text, namingOf(source)))
    },
  run: (source) => (f) => SharedRegistry.run(Effect.suspend(() => f(makeHandle(prototype, source)))),
  terminate: (source) => terminateWithin(source, defaultGrace),
  terminateWithin: (source) => (grace) => terminateWithin(source, grace),
  client: (source) => clientWith(source),
  clientWith: (source) => (options) => clientWith(source, options),
  layer: (source) => layerWith(source),
  layerWith: (source) => (options) => layerWith(source, options),
  afterCommit: (source) => (effect) => onPool(source, (pool) => afterCommit(pool, effect)),
  listen: (source) => (channels, options) =>
    Stream.unwrap(onPool(source, (pool) => Effect.succeed(listen(pool, channels, options)))),
  notify: (source) => (channel, payload) =>
    Effect.flatMap(Effect.fromResult(notification(channel, payload)), (bound) =>
      Effect.asVoid(runBound(source, bound))
    ),
  copyFrom: (source) => (statement, data) =>
    Effect.flatMap(Effect.fromResult(fromStatement(statement, namingOf(source))), (bound) =>
      Copy.copyFrom(source, bound, data, { place: "copyFrom", takesText: true, onProgress: undefined })
    ),
  copyTo: (source) => (statement) =>
    Stream.unwrap(
      Effect.map(Effect.fromResult(fromStatement(statement, namingOf(source))), (bound) =>
        Copy.copyTo(source, bound)
      )
    ),
  withLock: (source) => (key, effect) =>
    onPool(source, (pool, fiber) => AdvisoryLock.withLock(pool, fiber, key, effect)),
  tryLock: (source) => (key, effect) =>
    onPool(source, (pool, fiber) => AdvisoryLock.tryLock(pool, fiber, key, effect))
}

const prototype = /* @__PURE__ */ prototypeOf(makers, (source) => `Database ${whereOf(source)}`)

/** A program without the standard client does not load the driver's own. */
const loadClient = /* @__PURE__ */ Effect.promise(() => import("./Client.ts"))

const clientWith = (source: DatabaseSource, options?: ClientOptions) =>
  Effect.flatMap(loadClient, ({ clientOf }) => clientOf(source, options))

const layerWith = (source: DatabaseSource, options?: ClientOptions) =>
  Layer.unwrap(Effect.map(loadClient, ({ layerOf }) => layerOf(source, options)))

const terminateWithin = (
  source: DatabaseSource,
  grace: Duration.Input
): Effect.Effect<void, never, PoolRegistry> => {
  const settings = source.settings()
  if (Result.isFailure(settings)) return Effect.void
  const millis = Duration.toMillis(Option.getOrElse(Duration.fromInput(grace), () => defaultGrace))
  return Effect.flatMap(PoolRegistry, (registry) => registry.terminate(settings.success.key, millis))
}

/** A handle from settings over words of libpq's that count where the settings say nothing. */
export const makeOver = <Tables = AnyTables>(words: Words, settings: Settings): Database<Tables> =>
  makeHandle<Database<Tables>, DatabaseSource>(prototype, {
    settings: checkLater(settings, words),
    label: undefined,
    decode: undefined
  })

/** A handle from settings, or from a connection string of libpq's. */
export const make = <Tables = AnyTables>(settings: Settings | string): Database<Tables> =>
  makeOver<Tables>({}, typeof settings === "string" ? { url: settings } : settings)

/**
 * The same handle, of whose tables `Tables` says what is known: for handles that `PG.fromEnv` or an embedded server gave.
 *
 * **Example** (From the environment)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { PG } from "effect-global-pool"
 *
 * interface Tables {
 *   readonly users: { readonly row: { readonly id: number; readonly name: string }; readonly insert: { readonly name: string } }
 * }
 * const pgdb = Effect.map(PG.fromEnv, PG.typed<Tables>)
 * ```
 */
export const typed = <Tables>(pgdb: AnyDatabase): Database<Tables> => {
  // The tables are the compiler's alone.
  const handle: object = pgdb
  return handle as Database<Tables>
}
