/**
 * The types of handles outside Effect: a promise where a handle's operation is an effect, an async iterable where it is a
 * stream, and an async function where it takes an effect.
 */
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import type * as Stream from "effect/Stream"
import type { Collection } from "../collection/CollectionOperations.ts"
import type {
  AnyTables,
  Changes,
  ChangesOf,
  CopyFromOptions,
  InsertOf,
  NewRow,
  ProgressOptions,
  RowOf,
  RowSchema,
  SchemaChanges,
  SchemaInsert
} from "../collection/Types.ts"
import type { OperationError } from "../errors/PoolError.ts"
import type { Row } from "../execute/Outcome.ts"
import type { Notification } from "../protocol/Session.ts"
import type { Settings } from "../settings/Settings.ts"
import type { Identifier } from "../statement/Names.ts"
import type { Sql } from "../statement/Sql.ts"
import type { TransactionOptions } from "../transaction/TransactionOptions.ts"
import type { LockKey } from "./AdvisoryLock.ts"
import type { Database } from "./Database.ts"
import type { Description } from "./Describe.ts"
import type { DecodedOperations, Operations, RowOperations, Run } from "./Operations.ts"
import type { DecodedTable, Table } from "./Table.ts"

/** An operation of a handle, with a promise or an async iterable as its result. */
type Operation<T> =
  T extends Effect.Effect<infer A, infer _E, infer _R>
    ? () => Promise<A>
    : T extends (...args: infer P) => Effect.Effect<infer A, infer _E, infer _R>
      ? (...args: P) => Promise<A>
      : T extends (...args: infer P) => Stream.Stream<infer A, infer _E, infer _R>
        ? (...args: P) => AsyncIterable<A>
        : T

/** The operations of a handle but for these. */
type Others<H, K extends string> = { readonly [N in Exclude<keyof H & string, K>]: Operation<H[N]> }

/** What runs on a handle, whatever its rows are. */
export interface PromiseOperations<Self> extends Omit<Operations<"promise">, "transaction"> {
  /**
   * Runs an async function in a transaction, which rolls back when the function rejects. Every operation of the same database
   * that the function begins joins, through any handle of `PG.promise`, over each `await`.
   */
  readonly transaction: <A>(f: (self: Self) => PromiseLike<A> | A, options?: TransactionOptions) => Promise<A>
}

/**
 * What a `copyFrom` takes: the whole as one text or its bytes, or pieces of it, which come from an array, a generator, a
 * Readable of Node, a ReadableStream of the web or a stream of Effect.
 */
export type CopyData =
  | string
  | Uint8Array
  | Iterable<string | Uint8Array>
  | AsyncIterable<string | Uint8Array>
  | Stream.Stream<string | Uint8Array, unknown>

type OfTables<A, New, Change> = Identifier &
  Omit<Collection<A, never, never, New, Change, "promise">, "insertStream" | "copyFrom"> & {
    /** The name as it was given. */
    readonly name: string
    readonly insertStream: (
      rows: AsyncIterable<New> | Iterable<New> | Stream.Stream<New, unknown>,
      options?: ProgressOptions
    ) => Promise<number>
    readonly copyFrom: (data: CopyData, options?: CopyFromOptions<A>) => Promise<number>
  }

/** `PG.Table` outside Effect. In a template it stands for the table's quoted name. */
export type PromiseTable<A = Row, New = NewRow<A>, Change = Changes<A>> = OfTables<A, New, Change> &
  RowOperations<A, never, never, "promise"> &
  PromiseOperations<PromiseTable<A, New, Change>>

/** `PG.DecodedTable` outside Effect. */
export type PromiseDecodedTable<A, New = NewRow<A>, Change = Changes<A>> = OfTables<A, New, Change> &
  DecodedOperations<A, never, never, "promise"> &
  PromiseOperations<PromiseDecodedTable<A, New, Change>>

/** What is Effect's alone, and left out. */
export type EffectOnly = "run" | "client" | "clientWith" | "layer" | "layerWith"

/** `table` where nothing is known of the tables. */
export interface AnyPromiseTable {
  <A = Row>(name: string): PromiseTable<A>
  <S extends RowSchema>(name: string, schema: S): PromiseSchemaTable<S>
}

/** `table` where the tables are known. */
export interface KnownPromiseTable<Tables> {
  <N extends keyof Tables & string>(
    name: N
  ): PromiseTable<RowOf<Tables[N]>, InsertOf<Tables[N]>, ChangesOf<Tables[N]>>
  <S extends RowSchema>(name: keyof Tables & string, schema: S): PromiseSchemaTable<S>
}

export type PromiseSchemaTable<S extends RowSchema> = PromiseDecodedTable<
  S["Type"],
  SchemaInsert<S>,
  SchemaChanges<S>
>

interface OfDatabases<Tables>
  extends RowOperations<Row, never, never, "promise">,
    PromiseOperations<PromiseDatabase<Tables>> {
  readonly table: string extends keyof Tables ? AnyPromiseTable : KnownPromiseTable<Tables>
  readonly describe: Run<Description, never, never, "promise">
  readonly copyFrom: (statement: string | Sql, data: CopyData) => Promise<number>
  readonly afterCommit: (f: () => PromiseLike<void> | void) => Promise<void>
  readonly listen: (
    channels: string | ReadonlyArray<string>,
    options?: {
      readonly onListen?: (() => PromiseLike<unknown> | unknown) | undefined
      readonly retry?: Schedule.Schedule<unknown, OperationError> | undefined
      readonly bufferSize?: number | undefined
    }
  ) => AsyncIterable<Notification>
  readonly withLock: <A>(key: LockKey, f: () => PromiseLike<A> | A) => Promise<A>
  readonly tryLock: <A>(key: LockKey, f: () => PromiseLike<A> | A) => Promise<Option.Option<A>>
}

/** `PG.Database` outside Effect. */
export interface PromiseDatabase<Tables = AnyTables>
  extends OfDatabases<Tables>,
    Others<Database, keyof OfDatabases<AnyTables> | EffectOnly> {}

/** What `PG.promise` gives: it makes handles, and turns those of Effect into its own. */
export interface Promises {
  <A, New, Change>(handle: Table<A, New, Change>): PromiseTable<A, New, Change>
  <A, New, Change>(handle: DecodedTable<A, New, Change>): PromiseDecodedTable<A, New, Change>
  <Tables>(handle: Database<Tables>): PromiseDatabase<Tables>
  /** `PG.make`: nothing connects until an operation runs. */
  readonly make: <Tables = AnyTables>(settings: Settings | string) => PromiseDatabase<Tables>
}
