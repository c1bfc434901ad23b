/**
 * A table without SQL, for people who come from pymongo: filters and changes are objects, values are always bound, names
 * always quoted.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { OperationError } from "../errors/PoolError.ts"
import { notReturned, type PoolError } from "../errors/PoolError.ts"
import type { Outcome } from "../execute/Outcome.ts"
import { attempt, isArray } from "../statement/PlainObject.ts"
import * as Bulk from "./Bulk.ts"
import * as BulkStream from "./BulkStream.ts"
import * as Change from "./Change.ts"
import { described, entriesOf, refusal } from "./CheckInput.ts"
import type { Collection } from "./CollectionOperations.ts"
import * as Copy from "./CopyTable.ts"
import * as EncodeConditions from "./EncodeConditions.ts"
import * as Filter from "./Filter.ts"
import * as Find from "./Find.ts"
import * as Returning from "./Returning.ts"
import * as SqlBuilder from "./SqlBuilder.ts"
import type { TableBackend } from "./TableBackend.ts"
import type { Returned, Returning as ReturningOption } from "./Types.ts"
import * as Upsert from "./Upsert.ts"
import * as Write from "./Write.ts"

export type { Collection } from "./CollectionOperations.ts"

/** A piece of a stream has a row at least. */
const asPiece = <A>(rows: ReadonlyArray<A>): NonEmptyReadonlyArray<A> => rows as NonEmptyReadonlyArray<A>

const conditionOf = <A, E, R>({ place, translation }: TableBackend<A, E, R>, filter: unknown) =>
  Effect.flatMap(Effect.fromResult(Filter.parse(filter, place)), (parsed) =>
    EncodeConditions.condition(translation, { place }, parsed)
  )

const optionsOf = <A, E, R>(
  { place, translation }: TableBackend<A, E, R>,
  options: unknown,
  known: ReadonlyArray<string>
): Effect.Effect<Find.Options, PoolError> =>
  Effect.flatMap(Effect.fromResult(Find.parseOptions(options, known, place)), (parsed) => {
    if (parsed.columns === undefined || translation.partial) return Effect.succeed(parsed)
    const what = "the table's schema reads whole rows, not some of their columns"
    const instead = "Leave columns out, give the table a struct as its schema, or use select."
    return Effect.fail(refusal(place, what, instead))
  })

/** Writes a statement and runs it. */
const run = <A, E, R>(
  table: TableBackend<A, E, R>,
  write: (builder: SqlBuilder.SqlBuilder) => string
): Effect.Effect<Outcome, OperationError, R> =>
  Effect.flatMap(Effect.fromResult(SqlBuilder.statement(table, write)), table.execute)

/** A table that is asked for what no codec of the program's reads. */
const asked = <A, E, R>(table: TableBackend<A, E, R>): TableBackend<A, E, R> => ({
  ...table,
  execute: (statement) => table.execute({ ...statement, isOwn: true })
})

/** As `run`, of the rows that a filter keeps. */
const runWhere = <A, E, R>(
  table: TableBackend<A, E, R>,
  filter: unknown,
  write: (builder: SqlBuilder.SqlBuilder, condition: Filter.Condition) => string
): Effect.Effect<Outcome, E | OperationError, R> =>
  Effect.suspend(() =>
    Effect.flatMap(conditionOf(table, filter), (condition) =>
      run(table, (builder) => write(builder, condition))
    )
  )

const select = <A, E, R>(table: TableBackend<A, E, R>, filter: unknown, options: Find.Options) =>
  Effect.flatMap(
    runWhere(table, filter, (builder, condition) => Find.find(builder, condition, options)),
    ({ rows }) => table.translation.rows({ place: table.place, before: 0 }, rows, options.columns)
  )

/** A row's columns that have values, encoded by the schema. */
const entries = Effect.fnUntraced(function* <A, E, R>(
  { place, translation }: TableBackend<A, E, R>,
  row: unknown
) {
  const [stored] = yield* translation.stored({ place }, [row])
  const given = yield* Effect.fromResult(entriesOf(stored, "the row", place))
  return given.filter(([, value]) => value !== undefined)
})

/** What a caller is given of a write: the rows that the option asks for, or their number. */
const given = <A, E, R, Ret extends ReturningOption<A>>(
  { place, translation }: TableBackend<A, E, R>,
  returning: Returning.Columns,
  note: string,
  write: Effect.Effect<Returning.Stored, E | OperationError, R>
): Effect.Effect<Returned<A, Ret>, E | OperationError, R> =>
  Effect.flatMap(write, ({ rowCount, rows }) => {
    const columns = returning === "all" || returning === "none" ? undefined : returning
    const result: Effect.Effect<unknown, E> =
      returning === "none"
        ? Effect.succeed(rowCount)
        : translation.rows({ place, before: 0, note }, rows, columns)
    // Which of them it is, the option says.
    return Effect.map(result, (result) => result as Returned<A, Ret>)
  })

const update = Effect.fnUntraced(function* <A, E, R>(
  table: TableBackend<A, E, R>,
  filter: unknown,
  changes: unknown,
  returning: Returning.Columns
) {
  const { place, translation } = table
  const parsed = yield* Effect.fromResult(Change.parse(changes, place))
  const condition = yield* conditionOf(table, filter)
  const encoded = yield* EncodeConditions.changes(translation, { place }, parsed)
  return yield* run(table, (builder) => Write.update(builder, condition, encoded, returning))
})

