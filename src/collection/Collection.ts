/**
 * A table without SQL, for people who come from pymongo: filters and changes are objects, values are always bound, names
 * always quoted.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { OperationError } from "../Operations.ts"
import { refused } from "../PoolError.ts"
import * as Bulk from "./Bulk.ts"
import * as Change from "./Change.ts"
import * as Encode from "./Encode.ts"
import * as Filter from "./Filter.ts"
import * as Find from "./Find.ts"
import { entriesOf, refuse } from "./Input.ts"
import type { Collection } from "./Operations.ts"
import * as Statement from "./Statement.ts"
import type { Target } from "./Target.ts"
import type { ColumnOf, ProgressOptions } from "./Types.ts"
import * as Upsert from "./Upsert.ts"
import * as Write from "./Write.ts"

export type { Collection } from "./Operations.ts"

/** A piece of a stream has a row at least. */
const asPiece = <A>(rows: ReadonlyArray<A>): NonEmptyReadonlyArray<A> => rows as NonEmptyReadonlyArray<A>

/** The operations on a table. */
export const make = <A, E, R>(target: Target<A, E, R>): Collection<A, E | OperationError, R> => {
  const { translation } = target
  const place = (operation: string): string => `${target.label}.${operation}`

  const conditionOf = Effect.fnUntraced(function* (filter: unknown, at: string) {
    return yield* Encode.condition(
      translation,
      { place: at },
      yield* Effect.fromResult(Filter.parse(filter, at))
    )
  })

  const optionsOf = Effect.fnUntraced(function* (options: unknown, known: ReadonlyArray<string>, at: string) {
    const parsed = yield* Effect.fromResult(Find.parseOptions(options, known, at))
    if (parsed.columns === undefined || translation.partial) return parsed
    const what = "the table's schema reads whole rows, not some of their columns"
    return yield* refuse(at, what, "Leave columns out, give the table a struct as its schema, or use select.")
  })

  const select = Effect.fnUntraced(function* (at: string, filter: unknown, options: Find.Options) {
    const condition = yield* conditionOf(filter, at)
    const { rows } = yield* Statement.run(target, at, (site) => Find.find(site, condition, options))
    return yield* translation.rows({ place: at, before: 0 }, rows, options.columns)
  })

  /** A row's columns that have values, encoded. */
  const entries = Effect.fnUntraced(function* (row: unknown, at: string) {
    const [stored] = yield* translation.stored({ place: at }, [row])
    const given = yield* Effect.fromResult(entriesOf(stored, "the row", at))
    return given.filter(([, value]) => value !== undefined)
  })

  const findStream = <K extends ColumnOf<A>>(
    filter: unknown,
    given: (ProgressOptions & { readonly columns?: ReadonlyArray<K> }) | undefined
  ): Stream.Stream<Pick<A, K>, E | OperationError, R> =>
    Stream.unwrap(
      Effect.gen(function* () {
        const at = place("findStream")
        const { onProgress, ...rest } = given ?? {}
        const options = yield* optionsOf(rest, findOptions, at)
        const condition = yield* conditionOf(filter, at)
        const statement = yield* Statement.compile(target, at, (site) => Find.find(site, condition, options))
        let before = 0
        return Stream.mapArrayEffect(
          target.stream(statement.text, statement.params, { onProgress }),
          (rows) => {
            const decoded = translation.rows({ place: at, before }, rows, options.columns)
            before += rows.length
            return Effect.map(decoded, asPiece)
          }
        )
      })
    )

  return {
    find: Effect.fnUntraced(function* (filter = {}, options) {
      const at = place("find")
      return yield* select(at, filter, yield* optionsOf(options, findOptions, at))
    }),
    findOne: Effect.fnUntraced(function* (filter = {}, options) {
      const at = place("findOne")
      const parsed = yield* optionsOf(options, findOneOptions, at)
      return Option.fromUndefinedOr((yield* select(at, filter, { ...parsed, limit: 1 }))[0])
    }),
    findStream: (filter = {}, options) => findStream(filter, options),
    insert: Effect.fnUntraced(function* (row) {
      const at = place("insert")
      const given = yield* entries(row, at)
      const { rows } = yield* Statement.run(target, at, (site) => Write.insert(site, given))
      const [stored] = yield* translation.rows({ place: at, note: "The row was stored." }, rows)
      if (stored !== undefined) return stored
      return yield* refused(`${at}: the table kept no row: a trigger or rule of it returned none.`)
    }),
    insertMany: (rows) => Bulk.many(target, place("insertMany"), rows),
    insertStream: (rows, options = {}) => Bulk.stream(target, place("insertStream"), rows, options),
    upsert: Effect.fnUntraced(function* (rows, options) {
      const at = place("upsert")
      const plan = yield* Effect.fromResult(Upsert.parse(options, at))
      if (Array.isArray(rows)) return yield* Bulk.many(target, at, rows, plan)
      const given = yield* entries(rows, at)
      const names = given.map(([column]) => column)
      const conflict = yield* Effect.fromResult(Upsert.conflict(plan, names, "the row", at))
      return (yield* Statement.run(target, at, (site) => Write.upsert(site, given, conflict))).rowCount
    }),
    update: Effect.fnUntraced(function* (filter, changes) {
      const at = place("update")
      const parsed = yield* Effect.fromResult(Change.parse(changes, at))
      const condition = yield* conditionOf(filter, at)
      const encoded = yield* Encode.changes(translation, { place: at }, parsed)
      return (yield* Statement.run(target, at, (site) => Write.update(site, condition, encoded))).rowCount
    }),
    delete: Effect.fnUntraced(function* (filter) {
      const at = place("delete")
      const condition = yield* conditionOf(filter, at)
      return (yield* Statement.run(target, at, (site) => Write.remove(site, condition))).rowCount
    }),
    count: Effect.fnUntraced(function* (filter = {}) {
      const at = place("count")
      const condition = yield* conditionOf(filter, at)
      const { rows } = yield* Statement.run(target, at, (site) => Find.count(site, condition))
      return Number(rows[0]?.count)
    }),
    exists: Effect.fnUntraced(function* (filter = {}) {
      const at = place("exists")
      const condition = yield* conditionOf(filter, at)
      const { rows } = yield* Statement.run(target, at, (site) => Find.exists(site, condition))
      return rows[0]?.exists === true
    }),
    distinct: Effect.fnUntraced(function* (column, filter = {}) {
      const at = place("distinct")
      const condition = yield* conditionOf(filter, at)
      const { rows } = yield* Statement.run(target, at, (site) => Find.distinct(site, column, condition))
      return yield* translation.values(
        { place: at },
        column,
        rows.map((row) => row.value)
      )
    })
  }
}

const findOneOptions: ReadonlyArray<string> = ["columns", "orderBy"]
const findOptions: ReadonlyArray<string> = [...findOneOptions, "limit", "offset"]
