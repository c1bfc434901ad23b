/**
 * What an operation of the collection needs of its table's handle.
 */
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { OperationError } from "../errors/PoolError.ts"
import type { CopyInOptions } from "../execute/CopyIn.ts"
import type { Tell } from "../execute/Job.ts"
import type { Outcome, Row } from "../execute/Outcome.ts"
import type { StreamOptions } from "../execute/Progress.ts"
import type { Mistaken, Step } from "../execute/StoreRows.ts"
import type { Bound } from "../statement/Statement.ts"
import type { TableShape } from "../types/TableShape.ts"
import type { TypeLookup } from "../types/TypeLookup.ts"
import type { Bulk } from "./BulkSql.ts"
import type { Translation } from "./Schemas.ts"
import type { Site } from "./SqlBuilder.ts"

export interface TableBackend<A, E, R> extends Site {
  /** `Schemas.translating(schema)` for a handle with a schema, `Schemas.trusting()` for one without. */
  readonly translation: Translation<A, E>
  /** Runs one statement, as the handle's `execute` does; rows are as they come, not decoded by the schema. */
  readonly execute: (statement: Bound) => Effect.Effect<Outcome, OperationError, R>
  /** Asks the catalogue: no operation of the program's, so no span, metric or log of it is one, and no codec reads its rows. */
  readonly askCatalogue: (statement: Bound) => Effect.Effect<Outcome, OperationError, R>
  /** What is known of the table, or what the catalogue says where nothing is. Columns have their names in JavaScript. */
  readonly shape: Effect.Effect<TableShape, OperationError, R>
  /** What the catalogue says. */
  readonly freshShape: Effect.Effect<TableShape, OperationError, R>
  /** What the catalogue says; locked, so that it holds until the transaction ends. */
  readonly lockedShape: Effect.Effect<TableShape, OperationError, R>
  /**
   * Sends what stores rows, all or nothing, and gives their number. Where `shape`, what is known of the table, is not true any
   * more, nothing runs. The steps are asked for again where nothing of them was sent.
   */
  readonly store: (
    steps: () => Iterator<Step>,
    shape: TableShape | undefined
  ) => Effect.Effect<number, OperationError | Mistaken, R>
  /** Makes a bulk statement ready to run; `types` are those of the table's shape. What is given holds its parameters as bytes. */
  readonly bulk: (
    statement: Bulk,
    tell: Tell,
    types: TypeLookup
  ) => Effect.Effect<Effect.Effect<Outcome, OperationError, R>, OperationError, R>
  /** Runs a `COPY … FROM STDIN` with these data, and gives the number of rows. */
  readonly copyIn: <E2, R2>(
    statement: Bound,
    data: Stream.Stream<Uint8Array | string, E2, R2>,
    options: CopyInOptions
  ) => Effect.Effect<number, E2 | OperationError, R | R2>
  /** The data of a `COPY … TO STDOUT`. */
  readonly copyOut: (statement: Bound) => Stream.Stream<Uint8Array, OperationError, R>
  /** As the handle's `stream`; rows are as they come. */
  readonly stream: (statement: Bound, options: StreamOptions) => Stream.Stream<Row, OperationError, R>
  /** As the handle's `transaction`. */
  readonly transaction: <B, E2, R2>(
    effect: Effect.Effect<B, E2, R2>
  ) => Effect.Effect<B, E2 | OperationError, R | R2>
}
