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
import type { Bound } from "../statement/Statement.ts"
import * as Bulk from "./Bulk.ts"
import * as BulkStream from "./BulkStream.ts"
import * as Change from "./Change.ts"
import { described, entriesOf, refuse } from "./CheckInput.ts"
import type { Collection } from "./CollectionOperations.ts"
import * as Copy from "./CopyTable.ts"
import * as EncodeConditions from "./EncodeConditions.ts"
import type { Condition } from "./Filter.ts"
import * as Filter from "./Filter.ts"
import * as Find from "./Find.ts"
import * as Returning from "./Returning.ts"
import type * as SqlBuilder from "./SqlBuilder.ts"
import type { TableBackend } from "./TableBackend.ts"
import type { Returned, Returning as ReturningOption } from "./Types.ts"
import * as Upsert from "./Upsert.ts"
import * as Write from "./Write.ts"

export type { Collection } from "./CollectionOperations.ts"

/** A piece of a stream has a row at least. */
const asPiece = <A>(rows: ReadonlyArray<A>): NonEmptyReadonlyArray<A> => rows as NonEmptyReadonlyArray<A>

/** What all operations on a table have. */
export interface Context<A, E, R> {
  readonly table: TableBackend<A, E, R>
  /** The call as a message names it, for instance `users.find`. */
  readonly at: string
}

const conditionOf = <A, E, R>({ at, table }: Context<A, E, R>, filter: unknown) =>
  Effect.flatMap(Effect.fromResult(Filter.parse(filter, at)), (parsed) =>
    EncodeConditions.condition(table.translation, { place: at }, parsed)
  )

const optionsOf = <A, E, R>(
  { at, table }: Context<A, E, R>,
  options: unknown,
  known: ReadonlyArray<string>
): Effect.Effect<Find.Options, PoolError> =>
  Effect.flatMap(Effect.fromResult(Find.parseOptions(options, known, at)), (parsed) => {
    if (parsed.columns === undefined || table.translation.partial) return Effect.succeed(parsed)
    const what = "the table's schema reads whole rows, not some of their columns"
    const instead = "Leave columns out, give the table a struct as its schema, or use select."
    return Effect.fail(refuse(at, what, instead))
  })

const siteOf = <A, E, R>(
  place: string,
  { name, naming, takesInstances }: TableBackend<A, E, R>
): SqlBuilder.Site => ({ place, table: name, naming, takesInstances })

/** Writes a statement and runs it. */
const run = <A, E, R>(
  { at, table }: Context<A, E, R>,
  write: (site: SqlBuilder.Site) => SqlBuilder.Parsed<Bound>
): Effect.Effect<Outcome, OperationError, R> =>
  Effect.flatMap(Effect.fromResult(write(siteOf(at, table))), table.execute)

const select = Effect.fnUntraced(function* <A, E, R>(
  context: Context<A, E, R>,
  filter: unknown,
  options: Find.Options
) {
  const condition = yield* conditionOf(context, filter)
  const { rows } = yield* run(context, (site) => Find.find(site, condition, options))
  return yield* context.table.translation.rows({ place: context.at, before: 0 }, rows, options.columns)
})

/** A row's columns that have values, encoded by the schema. */
const entries = Effect.fnUntraced(function* <A, E, R>({ at, table }: Context<A, E, R>, row: unknown) {
  const [stored] = yield* table.translation.stored({ place: at }, [row])
  const given = yield* Effect.fromResult(entriesOf(stored, "the row", at))
  return given.filter(([, value]) => value !== undefined)
})

/** What a caller is given of a write. */
const given = <A, E, R, Ret extends ReturningOption<A>>(
  { at, table }: Context<A, E, R>,
  returning: Returning.Columns,
  note: string,
  write: Effect.Effect<Returning.Stored, E | OperationError, R>
): Effect.Effect<Returned<A, Ret>, E | OperationError, R> =>
  Effect.flatMap(write, (stored) => Returning.give(table, { place: at, before: 0, note }, returning, stored))

const update = Effect.fnUntraced(function* <A, E, R>(
  context: Context<A, E, R>,
  filter: unknown,
  changes: unknown,
  returning: Returning.Columns
) {
  const { at, table } = context
  const parsed = yield* Effect.fromResult(Change.parse(changes, at))
  const condition = yield* conditionOf(context, filter)
  const encoded = yield* EncodeConditions.changes(table.translation, { place: at }, parsed)
  return yield* run(context, (site) => Write.update(site, condition, encoded, returning))
})

/** What an upsert is asked to do, its changes encoded by the schema. */
const planOf = Effect.fnUntraced(function* <A, E, R>({ at, table }: Context<A, E, R>, options: unknown) {
  const plan = yield* Effect.fromResult(Upsert.parse(options, at))
  if (plan.changes === undefined) return plan
  return { ...plan, changes: yield* EncodeConditions.changes(table.translation, { place: at }, plan.changes) }
})

/** Stores one row, or changes the one that is there. */
const upsertOne = Effect.fnUntraced(function* <A, E, R>(
  context: Context<A, E, R>,
  row: unknown,
  plan: Upsert.Plan
) {
  const stored = yield* entries(context, row)
  const names = stored.map(([column]) => column)
  const conflict = yield* Effect.fromResult(Upsert.conflict(plan, names, "the row", context.at))
  return yield* run(context, (site) => Write.upsert(site, stored, conflict, plan.returning))
})

