/**
 * What a statement gives.
 */
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"

/** What an operation gives, by who uses it: an effect, or outside Effect a promise. */
export type One<F extends keyof Given<A, E, R>, A, E, R> = Given<A, E, R>[F]

interface Given<A, E, R> {
  effect: Effect.Effect<A, E, R>
  promise: Promise<A>
}

/** The same of values as they come: a stream, or outside Effect an async iterable. */
export type Many<F extends keyof Streamed<A, E, R>, A, E, R> = Streamed<A, E, R>[F]

interface Streamed<A, E, R> {
  effect: Stream.Stream<A, E, R>
  promise: AsyncIterable<A>
}

/** Who uses an operation. */
export type Form = "effect" | "promise"

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
