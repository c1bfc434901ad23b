/**
 * One statement, from its text and parameters to rows: what its text shows is checked, its parameters are encoded, it runs on
 * the fiber's transaction or on a connection lent for it, and its error tells the whole story.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type { SqlError } from "effect/sql/SqlError"
import * as ConnectionErrors from "../errors/ConnectionErrors.ts"
import { type PoolError, refused } from "../errors/PoolError.ts"
import { type About, serverError } from "../errors/ServerErrors.ts"
import type { AnyFiber, Pool } from "../pool/Pool.ts"
import type { PooledConnection } from "../pool/PooledConnection.ts"
import { isDead, isInTransaction, markDirty } from "../pool/PooledConnection.ts"
import type { Caution } from "../pool/PoolState.ts"
import { type KnownText, longestKept, statementOf, type Timing } from "../pool/StatementCache.ts"
import * as Target from "../pool/Target.ts"
import * as Commands from "../protocol/Commands.ts"
import type { Exchange } from "../protocol/Exchange.ts"
import { hasFloatTexts } from "../protocol/PreparedStatements.ts"
import { descriptionOf, forget, type Statement } from "../protocol/Statement.ts"
import { describe } from "../settings/Settings.ts"
import type { Direction } from "../statement/CopyStatement.ts"
import { surplus } from "../statement/Placeholders.ts"
import type { Bound } from "../statement/Statement.ts"
import { type Encoded, encodePlain } from "../types/Parameters.ts"
import { surviveRetyping } from "../types/Retyping.ts"
import type { RowShape } from "../types/RowReader.ts"
import type { OwnReaders, TypeMap } from "../types/TypeMap.ts"
import * as Encode from "./Encode.ts"
import { learn, learnFloats, readLate } from "./Learn.ts"
import { maxAttempts, mayCommit, verdictOf, wasStalePlan } from "./Resend.ts"

/** Which of how many statements, for the error of a batch. */
export interface Position {
  readonly number: number
  readonly of: number
  /** The line on which it begins, and the file, for a script. */
  readonly line?: number
  readonly file?: string | undefined
}

/** A statement that may be sent. */
export interface Job {
  readonly bound: Bound
  readonly known: KnownText
  readonly shape: RowShape
  /** What reads its rows, if not the pool's types. */
  readonly types: TypeMap | undefined
  /** Whether it may be kept prepared. */
  readonly keeps: boolean
  readonly position: Position | undefined
  /** Parameters that were encoded already, where they were. */
  readonly encoded: Encoded | undefined
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
  /** Whether it may begin and end transactions, as on a connection that its caller has whole. */
  readonly controls?: boolean
  readonly prepare?: boolean
  readonly position?: Position
  readonly encoded?: Encoded | undefined
}

/** Looks at a statement: gives what has to be known to send it, or why it is not sent. */
export const prepare = (
  { settings, statements, types }: Pool,
  bound: Bound,
  { controls = false, copies, encoded, position, prepare = true, readers, shape = "object" }: JobOptions = {},
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
  return {
    bound,
    known,
    shape,
    types: readers === undefined ? undefined : types.withReaders(readers),
    keeps: prepare && settings.prepare !== false && bound.text.length <= longestKept,
    position,
    encoded,
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
  server: describe(settings),
  ...position
})

/** The error of a statement that did not come to its end. `isHarmless`: if it was lost, nothing took effect. */
export const errorOf = (
  pool: Pool,
  job: Job,
  exchange: Exchange,
  connection: PooledConnection,
  isHarmless = job.known.analysis.isPlainRead
): SqlError => {
  const { analysis } = job.known
  const about = aboutOf(pool, job)
  if (exchange.error !== undefined) {
    const mayHaveCommitted = mayCommit(analysis) && exchange.isBound && !isInTransaction(connection)
    const isStale = isInTransaction(connection) && wasStalePlan(exchange)
    const isMisplaced = Target.isMisplaced(connection, pool.settings.targetSessionAttributes)
    return serverError(exchange.error, { ...about, mayHaveCommitted, isStale, isMisplaced })
  }
  const end = connection.session.end()
  if (exchange.state === "lost" && end !== undefined) {
    return ConnectionErrors.lostError(end, isHarmless, about)
  }
  return ConnectionErrors.unsentError(about, end)
}

