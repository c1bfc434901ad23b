/**
 * Rows as they come: in constant memory, with back pressure, and with an end that reaches the server.
 *
 * **Details**
 *
 * The first row is asked for by itself and flushed, so that it arrives at once; the others follow in the same round trip.
 * The socket holds the server back while the reader is slower. A statement that the pool does not know is described first,
 * since nothing can be asked while its rows are on the way.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ConnectionErrors from "../errors/ConnectionErrors.ts"
import type { OperationError } from "../errors/PoolError.ts"
import type { Pool } from "../pool/Pool.ts"
import { isDead, isInTransaction, markDirty, type PooledConnection } from "../pool/PooledConnection.ts"
import * as Commands from "../protocol/Commands.ts"
import { discardRows, type Exchange } from "../protocol/Exchange.ts"
import { readerOf, typesToAsk } from "../protocol/PreparedStatements.ts"
import type { Encoded } from "../types/Parameters.ts"
import * as CopyOut from "./CopyOut.ts"
import type * as Execute from "./Execute.ts"
import * as Jobs from "./Job.ts"
import { learn } from "./Learn.ts"
import type { Row } from "./Outcome.ts"
import { maxAttempts, wasStale } from "./Resend.ts"
import * as Send from "./Send.ts"
import * as Settle from "./Settle.ts"

/** Rows of whatever shape was asked for. */
export type Rows = Stream.Stream<Row, OperationError>

type Piece = readonly [unknown, ...Array<unknown>]
export type Pull = Effect.Effect<Piece, OperationError | Cause.Done<void>>

/**
 * So many pieces or bytes wait for the reader before the socket is paused. A piece is the rows that one read of the socket
 * completed: the server writes 8 KiB at a time, and a reader that is slower finds all that came meanwhile.
 */
const mostPieces = 16
const mostBytes = 131_072

const isFilled = (rows: ReadonlyArray<unknown>): rows is Piece => rows.length > 0

/** Takes rows from exchanges as they arrive, and gives them to a reader. */
const makeReader = (connection: PooledConnection) => {
  const { session } = connection
  const pieces: Array<Piece> = []
  let end: Pull | undefined
  let waiting: ((piece: Pull) => void) | undefined
  let isClosed = false
  /** What the socket had read when no piece was left. */
  let bytesRead = session.socket.bytesRead

  const give = (): void => {
    if (waiting === undefined) return
    const [piece, ...others] = pieces
    if (piece === undefined && end === undefined) return
    const resume = waiting
    waiting = undefined
    pieces.length = 0
    bytesRead = session.socket.bytesRead
    if (piece === undefined) resume(end ?? Cause.done())
    else resume(Effect.succeed(others.length === 0 ? piece : [...piece, ...others.flat()]))
  }

  return {
    /** Takes the rows that came; `false` when some were thrown away. */
    take: (exchange: Exchange): boolean => {
      const { rows } = exchange
      exchange.rows = []
      // Cancelled with its pool, or abandoned by its reader, it is read to its end.
      if (isClosed || connection.isCancelled) return rows.length === 0
      if (isFilled(rows)) pieces.push(rows)
      give()
      const isMuch = pieces.length >= mostPieces || session.socket.bytesRead - bytesRead >= mostBytes
      if (pieces.length > 0 && isMuch) session.setReading(false)
      return true
    },
    finish: (result: Pull): void => {
      end ??= result
      give()
    },
    /** Nobody reads any more: what still arrives must not hold the socket. */
    close: (): void => {
      isClosed = true
      session.setReading(true)
    },
    pull: Effect.callback<Piece, OperationError | Cause.Done<void>>((resume) => {
      waiting = resume
      give()
      if (pieces.length === 0) session.setReading(true)
      return Effect.sync(() => {
        waiting = undefined
      })
    })
  }
}

/**
 * What has to be known before a statement is sent; asked once more where a change of the catalogue in another fiber had the pool
 * forget it meanwhile.
 */
const ready = Effect.fnUntraced(function* (
  pool: Pool,
  connection: PooledConnection,
  job: Jobs.Job,
  before: Execute.BeforeSend,
  attempts = 0
): Effect.fn.Return<{ readonly answers: number; readonly encoded: Encoded }, OperationError> {
  const { generation } = pool.statements
  const { composites, encoded } = yield* Effect.catchTag(
    Send.ready(pool, connection, job, job.known.analysis.returnsRows),
    "DescribeFailure",
    ({ exchange }) => Effect.fail(Settle.errorOf(pool, job, exchange, connection))
  )
  const refusal = before()
  if (refusal !== undefined) return yield* refusal
  const answers = pool.types.answers()
  yield* learn(connection, composites)
  const isForgotten = generation !== pool.statements.generation && attempts < maxAttempts
  return isForgotten ? yield* ready(pool, connection, job, before, attempts + 1) : { answers, encoded }
})

