/**
 * The operations of a table without SQL: their types.
 */
import type * as Option from "effect/Option"
import type * as Stream from "effect/Stream"
import type { Form, Many, One } from "../execute/Outcome.ts"
import type {
  Changes,
  ColumnOf,
  CopyFromOptions,
  CopyToOptions,
  Filter,
  FindOneOptions,
  FindOptions,
  KeyedRow,
  NewRow,
  ProgressOptions,
  Returned,
  Returning,
  Selected,
  UpsertOptions,
  WriteOptions
} from "./Types.ts"

/**
 * A table's operations on rows of type `Row`; `New` is a row to be stored, `Change` is what `update` changes.
 *
 * **Details**
 *
 * Filters, changes and options are checked before anything is sent: whatever would widen what a statement touches - an
 * `undefined`, an unknown operator, something that is no plain object - fails with `PoolError` whose reason is
 * `StatementRefused`. A column that the table does not have is the server's own error, with its hint. All of them work
 * inside `transaction` too.
 */
export interface Collection<Row, E, R, New = NewRow<Row>, Change = Changes<Row>, F extends Form = "effect"> {
  /**
   * All rows that the filter keeps; `{}` and no filter are every row. pymongo's `find`, with `sort`, `skip` and `limit` as options.
   *
   * **Example** (Adults by name)
   *
   * ```ts
   * import { PG } from "effect-global-pool"
   *
   * const users = PG.make("postgres://localhost/app").table("users")
   * const adults = users.find({ age: { $gte: 18 } }, { orderBy: { name: "asc" }, limit: 10 })
   * ```
   */
  readonly find: <K extends ColumnOf<Row> = never>(
    filter?: Filter<Row>,
    options?: FindOptions<Row, K>
  ) => One<F, ReadonlyArray<Selected<Row, K>>, E, R>

  /** The first row that the filter keeps, if there is one. pymongo's `find_one`. */
  readonly findOne: <K extends ColumnOf<Row> = never>(
    filter?: Filter<Row>,
    options?: FindOneOptions<Row, K>
  ) => One<F, Option.Option<Selected<Row, K>>, E, R>

  /** As `find`, row by row: constant memory, back pressure, and an end on the server when the consumer stops. Iterating a cursor in pymongo. */
  readonly findStream: <K extends ColumnOf<Row> = never>(
    filter?: Filter<Row>,
    options?: FindOptions<Row, K> & ProgressOptions
  ) => Many<F, Selected<Row, K>, E, R>

  /** Stores one row and gives it as it was stored, defaults filled in; `{}` is a row of defaults. pymongo's `insert_one`. */
  readonly insert: (row: New) => One<F, Row, E, R>

  /**
   * Stores any number of rows, all or none, and gives their number. pymongo's `insert_many`, asyncpg's `executemany` at the
   * speed of its `copy_records_to_table`.
   *
   * **Gotchas**
   *
   * Rows may differ in their columns; those left out take their defaults. Rows that name the same columns are stored in
   * order; among rows that differ in columns with a default, those that name the same come together. With `returning`, the rows
   * come back in the order in which they were given.
   */
  readonly insertMany: <const Ret extends Returning<Row> = undefined>(
    rows: ReadonlyArray<New>,
    options?: WriteOptions<Row, Ret>
  ) => One<F, Returned<Row, Ret>, E, R>

  /**
   * Stores the rows of a stream, all or none, and gives their number. A bounded piece of the rows is held at a time; the
   * connection and its transaction are held until the stream ends.
   */
  readonly insertStream: <E2, R2>(
    rows: Stream.Stream<New, E2, R2>,
    options?: ProgressOptions
  ) => One<F, number, E | E2, R | R2>

  /**
   * Loads data as they stand in a file, a stream of bytes or texts, by `COPY … FROM STDIN`: all or none. Gives the number of rows.
   *
   * **Details**
   *
   * The stream begins when the server is ready for it, and is read as fast as the server stores it. When it fails or is
   * interrupted, nothing is stored. An error names the line and the column that do not fit. Inside `transaction` it is a
   * savepoint.
   *
   * **Gotchas**
   *
   * The connection is the stream's own until its end: inside a transaction, the stream cannot read from the same database;
   * `insertStream` can. Data are not encoded by the table's schema.
   *
   * asyncpg's `copy_to_table`.
   *
   * **Example** (Two lines of CSV)
   *
   * ```ts
   * import { Stream } from "effect"
   * import { PG } from "effect-global-pool"
   *
   * const users = PG.make("postgres://localhost/app").table("users")
   * const loaded = users.copyFrom(Stream.make("name,age\n", "Ada,36\n"), { header: true, columns: ["name", "age"] })
   * ```
   */
  readonly copyFrom: <E2, R2>(
    data: Stream.Stream<Uint8Array | string, E2, R2>,
    options?: CopyFromOptions<Row>
  ) => One<F, number, E | E2, R | R2>