/** What an upsert is asked to do, its changes encoded by the schema. */
const planOf = Effect.fnUntraced(function* <A, E, R>(
  { place, translation }: TableBackend<A, E, R>,
  rows: unknown,
  options: unknown
) {
  const plan = yield* Effect.fromResult(Upsert.parse(options, place))
  if (plan.changes === undefined) {
    const all = isArray(rows) ? rows : [rows]
    return yield* Effect.fromResult(Upsert.keeping(plan, all, translation.kept, place))
  }
  return { ...plan, changes: yield* EncodeConditions.changes(translation, { place }, plan.changes) }
})

/** Stores one row, or changes the one that is there. */
const upsertOne = Effect.fnUntraced(function* <A, E, R>(
  table: TableBackend<A, E, R>,
  row: unknown,
  plan: Upsert.Plan
) {
  const stored = yield* entries(table, row)
  const names = stored.map(([column]) => column)
  const conflict = yield* Effect.fromResult(Upsert.conflict(plan, names, "the row", table.place))
  return yield* run(table, (builder) => Write.upsert(builder, stored, conflict, plan.returning))
})

const findOneOptions: ReadonlyArray<string> = ["columns", "orderBy"]
const findOptions: ReadonlyArray<string> = [...findOneOptions, "limit", "offset"]

type Operations<A, E, R> = Collection<A, E | OperationError, R>

const findStream =
  <A, E, R>(table: TableBackend<A, E, R>): Operations<A, E, R>["findStream"] =>
  (filter = {}, given) =>
    Stream.unwrap(
      Effect.gen(function* () {
        const { place, translation } = table
        const { onProgress, ...rest } = given ?? {}
        const options = yield* optionsOf(table, rest, findOptions)
        const condition = yield* conditionOf(table, filter)
        const written = SqlBuilder.statement(table, (builder) => Find.find(builder, condition, options))
        const statement = yield* Effect.fromResult(written)
        let before = 0
        return Stream.mapArrayEffect(table.stream(statement, { onProgress }), (rows) => {
          const decoded = translation.rows({ place, before }, rows, options.columns)
          before += rows.length
          return Effect.map(decoded, asPiece)
        })
      })
    )

/** Each operation by its name, made for a table when it is called. */
export const operations = <A, E, R>(): {
  readonly [K in keyof Operations<A, E, R>]: (table: TableBackend<A, E, R>) => Operations<A, E, R>[K]
} => ({
  find:
    (table) =>
    (filter = {}, options) =>
      Effect.flatMap(optionsOf(table, options, findOptions), (parsed) => select(table, filter, parsed)),
  findOne:
    (table) =>
    (filter = {}, options) =>
      Effect.flatMap(optionsOf(table, options, findOneOptions), (parsed) =>
        Effect.map(select(table, filter, { ...parsed, limit: 1 }), ([row]) => Option.fromUndefinedOr(row))
      ),
  findStream,
  insert: (table) =>
    Effect.fnUntraced(function* (row) {
      const { place, translation } = table
      const given = yield* entries(table, row)
      const { rows } = yield* run(table, (builder) => Write.insert(builder, given))
      const [stored] = yield* translation.rows({ place, note: "The row was stored." }, rows)
      if (stored !== undefined) return stored
      return yield* notReturned(`${place}: the table kept no row: a trigger or rule of it returned none.`)
    }),
  insertMany: (table) => (rows, options) =>
    Effect.flatMap(Effect.fromResult(Returning.parseOptions(options, table.place)), (returning) =>
      given(table, returning, "The rows were stored.", Bulk.many(table, rows, returning))
    ),
  insertStream:
    (table) =>
    (rows, options = {}) =>
      attempt(() => Stream.isStream(rows), false)
        ? BulkStream.stream(table, rows, options)
        : Effect.fail(
            refusal(
              table.place,
              `the rows are ${described(rows)}, not a Stream`,
              "Give an array to insertMany."
            )
          ),
  copyFrom:
    (table) =>
    (data, options = {}) =>
      Copy.copyFrom(table, data, options),
  copyTo:
    (table) =>
    (options = {}) =>
      options.filter === undefined
        ? Copy.copyTo(table, options, undefined)
        : Stream.unwrap(
            Effect.map(conditionOf(table, options.filter), (condition) =>
              Copy.copyTo(table, options, condition)
            )
          ),
  upsert: (table) => (rows, options) =>
    Effect.flatMap(planOf(table, rows, options), (plan) => {
      const stored = isArray(rows)
        ? Bulk.many(table, rows, plan.returning, plan)
        : upsertOne(table, rows, plan)
      return given(table, plan.returning, "The rows were stored.", stored)
    }),
  update: (table) => (filter, changes, options) =>
    Effect.flatMap(Effect.fromResult(Returning.parseOptions(options, table.place)), (returning) =>
      given(table, returning, "The rows were changed.", update(table, filter, changes, returning))
    ),
  delete: (table) => (filter, options) =>
    Effect.flatMap(Effect.fromResult(Returning.parseOptions(options, table.place)), (returning) => {
      const deleted = runWhere(table, filter, (builder, condition) =>
        Write.remove(builder, condition, returning)
      )
      return given(table, returning, "The rows were deleted.", deleted)
    }),
  count:
    (table) =>
    (filter = {}) =>
      Effect.map(runWhere(asked(table), filter, Find.count), ({ rows }) => Number(rows[0]?.count)),
  exists:
    (table) =>
    (filter = {}) =>
      Effect.map(runWhere(asked(table), filter, Find.exists), ({ rows }) => rows[0]?.exists === true),
  distinct:
    (table) =>
    (column, filter = {}) =>
      Effect.flatMap(
        runWhere(table, filter, (builder, condition) => Find.distinct(builder, column, condition)),
        ({ rows }) =>
          table.translation.values(
            { place: table.place },
            column,
            rows.map((row) => row.value)
          )
      )
})
