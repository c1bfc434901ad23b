/**
 * What database and table handles have in common: where their pool is, and the SQL operations on it.
 *
 * The methods stand on a prototype, so that a handle is as small as its settings; all that it holds are those, checked when
 * they are first used.
 */
import { inspect } from "node:util"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { single } from "./Execute.ts"
import type {
  OperationError,
  Operations,
  Outcome,
  Row,
  RowOperations,
  StreamOptions,
  TransactionOptions
} from "./Operations.ts"
import type { PoolError } from "./PoolError.ts"
import { PoolRegistry } from "./PoolRegistry.ts"
import { withProgress } from "./Progress.ts"
import type { Pool } from "./pool/Pool.ts"
import { rows } from "./Rows.ts"
import * as Spans from "./Spans.ts"
import { type Bound, fromArguments, type Sql, type Statement } from "./Sql.ts"
import { check } from "./settings/Check.ts"
import { type Checked, describe, type Settings } from "./settings/Settings.ts"
import { batch } from "./transaction/Batch.ts"
import { check as checkOptions } from "./transaction/Options.ts"
import { repeat, transaction } from "./transaction/Transaction.ts"

/** Settings on their way to a pool. Nothing of them shows when it is printed. */
export class Source {
  readonly #settings: Settings
  #checked: Result.Result<Checked, PoolError> | undefined

  constructor(settings: Settings) {
    this.#settings = settings
  }

  checked(): Result.Result<Checked, PoolError> {
    this.#checked ??= check(this.#settings)
    return this.#checked
  }

  toString(): string {
    const checked = this.checked()
    return Result.isSuccess(checked) ? describe(checked.success) : "with invalid settings"
  }
}

