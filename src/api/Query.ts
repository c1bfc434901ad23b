/**
 * The SQL operations that database and table handles share.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { isPoolError, type OperationError, type PoolError, refused } from "../errors/PoolError.ts"
import type { Outcome, Row } from "../execute/Outcome.ts"
import type { StreamOptions } from "../execute/Progress.ts"
import { withProgress } from "../execute/Progress.ts"
import { commandOf, type Exchange, rowCountOf } from "../protocol/Exchange.ts"
import type { PoolRegistry } from "../registry/PoolRegistry.ts"
import { attempt, isArray, isPlain } from "../statement/PlainObject.ts"
import type { Sql } from "../statement/Sql.ts"
import { type Bound, fromArguments, type Statement } from "../statement/Statement.ts"
import { batch } from "../transaction/Batch.ts"
import { runStatement, streamStatement } from "../transaction/Run.ts"
import { repeat, transaction } from "../transaction/Transaction.ts"
import type { TransactionOptions } from "../transaction/TransactionOptions.ts"
import { check as checkOptions } from "../transaction/TransactionOptions.ts"
import type { RowShape } from "../types/RowReader.ts"
import { type Makers, namingOf, onPool, type Source, shapeOf } from "./Handle.ts"
import type { Operations, RowOperations } from "./Operations.ts"

/** How rows become what the handle promises; without it they are as they came. */
export type Decode<E> = (
  rows: ReadonlyArray<unknown>,
  operation: "select" | "selectOne" | "stream"
) => Effect.Effect<ReadonlyArray<unknown>, E>

/** What the SQL operations need of a handle. */
export interface QuerySource<E> extends Source {
  /** The table that the handle names. */
  readonly label: string | undefined
  readonly decode: Decode<E> | undefined
}

/** The first argument of an operation, in all its forms, and the others. */
type First = string | Sql | TemplateStringsArray
type Rest = ReadonlyArray<unknown>

/** Rows are of the type that the handle's schema, or else the caller, says. */
export const vouched = <B>(rows: ReadonlyArray<unknown>): ReadonlyArray<B> => rows as ReadonlyArray<B>

/** As `vouched`, for a piece of a stream, which has a row at least. */
const vouchedPiece = <B>(rows: ReadonlyArray<unknown>): NonEmptyReadonlyArray<B> =>
  rows as NonEmptyReadonlyArray<B>

/** What a caller is given of a statement's result. */
export const outcomeOf = (exchange: Exchange): Outcome => ({
  command: commandOf(exchange),
  rowCount: rowCountOf(exchange),
  rows: vouched<Row>(exchange.rows)
})

export const runBound = (
  source: QuerySource<unknown>,
  statement: Bound,
  shape?: RowShape
): Effect.Effect<Exchange, OperationError, PoolRegistry> =>
  onPool(source, (pool, fiber) => runStatement(pool, fiber, statement, { table: source.label, shape }))

/** The last argument of an operation. */
interface Options extends StreamOptions {
  readonly rowsAs?: "array" | undefined
}

const optionNames: ReadonlySet<string> = new Set(["rowsAs", "onProgress"])

const isOptions = (value: unknown): value is Options =>
  isPlain(value) && attempt(() => Object.keys(value).every((name) => optionNames.has(name)), false)

const noOptions: Options = {}

/** The options that stand behind a statement. */
const optionsOf = (source: QuerySource<unknown>, first: First, rest: Rest): Options | PoolError => {
  const last = isArray(first) || rest.length > 2 ? undefined : rest.at(-1)
  if (!isOptions(last)) {
    return rest.length < 2 || last === undefined
      ? noOptions
      : refused("The last argument is an object of options: rowsAs and onProgress. Nothing was sent.")
  }
  const { rowsAs } = last
  if (rowsAs !== undefined && rowsAs !== "array") {
    return refused('The option rowsAs is "array" or left out. Nothing was sent.')
  }
  if (rowsAs === "array" && source.decode !== undefined) {
    const instead = "Rows by position are read by the database's handle."
    return refused(
      `The table's schema reads rows by the names of their columns. ${instead} Nothing was sent.`
    )
  }
  return last
}

