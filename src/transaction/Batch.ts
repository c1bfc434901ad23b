/**
 * `trans`: all statements or none, in one round trip.
 *
 * `BEGIN`, the statements and `COMMIT` go out together on one connection under one `Sync`. When a statement fails, the server
 * skips the rest, `COMMIT` included, and the transaction is rolled back.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { SqlError } from "effect/sql/SqlError"
import * as ConnectionErrors from "../errors/ConnectionErrors.ts"
import { isPoolError, type OperationError } from "../errors/PoolError.ts"
import { serverError } from "../errors/ServerErrors.ts"
import type * as Execute from "../execute/Execute.ts"
import { learnFloats } from "../execute/Learn.ts"
import { sizeOf } from "../execute/Progress.ts"
import { mayCommit, wasStale } from "../execute/Resend.ts"
import * as Send from "../execute/Send.ts"
import * as Settle from "../execute/Settle.ts"
import type { AnyFiber, Pool } from "../pool/Pool.ts"
import { isDead, isInTransaction, markDirty } from "../pool/PooledConnection.ts"
import * as Commands from "../protocol/Commands.ts"
import { type Exchange, rowCountOf } from "../protocol/Exchange.ts"
import type { Statement } from "../statement/Statement.ts"
import * as Operation from "../telemetry/Operation.ts"
import { ofBatch } from "../telemetry/Shown.ts"
import {
  areReady,
  type BatchOptions,
  type Entry,
  entriesOf,
  prepareAll,
  prepareEntry
} from "./BatchEntries.ts"
import { commitError, rollbackOn } from "./Commit.ts"
import * as InTransaction from "./InTransaction.ts"
import { transaction } from "./Transaction.ts"
import * as TransactionErrors from "./TransactionErrors.ts"
import type { Membership, Transaction } from "./TransactionState.ts"
import * as State from "./TransactionState.ts"

/** What was sent: the statement's exchange by its entry. */
type Sent = Map<Entry, { readonly exchange: Exchange; readonly usedMemory: boolean }>

/** How a batch went on the wire. */
interface Outcome {
  readonly begin: Exchange | undefined
  readonly sent: Sent
  readonly commit: Exchange | undefined
}

const nothing = () => undefined

const hasFailed = ({ begin, sent }: Pick<Outcome, "begin" | "sent">): boolean =>
  (begin !== undefined && begin.state !== "done") ||
  Array.from(sent.values()).some(({ exchange }) => exchange.state !== "done")

/** A round trip carries about so many bytes, so that a long batch waits here and not in the socket's buffers. */
const maxStageBytes = 4 * 1024 * 1024

/** Up to where statements go in one round trip: one that has to be described first waits for those before it. */
const stageEnd = (entries: ReadonlyArray<Entry>, from: number, pipelining: boolean): number => {
  let bytes = 0
  for (let index = from; index < entries.length; index++) {
    const { encoded, job } = entries[index]!
    if (encoded === undefined) return index
    bytes += job.bound.text.length + sizeOf(encoded.values)
    if (bytes >= maxStageBytes || !pipelining) return index + 1
  }
  return entries.length
}

/**
 * Writes statements of one round trip; `onSettled` other than `nothing` puts a `Sync` behind the last. Gives whether what comes
 * behind may be bound by what was prepared: behind a definition all is parsed anew.
 */
const writeStage = (
  { connection, pool }: Transaction,
  sent: Sent,
  stage: ReadonlyArray<Entry>,
  isPrepared: boolean,
  onSettled: () => void
): boolean => {
  let mayBind = isPrepared
  for (const [index, entry] of stage.entries()) {
    if (entry.encoded === undefined) continue
    const { analysis } = entry.job.known
    markDirty(connection, analysis)
    const job = mayBind ? entry.job : { ...entry.job, keeps: false }
    const syncs = index === stage.length - 1 && onSettled !== nothing
    const settled = syncs ? onSettled : nothing
    // What has committed cannot be read again in other formats: what the pool remembers decides about floats and dates alone.
    const isOutside = job.types === undefined && !isInTransaction(connection)
    const options: Send.SendOptions = isOutside ? { syncs, trusted: "session" } : { syncs }
    sent.set(entry, Send.send(pool, connection, job, entry.encoded, settled, options))
    if (analysis.changesCatalogue) mayBind = false
  }
  return mayBind
}

