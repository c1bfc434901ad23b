/**
 * A statement that may be sent: checked by its text and by what the pool remembers of that, with what is needed to send it, to
 * read its rows and to word its error. Made by `prepare`, run by `Execute.ts`, by streams and by transactions.
 */
import * as Result from "effect/Result"
import { type PoolError, refused } from "../errors/PoolError.ts"
import type { About } from "../errors/ServerErrors.ts"
import type { Pool } from "../pool/Pool.ts"
import type { PooledConnection } from "../pool/PooledConnection.ts"
import { type KnownText, longestKept, type Timing } from "../pool/StatementCache.ts"
import type { ServerFields } from "../protocol/MessageReader.ts"
import { describe } from "../settings/Settings.ts"
import { returnsByName } from "../statement/Analyze.ts"
import type { Direction } from "../statement/CopyStatement.ts"
import { surplus } from "../statement/Placeholders.ts"
import type { Bound } from "../statement/Statement.ts"
import type { Encoded } from "../types/Parameters.ts"
import type { RowShape } from "../types/RowReader.ts"
import type { OwnReaders } from "../types/TypeMap.ts"
import * as TypeMap from "../types/TypeMap.ts"

/** Which of how many statements, for the error of a batch. */
export interface Position {
  readonly number: number
  readonly of: number
  /** The line on which it begins, and the file, for a script. */
  readonly line?: number
  readonly file?: string | undefined
}

/** Says more of an error: which row and column it is about, and what its texts must not show. */
export type Tell = (fields: ServerFields) => About

/** A statement that may be sent. */
export interface Job {
  readonly bound: Bound
  readonly known: KnownText
  readonly shape: RowShape
  /** What reads its rows, if not the pool's types. */
  readonly types: TypeMap.TypeMap | undefined
  /** Whether it may be kept prepared. */
  readonly keeps: boolean
  readonly position: Position | undefined
  /** Parameters that were encoded already, where they were. */
  readonly encoded: Encoded | undefined
  readonly tell: Tell | undefined
  /** Where its begin is noted, for the log. */
  readonly timing: Timing | undefined
  /** Whether it cannot be sent again when it is refused for what is remembered. */
  readonly inTransaction?: boolean
  /** The portal that stays open when it has given so many rows, where not all are read at once. */
  readonly portal?: { readonly name: string; readonly maxRows: number }
}

export interface JobOptions {
  /** For a `COPY`: which way its data go. */
  readonly copies?: Direction
  readonly shape?: RowShape | undefined
  /** Readers of values other than the pool's. */
  readonly readers?: OwnReaders | undefined
  /** What parameters are before they are encoded, if not as they were given. */
  readonly parameters?: (params: ReadonlyArray<unknown>) => Result.Result<ReadonlyArray<unknown>, PoolError>
  /** Whether it may begin and end transactions, as on a connection that its caller has whole. */
  readonly controls?: boolean
  readonly prepare?: boolean
  readonly position?: Position
  readonly encoded?: Encoded | undefined
  readonly tell?: Tell | undefined
}

/** Looks at a statement: gives what has to be known to send it, or why it is not sent. */
export const prepare = (
  { settings, statements, types }: Pool,
  bound: Bound,
  {
    controls = false,
    copies,
    encoded,
    parameters,
    position,
    prepare = true,
    readers,
    shape = "object",
    tell
  }: JobOptions = {},
  timing?: Timing
): Job | PoolError => {
  const known = statements.get(bound.text)
  const { analysis } = known
  const isAllowed =
    (controls && analysis.isTransactionControl) || (copies !== undefined && copies === analysis.copies)
  const given = encoded?.values ?? bound.params
  const problem =
    (isAllowed ? undefined : analysis.rejection) ?? surplus(bound.text, analysis.placeholders, given.length)
  if (problem !== undefined) return refused(problem)
  const own = parameters?.(bound.params)
  if (own !== undefined && Result.isFailure(own)) return own.failure
  return {
    bound: own === undefined ? bound : { ...bound, params: own.success },
    known,
    shape,
    types:
      readers !== undefined
        ? types.withReaders(readers)
        : bound.isOwn === true && types.hasCodecs
          ? TypeMap.plain
          : undefined,
    keeps:
      prepare && settings.prepare !== false && bound.text.length <= longestKept && !returnsByName(analysis),
    position,
    encoded,
    tell,
    timing
  }
}

/** A statement as it is in a transaction on this connection. */
export const jobIn = (pool: Pool, { searchPath }: PooledConnection, job: Job): Job =>
  searchPath === "" && job.bound.columns?.isGuarded !== true
    ? job
    : { ...job, inTransaction: true, known: pool.statements.get(job.bound.text, searchPath) }

/** The `search_path` behind a statement that may set it. */
export const searchPathOf = ({ params, text }: Bound): string =>
  [text, ...params.filter((value) => typeof value === "string")].join("\0")

export const isJob = (value: Job | PoolError): value is Job => "known" in value

/** What an error of this statement is about. */
export const aboutOf = ({ settings, types }: Pool, { bound, known, position }: Job): About => ({
  text: bound.text,
  // What a codec makes of a value, or what the data of a COPY are, is not known here.
  params:
    known.analysis.copies !== undefined || (types.hasCodecs && bound.params.length > 0)
      ? undefined
      : bound.params,
  parameterNames: bound.about,
  takesData: known.analysis.copies === "in",
  server: describe(settings),
  ...position
})

/** The statement has its connection: what it waits for from here on is the server. */
export const begins = ({ clock }: Pool, { timing }: Pick<Job, "timing">): void => {
  if (timing !== undefined) timing.sentAt ??= clock.monotonicTimeNanosUnsafe()
}
