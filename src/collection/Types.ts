/**
 * The types of tables, rows, filters, changes and options, by the row of the table. A table without a row type takes any column
 * and any value.
 */
import type * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import type { CopyProgress } from "../execute/CopyIn.ts"
import type { Progress } from "../execute/Progress.ts"
import type { Json } from "../statement/Json.ts"
import type { Sql } from "../statement/Sql.ts"

/** The row of a table that has no row type. */
export type AnyRow = Readonly<Record<string, unknown>>

/** A row's columns. */
export type ColumnOf<Row> = keyof Row & string

/** Whether nothing is known of the row's columns. */
type Untyped<Row> = string extends keyof Row ? true : false

/** A value as it is written: json columns also take `PG.json(…)`. */
type Written<T> = unknown extends T ? unknown : T | ([Extract<T, object>] extends [never] ? never : Json)

type Present<T> = Exclude<T, null | undefined>

/** What `$contains` takes: elements of an array column or parts of them, a part of a json column. */
type Part<T> =
  Present<T> extends Option.Option<infer Some>
    ? Part<Some>
    : Present<T> extends ReadonlyArray<infer Element>
      ? ReadonlyArray<PartOf<Element>> | Json
      : Present<T> extends Date | Uint8Array | number | bigint | boolean
        ? never
        : Present<T> extends string
          ? string
          : { readonly [K in keyof Present<T>]?: unknown } | Json

type PartOf<Element> = Element extends string | number | bigint | boolean | Date | Uint8Array | null
  ? Element
  : { readonly [K in keyof Element]?: unknown }

/** A pattern, for columns that may be text: a schema may have made something else of it. */
type Pattern<T> =
  Present<T> extends number | bigint | boolean | Date | Uint8Array | ReadonlyArray<unknown> ? never : string

/** The operators on a column, as in pymongo; several on one column are joined by "and". */
export interface Operators<T> {
  /** Equal; `null` is `IS NULL`. */
  readonly $eq?: Written<Exclude<T, undefined>> | Sql | null
  /** Not equal; `null` is `IS NOT NULL`. As in SQL, and unlike pymongo, rows where the column is NULL are not kept. */
  readonly $ne?: Written<Exclude<T, undefined>> | Sql | null
  readonly $gt?: Written<Present<T>> | Sql
  readonly $gte?: Written<Present<T>> | Sql
  readonly $lt?: Written<Present<T>> | Sql
  readonly $lte?: Written<Present<T>> | Sql
  /** From the first to the second, both included. */
  readonly $between?: readonly [from: Written<Present<T>> | Sql, to: Written<Present<T>> | Sql]
  /** One of these values, or of those of a query; `[]` keeps no row, a `null` among them stands for NULL. */
  readonly $in?: ReadonlyArray<Written<Exclude<T, undefined>> | null> | Sql
  /** None of these values; `[]` keeps every row. As in SQL, with any value rows where the column is NULL are not kept. */
  readonly $nin?: ReadonlyArray<Written<Exclude<T, undefined>> | null> | Sql
  /** SQL's `LIKE`: `%` for any characters, `_` for one. */
  readonly $like?: Pattern<T>
  /** `LIKE` without regard to case. */
  readonly $ilike?: Pattern<T>
  /** A regular expression in Postgres' own syntax (`~`), somewhere in the column's text. */
  readonly $regex?: Pattern<T>
  /** These characters are the column's first, whatever they are: no `%` and no `_` in them means more than itself. */
  readonly $startsWith?: Pattern<T>
  readonly $isNull?: boolean
  /** `@>`: an array column that holds all of these elements, a jsonb column that holds this part. */
  readonly $contains?: unknown extends T ? unknown : Part<T>
  /**
   * For a jsonb column: a path of SQL that finds something, `$.tags[*] ? (@ == "a")`, or says what holds, `$.age > 18`. Values come
   * as variables: `["$.age > $least", { least: 18 }]`.
   */
  readonly $jsonPath?: string | readonly [path: string, variables: AnyRow]
}

/** What a filter says of a column: a value for equality, or operators. An array is not a value here. */
export type Condition<T> = unknown extends T
  ? unknown
  : Exclude<Written<Exclude<T, undefined>>, ReadonlyArray<unknown>> | Operators<T> | Sql

