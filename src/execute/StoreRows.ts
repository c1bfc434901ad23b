/**
 * Rows on their way into a table: `COPY`s and their data, sent one behind another without waiting for answers and under one
 * `Sync`, so that they are one round trip and all or nothing.
 *
 * **Details**
 *
 * What is remembered of the table is compared with the catalogue in front of them. A `Parse` that locks the table against
 * changes of its definition goes before that comparison, so that what it finds holds until the rows are stored. When it
 * fails the server skips the rest: nothing has run, and the rows may be sent anew.
 *
 * A `COPY` stays open until the next one is ready, so that what cannot be sent ends it by `CopyFail`.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { SqlError } from "effect/sql/SqlError"
import { isPoolError, type OperationError, type PoolError } from "../errors/PoolError.ts"
import type { Pool } from "../pool/Pool.ts"
import { isDead, isInTransaction, type PooledConnection } from "../pool/PooledConnection.ts"
import { statementOf } from "../pool/StatementCache.ts"
import { answerTo } from "../protocol/Ask.ts"
import * as Commands from "../protocol/Commands.ts"
import * as Copy from "../protocol/CopyData.ts"
import { type Exchange, rowCountOf } from "../protocol/Exchange.ts"
import { make as makeStatement } from "../protocol/KnownStatement.ts"
import * as Writer from "../protocol/MessageWriter.ts"
import { describe } from "../settings/Settings.ts"
import { fromAnswer, guardQuery, lookQuery, type TableShape } from "../types/TableShape.ts"
import { codecsOf } from "../types/TypeCodec.ts"
import { plain } from "../types/TypeMap.ts"
import { type BeforeSend, elsewhere } from "./Execute.ts"
import type { Tell } from "./Job.ts"
import { verdictOf, wasStale } from "./Resend.ts"
import { failureOf } from "./Settle.ts"

/** A `COPY … FROM STDIN`, behind which its data come. */
export interface Storing {
  readonly _tag: "Storing"
  readonly text: string
  /** Which row and column an error is about, and what its texts must not show. */
  readonly tell: Tell
}

/** What is sent next, or why no more is and nothing of it all is stored. */
export type Step = Storing | Uint8Array | PoolError

/** A table by its quoted name, and the digest of what is remembered of it. */
export interface Guard {
  readonly table: string
  readonly digest: string
}

/** Nothing is stored, and what was remembered of the table may be why; or it takes no `COPY`. */
export class Mistaken extends Data.TaggedClass("Mistaken")<{
  readonly refusesCopy: boolean
  /** The error, if it is true. */
  readonly error: OperationError
}> {}

/** Behind so many bytes of data the next ones wait until the socket takes more, and other fibers have their turn. */
const roomSize = 65_536

const nothing = () => undefined
const none: ReadonlyArray<number> = []

/** Parsing an `INSERT` locks its table against changes of its definition until the transaction ends. */
const lockText = (table: string): string => `insert into ${table} default values`

const divisionByZero = "22012"
const featureNotSupported = "0A000"

interface Sent {
  /** `undefined` for the guard's own statements. */
  readonly storing: Storing | undefined
  readonly exchange: Exchange
}

