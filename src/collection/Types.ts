/**
 * The types of filters, changes and options, by the row of the table. A table without a row type takes any column and
 * any value.
 */
import type { Progress } from "../execute/Progress.ts"
import type { Json } from "../statement/Sql.ts"

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
  Present<T> extends ReadonlyArray<infer Element>
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
  readonly $eq?: Written<Exclude<T, undefined>> | null
  /** Not equal; `null` is `IS NOT NULL`. As in SQL, and unlike pymongo, rows where the column is NULL are not kept. */
  readonly $ne?: Written<Exclude<T, undefined>> | null
  readonly $gt?: Written<Present<T>>
  readonly $gte?: Written<Present<T>>
  readonly $lt?: Written<Present<T>>
  readonly $lte?: Written<Present<T>>
  /** One of these values; `[]` keeps no row, a `null` among them stands for NULL. */
  readonly $in?: ReadonlyArray<Written<Exclude<T, undefined>> | null>
  /** None of these values; `[]` keeps every row. As in SQL, with any value rows where the column is NULL are not kept. */
  readonly $nin?: ReadonlyArray<Written<Exclude<T, undefined>> | null>
  /** SQL's `LIKE`: `%` for any characters, `_` for one. */
  readonly $like?: Pattern<T>
  /** `LIKE` in which case does not matter. */
  readonly $ilike?: Pattern<T>
  /** A regular expression in Postgres' own syntax (`~`), somewhere in the column's text. */
  readonly $regex?: Pattern<T>
  readonly $isNull?: boolean
  /** `@>`: an array column that holds all of these elements, a jsonb column that holds this part. */
  readonly $contains?: unknown extends T ? unknown : Part<T>
}

/** What a filter says of a column: a value for equality, or operators. An array is not a value here. */
export type Condition<T> = unknown extends T
  ? unknown
  : Exclude<Written<Exclude<T, undefined>>, ReadonlyArray<unknown>> | Operators<T>

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
 * "and". `{}` is every row.
 */
export type Filter<Row = AnyRow> =
  Untyped<Row> extends true
    ? Readonly<Record<string, unknown>>
    : { readonly [K in ColumnOf<Row>]?: Condition<Row[K]> } & Connectives<Row>

/**
 * `{ $inc: n }` for columns that numbers can be added to. Numeric columns are read as strings, so a column of strings takes
 * digits in a string, `{ $inc: "0.10" }`, which keeps them all; whether it is numeric or text, and what is in a string that
 * came from elsewhere, only the server knows.
 */
type Increment<T> =
  Present<T> extends number | bigint
    ? { readonly $inc: number | bigint }
    : string extends Present<T>
      ? { readonly $inc: string }
      : Present<T> extends `${number}`
        ? { readonly $inc: number | bigint | `${number}` }
        : never

/** What `update` changes: `{ column: value }`, or `{ column: { $inc: n } }`. */
export type Changes<Row = AnyRow> =
  Untyped<Row> extends true
    ? Readonly<Record<string, unknown>>
    : { readonly [K in ColumnOf<Row>]?: Written<Exclude<Row[K], undefined>> | Increment<Row[K]> }

/** `undefined` for a column that rows may lack. */
type Missing<Row, K extends keyof Row> = Partial<Row> extends Pick<Row, K> ? undefined : never

/**
 * A row to be stored: columns left out take their defaults, and so do those that rows may lack where they are `undefined`.
 * Without a row type it is any object, an interface's too.
 */
export type NewRow<Row = AnyRow> =
  Untyped<Row> extends true ? object : { readonly [K in ColumnOf<Row>]?: Written<Row[K]> | Missing<Row, K> }

/** A row to be upserted: a new row that has the columns of `on`, as far as they are known by name. */
export type KeyedRow<Row, On extends ColumnOf<Row>> =
  ColumnOf<Row> extends On
    ? NewRow<Row>
    : Untyped<Row> extends true
      ? NewRow<Row>
      : NewRow<Row> & { readonly [K in On]: Written<Exclude<Row[K], undefined>> }

/** `{ column: "asc" | "desc" }`, the first column first. */
export type OrderBy<Row = AnyRow> = { readonly [K in ColumnOf<Row>]?: "asc" | "desc" }

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

export interface UpsertOptions<Row = AnyRow, On extends ColumnOf<Row> = ColumnOf<Row>> {
  /** The column or columns whose unique index decides whether a row is there already. */
  readonly on: On | ReadonlyArray<On>
  /** The columns that a row that is there takes from the new one: all others unless named, `[]` keeps it as it is. */
  readonly update?: ReadonlyArray<ColumnOf<Row>>
}