/** Sends all, in one round trip where that can be. `isWhole` puts `BEGIN` and `COMMIT` around them. */
const sendAll = Effect.fnUntraced(function* (
  transaction: Transaction,
  entries: ReadonlyArray<Entry>,
  isWhole: boolean
): Effect.fn.Return<Outcome, OperationError> {
  const { connection, pool } = transaction
  const { pipelining } = pool.settings
  const sent: Sent = new Map()
  let begin: Exchange | undefined
  let commit: Exchange | undefined
  let isPrepared = true
  const command = (text: string, onSettled: () => void, syncs: boolean) =>
    InTransaction.command(transaction, text, onSettled, syncs)
  for (let from = 0; ; ) {
    const isAlone = isWhole && begin === undefined && !pipelining
    const until = isAlone ? from : stageEnd(entries, from, pipelining)
    const commits = isWhole && until === entries.length && (pipelining || until === from)
    yield* Effect.callback<void>((resume) => {
      const settled = () => resume(Effect.void)
      if (isWhole && begin === undefined) {
        transaction.hasBegun = true
        begin = command("BEGIN", nothing, isAlone)
      }
      const stage = entries.slice(from, until)
      isPrepared = writeStage(transaction, sent, stage, isPrepared, commits ? nothing : settled)
      if (commits && !isAlone) commit = command("COMMIT", settled, true)
      else if (until === from) Commands.ping(connection.session, settled)
    })
    if (commit !== undefined || hasFailed({ begin, sent })) return { begin, sent, commit }
    if (until === entries.length && !isWhole) return { begin, sent, commit }
    if (entries.slice(from, until).some(({ job }) => job.known.analysis.changesCatalogue)) {
      pool.onCatalogueChange()
    }
    from = until
    const waiting = entries[until]
    if (waiting === undefined || waiting.encoded !== undefined) continue
    const prepared = yield* Effect.result(prepareEntry(pool, connection, waiting))
    if (Result.isFailure(prepared)) {
      const { failure } = prepared
      if (failure._tag !== "DescribeFailure") return yield* failure
      sent.set(waiting, { exchange: failure.exchange, usedMemory: false })
      return { begin, sent, commit }
    }
  }
})

/** As `sendAll` with `isWhole`; without detours where all is known and goes into one round trip. */
const sendWhole = (
  transaction: Transaction,
  entries: ReadonlyArray<Entry>
): Effect.Effect<Outcome, OperationError> => {
  const { pipelining } = transaction.pool.settings
  if (!pipelining || stageEnd(entries, 0, true) < entries.length) return sendAll(transaction, entries, true)
  return Effect.callback((resume) => {
    const sent: Sent = new Map()
    transaction.hasBegun = true
    const begin = InTransaction.command(transaction, "BEGIN", nothing, false)
    writeStage(transaction, sent, entries, true, nothing)
    const settled = (commit: Exchange) => resume(Effect.succeed({ begin, sent, commit }))
    InTransaction.command(transaction, "COMMIT", settled, true)
  })
}

/**
 * Whether a batch may be sent again although a part of it has run: the failing statement was refused for something
 * remembered, all was rolled back, and those before it call no function, so that nothing of them is left.
 */
const mayRepeat = (
  entries: ReadonlyArray<Entry>,
  {
    entry,
    exchange,
    usedMemory
  }: { readonly entry: Entry; readonly exchange: Exchange; readonly usedMemory: boolean }
): boolean =>
  usedMemory &&
  wasStale(exchange) &&
  entries.slice(0, entries.indexOf(entry)).every(({ job }) => {
    const { analysis } = job.known
    return !analysis.callsFunctions && !mayCommit(analysis)
  })