/** Writes the `COPY`s and the data of one call, and knows what became of them. */
const makeSender = (pool: Pool, connection: PooledConnection) => {
  const { session } = connection
  const { pipelining } = pool.settings
  const keep = pool.settings.prepare !== false
  const wasInTransaction = isInTransaction(connection)
  const sent: Array<Sent> = []
  /** Copies that the server has asked for data. */
  const asked = new Set<Storing>()
  let open: Storing | undefined
  /** Bytes of data since there was room for sure. */
  let waiting = 0
  let isBroken = false
  let isSynced = false
  let isFinished = false
  /** Answers the last `Sync`, by which rows outside of a transaction are committed. */
  let committed: Exchange | undefined
  let onAnswer: () => void = nothing

  const onProgress = ({ state }: Exchange): void => {
    if (state === "failed") isBroken = true
    onAnswer()
  }

  const sync = Effect.callback<void>((resume) => {
    isSynced = true
    Commands.ping(session, (exchange) => {
      committed = exchange
      resume(Effect.void)
    })
    // At once: the fiber of a stream takes its next rows before the microtask that sends what was written.
    session.flush()
  })

  /** Where connections do not pipeline, what was written is answered first. */
  const answered = Effect.suspend(() => (pipelining ? Effect.void : sync))

  const end = (): void => {
    if (open !== undefined && !isBroken) Writer.copyDone(session.writer)
    open = undefined
  }

  const isStopped = (): boolean => isBroken || isDead(connection)

  const start = (storing: Storing): Effect.Effect<void> => {
    const { text } = storing
    const wasOpen = open !== undefined
    end()
    const begin = Effect.suspend(() => {
      if (isStopped()) return Effect.void
      isSynced = false
      const onIn = () => {
        asked.add(storing)
        onAnswer()
      }
      const statement = statementOf(pool.statements, pool.statements.get(text), none)
      const options = { keep, syncs: false, onProgress, copy: { onIn, onData: nothing } }
      const exchange = Commands.run(session, statement, [], onProgress, options)
      sent.push({ storing, exchange })
      open = storing
      if (pipelining) return Effect.void
      return Effect.callback<void>((resume) => {
        onAnswer = () => resume(Effect.void)
      })
    })
    return wasOpen ? Effect.andThen(answered, begin) : begin
  }

  const guard = ({ digest, table }: Guard): Effect.Effect<void> => {
    isSynced = false
    const locked = Commands.describe(session, makeStatement(lockText(table)), nothing, {
      keep: false,
      syncs: false,
      onProgress
    })
    sent.push({ storing: undefined, exchange: locked })
    return Effect.andThen(
      answered,
      Effect.suspend(() => {
        if (isStopped()) return Effect.void
        isSynced = false
        const statement = statementOf(pool.statements, pool.statements.get(guardQuery), none)
        const options = { keep, syncs: false, onProgress }
        const exchange = Commands.run(session, statement, [table, digest], nothing, options)
        sent.push({ storing: undefined, exchange })
        return answered
      })
    )
  }

  const data = (bytes: Uint8Array): Effect.Effect<void> => {
    const isMuch = waiting >= roomSize
    waiting = (isMuch ? 0 : waiting) + bytes.length
    return Effect.map(isMuch ? Copy.room(session) : Effect.void, () => {
      if (!isStopped()) Copy.send(session, bytes)
    })
  }

  /** Has the server undo what was sent. */
  const giveUp = (): void => {
    session.giveUp = undefined
    if (open !== undefined && !isStopped()) Writer.copyFail(session.writer, "not all rows could be sent")
    open = undefined
    if (!isSynced) Commands.ping(session, nothing)
    isSynced = true
  }

  const verdict = (one: Sent): Effect.Effect<typeof elsewhere, SqlError | Mistaken> => {
    const { exchange, storing } = one
    const hasRun = sent.some(({ exchange, storing }) => storing !== undefined && exchange.isBound)
    const situation = {
      analysis: { isPlainRead: false },
      usedMemory: false,
      inTransaction: wasInTransaction,
      attempts: 0
    }
    if (!hasRun && verdictOf(exchange, isDead(connection), situation) === "elsewhere") {
      return Effect.succeed(elsewhere)
    }
    // Without the last Sync the server has stored nothing.
    const text = exchange.prepared?.statement.text ?? ""
    const about = { text, server: describe(pool.settings), ...storing?.tell(exchange.error ?? {}) }
    const error = failureOf(pool, connection, exchange, about, !isFinished)
    if (isDead(connection)) return Effect.fail(error)
    const code = exchange.error?.code
    const isGuards = storing === undefined && (code === divisionByZero || wasStale(exchange))
    const refusesCopy = storing !== undefined && code === featureNotSupported && !asked.has(storing)
    return Effect.fail(isGuards || refusesCopy ? new Mistaken({ refusesCopy, error }) : error)
  }

  return {
    begin: (): void => {
      session.giveUp = giveUp
    },
    data,
    guard,
    start,
    isStopped,
    /** Sends the end, and waits for all answers: the number of rows stored. */
    finish: Effect.suspend(() => {
      end()
      session.giveUp = undefined
      isFinished = !isDead(connection)
      const settled = isSynced ? Effect.void : sync
      return Effect.flatMap(settled, (): Effect.Effect<number | typeof elsewhere, SqlError | Mistaken> => {
        const failed = sent.find(({ exchange }) => exchange.state !== "done")
        if (failed !== undefined) return verdict(failed)
        const answer = committed
        if (answer !== undefined && answer.state !== "done") {
          // A session that had ended before took nothing at all.
          const { error, state } = answer
          const last = sent.at(-1) ?? { storing: undefined, exchange: answer }
          return verdict({ ...last, exchange: { ...last.exchange, error, state } })
        }
        return Effect.succeed(
          sent.reduce(
            (sum, { exchange, storing }) => sum + (storing === undefined ? 0 : rowCountOf(exchange)),
            0
          )
        )
      })
    }),
    /** Has the server undo what was sent, and waits until it has. */
    undo: Effect.suspend(() => {
      giveUp()
      return sync
    })
  }
}

