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
import type { Bound } from "../statement/Sql.ts"
import * as Bulk from "./Bulk.ts"
import * as Change from "./Change.ts"
import { entriesOf, refuse } from "./CheckInput.ts"
import type { Collection } from "./CollectionOperations.ts"
import * as EncodeConditions from "./EncodeConditions.ts"
import * as Filter from "./Filter.ts"
import * as Find from "./Find.ts"
import type * as SqlBuilder from "./SqlBuilder.ts"
import type { TableBackend } from "./TableBackend.ts"
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

/** Writes a statement and runs it. */
const run = <A, E, R>(
  { at, table }: Context<A, E, R>,
  write: (site: SqlBuilder.Site) => SqlBuilder.Parsed<Bound>
): Effect.Effect<Outcome, OperationError, R> =>
  Effect.flatMap(Effect.fromResult(write({ place: at, table: table.name })), table.execute)

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
        const site = { place: at, table: table.name }
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
  insertMany:
    ({ at, table }) =>
    (rows) =>
      Bulk.many(table, at, rows),
  insertStream:
    ({ at, table }) =>
    (rows, options = {}) =>
      Bulk.stream(table, at, rows, options),
  upsert: (context) =>
    Effect.fnUntraced(function* (rows, options) {
      const { at, table } = context
      const plan = yield* Effect.fromResult(Upsert.parse(options, at))
      if (Array.isArray(rows)) return yield* Bulk.many(table, at, rows, plan)
      const given = yield* entries(context, rows)
      const names = given.map(([column]) => column)
      const conflict = yield* Effect.fromResult(Upsert.conflict(plan, names, "the row", at))
      return (yield* run(context, (site) => Write.upsert(site, given, conflict))).rowCount
    }),
  update: (context) =>
    Effect.fnUntraced(function* (filter, changes) {
      const { at, table } = context
      const parsed = yield* Effect.fromResult(Change.parse(changes, at))
      const condition = yield* conditionOf(context, filter)
      const encoded = yield* EncodeConditions.changes(table.translation, { place: at }, parsed)
      return (yield* run(context, (site) => Write.update(site, condition, encoded))).rowCount
    }),
  delete: (context) =>
    Effect.fnUntraced(function* (filter) {
      const condition = yield* conditionOf(context, filter)
      return (yield* run(context, (site) => Write.remove(site, condition))).rowCount
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