/**
 * Whether the statement has to be described before it runs: its rows could not be read otherwise, or what it does not undone.
 * Readers of one's own read binary values alone, which can only be asked for once the types are known.
 */
export const needsDescription = (statement: Statement, { known: { analysis }, types }: Job): boolean =>
  analysis.returnsRows &&
  (analysis.mayReturnRecord || !analysis.isRead || analysis.callsFunctions || types !== undefined) &&
  descriptionOf(statement) === undefined

/** Whether the session shows floats and dates so that they can be read from their texts. */
const isTypical = ({ session: { floats, locale } }: PooledConnection): boolean =>
  floats !== "short" && locale.isIso

/** Whether a composite type is among a statement's columns: its attributes are asked for each time. */
export const compositesOf = ({ types }: Pool, statement: Statement): ReadonlyArray<number> => {
  const columns = descriptionOf(statement)?.columns
  if (columns === undefined || columns.length === 0) return none
  const version = types.version()
  if (statement.composites?.version !== version) {
    statement.composites = { version, oids: types.composites(columns.map(({ type }) => type)) }
  }
  return statement.composites.oids
}

const none: ReadonlyArray<number> = []

/** The statement has its connection: what it waits for from here on is the server. */
export const begins = ({ clock }: Pool, { timing }: Pick<Job, "timing">): void => {
  if (timing !== undefined) timing.sentAt ??= clock.monotonicTimeNanosUnsafe()
}

/**
 * Whether a statement is bound by the name under which it is prepared. One that returns every column of its table is refused
 * when one of them has changed, and sent again where that can be; others only with values that stay what they are.
 */
const keepsPrepared = (
  pool: Pool,
  { bound, inTransaction, keeps }: Job,
  statement: Statement,
  { types, values }: Encoded
): boolean => {
  const description = descriptionOf(statement)
  return (
    keeps &&
    (description === undefined ||
      (bound.columns?.isGuarded === true && inTransaction !== true) ||
      surviveRetyping(pool.types, values, types, description.parameterTypes))
  )
}

/** Whether this session has prepared the statement and would refuse to bind it when that is stale. */
const isCertain = (pool: Pool, { session }: PooledConnection, job: Job, encoded: Encoded): boolean => {
  const statement = statementOf(pool.statements, job.known, encoded.types)
  return (
    keepsPrepared(pool, job, statement, encoded) && Commands.descriptionOn(session, statement) !== undefined
  )
}

/** Whether rows can be read whatever has changed. Readers of one's own read the types that they were chosen for alone. */
const isReadyOn = (pool: Pool, connection: PooledConnection, job: Job, encoded: Encoded): boolean =>
  isTypical(connection) &&
  (job.types === undefined || !job.known.analysis.returnsRows || isCertain(pool, connection, job, encoded))

/** Writes a statement with these parameters. */
export const send = (
  pool: Pool,
  connection: PooledConnection,
  job: Job,
  encoded: Encoded,
  onSettled: (exchange: Exchange) => void,
  options: Omit<Commands.RunOptions, "keep"> = {}
): { readonly exchange: Exchange; readonly usedMemory: boolean; readonly statement: Statement } => {
  begins(pool, job)
  const { session } = connection
  if (job.known.analysis.setsSearchPath) connection.searchPath = searchPathOf(job.bound)
  const statement = statementOf(pool.statements, job.known, encoded.types)
  const keep = keepsPrepared(pool, job, statement, encoded)
  const usedMemory =
    descriptionOf(statement) !== undefined || (keep && Commands.isPrepared(session, statement))
  const { isPlainRead } = job.known.analysis
  const mayTrust = job.types !== undefined || (isPlainRead && !isInTransaction(connection))
  // What is not a plain read cannot be run again to get its floats in binary, so it asks for them at once.
  const isSure = isTypical(connection) && (isPlainRead || session.floats !== "unknown")
  const exchange = Commands.run(session, statement, encoded.values, onSettled, {
    trusted: mayTrust ? "all" : isSure ? "records" : "session",
    shape: job.shape,
    types: job.types,
    portal: job.portal?.name ?? "",
    maxRows: job.portal?.maxRows ?? 0,
    ...options,
    keep
  })
  return { exchange, usedMemory, statement }
}

