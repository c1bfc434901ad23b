/**
 * What the collection needs of a table handle.
 */
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { OperationError, Outcome, Row, StreamOptions } from "../Operations.ts"
import type { ColumnParam } from "./BulkParams.ts"
import type { Memory } from "./Columns.ts"
import type { Translation } from "./Schemas.ts"

export interface Target<A, E, R> {
  /** The table's quoted name. */
  readonly name: string
  /** The name as the user wrote it, for messages. */
  readonly label: string
  /** `Schemas.translating(schema)` for a handle with a schema, `Schemas.trusting()` for one without. */
  readonly translation: Translation<A, E>
  /** Runs one statement, as the handle's `execute` does; rows are as they come, not decoded by the schema. */
  readonly execute: (
    text: string,
    params: ReadonlyArray<unknown>
  ) => Effect.Effect<Outcome, OperationError, R>
  /**
   * Makes a bulk statement ready to run: `BulkParams.bind` makes its parameters, once the codec knows `BulkParams.typesOf`
   * them. What is given holds them as bytes, and none of the values. `place` is for messages.
   */
  readonly bulk: (
    text: string,
    params: ReadonlyArray<ColumnParam>,
    place: string
  ) => Effect.Effect<Effect.Effect<Outcome, OperationError, R>, OperationError, R>
  /** As the handle's `stream`; rows are as they come. */
  readonly stream: (
    text: string,
    params: ReadonlyArray<unknown>,
    options: StreamOptions
  ) => Stream.Stream<Row, OperationError, R>
  /** As the handle's `transaction`. */
  readonly transaction: <B, E2, R2>(
    effect: Effect.Effect<B, E2, R2>
  ) => Effect.Effect<B, E2 | OperationError, R | R2>
  /** What the handle's pool remembers of its tables: one `new Map()` per pool, cleared when a statement changed the catalogue. */
  readonly memory: Effect.Effect<Memory, OperationError, R>
}
