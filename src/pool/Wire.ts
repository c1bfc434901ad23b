/**
 * Stands between the driver and its socket: reports what the pool needs of what the server sends, before the driver reads
 * it, and lets statements share a `Sync` (see `Gather.ts`).
 *
 * It steps over the messages of the protocol by their lengths, and holds back no more than the begin of a message that is
 * to be looked at, and the answers to statements that share a `Sync`.
 */
import type { Duplex } from "node:stream"
import * as Answers from "./Answers.ts"
import * as Frames from "./Frames.ts"
import * as Gather from "./Gather.ts"

/** Called synchronously, before the driver sees the same message. */
export interface Observer {
  /** `BackendKeyData`: what a cancel request needs. */
  readonly onKey: (pid: number, secret: number) => void
  /** `RowDescription`: the type OID of each column. */
  readonly onTypes: (oids: ReadonlyArray<number>) => void
  /** A fatal `ErrorResponse`, after which the server ends the session. */
  readonly onFarewell: (farewell: Farewell) => void
  /** `ReadyForQuery`: `I` idle, `T` in a transaction, `E` in a failed one. */
  readonly onReady: (status: number) => void
  /** Whether a cancel is under way. */
  readonly isCancelling: () => boolean
}

/** Rows, which are most of what comes, need one comparison. */
const isWanted = (type: number): boolean =>
  type !== Frames.dataRow &&
  (type === Frames.ready ||
    type === Frames.commandComplete ||
    type === Frames.emptyQuery ||
    type === Frames.rowDescription ||
    type === Frames.backendKey ||
    type === Frames.error)

/** What the server says last. The driver drops it when no statement runs. */
export interface Farewell {
  readonly severity: string
  readonly code: string | undefined
  readonly message: string | undefined
  readonly detail: string | undefined
  readonly hint: string | undefined
}

/** The error, if it is one that ends the session. */
const farewellOf = (body: Uint8Array): Farewell | undefined => {
  const fields = new Map(
    new TextDecoder()
      .decode(body)
      .split("\0")
      .map((field) => [field.slice(0, 1), field.slice(1)] as const)
  )
  const severity = fields.get("V")
  if (severity !== "FATAL" && severity !== "PANIC") return undefined
  return {
    severity,
    code: fields.get("C"),
    message: fields.get("M"),
    detail: fields.get("D"),
    hint: fields.get("H")
  }
}

const fieldTail = 18

const typesOf = (body: Uint8Array, start: number): ReadonlyArray<number> => {
  const count = (body[start]! << 8) | body[start + 1]!
  const oids: Array<number> = new Array(count)
  let at = start + 2
  for (let index = 0; index < count; index++) {
    at = body.indexOf(0, at) + 1
    oids[index] = Frames.readInt32(body, at + 6) >>> 0
    at += fieldTail
  }
  return oids
}

/** What goes over one connection. */
export interface Wire {
  /** What is written for these messages of the driver's. */
  readonly outgoing: (messages: Uint8Array) => Uint8Array
  /** What the driver reads for these bytes of the server's. */
  readonly incoming: (chunk: Uint8Array) => ReadonlyArray<Uint8Array>
}

/** `share`: which of the statements that are written at the moment may share a `Sync`. */
export const make = (observer: Observer, share: () => Gather.Share): Wire => {
  const answers = Answers.make()
  /** The begin of a message that is to be looked at as a whole. */
  let kept: Uint8Array | undefined
  /** How many bytes of another message are still to come. */
  let skip = 0
  /** Whether its begin was passed on. */
  let isPassed = true

  const incoming = (chunk: Uint8Array): ReadonlyArray<Uint8Array> => {
    const bytes = kept === undefined ? chunk : Buffer.concat([kept, chunk])
    kept = undefined
    let done = 0
    let at = skip
    const passOn = (end: number): void => {
      if (end > done) answers.part(done === 0 && end === bytes.length ? bytes : bytes.subarray(done, end))
      done = end
    }
    // As a rule what follows is passed on too, in one piece with it.
    if (skip > 0 && isPassed && !answers.isPassed()) {
      done = Math.min(skip, bytes.length)
      answers.rest(bytes.subarray(0, done))
    }
    while (bytes.length - at >= Frames.headerSize) {
      const type = bytes[at]!
      const end = Frames.endOf(bytes, at)
      if (end < at + Frames.headerSize) {
        // No message is that short: for the driver to refuse.
        at = bytes.length
        break
      }
      if (!isWanted(type)) {
        at = end
        continue
      }
      const start = at + Frames.headerSize
      if (end > bytes.length) break
      const isRun = answers.isRun()
      switch (type) {
        case Frames.ready: {
          const status = bytes[start]!
          observer.onReady(status)
          if (isRun || answers.isBeforeRun()) passOn(isRun ? at : end)
          if (isRun) done = end
          answers.ready(status)
          break
        }
        case Frames.error: {
          const farewell = farewellOf(bytes.subarray(start, end))
          if (farewell !== undefined) observer.onFarewell(farewell)
          if (isRun) {
            passOn(at)
            done = end
            const how = farewell !== undefined ? "last" : observer.isCancelling() ? "cancelled" : "own"
            answers.failed(bytes.subarray(at, end), how)
          }
          break
        }
        case Frames.rowDescription: {
          observer.onTypes(typesOf(bytes, start))
          break
        }
        case Frames.backendKey: {
          observer.onKey(Frames.readInt32(bytes, start), Frames.readInt32(bytes, start + 4))
          break
        }
        default: {
          // A statement is done.
          if (isRun) {
            passOn(end)
            answers.complete()
          }
        }
      }
      at = end
    }
    skip = Math.max(0, at - bytes.length)
    at -= skip
    passOn(at)
    isPassed = answers.isPassed()
    if (at < bytes.length) kept = bytes.slice(at)
    return answers.take()
  }

  const outgoing = (messages: Uint8Array): Uint8Array => {
    // The message that opens a session has no letter.
    if (messages[0] === 0) return messages
    const sharing = share()
    const gathered = Gather.gather(
      messages,
      sharing === "alike" && (answers.isWary() || answers.hasRun()) ? "none" : sharing
    )
    answers.sent(gathered.runs)
    return gathered.bytes
  }

  return { incoming, outgoing }
}

/** As much as a socket reads at once, which the driver makes room for. */
const pieceSize = 64 * 1024

/** Many small pieces as few larger ones. */
const joined = (pieces: ReadonlyArray<Uint8Array>): ReadonlyArray<Uint8Array> => {
  if (pieces.length < 2) return pieces
  const all: Array<Uint8Array> = []
  let begin = 0
  let size = 0
  for (const [index, piece] of pieces.entries()) {
    size += piece.length
    if (size < pieceSize && index < pieces.length - 1) continue
    all.push(Buffer.concat(pieces.slice(begin, index + 1)))
    begin = index + 1
    size = 0
  }
  return all
}

/** Puts it between a socket and whoever reads and writes that. */
export const attach = (socket: Duplex, { incoming, outgoing }: Wire): void => {
  const push = socket.push.bind(socket)
  const write = socket.write.bind(socket)
  Object.assign(socket, {
    push: (chunk: unknown, encoding?: BufferEncoding): boolean => {
      if (!(chunk instanceof Uint8Array)) return push(chunk, encoding)
      let wantsMore = true
      for (const piece of joined(incoming(chunk))) wantsMore = push(piece)
      return wantsMore
    },
    write: (messages: Uint8Array): boolean => write(outgoing(messages))
  })
}