/** What a statement's end changes for the pool. */
export const onDone = (pool: Pool, connection: PooledConnection, { known: { analysis } }: Job): void => {
  if (!analysis.changesCatalogue) return
  pool.onCatalogueChange()
  if (isInTransaction(connection)) connection.hasCatalogueChanges = true
}

/**
 * Gives the rows of a statement that has run. Types that nobody of the pool has met are asked for on its own connection.
 */
export const finish = (
  pool: Pool,
  connection: PooledConnection,
  job: Job,
  exchange: Exchange
): Effect.Effect<Exchange, SqlError> => {
  const tookEffect = !job.known.analysis.isRead
  const settled = (): Effect.Effect<Exchange, SqlError> => {
    const { unreadable } = exchange
    if (unreadable === undefined) return Effect.succeed(exchange)
    return Effect.fail(ConnectionErrors.unreadableError(unreadable, tookEffect, aboutOf(pool, job)))
  }
  if (exchange.late === undefined) return settled()
  const read = Effect.mapError(readLate(connection, exchange), (error) =>
    ConnectionErrors.unreadableError(
      new Error(
        "A value is of a type that the pool has not met, and the server could not be asked about it."
      ),
      tookEffect,
      aboutOf(pool, job),
      error
    )
  )
  return Effect.flatMap(read, settled)
}

/** Whether the rows are what they are to be. */
export const isReadable = ({ late, unreadable }: Exchange): boolean =>
  unreadable === undefined && late === undefined

/**
 * Whether rows have floats that came as text from a session of which nobody knows how many digits it shows. Asked about at the
 * first run of a text alone.
 */
const hasUncertainFloats = (
  { types }: Pool,
  { session }: PooledConnection,
  { known }: Job,
  { formats, late, prepared, rows }: Exchange
): boolean =>
  session.floats === "unknown" &&
  known.analysis.isPlainRead &&
  (rows.length > 0 || late !== undefined) &&
  formats !== undefined &&
  prepared?.description !== undefined &&
  hasFloatTexts(types, formats, prepared.description)

interface Sent {
  readonly exchange: Exchange
  readonly usedMemory: boolean
  readonly statement: Statement
}

/** Sends and waits. After an interruption the owner of the connection handles the answer. */
const sendOnce = (
  pool: Pool,
  connection: PooledConnection,
  job: Job,
  encoded: Encoded
): Effect.Effect<Sent> =>
  Effect.callback((resume) => {
    const sent = send(pool, connection, job, encoded, () => resume(Effect.succeed(sent)))
  })

/** Whether the parameters are encoded by what the server expects of them. */
const isTyped = (pool: Pool, job: Job): boolean => plainParameters(pool, job) === undefined

/** The parameters where their encoding needs no knowledge of the statement. */
const plainParameters = (pool: Pool, { bound, encoded, known, types }: Job): Encoded | undefined => {
  const { columns, params } = bound
  if (encoded !== undefined || (columns !== undefined && params.length > 0)) return encoded
  const isPlain =
    !pool.types.hasCodecs ||
    types !== undefined ||
    Encode.hasNoCodecs(pool.types, { memory: pool.statements, known, params })
  return isPlain ? encodePlain(params) : undefined
}

/** Encodes the parameters, asking the server where that takes its knowledge. */
export const encode = (
  pool: Pool,
  connection: PooledConnection,
  job: Job
): Effect.Effect<Encoded, SqlError | PoolError | Encode.DescribeFailure> => {
  begins(pool, job)
  const plain = plainParameters(pool, job)
  if (plain !== undefined) return Effect.succeed(plain)
  const { bound, inTransaction = false, keeps, known, types } = job
  const { columns, params } = bound
  const converts = types !== undefined
  const given = { memory: pool.statements, known, params, keeps, inTransaction, converts }
  return columns === undefined
    ? Encode.encode(connection, given)
    : Encode.encodeColumns(connection, given, columns)
}

/** What was remembered of a statement that the server refused may be why. */
export const forgetRefused = ({ session }: PooledConnection, { known }: Job, { isBound }: Exchange): void => {
  if (isBound) return
  for (const statement of known.statements) {
    forget(statement)
    Commands.forget(session, statement)
  }
}