/** The first statement that did not come to its end. */
const firstFailure = ({ connection, pool }: Transaction, sent: Sent) => {
  for (const [entry, { exchange, usedMemory }] of sent) {
    if (exchange.state === "done" || exchange.state === "skipped") continue
    Settle.forgetRefused(connection, entry.job, exchange)
    const error = Settle.errorOf(pool, entry.job, exchange, connection)
    return { entry, exchange, usedMemory: usedMemory || Send.isTyped(pool, entry.job), error }
  }
  return undefined
}

const finishAll = (
  { connection, pool }: Transaction,
  sent: Sent
): Effect.Effect<ReadonlyArray<Exchange>, SqlError> => {
  const exchanges: Array<Exchange> = []
  let areReadable = true
  for (const [{ job }, { exchange }] of sent) {
    Settle.onDone(pool, connection, job)
    exchanges.push(exchange)
    areReadable &&= Settle.isReadable(exchange)
  }
  if (areReadable) return Effect.succeed(exchanges)
  return Effect.forEach(sent, ([{ job }, { exchange }]) => Settle.finish(pool, connection, job, exchange))
}

/** The batch has to be sent again: nothing of it took effect, and what was remembered is forgotten. */
class SendAgain extends Data.TaggedClass("SendAgain")<{
  /** The error if it was sent again already. */
  readonly error: SqlError
}> {}

/** The outcomes of a batch that was committed, or what became of it. */
const settle = (
  transaction: Transaction,
  entries: ReadonlyArray<Entry>,
  outcome: Outcome
): Effect.Effect<ReadonlyArray<Exchange>, OperationError | SendAgain> => {
  const { commit, sent } = outcome
  if (commit?.state !== "done") return explain(transaction, entries, outcome)
  const error = commitError(transaction, commit)
  if (error !== undefined) return Effect.fail(error)
  return Effect.mapError(finishAll(transaction, sent), (error) =>
    TransactionErrors.committed(error, entries.length)
  )
}

/** `BEGIN`, all, `COMMIT`, on a connection lent for it. */
const alone = (
  transaction: Transaction,
  entries: ReadonlyArray<Entry>
): Effect.Effect<ReadonlyArray<Exchange>, OperationError | SendAgain> => {
  const { connection, pool } = transaction
  const send = () => {
    const refusal = pool.cutOff()
    if (refusal !== undefined) return Effect.fail(refusal)
    return Effect.flatMap(sendWhole(transaction, entries), (outcome) => settle(transaction, entries, outcome))
  }
  const prepared = () => Effect.flatMap(prepareAll(pool, connection, entries), send)
  if (!areReady(pool, connection, entries)) return prepared()
  if (connection.session.floats !== "unknown") return send()
  return Effect.flatMap(send(), (exchanges) => {
    const isSure = entries.every(
      ({ job }, index) => !Settle.hasUncertainFloats(pool, connection, job, exchanges[index]!)
    )
    if (isSure) return Effect.succeed(exchanges)
    // It has only read, so it can run again.
    return Effect.flatMap(learnFloats(connection), () =>
      Send.isTypical(connection) ? Effect.succeed(exchanges) : prepared()
    )
  })
}

