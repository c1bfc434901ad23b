/**
 * One Postgres session: a socket, a queue of exchanges in the order in which they were written, and what the server
 * reported of itself.
 *
 * Everything here is synchronous and calls back; Effect stands at the edge, in the modules that use a session. The pool has
 * one session for each connection; `Startup.ts` makes it once the server has accepted the client.
 *
 * **Guarantees**
 *
 * Each exchange is settled exactly once. When the session ends, for whatever reason, each says whether it was written
 * (`"lost"`) or not (`"unsent"`). Bytes that the protocol does not allow end the session and nothing else.
 */
import type { Buffer } from "node:buffer"
import type { Socket } from "node:net"
import * as PgProtocol from "@effect/sql-pg/PgProtocol"
import type { Locale } from "../types/PgType.ts"
import type { TypeMap } from "../types/TypeMap.ts"
import { type Exchange, stands } from "./Exchange.ts"
import { type FloatDigits, floatsOf } from "./FloatDigits.ts"
import type { Incoming } from "./Incoming.ts"
import { leave } from "./Link.ts"
import type { MessageReader, ServerFields } from "./MessageReader.ts"
import { cString, decode, isFatal, isServers, ProtocolViolation, parameterTypes } from "./MessageReader.ts"
import type { MessageWriter } from "./MessageWriter.ts"
import * as Writer from "./MessageWriter.ts"
import * as PreparedStatements from "./PreparedStatements.ts"
import { takeRow } from "./TakeRow.ts"

/** What the server said last about the session's transaction. */
export type TransactionStatus = "idle" | "open" | "failed"

/** Why a session has ended. */
export interface SessionEnd {
  /** The server's last words, if it had any. */
  readonly farewell: ServerFields | undefined
  /** What the socket or the protocol had to say; none for an end that was asked for. */
  readonly cause: Error | undefined
}

export interface Notification {
  readonly channel: string
  readonly payload: string
  readonly processId: number
}

export interface Listeners {
  readonly onNotice: (notice: ServerFields) => void
  readonly onNotification: (notification: Notification) => void
  /** Called once. */
  readonly onEnd: (end: SessionEnd) => void
}

/** The key with which a session's statements are cancelled. */
export interface BackendKey {
  readonly pid: number
  readonly secret: number
}

export interface Session {
  readonly socket: Socket
  readonly incoming: Incoming
  readonly types: TypeMap
  readonly writer: MessageWriter
  readonly statements: PreparedStatements.PreparedStatements
  readonly key: BackendKey
  /** Settings that the server reports, such as `server_version` and `in_hot_standby`. */
  readonly parameters: ReadonlyMap<string, string>
  /** How it prints dates, as it reported last. */
  readonly locale: Locale
  /** Ends a `COPY` into which data go: without that the server does not hear of a cancel. */
  giveUp: (() => void) | undefined
  /** Whether statements may be kept prepared: not behind a pooler that changes servers. */
  keepsStatements: boolean
  floats: FloatDigits
  readonly status: () => TransactionStatus
  /** Adds an exchange whose messages were just written into `writer`, and sends them soon. */
  readonly enqueue: (exchange: Exchange) => void
  /** How many exchanges are not settled. */
  readonly pending: () => number
  /** Sends what is in `writer` now. */
  readonly flush: () => void
  readonly end: () => SessionEnd | undefined
  /** Ends the session at once: everything in the queue is lost. */
  readonly destroy: (cause?: Error) => void
  /** The same, but for its socket: that stays open until `destroy`, or until the server closes it. */
  readonly abandon: (cause?: Error) => void
  /** Says goodbye: the server ends the session when it has answered all exchanges. */
  readonly terminate: () => void
  /** Calls this each time that the server is ready for the next, until it is given `undefined`. */
  readonly watch: (onReady: (() => void) | undefined) => void
  /** Grows with each sign of the server, and with what is first sent to it after a rest. */
  readonly heard: () => number
  /** Grows when the server reports a setting. */
  readonly reports: () => number
  /** Whether it refused to write, for a server that does not report whether its sessions may. */
  readonly wasReadOnly: () => boolean
  readonly isReading: () => boolean
  /** Stops and resumes reading, for a reader that is slower than the server. */
  readonly setReading: (reading: boolean) => void
}

const defaultLocale = { dateStyle: "ISO, MDY", isIso: true, intervalStyle: "postgres", timeZone: "UTC" }

const localeFields: Readonly<Record<string, "dateStyle" | "intervalStyle" | "timeZone">> = {
  DateStyle: "dateStyle",
  IntervalStyle: "intervalStyle",
  TimeZone: "timeZone"
}

