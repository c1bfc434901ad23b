/**
 * A `COPY … FROM STDIN` whose data come from a stream: as fast as the server takes them, and all or nothing.
 *
 * The stream begins when the server has asked for data. When it fails or is interrupted the `COPY` ends by `CopyFail`; when the
 * server fails, the stream is interrupted.
 */
import { Buffer } from "node:buffer"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { type OperationError, type PoolError, refused } from "../errors/PoolError.ts"
import type { Pool } from "../pool/Pool.ts"
import { isDead, isInTransaction, markDirty, type PooledConnection } from "../pool/PooledConnection.ts"
import { answerTo } from "../protocol/Ask.ts"
import * as Commands from "../protocol/Commands.ts"
import * as Copy from "../protocol/CopyData.ts"
import { rowCountOf } from "../protocol/Exchange.ts"
import * as Writer from "../protocol/MessageWriter.ts"
import * as Execute from "./Execute.ts"
import type * as Jobs from "./Job.ts"
import { verdictOf } from "./Resend.ts"
import * as Send from "./Send.ts"
import * as Settle from "./Settle.ts"

/** How far a `COPY` has come. */
export interface CopyProgress {
  /** Bytes of its data that were sent or received so far. */
  readonly bytes: number
}

export interface CopyInOptions {
  /** The call as a message names it. */
  readonly place: string
  /** Texts are sent in UTF-8: where the data are in another encoding, they have to be bytes. */
  readonly takesText: boolean
  readonly onProgress: ((progress: CopyProgress) => void) | undefined
}

const byteOrderMark =
  "The data begin with a byte order mark, which COPY takes for a part of the first field: leave its three bytes out."

const hasByteOrderMark = (bytes: Uint8Array): boolean =>
  bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf

const nothing = () => undefined
const noParameters = { types: [], values: [] }

const isHighSurrogate = (code: number): boolean => code >= 0xd800 && code <= 0xdbff

/** Makes bytes of the pieces of a stream. A character that two texts share is one: half of it waits for the next. */
const makeEncoder = ({ place, takesText }: CopyInOptions) => {
  let half = ""
  return {
    encode: (piece: unknown): Uint8Array | PoolError => {
      if (piece instanceof Uint8Array) {
        const bytes = half === "" ? piece : Buffer.concat([Buffer.from(half), piece])
        half = ""
        return bytes
      }
      if (typeof piece !== "string" || !takesText) {
        const what =
          typeof piece === "string"
            ? "a text, and the option encoding is for bytes"
            : "neither bytes nor a text"
        return refused(
          `${place}: the stream gave ${what}. It gives the bytes or texts of a file. Nothing was stored.`
        )
      }
      const text = half + piece
      half = isHighSurrogate(text.charCodeAt(text.length - 1)) ? text.slice(-1) : ""
      return Buffer.from(half === "" ? text : text.slice(0, -1))
    },
    end: (): Uint8Array => Buffer.from(half)
  }
}

/** Runs the statement with the stream's data, and gives the number of rows stored. The connection is its caller's alone. */
export const copyIn = <E, R>(
  pool: Pool,
  connection: PooledConnection,
  job: Jobs.Job,
  data: Stream.Stream<Uint8Array | string, E, R>,
  options: CopyInOptions,
  before: Execute.BeforeSend
): Effect.Effect<number | typeof Execute.elsewhere, E | OperationError, R> =>
  Effect.suspend(() => {
    const refusal = before()
    if (refusal !== undefined) return Effect.fail(refusal)
    const { session } = connection
    const { encode, end: encodeEnd } = makeEncoder(options)
    const situation = {
      analysis: job.known.analysis,
      usedMemory: false,
      inTransaction: isInTransaction(connection),
      attempts: 0
    }
    let isAsked = false
    let bytes = 0
    let note: string | undefined
    let onAnswer: () => void = nothing
    const answered = () => onAnswer()
    markDirty(connection, job.known.analysis)
    const { exchange } = Send.send(pool, connection, job, noParameters, answered, {
      syncs: false,
      onProgress: answered,
      copy: {
        onIn: () => {
          isAsked = true
          answered()
        },
        onData: nothing
      }
    })
    const isOver = () => exchange.state !== "open" || isDead(connection)
    const until = (holds: () => boolean): Effect.Effect<void> =>
      Effect.callback((resume) => {
        onAnswer = () => {
          if (holds()) resume(Effect.void)
        }
        onAnswer()
      })
    // Also before the server asks for data: where it does not, it passes a `CopyFail` over.
    const end = (write: (writer: Writer.MessageWriter) => void): void => {
      session.giveUp = undefined
      if (!isOver()) write(session.writer)
    }
    const fail = (writer: Writer.MessageWriter) =>
      Writer.copyFail(writer, "the input failed or was interrupted")
    session.giveUp = () => {
      end(fail)
      Commands.ping(session, nothing)
    }
    /** The answer to the `Sync`, by which rows outside of a transaction are committed. */
    const settled = answerTo((onSettled) => Commands.ping(session, onSettled))
    const feed = Stream.runForEachArray(data, (pieces) =>
      Effect.suspend(() => {
        for (const piece of pieces) {
          const encoded = encode(piece)
          if (!(encoded instanceof Uint8Array)) return Effect.fail(encoded)
          if (bytes === 0 && hasByteOrderMark(encoded)) note = byteOrderMark
          Copy.send(session, encoded)
          bytes += encoded.length
        }
        options.onProgress?.({ bytes })
        return Copy.room(session)
      })
    )
    return Effect.gen(function* () {
      yield* until(() => isAsked || isOver())
      if (!isAsked && verdictOf(exchange, isDead(connection), situation) === "elsewhere")
        return Execute.elsewhere
      const exit = isOver() ? Exit.void : yield* Effect.exit(Effect.raceFirst(feed, until(isOver)))
      if (Exit.isFailure(exit) && !isOver()) {
        end(fail)
        yield* settled
        return yield* Effect.failCause(exit.cause)
      }
      const isFinished = !isOver()
      if (isFinished) Copy.send(session, encodeEnd())
      end(Writer.copyDone)
      const { error, state } = yield* settled
      if (exchange.state === "done") {
        if (state === "done" || situation.inTransaction) return rowCountOf(exchange)
        Object.assign(exchange, { error, state })
      }
      // Without its end the server has stored nothing.
      const told = { ...job, tell: ({ where = "" }) => (/, line 1\b/.test(where) ? { note } : {}) }
      return yield* Settle.errorOf(pool, told, exchange, connection, { isHarmless: !isFinished })
    })
  })