const findOneOptions: ReadonlyArray<string> = ["columns", "orderBy"]
const findOptions: ReadonlyArray<string> = [...findOneOptions, "limit", "offset"]

type Operations<A, E, R> = Collection<A, E | OperationError, R>

const findStream =
  <A, E, R>(context: Context<A, E, R>): Operations<A, E, R>["findStream"] =>
  (filter = {}, given) =>
    Stream.unwrap(
      Effect.gen(function* () {
        const { at, table } = context
        const { onProgress, ...rest } = given ?? {}
        const options = yield* optionsOf(context, rest, findOptions)
        const condition = yield* conditionOf(context, filter)
        const site = siteOf(at, table)
        const statement = yield* Effect.fromResult(Find.find(site, condition, options))
        let before = 0
        return Stream.mapArrayEffect(table.stream(statement, { onProgress }), (rows) => {
          const decoded = table.translation.rows({ place: at, before }, rows, options.columns)
          before += rows.length
          return Effect.map(decoded, asPiece)
        })
      })
    )

/** Each operation by its name, made for a table when it is called. */
export const operations = <A, E, R>(): {
  readonly [K in keyof Operations<A, E, R>]: (context: Context<A, E, R>) => Operations<A, E, R>[K]
} => ({
  find:
    (context) =>
    (filter = {}, options) =>
      Effect.flatMap(optionsOf(context, options, findOptions), (parsed) => select(context, filter, parsed)),
  findOne:
    (context) =>
    (filter = {}, options) =>
      Effect.flatMap(optionsOf(context, options, findOneOptions), (parsed) =>
        Effect.map(select(context, filter, { ...parsed, limit: 1 }), ([row]) => Option.fromUndefinedOr(row))
      ),
  findStream,
  insert: (context) =>
    Effect.fnUntraced(function* (row) {
      const { at, table } = context
      const given = yield* entries(context, row)
      const { rows } = yield* run(context, (site) => Write.insert(site, given))
      const [stored] = yield* table.translation.rows({ place: at, note: "The row was stored." }, rows)
      if (stored !== undefined) return stored
      return yield* notReturned(`${at}: the table kept no row: a trigger or rule of it returned none.`)
    }),
  insertMany: (context) => (rows, options) =>
    Effect.flatMap(Effect.fromResult(Returning.parseOptions(options, context.at)), (returning) =>
      given(
        context,
        returning,
        "The rows were stored.",
        Bulk.many(context.table, context.at, rows, returning)
      )
    ),
  insertStream:
    ({ at, table }) =>
    (rows, options = {}) =>
      attempt(
        () => Stream.isStream(rows),
        () => false
      )
        ? BulkStream.stream(table, at, rows, options)
        : Effect.fail(
            refuse(at, `the rows are ${described(rows)}, not a Stream`, "Give an array to insertMany.")
          ),
  copyFrom:
    ({ at, table }) =>
    (data, options = {}) =>
      Copy.copyFrom(table, at, data, options),
  copyTo:
    (context) =>
    (options = {}) => {
      const copy = (condition: Condition | undefined) =>
        Copy.copyTo(context.table, context.at, options, condition)
      return options.filter === undefined
        ? copy(undefined)
        : Stream.unwrap(Effect.map(conditionOf(context, options.filter), copy))
    },
  upsert: (context) => (rows, options) =>
    Effect.flatMap(planOf(context, options), (plan) => {
      const stored = isArray(rows)
        ? Bulk.many(context.table, context.at, rows, plan.returning, plan)
        : upsertOne(context, rows, plan)
      return given(context, plan.returning, "The rows were stored.", stored)
    }),
  update: (context) => (filter, changes, options) =>
    Effect.flatMap(Effect.fromResult(Returning.parseOptions(options, context.at)), (returning) =>
      given(context, returning, "The rows were changed.", update(context, filter, changes, returning))
    ),
  delete: (context) => (filter, options) =>
    Effect.flatMap(Effect.fromResult(Returning.parseOptions(options, context.at)), (returning) => {
      const deleted = Effect.flatMap(conditionOf(context, filter), (condition) =>
        run(context, (site) => Write.remove(site, condition, returning))
      )
      return given(context, returning, "The rows were deleted.", deleted)
    }),
  count: (context) =>
    Effect.fnUntraced(function* (filter = {}) {
      const condition = yield* conditionOf(context, filter)
      const { rows } = yield* run(context, (site) => Find.count(site, condition))
      return Number(rows[0]?.count)
    }),
  exists: (context) =>
    Effect.fnUntraced(function* (filter = {}) {
      const condition = yield* conditionOf(context, filter)
      const { rows } = yield* run(context, (site) => Find.exists(site, condition))
      return rows[0]?.exists === true
    }),
  distinct: (context) =>
    Effect.fnUntraced(function* (column, filter = {}) {
      const condition = yield* conditionOf(context, filter)
      const { rows } = yield* run(context, (site) => Find.distinct(site, column, condition))
      return yield* context.table.translation.values(
        { place: context.at },
        column,
        rows.map((row) => row.value)
      )
    })
})
