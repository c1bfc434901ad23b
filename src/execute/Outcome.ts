/**
 * What a statement gives.
 */
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"

/** Who uses an operation: a program in Effect, or one outside. */
export type Form = "effect" | "promise"

interface Once<A, E, R> {
  effect: Effect.Effect<A, E, R>
  promise: Promise<A>
}

/** What an operation gives: an effect, or outside Effect a promise. */
export type One<F extends Form, A, E, R> = Once<A, E, R>[F]

interface Streamed<A, E, R> {
  effect: Stream.Stream<A, E, R>
  promise: AsyncIterable<A>
}

/** The same of values as they come: a stream, or outside Effect an async iterable. */
export type Many<F extends Form, A, E, R> = Streamed<A, E, R>[F]

/** A row without a declared type: a plain object keyed by column name. */
export interface Row {
  readonly [column: string]: unknown
}

/** What a statement did. */
export interface Outcome {
  /** The first word of the server's command tag: `INSERT`, `SELECT`, `CREATE` … */
  readonly command: string
  /** How many rows it returned or touched. */
  readonly rowCount: number
  readonly rows: ReadonlyArray<Row>
}