/** A write in a session that only reads. */
const readOnly = "25006"
/** Postgres reports about twenty settings, and poolers a few more. */
const mostParameters = 1_000
const statuses: Readonly<Record<number, TransactionStatus>> = { 73: "idle", 84: "open", 69: "failed" }

/** What the start-up has found out. */
export interface Given extends Pick<Session, "socket" | "incoming" | "types" | "key"> {
  readonly parameters: Map<string, string>
  readonly listeners: Listeners
}

/** A session on a socket whose server is ready; its reader gives the messages to `onMessage` from now on. */
export const make = (
  { incoming, key, listeners, parameters, socket, types }: Given,
  reader: MessageReader
): Session => {
  const writer = Writer.make()
  const statements = PreparedStatements.make()
  const locale: { -readonly [Field in keyof Locale]: Locale[Field] } = { ...defaultLocale }
  /** Those before `answered` have been answered in full and wait for the `ReadyForQuery` of their `Sync`. */
  let queue: Array<Exchange> = []
  let answered = 0
  let status: TransactionStatus = "idle"
  let end: SessionEnd | undefined
  let farewell: ServerFields | undefined
  let enqueued = 0
  let written = 0
  let isFlushing = false
  let isSkipping = false
  let isTerminating = false
  let isReading = true
  let heard = 0
  let reports = 0
  let wasReadOnly = false
  let watcher: (() => void) | undefined
  let described: ReadonlyArray<number> = []

  const onParameter = (name: string, value: string): void => {
    parameters.set(name, value)
    reports++
    if (parameters.size > mostParameters) throw new ProtocolViolation("more settings than a server reports")
    const field = localeFields[name]
    if (field !== undefined) locale[field] = value
    locale.isIso = locale.dateStyle.startsWith("ISO")
  }
  for (const [name, value] of parameters) onParameter(name, value)

  const flush = (): void => {
    isFlushing = false
    if (writer.at === 0 || end !== undefined) return
    written = enqueued
    socket.write(Writer.take(writer))
  }

  const abandon = (cause?: Error): void => {
    if (end !== undefined) return
    end = { farewell, cause }
    const left = queue
    queue = []
    for (const [index, exchange] of left.entries()) {
      // A server that has said goodbye comes to nothing that stands behind what it answered last; a pooler does not know.
      const wasReached = exchange.order < written && (!isServers(farewell) || index <= answered)
      if (exchange.state === "open") exchange.state = wasReached ? "lost" : "unsent"
      else if (exchange.state === "done" && !stands(exchange)) exchange.state = "lost"
    }
    for (const exchange of left) exchange.onSettled(exchange)
    listeners.onEnd(end)
  }

  const finish = (cause: Error | undefined): void => {
    socket.destroy()
    abandon(cause)
  }

  const current = (): Exchange => {
    const exchange = queue[answered]
    if (exchange === undefined) throw new ProtocolViolation("an answer to nothing that was asked")
    return exchange
  }

  /** An exchange was answered in full: one without a `Sync` makes way for the next. */
  const advance = (exchange: Exchange): void => {
    if (exchange.state === "open") exchange.state = "done"
    if (exchange.syncs) return
    answered++
    exchange.onProgress?.(exchange)
  }

  const onReady = (code: number): void => {
    const next = statuses[code]
    const last = queue[answered]
    if (next === undefined || last === undefined || !last.syncs || last.state === "open") {
      throw new ProtocolViolation("a ReadyForQuery out of turn")
    }
    status = next
    if (last.late !== undefined) last.late.locale = { ...locale }
    if (answered === 0) {
      queue.shift()
      last.onSettled(last)
    } else {
      const settled = queue.splice(0, answered + 1)
      answered = 0
      for (const exchange of settled) exchange.onSettled(exchange)
    }
    watcher?.()
  }

  const onError = (fields: ServerFields) => {
    if (isFatal(fields)) {
      farewell = fields
      const exchange = queue[answered]
      if (exchange?.state === "open" && isServers(fields)) {
        exchange.error = fields
        exchange.state = "failed"
      }
      abandon()
      return leave(socket)
    }
    if (fields.code === readOnly) wasReadOnly = true
    const exchange = current()
    exchange.error = fields
    exchange.state = "failed"
    PreparedStatements.onError(statements, exchange, fields.code)
    isSkipping = !exchange.syncs
    while (isSkipping && ++answered < queue.length) skip(queue[answered]!)
    exchange.onProgress?.(exchange)
  }

  /** Behind an error the server skips everything up to the next `Sync`. */
  const skip = (exchange: Exchange): void => {
    if (exchange.state === "open") exchange.state = "skipped"
    if (exchange.parses && exchange.prepared !== undefined) {
      PreparedStatements.dropUnparsed(statements, exchange.prepared)
    }
    if (exchange.closes !== undefined) statements.obsolete.push(...exchange.closes)
    isSkipping = !exchange.syncs
  }

  const onDescription = (columns: ReadonlyArray<{ readonly name: string; readonly type: number }>): void => {
    const exchange = current()
    if (exchange.prepared === undefined) throw new ProtocolViolation("a description that was not asked for")
    PreparedStatements.onDescribed(exchange.prepared, { parameterTypes: described, columns })
    if (exchange.describes) advance(exchange)
  }

  const onOther = (message: PgProtocol.BackendMessage) => {
    switch (message._tag) {
      case "RowDescription":
        return onDescription(message.fields.map(({ dataTypeOid, name }) => ({ name, type: dataTypeOid })))
      case "ErrorResponse":
        return onError(message.fields)
      case "NoticeResponse":
        return listeners.onNotice(message.fields)
      case "ParameterStatus":
        return onParameter(message.name, message.value)
      case "NotificationResponse":
        return listeners.onNotification({
          channel: message.channel,
          payload: message.payload,
          processId: message.pid
        })
      case "CopyInResponse":
      case "CopyOutResponse": {
        const { copy } = current()
        if (copy === undefined) throw new ProtocolViolation("a COPY that was not asked for")
        return message._tag === "CopyInResponse" ? copy.onIn() : undefined
      }
      default:
        throw new ProtocolViolation(`a message out of turn: ${message._tag}`)
    }
  }

  const onMessage = (type: number, bytes: Buffer, start: number, stop: number) => {
    if (end !== undefined) return
    switch (type) {
      case 0x44: // DataRow
        return takeRow(session, current(), bytes, start, stop)
      case 0x32: // BindComplete
        current().isBound = true
        return
      case 0x43: // CommandComplete
        current().tag = cString(bytes, start, stop)
        return advance(current())
      case 0x5a: // ReadyForQuery
        return onReady(bytes[start]!)
      case 0x74: // ParameterDescription
        described = parameterTypes(bytes, start, stop)
        return
      case 0x31: // ParseComplete
        current().isParsed = true
        return
      case 0x6e: // NoData
        return onDescription([])
      case 0x33: // CloseComplete
      case 0x63: // CopyDone
        return
      case 0x64: // CopyData
        if (current().unreadable === undefined) current().copy?.onData(bytes, start, stop)
        return
      case 0x49: // EmptyQueryResponse
        return advance(current())
      case 0x73: // PortalSuspended
        current().isSuspended = true
        return advance(current())
      default:
        return onOther(decode(type, bytes, start, stop))
    }
  }

  const onData = (chunk: Buffer): void => {
    heard++
    // What the answers lead to is sent in one write behind them.
    isFlushing = true
    try {
      reader.push(chunk)
      const exchange = queue[answered]
      if (exchange !== undefined && (exchange.rows.length > 0 || exchange.copy !== undefined)) {
        exchange.onProgress?.(exchange)
      }
    } catch (error) {
      finish(error instanceof Error ? error : new Error(String(error)))
    }
    flush()
  }

  const session: Session = {
    socket,
    incoming,
    types,
    writer,
    statements,
    key,
    parameters,
    locale,
    giveUp: undefined,
    keepsStatements: true,
    floats: floatsOf(parameters),
    status: () => status,
    enqueue: (exchange) => {
      if (end !== undefined || isTerminating) {
        writer.at = 0
        exchange.state = "unsent"
        return queueMicrotask(() => exchange.onSettled(exchange))
      }
      exchange.order = enqueued++
      if (queue.push(exchange) === 1) heard++
      if (isSkipping) {
        skip(exchange)
        if (isSkipping) answered++
      }
      if (isFlushing) return
      isFlushing = true
      queueMicrotask(flush)
    },
    pending: () => queue.length,
    flush,
    end: () => end,
    destroy: finish,
    abandon,
    terminate: () => {
      if (end !== undefined || isTerminating) return
      flush()
      isTerminating = true
      socket.end(PgProtocol.encodeTerminate())
    },
    watch: (onReady) => {
      watcher = onReady
    },
    heard: () => heard,
    reports: () => reports,
    wasReadOnly: () => wasReadOnly,
    isReading: () => isReading,
    setReading: (reading) => {
      if (reading === isReading) return
      isReading = reading
      heard++
      if (reading) socket.resume()
      else socket.pause()
    }
  }

  incoming.onChunk = onData
  socket.on("error", (error) => finish(error))
  socket.on("close", () => finish(undefined))
  reader.onMessage = onMessage
  return session
}