const statementOf = (source: QuerySource<unknown>, first: First, rest: Rest, options: Options) =>
  fromArguments(first, options === noOptions ? rest : rest.slice(0, -1), namingOf(source))

const run = (source: QuerySource<unknown>, first: First, rest: Rest, asked?: RowShape) => {
  const options = optionsOf(source, first, rest)
  if (isPoolError(options)) return Effect.fail(options)
  const statement = statementOf(source, first, rest, options)
  if (Result.isFailure(statement)) return Effect.fail(statement.failure)
  return runBound(source, statement.success, asked ?? options.rowsAs ?? shapeOf(source))
}

export const streamBound = (source: QuerySource<unknown>, statement: Bound, options: Options | undefined) =>
  Stream.unwrap(
    onPool(source, (pool) => {
      const shape = options?.rowsAs ?? shapeOf(source)
      const rows = streamStatement(pool, statement, { table: source.label, shape })
      return Effect.succeed(withProgress(rows, options))
    })
  )

/** The SQL operations on rows of type `A` that decode with errors of type `E`. */
export const operations = <A, E, S extends QuerySource<E>>(): Makers<
  S,
  Operations & RowOperations<A, E>
> => ({
  execute:
    (source) =>
    (first: First, ...rest: Rest) =>
      Effect.map(run(source, first, rest), outcomeOf),
  select:
    (source) =>
    <B = A>(first: First, ...rest: Rest) => {
      const { decode } = source
      const found = run(source, first, rest)
      return decode === undefined
        ? Effect.map(found, ({ rows }) => vouched<B>(rows))
        : Effect.flatMap(found, ({ rows }) => Effect.map(decode(rows, "select"), vouched<B>))
    },
  selectOne:
    (source) =>
    <B = A>(first: First, ...rest: Rest) => {
      const { decode } = source
      return Effect.flatMap(run(source, first, rest), ({ rows }) => {
        const one = rows.slice(0, 1)
        const decoded = decode === undefined ? Effect.succeed(one) : decode(one, "selectOne")
        return Effect.map(decoded, (rows) => Option.fromUndefinedOr(vouched<B>(rows)[0]))
      })
    },
  selectValue:
    (source) =>
    <B = unknown>(first: First, ...rest: Rest) =>
      Effect.map(run(source, first, rest, "array"), ({ rows: [row] }) =>
        Array.isArray(row) && row.length > 0 ? Option.some(vouched<B>(row)[0]!) : Option.none<B>()
      ),
  stream:
    (source) =>
    <B = A>(first: First, ...rest: Rest) => {
      const { decode } = source
      const options = optionsOf(source, first, rest)
      if (isPoolError(options)) return Stream.fail(options)
      const statement = statementOf(source, first, rest, options)
      if (Result.isFailure(statement)) return Stream.fail(statement.failure)
      const rows = streamBound(source, statement.success, options)
      return decode === undefined
        ? Stream.mapArray(rows, vouchedPiece<B>)
        : Stream.mapArrayEffect(rows, (piece) => Effect.map(decode(piece, "stream"), vouchedPiece<B>))
    },
  trans: (source) => (statements: ReadonlyArray<Statement>) =>
    onPool(source, (pool, fiber) =>
      Effect.map(
        batch(pool, fiber, statements, { naming: namingOf(source), table: source.label }),
        (exchanges) => exchanges.map(outcomeOf)
      )
    ),
  transaction:
    (source) =>
    <B, E2, R>(effect: Effect.Effect<B, E2, R>, asked: TransactionOptions = {}) => {
      const checked = checkOptions(asked)
      if (Result.isFailure(checked)) return Effect.fail(checked.failure)
      const options = checked.success
      return repeat(
        onPool(source, (pool, fiber) => transaction(pool, fiber, effect, options)),
        options
      )
    }
})