/**
 * What has to be known before a statement is sent: how its parameters are encoded, and of which types its rows are. For a
 * stream the server is asked, unless it would refuse what is prepared on this connection when that is stale.
 */
export const ready = Effect.fnUntraced(function* (
  pool: Pool,
  connection: PooledConnection,
  job: Job,
  isStream = false
) {
  const encoded = yield* encode(pool, connection, job)
  const statement = statementOf(pool.statements, job.known, encoded.types)
  const keep = keepsPrepared(pool, job, statement, encoded)
  const isOwn = job.types !== undefined
  const asks = isStream || (job.known.analysis.returnsRows && (isOwn || !isTypical(connection)))
  if (needsDescription(statement, job) || (asks && !isCertain(pool, connection, job, encoded))) {
    yield* Encode.describe(connection, statement, keep, isStream || isOwn)
  }
  const description = isStream ? descriptionOf(statement) : undefined
  if (description !== undefined) {
    const unknown = pool.types.unknown(
      description.columns.map(({ type }) => type),
      true
    )
    if (unknown.length > 0) yield* learn(connection, unknown)
  }
  return { encoded, composites: compositesOf(pool, statement) }
})

/** Runs just before a statement is written, in the same step; gives why it is not. */
export type BeforeSend = () => SqlError | PoolError | undefined

/** The statement has to run on another connection. */
export const elsewhere = Symbol("elsewhere")

/**
 * Runs a statement on a connection that its caller has whole: describes it first where that is needed, and sends it again
 * where it was refused for something remembered.
 */
export const runOn: (
  pool: Pool,
  connection: PooledConnection,
  job: Job,
  before: BeforeSend,
  attempts?: number
) => Effect.Effect<Exchange | typeof elsewhere, SqlError | PoolError> = Effect.fnUntraced(function* (
  pool: Pool,
  connection: PooledConnection,
  job: Job,
  before: BeforeSend,
  attempts = 0
) {
  const wasInTransaction = isInTransaction(connection)
  const prepared = yield* Effect.result(ready(pool, connection, job))
  if (Result.isFailure(prepared)) {
    const { failure } = prepared
    if (failure._tag !== "DescribeFailure") return yield* failure
    // Nothing of the statement has run.
    if (isDead(connection) && !wasInTransaction && attempts === 0) return elsewhere
    // A transaction fails with it, as if the statement itself had been sent.
    const isOpen = before() === undefined && (isInTransaction(connection) || connection.session.pending() > 0)
    if (isOpen) yield* Encode.describeAgain(connection, failure)
    return yield* errorOf(pool, job, failure.exchange, connection)
  }
  const { composites, encoded } = prepared.success
  const refusal = before()
  if (refusal !== undefined) return yield* refusal
  markDirty(connection, job.known.analysis)
  const [, { exchange, usedMemory }] = yield* Effect.all(
    [
      // What became of the statement counts; its rows ask again.
      composites.length === 0 ? Effect.void : Effect.ignore(learn(connection, composites)),
      sendOnce(pool, connection, job, encoded)
    ],
    { concurrency: "unbounded" }
  )
  if (exchange.state === "done") {
    onDone(pool, connection, job)
    if (attempts === 0 && hasUncertainFloats(pool, connection, job, exchange)) {
      yield* learnFloats(connection)
      if (!isTypical(connection)) return yield* runOn(pool, connection, job, before, 1)
    }
    return yield* finish(pool, connection, job, exchange)
  }
  if (exchange.state === "failed") forgetRefused(connection, job, exchange)
  const verdict = verdictOf(exchange, isDead(connection), {
    analysis: job.known.analysis,
    usedMemory: usedMemory || isTyped(pool, job),
    inTransaction: wasInTransaction || isInTransaction(connection),
    attempts
  })
  if (verdict === "anew" && attempts === 0) return yield* runOn(pool, connection, job, before, 1)
  if (verdict === "elsewhere") return elsewhere
  return yield* errorOf(pool, job, exchange, connection)
})

/** The parameters of a statement that can be sent at once, with nothing to ask first; else `undefined`. */
export const plainOf = (pool: Pool, job: Job, connection?: PooledConnection): Encoded | undefined => {
  const encoded = plainParameters(pool, job)
  if (encoded === undefined) return undefined
  if (connection !== undefined && !isReadyOn(pool, connection, job, encoded)) return undefined
  const statement = statementOf(pool.statements, job.known, encoded.types)
  const isPlain = !needsDescription(statement, job) && compositesOf(pool, statement).length === 0
  return isPlain ? encoded : undefined
}

