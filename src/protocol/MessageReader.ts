/**
 * The server's messages out of the chunks in which they arrive.
 *
 * Messages are handed on as places in the chunk, so that a row is read without a copy or an object in between; a chunk is valid
 * until it has been handed on, and of a message that is cut by its end the reader keeps a copy. What a
 * message holds is decoded here for the few that come with every statement, and by `PgProtocol` for all others.
 *
 * A message may claim any length. Memory is taken for what arrived, never for what was announced, and a length over the
 * limit is refused as soon as it is seen.
 */
import { Buffer } from "node:buffer"
import * as PgProtocol from "@effect/sql-pg/PgProtocol"
import { int32, uint16, uint32, utf8 } from "../types/Bytes.ts"

/** A message: its type, and where its content begins and ends. */
export type OnMessage = (type: number, bytes: Buffer, start: number, end: number) => void

export interface MessageReader {
  /** Who gets the messages: the start-up at first, the session then. */
  onMessage: OnMessage
  /** Takes a chunk and hands on each message that is complete. Throws a `ProtocolViolation`. */
  readonly push: (chunk: Buffer) => void
  /** The longest message that is taken from now on. */
  readonly limit: (bytes: number) => void
}

/** The server sent something that the protocol does not allow. */
export class ProtocolViolation extends Error {
  override readonly name = "ProtocolViolation"
}

/** So many bytes may come until the server is ready for the first statement: it reports a few kilobytes. */
export const openingLimit = 0x10_0000
/** Up to where a message is taken before the server has accepted the client: an error, or a step of the authentication. */
const startupLimit = 65_536
/** Postgres allows no value and no row over 1 GiB. */
export const sessionLimit = 0x4000_0000

export const make = (onMessage: OnMessage): MessageReader => {
  let most = startupLimit
  /** The beginning of a message whose rest has not arrived, in pieces, and how long the whole is if that is known. */
  let pieces: Array<Buffer> = []
  let pending = 0
  let needed = 0

  const lengthAt = (bytes: Buffer, at: number): number => {
    const length = int32(bytes, at + 1)
    if (length < 4 || length > most) {
      throw new ProtocolViolation(
        length < 4 ? `a message with a length of ${length}` : `a message longer than ${most} bytes`
      )
    }
    return length + 1
  }

  /** Keeps the beginning of a message until more arrives. */
  const keep = (rest: Buffer): void => {
    pieces = [Buffer.from(rest)]
    pending = rest.length
    needed = rest.length >= 5 ? lengthAt(rest, 0) : 5
  }

  const read = (bytes: Buffer, from: number): void => {
    let at = from
    while (bytes.length - at >= 5) {
      const size = lengthAt(bytes, at)
      if (bytes.length - at < size) break
      const start = at
      at += size
      reader.onMessage(bytes[start]!, bytes, start + 5, at)
    }
    if (at < bytes.length) keep(bytes.subarray(at))
  }

  /** Completes the message that has begun, as far as a chunk goes; gives where the next one begins in it. */
  const complete = (chunk: Buffer): number => {
    let at = 0
    while (pending > 0) {
      const part = chunk.subarray(at, at + needed - pending)
      at += part.length
      pending += part.length
      if (pending < needed) {
        pieces.push(Buffer.from(part))
        return at
      }
      const whole = Buffer.concat([...pieces, part], pending)
      needed = lengthAt(whole, 0)
      pieces = pending < needed ? [whole] : []
      if (pending < needed) continue
      pending = 0
      reader.onMessage(whole[0]!, whole, 5, whole.length)
    }
    return at
  }

  const reader: MessageReader = {
    onMessage,
    limit: (bytes) => {
      most = bytes
    },
    push: (chunk) => read(chunk, pending === 0 ? 0 : complete(chunk))
  }
  return reader
}

/** A text with a zero at its end, as the tag of a `CommandComplete` is: `INSERT 0 1`. */
export const cString = (bytes: Buffer, start: number, end: number): string => {
  const stop = bytes.indexOf(0, start)
  if (stop < 0 || stop >= end) throw new ProtocolViolation("a string without an end")
  return utf8(bytes, start, stop - start)
}

/** A `ParameterStatus`, a dozen of which come with each session; `undefined` where it is not as it should be. */
const parameterStatus = (
  bytes: Buffer,
  start: number,
  end: number
): PgProtocol.BackendMessage | undefined => {
  const middle = bytes.indexOf(0, start)
  const last = bytes.indexOf(0, middle + 1)
  if (middle < 0 || last !== end - 1) return undefined
  const name = utf8(bytes, start, middle - start)
  return { _tag: "ParameterStatus", name, value: utf8(bytes, middle + 1, last - middle - 1) }
}

/** The types in a `ParameterDescription`, which counts them without a sign; `PgProtocol` takes 32 767 at the most. */
export const parameterTypes = (bytes: Buffer, start: number, end: number): ReadonlyArray<number> => {
  const count = uint16(bytes, start)
  if (end - start !== 2 + count * 4) throw new ProtocolViolation("a description of parameters cut short")
  return Array.from({ length: count }, (_, index) => uint32(bytes, start + 2 + index * 4))
}

/** An error or a notice of the server: the protocol's fields, by names. */
export type ServerFields = PgProtocol.ErrorFields

/**
 * Decodes any message. A server that has not switched to UTF-8 yet may send text in another encoding, which is then read
 * with replacement characters instead of losing the message.
 */
export const decode = (
  type: number,
  bytes: Buffer,
  start: number,
  end: number
): PgProtocol.BackendMessage => {
  const once = (frame: Uint8Array): PgProtocol.BackendMessage => {
    const [message] = PgProtocol.makeParser({ maxMessageSize: sessionLimit }).push(frame)
    if (message === undefined) throw new ProtocolViolation("an incomplete message")
    return message
  }
  try {
    const status = type === 0x53 ? parameterStatus(bytes, start, end) : undefined
    return status ?? once(Buffer.from(bytes.subarray(start - 5, end)))
  } catch {
    const text = Buffer.from(bytes.toString("utf8", start, end))
    const frame = Buffer.allocUnsafe(5 + text.length)
    frame[0] = type
    frame.writeInt32BE(4 + text.length, 1)
    frame.set(text, 5)
    try {
      return once(frame)
    } catch {
      throw new ProtocolViolation(
        `a message of type ${JSON.stringify(String.fromCharCode(type))} that cannot be read`
      )
    }
  }
}

/** Whether an error ends its session. */
export const isFatal = ({ severity, severityUnlocalized }: ServerFields): boolean => {
  // A pooler's own errors lack the second.
  const level = severityUnlocalized ?? severity
  return level === "FATAL" || level === "PANIC"
}

/** Whether the server itself said goodbye: it names its routine, and has sent all that it answered before. */
export const isServers = (farewell: ServerFields | undefined): boolean => farewell?.routine !== undefined