/** Joins filters. */
export interface Connectives<Row> {
  /** All of these filters; `[]` keeps every row. */
  readonly $and?: ReadonlyArray<Filter<Row>>
  /** One of these filters at least; `[]` keeps no row. */
  readonly $or?: ReadonlyArray<Filter<Row>>
  readonly $not?: Filter<Row>
}

/**
 * Which rows: `{ column: value }`, `{ column: { $gt: value } }`, `$and`, `$or` and `$not` around filters, joined by
 * "and"; or a piece of SQL. `{}` is every row.
 */
export type Filter<Row = AnyRow> =
  | Sql
  | (Untyped<Row> extends true
      ? Readonly<Record<string, unknown>>
      : { readonly [K in ColumnOf<Row>]?: Condition<Row[K]> } & Connectives<Row>)

type Unaddable = Date | Uint8Array | ReadonlyArray<unknown> | string | boolean

/**
 * `{ $inc: n }` for columns that numbers can be added to. Numeric columns are read as strings, so a column of strings takes
 * digits in a string, `{ $inc: "0.10" }`, which keeps them all; whether it is numeric or text, and what is in a string that
 * came from elsewhere, only the server knows. What a schema or a codec reads as a class, `BigDecimal` for one, is added as that.
 */
type Increment<T> =
  Present<T> extends number | bigint
    ? { readonly $inc: number | bigint }
    : string extends Present<T>
      ? [Extract<Present<T>, Date>] extends [never]
        ? { readonly $inc: string | Extract<Present<T>, number | bigint> }
        : never
      : Present<T> extends `${number}`
        ? { readonly $inc: number | bigint | `${number}` }
        : [Extract<Present<T>, Unaddable>] extends [never]
          ? { readonly $inc: Present<T> }
          : never

/** What `update` changes: `{ column: value }`, `{ column: { $inc: n } }`, or a piece of SQL that gives the value. */
export type Changes<Row = AnyRow> =
  Untyped<Row> extends true
    ? Readonly<Record<string, unknown>>
    : { readonly [K in ColumnOf<Row>]?: Written<Exclude<Row[K], undefined>> | Increment<Row[K]> | Sql }

/** `undefined` for a column that rows may lack. */
type Missing<Row, K extends keyof Row> = Partial<Row> extends Pick<Row, K> ? undefined : never

/**
 * A row to be stored: columns left out take their defaults, and so do those that rows may lack where they are `undefined`.
 * Without a row type it is any object, an interface's too. Of a union of rows it is one of them.
 */
export type NewRow<Row = AnyRow> = Row extends unknown
  ? Untyped<Row> extends true
    ? object
    : { readonly [K in ColumnOf<Row>]?: Written<Row[K]> | Missing<Row, K> }
  : never

/** A row to be upserted: one to be stored that has the columns of `on`, as far as they are known by name. */
export type KeyedRow<Row, On extends ColumnOf<Row>, New = NewRow<Row>> =
  ColumnOf<Row> extends On
    ? New
    : Untyped<Row> extends true
      ? New
      : New & { readonly [K in On]: K extends keyof New ? Exclude<New[K], undefined> : never }

/** `{ column: "asc" | "desc" }`, the first column first. */
export type OrderBy<Row = AnyRow> = { readonly [K in ColumnOf<Row>]?: "asc" | "desc" }

/** What is found: whole rows unless columns are named, each a row of its own kind where the type is a union. */
export type Selected<Row, K extends keyof Row> = [K] extends [never] ? Row : Pick<Row, K>

export interface FindOneOptions<Row = AnyRow, K extends ColumnOf<Row> = ColumnOf<Row>> {
  /** The columns that the rows have; all unless named. */
  readonly columns?: ReadonlyArray<K>
  readonly orderBy?: OrderBy<Row>
}

export interface FindOptions<Row = AnyRow, K extends ColumnOf<Row> = ColumnOf<Row>>
  extends FindOneOptions<Row, K> {
  /** At most so many rows. */
  readonly limit?: number
  /** So many rows are left out first. */
  readonly offset?: number
}

