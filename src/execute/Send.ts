/**
 * Writes one statement: encodes its parameters, describes it first where that is needed, and chooses whether it is bound by
 * what is remembered. Used by `Execute.ts`, by streams and by transactions; settles nothing.
 */
import * as Effect from "effect/Effect"
import type { OperationError } from "../errors/PoolError.ts"
import type { Pool } from "../pool/Pool.ts"
import type { PooledConnection } from "../pool/PooledConnection.ts"
import { isInTransaction, markDirty } from "../pool/PooledConnection.ts"
import { statementOf } from "../pool/StatementCache.ts"
import * as Commands from "../protocol/Commands.ts"
import type { Exchange } from "../protocol/Exchange.ts"
import { descriptionOf, type Statement } from "../protocol/KnownStatement.ts"
import * as PreparedStatements from "../protocol/PreparedStatements.ts"
import { returnsByName } from "../statement/Analyze.ts"
import { floatTypes } from "../types/BuiltinTypes.ts"
import { type Encoded, encodePlain } from "../types/Parameters.ts"
import { surviveRetyping } from "../types/Retyping.ts"
import * as Encode from "./Encode.ts"
import { begins, type Job, searchPathOf } from "./Job.ts"
import { learn } from "./Learn.ts"

/**
 * Whether the statement has to be described before it runs: its rows could not be read otherwise, or what it does not undone.
 * Readers of one's own read binary values alone, which can only be asked for once the types are known.
 */
const needsDescription = (
  { statements }: Pool,
  { known, types }: Job,
  { types: declared }: Encoded
): boolean => {
  const { callsFunctions, isRead, mayReturnRecord, returnsRows } = known.analysis
  if (!returnsRows || (isRead && !mayReturnRecord && !callsFunctions && types === undefined)) return false
  return descriptionOf(statementOf(statements, known, declared)) === undefined
}

/** Whether the session shows floats and dates so that they can be read from their texts. */
export const isTypical = ({ session: { floats, locale } }: PooledConnection): boolean =>
  floats !== "short" && locale.isIso

/**
 * Whether floats and dates may come as texts. What is not a plain read cannot be run again to get its floats in binary, so it asks
 * for them at once, and has to know before which types hold any.
 */
const isSure = (connection: PooledConnection, { known: { analysis } }: Job): boolean =>
  isTypical(connection) && (analysis.isPlainRead || connection.session.floats !== "unknown")

/** Whether a composite type is among a statement's columns: its attributes are asked for each time. */
const compositesOf = ({ types }: Pool, statement: Statement): ReadonlyArray<number> => {
  const columns = descriptionOf(statement)?.columns
  if (columns === undefined || columns.length === 0) return none
  const version = types.version()
  if (statement.composites?.version !== version) {
    statement.composites = { version, oids: types.composites(columns.map(({ type }) => type)) }
  }
  return statement.composites.oids
}

const none: ReadonlyArray<number> = []

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
export const isReadyOn = (pool: Pool, connection: PooledConnection, job: Job, encoded: Encoded): boolean =>
  isTypical(connection) &&
  !needsDescription(pool, job, encoded) &&
  (job.types === undefined || !job.known.analysis.returnsRows || isCertain(pool, connection, job, encoded))

/** Whether a read may have floats that come as text from a session that was not asked how it prints them. */
export const mayPrintFloats = (
  pool: Pool,
  { session }: PooledConnection,
  job: Job,
  encoded: Encoded
): boolean => {
  if (session.floats !== "unknown" || !job.known.analysis.isRead) return false
  const description = descriptionOf(statementOf(pool.statements, job.known, encoded.types))
  if (description === undefined) return true
  const types = description.columns.map(({ type }) => type)
  return pool.types.unknown(types).length > 0 || pool.types.contain(types, floatTypes)
}

/** A statement that was written. */
interface Sent {
  readonly exchange: Exchange
  /** Whether it was bound by something remembered. */
  readonly usedMemory: boolean
}

export type SendOptions = Pick<
  Commands.RunOptions,
  "answers" | "copy" | "flushes" | "maxRows" | "onProgress" | "syncs" | "trusted"
>
const noOptions: SendOptions = {}

/** A `search_path` that may begin with the session's temporary schema: what is created under it looks like any other. */
const mayBeTemporary = /pg_temp|\\/i
const temporary = { sessionEffects: "settings", setsFloatDigits: false } as const