/** Finds the source's pool in the registry, and runs there. */
export const onPool = <A, E, R>(
  source: Source,
  run: (pool: Pool, fiber: Fiber.Fiber<unknown, unknown>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | PoolError, R | PoolRegistry> =>
  Effect.withFiber<A, E | PoolError, R | PoolRegistry>((fiber) => {
    const checked = source.checked()
    if (Result.isFailure(checked)) return Effect.fail(checked.failure)
    const registry = Context.getUnsafe(fiber.context, PoolRegistry)
    const known = registry.known(checked.success)
    return known === undefined
      ? Effect.flatMap(registry.pool(checked.success), (pool) => run(pool, fiber))
      : run(known, fiber)
  })

type Failing<A, E = never> = Effect.Effect<A, E | OperationError, PoolRegistry>

/** The first argument of an operation, in all its forms. */
export type First = string | Sql | TemplateStringsArray

type Rest = ReadonlyArray<unknown>

/** How rows become what the handle promises; without it they are as they came. */
export type Decode<E> = (
  rows: ReadonlyArray<Row>,
  operation: "select" | "selectOne" | "stream"
) => Effect.Effect<ReadonlyArray<unknown>, E>

/** What a caller is given of a statement's result. */
const outcomeOf = ({ command, rowCount, rows }: Outcome): Outcome => ({ command, rowCount, rows })

/** Rows are of the type that the handle's schema, or else the caller, says. */
const as = <B>(rows: ReadonlyArray<unknown>): ReadonlyArray<B> => rows as ReadonlyArray<B>

/** As `as`, for a piece of a stream, which has a row at least. */
const asPiece = <B>(rows: ReadonlyArray<unknown>): NonEmptyReadonlyArray<B> =>
  rows as NonEmptyReadonlyArray<B>

const isStreamOptions = (value: unknown): value is StreamOptions =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** The SQL operations on a source, for rows of type `A` that decode with errors of type `E`. */
export abstract class Handle<A, E> implements Operations, RowOperations<A, E> {
  protected readonly source: Source

  constructor(source: Source) {
    this.source = source
  }

  protected abstract get decode(): Decode<E> | undefined

  /** The table that the handle names. */
  protected get label(): string | undefined {
    return undefined
  }

  #about(pool: Pool, does: string | number): Spans.About {
    return { settings: pool.settings, does, table: this.label }
  }

  #run<B, E2, R>(
    first: First,
    rest: Rest,
    run: (pool: Pool, statement: Bound) => Effect.Effect<B, E2, R>
  ): Effect.Effect<B, E2 | PoolError, R | PoolRegistry> {
    const statement = fromArguments(first, rest)
    if (Result.isFailure(statement)) return Effect.fail(statement.failure)
    return onPool(this.source, (pool, fiber) =>
      Spans.around(fiber, this.#about(pool, statement.success.text), run(pool, statement.success))
    )
  }

  execute(first: First, ...rest: Rest): Failing<Outcome> {
    return this.#run(first, rest, (pool, statement) => Effect.map(single(pool, statement), outcomeOf))
  }

  select<B = A>(first: First, ...rest: Rest): Failing<ReadonlyArray<B>, E> {
    const { decode } = this
    return this.#run(first, rest, (pool, statement) =>
      decode === undefined
        ? Effect.map(single(pool, statement), ({ rows }) => as<B>(rows))
        : Effect.flatMap(single(pool, statement), ({ rows }) => Effect.map(decode(rows, "select"), as<B>))
    )
  }

  selectOne<B = A>(first: First, ...rest: Rest): Failing<Option.Option<B>, E> {
    const { decode } = this
    return this.#run(first, rest, (pool, statement) =>
      Effect.flatMap(single(pool, statement), ({ rows }) => {
        const one = rows.slice(0, 1)
        const decoded = decode === undefined ? Effect.succeed(one) : decode(one, "selectOne")
        return Effect.map(decoded, (rows) => Option.fromUndefinedOr(as<B>(rows)[0]))
      })
    )
  }

  selectValue<B = unknown>(first: First, ...rest: Rest): Failing<Option.Option<B>> {
    return this.#run(first, rest, (pool, statement) =>
      Effect.map(single(pool, statement), ({ fields: [field], rows: [row] }) =>
        field === undefined || row === undefined
          ? Option.none<B>()
          : Option.some(as<B>([row[field.name]])[0]!)
      )
    )
  }

  stream<B = A>(first: First, ...rest: Rest): Stream.Stream<B, E | OperationError, PoolRegistry> {
    const { decode } = this
    const options = typeof first === "string" && isStreamOptions(rest[1]) ? rest[1] : undefined
    const statement = fromArguments(first, rest)
    if (Result.isFailure(statement)) return Stream.fail(statement.failure)
    const { text } = statement.success
    const raw = Stream.unwrap(
      onPool(this.source, (pool, fiber) => {
        const read = withProgress(rows(pool, statement.success), options)
        return Effect.succeed(Spans.aroundRows(fiber, this.#about(pool, text), read))
      })
    )
    return decode === undefined
      ? Stream.mapArray(raw, asPiece<B>)
      : Stream.mapArrayEffect(raw, (piece) => Effect.map(decode(piece, "stream"), asPiece<B>))
  }

  trans(statements: ReadonlyArray<Statement>): Failing<ReadonlyArray<Outcome>> {
    // What is no array is refused, also where a span would count it.
    const count = Array.isArray(statements) ? statements.length : 0
    return onPool(this.source, (pool, fiber) =>
      Spans.around(
        fiber,
        this.#about(pool, count),
        Effect.map(batch(pool, statements), (results) => results.map(outcomeOf))
      )
    )
  }

  transaction<B, E2, R>(
    effect: Effect.Effect<B, E2, R>,
    asked: TransactionOptions = {}
  ): Effect.Effect<B, E2 | OperationError, R | PoolRegistry> {
    const checked = checkOptions(asked)
    if (Result.isFailure(checked)) return Effect.fail(checked.failure)
    const options = checked.success
    return repeat(
      onPool(this.source, (pool) => transaction(pool, effect, options)),
      options
    )
  }

  /** What is printed for the handle: never a secret. */
  abstract toString(): string

  toJSON(): string {
    return this.toString()
  }

  [inspect.custom](): string {
    return this.toString()
  }
}