/**
 * Sends the steps and gives the number of rows stored. The connection is lent to this caller alone, which has a transaction open where
 * connections do not pipeline.
 */
export const store = (
  pool: Pool,
  connection: PooledConnection,
  steps: Iterator<Step>,
  guard: Guard | undefined,
  before: BeforeSend
): Effect.Effect<number | typeof elsewhere, OperationError | Mistaken> =>
  Effect.suspend(() => {
    const { session } = connection
    const sender = makeSender(pool, connection)
    const refuse = (error: PoolError) =>
      Effect.fail(guard === undefined ? error : new Mistaken({ refusesCopy: false, error }))
    const program = Effect.gen(function* () {
      let step = steps.next()
      if (step.done !== true && isPoolError(step.value)) return yield* refuse(step.value)
      const refusal = before()
      if (refusal !== undefined) return yield* refusal
      sender.begin()
      if (guard !== undefined) yield* sender.guard(guard)
      for (; step.done !== true && !sender.isStopped(); step = steps.next()) {
        if (step.value instanceof Uint8Array) yield* sender.data(step.value)
        else if (step.value._tag === "Storing") yield* sender.start(step.value)
        else {
          yield* sender.undo
          return yield* refuse(step.value)
        }
      }
      return yield* sender.finish
    })
    // A defect must not leave the connection in the middle of a COPY.
    return Effect.onExitPrimitive(program, (exit) =>
      Exit.isFailure(exit) && !Exit.hasInterrupts(exit) && session.giveUp !== undefined
        ? sender.undo
        : undefined
    )
  })

/** Locks a table against changes of its definition until the transaction ends, and asks for its shape. */
export const lookLocked = (
  pool: Pool,
  connection: PooledConnection,
  table: string,
  before: BeforeSend
): Effect.Effect<TableShape, OperationError> =>
  Effect.suspend(() => {
    const { settings, statements } = pool
    const refusal = before()
    if (refusal !== undefined) return Effect.fail(refusal)
    const { session } = connection
    const look = statementOf(statements, statements.get(lookQuery), none)
    const lock = makeStatement(lockText(table))
    const both = [
      answerTo((onSettled) => Commands.describe(session, lock, onSettled, { keep: false })),
      answerTo((onSettled) =>
        Commands.run(session, look, [table], onSettled, { keep: settings.prepare !== false, types: plain })
      )
    ]
    return Effect.flatMap(
      Effect.all(both, { concurrency: settings.pipelining ? "unbounded" : 1 }),
      (exchanges) => {
        const failed = exchanges.find(({ state }) => state !== "done")
        if (failed === undefined)
          return Effect.succeed(fromAnswer(exchanges[1]?.rows[0], codecsOf(settings.types)))
        const about = { text: failed === exchanges[0] ? lock.text : lookQuery, server: describe(settings) }
        return Effect.fail(failureOf(pool, connection, failed, about, true))
      }
    )
  })