const nothing = () => undefined

/** Runs a statement on a connection that is its caller's until its end. */
export const runHere = (
  pool: Pool,
  connection: PooledConnection,
  job: Job,
  before: BeforeSend = nothing
): Effect.Effect<Exchange, SqlError | PoolError> =>
  Effect.flatMap(runOn(pool, connection, job, before), (result) =>
    result === elsewhere
      ? Effect.fail(ConnectionErrors.unsentError(aboutOf(pool, job), connection.session.end()))
      : Effect.succeed(result)
  )

/** Gives the rows of a statement that was sent with nothing to ask first. */
const settlePlain = (
  pool: Pool,
  connection: PooledConnection,
  job: Job,
  exchange: Exchange
): Effect.Effect<Exchange, SqlError | PoolError> => {
  onDone(pool, connection, job)
  if (hasUncertainFloats(pool, connection, job, exchange)) {
    return Effect.flatMap(learnFloats(connection), () =>
      isTypical(connection) ? finish(pool, connection, job, exchange) : runHere(pool, connection, job)
    )
  }
  return isReadable(exchange) ? Exit.succeed(exchange) : finish(pool, connection, job, exchange)
}

/** Sends a statement with nothing to ask first, in a transaction; gives its rows or its error. */
export const sendPlain = (
  pool: Pool,
  connection: PooledConnection,
  job: Job,
  encoded: Encoded,
  onResult: (result: Effect.Effect<Exchange, SqlError | PoolError>) => void
): void => {
  markDirty(connection, job.known.analysis)
  send(pool, connection, job, encoded, (exchange) => {
    if (exchange.state === "done") {
      onDone(pool, connection, job)
      return onResult(isReadable(exchange) ? Exit.succeed(exchange) : finish(pool, connection, job, exchange))
    }
    if (exchange.state === "failed") forgetRefused(connection, job, exchange)
    onResult(Effect.fail(errorOf(pool, job, exchange, connection)))
  })
}

/** Runs one statement on a connection of the pool, which it may share. */
export const single = (
  pool: Pool,
  fiber: AnyFiber,
  job: Job,
  attempts = 0,
  caution: Caution = job.known.analysis.isPlainRead ? "tries" : "asks"
): Effect.Effect<Exchange, SqlError | PoolError> => {
  const encoded = plainOf(pool, job)
  if (encoded === undefined) {
    return Effect.flatMap(
      pool.use((connection) => runOn(pool, connection, job, pool.cutOff)),
      (result) => {
        if (result !== elsewhere) return Effect.succeed(result)
        if (attempts < maxAttempts) return single(pool, fiber, job, attempts + 1)
        return Effect.fail(ConnectionErrors.unsentError(aboutOf(pool, job)))
      }
    )
  }
  const { analysis, latency } = job.known
  const mayShare = analysis.isRead && !analysis.callsFunctions
  return pool.run<Exchange, SqlError | PoolError>(
    fiber,
    mayShare ? latency : undefined,
    (connection, done) => {
      const refusal = pool.cutOff()
      if (refusal !== undefined) return done(Effect.fail(refusal))
      if (!isReadyOn(pool, connection, job, encoded)) {
        return done(runHere(pool, connection, job, pool.cutOff), true)
      }
      markDirty(connection, analysis)
      const { usedMemory } = send(pool, connection, job, encoded, (exchange) => {
        if (exchange.state === "done") {
          const settled = settlePlain(pool, connection, job, exchange)
          return done(settled, !Exit.isExit(settled))
        }
        if (exchange.state === "failed") forgetRefused(connection, job, exchange)
        const situation = { analysis, usedMemory, inTransaction: false, attempts }
        if (verdictOf(exchange, isDead(connection), situation) === "fail") {
          return done(Effect.fail(errorOf(pool, job, exchange, connection)))
        }
        const next = isDead(connection) ? "asks all" : caution
        done(Effect.suspend(() => single(pool, fiber, job, attempts + 1, next)))
      })
    },
    caution
  )
}