/** What became of a batch that was not committed. */
const explain = Effect.fnUntraced(function* (
  transaction: Transaction,
  entries: ReadonlyArray<Entry>,
  { begin, commit, sent }: Outcome
): Effect.fn.Return<never, OperationError | SendAgain> {
  const { connection } = transaction
  const failure = firstFailure(transaction, sent)
  const isLost = isDead(connection)
  const ended = () => (commit === undefined ? undefined : commitError(transaction, commit))
  if (begin !== undefined && begin.state !== "done") {
    if (begin.state === "failed" && !isLost) {
      const error = TransactionErrors.notBegun(serverError(begin.error ?? {}, { text: "BEGIN" }))
      return yield* Effect.fail(!begin.parses && wasStale(begin) ? new SendAgain({ error }) : error)
    }
    // What was not written, or what a server that said goodbye had not begun, did not run.
    const error = failure?.error ?? ConnectionErrors.unsentError({ text: "BEGIN" })
    const wasRun = begin.state === "lost" && connection.session.end()?.farewell?.routine === undefined
    if (!wasRun) return yield* Effect.fail(new SendAgain({ error: TransactionErrors.undone(error) }))
    return yield* ended() ?? TransactionErrors.undone(error)
  }
  if (failure !== undefined) {
    if (isLost) {
      // A server that said goodbye in the middle of a statement had not come to COMMIT.
      const unknown = failure.exchange.state === "lost" ? ended() : undefined
      return yield* unknown ?? TransactionErrors.undone(failure.error)
    }
    yield* rollbackOn(transaction)
    if (mayRepeat(entries, failure)) return yield* Effect.fail(new SendAgain({ error: failure.error }))
    return yield* failure.error
  }
  const error = ended()
  yield* rollbackOn(transaction)
  return yield* error ?? TransactionErrors.rolledBack()
})

/** On a connection that has a transaction open already: the savepoint around it is its caller's. */
const inside = (
  membership: Membership,
  entries: ReadonlyArray<Entry>
): Effect.Effect<ReadonlyArray<Exchange>, OperationError | SendAgain> => {
  const [{ transaction }] = membership
  return InTransaction.inTurn(
    membership,
    Effect.fnUntraced(function* (
      before: Execute.BeforeSend
    ): Effect.fn.Return<ReadonlyArray<Exchange>, OperationError | SendAgain> {
      yield* prepareAll(transaction.pool, transaction.connection, entries)
      const refusal = before()
      if (refusal !== undefined) return yield* refusal
      const { sent } = yield* sendAll(transaction, entries, false)
      const failure = firstFailure(transaction, sent)
      if (failure === undefined) return yield* finishAll(transaction, sent)
      if (!isDead(transaction.connection) && mayRepeat(entries, failure)) {
        return yield* Effect.fail(new SendAgain({ error: failure.error }))
      }
      return yield* failure.error
    })
  )
}

/** How many rows all of them have. */
export const rowsOf = (exchanges: ReadonlyArray<Exchange>): number =>
  exchanges.reduce((rows, exchange) => rows + rowCountOf(exchange), 0)

/** Runs the statements as one transaction, or as a savepoint of the fiber's; once more where nothing of them took effect. */
export const batch = (
  pool: Pool,
  fiber: AnyFiber,
  statements: ReadonlyArray<Statement>,
  options: BatchOptions = {}
): Effect.Effect<ReadonlyArray<Exchange>, OperationError> => {
  const membership = State.currentOf(pool, fiber.context)
  const timing = Operation.timingOf(pool)
  const path = membership?.[0].transaction.connection.searchPath ?? ""
  const first = entriesOf(pool, statements, options, true, timing, path)
  const known = isPoolError(first) ? [] : first.map(({ job }) => job.known)
  const subject = { shown: ofBatch(pool, known, options.table), timing }
  const once = (
    entries: typeof first
  ): Effect.Effect<ReadonlyArray<Exchange>, OperationError | SendAgain> => {
    if (isPoolError(entries)) return Effect.fail(entries)
    if (entries.length === 0) return Effect.succeed([])
    if (membership === undefined) {
      return pool.use((connection) => alone(State.make(pool, connection, undefined), entries))
    }
    return transaction(
      pool,
      fiber,
      Effect.withFiber((inner) => inside(State.currentOf(pool, inner.context) ?? membership, entries))
    )
  }
  // Parsed anew, whatever else has changed.
  const anew = () => once(entriesOf(pool, statements, options, false, timing, path))
  const again = () => Effect.catchTag(anew(), "SendAgain", ({ error }) => Effect.fail(error))
  return Operation.around(pool, fiber, subject, Effect.catchTag(once(first), "SendAgain", again), rowsOf)
}