  /**
   * The table's data by `COPY … TO STDOUT`, as they would stand in a file, with those rows alone that `filter` keeps. Generated
   * columns are left out unless named: `copyFrom` takes what this gives.
   *
   * **Details**
   *
   * A reader that is slower than the server holds it back; one that stops ends the statement. Inside `transaction` the
   * connection is the stream's own until its end.
   *
   * asyncpg's `copy_from_table`.
   */
  readonly copyTo: (options?: CopyToOptions<Row>) => Many<F, Uint8Array, E, R>

  /**
   * Stores rows, or changes those that are there already, and gives the number of rows stored or changed. pymongo's
   * `replace_one` and `update_one` with `upsert=True`, and a `bulk_write` of them.
   *
   * **Details**
   *
   * `on` names the columns of a unique index, which decide whether a row is there; a row that lacks one of them is refused.
   * A row that is there takes the values of all the new row's other columns; `update` names fewer, and `[]` keeps it as it
   * is, or says what changes, as for `update`. What a model makes for new rows alone does not change. Two rows with the same key in one call
   * are refused, unless nothing is updated: then the first is kept.
   *
   * **Gotchas**
   *
   * `null` equals nothing in a unique index unless it says `nulls not distinct`: a row with `null` in `on` is stored anew. A row
   * that is there and kept as it is, is not among those that `returning` gives.
   *
   * **Example** (A counter)
   *
   * ```ts
   * import { PG } from "effect-global-pool"
   *
   * const visits = PG.make("postgres://localhost/app").table<{ page: string; count: number; last: Date }>("visits")
   * const visit = (page: string) =>
   *   visits.upsert(
   *     { page, count: 1, last: new Date() },
   *     { on: "page", update: { count: { $inc: 1 }, last: PG.sql`now()` }, returning: ["count"] }
   *   )
   * ```
   */
  readonly upsert: <On extends ColumnOf<Row>, const Ret extends Returning<Row> = undefined>(
    rows: KeyedRow<Row, NoInfer<On>, New> | ReadonlyArray<KeyedRow<Row, NoInfer<On>, New>>,
    options: UpsertOptions<Row, On, Ret, Change>
  ) => One<F, Returned<Row, Ret>, E, R>

  /**
   * Changes the rows that the filter keeps and gives their number. pymongo's `update_many`, with `$set` left out.
   *
   * **Details**
   *
   * `{ column: { $inc: n } }` adds to a column in the column's own type: a number or bigint, or digits in a string for a
   * numeric column, which is read as a string. A piece of SQL gives the value: `{ at: PG.sql`now()` }`. No changes at all, `{}`,
   * are refused.
   */
  readonly update: <const Ret extends Returning<Row> = undefined>(
    filter: Filter<Row>,
    changes: Change,
    options?: WriteOptions<Row, Ret>
  ) => One<F, Returned<Row, Ret>, E, R>

  /** Deletes the rows that the filter keeps and gives their number. pymongo's `delete_many`. */
  readonly delete: <const Ret extends Returning<Row> = undefined>(
    filter: Filter<Row>,
    options?: WriteOptions<Row, Ret>
  ) => One<F, Returned<Row, Ret>, E, R>

  /** The number of rows that the filter keeps. pymongo's `count_documents`. */
  readonly count: (filter?: Filter<Row>) => One<F, number, E, R>

  /** Whether the filter keeps a row. */
  readonly exists: (filter?: Filter<Row>) => One<F, boolean, E, R>

  /** A column's different values, in no order, NULL as `null`. pymongo's `distinct`. */
  readonly distinct: <K extends ColumnOf<Row>>(
    column: K,
    filter?: Filter<Row>
  ) => One<F, ReadonlyArray<Row[K]>, E, R>
}
