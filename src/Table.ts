/**
 * A handle to a table: the SQL operations, and the collection operations for work without SQL.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as BulkParams from "./collection/BulkParams.ts"
import * as Collection from "./collection/Collection.ts"
import type { Memory } from "./collection/Columns.ts"
import * as Schemas from "./collection/Schemas.ts"
import type { Target } from "./collection/Target.ts"
import * as Execute from "./Execute.ts"
import { type Decode, Handle, onPool, type Source } from "./Handle.ts"
import type {
  DecodedOperations,
  OperationError,
  Operations,
  Outcome,
  Row,
  RowOperations
} from "./Operations.ts"
import type { PoolRegistry } from "./PoolRegistry.ts"
import { withProgress } from "./Progress.ts"
import type { Pool } from "./pool/Pool.ts"
import { rows } from "./Rows.ts"
import * as SharedRegistry from "./SharedRegistry.ts"
import * as Spans from "./Spans.ts"
import { type Identifier, IdentifierId, quoteTable } from "./Sql.ts"
import { transaction } from "./transaction/Transaction.ts"

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
 * A handle to a table, made by `pgdb.table(name)`. In a template it stands for the table's quoted name. An immutable value.
 *
 * The counterpart of pymongo's `Collection`.
 */
export interface Table<A = Row>
  extends Named<Table<A>>,
    Operations,
    RowOperations<A>,
    Collection.Collection<A, OperationError, PoolRegistry> {}

/** A handle to a table whose rows a `Schema` decodes and encodes, made by `pgdb.table(name, schema)`. */
export interface DecodedTable<A>
  extends Named<DecodedTable<A>>,
    Operations,
    DecodedOperations<A, Schema.SchemaError, never>,
    Collection.Collection<A, Schema.SchemaError | OperationError, PoolRegistry> {}

type Made<A, E> = Collection.Collection<A, E | OperationError, PoolRegistry>

interface Remembered {
  readonly generation: number
  readonly memory: Memory
}

const memories = new WeakMap<Pool, Remembered>()

/** What is known of a pool's tables; forgotten when a statement may have changed them. */
const memoryOf = (pool: Pool): Memory => {
  const known = memories.get(pool)
  if (known !== undefined && known.generation === pool.generation()) return known.memory
  const fresh: Remembered = { generation: pool.generation(), memory: new Map() }
  memories.set(pool, fresh)
  return fresh.memory
}

/** A bulk statement with its parameters. */
const bulkOf = (
  source: Source,
  label: string,
  text: string,
  params: ReadonlyArray<unknown>,
  about: ReadonlyArray<string>
): Effect.Effect<Outcome, OperationError, PoolRegistry> =>
  onPool(source, (pool, fiber) => {
    const statement = { text, params: [], about }
    const run = Execute.encodedBy(pool, statement, (_, facts) => Effect.succeed({ statement, facts, params }))
    return Spans.around(fiber, { settings: pool.settings, does: text, table: label }, run)
  })

const targetOf = <A, E>(
  source: Source,
  label: string,
  translation: Schemas.Translation<A, E>
): Target<A, E, PoolRegistry> => ({
  name: quoteTable(label),
  label,
  translation,
  execute: (text, params) =>
    onPool(source, (pool, fiber) =>
      Spans.around(
        fiber,
        { settings: pool.settings, does: text, table: label },
        Execute.single(pool, { text, params })
      )
    ),
  // The parameters are made before the connection's turn is taken: the server works on one piece meanwhile.
  bulk: (text, params, place) =>
    onPool(source, (pool) =>
      Effect.flatMap(Execute.know(pool, BulkParams.typesOf(params)), () =>
        Result.match(BulkParams.bind(pool.codec, params, place), {
          onFailure: Effect.fail,
          onSuccess: (bound) =>
            Effect.succeed(bulkOf(source, label, text, bound, params.map(BulkParams.describe)))
        })
      )
    ),
  stream: (text, params, options) =>
    Stream.unwrap(
      onPool(source, (pool, fiber) => {
        const read = withProgress(rows(pool, { text, params }), options)
        const about = { settings: pool.settings, does: text, table: label }
        return Effect.succeed(Spans.aroundRows(fiber, about, read))
      })
    ),
  transaction: (effect) => onPool(source, (pool) => transaction(pool, effect)),
  memory: onPool(source, (pool) => Effect.sync(() => memoryOf(pool)))
})

class TableHandle<A, E> extends Handle<A, E> {
  readonly name: string
  readonly #translating: () => Schemas.Translation<A, E>
  readonly #decodes: boolean
  #made: { readonly translation: Schemas.Translation<A, E>; readonly collection: Made<A, E> } | undefined

  constructor(source: Source, name: string, decodes: boolean, translating: () => Schemas.Translation<A, E>) {
    super(source)
    this.name = name
    this.#decodes = decodes
    this.#translating = translating
  }

  /** Made when first used, since a handle costs nothing. */
  get #parts() {
    if (this.#made === undefined) {
      const translation = this.#translating()
      this.#made = { translation, collection: Collection.make(targetOf(this.source, this.name, translation)) }
    }
    return this.#made
  }

  get #collection(): Made<A, E> {
    return this.#parts.collection
  }

  protected override get label(): string {
    return this.name
  }

  protected override get decode(): Decode<E> | undefined {
    if (!this.#decodes) return undefined
    const { name } = this
    const { translation } = this.#parts
    return (rows, operation) => {
      const place = `${name}.${operation}`
      return translation.rows(operation === "select" ? { place, before: 0 } : { place }, rows)
    }
  }

  get [IdentifierId](): string {
    return quoteTable(this.name)
  }

  get find() {
    return this.#collection.find
  }
  get findOne() {
    return this.#collection.findOne
  }
  get findStream() {
    return this.#collection.findStream
  }
  get insert() {
    return this.#collection.insert
  }
  get insertMany() {
    return this.#collection.insertMany
  }
  get insertStream() {
    return this.#collection.insertStream
  }
  get upsert() {
    return this.#collection.upsert
  }
  get update() {
    return this.#collection.update
  }
  get delete() {
    return this.#collection.delete
  }
  get count() {
    return this.#collection.count
  }
  get exists() {
    return this.#collection.exists
  }
  get distinct() {
    return this.#collection.distinct
  }

  run<B, E2, R>(f: (self: this) => Effect.Effect<B, E2, R>): Effect.Effect<B, E2, Exclude<R, PoolRegistry>> {
    return SharedRegistry.run(Effect.suspend(() => f(this)))
  }

  override toString(): string {
    return `Table ${quoteTable(this.name)} of database ${this.source}`
  }
}

/** A table whose rows are what the caller says, or plain objects. */
export const vouched = <A>(source: Source, name: string): Table<A> =>
  new TableHandle<A, never>(source, name, false, Schemas.trusting)

/** A table whose rows go through a schema. */
export const decoded = <A, I>(source: Source, name: string, schema: Schema.Codec<A, I>): DecodedTable<A> =>
  new TableHandle(source, name, true, () => Schemas.translating(schema))
