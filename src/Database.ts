/**
 * A handle to a database: a plain value, which connects nothing. Operations on it are Effect programs that find the
 * database's pool in the registry and run there.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Reactivity from "effect/reactivity/Reactivity"
import type * as Schema from "effect/Schema"
import * as SqlClient from "effect/sql/SqlClient"
import * as Client from "./Client.ts"
import { Handle, onPool, Source } from "./Handle.ts"
import * as Lock from "./Lock.ts"
import type { OperationError, Operations, Row, RowOperations } from "./Operations.ts"
import type { PoolError } from "./PoolError.ts"
import { PoolRegistry } from "./PoolRegistry.ts"
import * as Overload from "./pool/Overload.ts"
import type { Pool } from "./pool/Pool.ts"
import * as SharedRegistry from "./SharedRegistry.ts"
import type { Settings } from "./settings/Settings.ts"
import * as Table from "./Table.ts"

/**
 * A handle to a database, made by `PG.make`. An immutable value; nothing connects until an operation runs.
 *
 * The counterpart of asyncpg's `Pool` and of pymongo's `Database`.
 */
export interface Database extends Operations, RowOperations<Row> {
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
  readonly table: {
    <A = Row>(name: string): Table.Table<A>
    <A, I>(name: string, schema: Schema.Codec<A, I>): Table.DecodedTable<A>
  }