export interface ProgressOptions {
  /** Called after each piece of the work, with the totals so far. */
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

/** Which columns of the rows a write returns: `true` for all, none for the number of rows in place of the rows. */
export type Returning<Row> = boolean | ReadonlyArray<ColumnOf<Row>> | undefined

/** What a write gives: the number of rows, or the rows that `returning` asks for. */
export type Returned<Row, Ret extends Returning<Row>> = Ret extends true
  ? ReadonlyArray<Row>
  : Ret extends ReadonlyArray<infer K extends keyof Row>
    ? ReadonlyArray<Pick<Row, K>>
    : number

export interface WriteOptions<Row, Ret extends Returning<Row>> {
  /** The rows as they are now, or as they were before they were deleted, in place of their number. */
  readonly returning?: Ret | undefined
}

export interface UpsertOptions<
  Row = AnyRow,
  On extends ColumnOf<Row> = ColumnOf<Row>,
  Ret extends Returning<Row> = undefined,
  Change = Changes<Row>
> extends WriteOptions<Row, Ret> {
  /** The column or columns whose unique index decides whether a row is there already. */
  readonly on: On | ReadonlyArray<On>
  /**
   * What happens to a row that is there: the columns that it takes from the new one, all others unless named, `[]` keeps it as it
   * is; or changes, as `update` takes them. In a piece of SQL, `excluded` is the new row.
   */
  readonly update?: ReadonlyArray<ColumnOf<Row>> | Change | undefined
}

/** What is known of a table: the row that comes out of it, and the row that goes in. */
export interface TableTypes<Row, Insert = NewRow<Row>> {
  readonly row: Row
  readonly insert: Insert
}

/** The tables of a database without declared tables. */
export interface AnyTables {
  readonly [table: string]: TableTypes<AnyRow, object>
}

/** A table's row. */
export type RowOf<Table> = Table extends { readonly row: infer Row } ? Row : AnyRow

/** A row to be stored in a table. */
export type InsertOf<Table> = Table extends { readonly insert: infer Insert } ? Insert : NewRow<RowOf<Table>>

/** What `update` changes in a table: columns that a row to be stored may have. */
export type ChangesOf<Table> = [InsertOf<Table>] extends [never] ? never : Changes<InsertOf<Table>>

/** A schema that a row may go through: of rows with variants of it for inserts and updates, or of one shape. */
export type RowSchema = Schema.Codec<unknown, unknown>

/** The rows that a schema takes for an insert: those of its `insert` variant, as a model has one. */
export type SchemaInsert<S extends RowSchema> = S extends {
  readonly insert: { readonly "~type.make.in": infer Insert }
}
  ? Insert
  : NewRow<S["Type"]>

/** The changes that a schema takes: of its `update` variant, as a model has one. */
export type SchemaChanges<S extends RowSchema> = S extends {
  readonly update: { readonly "~type.make.in": infer Update }
}
  ? Changes<Update>
  : Changes<S["Type"]>

/** What `copyFrom` and `copyTo` take: the options of `COPY`. */
export interface CopyOptions<Row = AnyRow> {
  /** `"csv"` unless said. */
  readonly format?: "csv" | "text" | "binary"
  /** The columns of the data, in their order; all but generated ones unless named. */
  readonly columns?: ReadonlyArray<ColumnOf<Row>>
  /** What separates values: a comma in `"csv"`, a tab in `"text"` unless said. */
  readonly delimiter?: string
  /** What stands around values in `"csv"`: a double quote unless said. */
  readonly quote?: string
  /** What stands for NULL: nothing at all in `"csv"`, `\N` in `"text"` unless said. */
  readonly null?: string
  /** How the data are encoded, by Postgres's names: UTF-8 unless said. */
  readonly encoding?: string
  /** Called after each piece of the data. */
  readonly onProgress?: ((progress: CopyProgress) => void) | undefined
}

export interface CopyFromOptions<Row = AnyRow> extends CopyOptions<Row> {
  /** Whether the first line holds the columns' names: `true` passes over it, `"match"` compares it with the columns. */
  readonly header?: boolean | "match"
}

export interface CopyToOptions<Row = AnyRow> extends CopyOptions<Row> {
  /** Whether the first line holds the columns' names. */
  readonly header?: boolean
  /** Which rows; all unless said. */
  readonly filter?: Filter<Row>
}