/** Writes a statement with these parameters. */
export const send = (
  pool: Pool,
  connection: PooledConnection,
  job: Job,
  encoded: Encoded,
  onSettled: (exchange: Exchange) => void,
  options: SendOptions = noOptions
): Sent => {
  begins(pool, job)
  const { session } = connection
  if (job.known.analysis.setsSearchPath) {
    connection.searchPath = searchPathOf(job.bound)
    if (mayBeTemporary.test(connection.searchPath)) markDirty(connection, temporary)
  }
  const statement = statementOf(pool.statements, job.known, encoded.types)
  const keep = keepsPrepared(pool, job, statement, encoded)
  const usedMemory =
    (descriptionOf(statement)?.columns ?? encoded.described) !== undefined ||
    (keep && Commands.isPrepared(session, statement))
  const mayTrust = job.types !== undefined || (job.known.analysis.isPlainRead && !isInTransaction(connection))
  const exchange = Commands.run(session, statement, encoded.values, onSettled, {
    trusted: options.trusted ?? (mayTrust ? "all" : isSure(connection, job) ? "records" : "session"),
    shape: job.shape,
    types: job.types,
    described: encoded.described,
    portal: job.portal?.name ?? "",
    maxRows: options.maxRows ?? job.portal?.maxRows ?? 0,
    keep,
    syncs: options.syncs,
    flushes: options.flushes,
    onProgress: options.onProgress,
    copy: options.copy,
    answers: options.answers
  })
  // What comes behind it may find no statement of this package any more.
  if (job.known.analysis.sessionEffects === "prepared statements")
    PreparedStatements.forgetAll(session.statements)
  // What it sets itself is reported behind its rows, which may be printed by it.
  if (job.known.analysis.setsDateStyle && options.onProgress === undefined) {
    exchange.late = { rows: [], locale: { ...session.locale } }
  }
  return { exchange, usedMemory }
}

/** Sends and waits. After an interruption the owner of the connection handles the answer. */
export const sendOnce = (
  pool: Pool,
  connection: PooledConnection,
  job: Job,
  encoded: Encoded,
  options?: SendOptions
): Effect.Effect<Sent> =>
  Effect.callback((resume) => {
    const sent = send(pool, connection, job, encoded, () => resume(Effect.succeed(sent)), options)
  })

/** Whether the parameters are encoded by what the server expects of them. */
export const isTyped = (pool: Pool, job: Job): boolean => plainParameters(pool, job) === undefined

/** The parameters where their encoding needs no knowledge of the statement. */
const plainParameters = (pool: Pool, job: Job): Encoded | undefined => {
  const { encoded, types } = job
  const { columns, isOwn = false, params } = job.bound
  if (encoded !== undefined || (columns !== undefined && params.length > 0)) return encoded
  // A question of the package's own may hold a filter of the caller's, whose values have codecs.
  const isPlain = !pool.types.hasCodecs || (types !== undefined && !isOwn) || Encode.hasNoCodecs(pool, job)
  return isPlain ? encodePlain(params) : undefined
}

/** Encodes the parameters, asking the server where that takes its knowledge. */
export const encode = (
  pool: Pool,
  connection: PooledConnection,
  job: Job
): Effect.Effect<Encoded, OperationError | Encode.DescribeFailure> => {
  begins(pool, job)
  const plain = plainParameters(pool, job)
  if (plain !== undefined) return Effect.succeed(plain)
  const { columns } = job.bound
  return columns === undefined
    ? Encode.encode(pool, connection, job)
    : Encode.encodeColumns(pool, connection, job, columns)
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
  const described =
    needsDescription(pool, job, encoded) || (asks && !isCertain(pool, connection, job, encoded))
      ? (yield* Encode.describe(connection, statement, keep, {
          isAnew: isStream || isOwn,
          mayFail: returnsByName(job.known.analysis)
        })).columns
      : descriptionOf(statement)?.columns
  // Neither a stream nor a batch can be run again.
  const learns = isStream || job.position !== undefined || !isSure(connection, job)
  if (learns && described !== undefined) {
    const types = described.map(({ type }) => type)
    yield* learn(connection, pool.types.unknown(types, isStream))
  }
  // A change of the catalogue in another fiber may have the pool forget it until the statement is sent.
  return { encoded: { ...encoded, described }, composites: compositesOf(pool, statement) }
})

/** The parameters of a statement that can be sent at once, with nothing to ask first; else `undefined`. */
export const plainOf = (pool: Pool, job: Job, connection?: PooledConnection): Encoded | undefined => {
  const encoded = plainParameters(pool, job)
  if (encoded === undefined) return undefined
  if (connection !== undefined && !isReadyOn(pool, connection, job, encoded)) return undefined
  if (needsDescription(pool, job, encoded)) return undefined
  const statement = statementOf(pool.statements, job.known, encoded.types)
  return compositesOf(pool, statement).length === 0 ? encoded : undefined
}