/**
 * Starts a statement, and gives what pulls its rows. The connection is its caller's alone until the scope closes. Refused for
 * something remembered, before it ran, it is started once more.
 */
export const start = Effect.fnUntraced(function* (
  pool: Pool,
  connection: PooledConnection,
  job: Jobs.Job,
  before: Execute.BeforeSend,
  isAgain = false
): Effect.fn.Return<Pull, OperationError, Scope.Scope> {
  const { answers, encoded } = yield* ready(pool, connection, job, before)
  const { session } = connection
  const reader = makeReader(connection)
  const exchanges: Array<Exchange> = []
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      exchanges.forEach(discardRows)
      reader.close()
    })
  )
  const scope = yield* Effect.scope
  const fail = (exchange: Exchange) => {
    Settle.forgetRefused(connection, job, exchange)
    const isStale = sent.usedMemory && !isAgain && !isDead(connection) && !isInTransaction(connection)
    if (isStale && wasStale(exchange)) {
      const again = Scope.provide(start(pool, connection, job, before, true), scope)
      return reader.finish(Effect.flatMap(again, redirect))
    }
    reader.finish(Settle.failing(pool, job, exchange, connection))
  }
  const finishWith = (problem: Error, outcome: string) => {
    const told = job.known.analysis.isRead ? undefined : outcome
    const about = Jobs.aboutOf(pool, job)
    reader.finish(Effect.fail(ConnectionErrors.unreadableError(problem, told, about)))
  }
  let isWhole = true
  const copy = job.known.analysis.copies === "out" ? CopyOut.make() : undefined
  const onProgress = (exchange: Exchange) => {
    copy?.gather(exchange)
    isWhole = reader.take(exchange) && isWhole
    if (exchange.state === "failed") return fail(exchange)
    // The reader leaves before the statement has come to its end.
    if (exchange.unreadable !== undefined) finishWith(exchange.unreadable, ConnectionErrors.unknownOutcome)
  }
  const onSettled = (exchange: Exchange): void => {
    onProgress(exchange)
    if (exchange.state === "done") {
      Settle.onDone(pool, connection, job)
      if (isWhole) reader.finish(Cause.done())
      else finishWith(new Error("The stream was cut off before its last row."), ConnectionErrors.tookEffect)
    } else if (exchange.state !== "skipped") fail(exchange)
  }
  markDirty(connection, job.known.analysis)
  const { described } = encoded
  const returnsRows = described === undefined ? job.known.analysis.returnsRows : described.length > 0
  const first: Send.SendOptions = returnsRows
    ? { answers, maxRows: 1, syncs: false, flushes: true, onProgress }
    : { onProgress, copy }
  const sent = Send.send(
    pool,
    connection,
    job,
    encoded,
    first.syncs === false ? onProgress : onSettled,
    first
  )
  exchanges.push(sent.exchange)
  const { formats, prepared, shape } = sent.exchange
  // By what is known now: a change of the catalogue in another fiber may have the pool forget it before the rows come.
  if (
    prepared !== undefined &&
    formats !== undefined &&
    typesToAsk(session.types, prepared, answers).length === 0
  )
    sent.exchange.readRow = readerOf(prepared, formats, shape)
  if (first.syncs === false) {
    exchanges.push(Commands.fetch(session, sent.exchange, "", 0, onSettled, onProgress))
  }
  let current: Pull = reader.pull
  const redirect = (pull: Pull): Pull => {
    current = pull
    return pull
  }
  return Effect.suspend(() => current)
})

/** Starts a statement on a connection, and gives what pulls its rows or its data. */
export type Begin<E> = (
  connection: PooledConnection,
  before: Execute.BeforeSend
) => Effect.Effect<Pull, E, Scope.Scope>

/** A stream of what is pulled, which begins when it is read. */
export const pulled = <E, R>(
  begun: Effect.Effect<Pull, E, R>
): Stream.Stream<unknown, E | OperationError, Exclude<R, Scope.Scope>> =>
  Stream.unwrap(Effect.map(begun, (pull) => Stream.fromPull(Effect.succeed(pull))))

/** What a statement gives on a connection of the pool that is lent for it. */
export const onPool = <E>(pool: Pool, begin: Begin<E>): Stream.Stream<unknown, E | OperationError> =>
  pulled(Effect.flatMap(pool.reserve, (connection) => begin(connection, pool.cutOff)))

/** Rows of a statement on a connection of the pool that is lent for it. */
export const rowsOnPool = (pool: Pool, job: Jobs.Job): Rows =>
  asRows(onPool(pool, (connection, before) => start(pool, connection, job, before)))

const isRow = (_row: unknown): _row is Row => true

/** The job's shape says what rows are; their columns are the statement's. */
export const asRows = <E, R>(rows: Stream.Stream<unknown, E, R>): Stream.Stream<Row, E, R> =>
  Stream.filter(rows, isRow)