  /** `PG.run` of `f` with this handle: when it returns, every connection is closed. */
  readonly run: <A, E, R>(
    f: (self: Database) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, Exclude<R, PoolRegistry>>

  /**
   * Ends this key's pool now, whichever handle opened it: statements under way get 5 seconds to finish and are cancelled
   * then. The next operation opens a new pool. The counterpart of asyncpg's `Pool.close` and pymongo's `MongoClient.close`.
   */
  readonly terminate: Effect.Effect<void, never, PoolRegistry>

  /** `terminate` with another time to finish; `0` cancels at once, as asyncpg's `Pool.terminate`. */
  readonly terminateWithin: (grace: Duration.Input) => Effect.Effect<void, never, PoolRegistry>

  /** The standard Effect SQL client on the same pool, for `SqlSchema`, `SqlModel`, `SqlResolver` and `PgMigrator`. */
  readonly client: Effect.Effect<PgClient.PgClient, PoolError, PoolRegistry>

  /** `client` as a layer of both its services. */
  readonly layer: Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, PoolError, PoolRegistry>

  /**
   * Runs an effect when the fiber's transaction has committed, and not if it rolls back; at once outside of one. Its
   * failures are logged, since the transaction cannot be undone any more.
   */
  readonly afterCommit: <R>(
    effect: Effect.Effect<void, never, R>
  ) => Effect.Effect<void, PoolError, R | PoolRegistry>

  /**
   * Waits for the advisory lock of this key and runs the effect in the transaction that holds it. A text, a whole number or
   * a bigint; the same text is the same lock in every program.
   */
  readonly withLock: <A, E, R>(
    key: Lock.LockKey,
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | OperationError, R | PoolRegistry>

  /** As `withLock`, but `Option.none()` at once while somebody else holds the lock. */
  readonly tryLock: <A, E, R>(
    key: Lock.LockKey,
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<Option.Option<A>, E | OperationError, R | PoolRegistry>
}

const defaultGrace = Duration.seconds(5)

/** One client per pool for callbacks after a commit, which belong to the transaction and not to the client. */
const clients = new WeakMap<Pool, PgClient.PgClient>()

const clientOf = (pool: Pool, current: Effect.Effect<Pool, PoolError>): Effect.Effect<PgClient.PgClient> =>
  Effect.suspend(() => {
    const known = clients.get(pool)
    if (known !== undefined) return Effect.succeed(known)
    return Client.make(pool, current).pipe(
      Effect.provideServiceEffect(Reactivity.Reactivity, Reactivity.make),
      Effect.tap((client) => Effect.sync(() => clients.set(pool, client)))
    )
  })

class DatabaseHandle extends Handle<Row, never> implements Database {
  protected override get decode(): undefined {
    return undefined
  }

  table<A = Row>(name: string): Table.Table<A>
  table<A, I>(name: string, schema: Schema.Codec<A, I>): Table.DecodedTable<A>
  table<A, I>(name: string, schema?: Schema.Codec<A, I>): Table.Table<A> | Table.DecodedTable<A> {
    return schema === undefined
      ? Table.vouched<A>(this.source, name)
      : Table.decoded(this.source, name, schema)
  }

  run<A, E, R>(f: (self: Database) => Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, PoolRegistry>> {
    return SharedRegistry.run(Effect.suspend(() => f(this)))
  }

  get terminate(): Effect.Effect<void, never, PoolRegistry> {
    return this.terminateWithin(defaultGrace)
  }

  terminateWithin(grace: Duration.Input): Effect.Effect<void, never, PoolRegistry> {
    const checked = this.source.checked()
    if (Result.isFailure(checked)) return Effect.void
    const millis = Duration.toMillis(Option.getOrElse(Duration.fromInput(grace), () => defaultGrace))
    return Effect.flatMap(PoolRegistry, (registry) => registry.terminate(checked.success.key, millis))
  }

  /** The pool of the moment, for what outlives a pool. */
  get #current(): Effect.Effect<Effect.Effect<Pool, PoolError>, never, PoolRegistry> {
    return Effect.map(PoolRegistry, (registry) =>
      Effect.provideService(onPool(this.source, Effect.succeed), PoolRegistry, registry)
    )
  }

  get client(): Effect.Effect<PgClient.PgClient, PoolError, PoolRegistry> {
    return Effect.flatMap(this.#current, (current) =>
      Effect.flatMap(current, (pool) =>
        Effect.flatMap(Effect.serviceOption(Reactivity.Reactivity), (reactivity) =>
          Option.isNone(reactivity)
            ? clientOf(pool, current)
            : Effect.provideService(Client.make(pool, current), Reactivity.Reactivity, reactivity.value)
        )
      )
    )
  }

  get layer(): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, PoolError, PoolRegistry> {
    return Layer.effectContext(
      Effect.map(this.client, (client) =>
        Context.make(PgClient.PgClient, client).pipe(Context.add(SqlClient.SqlClient, client))
      )
    ).pipe(Layer.provide(Reactivity.layer))
  }

  afterCommit<R>(effect: Effect.Effect<void, never, R>): Effect.Effect<void, PoolError, R | PoolRegistry> {
    return Effect.flatMap(this.#current, (current) =>
      Effect.flatMap(current, (pool) =>
        Effect.flatMap(clientOf(pool, current), (client) =>
          client.afterCommit(Overload.freeOf(effect, pool.settings.key))
        )
      )
    )
  }

  withLock<A, E, R>(
    key: Lock.LockKey,
    effect: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | OperationError, R | PoolRegistry> {
    return onPool(this.source, (pool) => Lock.withLock(pool, key, effect))
  }

  tryLock<A, E, R>(
    key: Lock.LockKey,
    effect: Effect.Effect<A, E, R>
  ): Effect.Effect<Option.Option<A>, E | OperationError, R | PoolRegistry> {
    return onPool(this.source, (pool) => Lock.tryLock(pool, key, effect))
  }

  override toString(): string {
    return `Database ${this.source}`
  }
}

/** What changes the object afterwards does not change the handle. What is no object is left for `check` to refuse. */
const copyOf = (settings: Settings): Settings =>
  typeof settings === "object" && settings !== null && !Array.isArray(settings) ? { ...settings } : settings

/** A handle from settings, or from a libpq URL. */
export const make = (settings: Settings | string): Database =>
  new DatabaseHandle(new Source(typeof settings === "string" ? { url: settings } : copyOf(settings)))
