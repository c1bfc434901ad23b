/**
 * A handle to a table: the SQL operations, and the collection operations for work without SQL.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import * as BulkParams from "../collection/BulkParams.ts"
import * as Collections from "../collection/Collection.ts"
import * as Schemas from "../collection/Schemas.ts"
import type { TableBackend } from "../collection/TableBackend.ts"
import type { Changes, NewRow } from "../collection/Types.ts"
import type { OperationError } from "../errors/PoolError.ts"
import * as Job from "../execute/Job.ts"
import type { Row } from "../execute/Outcome.ts"
import type { PoolRegistry } from "../registry/PoolRegistry.ts"
import * as SharedRegistry from "../registry/SharedRegistry.ts"
import { type Identifier, IdentifierId, nameOf, quoteTable } from "../statement/Names.ts"
import * as Operation from "../telemetry/Operation.ts"
import { runStatement } from "../transaction/Run.ts"
import { transaction } from "../transaction/Transaction.ts"
import type { TableShape } from "../types/TableShape.ts"
import * as TableShapes from "../types/TableShape.ts"
import * as Copy from "./Copy.ts"
import {
  type Makers,
  makeHandle,
  makersOn,
  namingOf,
  onPool,
  prototypeOf,
  type Source,
  shapeOf,
  whereOf
} from "./Handle.ts"
import type { DecodedOperations, Operations, RowOperations } from "./Operations.ts"
import { operations, outcomeOf, type QuerySource, runBound, streamBound, vouched } from "./Query.ts"
import * as Bulk from "./TableStore.ts"

/** What every table handle has. */
interface Named<Self> extends Identifier {
  /** The name as it was given: `users`, or `audit.events`. */
  readonly name: string
  /** `PG.run` of `f` with this handle: when it returns, every connection is closed. */
  readonly run: <A, E, R>(
    f: (self: Self) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, Exclude<R, PoolRegistry>>
}

/**
 * A handle to a table, made by `pgdb.table(name)`: `A` is a row of it, `New` a row to be stored, `Change` what `update` changes. In a
 * template it stands for the table's quoted name. An immutable value.
 *
 * The counterpart of pymongo's `Collection`.
 */
export interface Table<A = Row, New = NewRow<A>, Change = Changes<A>>
  extends Named<Table<A, New, Change>>,
    Operations,
    RowOperations<A>,
    Collections.Collection<A, OperationError, PoolRegistry, New, Change> {}

/** A handle to a table whose rows a `Schema` decodes and encodes, made by `pgdb.table(name, schema)`. */
export interface DecodedTable<A, New = NewRow<A>, Change = Changes<A>>
  extends Named<DecodedTable<A, New, Change>>,
    Operations,
    DecodedOperations<A, Schema.SchemaError, never>,
    Collections.Collection<A, Schema.SchemaError | OperationError, PoolRegistry, New, Change> {}

/** What a table's handle is made of. */
interface TableSource<A, E> extends QuerySource<E> {
  readonly label: string
  readonly translation: () => Schemas.Translation<A, E>
}

const named = <E, R>(source: Source, shape: Effect.Effect<TableShape, E, R>) =>
  Effect.map(shape, (shape) => TableShapes.named(shape, namingOf(source)))

const takesInstances = ({ settings }: Source): boolean =>
  Result.match(settings(), { onFailure: () => false, onSuccess: ({ types }) => types !== undefined })

/** What the operation of this name needs of its table. */
const backendOf = <A, E>(source: TableSource<A, E>, name: string): TableBackend<A, E, PoolRegistry> => {
  const place = `${source.label}.${name}`
  const table = quoteTable(source.label)
  return {
    place,
    table,
    naming: namingOf(source),
    takesInstances: takesInstances(source),
    translation: source.translation(),
    execute: (statement) => Effect.map(runBound(source, statement, shapeOf(source)), outcomeOf),
    askCatalogue: (statement) =>
      onPool(source, (pool) => Effect.map(Bulk.askCatalogue(pool, statement), outcomeOf)),
    shape: onPool(source, (pool) => named(source, Bulk.shapeOf(pool, table))),
    freshShape: onPool(source, (pool) => named(source, Bulk.look(pool, table))),
    lockedShape: onPool(source, (pool) => named(source, Bulk.lockedShapeOf(pool, table))),
    store: (steps, shape) =>
      onPool(source, (pool, fiber) => {
        const subject = Operation.subjectOf(pool, `copy ${table} from stdin`, { table: source.label })
        const begin = () => {
          Job.begins(pool, subject)
          return steps()
        }
        const stored = Bulk.storeRows(pool, table, begin, shape)
        return Operation.around(pool, fiber, subject, stored, (rows) => rows)
      }),
    bulk: ({ params, text }, tell, types) =>
      Effect.suspend(() =>
        Effect.map(Effect.fromResult(BulkParams.bind(types, params, place)), (encoded) => {
          const about = params.map(BulkParams.describe)
          const statement = { text, params: [], about }
          const told = BulkParams.hiding(types, tell, params)
          const options = { encoded, tell: told, shape: shapeOf(source), table: source.label }
          return onPool(source, (pool, fiber) =>
            Effect.map(runStatement(pool, fiber, statement, options), outcomeOf)
          )
        })
      ),
    copyIn: (statement, data, options) => Copy.copyFrom(source, statement, data, options),
    copyOut: (statement) => Copy.copyTo(source, statement),
    stream: (statement, options) => streamBound(source, statement, options),
    transaction: (effect) => onPool(source, (pool, fiber) => transaction(pool, fiber, effect))
  }
}

/** Both kinds of table handles. */
interface AnyTable<A, E>
  extends Named<AnyTable<A, E>>,
    Operations,
    RowOperations<A, E>,
    Collections.Collection<A, E | OperationError, PoolRegistry> {}

/** The prototype of table handles on rows of one type; the types are the compiler's alone, so that all share one. */
const makePrototype = <A, E>(): object => {
  const makers: Makers<TableSource<A, E>, AnyTable<A, E>> = {
    ...operations<A, E, TableSource<A, E>>(),
    ...makersOn(Collections.operations<A, E, PoolRegistry>(), backendOf<A, E>),
    name: ({ label }) => label,
    [IdentifierId]: ({ label }) => quoteTable(label),
    run: (source) => (f) => SharedRegistry.run(Effect.suspend(() => f(makeHandle(prototype, source))))
  }
  return prototypeOf(makers, (source) => `Table ${quoteTable(source.label)} of database ${whereOf(source)}`)
}

const prototype = /* @__PURE__ */ makePrototype<Row, never>()

/** A table whose rows are what the caller says, or plain objects. */
export const vouchedTable = <A>(settings: Source["settings"], name: string): Table<A> =>
  makeHandle<Table<A>, TableSource<A, never>>(prototype, {
    settings,
    label: nameOf(name),
    decode: undefined,
    translation: Schemas.trusting
  })

/** A table whose rows go through a schema. */
export const decodedTable = <A, I>(
  settings: Source["settings"],
  name: string,
  schema: Schema.Codec<A, I>
): DecodedTable<A> => {
  const translation = Schemas.lazy(() => Schemas.translating(schema))
  return makeHandle<DecodedTable<A>, TableSource<A, Schema.SchemaError>>(prototype, {
    settings,
    label: nameOf(name),
    translation,
    decode: (rows, operation) => {
      const place = `${nameOf(name)}.${operation}`
      const at = operation === "select" ? { place, before: 0 } : { place }
      return translation().rows(at, vouched(rows))
    }
  })
}
